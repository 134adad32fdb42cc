#include "capture/tcp.h"

#include "base/memory.h"
#include "capture/hep.h"
#include "capture/packet.h"
#include "capture/secret.h"
#include "capture/sniff.h"
#include "capture/tcp_stream.h"
#include "sip/frame.h"

#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 8 << 20,      /* segments further off belong to another connection of the same ports */
    START_LINE_MAX = 8192, /* a line of a stream without messages must end by then */
    OTHER_TRAFFIC = 65536, /* a stream without messages after this many bytes is not followed */
    EARLY_MAX = 1024,      /* segments waiting in one stream */
    BUFFER_KEPT = 4096     /* larger buffers are released when empty */
};

typedef struct {
    sg_tcp_stream *first;
} bucket;

struct sg_tcp {
    sg_tcp_options options;
    sg_tcp_account account;
    bucket *buckets;
    size_t mask;
    sg_tcp_list unproved, proved, gaps;
    sg_tcp_stream *pending; /* may have messages */
    sg_tcp_stream *current; /* the last segment belongs to it */
    int64_t now_us;
    bool finish;
    sg_secret secret;
};

/* ---- lists: `idle` orders all streams, `gap` those that wait for bytes ---- */

static sg_tcp_links *links_of(sg_tcp_stream *s, bool gap)
{
    return gap ? &s->gap : &s->idle;
}

static void list_remove(sg_tcp_list *list, sg_tcp_stream *s, bool gap)
{
    sg_tcp_links *l = links_of(s, gap);
    *(l->older ? &links_of(l->older, gap)->newer : &list->oldest) = l->newer;
    *(l->newer ? &links_of(l->newer, gap)->older : &list->newest) = l->older;
    l->older = l->newer = NULL;
    list->count--;
}

static void list_append(sg_tcp_list *list, sg_tcp_stream *s, bool gap)
{
    sg_tcp_links *l = links_of(s, gap);
    l->older = list->newest;
    l->newer = NULL;
    *(list->newest ? &links_of(list->newest, gap)->newer : &list->oldest) = s;
    list->newest = s;
    list->count++;
}

static sg_tcp_list *idle_list(sg_tcp *t, const sg_tcp_stream *s)
{
    return s->proved ? &t->proved : &t->unproved;
}

static void touch(sg_tcp *t, sg_tcp_stream *s)
{
    sg_tcp_list *list = idle_list(t, s);
    if (list->newest == s)
        return;
    list_remove(list, s, false);
    list_append(list, s, false);
}

static void set_proved(sg_tcp *t, sg_tcp_stream *s, bool proved)
{
    if (s->proved == proved)
        return;
    list_remove(idle_list(t, s), s, false);
    s->proved = proved;
    list_append(idle_list(t, s), s, false);
}

/* Keeps the list of gaps true; a gap that has moved waits anew. */
static void note_gap(sg_tcp *t, sg_tcp_stream *s, bool moved)
{
    if (s->has_gap && (moved || !s->early)) {
        list_remove(&t->gaps, s, true);
        s->has_gap = false;
    }
    if (s->early && !s->has_gap) {
        s->gap_us = t->now_us;
        list_append(&t->gaps, s, true);
        s->has_gap = true;
    }
}

/* ---- the table ---- */

sg_status sg_tcp_open(sg_tcp **out, const sg_tcp_options *options, sg_counts *counts)
{
    sg_tcp *t;
    size_t buckets = 64;
    *out = NULL;
    while (buckets < options->streams_max)
        buckets *= 2;
    SG_TRY(sg_alloc(&t, 1, "the table of TCP streams"));
    sg_status status = sg_alloc(&t->buckets, buckets, "the table of TCP streams");
    if (status != SG_OK) {
        free(t);
        return status;
    }
    t->mask = buckets - 1;
    t->options = *options;
    t->account.counts = counts;
    sg_secret_make(&t->secret);
    *out = t;
    return SG_OK;
}

