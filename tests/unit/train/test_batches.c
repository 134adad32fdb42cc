/* The order of the dialogs is a permutation and a function of (seed, epoch). */
#include "testing.h"
#include "train/batches.h"

enum { COUNT = 1000 };

static void test_order(void **state)
{
    (void)state;
    int32_t a[COUNT], b[COUNT];
    char seen[COUNT] = {0};
    sg_epoch_order(COUNT, 3, 17, a);
    sg_epoch_order(COUNT, 3, 17, b);
    assert_memory_equal(a, b, sizeof a);
    int fixed = 0;
    for (int i = 0; i < COUNT; i++) {
        assert_false(seen[a[i]]);
        seen[a[i]] = 1;
        fixed += a[i] == i;
    }
    assert_true(fixed < 10);
    sg_epoch_order(COUNT, 3, 18, b);
    assert_memory_not_equal(a, b, sizeof a);
    sg_epoch_order(COUNT, 4, 17, b);
    assert_memory_not_equal(a, b, sizeof a);
    sg_epoch_order(1, 1, 1, a);
    assert_int_equal(a[0], 0);
}

static void test_batches(void **state)
{
    (void)state;
    assert_int_equal(sg_batches_per_epoch(9331, 933, true), 11);
    assert_int_equal(sg_batches_per_epoch(9331, 933, false), 10);
    assert_int_equal(sg_batches_per_epoch(9331, 93, true), 101); /* the paper's 101 updates an epoch */
    assert_int_equal(sg_batches_per_epoch(90, 30, true), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order), cmocka_unit_test(test_batches)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
