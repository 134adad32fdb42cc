/* The Markov baseline on examples small enough to work out by hand. */
#include "detect/markov.h"
#include "testing.h"

/* Two types; sequences "1 2" (3 dialogs) and "1 1 2" (1 dialog), "2" (none). */
enum { L = 3, CLASSES = 3 };
static const uint16_t sequence[CLASSES * L] = {1, 2, 0, 1, 1, 2, 2, 0, 0};
static const uint16_t length[CLASSES] = {2, 3, 1};
static const int64_t weight[CLASSES] = {3, 1, 0};

static void near(double value, double wanted)
{
    if (fabs(value - wanted) > 1e-12)
        fail_msg("%.15f is not %.15f", value, wanted);
}

/* Order 1, alpha 0.5, three symbols with the end: from the start 1:4; from 1 1:1 2:4; from 2 end:4. */
static void order_1_by_hand(void **state)
{
    (void)state;
    sg_markov chain;
    assert_ok(sg_markov_fit(&chain, 1, 0.5, 2, L, sequence, length, weight, CLASSES));
    const double start_1 = 4.5 / 5.5, one_one = 1.5 / 6.5, one_two = 4.5 / 6.5, two_end = 4.5 / 5.5;
    double s = sg_markov_log_likelihood(&chain, sequence, 2);
    near(s, log(start_1 * one_two * two_end));
    s = sg_markov_log_likelihood(&chain, sequence + L, 3);
    near(s, log(start_1 * one_one * one_two * two_end));
    s = sg_markov_log_likelihood(&chain, sequence + 2 * L, 1);
    near(s, log(0.5 / 5.5 * two_end));
    sg_markov_free(&chain);
}

/* Order 2: contexts (start, start), (start, 1), (1, 2), (1, 1). */
static void order_2_by_hand(void **state)
{
    (void)state;
    sg_markov chain;
    assert_ok(sg_markov_fit(&chain, 2, 1.0, 2, L, sequence, length, weight, CLASSES));
    double s = sg_markov_log_likelihood(&chain, sequence + L, 3);
    near(s, log(5.0 / 7.0 * (2.0 / 7.0) * (2.0 / 4.0) * (5.0 / 7.0)));
    sg_markov_free(&chain);
}

/* Leaving a dialog out gives the score under a chain that was never shown it. */
static void leave_one_out_equals_refitting(void **state)
{
    (void)state;
    for (int order = 1; order <= SG_MARKOV_ORDER_MAX; order++)
        for (int j = 0; j < 2; j++) {
            int64_t without[CLASSES] = {3, 1, 0};
            without[j]--;
            sg_markov all, rest;
            double left_out;
            assert_ok(sg_markov_fit(&all, order, 0.1, 2, L, sequence, length, weight, CLASSES));
            assert_ok(sg_markov_fit(&rest, order, 0.1, 2, L, sequence, length, without, CLASSES));
            assert_ok(sg_markov_leave_one_out(&all, sequence + j * L, length[j], &left_out));
            near(left_out, sg_markov_log_likelihood(&rest, sequence + j * L, length[j]));
            sg_markov_free(&all);
            sg_markov_free(&rest);
        }
}

/* A dialog is its last beginning and the end; a beginning is all dialogs that go on from it. */
static void beginnings_add_up(void **state)
{
    (void)state;
    sg_markov chain;
    double beginning[L], longer[L];
    assert_ok(sg_markov_fit(&chain, 1, 0.5, 2, L, sequence, length, weight, CLASSES));
    sg_markov_beginnings(&chain, sequence + L, 3, beginning);
    near(beginning[0], log(4.5 / 5.5));
    near(beginning[2], sg_markov_log_likelihood(&chain, sequence + L, 3) - log(4.5 / 5.5));
    double sum = 0;
    for (uint16_t next = 1; next <= 2; next++) {
        const uint16_t on[L] = {1, 1, next};
        sg_markov_beginnings(&chain, on, 3, longer);
        sum += exp(longer[2]);
    }
    near(sum + exp(sg_markov_log_likelihood(&chain, sequence + L, 2)), exp(beginning[1]));
    sg_markov_free(&chain);
}

