/* The element arithmetic that every engine shares, against the C library and by hand. */
#include "engine/cell.h"
#include "engine/cpu/pointwise.h"
#include "testing.h"

static void test_exp_and_tanh(void **state)
{
    (void)state;
    for (double x = -87; x < 88; x += 0.001) {
        double e = exp((double)(float)x), t = tanh((double)(float)x);
        assert_true(fabs((double)sg_exp((float)x) - e) <= 3e-7 * e);
        assert_true(fabs((double)sg_tanh((float)x) - t) <= 3e-7 * fabs(t));
    }
    assert_true(sg_tanh(0.0f) == 0 && sg_exp(0.0f) == 1 && sg_sigmoid(0.0f) == 0.5f);
    assert_true(sg_exp(-1000.0f) > 0 && sg_exp(-1000.0f) < 1e-37f && isfinite(sg_exp(1000.0f)));
    assert_true(isnan(sg_exp(NAN)) && isnan(sg_tanh(NAN)) && isnan(sg_sigmoid(NAN)));
    assert_true(sg_sigmoid(100.0f) == 1 && sg_tanh(-50.0f) == -1);
}

/* Backward against central differences of forward. */
static void test_cell_gradient(void **state)
{
    (void)state;
    const float z[4] = {0.3f, -0.8f, 1.1f, 0.2f}, c0 = -0.6f, dh = 0.7f, dc = -0.4f, step = 1e-2f;
    sg_cell cell = sg_cell_forward(z[0], z[1], z[2], z[3], c0);
    sg_cell_gradient d = sg_cell_backward(cell.i, cell.f, cell.g, cell.o, cell.c, c0, dh, dc);
    const float got[5] = {d.zi, d.zf, d.zg, d.zo, d.c_before};
    for (int k = 0; k < 5; k++) {
        float value[2];
        for (int side = 0; side < 2; side++) {
            float x[5] = {z[0], z[1], z[2], z[3], c0};
            x[k] += side ? step : -step;
            sg_cell y = sg_cell_forward(x[0], x[1], x[2], x[3], x[4]);
            value[side] = dh * y.h + dc * y.c;
        }
        assert_true(fabsf((value[1] - value[0]) / (2 * step) - got[k]) < 2e-4f);
    }
}

static void test_bf16(void **state)
{
    (void)state;
    assert_int_equal(sg_bf16_from_float(1.0f), 0x3f80);
    assert_int_equal(sg_bf16_from_float(1.00390625f), 0x3f80); /* half way: to even */
    assert_int_equal(sg_bf16_from_float(1.01171875f), 0x3f82);
    assert_true(isnan(sg_float_from_bf16(sg_bf16_from_float(NAN))));
    assert_true(isinf(sg_float_from_bf16(sg_bf16_from_float(INFINITY))));
    for (int bits = 0; bits < 0x7f80; bits++)
        assert_int_equal(sg_bf16_from_float(sg_float_from_bf16((uint16_t)bits)), bits);
}

/* A one-hot row reaches 1 in both moments; a constant row counts as 0. */
static void test_moments(void **state)
{
    (void)state;
    const sg_pointwise *row = sg_pointwise_select();
    enum { N = 101 };
    float p[N] = {0};
    double s, k;
    p[17] = 1;
    row->moments(N, p, &s, &k);
    assert_true(fabs(s - 1) < 1e-12 && fabs(k - 1) < 1e-12);
    for (int n = 0; n < N; n++)
        p[n] = 0.25f;
    row->moments(N, p, &s, &k);
    assert_true(s == 0 && k == 0);
}

static void test_softmax_loss(void **state)
{
    (void)state;
    const sg_pointwise *row = sg_pointwise_select();
    enum { N = 37 };
    float x[N], bias[N], q[N];
    int top, top2;
    for (int n = 0; n < N; n++) {
        x[n] = q[n] = sinf((float)n) * 3;
        bias[n] = cosf((float)n);
    }
    double z = 0;
    for (int n = 0; n < N; n++)
        z += exp((double)x[n] + (double)bias[n]);
    double wanted = log(z) - (double)x[5] - (double)bias[5];
    assert_true(fabs(row->softmax_loss(N, x, bias, 5, 0.5f, &top) - wanted) < 1e-5);
    row->softmax(N, q, bias, &top2);
    assert_int_equal(top, top2);
    double sum = 0;
    for (int n = 0; n < N; n++) {
        assert_true(fabsf(x[n] - 0.5f * (q[n] - (n == 5))) < 1e-6f);
        sum += (double)q[n];
    }
    assert_true(fabs(sum - 1) < 1e-6);
    /* A label that is all but excluded has a large loss, not an infinite one. */
    float far[3] = {0, 200, 0}, none[3] = {0};
    assert_true(fabs(row->softmax_loss(3, far, none, 0, 1, &top) - 200) < 1e-4);
    float bad[3] = {0, NAN, 0};
    assert_true(isnan(row->softmax_loss(3, bad, none, 0, 1, &top)));
    float tie[4] = {1, 2, 2, 0}, four[4] = {0};
    row->softmax(4, tie, four, &top);
    assert_int_equal(top, 1);
}

/* Masks are 0 or 1/(1-rate), in the right share, and do not depend on where a row is cut. */
static void test_dropout(void **state)
{
    (void)state;
    const sg_pointwise *row = sg_pointwise_select();
    enum { UNITS = 1003, LOT = 20 };
    float mask[LOT * UNITS], all[LOT * UNITS];
    int kept = 0;
    row->dropout_mask(LOT * UNITS, 3, 9, 0, 0.25f, all);
    for (int b = 0; b < LOT; b++)
        row->dropout_mask(UNITS, 3, 9, b, 0.25f, mask + b * UNITS);
    assert_memory_equal(mask, all, sizeof mask);
    for (int i = 0; i < LOT * UNITS; i++) {
        assert_true(mask[i] == 0 || mask[i] == 1.0f / 0.75f);
        kept += mask[i] != 0;
    }
    assert_true(fabs(kept / (double)(LOT * UNITS) - 0.75) < 0.02);
    row->dropout_mask(LOT * UNITS, 3, 10, 0, 0.25f, mask);
    assert_memory_not_equal(mask, all, sizeof mask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp_and_tanh), cmocka_unit_test(test_cell_gradient),
        cmocka_unit_test(test_bf16),         cmocka_unit_test(test_moments),
        cmocka_unit_test(test_softmax_loss), cmocka_unit_test(test_dropout)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
