/* ROC points and area against counting all pairs. */
#include "base/philox.h"
#include "detect/roc.h"
#include "testing.h"

/* P(new < known) + P(equal) / 2 over all pairs of dialogs. */
static double pairwise_auc(const double *score, const int64_t *fresh, const int64_t *known, int count)
{
    double won = 0, pairs = 0;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < count; j++) {
            const double w = (double)fresh[i] * (double)known[j];
            pairs += w;
            won += score[i] < score[j] ? w : score[i] == score[j] ? 0.5 * w : 0;
        }
    return won / pairs;
}

static void matches_brute_force(void **state)
{
    (void)state;
    enum { N = 80 };
    double score[N];
    int64_t fresh[N], known[N];
    for (uint32_t trial = 0; trial < 50; trial++) {
        sg_random random = sg_random_open(3, SG_RANDOM_BENCH, trial);
        for (int i = 0; i < N; i++) {
            score[i] = (double)sg_random_below(&random, trial % 2 ? 12 : 1u << 30) / 7.0;
            fresh[i] = sg_random_below(&random, 4);
            known[i] = sg_random_below(&random, 3);
        }
        sg_roc roc;
        assert_ok(sg_roc_make(&roc, score, fresh, known, N));
        assert_true(fabs(roc.auc - pairwise_auc(score, fresh, known, N)) < 1e-12);
        for (int p = 0; p < roc.count; p++) {
            int64_t detections = 0, alarms = 0;
            for (int i = 0; i < N; i++)
                if (score[i] <= roc.points[p].score) {
                    detections += fresh[i];
                    alarms += known[i];
                }
            assert_int_equal(roc.points[p].detections, detections);
            assert_int_equal(roc.points[p].false_alarms, alarms);
            assert_true(p == 0 || roc.points[p].score > roc.points[p - 1].score);
        }
        assert_true(roc.points[roc.count - 1].p_d == 1 && roc.points[roc.count - 1].p_fa == 1);
        sg_roc_free(&roc);
    }
}

static void extremes(void **state)
{
    (void)state;
    const double score[] = {0.1, 0.2, 0.8, 0.9};
    const int64_t low[] = {1, 2, 0, 0}, high[] = {0, 0, 3, 1}, none[] = {0, 0, 0, 0};
    const double equal[] = {0.5, 0.5, 0.5, 0.5};
    sg_roc roc;
    assert_ok(sg_roc_make(&roc, score, low, high, 4));
    assert_true(roc.auc == 1.0);
    sg_roc_free(&roc);
    assert_ok(sg_roc_make(&roc, score, high, low, 4));
    assert_true(roc.auc == 0.0);
    sg_roc_free(&roc);
    assert_ok(sg_roc_make(&roc, equal, low, high, 4));
    assert_true(roc.auc == 0.5 && roc.count == 2);
    sg_roc_free(&roc);
    assert_ok(sg_roc_make(&roc, score, none, high, 4));
    assert_true(isnan(roc.auc) && isnan(roc.points[1].p_d) && roc.points[roc.count - 1].p_fa == 1);
    sg_roc_free(&roc);
    assert_ok(sg_roc_make(&roc, score, none, none, 4));
    assert_int_equal(roc.count, 1);
    sg_roc_free(&roc);
}

static void refuses_nan(void **state)
{
    (void)state;
    const double score[] = {0.1, NAN};
    const int64_t one[] = {1, 1};
    sg_roc roc;
    assert_fails(SG_E_NUMERIC, "not a number", sg_roc_make(&roc, score, one, one, 2));
    sg_roc_free(&roc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_brute_force),
        cmocka_unit_test(extremes),
        cmocka_unit_test(refuses_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
