/* The limits of section IV-C against NumPy's mean - var, and the two readings of the rule. */
#include "detect/threshold.h"
#include "detection_case.h"

static void matches_the_reference(void **state)
{
    (void)state;
    static detection_case c;
    read_detection_case(&c);
    sg_threshold t;
    assert_ok(sg_threshold_fit(&t, c.train_skewness, c.train_kurtosis, NULL, CASE_TRAIN));
    assert_true(fabs(t.skewness.lambda - c.lambda[0]) < 1e-12);
    assert_true(fabs(t.kurtosis.lambda - c.lambda[1]) < 1e-12);
    for (int i = 0; i < CASE_TEST; i++) {
        assert_int_equal(sg_threshold_is_abnormal(&t, SG_RULE_BOTH, c.skewness[i], c.kurtosis[i]), c.both[i]);
        assert_int_equal(sg_threshold_is_abnormal(&t, SG_RULE_EITHER, c.skewness[i], c.kurtosis[i]),
                         c.either[i]);
    }
}

static void weights_count_as_repetitions(void **state)
{
    (void)state;
    const double s[] = {0.9, 0.4, 0.7}, k[] = {0.8, 0.1, 0.2};
    const int64_t weight[] = {3, 0, 1};
    const double s_long[] = {0.9, 0.9, 0.9, 0.7}, k_long[] = {0.8, 0.8, 0.8, 0.2};
    sg_threshold a, b;
    assert_ok(sg_threshold_fit(&a, s, k, weight, 3));
    assert_ok(sg_threshold_fit(&b, s_long, k_long, NULL, 4));
    assert_true(fabs(a.skewness.lambda - b.skewness.lambda) < 1e-15);
    assert_true(fabs(a.kurtosis.variance - b.kurtosis.variance) < 1e-15);
    assert_true(fabs(a.skewness.mean - 0.85) < 1e-15);
    assert_true(fabs(a.skewness.variance - 0.0075) < 1e-15); /* the population's */
}

/* Equal moments: no variance, and the limit itself is not below the limit. */
static void equal_moments_are_normal(void **state)
{
    (void)state;
    const double one[] = {1.0, 1.0, 1.0};
    sg_threshold t;
    assert_ok(sg_threshold_fit(&t, one, one, NULL, 3));
    assert_true(t.skewness.lambda == 1.0 && t.skewness.variance == 0.0);
    assert_false(sg_threshold_is_abnormal(&t, SG_RULE_EITHER, 1.0, 1.0));
    assert_true(sg_threshold_is_abnormal(&t, SG_RULE_EITHER, 0.999, 1.0));
    assert_false(sg_threshold_is_abnormal(&t, SG_RULE_BOTH, 0.999, 1.0));
    assert_true(sg_threshold_is_abnormal(&t, SG_RULE_BOTH, 0.999, 0.999));
}

static void no_train_dialogs(void **state)
{
    (void)state;
    const double one[] = {1.0};
    const int64_t none[] = {0};
    sg_threshold t;
    assert_fails(SG_E_CONFIG, "no train dialogs", sg_threshold_fit(&t, one, one, none, 1));
    assert_fails(SG_E_CONFIG, "no train dialogs", sg_threshold_fit(&t, one, one, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_the_reference),
        cmocka_unit_test(weights_count_as_repetitions),
        cmocka_unit_test(equal_moments_are_normal),
        cmocka_unit_test(no_train_dialogs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
