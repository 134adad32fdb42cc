/* Model files come back as they were; damaged or foreign ones are refused with one sentence. */
#include "base/files.h"
#include "base/h5.h"
#include "base/h5_digest.h"
#include "corpus/synth.h"
#include "model/model.h"
#include "testing.h"
#include <unistd.h>

typedef struct {
    sg_corpus corpus;
    sg_model model;
    sg_optimizer_state state;
    char folder[128], path[192];
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    sg_synth_options synth;
    sg_synth_report report;
    sg_init_options init = {.seed = 3, .forget_bias = 1};
    assert_ok(sg_synth_preset_options(&synth, SG_SYNTH_SMALL));
    assert_ok(sg_synth_resolve(&synth, SG_SYNTH_SMALL));
    assert_ok(sg_synth_corpus(&f->corpus, &synth, 1, &report));
    sg_spec spec = {.message_types = f->corpus.message_types,
                    .max_length = f->corpus.max_length,
                    .units = 5,
                    .classes = f->corpus.classes,
                    .layers = 2,
                    .dropout = 0.5,
                    .padding = SG_PADDING_MASK};
    assert_ok(sg_model_make(&f->model, &spec, &f->corpus));
    assert_ok(sg_params_init(&f->model.params, &spec, &init));
    assert_ok(sg_params_alloc(&f->state.m, &spec));
    assert_ok(sg_params_alloc(&f->state.v, &spec));
    sg_params_at(&f->state.m, 3)[2] = 0.25f;
    sg_params_at(&f->state.v, 1)[7] = 0.5f;
    f->model.config = strdup("[train]\nepochs = 3\n");
    f->model.seed = 42;
    f->model.epoch = 7;
    f->model.update = 77;
    f->model.partial_loss = 1.0 / 3;
    f->model.partial_right = 5;
    f->model.best_pd = 0.1;
    f->model.best_loss = 0.2;
    f->model.has_thresholds = f->model.has_kmeans = true;
    f->model.lambda_skewness = 0.1 + 0.2;
    f->model.lambda_kurtosis = 1e-17;
    f->model.centroid[1][0] = 0.75;
    strcpy(f->model.type_rule, "cseq/1");
    f->model.collapsed = true;
    f->model.prefix_limit = calloc((size_t)spec.max_length, sizeof *f->model.prefix_limit);
    for (int k = 0; k < spec.max_length; k++)
        f->model.prefix_limit[k] = (sg_prefix_limit){0.5 + k, -0.25 * k};
    strcpy(f->model.precision, "fp32");
    make_test_folder(f->folder);
    snprintf(f->path, sizeof f->path, "%s/m.h5", f->folder);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    unlink(f->path);
    int result = rmdir(f->folder);
    sg_optimizer_state_free(&f->state);
    sg_model_free(&f->model);
    sg_corpus_free(&f->corpus);
    free(f);
    return result;
}

static void assert_same_params(const sg_params *a, const sg_params *b)
{
    assert_int_equal(a->layout.count, b->layout.count);
    assert_memory_equal(a->data, b->data, a->layout.count * sizeof *a->data);
}

static void test_round_trip(void **state)
{
    fixture *f = *state;
    sg_model m;
    sg_optimizer_state s;
    assert_ok(sg_model_write(&f->model, &f->state, f->path));
    assert_ok(sg_model_read(&m, &s, f->path));
    const sg_spec *a = &m.spec, *b = &f->model.spec;
    assert_true(a->message_types == b->message_types && a->max_length == b->max_length &&
                a->units == b->units);
    assert_true(a->classes == b->classes && a->layers == b->layers && a->dropout == b->dropout);
    assert_int_equal(a->padding, b->padding);
    assert_same_params(&m.params, &f->model.params);
    assert_same_params(&s.m, &f->state.m);
    assert_same_params(&s.v, &f->state.v);
    size_t n = (size_t)m.spec.classes;
    assert_memory_equal(m.class_sequence, f->model.class_sequence, n * (size_t)m.spec.max_length * 2);
    assert_memory_equal(m.class_length, f->model.class_length, n * 2);
    assert_memory_equal(m.class_train, f->model.class_train, n * 8);
    assert_string_equal(m.config, f->model.config);
    assert_string_equal(m.corpus_digest, f->corpus.digest);
    assert_true(m.seed == 42 && m.epoch == 7 && m.update == 77 && m.partial_right == 5);
    assert_true(m.partial_loss == f->model.partial_loss && m.best_pd == 0.1 && m.best_loss == 0.2);
    assert_true(m.lambda_skewness == f->model.lambda_skewness && m.lambda_kurtosis == 1e-17);
    assert_memory_equal(m.centroid, f->model.centroid, sizeof m.centroid);
    assert_memory_equal(m.prefix_limit, f->model.prefix_limit,
                        (size_t)m.spec.max_length * sizeof *m.prefix_limit);
    assert_string_equal(m.type_rule, "cseq/1");
    assert_true(m.collapsed);
    assert_ok(sg_model_check_alphabet(&m, &f->corpus));
    sg_model_free(&m);
    sg_optimizer_state_free(&s);
}

