/* The engine against PyTorch's float64 values: loss, outputs, moments, gradients, weights after Adam. */
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
    sg_engine_options options = {.device = SG_DEVICE_CPU, .precision = v->precision};
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

#define FP32 1e-4
#define BF16 3e-2
#define VARIANTS(file)                                                                                     \
    {file, SG_PRECISION_FP32, SG_BATCHING_TRIE, FP32}, {file, SG_PRECISION_FP32, SG_BATCHING_DENSE, FP32}, \
        {file, SG_PRECISION_BF16, SG_BATCHING_TRIE, BF16},                                                 \
    {                                                                                                      \
        file, SG_PRECISION_BF16, SG_BATCHING_DENSE, BF16                                                   \
    }

static variant variants[] = {VARIANTS("case_tiny.h5"), VARIANTS("case_one_layer.h5"),
                             VARIANTS("case_two_layers.h5"), VARIANTS("case_dropout.h5")};

int main(void)
{
    enum { COUNT = sizeof variants / sizeof *variants };
    struct CMUnitTest tests[COUNT];
    static char names[COUNT][64];
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "%s %s %s", variants[i].file,
                 variants[i].precision == SG_PRECISION_FP32 ? "fp32" : "bf16",
                 variants[i].batching == SG_BATCHING_TRIE ? "trie" : "dense");
        tests[i] = (struct CMUnitTest){names[i], run_case, NULL, NULL, &variants[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
