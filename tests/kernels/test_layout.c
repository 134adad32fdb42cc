/* Conversions, transposes and scatters against their twins, all bit for bit. */
#include "kernels/kernel_testing.h"

static sg_operand operand_of(int bit)
{
    return bit ? SG_OPERAND_BF16 : SG_OPERAND_FLOAT;
}

/* ---- convert ---- */

static void check_convert(int64_t count, sg_operand from, sg_operand to)
{
    size_t n = (size_t)count;
    void *data = random_operand(n, from, -1000, 1000);
    output *out = output_new(n * operand_size(to), NULL);
    run(sg_kernel_convert(count, input(data, n * operand_size(from)), from, out->device, to, NULL),
        sg_twin_convert(count, data, from, out->host, to));
    assert_bits(out);
}

static void test_convert(void **state)
{
    static const int64_t counts[] = {0, 1, 2, 3, 4, 7, 1024, 4096, 4100, 4101, 50003, 50004};
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        begin();
        for (int types = 0; types < 4; types++) {
            check_convert(counts[i], operand_of(types & 1), operand_of(types & 2));
            misalign(true);
            check_convert(counts[i], operand_of(types & 1), operand_of(types & 2));
            misalign(false);
        }
        end(NULL);
    }
}

/* Rounding is to even, and what is not finite stays so. */
static void test_convert_edges(void **state)
{
    static const float edges[] = {
        0,         -0.0f,     NAN,        INFINITY,        -INFINITY, 0x1.00p0f,    0x1.01p0f,
        0x1.03p0f, 0x1.02p0f, 0x1.fffp0f, 0x1.fffffep127f, 1e-40f,    0x1.010002p0f};
    (void)state;
    begin();
    size_t n = sizeof edges / sizeof *edges;
    output *out = output_new(n * 2, NULL);
    run(sg_kernel_convert((int64_t)n, input(edges, sizeof edges), SG_OPERAND_FLOAT, out->device,
                          SG_OPERAND_BF16, NULL),
        sg_twin_convert((int64_t)n, edges, SG_OPERAND_FLOAT, out->host, SG_OPERAND_BF16));
    assert_bits(out);
    const uint16_t *x = out->result;
    assert_true(isnan(sg_float_from_bf16(x[2])) && isinf(sg_float_from_bf16(x[3])));
    assert_true(sg_float_from_bf16(x[6]) == 1 && sg_float_from_bf16(x[7]) == 0x1.04p0f);
}

/* ---- transpose ---- */

static void check_transpose(int rows, int columns, int more_from, int more_to, sg_operand from, sg_operand to)
{
    size_t from_size = (size_t)rows * (size_t)(columns + more_from) * operand_size(from);
    size_t to_size = (size_t)columns * (size_t)(rows + more_to) * operand_size(to);
    sg_transpose a = {.rows = rows,
                      .columns = columns,
                      .from_stride = columns + more_from,
                      .from_type = from,
                      .to_stride = rows + more_to,
                      .to_type = to},
                 b;
    a.from = random_operand((size_t)rows * (size_t)(columns + more_from), from, -5, 5);
    output *out = output_new(to_size, NULL);
    b = a;
    b.from = input(a.from, from_size);
    a.to = out->host;
    b.to = out->device;
    run(sg_kernel_transpose(&b, NULL), sg_twin_transpose(&a));
    assert_bits(out);
}

static void test_transpose(void **state)
{
    (void)state;
    for (int types = 0; types < 4; types++) {
        begin();
        sg_operand from = operand_of(types & 1), to = operand_of(types & 2);
        check_transpose(1, 1, 0, 0, from, to);
        check_transpose(32, 32, 0, 0, from, to);
        check_transpose(33, 31, 0, 0, from, to);
        check_transpose(1, 100, 3, 5, from, to);
        check_transpose(70, 2, 1, 0, from, to);
        check_transpose(149, 596, 447, 7, from, to);
        check_transpose(0, 5, 0, 1, from, to);
        check_transpose(5, 0, 1, 0, from, to);
        end(NULL);
    }
}

/* ---- one-hot vectors ---- */

static void check_one_hot(int64_t rows, int types, sg_operand operand)
{
    size_t n = (size_t)rows;
    uint16_t *token = host_new(n, sizeof *token);
    for (size_t r = 0; r < n; r++)
        token[r] = (uint16_t)random_below((uint32_t)types + 1);
    output *x = output_new(n * (size_t)types * operand_size(operand), NULL);
    run(sg_kernel_one_hot(rows, types, input(token, n * 2), x->device, operand, NULL),
        sg_twin_one_hot(rows, types, token, x->host, operand));
    assert_bits(x);
}

static void test_one_hot(void **state)
{
    (void)state;
    begin();
    for (int type = 0; type < 2; type++) {
        check_one_hot(1000, 18, operand_of(type));
        check_one_hot(1, 1, operand_of(type));
        check_one_hot(77, 33, operand_of(type));
        check_one_hot(0, 18, operand_of(type));
    }
}

/* ---- scatter to the last step ---- */

static void check_scatter(int steps, int rows, int units, bool scaled, sg_operand operand)
{
    size_t n = (size_t)rows * (size_t)units;
    int32_t *last = host_new((size_t)rows, sizeof *last);
    for (int r = 0; r < rows; r++)
        last[r] = (int32_t)random_below((uint32_t)steps);
    sg_scatter_last a = {.steps = steps, .rows = rows, .units = units, .operand = operand}, b;
    a.last = last;
    a.gradient = random_floats(n, -1, 1);
    a.scale = scaled ? random_integers(n, SG_OPERAND_FLOAT, 2) : NULL;
    output *dy = output_new((size_t)steps * n * operand_size(operand), NULL);
    b = a;
    b.last = input(last, (size_t)rows * 4);
    b.gradient = input(a.gradient, n * 4);
    b.scale = input(a.scale, n * 4);
    a.dy = dy->host;
    b.dy = dy->device;
    run(sg_kernel_scatter_last(&b, NULL), sg_twin_scatter_last(&a));
    assert_bits(dy);
}

static void test_scatter(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        begin();
        sg_operand operand = operand_of(round & 1);
        bool scaled = round & 2;
        check_scatter(56, 9, 132, scaled, operand);
        check_scatter(11, 40, 23, scaled, operand);
        check_scatter(1, 1, 1, scaled, operand);
        check_scatter(3, 2, 1492, scaled, operand);
        check_scatter(5, 0, 8, scaled, operand);
        misalign(true);
        check_scatter(9, 3, 64, scaled, operand);
        end(NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        kernel_test(test_convert), kernel_test(test_convert_edges), kernel_test(test_transpose),
        kernel_test(test_one_hot), kernel_test(test_scatter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