static sg_tcp_stream **slot_of(sg_tcp *t, const sg_tcp_key *key)
{
    sg_tcp_stream **slot = &t->buckets[sg_secret_hash(&t->secret, key, sizeof *key) & t->mask].first;
    while (*slot && memcmp(&(*slot)->key, key, sizeof *key) != 0)
        slot = &(*slot)->chain;
    return slot;
}

static void drop(sg_tcp *t, sg_tcp_stream *s)
{
    sg_tcp_stream_restart(s, 0, &t->account);
    note_gap(t, s, true);
    *slot_of(t, &s->key) = s->chain;
    list_remove(idle_list(t, s), s, false);
    if (t->pending == s)
        t->pending = NULL;
    if (t->current == s)
        t->current = NULL;
    free(s);
}

void sg_tcp_close(sg_tcp *t)
{
    if (!t)
        return;
    while (t->unproved.oldest)
        drop(t, t->unproved.oldest);
    while (t->proved.oldest)
        drop(t, t->proved.oldest);
    free(t->buckets);
    free(t);
}

/* Drops the stream that matters least, but not `keep`; false if there is none. */
static bool evict_one(sg_tcp *t, const sg_tcp_stream *keep)
{
    sg_tcp_stream *s = t->unproved.oldest;
    if (s && s == keep)
        s = s->idle.newer;
    if (!s)
        s = t->proved.oldest;
    if (s && s == keep)
        s = s->idle.newer;
    if (!s)
        return false;
    if (s->state != SG_TCP_CLOSED) {
        SG_COUNT(t->account.counts, TCP_EVICTED);
        if (s->proved && s->start < s->stop)
            SG_COUNT(t->account.counts, TCP_INCOMPLETE);
    }
    drop(t, s);
    return true;
}

static sg_tcp_stream *add_stream(sg_tcp *t, const sg_tcp_key *key, uint32_t next)
{
    if (t->unproved.count + t->proved.count >= t->options.streams_max)
        evict_one(t, NULL);
    sg_tcp_stream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->key = *key;
    s->next = next;
    *slot_of(t, key) = s;
    list_append(&t->unproved, s, false);
    return s;
}

static void make_key(sg_tcp_key *key, const sg_tcp_segment *segment)
{
    memset(key, 0, sizeof *key);
    memcpy(key->source, segment->source->address, 16);
    memcpy(key->destination, segment->destination->address, 16);
    key->source_port = segment->source->port;
    key->destination_port = segment->destination->port;
    key->family = segment->source->family;
}

/* ---- searching for the beginning of a message ---- */

/* Finds where a message begins in `data`: at *at.  False if nowhere; then *at is where an incomplete start
 * line may begin, or `size`. */
static bool search(const sg_tcp *t, const uint8_t *data, size_t size, size_t *at)
{
    size_t length, limit = t->options.message_max;
    *at = 0;
    if (t->options.hep && size >= 6 && sg_hep_frame(data, size, &length) >= 0)
        return true;
    while (*at < size) {
        const char *here = (const char *)data + *at;
        size_t left = size - *at;
        switch (sg_sip_frame_stream(here, left, limit, limit, &length)) {
        case SG_FRAME_COMPLETE:
            return true;
        case SG_FRAME_KEEP_ALIVE:
            *at += length;
            break;
        case SG_FRAME_INCOMPLETE:
            return memchr(here, '\n', left) != NULL;
        default:
            *at += sg_sip_frame_resync(here, left);
        }
    }
    return false;
}

/* ---- segments in ---- */

/* A segment of a stream that is not known: whether it begins one.  Part of a start line counts only at the
 * beginning of a segment: text of other protocols is full of possible beginnings. */
static bool begins_stream(sg_tcp *t, const sg_tcp_segment *segment, size_t *at)
{
    if (search(t, segment->data, segment->size, at))
        return true;
    return *at == 0 && segment->size > 0 && segment->size < START_LINE_MAX &&
           sg_sniff_sip(segment->data, segment->size) && segment->data[0] > ' ';
}

