/* cudart_late.c: CUDA_EMULATOR_LATE=1, which finds hosts that do not wait.
 *
 * Copies between the device and page-locked memory happen at some time before the stream is next waited for.
 * A copy to the host is delivered at the last moment, and until then the host reads poison; a copy from the
 * host must still find its source unchanged then.
 */
#include "emulator.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { HOST_POISON = 0xa5 };

typedef enum { TO_HOST, FROM_HOST, AFTER } emulator_item_kind;

/* Something a stream has yet to do. */
typedef struct emulator_item {
    emulator_item_kind kind;
    int stream;
    uint64_t point;     /* when it was enqueued */
    emulator_copy copy; /* TO_HOST: from `bytes`; FROM_HOST: to `bytes`, which hold what was copied */
    char *bytes;
    int other; /* AFTER: waits for this stream up to `other_point` */
    uint64_t other_point;
    struct emulator_item *next;
} emulator_item;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static emulator_item *first;
static uint64_t clock_point;
static uint64_t settled[EMULATOR_STREAMS_MAX]; /* all of a stream up to this point has been waited for */

bool emulator_late(void)
{
    const char *text = getenv("CUDA_EMULATOR_LATE");
    return text && strcmp(text, "1") == 0;
}

uint64_t emulator_late_now(void)
{
    pthread_mutex_lock(&lock);
    uint64_t now = ++clock_point;
    pthread_mutex_unlock(&lock);
    return now;
}

/* ---- settling: with the lock held ---- */

static void check_source(const emulator_item *item)
{
    const emulator_copy *copy = &item->copy;
    for (size_t y = 0; y < copy->height; ++y)
        if (memcmp(copy->from + y * copy->from_pitch, item->bytes + y * copy->width, copy->width) != 0)
            emulator_die(
                "page-locked memory at %p (%zu x %zu bytes) was changed before its copy to the device "
                "was waited for",
                (const void *)copy->from, copy->height, copy->width);
}

/* Whether work of stream `number` is waited for with that of `stream`: the default stream waits for the
 * streams that were not created as independent, and they for it. */
static bool follows(int stream, int number)
{
    return stream == number || (stream == 0 && emulator_stream_blocks(number)) ||
           (number == 0 && emulator_stream_blocks(stream));
}

static void settle(int stream, uint64_t until, bool waited)
{
    for (emulator_item **link = &first; *link;) {
        emulator_item *item = *link;
        if (item->point > until || !follows(stream, item->stream)) {
            link = &item->next;
            continue;
        }
        *link = item->next;
        if (item->kind == TO_HOST)
            emulator_copy_now(&item->copy);
        else if (item->kind == FROM_HOST)
            check_source(item);
        else
            settle(item->other, item->other_point, waited);
        bool again = item->kind == AFTER;
        free(item->bytes);
        free(item);
        if (again)
            link = &first; /* that may have removed anything */
    }
    for (int i = 0; waited && i < EMULATOR_STREAMS_MAX; ++i)
        if (until > settled[i] && follows(stream, i))
            settled[i] = until;
}

static bool uses_host(const emulator_item *item, const char *host, size_t bytes)
{
    const emulator_copy *copy = &item->copy;
    if (item->kind == TO_HOST)
        return emulator_overlap(host, bytes, copy->to,
                                emulator_extent(copy->to_pitch, copy->width, copy->height));
    return item->kind == FROM_HOST &&
           emulator_overlap(host, bytes, copy->from,
                            emulator_extent(copy->from_pitch, copy->width, copy->height));
}

/* A stream may use the same host memory twice, one after the other: then the first use is over. */
static void settle_users(int stream, const char *host, size_t bytes)
{
    uint64_t until = 0;
    for (const emulator_item *item = first; item; item = item->next)
        if (uses_host(item, host, bytes) && item->stream == stream)
            until = item->point;
    if (until)
        settle(stream, until, false);
}

static void append(emulator_item *item)
{
    item->point = ++clock_point;
    struct emulator_item **link = &first;
    while (*link)
        link = &(*link)->next;
    *link = item;
}

/* ---- what streams enqueue ---- */

static emulator_item *new_copy(emulator_item_kind kind, int stream, const emulator_copy *copy)
{
    emulator_item *item = emulator_new(sizeof(*item));
    item->kind = kind;
    item->stream = stream;
    item->copy = *copy;
    item->bytes = emulator_new(copy->width * copy->height);
    emulator_copy keep = {item->bytes, copy->from, copy->width, copy->from_pitch, copy->width, copy->height};
    emulator_copy_now(&keep);
    return item;
}

void emulator_late_to_host(int stream, const emulator_copy *copy)
{
    if (!emulator_late()) {
        emulator_copy_now(copy);
        return;
    }
    emulator_item *item = new_copy(TO_HOST, stream, copy);
    item->copy.from = item->bytes;
    item->copy.from_pitch = copy->width;
    pthread_mutex_lock(&lock);
    settle_users(stream, copy->to, emulator_extent(copy->to_pitch, copy->width, copy->height));
    for (size_t y = 0; y < copy->height; ++y)
        memset(copy->to + y * copy->to_pitch, HOST_POISON, copy->width);
    append(item);
    pthread_mutex_unlock(&lock);
}

void emulator_late_from_host(int stream, const emulator_copy *copy)
{
    if (!emulator_late()) {
        emulator_copy_now(copy);
        return;
    }
    pthread_mutex_lock(&lock);
    settle_users(stream, copy->from, emulator_extent(copy->from_pitch, copy->width, copy->height));
    emulator_copy_now(copy);
    append(new_copy(FROM_HOST, stream, copy));
    pthread_mutex_unlock(&lock);
}

void emulator_late_after(int stream, int other, uint64_t point)
{
    if (!emulator_late() || stream == other)
        return;
    emulator_item *item = emulator_new(sizeof(*item));
    item->kind = AFTER;
    item->stream = stream;
    item->other = other;
    item->other_point = point;
    pthread_mutex_lock(&lock);
    append(item);
    pthread_mutex_unlock(&lock);
}

/* ---- what the host waits for ---- */

void emulator_settle(int stream, uint64_t until)
{
    pthread_mutex_lock(&lock);
    if (first || emulator_late())
        settle(stream, until, true);
    pthread_mutex_unlock(&lock);
}

void emulator_settle_all(void)
{
    pthread_mutex_lock(&lock);
    uint64_t now = ++clock_point;
    while (first)
        settle(first->stream, now, true);
    for (int i = 0; i < EMULATOR_STREAMS_MAX; ++i)
        settled[i] = now;
    pthread_mutex_unlock(&lock);
}

bool emulator_settled(int stream, uint64_t until)
{
    pthread_mutex_lock(&lock);
    bool result = !emulator_late() || settled[stream] >= until;
    pthread_mutex_unlock(&lock);
    return result;
}
