#include "experiment/runner.h"

#include "base/log.h"
#include "base/memory.h"
#include "experiment/report.h"
#include "experiment/whole_run.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POLL_NANOSECONDS 200000000L

typedef enum { WAITING, RUNNING, DONE, FAILED } run_state;

typedef struct {
    run_state state;
    bool reported;               /* a failure, to the user */
    sg_training_progress epochs; /* written by the thread that trains */
    sg_status status;
    char error[512];
} progress;

typedef struct {
    sg_experiment *experiment;
    const sg_runner_options *options;
    pthread_mutex_t lock; /* over the states, errors and the two below */
    progress *run;        /* [experiment->count] */
    int working;          /* threads that are not done */
    sg_status broken;     /* a log cannot be written: everything stops */
    char broken_text[512];
    double start;
} runner;

/* ---- settings ---- */

static int runs_at_once(const sg_experiment *e)
{
    int missing = 0;
    for (int i = 0; i < e->count; i++)
        missing += !e->run[i].complete;
    return missing > 0 && e->config->jobs > missing ? missing : (int)e->config->jobs;
}

/* The settings of a model's runs, except the seed: threads as requested, or a share of the cores. */
static sg_config run_settings(const sg_experiment *e, int model, int at_once)
{
    cpu_set_t set;
    sg_config config = e->model_config[model];
    if (config.threads == 0 && at_once > 1) {
        const int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
        config.threads = cores > at_once ? cores / at_once : 1;
    }
    return config;
}

sg_status sg_experiment_write_settings(const sg_experiment *e, bool all)
{
    for (int m = 0; m < e->models; m++) {
        if (!all && sg_experiment_complete(e, m) == 0)
            continue;
        const sg_config config = run_settings(e, m, runs_at_once(e));
        sg_atomic_file file;
        FILE *out;
        SG_TRY(sg_text_open(&file, &out, e->model_ini[m]));
        sg_options_write_ini(sg_config_table, &config, out, false);
        SG_TRY(sg_text_finish(&file, out, SG_OK));
    }
    return SG_OK;
}

/* ---- the threads ---- */

static sg_status train_run(runner *r, int number, int at_once, FILE *log)
{
    const sg_experiment_run *run = &r->experiment->run[number];
    sg_config config = run_settings(r->experiment, run->model, at_once);
    sg_run_outcome outcome;
    config.seed = run->seed;
    const sg_whole_run whole = {.training = {.config = &config,
                                             .corpus = r->options->corpus,
                                             .folder = run->folder,
                                             .resume = !run->anew,
                                             .stop = r->options->stop,
                                             .progress = &r->run[number].epochs},
                                .force = run->anew,
                                .command = "experiment",
                                .argc = r->options->argc,
                                .argv = r->options->argv};
    SG_TRY(sg_whole_run_train(&whole, &outcome));
    return outcome.was_complete ? SG_OK : sg_report_evaluation(outcome.evaluation, 7u, log);
}

/* Trains one run with log.txt as its terminal. *broken: there is no log. */
static sg_status train_logged(runner *r, int number, int at_once, bool *broken)
{
    const char *folder = r->experiment->run[number].folder;
    char path[SG_PATH_MAX];
    *broken = true;
    SG_TRY(sg_folder_make(folder));
    SG_TRY(sg_path_join(path, folder, "log.txt"));
    FILE *log = fopen(path, "ae");
    if (!log)
        return sg_fail(SG_E_IO, "cannot write %s: %s", path, strerror(errno));
    *broken = false;
    sg_log_set_sink(log);
    sg_status status = train_run(r, number, at_once, log);
    if (status != SG_OK)
        sg_log_error();
    sg_log_set_sink(NULL);
    const bool written = !ferror(log);
    if ((fclose(log) != 0 || !written) && status == SG_OK)
        status = sg_fail(SG_E_IO, "cannot write %s", path);
    return status;
}

/* The next run that waits, which now runs; -1 if there is none. */
static int take_run(runner *r)
{
    int number = -1;
    pthread_mutex_lock(&r->lock);
    for (int i = 0; i < r->experiment->count && number < 0 && r->broken == SG_OK && !*r->options->stop; i++)
        if (r->run[i].state == WAITING)
            number = i;
    if (number >= 0)
        r->run[number].state = RUNNING;
    pthread_mutex_unlock(&r->lock);
    return number;
}

static void end_run(runner *r, int number, sg_status status, bool broken)
{
    progress *p = &r->run[number];
    pthread_mutex_lock(&r->lock);
    p->state = status == SG_OK ? DONE : FAILED;
    p->status = status;
    if (status != SG_OK)
        snprintf(p->error, sizeof p->error, "%s", sg_error_text());
    if (broken && r->broken == SG_OK) {
        r->broken = status;
        snprintf(r->broken_text, sizeof r->broken_text, "%s", sg_error_text());
        if (!*r->options->stop)
            *r->options->stop = SIGTERM;
    }
    pthread_mutex_unlock(&r->lock);
}

