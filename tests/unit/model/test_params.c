/* Starting weights are Keras', and the same for the same seed. */
#include "model/params.h"
#include "testing.h"

static const sg_spec spec = {.message_types = 5, .max_length = 12, .units = 24, .classes = 17, .layers = 2};

static void test_layout(void **state)
{
    (void)state;
    sg_layout layout;
    sg_layout_make(&layout, &spec);
    assert_int_equal(layout.tensors, 8);
    assert_string_equal(layout.tensor[layout.kernel[1]].name, "lstm_1/kernel");
    assert_int_equal(layout.tensor[layout.kernel[0]].dims[0], 5);
    assert_int_equal(layout.tensor[layout.kernel[1]].dims[0], 24);
    assert_int_equal(layout.tensor[layout.dense_kernel].count, 24 * 17);
    for (int k = 0; k < layout.tensors; k++) {
        assert_int_equal(layout.tensor[k].offset % 16, 0);
        if (k > 0)
            assert_true(layout.tensor[k].offset >= layout.tensor[k - 1].offset + layout.tensor[k - 1].count);
    }
}

/* R R^T = I to rounding, with Keras' sign convention. */
static void check_orthogonal(const float *r, int units)
{
    for (int a = 0; a < units; a++) {
        assert_true(r[(size_t)a * 4 * (size_t)units + (size_t)a] != 0);
        for (int b = 0; b <= a; b++) {
            double dot = 0;
            for (size_t k = 0; k < 4 * (size_t)units; k++)
                dot += (double)r[(size_t)a * 4 * (size_t)units + k] *
                       (double)r[(size_t)b * 4 * (size_t)units + k];
            assert_true(fabs(dot - (a == b)) < 1e-5);
        }
    }
}

static void test_keras_start(void **state)
{
    (void)state;
    sg_params p, q;
    sg_init_options options = {.seed = 7, .forget_bias = 1};
    assert_ok(sg_params_alloc(&p, &spec));
    assert_ok(sg_params_alloc(&q, &spec));
    assert_ok(sg_params_init(&p, &spec, &options));
    assert_ok(sg_params_init(&q, &spec, &options));
    assert_memory_equal(p.data, q.data, p.layout.count * sizeof(float));
    const sg_tensor *kernel = &p.layout.tensor[p.layout.kernel[0]];
    double limit = sqrt(6.0 / (5 + 96)), sum = 0, largest = 0;
    for (size_t i = 0; i < kernel->count; i++) {
        double x = (double)p.data[kernel->offset + i];
        assert_true(fabs(x) <= limit);
        largest = fabs(x) > largest ? fabs(x) : largest;
        sum += x;
    }
    assert_true(largest > 0.95 * limit && fabs(sum / (double)kernel->count) < 0.1 * limit);
    const float *bias = sg_params_at(&p, p.layout.bias[1]);
    for (int u = 0; u < 96; u++)
        assert_true(bias[u] == (u / 24 == 1 ? 1.0f : 0.0f));
    check_orthogonal(sg_params_at(&p, p.layout.recurrent[0]), 24);
    check_orthogonal(sg_params_at(&p, p.layout.recurrent[1]), 24);
    options.seed = 8;
    assert_ok(sg_params_init(&q, &spec, &options));
    assert_memory_not_equal(p.data, q.data, p.layout.count * sizeof(float));
    sg_params_free(&p);
    sg_params_free(&q);
}

static void test_chrono(void **state)
{
    (void)state;
    sg_params p;
    sg_init_options options = {.seed = 1, .chrono = true, .recurrent = SG_RECURRENT_NORMAL};
    assert_ok(sg_params_alloc(&p, &spec));
    assert_ok(sg_params_init(&p, &spec, &options));
    const float *bias = sg_params_at(&p, p.layout.bias[0]);
    for (int u = 0; u < 24; u++) {
        assert_true(bias[24 + u] >= 0 && bias[24 + u] <= logf(11) + 1e-6f);
        assert_true(bias[u] == -bias[24 + u]);
    }
    const sg_tensor *r = &p.layout.tensor[p.layout.recurrent[0]];
    double square = 0;
    for (size_t i = 0; i < r->count; i++)
        square += (double)p.data[r->offset + i] * (double)p.data[r->offset + i];
    assert_true(fabs(square / (double)r->count * 24 - 1) < 0.1);
    sg_params_free(&p);
}

static void test_finite(void **state)
{
    (void)state;
    sg_params p;
    assert_ok(sg_params_alloc(&p, &spec));
    assert_ok(sg_params_check_finite(&p));
    sg_params_at(&p, p.layout.dense_bias)[3] = NAN;
    assert_fails(SG_E_NUMERIC, "dense/bias", sg_params_check_finite(&p));
    sg_params_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layout), cmocka_unit_test(test_keras_start),
                                       cmocka_unit_test(test_chrono), cmocka_unit_test(test_finite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
