/* Records of runs: written and read again, small outputs left out, damaged files refused. */
#include "base/memory.h"
#include "experiment/random_corpus.h"
#include "experiment/record.h"
#include "train/config.h"

#include <unistd.h>

typedef struct {
    random_corpus c;
    sg_record record;
    float probabilities[RANDOM_CLASSES * RANDOM_CLASSES];
    double beginnings[2][3];
    char folder[128], path[160];
} record_case;

/* Rows with a few outputs of every size, the largest where argmax says. */
static void make_probabilities(record_case *r)
{
    sg_random random = sg_random_open(12, SG_RANDOM_BENCH, 0);
    for (int j = 0; j < RANDOM_CLASSES; j++) {
        float *row = r->probabilities + j * RANDOM_CLASSES;
        for (int n = 0; n < RANDOM_CLASSES; n++)
            row[n] = (float)pow(10, -12 * sg_random_double(&random));
        row[r->c.argmax[j]] = r->c.p_max[j];
    }
}

static int set_up(void **state)
{
    static const sg_spec spec = {RANDOM_TYPES, RANDOM_LENGTH, 5, RANDOM_CLASSES, 1, 0, SG_PADDING_POST};
    record_case *r = calloc(1, sizeof *r);
    sg_config config;
    assert_non_null(r);
    make_random_corpus(&r->c, 1);
    make_test_folder(r->folder);
    snprintf(r->path, sizeof r->path, "%s/record.h5", r->folder);
    for (int j = 0; j < RANDOM_CLASSES; j++)
        r->c.argmax[j] = (j * 7) % RANDOM_CLASSES;
    make_probabilities(r);
    sg_model *model = &r->record.model;
    assert_ok(sg_model_make(model, &spec, &r->c.corpus));
    assert_ok(sg_config_defaults(&config));
    snprintf(config.corpus, sizeof config.corpus, "/home/somebody/secret.h5");
    config.epochs = 17;
    assert_ok(sg_config_text(&config, &model->config));
    model->seed = 42;
    model->epoch = 17;
    assert_ok(sg_alloc(&model->prefix_limit, RANDOM_LENGTH, "test"));
    model->prefix_limit[2] = (sg_prefix_limit){0.25, 0.125};
    for (int i = 0; i < 3; i++)
        r->beginnings[0][i] = 0.1 * i, r->beginnings[1][i] = -0.3 * i;
    r->record.outputs = r->c.outputs;
    r->record.outputs.probabilities = r->probabilities;
    r->record.beginnings =
        (sg_outputs){.count = 3, .skewness = r->beginnings[0], .kurtosis = r->beginnings[1]};
    r->record.history = strdup("epoch,loss\n1,2.5\n2,1.25\n");
    r->record.origin = strdup("{\"tool\":\"sipgpu\"}");
    snprintf(r->record.inference, sizeof r->record.inference, "cpu");
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    record_case *r = *state;
    sg_model_free(&r->record.model);
    free(r->record.history);
    free(r->record.origin);
    unlink(r->path);
    rmdir(r->folder);
    free(r);
    return 0;
}

static void test_what_is_written_is_read(void **state)
{
    record_case *r = *state;
    sg_record again;
    const sg_outputs *o = &r->record.outputs;
    const size_t n = RANDOM_CLASSES;
    assert_ok(sg_record_write(&r->record, r->path));
    assert_ok(sg_record_read(&again, r->path));
    assert_int_equal(again.outputs.count, RANDOM_CLASSES);
    assert_memory_equal(again.outputs.argmax, o->argmax, n * sizeof *o->argmax);
    assert_memory_equal(again.outputs.p_max, o->p_max, n * sizeof *o->p_max);
    assert_memory_equal(again.outputs.skewness, o->skewness, n * sizeof *o->skewness);
    assert_memory_equal(again.outputs.kurtosis, o->kurtosis, n * sizeof *o->kurtosis);
    assert_int_equal(again.beginnings.count, 3);
    assert_memory_equal(again.beginnings.skewness, r->beginnings[0], sizeof r->beginnings[0]);
    assert_memory_equal(again.beginnings.kurtosis, r->beginnings[1], sizeof r->beginnings[1]);
    assert_string_equal(again.history, r->record.history);
    assert_string_equal(again.origin, r->record.origin);
    assert_string_equal(again.inference, "cpu");
    assert_null(again.model.params.data);
    assert_int_equal(again.model.seed, 42);
    assert_memory_equal(again.model.class_train, r->record.model.class_train, n * sizeof(int64_t));
    assert_memory_equal(again.model.prefix_limit, r->record.model.prefix_limit,
                        RANDOM_LENGTH * sizeof(sg_prefix_limit));
    sg_record_free(&again);
}