static void *work(void *argument)
{
    runner *r = argument;
    const int at_once = runs_at_once(r->experiment);
    for (int number = take_run(r); number >= 0; number = take_run(r)) {
        bool broken;
        const sg_status status = train_logged(r, number, at_once, &broken);
        end_run(r, number, status, broken);
    }
    pthread_mutex_lock(&r->lock);
    r->working--;
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* ---- what the user sees ---- */

/* A run that was asked to stop has not failed. */
static void report_failures(runner *r)
{
    for (int i = 0; i < r->experiment->count; i++) {
        if (r->run[i].state != FAILED || r->run[i].reported || *r->options->stop)
            continue;
        r->run[i].reported = true;
        sg_warn("%s: %s", r->experiment->run[i].folder, r->run[i].error);
    }
}

/* "2 of 40 runs done, 2 running (model1.0_seed3 at epoch 120), 4.1%, 3 h 10 min left" */
static void show_progress(const runner *r)
{
    const sg_experiment *e = r->experiment;
    const int64_t epochs = e->config->epochs;
    int number[FAILED + 1] = {0}, shown = -1;
    int64_t now = 0, before = 0;
    for (int i = 0; i < e->count; i++) {
        const progress *p = &r->run[i];
        number[p->state]++;
        if (p->state == FAILED)
            continue;
        now += p->state == DONE ? epochs : p->epochs.done;
        before += e->run[i].complete ? epochs : p->epochs.before;
        if (p->state == RUNNING && shown < 0)
            shown = i;
    }
    if (shown < 0)
        return;
    const int64_t all = epochs * (e->count - number[FAILED]);
    char left[32] = "?", failed[32] = "";
    if (now > before)
        sg_duration_text((sg_seconds() - r->start) / (double)(now - before) * (double)(all - now), left);
    if (number[FAILED])
        snprintf(failed, sizeof failed, ", %d failed", number[FAILED]);
    sg_progress(false, "%d of %d runs done%s, %d running (%s at epoch %lld), %.1f%%, %s left", number[DONE],
                e->count, failed, number[RUNNING], e->run[shown].name, (long long)r->run[shown].epochs.done,
                100.0 * (double)now / (double)all, left);
}

/* Waits until all threads are done. */
static void watch(runner *r)
{
    for (bool working = true; working;) {
        pthread_mutex_lock(&r->lock);
        working = r->working > 0;
        report_failures(r);
        show_progress(r);
        pthread_mutex_unlock(&r->lock);
        if (working)
            nanosleep(&(struct timespec){0, POLL_NANOSECONDS}, NULL);
    }
    sg_progress_end();
}

/* ---- the whole ---- */

/* "cpu", or "cuda:0 (what it is)".  Opens a tiny network, to detect anything that would keep all runs from
 * starting. */
static sg_status name_device(const sg_config *config, char text[512])
{
    const sg_spec tiny = {.message_types = 1, .max_length = 1, .units = 1, .classes = 3, .layers = 1};
    sg_engine_options options;
    sg_engine *engine;
    SG_TRY(sg_config_engine(config, &options));
    SG_TRY(sg_engine_open(&engine, &tiny, &options));
    const char *name = sg_engine_device_name(engine), *details = strstr(sg_engine_description(engine), ", ");
    if (strcmp(name, "cpu") == 0 || !details)
        snprintf(text, 512, "%s", name);
    else
        snprintf(text, 512, "%s (%s)", name, details + 2);
    sg_engine_close(engine);
    return SG_OK;
}

static sg_status conclude(const runner *r)
{
    const sg_experiment *e = r->experiment;
    const char *reason = NULL;
    bool any = false;
    for (int i = 0; i < e->count; i++) {
        e->run[i].complete = r->run[i].state == DONE;
        any |= e->run[i].complete;
        if (!reason && r->run[i].state == FAILED)
            reason = r->run[i].error;
    }
    if (r->broken != SG_OK)
        return sg_fail(r->broken, "%s", r->broken_text);
    if (*r->options->stop)
        return sg_fail(SG_E_INTERRUPTED,
                       "interrupted; the runs have saved their checkpoints: the same command continues them");
    return any ? SG_OK : sg_fail(SG_E_CONFIG, "all %d runs failed: %s", e->count, reason);
}

static sg_status run_threads(runner *r, int at_once)
{
    pthread_t *thread;
    int started = 0, error = 0;
    SG_TRY(sg_alloc(&thread, at_once, "threads"));
    r->working = at_once;
    while (started < at_once && error == 0) {
        error = pthread_create(&thread[started], NULL, work, r);
        started += error == 0;
    }
    if (error) {
        pthread_mutex_lock(&r->lock);
        r->working -= at_once - started;
        r->broken = SG_E_IO;
        snprintf(r->broken_text, sizeof r->broken_text, "cannot start a thread: %s", strerror(error));
        *r->options->stop = SIGTERM;
        pthread_mutex_unlock(&r->lock);
    }
    watch(r);
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    free(thread);
    return conclude(r);
}

sg_status sg_experiment_train(sg_experiment *e, const sg_runner_options *options)
{
    char device[512];
    const int at_once = runs_at_once(e);
    int missing = 0;
    for (int i = 0; i < e->count; i++)
        missing += !e->run[i].complete;
    if (missing > 0 && e->frozen.runs)
        return sg_fail(SG_E_CONFIG,
                       "%s holds frozen results, which no run can join; choose another folder with --out",
                       e->folder);
    SG_TRY(sg_experiment_write_settings(e, true));
    if (missing == 0)
        return SG_OK;
    SG_TRY(name_device(e->config, device));
    sg_note("%d of %d runs to train, %d at a time, on %s, in %s", missing, e->count, at_once, device,
            e->folder);
    runner r = {
        .experiment = e, .options = options, .start = sg_seconds(), .lock = PTHREAD_MUTEX_INITIALIZER};
    SG_TRY(sg_alloc(&r.run, e->count, "runs"));
    for (int i = 0; i < e->count; i++)
        r.run[i].state = e->run[i].complete ? DONE : WAITING;
    sg_status status = run_threads(&r, at_once);
    free(r.run);
    return status;
}
