/* The engine against PyTorch's float64 values: loss, outputs, moments, gradients, weights after Adam. */
#include "engine/engine_fixture.h"
#include "engine/reference_case.h"

typedef struct {
    const char *file;
    sg_precision precision;
    sg_batching batching;
    double tolerance;
} variant;

static void check_outputs(const reference_case *c, sg_engine *engine, double tolerance)
{
    size_t n = (size_t)c->spec.classes, rows = (size_t)c->rows;
    float *p = calloc(rows * n, sizeof *p), *got = calloc(rows * n, sizeof *got);
    double *moment[2] = {calloc(rows, sizeof(double)), calloc(rows, sizeof(double))};
    int64_t dims[2] = {c->rows, c->spec.classes};
    sg_outputs outputs;
    assert_ok(sg_outputs_alloc(&outputs, c->set.count, c->spec.classes, true));
    assert_ok(sg_engine_infer_all(engine, &c->set, &outputs));
    assert_ok(sg_h5_read(&c->file, "/probabilities", H5T_NATIVE_FLOAT, 2, dims, p));
    assert_ok(sg_h5_read(&c->file, "/skewness", H5T_NATIVE_DOUBLE, 1, dims, moment[0]));
    assert_ok(sg_h5_read(&c->file, "/kurtosis", H5T_NATIVE_DOUBLE, 1, dims, moment[1]));
    for (size_t b = 0; b < rows; b++) {
        size_t s = (size_t)c->row_sequence[b];
        memcpy(got + b * n, outputs.probabilities + s * n, n * sizeof *got);
        assert_true(fabs(outputs.skewness[s] - moment[0][b]) <= tolerance);
        assert_true(fabs(outputs.kurtosis[s] - moment[1][b]) <= tolerance);
        assert_true(outputs.p_max[s] == got[b * n + (size_t)outputs.argmax[s]]);
        for (size_t k = 0; k < n; k++)
            assert_true(got[b * n + k] <= outputs.p_max[s]);
    }
    assert_true(relative_error(got, p, rows * n) <= tolerance);
    sg_outputs_free(&outputs);
    free(p);
    free(got);
    free(moment[0]);
    free(moment[1]);
}

static void check_group(const reference_case *c, const char *group, const sg_params *got, double tolerance)
{
    sg_params wanted;
    case_read_params(c, group, &wanted);
    assert_params_near(got, &wanted, tolerance, group);
    sg_params_free(&wanted);
}

static void run_case(void **state)
{
    const variant *v = *state;
    reference_case c;
    sg_engine *engine;
    sg_plan plan = {0};
    sg_params got;
    double loss;
    sg_engine_options options = {.precision = v->precision};
    test_device(&options);
    case_open(&c, v->file);
    sg_status status = sg_engine_open(&engine, &c.spec, &options);
    if (status == SG_E_DEVICE) {
        case_close(&c);
        print_message("skipped: %s\n", sg_error_text());
        skip();
    }
    assert_int_equal(status, SG_OK);
    assert_ok(sg_params_alloc(&got, &c.spec));
    assert_ok(sg_engine_load(engine, &c.params));
    assert_ok(sg_plan_build(&plan, &c.set, c.row_sequence, c.label, c.rows, v->batching, c.mask != NULL));
    if (!c.mask)
        check_outputs(&c, engine, v->tolerance);
    assert_ok(sg_h5_read(&c.file, "/loss", H5T_NATIVE_DOUBLE, 0, NULL, &loss));
    for (int t = 1; t <= 5; t++) {
        sg_batch batch = {.plan = &plan, .mask = c.mask, .update = (uint32_t)t};
        sg_adam adam = {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-7, .update = t};
        sg_step_result result;
        assert_ok(sg_engine_gradients(engine, &batch, &result));
        if (t == 1) {
            assert_true(fabs(result.loss - loss) <= v->tolerance * loss);
            assert_ok(sg_engine_store_gradients(engine, &got));
            check_group(&c, "grads", &got, v->tolerance);
        }
        assert_ok(sg_engine_apply(engine, &adam, NULL));
        assert_ok(sg_engine_store(engine, &got));
        if (t == 1 || t == 5)
            check_group(&c, t == 1 ? "after_adam_1" : "after_adam_5", &got, v->tolerance);
    }
    sg_params_free(&got);
    sg_plan_free(&plan);
    sg_engine_close(engine);
    case_close(&c);
}

typedef struct {
    sg_precision precision;
    const char *name;
    double tolerance;
} precision_case;

static const precision_case precisions[] = {
    {SG_PRECISION_FP32, "fp32", 1e-4}, {SG_PRECISION_BF16, "bf16", 3e-2}, {SG_PRECISION_TF32, "tf32", 2e-3}};
static const char *const files[] = {"case_tiny.h5", "case_one_layer.h5", "case_two_layers.h5",
                                    "case_dropout.h5"};

int main(void)
{
    enum { FILES = 4, PRECISIONS = 3, BATCHINGS = 3, MOST = FILES * PRECISIONS * BATCHINGS };
    static variant variants[MOST];
    static char names[MOST][64];
    struct CMUnitTest tests[MOST] = {{0}};
    int count = 0, precision_count = test_device_is_cpu() ? 2 : PRECISIONS; /* tf32 is for GPUs */
    for (int f = 0; f < FILES; f++) {
        for (int k = 0; k < BATCHINGS * precision_count; k++) {
            const precision_case *p = &precisions[k / BATCHINGS];
            sg_batching batching = (sg_batching)(k % BATCHINGS);
            variants[count] = (variant){files[f], p->precision, batching, p->tolerance};
            snprintf(names[count], sizeof names[count], "%s %s %s", files[f], p->name,
                     sg_batching_name(batching));
            tests[count] = (struct CMUnitTest){names[count], run_case, NULL, NULL, &variants[count]};
            count++;
        }
    }
    return _cmocka_run_group_tests("reference", tests, (size_t)count, NULL, NULL);
}
