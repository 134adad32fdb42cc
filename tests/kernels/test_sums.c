/* Sums over rows, the norm of the gradient and Adam against their twins. */
#include "kernels/kernel_testing.h"

/* ---- sums over rows ---- */

typedef struct {
    int columns, rows, groups, chunk_rows;
    sg_operand operand;
    bool members, kernel;
} sums_shape;

/* Cuts the rows of each group into chunks of at most chunk_rows; a group may be empty. */
static void cut(const sums_shape *shape, sg_row_sums *s)
{
    size_t rows = (size_t)shape->rows, groups = (size_t)shape->groups;
    int32_t *member = host_new(rows, 4), *chunk_first = host_new(rows + groups + 1, 4);
    int32_t *group_first = host_new(groups + 1, 4), *group = host_new(rows, 4);
    int count = 0, chunks = 0;
    for (int r = 0; r < shape->rows; r++)
        group[r] = (int32_t)random_below((uint32_t)shape->groups);
    for (int g = 0; g < shape->groups; g++) {
        group_first[g] = chunks;
        int in_chunk = 0;
        for (int r = 0; r < shape->rows; r++) {
            if (group[r] != g)
                continue;
            if (in_chunk++ % shape->chunk_rows == 0)
                chunk_first[chunks++] = count;
            member[count++] = r;
        }
        if (g % 5 == 3) /* a chunk may be empty, too */
            chunk_first[chunks++] = count;
    }
    group_first[shape->groups] = chunks;
    chunk_first[chunks] = count;
    s->chunks = chunks;
    s->member = shape->members ? member : NULL;
    s->chunk_first = chunk_first;
    s->group_first = group_first;
}

static void check_row_sums(sums_shape shape)
{
    size_t n = (size_t)shape.columns, rows = (size_t)shape.rows, size = operand_size(shape.operand);
    sg_row_sums a = {.columns = shape.columns, .groups = shape.groups, .operand = shape.operand}, b;
    cut(&shape, &a);
    a.matrix = random_integers(rows * n, shape.operand, 9);
    size_t chunks = (size_t)a.chunks,
           kernel_rows = shape.kernel && shape.groups > 1 ? (size_t)shape.groups - 1 : 0;
    b = a;
    b.matrix = input(a.matrix, rows * n * size);
    b.member = input(a.member, rows * 4);
    b.chunk_first = input(a.chunk_first, (chunks + 1) * 4);
    b.group_first = input(a.group_first, ((size_t)shape.groups + 1) * 4);
    output *kernel = output_new(kernel_rows * n * 4, NULL), *total = output_new(n * 4, NULL);
    output *partial = output_new(chunks * n * 4, NULL);
    a.kernel = shape.kernel ? kernel->host : NULL;
    b.kernel = shape.kernel ? kernel->device : NULL;
    a.total = total->host;
    b.total = total->device;
    b.partial = partial->device;
    run(sg_kernel_row_sums(&b, NULL), sg_twin_row_sums(&a));
    assert_bits(kernel);
    assert_bits(total);
}