/* Cuts off what stands in the segment before the beginning of its stream. */
static void cut_front(sg_tcp_segment *segment, size_t count)
{
    segment->data += count;
    segment->size -= count;
    segment->sequence += (uint32_t)count;
}

static sg_tcp_stream *begin(sg_tcp *t, const sg_tcp_key *key, sg_tcp_segment *segment)
{
    size_t at = 0;
    if (segment->flags & SG_TCP_SYN)
        return add_stream(t, key, segment->sequence + 1);
    if (segment->size == 0)
        return NULL;
    if (!begins_stream(t, segment, &at)) {
        SG_COUNT(t->account.counts, TCP_NOT_SIP);
        return NULL;
    }
    SG_COUNT_ADD(t->account.counts, TCP_SKIPPED_BYTES, at);
    cut_front(segment, at);
    return add_stream(t, key, segment->sequence);
}

static void restart(sg_tcp *t, sg_tcp_stream *s, uint32_t next)
{
    if (s->start < s->stop && s->state == SG_TCP_FRAMED)
        SG_COUNT(t->account.counts, TCP_INCOMPLETE);
    sg_tcp_stream_restart(s, next, &t->account);
    note_gap(t, s, true);
}

/* A known stream, and a segment that opens it anew or lies far away: the same ports, another connection. */
static bool follow(sg_tcp *t, sg_tcp_stream *s, sg_tcp_segment *segment)
{
    size_t at;
    int32_t distance = sg_tcp_distance(segment->sequence, s->next);
    if (segment->flags & SG_TCP_SYN) {
        /* A repeated SYN stands right before what has been read. */
        if (distance >= 0 || distance < -WINDOW || (s->state == SG_TCP_CLOSED && distance != -1))
            restart(t, s, segment->sequence + 1);
        return true;
    }
    if (segment->size == 0)
        return true;
    bool far = distance > WINDOW || distance < -WINDOW;
    if (!far && (s->state != SG_TCP_CLOSED || distance + (int64_t)segment->size <= 0))
        return true;
    if (!begins_stream(t, segment, &at)) {
        if (far)
            SG_COUNT(t->account.counts, TCP_OUT_OF_WINDOW);
        else
            SG_COUNT(t->account.counts, TCP_NOT_SIP);
        return false;
    }
    cut_front(segment, at);
    restart(t, s, segment->sequence);
    return true;
}

static void count_segment(sg_tcp *t, const sg_tcp_stream *s, uint32_t sequence)
{
    int32_t distance = sg_tcp_distance(sequence, s->next);
    if (distance > 0)
        SG_COUNT(t->account.counts, TCP_REORDERED);
    else if (distance < 0)
        SG_COUNT(t->account.counts, TCP_REPEATED);
}

/* Room for a segment of `size` bytes, counted as what buffers that double may come to: other streams give way
 * first, then the segment is dropped. */
static bool make_room(sg_tcp *t, const sg_tcp_stream *s, size_t size)
{
    size_t need = SG_TCP_FIRST_CAPACITY + s->capacity + 2 * (s->early_bytes + size);
    while (t->account.bytes + need > t->options.bytes_max)
        if (!evict_one(t, s))
            return false;
    return true;
}

