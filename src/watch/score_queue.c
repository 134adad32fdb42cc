#include "watch/score_queue.h"

#include "base/log.h"
#include "base/memory.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A first-in, first-out ring. */
typedef struct {
    sg_score_request *slot;
    int size, first, count;
} ring;

struct sg_score_queue {
    sg_detector *detector;
    int batch;
    bool live, stop, thread_runs;
    bool withdrawn; /* what waits is being taken out: no more batches */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    ring waiting, done;
    int running; /* queue in the batch being scored */
    sg_score_request *taken;
    sg_dialog_types *dialogs; /* [batch] */
    sg_verdict *verdicts;
    sg_status status;
    char error[512];
    sg_score_queue_counts counts;
};

void sg_score_request_free(sg_score_request *c)
{
    free(c->call_id);
    free(c->types);
    sg_pending_free(&c->pending);
    *c = (sg_score_request){0};
}

/* ---- rings ---- */

static void push(ring *r, const sg_score_request *c)
{
    r->slot[(r->first + r->count++) % r->size] = *c;
}

static sg_score_request pop(ring *r)
{
    sg_score_request c = r->slot[r->first];
    r->first = (r->first + 1) % r->size;
    r->count--;
    return c;
}

static void free_ring(ring *r)
{
    while (r->count > 0) {
        sg_score_request c = pop(r);
        sg_score_request_free(&c);
    }
    free(r->slot);
}

/* ---- scoring ---- */

/* Takes up to a batch of what waits; the lock is held. */
static int take_batch(sg_score_queue *queue)
{
    int count = queue->waiting.count < queue->batch ? queue->waiting.count : queue->batch;
    for (int i = 0; i < count; i++)
        queue->taken[i] = pop(&queue->waiting);
    queue->running = count;
    return count;
}

/* Scores what was taken; without the lock. */
static sg_status score_taken(sg_score_queue *queue, int count, double *seconds)
{
    double start = sg_seconds();
    for (int i = 0; i < count; i++)
        queue->dialogs[i] = (sg_dialog_types){queue->taken[i].types, queue->taken[i].length};
    sg_status status = sg_detector_judge(queue->detector, queue->dialogs, count, queue->verdicts);
    *seconds = sg_seconds() - start;
    return status;
}

/* Hands scored queue back, or drops them after a failure; the lock is held. */
static void give_back(sg_score_queue *queue, int count, sg_status status, double seconds)
{
    if (status != SG_OK && queue->status == SG_OK) {
        queue->status = status;
        snprintf(queue->error, sizeof queue->error, "%s", sg_error_text());
    }
    for (int i = 0; i < count; i++) {
        sg_score_request *c = &queue->taken[i];
        c->verdict = queue->verdicts[i];
        if (status != SG_OK || queue->done.count == queue->done.size)
            sg_score_request_free(c);
        else
            push(&queue->done, c);
    }
    queue->counts.scored += status == SG_OK ? (uint64_t)count : 0;
    queue->counts.batches++;
    queue->counts.seconds += seconds;
    queue->running = 0;
}

static void *work(void *context)
{
    sg_score_queue *queue = context;
    pthread_mutex_lock(&queue->lock);
    while (!queue->stop) {
        bool room = queue->done.count + queue->batch <= queue->done.size;
        int count = room && !queue->withdrawn ? take_batch(queue) : 0;
        if (count == 0) {
            pthread_cond_broadcast(&queue->idle);
            pthread_cond_wait(&queue->work, &queue->lock);
            continue;
        }
        double seconds;
        pthread_mutex_unlock(&queue->lock);
        sg_status status = score_taken(queue, count, &seconds);
        pthread_mutex_lock(&queue->lock);
        give_back(queue, count, status, seconds);
    }
    pthread_mutex_unlock(&queue->lock);
    return NULL;
}

static sg_status score_here(sg_score_queue *queue)
{
    double seconds;
    int count = take_batch(queue);
    if (count == 0)
        return SG_OK;
    sg_status status = score_taken(queue, count, &seconds);
    give_back(queue, count, status, seconds);
    return status;
}

/* ---- opening ---- */

static sg_status open_ring(ring *r, int size)
{
    r->size = size;
    return sg_alloc(&r->slot, size, "queue");
}

