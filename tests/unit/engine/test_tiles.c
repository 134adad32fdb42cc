/* Products by AMX tiles against plain sums in double: emulated everywhere, and by the instructions themselves
 * where the processor has them. */
#include "testing.h"

#define SG_AMX_EMULATED
#define sg_tiles_amx emulated_tiles_amx
#include "engine/cpu/tiles.c"
#undef sg_tiles_amx

#include "base/memory.h"
#include "engine/cpu/gemm.h"
#include <math.h>
#include <stdlib.h>

extern const sg_tiles sg_tiles_amx;

/* The instructions themselves, NULL where the processor lacks them. */
static const sg_tiles *real_tiles(void)
{
    const sg_tiles *tiles = NULL;
#ifdef __x86_64__
    if (sg_gemm_bf16_is_fast())
        tiles = &sg_tiles_amx;
#endif
    return tiles;
}

static const sg_tiles *best_tiles(void)
{
    const sg_tiles *real = real_tiles();
    return real ? real : &emulated_tiles_amx;
}

typedef struct {
    int64_t rows, k, n;
} shape;

/* Whole tiles and what is left over; one and several chunks of the sum, and blocks of rows, as tiles.c cuts
 * them. */
static const shape shapes[] = {{1, 1, 1},      {1, 32, 32},    {16, 32, 32}, {17, 33, 31},  {32, 31, 33},
                               {33, 64, 65},   {48, 100, 7},   {5, 1, 100},  {2, 1537, 3},  {70, 1600, 40},
                               {257, 769, 33}, {600, 800, 20}, {40, 2, 300}, {300, 1700, 5}};

/* Memory of exactly this size, so that a sanitizer sees what goes beyond it, filled with bytes that are NaN.
 */
static void *poisoned(size_t bytes)
{
    void *memory;
    assert_int_equal(sg_alloc_bytes(&memory, bytes, 1, "test"), SG_OK);
    memset(memory, 0xff, bytes);
    return memory;
}

static uint16_t *random_bf16(int64_t count, uint64_t seed)
{
    uint16_t *x = poisoned((size_t)count * sizeof *x);
    for (int64_t i = 0; i < count; i++)
        x[i] = sg_bf16_from_float(sg_random_unit(sg_random_at(seed, SG_RANDOM_BENCH, 0, (uint64_t)i)) - 0.5f);
    return x;
}

static float *random_floats(int64_t count, uint64_t seed)
{
    float *x = poisoned((size_t)count * sizeof *x);
    for (int64_t i = 0; i < count; i++)
        x[i] = sg_random_unit(sg_random_at(seed, SG_RANDOM_BENCH, 1, (uint64_t)i)) - 0.5f;
    return x;
}

/* C against the sum over q of left[i, q] right[q, j], elements at i * li + q * lq and q * rq + j. */
static void check(const float *c, int64_t m, int64_t k, int64_t n, const uint16_t *left, int64_t li,
                  int64_t lq, const uint16_t *right)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0, size = 0;
            for (int64_t q = 0; q < k; q++) {
                double term = (double)sg_float_from_bf16(left[i * li + q * lq]) *
                              (double)sg_float_from_bf16(right[q * n + j]);
                sum += term;
                size += fabs(term);
            }
            double error = fabs((double)c[i * n + j] - sum);
            if (!(error <= 1e-6 * size + 1e-30))
                fail_msg("element (%d, %d) of %d x %d, sum of %d: %g, not %g", (int)i, (int)j, (int)m, (int)n,
                         (int)k, (double)c[i * n + j], sum);
        }
}

/* ---- C = A B ---- */

static float *multiplied(const sg_tiles *tiles, const uint16_t *a, const float *b, shape s, bool transposed)
{
    float *c = poisoned((size_t)(s.rows * s.n) * sizeof *c);
    void *panels = poisoned(tiles->size(s.n, s.k)), *work = poisoned(tiles->size(s.rows, s.k));
    tiles->pack(b, s.k, s.n, transposed, panels);
    tiles->multiply(a, s.rows, panels, s.k, s.n, work, c);
    free(panels);
    free(work);
    return c;
}

