/* P_D, its ceiling, and the ensemble of the paper's "Multiple Run". */
#include "experiment/ensemble.h"
#include "experiment/evaluate.h"
#include "small_corpus.h"

static void check_rate(const sg_rate *rate, int64_t hits, int64_t total)
{
    assert_int_equal(rate->hits, hits);
    assert_int_equal(rate->total, total);
}

/* Right answers: classes 0, 1, 2 and 5 (5 by luck: it is not in train). */
static void counts_by_hand(void **state)
{
    (void)state;
    static small_corpus s;
    make_small_corpus(&s);
    const bool known[SMALL_CLASSES] = {true, true, true};
    sg_class_counts counts;
    sg_evaluation e[SG_SPLITS];
    assert_ok(sg_class_counts_make(&counts, &s.corpus));
    assert_int_equal(counts.dialogs[SG_SPLIT_TEST], 8);
    assert_int_equal(counts.unique[SG_SPLIT_TEST], 5);
    sg_evaluate(&counts, s.argmax, NULL, known, e);
    check_rate(&e[SG_SPLIT_TRAIN].p_d, 7, 7);
    check_rate(&e[SG_SPLIT_VALIDATION].p_d, 4, 5);
    check_rate(&e[SG_SPLIT_VALIDATION].ceiling, 2, 5);
    check_rate(&e[SG_SPLIT_TEST].p_d, 5, 8);
    check_rate(&e[SG_SPLIT_TEST].ceiling, 5, 8);
    check_rate(&e[SG_SPLIT_TEST].p_d_known, 5, 5);
    check_rate(&e[SG_SPLIT_TEST].p_d_unique, 3, 5);
    assert_int_equal(e[SG_SPLIT_TEST].unique_known, 3);
    assert_int_equal(e[SG_SPLIT_TEST].no_output, 0);
    sg_class_counts_free(&counts);
}

/* A model whose outputs are numbered otherwise, and that lacks classes 3 and 4. */
static void other_numbering(void **state)
{
    (void)state;
    static small_corpus s;
    make_small_corpus(&s);
    const int32_t class_of[SMALL_CLASSES] = {2, 1, 0, -1, -1, 3};
    const int32_t argmax[SMALL_CLASSES] = {2, 1, 2, -1, 0, 3};
    const bool known[SMALL_CLASSES] = {true, true, true};
    sg_class_counts counts;
    sg_evaluation e[SG_SPLITS];
    assert_ok(sg_class_counts_make(&counts, &s.corpus));
    sg_evaluate(&counts, argmax, class_of, known, e);
    check_rate(&e[SG_SPLIT_TEST].p_d, 4, 8); /* class 2 is wrong; -1 never equals -1 */
    assert_int_equal(e[SG_SPLIT_TEST].no_output, 3);
    sg_class_counts_free(&counts);
}

static void ensemble_takes_the_largest_output(void **state)
{
    (void)state;
    int32_t a1[] = {1, 2, 3}, a2[] = {4, 5, 6}, a3[] = {7, 8, 9};
    float p1[] = {0.9f, 0.2f, 0.5f}, p2[] = {0.8f, 0.6f, 0.5f}, p3[] = {0.7f, 0.4f, 0.6f};
    double m1[] = {0.1, 0.1, 0.1}, m2[] = {0.2, 0.2, 0.2}, m3[] = {0.3, 0.3, 0.3};
    const sg_outputs run[] = {
        {3, a1, p1, m1, m1, NULL}, {3, a2, p2, m2, m2, NULL}, {3, a3, p3, m3, m3, NULL}};
    sg_ensemble e;
    assert_ok(sg_ensemble_init(&e, 3, 10));
    assert_ok(sg_ensemble_add(&e, &run[0]));
    assert_memory_equal(e.best.argmax, a1, sizeof a1);
    assert_ok(sg_ensemble_add(&e, &run[1]));
    assert_int_equal(e.best.argmax[2], 3); /* a tie: the earlier run stays */
    assert_ok(sg_ensemble_add(&e, &run[2]));
    const int32_t wanted[] = {1, 5, 9};
    const double moments[] = {0.1, 0.2, 0.3};
    assert_memory_equal(e.best.argmax, wanted, sizeof wanted);
    assert_memory_equal(e.best.skewness, moments, sizeof moments);
    assert_int_equal(e.runs, 3);
    const sg_outputs other = {2, a1, p1, m1, m1, NULL};
    assert_fails(SG_E_CONFIG, "3 and 2", sg_ensemble_add(&e, &other));
    sg_ensemble_free(&e);
}