/* Adds all outputs of at least SG_RECORD_LEAST to a record, as records that others can join have them. */
static int64_t add_full_outputs(const record_case *r)
{
    static int64_t first[RANDOM_CLASSES + 1];
    static int32_t class[RANDOM_CLASSES * RANDOM_CLASSES];
    static float probability[RANDOM_CLASSES * RANDOM_CLASSES];
    hsize_t kept = 0, edges = RANDOM_CLASSES + 1;
    for (int i = 0; i < RANDOM_CLASSES * RANDOM_CLASSES; i++) {
        if (r->probabilities[i] >= SG_RECORD_LEAST) {
            class[kept] = i % RANDOM_CLASSES;
            probability[kept++] = r->probabilities[i];
        }
        first[i / RANDOM_CLASSES + 1] = (int64_t)kept;
    }
    const struct {
        const char *name;
        hid_t type;
        hsize_t *count;
        const void *data;
    } parts[] = {{"/answers/first", H5T_NATIVE_INT64, &edges, first},
                 {"/answers/class", H5T_NATIVE_INT32, &kept, class},
                 {"/answers/probability", H5T_NATIVE_FLOAT, &kept, probability}};
    const hid_t file = H5Fopen(r->path, H5F_ACC_RDWR, H5P_DEFAULT);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const hid_t space = H5Screate_simple(1, parts[i].count, NULL);
        const hid_t set =
            H5Dcreate(file, parts[i].name, parts[i].type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        assert_true(H5Dwrite(set, parts[i].type, H5S_ALL, H5S_ALL, H5P_DEFAULT, parts[i].data) >= 0);
        H5Dclose(set);
        H5Sclose(space);
    }
    H5Fclose(file);
    return (int64_t)kept;
}

/* A record is written without the outputs; where it has them, a trimmed row is what it gives back. */
static void test_full_outputs_are_read(void **state)
{
    record_case *r = *state;
    sg_record again;
    int small = 0;
    assert_ok(sg_record_write(&r->record, r->path));
    assert_ok(sg_record_read(&again, r->path));
    assert_null(again.outputs.probabilities);
    sg_record_free(&again);
    add_full_outputs(r);
    assert_ok(sg_record_read(&again, r->path));
    for (int i = 0; i < RANDOM_CLASSES * RANDOM_CLASSES; i++) {
        const float was = r->probabilities[i], is = again.outputs.probabilities[i];
        assert_true(was < SG_RECORD_LEAST ? is == 0 : is == was);
        small += was < SG_RECORD_LEAST;
    }
    assert_in_range(small, 1000, RANDOM_CLASSES * RANDOM_CLASSES - 1000);
    sg_record_trim(&r->record.outputs, RANDOM_CLASSES);
    assert_memory_equal(r->probabilities, again.outputs.probabilities, sizeof r->probabilities);
    sg_record_free(&again);
}

static void test_parts_may_be_absent(void **state)
{
    record_case *r = *state;
    sg_record again;
    r->record.beginnings.count = 0;
    assert_ok(sg_record_write(&r->record, r->path));
    assert_ok(sg_record_read(&again, r->path));
    assert_int_equal(again.beginnings.count, 0);
    sg_record_free(&again);
}

