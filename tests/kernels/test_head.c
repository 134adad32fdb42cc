/* The kernels between the states of the leaves and the dense layer against their twins. */
#include "kernels/kernel_testing.h"

static int32_t *random_rows(int count, int rows)
{
    int32_t *row = host_new((size_t)count, sizeof *row);
    for (int k = 0; k < count; k++)
        row[k] = (int32_t)random_below((uint32_t)rows);
    return row;
}

/* ---- dropout ---- */

static void check_dropout(int heads, int units, int width, float rate, bool given)
{
    enum { ROWS = 50 };
    size_t k = (size_t)heads, n = (size_t)units;
    sg_dropout a = {.heads = heads, .units = units, .width = width, .seed = 77, .update = 12, .rate = rate},
               b;
    a.row = random_rows(heads, ROWS);
    a.given = given ? random_floats(ROWS * n, 0, 2) : NULL;
    output *scale = output_new(k * (size_t)width * 4, NULL);
    b = a;
    b.row = input(a.row, k * 4);
    b.given = input(a.given, ROWS * n * 4);
    a.scale = scale->host;
    b.scale = scale->device;
    run(sg_kernel_dropout(&b, NULL), sg_twin_dropout(&a));
    assert_bits(scale);
}

static void test_dropout(void **state)
{
    (void)state;
    begin();
    for (int given = 0; given < 2; given++) {
        check_dropout(9, 1492, 1492, 0.5f, given);
        check_dropout(7, 1490, 1496, 0.25f, given);
        check_dropout(13, 23, 23, 0.5f, given);
        check_dropout(1, 1, 1, 0.0f, given);
        check_dropout(5, 3, 40, 0.5f, given);
        check_dropout(70, 130, 133, 0.9f, given);
        check_dropout(0, 4, 4, 0.5f, given);
        misalign(true);
        check_dropout(3, 64, 64, 0.5f, given);
        misalign(false);
    }
}

/* ---- gather ---- */

static void check_gather(int heads, int units, sg_operand operand, bool computed, bool scaled)
{
    enum { ROWS = 37 };
    size_t k = (size_t)heads, n = (size_t)units, size = operand_size(operand);
    sg_gather a = {.heads = heads, .units = units, .operand = operand}, b;
    a.source_row = random_rows(heads, ROWS);
    a.gates = computed ? random_floats(ROWS * 4 * n, 0, 1) : NULL;
    a.c = computed ? random_floats(ROWS * n, -3, 3) : NULL;
    a.h = computed ? NULL : random_operand(ROWS * n, operand, -1, 1);
    a.scale = scaled ? random_integers(k * n, SG_OPERAND_FLOAT, 2) : NULL;
    output *out = output_new(k * n * size, NULL);
    b = a;
    b.source_row = input(a.source_row, k * 4);
    b.gates = input(a.gates, ROWS * 4 * n * 4);
    b.c = input(a.c, ROWS * n * 4);
    b.h = input(a.h, ROWS * n * size);
    b.scale = input(a.scale, k * n * 4);
    a.out = out->host;
    b.out = out->device;
    run(sg_kernel_gather(&b, NULL), sg_twin_gather(&a));
    if (computed)
        assert_near(out, operand, 1e-6);
    else
        assert_bits(out);
}

static void test_gather(void **state)
{
    (void)state;
    for (int round = 0; round < 8; round++) {
        begin();
        sg_operand operand = round & 1 ? SG_OPERAND_BF16 : SG_OPERAND_FLOAT;
        check_gather(11, 1492, operand, round & 2, round & 4);
        check_gather(1, 4, operand, round & 2, round & 4);
        check_gather(45, 130, operand, round & 2, round & 4);
        check_gather(3, 1, operand, round & 2, round & 4);
        check_gather(0, 8, operand, round & 2, round & 4);
        misalign(true);
        check_gather(5, 68, operand, round & 2, round & 4);
        end(NULL);
    }
}

/* ---- sums over the heads of a leaf ---- */

static void check_sum_heads(int leaves, int units, int most, bool scaled)
{
    size_t n = (size_t)units;
    int32_t *first = host_new((size_t)leaves + 1, 4);
    for (int l = 0; l < leaves; l++)
        first[l + 1] = first[l] + (int32_t)random_below((uint32_t)most + 1);
    size_t heads = (size_t)first[leaves];
    float *gradient = random_integers(heads * n, SG_OPERAND_FLOAT, 9);
    float *scale = scaled ? random_integers(heads * n, SG_OPERAND_FLOAT, 2) : NULL;
    output *sum = output_new((size_t)leaves * n * 4, NULL);
    run(sg_kernel_sum_heads(leaves, units, input(first, ((size_t)leaves + 1) * 4),
                            input(gradient, heads * n * 4), input(scale, heads * n * 4), sum->device, NULL),
        sg_twin_sum_heads(leaves, units, first, gradient, scale, sum->host));
    assert_bits(sum);
}

static void test_sum_heads(void **state)
{
    (void)state;
    begin();
    for (int scaled = 0; scaled < 2; scaled++) {
        check_sum_heads(12, 1492, 9, scaled);
        check_sum_heads(1, 4, 1, scaled);
        check_sum_heads(66, 37, 3, scaled);
        check_sum_heads(4, 7, 30, scaled);
        check_sum_heads(3, 8, 0, scaled);
        check_sum_heads(0, 8, 5, scaled);
        misalign(true);
        check_sum_heads(5, 20, 5, scaled);
        misalign(false);
    }
}

/* ---- loss and right answers ---- */

static void check_batch_result(int heads, double last_loss, int32_t failed, int32_t failed_then)
{
    size_t k = (size_t)heads;
    double *loss = host_new(k, sizeof *loss);
    int32_t *argmax = random_rows(heads, 3), *label = random_rows(heads, 3);
    float *weight = host_new(k, sizeof *weight);
    sg_outcome before = {.loss = 5, .norm = 7, .right = 11, .failed = failed, .reserved = 13};
    for (int i = 0; i < heads; i++) {
        loss[i] = (double)random_float(0, 8);
        weight[i] = (float)random_below(20) + 1;
    }
    if (heads > 0)
        loss[heads - 1] = last_loss;
    output *out = output_new(sizeof before, &before);
    run(sg_kernel_batch_result(heads, input(loss, k * 8), input(argmax, k * 4), input(label, k * 4),
                               input(weight, k * 4), 1.0 / 933, out->device, NULL),
        sg_twin_batch_result(heads, loss, argmax, label, weight, 1.0 / 933, out->host));
    const sg_outcome *a = out->result, *b = out->host;
    if (isfinite(b->loss))
        assert_true(fabs(a->loss - b->loss) <= 1e-13 * fabs(b->loss));
    else
        assert_false(isfinite(a->loss));
    assert_int_equal(a->right, b->right);
    assert_int_equal(a->failed, failed_then);
    assert_int_equal(b->failed, failed_then);
    assert_true(a->norm == 7 && a->reserved == 13);
}

static void test_batch_result(void **state)
{
    (void)state;
    begin();
    check_batch_result(1, 2, 0, 0);
    check_batch_result(31, 2, 0, 0);
    check_batch_result(256, 0, 0, 0);
    check_batch_result(933, 1.5, 0, 0);
    check_batch_result(0, 0, 0, 0);
    check_batch_result(300, NAN, 0, 1);
    check_batch_result(2, INFINITY, 0, 1);
    check_batch_result(40, NAN, 2, 2);
    check_batch_result(40, 1, 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        kernel_test(test_dropout),
        kernel_test(test_gather),
        kernel_test(test_sum_heads),
        kernel_test(test_batch_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