/* "1 2" and "1 1 2" make the set; "2" is not in it. */
static void first_unseen_by_hand(void **state)
{
    (void)state;
    static const uint16_t known[] = {1, 1, 1, 2}, ends[] = {1, 1}, starts[] = {2, 1}, late[] = {1, 2, 1};
    sg_markov two, four;
    assert_ok(sg_markov_fit(&two, 1, 1, 2, L, sequence, length, weight, CLASSES));
    assert_ok(sg_markov_fit(&four, 3, 1, 2, L, sequence, length, weight, CLASSES));
    assert_int_equal(sg_markov_first_unseen(&two, known, 4), 0); /* all pairs are there */
    assert_int_equal(sg_markov_first_unseen(&four, known, 4), 3);
    assert_int_equal(sg_markov_first_unseen(&two, ends, 2), 3); /* "1" is never the last */
    assert_int_equal(sg_markov_first_unseen(&two, starts, 2), 1);
    assert_int_equal(sg_markov_first_unseen(&two, late, 3), 3);
    sg_markov_free(&two);
    sg_markov_free(&four);
}

/* The limit lies between the dialog that occurs once and those that occur again. */
static void limit_parts_single_dialogs(void **state)
{
    (void)state;
    sg_markov chain;
    double repeated, single, limit;
    assert_ok(sg_markov_fit(&chain, 2, 0.01, 2, L, sequence, length, weight, CLASSES));
    assert_ok(sg_markov_leave_one_out(&chain, sequence, 2, &repeated));
    assert_ok(sg_markov_leave_one_out(&chain, sequence + L, 3, &single));
    assert_ok(sg_markov_limit(&chain, sequence, length, weight, CLASSES, &limit));
    near(limit, 0.5 * (repeated + single));
    sg_markov_free(&chain);
}

/* Without dialogs that occur once nothing of the train split is flagged. */
static void limit_without_single_dialogs(void **state)
{
    (void)state;
    const int64_t often[CLASSES] = {5, 2, 9};
    sg_markov chain;
    double limit;
    assert_ok(sg_markov_fit(&chain, 2, 0.01, 2, L, sequence, length, often, CLASSES));
    assert_ok(sg_markov_limit(&chain, sequence, length, often, CLASSES, &limit));
    for (int j = 0; j < CLASSES; j++)
        assert_true(sg_markov_log_likelihood(&chain, sequence + j * L, length[j]) >= limit);
    sg_markov_free(&chain);
}

/* Probabilities over all next symbols add up to 1, here over all dialogs of at most 12 messages of one type.
 */
static void probabilities_add_up(void **state)
{
    (void)state;
    uint16_t ones[64];
    const uint16_t three = 3;
    const int64_t once = 1;
    for (int i = 0; i < 64; i++)
        ones[i] = 1;
    sg_markov chain;
    assert_ok(sg_markov_fit(&chain, 3, 0.3, 1, 3, ones, &three, &once, 1));
    double sum = 0;
    for (int n = 0; n < 64; n++)
        sum += exp(sg_markov_log_likelihood(&chain, ones, n));
    near(sum, 1.0);
    sg_markov_free(&chain);
}

static void large_type_ids(void **state)
{
    (void)state;
    const uint16_t wide[] = {65535, 1, 65535, 65534, 65535}, five = 5;
    const int64_t twice = 2;
    sg_markov chain;
    assert_ok(sg_markov_fit(&chain, 3, 1.0, 65535, 5, wide, &five, &twice, 1));
    near(sg_markov_log_likelihood(&chain, wide, 5), 6 * log(3.0 / 65538.0));
    sg_markov_free(&chain);
}

static void refuses_bad_input(void **state)
{
    (void)state;
    const int64_t none[CLASSES] = {0};
    sg_markov chain;
    assert_fails(SG_E_CONFIG, "order 4",
                 sg_markov_fit(&chain, 4, 1, 2, L, sequence, length, weight, CLASSES));
    assert_fails(SG_E_CONFIG, "alpha 0",
                 sg_markov_fit(&chain, 2, 0, 2, L, sequence, length, weight, CLASSES));
    assert_fails(SG_E_CONFIG, "no train", sg_markov_fit(&chain, 2, 1, 2, L, sequence, length, none, CLASSES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_1_by_hand),
        cmocka_unit_test(order_2_by_hand),
        cmocka_unit_test(leave_one_out_equals_refitting),
        cmocka_unit_test(beginnings_add_up),
        cmocka_unit_test(first_unseen_by_hand),
        cmocka_unit_test(limit_parts_single_dialogs),
        cmocka_unit_test(limit_without_single_dialogs),
        cmocka_unit_test(probabilities_add_up),
        cmocka_unit_test(large_type_ids),
        cmocka_unit_test(refuses_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