/* A model without limits for prefixes, and one with a limit that is no number. */
static void test_prefix_limits(void **state)
{
    fixture *f = *state;
    sg_model m;
    f->model.prefix_limit[3].kurtosis = NAN;
    assert_ok(sg_model_write(&f->model, NULL, f->path));
    assert_fails(SG_E_FORMAT, "row 3", sg_model_read(&m, NULL, f->path));
    free(f->model.prefix_limit);
    f->model.prefix_limit = NULL;
    assert_ok(sg_model_write(&f->model, NULL, f->path));
    assert_ok(sg_model_read(&m, NULL, f->path));
    assert_null(m.prefix_limit);
    sg_model_free(&m);
}

/* Rules and retransmissions that nobody knows. */
static void test_conventions(void **state)
{
    fixture *f = *state;
    sg_model m;
    strcpy(f->model.type_rule, "colour/1");
    assert_ok(sg_model_write(&f->model, NULL, f->path));
    assert_fails(SG_E_FORMAT, "colour/1", sg_model_read(&m, NULL, f->path));
    f->model.type_rule[0] = '\0';
    f->model.collapsed = false;
    assert_ok(sg_model_write(&f->model, NULL, f->path));
    assert_ok(sg_model_read(&m, NULL, f->path));
    assert_string_equal(m.type_rule, "paper/1");
    assert_false(m.collapsed);
    sg_model_free(&m);
}

/* The same model gives the same bytes. */
static void test_same_bytes(void **state)
{
    fixture *f = *state;
    char *a, *b;
    size_t na, nb;
    assert_ok(sg_model_write(&f->model, NULL, f->path));
    assert_ok(sg_file_read(f->path, 1 << 24, &a, &na));
    assert_ok(sg_model_write(&f->model, NULL, f->path));
    assert_ok(sg_file_read(f->path, 1 << 24, &b, &nb));
    assert_int_equal(na, nb);
    assert_memory_equal(a, b, na);
    free(a);
    free(b);
}

static void test_no_optimizer(void **state)
{
    fixture *f = *state;
    sg_model m;
    sg_optimizer_state s;
    assert_ok(sg_model_write(&f->model, NULL, f->path));
    assert_fails(SG_E_FORMAT, "not a checkpoint", sg_model_read(&m, &s, f->path));
}

static void test_not_finite(void **state)
{
    fixture *f = *state;
    sg_model m;
    sg_params_at(&f->model.params, f->model.params.layout.recurrent[1])[3] = INFINITY;
    assert_ok(sg_model_write(&f->model, NULL, f->path));
    assert_fails(SG_E_NUMERIC, "lstm_1/recurrent_kernel", sg_model_read(&m, NULL, f->path));
}

static void write_bytes(const char *path, const char *bytes, size_t size)
{
    FILE *out = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    fclose(out);
}

/* Closes a file that was edited and makes its digest right again. */
static void finish_edit(const fixture *f, hid_t file)
{
    char *bytes;
    size_t size;
    H5Fclose(file);
    assert_ok(sg_file_read(f->path, 1 << 24, &bytes, &size));
    sg_h5_digest_make((uint8_t *)bytes, bytes + SG_H5_DIGEST_BLOCK, size - SG_H5_DIGEST_BLOCK);
    write_bytes(f->path, bytes, size);
    free(bytes);
}

