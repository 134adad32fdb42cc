/* Training a small network: it learns, stops and goes on without a trace, and refuses what does not fit. */
#include "base/files.h"
#include "corpus/synth.h"
#include "testing.h"
#include "train/history.h"
#include "train/trainer.h"

#include <signal.h>
#include <sys/resource.h>

typedef struct {
    sg_corpus corpus;
    sg_config config;
    char folder[128];
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    sg_synth_options synth;
    sg_synth_report report;
    assert_ok(sg_synth_preset_options(&synth, SG_SYNTH_SMALL));
    assert_ok(sg_synth_resolve(&synth, SG_SYNTH_SMALL));
    assert_ok(sg_synth_corpus(&f->corpus, &synth, 1, &report));
    assert_ok(sg_config_defaults(&f->config));
    const char *device = getenv("SIPGPU_TEST_DEVICE"); /* as --device takes it */
    snprintf(f->config.device, sizeof f->config.device, "%s", device ? device : "cpu");
    f->config.units = 20;
    f->config.forget_bias = 3;
    f->config.learning_rate = 5e-3;
    f->config.batch_size = 190;
    f->config.epochs = 6;
    f->config.eval_every = 2;
    f->config.checkpoint_every = 3;
    make_test_folder(f->folder);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
    int result = system(command);
    sg_corpus_free(&f->corpus);
    free(f);
    return result;
}

static void sub_folder(const fixture *f, const char *name, char folder[256])
{
    snprintf(folder, 256, "%s/%s", f->folder, name);
    assert_ok(sg_folder_make(folder));
}

static sg_status train_in(const fixture *f, const char *folder, bool resume, sig_atomic_t stop,
                          sg_trained *trained)
{
    volatile sig_atomic_t flag = stop;
    sg_training training = {
        .config = &f->config, .corpus = &f->corpus, .folder = folder, .resume = resume, .stop = &flag};
    return sg_train(&training, trained);
}

static void assert_same_weights(const sg_params *a, const sg_params *b)
{
    assert_int_equal(a->layout.count, b->layout.count);
    assert_memory_equal(a->data, b->data, a->layout.count * sizeof *a->data);
}

/* history.csv without its last column, the seconds. */
static char *history_without_seconds(const char *folder)
{
    char path[SG_PATH_MAX], *text, *out;
    size_t length, n = 0;
    assert_ok(sg_path_join(path, folder, "history.csv"));
    assert_ok(sg_file_read(path, 1 << 20, &text, &length));
    out = calloc(length + 1, 1);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        n += (size_t)sprintf(out + n, "%.*s\n", (int)(strrchr(line, ',') - line), line);
    free(text);
    return out;
}

static void test_learns(void **state)
{
    fixture *f = *state;
    sg_trained trained;
    f->config.epochs = 40;
    assert_ok(train_in(f, f->folder, false, 0, &trained));
    assert_int_equal(trained.epochs, 40);
    assert_int_equal(trained.model.update, 40 * 5);
    char *history = history_without_seconds(f->folder);
    double first, last = 0;
    assert_int_equal(sscanf(strstr(history, "\n1,5,") + 1, "%*d,%*d,%lf", &first), 1);
    assert_int_equal(sscanf(strstr(history, "\n40,200,") + 1, "%*d,%*d,%lf", &last), 1);
    assert_true(last < 0.5 * first);
    free(history);
    sg_model_free(&trained.model);
}