/* Normalised moments by their definition. */
static void assert_moments(const double *p, int count, double skewness, double kurtosis)
{
    double mean = 0, m2 = 0, m3 = 0, m4 = 0;
    for (int n = 0; n < count; n++)
        mean += p[n] / count;
    for (int n = 0; n < count; n++) {
        m2 += pow(p[n] - mean, 2) / count;
        m3 += pow(p[n] - mean, 3) / count;
        m4 += pow(p[n] - mean, 4) / count;
    }
    const double N = count;
    assert_true(fabs(skewness - m3 / pow(m2, 1.5) / ((N - 2) / sqrt(N - 1))) < 1e-12);
    assert_true(fabs(kurtosis - m4 / (m2 * m2) / ((N * N - 3 * N + 3) / (N - 1))) < 1e-12);
}

/* Two runs that disagree about the first sequence, and agree about the second. */
static void pooled_outputs_by_hand(void **state)
{
    (void)state;
    enum { N = 5 };
    float probabilities[2][2][N] = {{{0.5f, 0.25f, 0.125f, 0.125f, 0}, {1, 0, 0, 0, 0}},
                                    {{0, 0.75f, 0.125f, 0, 0.125f}, {1, 0, 0, 0, 0}}};
    const double wanted[SG_POOL_RULES][N] = {
        [SG_POOL_MEAN] = {0.25, 0.5, 0.125, 0.0625, 0.0625},
        [SG_POOL_ENVELOPE] = {0.5, 0.75, 0.125, 0.125, 0.125},
    };
    const double largest[SG_POOL_RULES] = {[SG_POOL_MEAN] = 0.5, [SG_POOL_ENVELOPE] = 0.75 / 1.625};
    for (int rule = 0; rule < SG_POOL_RULES; rule++) {
        sg_pooled pooled;
        sg_outputs out, one = {.count = 2};
        assert_ok(sg_pooled_init(&pooled, (sg_pool_rule)rule, 2, N));
        assert_ok(sg_outputs_alloc(&out, 2, N, false));
        assert_fails(SG_E_INTERNAL, "0 runs", sg_pooled_outputs(&pooled, &out));
        assert_fails(SG_E_CONFIG, "cannot be combined", sg_pooled_add(&pooled, &one));
        for (int run = 0; run < 2; run++) {
            one.probabilities = &probabilities[run][0][0];
            assert_ok(sg_pooled_add(&pooled, &one));
        }
        assert_ok(sg_pooled_outputs(&pooled, &out));
        assert_moments(wanted[rule], N, out.skewness[0], out.kurtosis[0]);
        assert_int_equal(out.argmax[0], 1);
        assert_true(fabs((double)out.p_max[0] - largest[rule]) < 1e-7);
        assert_true(out.argmax[1] == 0 && out.p_max[1] == 1.0f);
        assert_true(fabs(out.skewness[1] - 1) < 1e-12 && fabs(out.kurtosis[1] - 1) < 1e-12);
        sg_outputs_free(&out);
        sg_pooled_free(&pooled);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_by_hand),
        cmocka_unit_test(other_numbering),
        cmocka_unit_test(ensemble_takes_the_largest_output),
        cmocka_unit_test(pooled_outputs_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
