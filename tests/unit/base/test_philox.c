#include "base/philox.h"
#include "testing.h"

/* The known answers of the Random123 library (kat_vectors, philox4x32 with 10 rounds). */
static void agrees_with_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sg_random4 c;
        memcpy(c.v, cases[i].counter, sizeof c.v);
        sg_random4 r = sg_philox(c, cases[i].key[0], cases[i].key[1]);
        assert_memory_equal(r.v, cases[i].want, sizeof r.v);
    }
}

static void reads_the_same_stream_in_order_and_at_random(void **state)
{
    (void)state;
    sg_random r = sg_random_open(123456789012345, SG_RANDOM_SHUFFLE, 7);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(sg_random_next(&r), sg_random_at(123456789012345, SG_RANDOM_SHUFFLE, 7, i));
}

static void gives_other_numbers_for_other_streams(void **state)
{
    (void)state;
    uint32_t base = sg_random_at(1, SG_RANDOM_INIT, 0, 0);
    assert_int_not_equal(base, sg_random_at(2, SG_RANDOM_INIT, 0, 0));
    assert_int_not_equal(base, sg_random_at(1 + (1ull << 32), SG_RANDOM_INIT, 0, 0));
    assert_int_not_equal(base, sg_random_at(1, SG_RANDOM_SPLIT, 0, 0));
    assert_int_not_equal(base, sg_random_at(1, SG_RANDOM_INIT, 1, 0));
    assert_int_not_equal(base, sg_random_at(1, SG_RANDOM_INIT, 0, 1ull << 34));
}

static void draws_reals_from_the_unit_interval(void **state)
{
    (void)state;
    sg_random r = sg_random_open(1, SG_RANDOM_SYNTH, 0);
    double sum = 0, squares = 0;
    const int n = 100000;
    for (int i = 0; i < n; i++) {
        double x = sg_random_double(&r);
        assert_true(x >= 0 && x < 1);
        sum += x;
        squares += x * x;
    }
    assert_true(fabs(sum / n - 0.5) < 0.005);
    assert_true(fabs(squares / n - 1.0 / 3) < 0.005);
    assert_true(sg_random_unit(0) == 0.0f);
    assert_true(sg_random_unit(0xffffffffu) < 1.0f);
}

static void draws_below_without_bias(void **state)
{
    (void)state;
    sg_random r = sg_random_open(1, SG_RANDOM_SYNTH, 1);
    int count[7] = {0};
    for (int i = 0; i < 70000; i++) {
        uint32_t x = sg_random_below(&r, 7);
        assert_true(x < 7);
        count[x]++;
    }
    for (int k = 0; k < 7; k++)
        assert_true(abs(count[k] - 10000) < 400); /* 4 sigma */
    /* Two thirds of the range: a biased method would give the first third twice as often. */
    uint32_t n = 0xAAAAAAABu, low = 0;
    for (int i = 0; i < 30000; i++)
        low += sg_random_below(&r, n) < n / 2;
    assert_true(abs((int)low - 15000) < 400);
    assert_int_equal(sg_random_below(&r, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_known_answers),
        cmocka_unit_test(reads_the_same_stream_in_order_and_at_random),
        cmocka_unit_test(gives_other_numbers_for_other_streams),
        cmocka_unit_test(draws_reals_from_the_unit_interval),
        cmocka_unit_test(draws_below_without_bias),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