/* Stopping after every single update and resuming gives the run that was never stopped. */
static void test_resume_is_exact(void **state)
{
    fixture *f = *state;
    char whole[256], broken[256];
    sg_trained a, b;
    f->config.dropout = 0.5;
    f->config.layers = 2;
    f->config.lr_schedule = SG_SCHEDULE_COSINE;
    f->config.batch_size = 400;
    f->config.clip_norm = 1;
    sub_folder(f, "whole", whole);
    sub_folder(f, "broken", broken);
    assert_ok(train_in(f, whole, false, 0, &a));
    int sittings = 0;
    sg_status status;
    while ((status = train_in(f, broken, true, 1, &b)) == SG_E_INTERRUPTED)
        sittings++;
    assert_int_equal(status, SG_OK);
    assert_int_equal(sittings, 6 * 3 - 1);
    assert_same_weights(&a.model.params, &b.model.params);
    char *x = history_without_seconds(whole), *y = history_without_seconds(broken);
    assert_string_equal(x, y);
    free(x);
    free(y);
    sg_model_free(&a.model);
    sg_model_free(&b.model);
}

/* What other threads are told: where a sitting began, and where it is. */
static void test_progress(void **state)
{
    fixture *f = *state;
    static const volatile sig_atomic_t never = 0;
    sg_training_progress progress = {0};
    sg_training training = {.config = &f->config,
                            .corpus = &f->corpus,
                            .folder = f->folder,
                            .stop = &never,
                            .progress = &progress};
    sg_trained trained;
    f->config.epochs = 2;
    f->config.checkpoint_every = 1;
    for (int sitting = 0; sitting < 2; sitting++, f->config.epochs = 5) {
        training.resume = sitting > 0;
        assert_ok(sg_train(&training, &trained));
        assert_int_equal(progress.before, sitting ? 2 : 0);
        assert_int_equal(progress.done, f->config.epochs);
        sg_model_free(&trained.model);
    }
}

/* A longer run with a constant rate goes on from a shorter one as if it had been asked for at once. */
static void test_extend(void **state)
{
    fixture *f = *state;
    char whole[256], extended[256];
    sg_trained a, b;
    sub_folder(f, "whole", whole);
    sub_folder(f, "extended", extended);
    assert_ok(train_in(f, whole, false, 0, &a));
    f->config.epochs = 3;
    assert_ok(train_in(f, extended, false, 0, &b));
    sg_model_free(&b.model);
    f->config.epochs = 6;
    assert_ok(train_in(f, extended, true, 0, &b));
    assert_same_weights(&a.model.params, &b.model.params);
    sg_model_free(&a.model);
    sg_model_free(&b.model);
}

static void test_changed_settings(void **state)
{
    fixture *f = *state;
    sg_trained trained;
    assert_int_equal(train_in(f, f->folder, false, 1, &trained), SG_E_INTERRUPTED);
    f->config.threads = 1; /* may change */
    f->config.learning_rate = 1e-3;
    f->config.batch_size = 100;
    assert_fails(SG_E_CONFIG, "train.batch_size, train.learning_rate",
                 train_in(f, f->folder, true, 0, &trained));
    f->config.learning_rate = 5e-3;
    f->config.batch_size = 190;
    f->corpus.digest[0] ^= 1;
    assert_fails(SG_E_CONFIG, "another corpus", train_in(f, f->folder, true, 0, &trained));
    f->corpus.digest[0] ^= 1;
    assert_ok(train_in(f, f->folder, true, 0, &trained));
    sg_model_free(&trained.model);
}

static void test_divergence(void **state)
{
    fixture *f = *state;
    sg_trained trained;
    f->config.learning_rate = 10;
    f->config.epsilon = 1e-30;
    f->config.epochs = 60;
    sg_status status = train_in(f, f->folder, false, 0, &trained);
    if (status == SG_OK) { /* saturated, not diverged */
        sg_model_free(&trained.model);
        return;
    }
    assert_int_equal(status, SG_E_NUMERIC);
    assert_non_null(strstr(sg_error_text(), "epoch"));
    assert_non_null(strstr(sg_error_text(), "clip_norm"));
}

static void test_what_does_not_fit(void **state)
{
    fixture *f = *state;
    sg_trained trained;
    f->config.batch_size = 951;
    assert_fails(SG_E_CONFIG, "larger than the train split", train_in(f, f->folder, false, 0, &trained));
    memset(f->corpus.split, SG_SPLIT_TEST, (size_t)f->corpus.dialogs);
    assert_fails(SG_E_CONFIG, "train split of the corpus is empty",
                 train_in(f, f->folder, false, 0, &trained));
}