static void test_row_sums(void **state)
{
    static const sums_shape shapes[] = {
        {5968, 150, 19, 16, SG_OPERAND_FLOAT, true, true}, {1492, 400, 1, 32, SG_OPERAND_FLOAT, false, false},
        {640, 700, 3, 8, SG_OPERAND_BF16, true, true},     {640, 700, 2, 3, SG_OPERAND_BF16, true, false},
        {513, 90, 7, 5, SG_OPERAND_FLOAT, true, true},     {129, 33, 1, 1, SG_OPERAND_BF16, false, false},
        {1, 1, 1, 4, SG_OPERAND_FLOAT, false, false},      {4, 600, 1, 1, SG_OPERAND_FLOAT, false, false},
        {20, 0, 1, 4, SG_OPERAND_FLOAT, false, false},     {20, 0, 3, 4, SG_OPERAND_FLOAT, true, true},
        {36, 5, 40, 2, SG_OPERAND_BF16, true, true},       {0, 5, 4, 2, SG_OPERAND_FLOAT, true, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        begin();
        check_row_sums(shapes[i]);
        misalign(true);
        check_row_sums(shapes[i]);
        end(NULL);
    }
}

/* Sums of numbers that are not whole: to rounding. */
static void test_row_sums_rounded(void **state)
{
    (void)state;
    begin();
    enum { ROWS = 3000, COLUMNS = 44, CHUNK = 16, CHUNKS = (ROWS + CHUNK - 1) / CHUNK };
    float *matrix = random_floats(ROWS * COLUMNS, -1, 1);
    int32_t *first = host_new(CHUNKS + 1, 4), *group = host_new(2, 4);
    for (int j = 0; j <= CHUNKS; j++)
        first[j] = j * CHUNK < ROWS ? j * CHUNK : ROWS;
    group[1] = CHUNKS;
    output *total = output_new(COLUMNS * 4, NULL), *partial = output_new(CHUNKS * COLUMNS * 4, NULL);
    sg_row_sums a = {.columns = COLUMNS,
                     .chunks = CHUNKS,
                     .groups = 1,
                     .matrix = matrix,
                     .chunk_first = first,
                     .group_first = group,
                     .total = total->host},
                b = a;
    b.matrix = input(matrix, ROWS * COLUMNS * 4);
    b.chunk_first = input(first, (CHUNKS + 1) * 4);
    b.group_first = input(group, 2 * 4);
    b.partial = partial->device;
    b.total = total->device;
    run(sg_kernel_row_sums(&b, NULL), sg_twin_row_sums(&a));
    assert_near(total, SG_OPERAND_FLOAT, 2e-6);
}

/* ---- the norm ---- */

static void check_norm(int64_t count, float last, int32_t failed, int32_t failed_then)
{
    size_t n = (size_t)count, chunks = (n + SG_NORM_CHUNK - 1) / SG_NORM_CHUNK;
    float *gradient = random_floats(n, -1, 1);
    sg_outcome before = {.loss = 5, .norm = 7, .right = 11, .failed = failed, .reserved = 13};
    if (count > 0)
        gradient[count - 1] = last;
    output *partial = doubles_new(chunks), *out = output_new(sizeof before, &before);
    run(sg_kernel_norm(count, input(gradient, n * 4), partial->device, out->device, NULL),
        sg_twin_norm(count, gradient, partial->host, out->host));
    const sg_outcome *a = out->result, *b = out->host;
    if (isfinite(b->norm)) {
        assert_near_doubles(partial, 1e-13);
        assert_true(fabs(a->norm - b->norm) <= 1e-13 * b->norm);
    } else {
        assert_false(isfinite(a->norm));
    }
    assert_int_equal(a->failed, failed_then);
    assert_int_equal(b->failed, failed_then);
    assert_true(a->loss == 5 && a->right == 11 && a->reserved == 13);
}

static void test_norm(void **state)
{
    (void)state;
    begin();
    check_norm(0, 0, 0, 0);
    check_norm(1, 3, 0, 0);
    check_norm(1023, 1, 0, 0);
    check_norm(SG_NORM_CHUNK, 1, 0, 0);
    check_norm(SG_NORM_CHUNK + 1, 100, 0, 0);
    check_norm(5 * SG_NORM_CHUNK - 3, 1, 0, 0);
    check_norm(300 * SG_NORM_CHUNK + 4, 1, 0, 0);
    check_norm(100, 3e38f, 0, 0); /* its square overflows a float */
    check_norm(40000, NAN, 0, 2);
    check_norm(5, INFINITY, 0, 2);
    check_norm(5, INFINITY, 1, 1);
    check_norm(500, 1, 2, 2);
}

/* ---- Adam ---- */

static void check_adam(int64_t count, bool bf16, double clip_norm, sg_outcome outcome)
{
    size_t n = (size_t)count;
    float *gradient = random_floats(n, -2, 2);
    output *w = output_new(n * 4, random_floats(n, -1, 1)), *m = output_new(n * 4, random_floats(n, -1, 1));
    output *v = output_new(n * 4, random_floats(n, 0.01f, 1)), *w_bf16 = output_new(bf16 ? n * 2 : 0, NULL);
    sg_adam_update a = {.count = count,
                        .w = w->host,
                        .m = m->host,
                        .v = v->host,
                        .gradient = gradient,
                        .w_bf16 = bf16 ? w_bf16->host : NULL,
                        .rate = 1e-3f,
                        .gain1 = 0.1f,
                        .gain2 = 1e-3f,
                        .epsilon = 1e-7f,
                        .clip_norm = clip_norm,
                        .outcome = &outcome},
                   b = a;
    b.w = w->device;
    b.m = m->device;
    b.v = v->device;
    b.gradient = input(gradient, n * 4);
    b.w_bf16 = bf16 ? w_bf16->device : NULL;
    b.outcome = input(&outcome, sizeof outcome);
    run(sg_kernel_adam(&b, NULL), sg_twin_adam(&a));
    assert_near(w, SG_OPERAND_FLOAT, 1e-6);
    assert_near(m, SG_OPERAND_FLOAT, 1e-6);
    assert_near(v, SG_OPERAND_FLOAT, 1e-6);
    for (size_t i = 0; bf16 && i < n; i++) {
        uint16_t wanted = outcome.failed ? 0xffff : sg_bf16_from_float(((const float *)w->result)[i]);
        assert_int_equal(((const uint16_t *)w_bf16->result)[i], wanted);
    }
    if (outcome.failed) {
        assert_bits(w);
        assert_bits(m);
        assert_bits(v);
    }
}

static void test_adam(void **state)
{
    static const int64_t counts[] = {0, 1, 3, 4, 5, 1023, 1024, 1028, 70002};
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        begin();
        for (int bf16 = 0; bf16 < 2; bf16++) {
            check_adam(counts[i], bf16, 0, (sg_outcome){.norm = 50});
            check_adam(counts[i], bf16, 1, (sg_outcome){.norm = 50});
            check_adam(counts[i], bf16, 1, (sg_outcome){.norm = 0.5});
            check_adam(counts[i], bf16, 1, (sg_outcome){.norm = NAN, .failed = 2});
        }
        end(NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        kernel_test(test_row_sums),
        kernel_test(test_row_sums_rounded),
        kernel_test(test_norm),
        kernel_test(test_adam),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