static sg_status open_parts(sg_score_queue *queue, int waiting_max)
{
    int64_t batch = queue->batch;
    SG_TRY(open_ring(&queue->waiting, waiting_max > queue->batch ? waiting_max : queue->batch));
    SG_TRY(open_ring(&queue->done, queue->waiting.size + queue->batch));
    SG_TRY(sg_alloc(&queue->taken, batch, "queue"));
    SG_TRY(sg_alloc(&queue->dialogs, batch, "queue"));
    SG_TRY(sg_alloc(&queue->verdicts, batch, "queue"));
    if (!queue->live)
        return SG_OK;
    if (pthread_create(&queue->thread, NULL, work, queue) != 0)
        return sg_fail(SG_E_MEMORY, "cannot start a thread");
    queue->thread_runs = true;
    return SG_OK;
}

sg_status sg_score_queue_open(sg_score_queue **out, sg_detector *detector, int batch, int waiting_max,
                              bool live)
{
    sg_score_queue *queue;
    *out = NULL;
    SG_TRY(sg_alloc(&queue, 1, "queue"));
    queue->detector = detector;
    queue->batch = batch;
    queue->live = live;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->work, NULL);
    pthread_cond_init(&queue->idle, NULL);
    sg_status status = open_parts(queue, waiting_max);
    if (status != SG_OK)
        sg_score_queue_close(queue);
    else
        *out = queue;
    return status;
}

void sg_score_queue_close(sg_score_queue *queue)
{
    if (!queue)
        return;
    if (queue->thread_runs) {
        pthread_mutex_lock(&queue->lock);
        queue->stop = true;
        pthread_cond_signal(&queue->work);
        pthread_mutex_unlock(&queue->lock);
        pthread_join(queue->thread, NULL);
    }
    free_ring(&queue->waiting);
    free_ring(&queue->done);
    free(queue->taken);
    free(queue->dialogs);
    free(queue->verdicts);
    pthread_cond_destroy(&queue->work);
    pthread_cond_destroy(&queue->idle);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

/* ---- in and out ---- */

sg_status sg_score_queue_add(sg_score_queue *queue, sg_score_request *c)
{
    sg_score_request oldest = {0};
    pthread_mutex_lock(&queue->lock);
    if (queue->waiting.count == queue->waiting.size) {
        oldest = pop(&queue->waiting);
        queue->counts.shed++;
    }
    push(&queue->waiting, c);
    *c = oldest;
    bool full = queue->waiting.count >= queue->batch;
    if (queue->live)
        pthread_cond_signal(&queue->work);
    pthread_mutex_unlock(&queue->lock);
    return !queue->live && full ? score_here(queue) : SG_OK;
}

bool sg_score_queue_next(sg_score_queue *queue, sg_score_request *c)
{
    pthread_mutex_lock(&queue->lock);
    bool any = queue->done.count > 0;
    if (any)
        *c = pop(&queue->done);
    if (queue->live)
        pthread_cond_signal(&queue->work); /* there is room again */
    pthread_mutex_unlock(&queue->lock);
    return any;
}

bool sg_score_queue_withdraw(sg_score_queue *queue, sg_score_request *c)
{
    pthread_mutex_lock(&queue->lock);
    bool any = queue->waiting.count > 0;
    queue->withdrawn = true;
    if (any)
        *c = pop(&queue->waiting);
    pthread_mutex_unlock(&queue->lock);
    return any;
}

sg_status sg_score_queue_finish(sg_score_queue *queue)
{
    if (!queue->live) {
        while (queue->waiting.count > 0)
            SG_TRY(score_here(queue));
        return SG_OK;
    }
    pthread_mutex_lock(&queue->lock);
    while ((queue->waiting.count > 0 && !queue->withdrawn &&
            queue->done.count + queue->batch <= queue->done.size) ||
           queue->running > 0)
        pthread_cond_wait(&queue->idle, &queue->lock);
    pthread_mutex_unlock(&queue->lock);
    return sg_score_queue_check(queue);
}

sg_status sg_score_queue_check(sg_score_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    sg_status status = queue->status == SG_OK ? SG_OK : sg_fail(queue->status, "%s", queue->error);
    pthread_mutex_unlock(&queue->lock);
    return status;
}

void sg_score_queue_counts_now(sg_score_queue *queue, sg_score_queue_counts *counts)
{
    pthread_mutex_lock(&queue->lock);
    *counts = queue->counts;
    counts->waiting = (uint64_t)(queue->waiting.count + queue->running);
    pthread_mutex_unlock(&queue->lock);
}