static void add_data(sg_tcp *t, sg_tcp_stream *s, const sg_tcp_segment *segment)
{
    uint32_t sequence = segment->sequence + (segment->flags & SG_TCP_SYN ? 1 : 0), before = s->next;
    if (segment->size > 0 && s->state == SG_TCP_CLOSED) {
        SG_COUNT(t->account.counts, TCP_REPEATED);
        return;
    }
    if (segment->size > 0) {
        count_segment(t, s, sequence);
        if (!make_room(t, s, segment->size) ||
            !sg_tcp_stream_add(s, sequence, segment->data, segment->size, &t->account))
            SG_COUNT(t->account.counts, TCP_SHED);
        if (s->early_bytes > t->options.message_max || s->early_count > EARLY_MAX) {
            sg_tcp_stream_give_up(s, &t->account);
            before = s->next - 1;
        }
    }
    if (segment->flags & SG_TCP_FIN) {
        s->has_end = true;
        s->end = sequence + (uint32_t)segment->size;
    }
    note_gap(t, s, s->next != before);
    s->ended = (s->has_end && sg_tcp_distance(s->next, s->end) >= 0) || (segment->flags & SG_TCP_RST);
}

void sg_tcp_add(sg_tcp *t, const sg_tcp_segment *given)
{
    sg_tcp_key key;
    sg_tcp_segment segment = *given;
    make_key(&key, &segment);
    t->now_us = segment.time_us;
    t->current = NULL;
    sg_tcp_stream *s = *slot_of(t, &key);
    if (!s)
        s = begin(t, &key, &segment);
    else if (!follow(t, s, &segment))
        return;
    if (!s)
        return;
    s->last_us = segment.time_us;
    t->pending = t->current = s;
    touch(t, s);
    add_data(t, s, &segment);
}

void sg_tcp_idle(sg_tcp *t, int64_t now_us)
{
    t->now_us = now_us;
    t->current = NULL;
}

void sg_tcp_finish(sg_tcp *t)
{
    t->finish = true;
    t->current = NULL;
}

void sg_tcp_held(const sg_tcp *t, uint64_t *streams, uint64_t *bytes)
{
    *streams = t->unproved.count + t->proved.count;
    *bytes = t->account.bytes;
}

/* ---- messages out ---- */

static void skip_bytes(sg_tcp *t, sg_tcp_stream *s, size_t count)
{
    s->start += count;
    s->skipped += count;
    SG_COUNT_ADD(t->account.counts, TCP_SKIPPED_BYTES, count);
}

/* Looks for the next start line; true if a message may stand at the start now. */
static bool resynchronise(sg_tcp *t, sg_tcp_stream *s)
{
    size_t at = 0;
    /* A segment often begins where a message begins, whatever stands before it. */
    if (s->fresh > s->start && s->fresh < s->stop && search(t, s->data + s->fresh, s->stop - s->fresh, &at) &&
        at == 0) {
        skip_bytes(t, s, s->fresh - s->start);
        s->state = SG_TCP_FRAMED;
        return true;
    }
    bool found = search(t, s->data + s->start, s->stop - s->start, &at);
    skip_bytes(t, s, at);
    if (found)
        s->state = SG_TCP_FRAMED;
    else if (s->stop - s->start > START_LINE_MAX)
        skip_bytes(t, s, s->stop - s->start);
    return found;
}

static void fill_message(sg_tcp *t, sg_tcp_stream *s, size_t length, bool hep, sg_tcp_message *m)
{
    memset(m, 0, sizeof *m);
    m->source.family = m->destination.family = s->key.family;
    memcpy(m->source.address, s->key.source, 16);
    memcpy(m->destination.address, s->key.destination, 16);
    m->source.port = s->key.source_port;
    m->destination.port = s->key.destination_port;
    m->time_us = s->last_us;
    m->data = s->data + s->start;
    m->size = length;
    m->hep = hep;
    m->of_current = t->current == s;
    m->whole = m->of_current && s->start == s->fresh && s->start + length == s->stop;
    s->start += length;
    s->need = s->skipped = 0;
    set_proved(t, s, true);
}

/* No message of SIP begins at the start of a framed stream: it must be searched. */
static void lose_frame(sg_tcp *t, sg_tcp_stream *s)
{
    size_t length, left = s->stop - s->start;
    const char *here = (const char *)s->data + s->start;
    if (sg_sip_frame_datagram(here, left, &length) == SG_FRAME_COMPLETE)
        SG_COUNT(t->account.counts, TCP_OVERSIZE);
    else
        SG_COUNT(t->account.counts, TCP_NOT_SIP);
    s->state = SG_TCP_SEARCHING;
    s->need = 0;
    skip_bytes(t, s, sg_sip_frame_resync(here, left));
    if (s->fresh < s->start)
        s->fresh = s->start;
}

