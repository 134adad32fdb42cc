/* Matrix products against plain sums in double, at every place where a product is cut into parts, and the
 * same bits at any number of threads. */
#include "testing.h"

#include "base/memory.h"
#include "base/philox.h"
#include "engine/cell.h"
#include "engine/cpu/gemm.h"
#include <omp.h>

enum { THREADS = 4 };
static const int threads[THREADS] = {1, 2, 3, 7};

typedef struct {
    int64_t rows, k, n;
} shape;

/* Sides around the widths of parts (192 columns, 256 rows; 384 for either side of an outer product), with
 * one, two and four parts or more, whole and not. */
static const shape shapes[] = {
    {1, 1, 1},      {1, 7, 28},     {3, 64, 16},    {77, 23, 92},    {255, 13, 52},
    {256, 24, 127}, {257, 37, 128}, {600, 64, 129}, {42, 300, 511},  {513, 5, 512},
    {20, 769, 192}, {1, 100, 1000}, {40, 384, 385}, {65, 385, 1540},
};

static float number(uint64_t seed, int64_t i)
{
    return sg_random_unit(sg_random_at(seed, SG_RANDOM_BENCH, 1, (uint64_t)i)) - 0.5f;
}

/* Memory of exactly this size, so that a sanitizer sees what goes beyond it, filled with NaN. */
static void *poisoned(size_t bytes)
{
    void *memory;
    assert_ok(sg_alloc_bytes(&memory, bytes, 1, "test"));
    memset(memory, 0xff, bytes);
    return memory;
}

/* A matrix of random numbers: as doubles, as an operand, as floats before rounding. */
typedef struct {
    double *exact;
    void *operand;
    float *floats;
} matrix;

static matrix make_matrix(int64_t count, bool bf16, uint64_t seed)
{
    matrix m = {poisoned((size_t)count * sizeof(double)), poisoned((size_t)count * (bf16 ? 2 : 4)),
                poisoned((size_t)count * sizeof(float))};
    for (int64_t i = 0; i < count; i++) {
        m.floats[i] = number(seed, i);
        uint16_t rounded = sg_bf16_from_float(m.floats[i]);
        m.exact[i] = (double)(bf16 ? sg_float_from_bf16(rounded) : m.floats[i]);
        if (bf16)
            ((uint16_t *)m.operand)[i] = rounded;
        else
            ((float *)m.operand)[i] = m.floats[i];
    }
    return m;
}

static void free_matrix(matrix *m)
{
    free(m->exact);
    free(m->operand);
    free(m->floats);
}

/* C [rows, n] against the sum over q of a[i * ai + q * aq] b[q * n + j]. */
static void check(const float *c, shape s, const double *a, int64_t ai, int64_t aq, const double *b)
{
    for (int64_t i = 0; i < s.rows; i++)
        for (int64_t j = 0; j < s.n; j++) {
            double sum = 0, size = 0;
            for (int64_t q = 0; q < s.k; q++) {
                sum += a[i * ai + q * aq] * b[q * s.n + j];
                size += fabs(a[i * ai + q * aq] * b[q * s.n + j]);
            }
            double error = fabs((double)c[i * s.n + j] - sum);
            if (!(error <= 2e-6 * size + 1e-30))
                fail_msg("%d x %d, sum of %d: element (%d, %d) is %g, not %g", (int)s.rows, (int)s.n,
                         (int)s.k, (int)i, (int)j, (double)c[i * s.n + j], sum);
        }
}

/* C = A B by an engine of so many threads; B from [k, n] or, transposed, from [n, k]. */
static float *multiplied(shape s, const matrix *a, const float *b, bool transposed, bool bf16, int count)
{
    sg_gemm *gemm;
    sg_packed *packed;
    float *c = poisoned((size_t)(s.rows * s.n) * sizeof *c);
    omp_set_num_threads(count);
    assert_ok(sg_gemm_open(&gemm, bf16, count));
    assert_ok(sg_packed_make(gemm, s.k, s.n, transposed, &packed));
    assert_ok(sg_packed_fill(packed, b));
    assert_ok(sg_packed_multiply(packed, a->operand, 0, NULL));
    assert_ok(sg_packed_multiply(packed, a->operand, s.rows, c));
    sg_packed_free(packed);
    sg_gemm_close(gemm);
    return c;
}

