/* The public interface gives what the engine gives, and refuses what does not fit. */
#include "corpus/synth.h"
#include "model/model.h"
#include "sipgpu/sipgpu.h"
#include "testing.h"

typedef struct {
    sg_corpus corpus;
    sg_model model;
    char folder[128], path[160];
} fixture;

/* An untrained model on the small corpus. */
static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    sg_synth_options synth;
    sg_synth_report report;
    sg_init_options init = {.seed = 1, .forget_bias = 1};
    assert_ok(sg_synth_preset_options(&synth, SG_SYNTH_SMALL));
    assert_ok(sg_synth_resolve(&synth, SG_SYNTH_SMALL));
    assert_ok(sg_synth_corpus(&f->corpus, &synth, 1, &report));
    sg_spec spec = {.message_types = f->corpus.message_types,
                    .max_length = f->corpus.max_length,
                    .units = 16,
                    .classes = f->corpus.classes,
                    .layers = 1};
    assert_ok(sg_model_make(&f->model, &spec, &f->corpus));
    assert_ok(sg_params_init(&f->model.params, &spec, &init));
    f->model.has_thresholds = true;
    f->model.lambda_skewness = 0.5;
    f->model.lambda_kurtosis = -1;
    make_test_folder(f->folder);
    snprintf(f->path, sizeof f->path, "%s/model.h5", f->folder);
    assert_ok(sg_model_write(&f->model, NULL, f->path));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    remove(f->path);
    int result = remove(f->folder);
    sg_model_free(&f->model);
    sg_corpus_free(&f->corpus);
    free(f);
    return result;
}

static void test_scores(void **state)
{
    const fixture *f = *state;
    sipgpu_model *model;
    int n = f->corpus.classes;
    sipgpu_score *all = calloc((size_t)n, sizeof *all), one;
    assert_int_equal(sipgpu_open(&model, f->path, NULL), SIPGPU_OK);
    assert_int_equal(sipgpu_message_types(model), f->corpus.message_types);
    assert_int_equal(sipgpu_classes(model), n);
    for (int m = 1; m <= sipgpu_message_types(model); m++)
        assert_int_equal(sipgpu_type_id(model, sipgpu_type_name(model, m)), m);
    assert_null(sipgpu_type_name(model, 0));
    assert_int_equal(sipgpu_type_id(model, "invite"), 0);
    size_t stride = (size_t)f->corpus.max_length;
    assert_int_equal(
        sipgpu_score_dialogs(model, f->corpus.class_sequence, f->corpus.class_length, n, stride, all),
        SIPGPU_OK);
    for (int c = 0; c < n; c += 17) {
        assert_int_equal(sipgpu_score_dialogs(model, f->corpus.class_sequence + (size_t)c * stride,
                                              &f->corpus.class_length[c], 1, stride, &one),
                         SIPGPU_OK);
        assert_int_equal(one.best_class, all[c].best_class);
        assert_true(fabsf(one.probability - all[c].probability) < 1e-6f);
        assert_int_equal(one.known, f->model.class_train[c] > 0);
        assert_int_equal(one.below_either, one.skewness < 0.5);
        assert_int_equal(one.below_both, 0);
    }
    uint16_t new_dialog[] = {sipgpu_type_id(model, "BYE"), sipgpu_type_id(model, "BYE")}, two = 2;
    assert_int_equal(sipgpu_score_dialogs(model, new_dialog, &two, 1, 2, &one), SIPGPU_OK);
    assert_int_equal(one.known, 0);
    free(all);
    sipgpu_close(model);
}

static void test_refusals(void **state)
{
    const fixture *f = *state;
    sipgpu_model *model;
    sipgpu_score score;
    sipgpu_options wrong = {.precision = "fp8"}, device = {.device = "gpu"}, threads = {.threads = -1};
    uint16_t dialog[] = {1, 2, 99}, length = 3, none = 0, good = 2;
    assert_int_equal(sipgpu_open(&model, "/no/such/model.h5", NULL), SIPGPU_E_IO);
    assert_null(model);
    assert_non_null(strstr(sipgpu_error(), "/no/such/model.h5"));
    assert_int_equal(sipgpu_open(&model, f->path, &wrong), SIPGPU_E_ARGUMENT);
    assert_int_equal(sipgpu_open(&model, f->path, &device), SIPGPU_E_ARGUMENT);
    assert_int_equal(sipgpu_open(&model, f->path, &threads), SIPGPU_E_ARGUMENT);
    assert_int_equal(sipgpu_open(&model, f->path, NULL), SIPGPU_OK);
    assert_int_equal(sipgpu_score_dialogs(model, dialog, &length, 1, 3, &score), SIPGPU_E_ARGUMENT);
    assert_non_null(strstr(sipgpu_error(), "type id 99"));
    assert_int_equal(sipgpu_score_dialogs(model, dialog, &none, 1, 3, &score), SIPGPU_E_ARGUMENT);
    assert_int_equal(sipgpu_score_dialogs(model, dialog, &good, 1, 1, &score), SIPGPU_E_ARGUMENT);
    assert_int_equal(sipgpu_score_dialogs(model, NULL, NULL, 0, 0, NULL), SIPGPU_OK);
    sipgpu_close(model);
    sipgpu_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_scores, set_up, tear_down),
                                       cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
