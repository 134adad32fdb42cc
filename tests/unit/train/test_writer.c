/* The writer: nothing newer is lost, nothing is written in the wrong order, and training never waits for it.
 */
#include "base/files.h"
#include "corpus/synth.h"
#include "testing.h"
#include "train/trainer.h"
#include "train/writer.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

enum { RUNS = 10, EPOCHS = 4, DEADLINE_S = 240 };

static sg_corpus corpus;
static sg_config config;
static char folder[128];

static int set_up(void **state)
{
    (void)state;
    sg_synth_options synth;
    sg_synth_report report;
    assert_ok(sg_synth_preset_options(&synth, SG_SYNTH_SMALL));
    assert_ok(sg_synth_resolve(&synth, SG_SYNTH_SMALL));
    assert_ok(sg_synth_corpus(&corpus, &synth, 1, &report));
    assert_ok(sg_config_defaults(&config));
    const char *device = getenv("SIPGPU_TEST_DEVICE"); /* as --device takes it */
    snprintf(config.device, sizeof config.device, "%s", device ? device : "cpu");
    config.units = 12;
    config.batch_size = 190;
    config.epochs = EPOCHS;
    config.eval_every = 1;
    config.threads = 1;
    make_test_folder(folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    sg_corpus_free(&corpus);
    return system(command);
}

/* ---- the writer by itself ---- */

typedef struct {
    sg_model model;
    sg_optimizer_state state;
    sg_writer *writer;
    char checkpoint[SG_PATH_MAX], best[SG_PATH_MAX];
} desk;

static void open_desk(desk *d, const char *best_folder)
{
    sg_spec spec;
    char best[SG_PATH_MAX];
    *d = (desk){.writer = NULL};
    assert_ok(sg_config_spec(&config, &corpus, &spec));
    assert_ok(sg_model_make(&d->model, &spec, &corpus));
    d->model.config = strdup("");
    assert_ok(sg_params_alloc(&d->state.m, &spec));
    assert_ok(sg_params_alloc(&d->state.v, &spec));
    assert_ok(sg_path_join(d->checkpoint, folder, "checkpoint.h5"));
    assert_ok(sg_path_join(best, folder, best_folder));
    assert_ok(sg_path_join(d->best, best, "best.h5"));
    assert_ok(sg_writer_open(&d->writer, &d->model, &d->state, d->checkpoint, d->best));
}

static void close_desk(desk *d)
{
    sg_writer_close(d->writer);
    sg_optimizer_state_free(&d->state);
    sg_model_free(&d->model);
}

/* The model after `update` updates: all of it says so. */
static void advance(desk *d, int64_t update)
{
    d->model.update = update;
    for (size_t i = 0; i < d->model.params.layout.count; i++)
        d->model.params.data[i] = (float)update;
}

static void assert_file(const char *path, int64_t update)
{
    sg_model m;
    bool digest = false;
    assert_ok(sg_model_read_digest(&m, path, &digest));
    assert_true(digest);
    assert_int_equal(m.update, update);
    for (int t = 0; t < m.params.layout.tensors; t++)
        assert_true(sg_params_at(&m.params, t)[0] == (float)update);
    sg_model_free(&m);
}

static void assert_news(desk *d, sg_writer_file file, int written, sg_status status)
{
    sg_writer_news news;
    sg_writer_get_news(d->writer, file, &news);
    assert_int_equal(news.written, written);
    assert_int_equal(news.status, status);
    assert_int_equal(news.text[0] != '\0', status != SG_OK);
}

static void writes_copies(void **state)
{
    (void)state;
    desk d;
    open_desk(&d, ".");
    for (int64_t update = 1; update <= 3; update++) {
        advance(&d, update);
        assert_true(sg_writer_takes_checkpoint(d.writer));
        sg_writer_checkpoint(d.writer, &d.model);
        advance(&d, -1);
        sg_writer_drain(d.writer);
        assert_file(d.checkpoint, update);
    }
    assert_news(&d, SG_WRITER_CHECKPOINT, 3, SG_OK);
    assert_news(&d, SG_WRITER_CHECKPOINT, 0, SG_OK);
    assert_news(&d, SG_WRITER_BEST, 0, SG_OK);
    assert_false(sg_path_exists(d.best));
    close_desk(&d);
}

/* While a write cannot get on: the newest best of many is what comes out, and the checkpoint after it. */
static void keeps_the_newest_best(void **state)
{
    (void)state;
    desk d;
    open_desk(&d, ".");
    sg_h5_lock();
    for (int64_t update = 1; update <= 5; update++) {
        advance(&d, update);
        sg_writer_best(d.writer, &d.model);
    }
    assert_true(sg_writer_takes_checkpoint(d.writer));
    sg_writer_checkpoint(d.writer, &d.model);
    assert_false(sg_writer_takes_checkpoint(d.writer));
    advance(&d, 6);
    sg_writer_best(d.writer, &d.model);
    assert_false(sg_writer_has_written_best(d.writer));
    assert_false(sg_path_exists(d.best) || sg_path_exists(d.checkpoint));
    sg_h5_unlock();
    sg_writer_drain(d.writer);
    assert_true(sg_writer_has_written_best(d.writer));
    assert_file(d.best, 6);
    assert_file(d.checkpoint, 5);
    assert_true(sg_writer_takes_checkpoint(d.writer));
    close_desk(&d);
}

/* Bests that keep coming do not hold a checkpoint up. */
static void checkpoints_get_their_turn(void **state)
{
    (void)state;
    desk d;
    open_desk(&d, ".");
    advance(&d, 1);
    sg_writer_best(d.writer, &d.model);
    sg_writer_checkpoint(d.writer, &d.model);
    int64_t update = 1;
    while (!sg_writer_takes_checkpoint(d.writer) && update < 1000000) {
        advance(&d, ++update);
        sg_writer_best(d.writer, &d.model);
    }
    assert_file(d.checkpoint, 1);
    sg_writer_drain(d.writer);
    assert_file(d.best, update);
    close_desk(&d);
}

/* No checkpoint comes about that knows of a best which is not on the disk; both do once they can. */
static void waits_for_a_best_that_failed(void **state)
{
    (void)state;
    desk d;
    char place[SG_PATH_MAX];
    open_desk(&d, "later");
    advance(&d, 1);
    sg_writer_checkpoint(d.writer, &d.model);
    sg_writer_drain(d.writer);
    advance(&d, 2);
    sg_writer_best(d.writer, &d.model);
    sg_writer_drain(d.writer);
    assert_news(&d, SG_WRITER_BEST, 0, SG_E_IO);
    assert_news(&d, SG_WRITER_CHECKPOINT, 1, SG_OK);
    for (int i = 0; i < 2; i++) {
        sg_writer_checkpoint(d.writer, &d.model);
        sg_writer_drain(d.writer);
        assert_news(&d, SG_WRITER_BEST, 0, SG_E_IO);
        assert_file(d.checkpoint, 1);
        assert_true(sg_writer_takes_checkpoint(d.writer));
    }
    sg_writer_retry(d.writer);
    sg_writer_drain(d.writer);
    assert_news(&d, SG_WRITER_BEST, 0, SG_E_IO);
    assert_false(sg_writer_has_written_best(d.writer));
    assert_ok(sg_path_join(place, folder, "later"));
    assert_ok(sg_folder_make(place));
    sg_writer_checkpoint(d.writer, &d.model);
    sg_writer_drain(d.writer);
    assert_news(&d, SG_WRITER_BEST, 1, SG_OK);
    assert_news(&d, SG_WRITER_CHECKPOINT, 1, SG_OK);
    assert_true(sg_writer_has_written_best(d.writer));
    assert_file(d.best, 2);
    assert_file(d.checkpoint, 2);
    close_desk(&d);
}

/* A best that failed is given up only for a newer one. */
static void tries_a_best_again(void **state)
{
    (void)state;
    desk d;
    char place[SG_PATH_MAX];
    open_desk(&d, "later");
    for (int64_t update = 1; update <= 2; update++) {
        advance(&d, update);
        sg_writer_best(d.writer, &d.model);
        sg_writer_drain(d.writer);
        assert_news(&d, SG_WRITER_BEST, 0, SG_E_IO);
    }
    assert_ok(sg_path_join(place, folder, "later"));
    assert_ok(sg_folder_make(place));
    advance(&d, -1);
    sg_writer_retry(d.writer);
    sg_writer_drain(d.writer);
    assert_news(&d, SG_WRITER_BEST, 1, SG_OK);
    assert_file(d.best, 2);
    close_desk(&d);
}

/* What was handed over is written even if the writer is closed at once. */
static void finishes_when_closed(void **state)
{
    (void)state;
    desk d;
    open_desk(&d, ".");
    advance(&d, 7);
    sg_writer_best(d.writer, &d.model);
    sg_writer_checkpoint(d.writer, &d.model);
    close_desk(&d);
    assert_file(d.best, 7);
    assert_file(d.checkpoint, 7);
}

/* ---- training beside it ---- */

typedef struct {
    char folder[256], error[1024];
    sg_config config;
    sg_trained trained;
    sg_status status;
    pthread_t thread;
} runner;

static void *train_run(void *context)
{
    runner *r = context;
    static const volatile sig_atomic_t never = 0;
    sg_training training = {.config = &r->config, .corpus = &corpus, .folder = r->folder, .stop = &never};
    r->status = sg_train(&training, &r->trained);
    snprintf(r->error, sizeof r->error, "%s", r->status == SG_OK ? "" : sg_error_text());
    return NULL;
}

static int lines_in(const char *where, const char *name)
{
    char path[SG_PATH_MAX];
    int lines = 0;
    assert_ok(sg_path_join(path, where, name));
    FILE *f = fopen(path, "r");
    for (int c; f && (c = fgetc(f)) != EOF;)
        lines += c == '\n';
    if (f)
        fclose(f);
    return lines;
}

static bool all_trained(const runner *runs)
{
    for (int i = 0; i < RUNS; i++)
        if (lines_in(runs[i].folder, "history.csv") < EPOCHS + 1)
            return false;
    return true;
}

static void start_runs(runner *runs)
{
    for (int i = 0; i < RUNS; i++) {
        runner *r = &runs[i];
        *r = (runner){.config = config};
        snprintf(r->folder, sizeof r->folder, "%s/run%d", folder, i);
        assert_ok(sg_folder_make(r->folder));
        r->config.seed = i;
        r->config.checkpoint_every = 1;
        r->config.keep_best = i % 2;
        assert_int_equal(pthread_create(&r->thread, NULL, train_run, r), 0);
    }
}

/* Ten runs while this thread holds the HDF5 lock: every update of all of them is done, and no file written.
 */
static void runs_do_not_wait(void **state)
{
    (void)state;
    static runner runs[RUNS];
    time_t start = time(NULL);
    sg_h5_lock();
    start_runs(runs);
    while (!all_trained(runs) && time(NULL) < start + DEADLINE_S)
        usleep(10000);
    bool trained = all_trained(runs);
    for (int i = 0; i < RUNS; i++) {
        char path[SG_PATH_MAX];
        assert_ok(sg_path_join(path, runs[i].folder, "checkpoint.h5"));
        assert_false(sg_path_exists(path));
    }
    sg_h5_unlock();
    for (int i = 0; i < RUNS; i++)
        pthread_join(runs[i].thread, NULL);
    assert_true(trained);
    for (int i = 0; i < RUNS; i++) {
        char path[SG_PATH_MAX];
        sg_model last;
        sg_optimizer_state moments;
        assert_string_equal(runs[i].error, "");
        assert_int_equal(runs[i].trained.waits, 0);
        assert_ok(sg_path_join(path, runs[i].folder, "checkpoint.h5"));
        assert_ok(sg_model_read(&last, &moments, path));
        assert_int_equal(last.epoch, EPOCHS);
        sg_optimizer_state_free(&moments);
        sg_model_free(&last);
        sg_model_free(&runs[i].trained.model);
    }
}

/* The same, writing as they go: none waits for another's file either. */
static void runs_that_write_do_not_wait(void **state)
{
    (void)state;
    static runner runs[RUNS];
    start_runs(runs);
    for (int i = 0; i < RUNS; i++)
        pthread_join(runs[i].thread, NULL);
    for (int i = 0; i < RUNS; i++) {
        assert_string_equal(runs[i].error, "");
        assert_int_equal(runs[i].trained.waits, 0);
        sg_model_free(&runs[i].trained.model);
    }
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(writes_copies),
        WITH_FOLDER(keeps_the_newest_best),
        WITH_FOLDER(checkpoints_get_their_turn),
        WITH_FOLDER(waits_for_a_best_that_failed),
        WITH_FOLDER(tries_a_best_again),
        WITH_FOLDER(finishes_when_closed),
        WITH_FOLDER(runs_do_not_wait),
        WITH_FOLDER(runs_that_write_do_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