/* Edits a good file through HDF5. */
static hid_t edit(const fixture *f)
{
    assert_ok(sg_model_write(&f->model, NULL, f->path));
    hid_t file = H5Fopen(f->path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

static void set_int(hid_t file, const char *name, int64_t value)
{
    hid_t a = H5Aopen(file, name, H5P_DEFAULT);
    assert_true(H5Awrite(a, H5T_NATIVE_INT64, &value) >= 0);
    H5Aclose(a);
}

static void test_foreign_files(void **state)
{
    fixture *f = *state;
    sg_model m;
    static const struct {
        const char *name, *part;
        int64_t value;
    } attributes[] = {{"version", "version 9", 9},          {"units", "lstm_0/kernel", 6},
                      {"classes", "classes/sequence", 151}, {"layers", "layers = 3", 3},
                      {"message_types", "alphabet", 17},    {"max_length", "classes/sequence", 25}};
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        hid_t file = edit(f);
        set_int(file, attributes[i].name, attributes[i].value);
        finish_edit(f, file);
        assert_fails(SG_E_FORMAT, attributes[i].part, sg_model_read(&m, NULL, f->path));
    }
    hid_t file = edit(f);
    H5Ldelete(file, "/params/dense/bias", H5P_DEFAULT);
    H5Lcreate_external("other.h5", "/x", file, "/params/dense/bias", H5P_DEFAULT, H5P_DEFAULT);
    finish_edit(f, file);
    assert_fails(SG_E_FORMAT, "links are not followed", sg_model_read(&m, NULL, f->path));
    file = edit(f);
    H5Ldelete(file, "/classes/length", H5P_DEFAULT);
    finish_edit(f, file);
    assert_fails(SG_E_FORMAT, "/classes/length", sg_model_read(&m, NULL, f->path));
    f->model.class_length[4] = 0;
    assert_ok(sg_model_write(&f->model, NULL, f->path));
    assert_fails(SG_E_FORMAT, "class 4", sg_model_read(&m, NULL, f->path));
}

static void test_truncated(void **state)
{
    fixture *f = *state;
    sg_model m;
    char *bytes;
    size_t size;
    assert_ok(sg_model_write(&f->model, NULL, f->path));
    assert_ok(sg_file_read(f->path, 1 << 24, &bytes, &size));
    for (size_t keep = 0; keep < size; keep += size / 23 + 1) {
        FILE *out = fopen(f->path, "wb");
        fwrite(bytes, 1, keep, out);
        fclose(out);
        assert_int_not_equal(sg_model_read(&m, NULL, f->path), SG_OK);
        assert_non_null(strstr(sg_error_text(), f->path));
    }
    free(bytes);
}

/* The digest is looked at before anything else, and a model without one is read. */
static void test_digest(void **state)
{
    fixture *f = *state;
    sg_model m;
    char *bytes;
    size_t size;
    bool digest = false;
    assert_ok(sg_model_write(&f->model, &f->state, f->path));
    assert_ok(sg_model_read_digest(&m, f->path, &digest));
    assert_true(digest);
    sg_model_free(&m);
    assert_ok(sg_file_read(f->path, 1 << 24, &bytes, &size));
    bytes[size / 2] ^= 1;
    write_bytes(f->path, bytes, size);
    assert_fails(SG_E_FORMAT, "damaged", sg_model_read(&m, NULL, f->path));
    bytes[size / 2] ^= 1;
    write_bytes(f->path, bytes + SG_H5_DIGEST_BLOCK, size - SG_H5_DIGEST_BLOCK);
    assert_ok(sg_model_read_digest(&m, f->path, &digest));
    assert_false(digest);
    assert_same_params(&m.params, &f->model.params);
    sg_model_free(&m);
    free(bytes);
}

static void test_match_classes(void **state)
{
    fixture *f = *state;
    int32_t *class_of;
    assert_ok(sg_model_match_classes(&f->model, &f->corpus, &class_of));
    for (int c = 0; c < f->corpus.classes; c++)
        assert_int_equal(class_of[c], c);
    free(class_of);
    f->model.class_sequence[0] = f->model.class_sequence[0] == 1 ? 2 : 1;
    assert_ok(sg_model_match_classes(&f->model, &f->corpus, &class_of));
    assert_int_equal(class_of[0], -1);
    assert_int_equal(class_of[1], 1);
    free(class_of);
    free(f->model.alphabet[5]);
    f->model.alphabet[5] = strdup("PUBLISH");
    assert_fails(SG_E_CONFIG, "message type 6 is PUBLISH", sg_model_check_alphabet(&f->model, &f->corpus));
    f->model.spec.units = 6;
    sg_model other;
    sg_spec wrong = f->model.spec;
    wrong.classes = 7;
    assert_fails(SG_E_CONFIG, "N 7 does not fit", sg_model_make(&other, &wrong, &f->corpus));
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {WITH_FIXTURE(test_round_trip),    WITH_FIXTURE(test_prefix_limits),
                                       WITH_FIXTURE(test_conventions),   WITH_FIXTURE(test_same_bytes),
                                       WITH_FIXTURE(test_no_optimizer),  WITH_FIXTURE(test_not_finite),
                                       WITH_FIXTURE(test_foreign_files), WITH_FIXTURE(test_truncated),
                                       WITH_FIXTURE(test_digest),        WITH_FIXTURE(test_match_classes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
