#include "sip/pool.h"
#include "sip_case.h"

enum { ITEMS = 3000 };

/* Items of all sizes, taken and given in any order, keep what was written into them and stay in the limit. */
static void items_do_not_overlap(void **state)
{
    (void)state;
    static unsigned char *items[ITEMS];
    static size_t sizes[ITEMS];
    sg_pool pool;
    uint64_t seed = 5;
    size_t held = 0, refused = 0;
    sg_pool_open(&pool, 40 * SG_POOL_PAGE, 900);
    memset(items, 0, sizeof items);
    for (int round = 0; round < 200000; round++) {
        int n = (int)(dice(&seed) % ITEMS);
        if (items[n]) {
            for (size_t at = 0; at < sizes[n]; at += 37)
                assert_int_equal(items[n][at], n % 251);
            sg_pool_give(&pool, items[n]);
            items[n] = NULL;
            held--;
            continue;
        }
        size_t size = dice(&seed) % (UINT64_C(1) << (dice(&seed) % 17)), room = 900;
        items[n] = dice(&seed) % 2 ? sg_pool_take(&pool) : sg_pool_take_bytes(&pool, size, &room);
        refused += !items[n];
        if (!items[n])
            continue;
        assert_int_equal((uintptr_t)items[n] % 64, 0);
        sizes[n] = room;
        memset(items[n], n % 251, room);
        held++;
        assert_true(pool.bytes <= pool.bytes_max);
    }
    assert_true(refused > 0 && held > 0);
    for (int n = 0; n < ITEMS; n++)
        sg_pool_give(&pool, items[n]);
    assert_int_equal(pool.bytes, 0);
    /* All of the room is there again, for one size as for another. */
    size_t room;
    for (int n = 0; n < 40; n++)
        assert_non_null(sg_pool_take_bytes(&pool, SG_POOL_ITEM_MAX, &room));
    assert_null(sg_pool_take(&pool));
    assert_null(sg_pool_take_bytes(&pool, SG_POOL_ITEM_MAX + 1, &room));
    sg_pool_close(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(items_do_not_overlap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