/* A message at the start of a framed stream. */
static bool take_message(sg_tcp *t, sg_tcp_stream *s, sg_tcp_message *m)
{
    while (s->state == SG_TCP_FRAMED && s->stop - s->start > 0 && s->stop - s->start >= s->need) {
        size_t length, left = s->stop - s->start, limit = t->options.message_max;
        const uint8_t *here = s->data + s->start;
        int hep = t->options.hep ? sg_hep_frame(here, left, &length) : -1;
        if (hep > 0) {
            fill_message(t, s, length, true, m);
            return true;
        }
        sg_frame frame = hep == 0 && left >= 4
                             ? SG_FRAME_INCOMPLETE
                             : sg_sip_frame_stream((const char *)here, left, limit, limit, &length);
        if (frame == SG_FRAME_COMPLETE) {
            fill_message(t, s, length, false, m);
            return true;
        }
        if (frame == SG_FRAME_KEEP_ALIVE) {
            SG_COUNT(t->account.counts, KEEP_ALIVES);
            s->start += length;
        } else if (frame == SG_FRAME_NOT_SIP ||
                   (!s->proved && left > START_LINE_MAX && !memchr(here, '\n', START_LINE_MAX))) {
            lose_frame(t, s);
        } else {
            s->need = length;
        }
    }
    return false;
}

/* A stream has ended: it stays known without its bytes, so that what is sent again is recognised. */
static void end_stream(sg_tcp *t, sg_tcp_stream *s)
{
    uint32_t next = s->next;
    restart(t, s, next);
    s->state = SG_TCP_CLOSED;
    set_proved(t, s, false);
}

/* The stream has no more messages for now. */
static void settle(sg_tcp *t, sg_tcp_stream *s)
{
    if (s->ended) {
        end_stream(t, s);
    } else if (s->state == SG_TCP_SEARCHING && !s->proved && s->skipped > OTHER_TRAFFIC) {
        drop(t, s);
    } else if (s->start == s->stop && s->capacity > BUFFER_KEPT) {
        free(s->data);
        t->account.bytes -= s->capacity;
        s->data = NULL;
        s->capacity = s->start = s->stop = s->fresh = 0;
    }
}

/* A stream whose gap has been there too long: the gap is given up, and the stream may have messages. */
static sg_tcp_stream *next_overdue(sg_tcp *t)
{
    sg_tcp_stream *s = t->gaps.oldest;
    if (!s || (!t->finish && sg_subprocess(t->now_us, s->gap_us) <= t->options.gap_us))
        return NULL;
    sg_tcp_stream_give_up(s, &t->account);
    note_gap(t, s, true);
    s->ended = s->ended || (s->has_end && sg_tcp_distance(s->next, s->end) >= 0);
    return s;
}

static bool next_of(sg_tcp *t, sg_tcp_stream *s, sg_tcp_message *m)
{
    do {
        if (take_message(t, s, m))
            return true;
    } while (s->state == SG_TCP_SEARCHING && s->stop > s->start && resynchronise(t, s));
    return false;
}

bool sg_tcp_next(sg_tcp *t, sg_tcp_message *m)
{
    for (;;) {
        if (!t->pending && !(t->pending = next_overdue(t)))
            return false;
        if (next_of(t, t->pending, m))
            return true;
        sg_tcp_stream *s = t->pending;
        if (s->ended && s->early) { /* nothing will fill the gap */
            sg_tcp_stream_give_up(s, &t->account);
            note_gap(t, s, true);
            continue;
        }
        t->pending = NULL;
        settle(t, s);
    }
}
