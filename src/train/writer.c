#include "train/writer.h"

#include "base/files.h"
#include "base/memory.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { BEST = SG_WRITER_BEST, CHECKPOINT = SG_WRITER_CHECKPOINT, NOTHING = SG_WRITER_FILES };

struct sg_writer {
    const sg_optimizer_state *state;
    char checkpoint[SG_PATH_MAX], best[SG_PATH_MAX];
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows; held for copying at the most */
    pthread_cond_t changed;
    int job; /* under way */
    /* Copies: all but the weights is the run's. */
    sg_model saved;   /* a checkpoint */
    sg_model current; /* the best that is being written */
    sg_model waiting; /* the best that is to be written next */
    bool checkpoint_waits, best_waits;
    bool best_failed; /* the one that waits; it waits to be told */
    int64_t bests;    /* handed over so far: the number of the newest */
    int64_t writing;  /* number of the one in `current` */
    int64_t written;  /* of the one on the disk */
    int64_t needed;   /* of the one without which the checkpoint is not written */
    bool closing;
    sg_writer_news news[SG_WRITER_FILES];
};

/* ---- the writer's thread ---- */

static int next_job(const sg_writer *w)
{
    if (w->checkpoint_waits && w->written >= w->needed)
        return CHECKPOINT;
    return w->best_waits && !w->best_failed ? BEST : NOTHING;
}

static bool is_busy(const sg_writer *w)
{
    return w->job != NOTHING || next_job(w) != NOTHING;
}

static void swap_best(sg_writer *w)
{
    sg_model other = w->current;
    w->current = w->waiting;
    w->waiting = other;
}

static void start(sg_writer *w)
{
    w->job = next_job(w);
    if (w->job == CHECKPOINT) {
        w->checkpoint_waits = false;
        return;
    }
    swap_best(w);
    w->best_waits = false;
    w->writing = w->bests;
}

/* A best that failed waits again, unless a newer one does; a checkpoint that needs it does not come about. */
static void keep_failed_best(sg_writer *w)
{
    if (w->best_waits)
        return;
    swap_best(w);
    w->best_waits = w->best_failed = true;
    w->checkpoint_waits = false;
}

static void finish(sg_writer *w, sg_status status)
{
    sg_writer_news *news = &w->news[w->job];
    if (status != SG_OK) {
        news->status = status;
        snprintf(news->text, sizeof news->text, "%s", sg_error_text());
        if (w->job == BEST)
            keep_failed_best(w);
    } else {
        news->written++;
        news->status = SG_OK;
        news->text[0] = '\0';
        if (w->job == BEST)
            w->written = w->writing;
    }
    w->job = NOTHING;
    pthread_cond_broadcast(&w->changed);
}

static void *write_files(void *context)
{
    sg_writer *w = context;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (next_job(w) == NOTHING && !w->closing)
            pthread_cond_wait(&w->changed, &w->lock);
        if (next_job(w) == NOTHING)
            break;
        start(w);
        bool whole = w->job == CHECKPOINT;
        pthread_mutex_unlock(&w->lock);
        sg_status status = whole ? sg_model_write(&w->saved, w->state, w->checkpoint)
                                 : sg_model_write(&w->current, NULL, w->best);
        pthread_mutex_lock(&w->lock);
        finish(w, status);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ---- opening and closing ---- */

/* Signals are for the threads of the program. */
static sg_status start_thread(sg_writer *w)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&w->thread, NULL, write_files, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? sg_fail(SG_E_IO, "cannot start a thread to write files: %s", strerror(failed)) : SG_OK;
}

static void release(sg_writer *w)
{
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    sg_params_free(&w->saved.params);
    sg_params_free(&w->current.params);
    sg_params_free(&w->waiting.params);
    free(w);
}

sg_status sg_writer_open(sg_writer **writer, const sg_model *model, const sg_optimizer_state *state,
                         const char *checkpoint, const char *best)
{
    sg_writer *w;
    *writer = NULL;
    SG_TRY(sg_alloc(&w, 1, "writer"));
    w->job = NOTHING;
    w->state = state;
    snprintf(w->checkpoint, sizeof w->checkpoint, "%s", checkpoint);
    snprintf(w->best, sizeof w->best, "%s", best ? best : "");
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    sg_status status = sg_params_alloc(&w->saved.params, &model->spec);
    if (status == SG_OK && best)
        status = sg_params_alloc(&w->current.params, &model->spec);
    if (status == SG_OK && best)
        status = sg_params_alloc(&w->waiting.params, &model->spec);
    if (status == SG_OK)
        status = start_thread(w);
    if (status != SG_OK) {
        release(w);
        return status;
    }
    *writer = w;
    return SG_OK;
}

void sg_writer_close(sg_writer *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    release(w);
}

/* ---- handing over ---- */

/* Everything of `from` into `to`, which keeps its place for weights. */
static void copy_model(sg_model *to, const sg_model *from)
{
    sg_params params = to->params;
    *to = *from;
    to->params = params;
    memcpy(params.data, from->params.data, params.layout.count * sizeof *params.data);
}

bool sg_writer_takes_checkpoint(sg_writer *w)
{
    pthread_mutex_lock(&w->lock);
    bool takes = !w->checkpoint_waits && w->job != CHECKPOINT;
    pthread_mutex_unlock(&w->lock);
    return takes;
}

void sg_writer_checkpoint(sg_writer *w, const sg_model *model)
{
    pthread_mutex_lock(&w->lock);
    copy_model(&w->saved, model);
    w->checkpoint_waits = true;
    w->needed = w->bests;
    w->best_failed = false;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

void sg_writer_best(sg_writer *w, const sg_model *model)
{
    pthread_mutex_lock(&w->lock);
    copy_model(&w->waiting, model);
    w->best_waits = true;
    w->best_failed = false;
    w->bests++;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

void sg_writer_retry(sg_writer *w)
{
    pthread_mutex_lock(&w->lock);
    w->best_failed = false;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

bool sg_writer_has_written_best(sg_writer *w)
{
    pthread_mutex_lock(&w->lock);
    bool has = w->written == w->bests;
    pthread_mutex_unlock(&w->lock);
    return has;
}

void sg_writer_drain(sg_writer *w)
{
    pthread_mutex_lock(&w->lock);
    while (is_busy(w))
        pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

void sg_writer_get_news(sg_writer *w, sg_writer_file file, sg_writer_news *news)
{
    pthread_mutex_lock(&w->lock);
    *news = w->news[file];
    w->news[file] = (sg_writer_news){0};
    pthread_mutex_unlock(&w->lock);
}