static void test_best_and_early_stop(void **state)
{
    fixture *f = *state;
    sg_trained trained;
    char path[SG_PATH_MAX];
    f->config.keep_best = true;
    f->config.epochs = 60;
    f->config.stop_when_train_pd = 0.4;
    assert_ok(train_in(f, f->folder, false, 0, &trained));
    assert_true(trained.stopped_early && trained.epochs < 60 && trained.epochs % 2 == 0);
    sg_model best;
    assert_ok(sg_path_join(path, f->folder, "best.h5"));
    assert_ok(sg_model_read(&best, NULL, path));
    assert_same_weights(&best.params, &trained.model.params);
    assert_true(best.best_pd > 0);
    sg_model_free(&best);
    sg_model_free(&trained.model);
}

/* Lines after the checkpoint's epoch and a torn last line go; the rest stays. */
static void test_history_rewind(void **state)
{
    fixture *f = *state;
    char path[SG_PATH_MAX], *text;
    double seconds;
    size_t length;
    assert_ok(sg_path_join(path, f->folder, "h.csv"));
    assert_ok(sg_history_create(path));
    for (int e = 1; e <= 4; e++) {
        sg_history_line line = {.epoch = e, .update = e * 10, .loss = 1, .seconds = e * 1.5};
        assert_ok(sg_history_append(path, &line));
    }
    FILE *stream = fopen(path, "a");
    fputs("5,50,0.1", stream);
    fclose(stream);
    assert_ok(sg_history_rewind(path, 3, &seconds));
    assert_true(seconds == 4.5);
    assert_ok(sg_file_read(path, 1 << 16, &text, &length));
    assert_non_null(strstr(text, "\n3,30,"));
    assert_null(strstr(text, "\n4,40,"));
    free(text);
    assert_ok(sg_history_rewind(path, 0, &seconds));
    assert_true(seconds == 0);
    stream = fopen(path, "w");
    fputs("something else\n", stream);
    fclose(stream);
    assert_fails(SG_E_FORMAT, "not a history", sg_history_rewind(path, 1, &seconds));
}

/* No room for the whole of a line: the file is as it was, and the line can be written later. */
static void test_history_without_room(void **state)
{
    fixture *f = *state;
    char path[SG_PATH_MAX], *before, *after;
    size_t size, length;
    struct rlimit old, small;
    sg_history_line line = {.epoch = 1, .update = 10, .loss = 1};
    assert_ok(sg_path_join(path, f->folder, "h.csv"));
    assert_ok(sg_history_create(path));
    assert_ok(sg_history_append(path, &line));
    assert_ok(sg_file_read(path, 1 << 16, &before, &size));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = size + 5;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    line.epoch = 2;
    sg_status status = sg_history_append(path, &line);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(status, SG_E_IO);
    assert_ok(sg_file_read(path, 1 << 16, &after, &length));
    assert_int_equal(length, size);
    assert_memory_equal(after, before, size);
    free(after);
    assert_ok(sg_history_append(path, &line));
    assert_ok(sg_file_read(path, 1 << 16, &after, &length));
    assert_memory_equal(after, before, size);
    assert_int_equal(strncmp(after + size, "2,10,", 5), 0);
    free(before);
    free(after);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {WITH_FIXTURE(test_learns),
                                       WITH_FIXTURE(test_resume_is_exact),
                                       WITH_FIXTURE(test_progress),
                                       WITH_FIXTURE(test_extend),
                                       WITH_FIXTURE(test_changed_settings),
                                       WITH_FIXTURE(test_divergence),
                                       WITH_FIXTURE(test_what_does_not_fit),
                                       WITH_FIXTURE(test_best_and_early_stop),
                                       WITH_FIXTURE(test_history_rewind),
                                       WITH_FIXTURE(test_history_without_room)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