static void check_products(shape s, bool bf16)
{
    matrix a = make_matrix(s.rows * s.k, bf16, 1), b = make_matrix(s.k * s.n, bf16, 2);
    float *turned = poisoned((size_t)(s.k * s.n) * sizeof *turned), *first = NULL;
    for (int64_t q = 0; q < s.k; q++)
        for (int64_t j = 0; j < s.n; j++)
            turned[j * s.k + q] = b.floats[q * s.n + j];
    for (int t = 0; t < THREADS; t++)
        for (int transposed = 0; transposed < 2; transposed++) {
            float *c = multiplied(s, &a, transposed ? turned : b.floats, transposed, bf16, threads[t]);
            if (!first) {
                check(c, s, a.exact, s.k, 1, b.exact);
                first = c;
                continue;
            }
            assert_memory_equal(c, first, (size_t)(s.rows * s.n) * sizeof *c);
            free(c);
        }
    free(first);
    free(turned);
    free_matrix(&a);
    free_matrix(&b);
}

static void test_products(void **state)
{
    bool bf16 = *(const bool *)*state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check_products(shapes[i], bf16);
}

/* C [m, n] = A^T B, where the sums run over the rows of both. */
static void check_outer(shape s, bool bf16)
{
    matrix a = make_matrix(s.k * s.rows, bf16, 3), b = make_matrix(s.k * s.n, bf16, 4);
    float *first = NULL;
    for (int t = 0; t < THREADS; t++) {
        sg_gemm *gemm;
        float *c = poisoned((size_t)(s.rows * s.n) * sizeof *c);
        omp_set_num_threads(threads[t]);
        assert_ok(sg_gemm_open(&gemm, bf16, threads[t]));
        assert_ok(sg_gemm_outer(gemm, a.operand, b.operand, s.k, s.rows, s.n, c));
        sg_gemm_close(gemm);
        if (!first) {
            check(c, s, a.exact, 1, s.rows, b.exact);
            first = c;
            continue;
        }
        assert_memory_equal(c, first, (size_t)(s.rows * s.n) * sizeof *c);
        free(c);
    }
    free(first);
    free_matrix(&a);
    free_matrix(&b);
}

static void test_outer(void **state)
{
    bool bf16 = *(const bool *)*state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check_outer(shapes[i], bf16);
}

/* Weights that are packed anew leave nothing of the old ones, and a context serves products of many shapes.
 */
static void test_reuse(void **state)
{
    bool bf16 = *(const bool *)*state;
    sg_gemm *gemm;
    sg_packed *packed[2];
    const shape pair[2] = {{300, 40, 150}, {9, 200, 600}};
    omp_set_num_threads(2);
    assert_ok(sg_gemm_open(&gemm, bf16, 2));
    for (int p = 0; p < 2; p++)
        assert_ok(sg_packed_make(gemm, pair[p].k, pair[p].n, false, &packed[p]));
    for (int round = 0; round < 4; round++)
        for (int p = 0; p < 2; p++) {
            shape s = pair[p];
            s.rows -= round;
            matrix a = make_matrix(s.rows * s.k, bf16, 5 + (uint64_t)round),
                   b = make_matrix(s.k * s.n, bf16, 50 + (uint64_t)round);
            float *c = poisoned((size_t)(s.rows * s.n) * sizeof *c);
            assert_ok(sg_packed_fill(packed[p], b.floats));
            assert_ok(sg_packed_multiply(packed[p], a.operand, s.rows, c));
            check(c, s, a.exact, s.k, 1, b.exact);
            free(c);
            free_matrix(&a);
            free_matrix(&b);
        }
    for (int p = 0; p < 2; p++)
        sg_packed_free(packed[p]);
    sg_gemm_close(gemm);
}

static bool fp32 = false, bf16 = true;

#define BOTH(test)                             \
    {#test " fp32", test, NULL, NULL, &fp32},  \
    {                                          \
#test " bf16", test, NULL, NULL, &bf16 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {BOTH(test_products), BOTH(test_outer), BOTH(test_reuse)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
