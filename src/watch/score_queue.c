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
    int running; /* cases in the batch being scored */
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
    sg_pending_free(&c->kept);
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
static int take_batch(sg_score_queue *cases)
{
    int count = cases->waiting.count < cases->batch ? cases->waiting.count : cases->batch;
    for (int i = 0; i < count; i++)
        cases->taken[i] = pop(&cases->waiting);
    cases->running = count;
    return count;
}

/* Scores what was taken; without the lock. */
static sg_status score_taken(sg_score_queue *cases, int count, double *seconds)
{
    double start = sg_seconds();
    for (int i = 0; i < count; i++)
        cases->dialogs[i] = (sg_dialog_types){cases->taken[i].types, cases->taken[i].length};
    sg_status status = sg_detector_judge(cases->detector, cases->dialogs, count, cases->verdicts);
    *seconds = sg_seconds() - start;
    return status;
}

/* Hands scored cases back, or drops them after a failure; the lock is held. */
static void give_back(sg_score_queue *cases, int count, sg_status status, double seconds)
{
    if (status != SG_OK && cases->status == SG_OK) {
        cases->status = status;
        snprintf(cases->error, sizeof cases->error, "%s", sg_error_text());
    }
    for (int i = 0; i < count; i++) {
        sg_score_request *c = &cases->taken[i];
        c->verdict = cases->verdicts[i];
        if (status != SG_OK || cases->done.count == cases->done.size)
            sg_score_request_free(c);
        else
            push(&cases->done, c);
    }
    cases->counts.scored += status == SG_OK ? (uint64_t)count : 0;
    cases->counts.batches++;
    cases->counts.seconds += seconds;
    cases->running = 0;
}

static void *work(void *context)
{
    sg_score_queue *cases = context;
    pthread_mutex_lock(&cases->lock);
    while (!cases->stop) {
        bool room = cases->done.count + cases->batch <= cases->done.size;
        int count = room && !cases->withdrawn ? take_batch(cases) : 0;
        if (count == 0) {
            pthread_cond_broadcast(&cases->idle);
            pthread_cond_wait(&cases->work, &cases->lock);
            continue;
        }
        double seconds;
        pthread_mutex_unlock(&cases->lock);
        sg_status status = score_taken(cases, count, &seconds);
        pthread_mutex_lock(&cases->lock);
        give_back(cases, count, status, seconds);
    }
    pthread_mutex_unlock(&cases->lock);
    return NULL;
}

static sg_status score_here(sg_score_queue *cases)
{
    double seconds;
    int count = take_batch(cases);
    if (count == 0)
        return SG_OK;
    sg_status status = score_taken(cases, count, &seconds);
    give_back(cases, count, status, seconds);
    return status;
}

/* ---- opening ---- */

static sg_status open_ring(ring *r, int size)
{
    r->size = size;
    return sg_alloc(&r->slot, size, "queue");
}

static sg_status open_parts(sg_score_queue *cases, int queue)
{
    int64_t batch = cases->batch;
    SG_TRY(open_ring(&cases->waiting, queue > cases->batch ? queue : cases->batch));
    SG_TRY(open_ring(&cases->done, cases->waiting.size + cases->batch));
    SG_TRY(sg_alloc(&cases->taken, batch, "queue"));
    SG_TRY(sg_alloc(&cases->dialogs, batch, "queue"));
    SG_TRY(sg_alloc(&cases->verdicts, batch, "queue"));
    if (!cases->live)
        return SG_OK;
    if (pthread_create(&cases->thread, NULL, work, cases) != 0)
        return sg_fail(SG_E_MEMORY, "cannot start a thread");
    cases->thread_runs = true;
    return SG_OK;
}

sg_status sg_score_queue_open(sg_score_queue **out, sg_detector *detector, int batch, int queue, bool live)
{
    sg_score_queue *cases;
    *out = NULL;
    SG_TRY(sg_alloc(&cases, 1, "queue"));
    cases->detector = detector;
    cases->batch = batch;
    cases->live = live;
    pthread_mutex_init(&cases->lock, NULL);
    pthread_cond_init(&cases->work, NULL);
    pthread_cond_init(&cases->idle, NULL);
    sg_status status = open_parts(cases, queue);
    if (status != SG_OK)
        sg_score_queue_close(cases);
    else
        *out = cases;
    return status;
}

void sg_score_queue_close(sg_score_queue *cases)
{
    if (!cases)
        return;
    if (cases->thread_runs) {
        pthread_mutex_lock(&cases->lock);
        cases->stop = true;
        pthread_cond_signal(&cases->work);
        pthread_mutex_unlock(&cases->lock);
        pthread_join(cases->thread, NULL);
    }
    free_ring(&cases->waiting);
    free_ring(&cases->done);
    free(cases->taken);
    free(cases->dialogs);
    free(cases->verdicts);
    pthread_cond_destroy(&cases->work);
    pthread_cond_destroy(&cases->idle);
    pthread_mutex_destroy(&cases->lock);
    free(cases);
}

/* ---- in and out ---- */

sg_status sg_score_queue_add(sg_score_queue *cases, sg_score_request *c)
{
    sg_score_request oldest = {0};
    pthread_mutex_lock(&cases->lock);
    if (cases->waiting.count == cases->waiting.size) {
        oldest = pop(&cases->waiting);
        cases->counts.shed++;
    }
    push(&cases->waiting, c);
    *c = oldest;
    bool full = cases->waiting.count >= cases->batch;
    if (cases->live)
        pthread_cond_signal(&cases->work);
    pthread_mutex_unlock(&cases->lock);
    return !cases->live && full ? score_here(cases) : SG_OK;
}

bool sg_score_queue_next(sg_score_queue *cases, sg_score_request *c)
{
    pthread_mutex_lock(&cases->lock);
    bool any = cases->done.count > 0;
    if (any)
        *c = pop(&cases->done);
    if (cases->live)
        pthread_cond_signal(&cases->work); /* there is room again */
    pthread_mutex_unlock(&cases->lock);
    return any;
}

bool sg_score_queue_withdraw(sg_score_queue *cases, sg_score_request *c)
{
    pthread_mutex_lock(&cases->lock);
    bool any = cases->waiting.count > 0;
    cases->withdrawn = true;
    if (any)
        *c = pop(&cases->waiting);
    pthread_mutex_unlock(&cases->lock);
    return any;
}

sg_status sg_score_queue_finish(sg_score_queue *cases)
{
    if (!cases->live) {
        while (cases->waiting.count > 0)
            SG_TRY(score_here(cases));
        return SG_OK;
    }
    pthread_mutex_lock(&cases->lock);
    while ((cases->waiting.count > 0 && !cases->withdrawn &&
            cases->done.count + cases->batch <= cases->done.size) ||
           cases->running > 0)
        pthread_cond_wait(&cases->idle, &cases->lock);
    pthread_mutex_unlock(&cases->lock);
    return sg_score_queue_check(cases);
}

sg_status sg_score_queue_check(sg_score_queue *cases)
{
    pthread_mutex_lock(&cases->lock);
    sg_status status = cases->status == SG_OK ? SG_OK : sg_fail(cases->status, "%s", cases->error);
    pthread_mutex_unlock(&cases->lock);
    return status;
}

void sg_score_queue_counts_now(sg_score_queue *cases, sg_score_queue_counts *counts)
{
    pthread_mutex_lock(&cases->lock);
    *counts = cases->counts;
    counts->waiting = (uint64_t)(cases->waiting.count + cases->running);
    pthread_mutex_unlock(&cases->lock);
}
