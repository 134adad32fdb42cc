/* Runs side by side: all are trained, each as alone; what stops, fails or cannot begin is told and leaves the
 * others. */
#include "base/log.h"
#include "corpus/synth.h"
#include "experiment/runner.h"
#include "model/model.h"
#include "testing.h"

#include <sys/stat.h>

typedef struct {
    sg_corpus corpus;
    sg_config config;
    char folder[128];
    sg_experiment experiment;
    volatile sig_atomic_t stop;
    char *said; /* by the runner to its terminal */
    size_t said_bytes;
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
    strcpy(f->config.device, "cpu");
    strcpy(f->config.models, "1.0,2.1");
    f->config.units = 12;
    f->config.batch_size = 190;
    f->config.epochs = 2;
    f->config.seeds = 2;
    f->config.jobs = 3;
    f->config.prefix_limits = false;
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
    sg_experiment_free(&f->experiment);
    sg_corpus_free(&f->corpus);
    free(f->said);
    free(f);
    return result;
}

static sg_status train(fixture *f)
{
    char word[] = "--test", *words[] = {word};
    const sg_runner_options options = {&f->corpus, 1, words, &f->stop};
    sg_experiment_free(&f->experiment);
    assert_ok(sg_experiment_make(&f->experiment, &f->config, &f->corpus, f->folder, false));
    free(f->said);
    FILE *terminal = open_memstream(&f->said, &f->said_bytes);
    sg_log_set_sink(terminal);
    sg_status status = sg_experiment_train(&f->experiment, &options);
    sg_log_set_sink(NULL);
    assert_int_equal(fclose(terminal), 0);
    return status;
}

static void path_in_run(const fixture *f, const char *run, const char *name, char path[256])
{
    snprintf(path, 256, "%s/runs/%s/%s", f->folder, run, name);
}

static char *read_text(const fixture *f, const char *run, const char *name)
{
    char path[256], *text;
    size_t length;
    path_in_run(f, run, name, path);
    assert_ok(sg_file_read(path, 1 << 20, &text, &length));
    return text;
}

static bool is_there(const fixture *f, const char *run, const char *name)
{
    char path[256];
    path_in_run(f, run, name, path);
    return sg_path_exists(path);
}

/* A folder, and in it something that a run cannot use. */
static void spoil(const fixture *f, const char *run, const char *name, bool folder)
{
    char path[256];
    path_in_run(f, run, "", path);
    assert_ok(sg_folder_make(path));
    path_in_run(f, run, name, path);
    FILE *out = folder ? NULL : fopen(path, "w");
    assert_int_equal(folder ? mkdir(path, 0777) : fputs("not a checkpoint", out) < 0, 0);
    if (out)
        fclose(out);
}

static void test_trains_all(void **state)
{
    fixture *f = *state;
    assert_ok(train(f));
    assert_non_null(strstr(f->said, "4 of 4 runs to train, 3 at a time, on cpu"));
    for (int i = 0; i < 4; i++) {
        const char *name = f->experiment.run[i].name;
        assert_true(f->experiment.run[i].complete);
        char *log = read_text(f, name, "log.txt"), *origin = read_text(f, name, "provenance.json");
        assert_non_null(strstr(log, "trained   2 epochs"));
        assert_non_null(strstr(log, "P_D"));
        assert_non_null(strstr(origin, "\"experiment\", \"--test\""));
        assert_true(is_there(f, name, "model.h5") && is_there(f, name, "config.ini"));
        free(log);
        free(origin);
    }
    assert_ok(train(f)); /* nothing is left to do, and nothing is said */
    assert_string_equal(f->said, "");
}

/* The weights of one run do not depend on what runs beside it. */
static void test_same_as_alone(void **state)
{
    fixture *f = *state;
    sg_model beside, alone;
    char path[256], other[128];
    assert_ok(train(f));
    path_in_run(f, "model2.1_seed2", "model.h5", path);
    assert_ok(sg_model_read(&beside, NULL, path));
    memcpy(other, f->folder, sizeof other);
    make_test_folder(f->folder);
    strcpy(f->config.models, "2.1");
    f->config.seed = 2;
    f->config.seeds = f->config.jobs = 1;
    assert_ok(train(f));
    path_in_run(f, "model2.1_seed2", "model.h5", path);
    assert_ok(sg_model_read(&alone, NULL, path));
    assert_int_equal(beside.params.layout.count, alone.params.layout.count);
    assert_memory_equal(beside.params.data, alone.params.data,
                        alone.params.layout.count * sizeof *alone.params.data);
    sg_model_free(&beside);
    sg_model_free(&alone);
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", other);
    assert_int_equal(system(command), 0);
}

static void test_stops(void **state)
{
    fixture *f = *state;
    f->stop = SIGINT;
    assert_fails(SG_E_INTERRUPTED, "the same command continues them", train(f));
    for (int i = 0; i < 4; i++)
        assert_false(f->experiment.run[i].complete || is_there(f, f->experiment.run[i].name, "log.txt"));
    f->stop = 0;
    assert_ok(train(f));
}

static void test_a_failure_leaves_the_others(void **state)
{
    fixture *f = *state;
    spoil(f, "model1.0_seed2", "checkpoint.h5", false);
    assert_ok(train(f));
    for (int i = 0; i < 4; i++)
        assert_int_equal(f->experiment.run[i].complete, i != 1);
    char *warning = strstr(f->said, "warning: ");
    assert_non_null(warning);
    assert_non_null(strstr(warning, "model1.0_seed2: "));
    assert_non_null(strstr(warning, "not an HDF5 file"));
    assert_null(strstr(warning + 1, "warning: ")); /* said once */
}

static void test_all_fail(void **state)
{
    fixture *f = *state;
    strcpy(f->config.models, "1.0");
    spoil(f, "model1.0_seed1", "checkpoint.h5", false);
    spoil(f, "model1.0_seed2", "checkpoint.h5", false);
    assert_fails(SG_E_CONFIG, "all 2 runs failed: ", train(f));
    assert_non_null(strstr(sg_error_text(), "not an HDF5 file"));
}

static void test_a_log_that_cannot_be_written(void **state)
{
    fixture *f = *state;
    f->config.epochs = 100000; /* the others end because they are told to */
    spoil(f, "model1.0_seed2", "log.txt", true);
    assert_fails(SG_E_IO, "model1.0_seed2/log.txt", train(f));
    assert_int_equal(f->stop, SIGTERM);
    assert_false(is_there(f, "model2.1_seed2", "log.txt")); /* not begun */
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_trains_all), WITH_FIXTURE(test_same_as_alone),
        WITH_FIXTURE(test_stops),      WITH_FIXTURE(test_a_failure_leaves_the_others),
        WITH_FIXTURE(test_all_fail),   WITH_FIXTURE(test_a_log_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
