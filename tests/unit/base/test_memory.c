#include "base/memory.h"
#include "testing.h"

static void allocates_zeroed_and_aligned(void **state)
{
    (void)state;
    double *a;
    assert_ok(sg_alloc(&a, 1001, "numbers"));
    assert_int_equal((uintptr_t)a % 64, 0);
    for (int i = 0; i < 1001; i++)
        assert_true(a[i] == 0);
    free(a);
}

static void gives_memory_for_nothing(void **state)
{
    (void)state;
    char *a;
    assert_ok(sg_alloc(&a, 0, "nothing"));
    assert_non_null(a);
    free(a);
}

static void refuses_sizes_that_overflow(void **state)
{
    (void)state;
    double *a = (double *)8;
    assert_fails(SG_E_MEMORY, "giant", sg_alloc(&a, SIZE_MAX / 4, "giant"));
    assert_null(a);
    assert_fails(SG_E_MEMORY, "negative", sg_alloc(&a, -1, "negative"));
    assert_fails(SG_E_MEMORY, "vast", sg_alloc(&a, (size_t)1 << 50, "vast"));
}

static void grows_and_keeps_what_is_there(void **state)
{
    (void)state;
    int *a = NULL;
    size_t capacity = 0;
    for (int i = 0; i < 10000; i++) {
        assert_ok(sg_grow(&a, &capacity, i + 1, "items"));
        assert_true(capacity >= (size_t)i + 1);
        a[i] = i;
    }
    for (int i = 0; i < 10000; i++)
        assert_int_equal(a[i], i);
    assert_true(capacity < 40000);
    assert_fails(SG_E_MEMORY, "items", sg_grow(&a, &capacity, SIZE_MAX / 2, "items"));
    assert_int_equal(a[9999], 9999);
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocates_zeroed_and_aligned),
        cmocka_unit_test(gives_memory_for_nothing),
        cmocka_unit_test(refuses_sizes_that_overflow),
        cmocka_unit_test(grows_and_keeps_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