static void test_no_path_is_kept(void **state)
{
    record_case *r = *state;
    sg_record again;
    sg_config config;
    assert_ok(sg_record_write(&r->record, r->path));
    assert_ok(sg_record_read(&again, r->path));
    assert_ok(sg_config_defaults(&config));
    assert_ok(sg_options_read_ini_text(sg_config_table, &config, again.model.config, "config"));
    assert_int_equal(config.epochs, 17);
    assert_string_equal(config.corpus, "");
    assert_null(strstr(again.model.config, "somebody"));
    sg_record_free(&again);
}

/* ---- damaged files ---- */

/* Writes the record with one value of a dataset changed, and expects a refusal that names `part`. */
static void refuse_with(record_case *r, const char *dataset, hid_t type, int64_t count, int64_t at,
                        const void *value, const char *part)
{
    sg_record again;
    const size_t size = H5Tget_size(type);
    assert_ok(sg_record_write(&r->record, r->path));
    add_full_outputs(r);
    const hid_t file = H5Fopen(r->path, H5F_ACC_RDWR, H5P_DEFAULT), set = H5Dopen(file, dataset, H5P_DEFAULT);
    char *all = calloc((size_t)count, size);
    assert_non_null(all);
    assert_true(H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, all) >= 0);
    memcpy(all + (size_t)at * size, value, size);
    assert_true(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, all) >= 0);
    free(all);
    H5Dclose(set);
    H5Fclose(file);
    assert_fails(SG_E_FORMAT, part, sg_record_read(&again, r->path));
    sg_record_free(&again);
}

static void test_wrong_values_are_refused(void **state)
{
    record_case *r = *state;
    const int32_t beyond = RANDOM_CLASSES, negative = -1;
    const float above = 1.5f, nan = NAN;
    const double infinite = INFINITY;
    const int64_t backwards = 1, far = 1 << 20;
    const int64_t n = RANDOM_CLASSES;
    int64_t kept = 0;
    for (int i = 0; i < RANDOM_CLASSES * RANDOM_CLASSES; i++)
        kept += r->probabilities[i] >= SG_RECORD_LEAST;
    refuse_with(r, "/answers/argmax", H5T_NATIVE_INT32, n, 5, &beyond, "class 5");
    refuse_with(r, "/answers/argmax", H5T_NATIVE_INT32, n, 0, &negative, "class 0");
    refuse_with(r, "/answers/p_max", H5T_NATIVE_FLOAT, n, 7, &above, "class 7");
    refuse_with(r, "/answers/p_max", H5T_NATIVE_FLOAT, n, 7, &nan, "class 7");
    refuse_with(r, "/answers/skewness", H5T_NATIVE_DOUBLE, n, 9, &infinite, "class 9");
    refuse_with(r, "/answers/first", H5T_NATIVE_INT64, n + 1, 3, &backwards, "outputs of class");
    refuse_with(r, "/answers/first", H5T_NATIVE_INT64, n + 1, n, &far, "outputs of class");
    refuse_with(r, "/answers/class", H5T_NATIVE_INT32, kept, kept - 1, &beyond, "outputs of class");
    refuse_with(r, "/answers/probability", H5T_NATIVE_FLOAT, kept, 0, &nan, "outputs of class 0");
    refuse_with(r, "/beginnings/kurtosis", H5T_NATIVE_DOUBLE, 3, 1, &infinite, "row 1");
}

static void test_other_files_are_refused(void **state)
{
    record_case *r = *state;
    sg_record again;
    assert_fails(SG_E_IO, r->path, sg_record_read(&again, r->path));
    sg_record_free(&again);
    assert_ok(sg_model_write(&r->record.model, NULL, r->path));
    assert_fails(SG_E_FORMAT, "sipgpu-record", sg_record_read(&again, r->path));
    sg_record_free(&again);
    assert_ok(sg_record_write(&r->record, r->path));
    assert_fails(SG_E_FORMAT, "sipgpu-model", sg_model_read(&again.model, NULL, r->path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_written_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_outputs_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parts_may_be_absent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_path_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wrong_values_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_files_are_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
