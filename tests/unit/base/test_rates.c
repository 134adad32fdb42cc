/* Wilson's interval against values computed with 40 digits. */
#include "base/rates.h"
#include "testing.h"

static void near(double value, double wanted)
{
    if (fabs(value - wanted) > 1e-9)
        fail_msg("%.12f is not %.12f", value, wanted);
}

static void known_intervals(void **state)
{
    (void)state;
    sg_rate r = sg_rate_make(360, 362); /* the paper's threshold rule */
    near(r.value, 360.0 / 362.0);
    near(r.low, 0.980082390732);
    near(r.high, 0.998483573755);
    r = sg_rate_make(1, 10);
    near(r.low, 0.017876213095);
    near(r.high, 0.404150026795);
}

static void ends_are_exact(void **state)
{
    (void)state;
    sg_rate r = sg_rate_make(0, 5242);
    assert_true(r.value == 0 && r.low == 0 && r.high > 0 && r.high < 0.001);
    r = sg_rate_make(9331, 9331);
    assert_true(r.value == 1 && r.high == 1 && r.low < 1 && r.low > 0.999);
}

static void nothing_to_count(void **state)
{
    (void)state;
    sg_rate r = sg_rate_make(0, 0);
    assert_true(isnan(r.value) && r.low == 0 && r.high == 1);
}

/* The interval holds the share, and narrows with the count. */
static void intervals_make_sense(void **state)
{
    (void)state;
    for (int64_t n = 1; n < 60; n++)
        for (int64_t k = 0; k <= n; k++) {
            sg_rate r = sg_rate_make(k, n), mirror = sg_rate_make(n - k, n),
                    tenfold = sg_rate_make(10 * k, 10 * n);
            assert_true(r.low >= 0 && r.low <= r.value && r.value <= r.high && r.high <= 1);
            near(mirror.high, 1 - r.low);
            assert_true(tenfold.high - tenfold.low < r.high - r.low);
        }
}

/* Binomial tails by their definition, term by term from the first. */
static void mcnemar_by_definition(void **state)
{
    (void)state;
    for (int n = 0; n <= 40; n++)
        for (int k = 0; k <= n; k++) {
            const int least = k < n - k ? k : n - k;
            double term = pow(0.5, n), tail = 0;
            for (int i = 0; i <= least; i++) {
                tail += term;
                term *= (double)(n - i) / (i + 1);
            }
            if (fabs(sg_mcnemar_exact(k, n - k) - fmin(1, 2 * tail)) > 1e-12)
                fail_msg("%d of %d: %.15g is not %.15g", k, n, sg_mcnemar_exact(k, n - k), fmin(1, 2 * tail));
        }
}

/* Far more than a table holds: a normal distribution is near, nothing overflows. */
static void mcnemar_of_many(void **state)
{
    (void)state;
    const double p = sg_mcnemar_exact(500000, 501960); /* z = 1.96 with the correction for continuity */
    assert_true(p > 0.049 && p < 0.051);
    assert_true(sg_mcnemar_exact(1000000, 1000000) == 1);
    assert_true(sg_mcnemar_exact(0, 100000) < 1e-300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_intervals),       cmocka_unit_test(ends_are_exact),
        cmocka_unit_test(nothing_to_count),      cmocka_unit_test(intervals_make_sense),
        cmocka_unit_test(mcnemar_by_definition), cmocka_unit_test(mcnemar_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