static void check_multiply(const sg_tiles *tiles, shape s)
{
    uint16_t *a = random_bf16(s.rows * s.k, 1), *rounded = poisoned((size_t)(s.k * s.n) * sizeof *rounded);
    float *b = random_floats(s.k * s.n, 2), *bt = poisoned((size_t)(s.k * s.n) * sizeof *bt);
    for (int64_t q = 0; q < s.k; q++)
        for (int64_t j = 0; j < s.n; j++) {
            rounded[q * s.n + j] = sg_bf16_from_float(b[q * s.n + j]);
            bt[j * s.k + q] = b[q * s.n + j];
        }
    float *c = multiplied(tiles, a, b, s, false), *ct = multiplied(tiles, a, bt, s, true);
    check(c, s.rows, s.k, s.n, a, s.k, 1, rounded);
    assert_memory_equal(c, ct, (size_t)(s.rows * s.n) * sizeof *c);
    free(ct);
    free(c);
    free(bt);
    free(b);
    free(rounded);
    free(a);
}

/* ---- C = A^T B ---- */

static float *outer_product(const sg_tiles *tiles, const uint16_t *a, const uint16_t *b, shape s)
{
    float *c = poisoned((size_t)(s.k * s.n) * sizeof *c);
    void *left = poisoned(tiles->size(s.k, s.rows)), *right = poisoned(tiles->size(s.n, s.rows));
    tiles->outer(a, b, s.rows, s.k, s.n, left, right, c);
    free(left);
    free(right);
    return c;
}

static void check_outer(const sg_tiles *tiles, shape s)
{
    uint16_t *a = random_bf16(s.rows * s.k, 3), *b = random_bf16(s.rows * s.n, 4);
    float *c = outer_product(tiles, a, b, s);
    check(c, s.k, s.rows, s.n, a, 1, s.k, b);
    free(c);
    free(b);
    free(a);
}

static void test_products_of_all_shapes(void **state)
{
    (void)state;
    const sg_tiles *const both[] = {&emulated_tiles_amx, real_tiles()};
    for (int t = 0; t < 2 && both[t]; t++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            check_multiply(both[t], shapes[i]);
            check_outer(both[t], shapes[i]);
            shape turned = {shapes[i].k, shapes[i].n, shapes[i].rows};
            check_outer(both[t], turned);
        }
}

/* ---- what bits depend on ---- */

static void test_threads_do_not_change_bits(void **state)
{
    (void)state;
    const sg_tiles *tiles = best_tiles();
    shape s = {90, 1650, 300};
    uint16_t *a = random_bf16(s.rows * s.k, 5), *b16 = random_bf16(s.rows * s.n, 6);
    float *b = random_floats(s.k * s.n, 7), *products[3], *sums[3];
    int before = omp_get_max_threads();
    for (int t = 0; t < 3; t++) {
        omp_set_num_threads(t + 1);
        products[t] = multiplied(tiles, a, b, s, false);
        sums[t] = outer_product(tiles, a, b16, s);
    }
    omp_set_num_threads(before);
    for (int t = 0; t < 3; t++) {
        assert_memory_equal(products[0], products[t], (size_t)(s.rows * s.n) * sizeof(float));
        assert_memory_equal(sums[0], sums[t], (size_t)(s.k * s.n) * sizeof(float));
    }
    for (int t = 0; t < 3; t++) {
        free(products[t]);
        free(sums[t]);
    }
    free(b);
    free(b16);
    free(a);
}

/* A prefix shared by many dialogs and one computed alone give the same state. */
static void test_a_row_is_the_same_in_any_company(void **state)
{
    (void)state;
    const sg_tiles *tiles = best_tiles();
    shape all = {300, 900, 40};
    uint16_t *a = random_bf16(all.rows * all.k, 8);
    float *b = random_floats(all.k * all.n, 9), *whole_product = multiplied(tiles, a, b, all, false);
    static const int64_t first[] = {0, 15, 16, 100, 299}, count[] = {1, 20, 33, 60, 1};
    for (int i = 0; i < 5; i++) {
        shape part = {count[i], all.k, all.n};
        float *c = multiplied(tiles, a + first[i] * all.k, b, part, false);
        assert_memory_equal(c, whole_product + first[i] * all.n, (size_t)(count[i] * all.n) * sizeof *c);
        free(c);
    }
    free(whole_product);
    free(b);
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products_of_all_shapes),
        cmocka_unit_test(test_threads_do_not_change_bits),
        cmocka_unit_test(test_a_row_is_the_same_in_any_company),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
