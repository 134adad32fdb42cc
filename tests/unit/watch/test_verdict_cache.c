/* Verdicts are found again while there is room. */
#include "watch/verdict_cache.h"

#include "testing.h"

static bool finds(sg_verdict_cache *cache, const uint16_t *types, int length, double skewness)
{
    sg_verdict verdict = {0};
    return sg_verdict_cache_find(cache, types, length, &verdict) && verdict.skewness == skewness &&
           verdict.kurtosis == -skewness;
}

static void add(sg_verdict_cache *cache, const uint16_t *types, int length, double skewness)
{
    const sg_verdict verdict = {.skewness = skewness, .kurtosis = -skewness};
    sg_verdict_cache_add(cache, types, length, &verdict);
}

static void what_was_added_is_found(void **state)
{
    (void)state;
    enum { MANY = 500 };
    sg_verdict_cache *cache;
    uint16_t types[3] = {0};
    assert_ok(sg_verdict_cache_open(&cache, 64 * MANY));
    for (int i = 0; i < MANY; i++) {
        types[1] = (uint16_t)i;
        assert_false(finds(cache, types, 3, i));
        add(cache, types, 3, i);
    }
    for (int i = 0; i < MANY; i++) {
        types[1] = (uint16_t)i;
        assert_true(finds(cache, types, 3, i));
        assert_false(finds(cache, types, 2, i)); /* its beginning is another sequence */
    }
    add(cache, types, 3, 0.5);
    assert_true(finds(cache, types, 3, 0.5)); /* the last score counts */
    sg_verdict_cache_clear(cache);
    assert_false(finds(cache, types, 3, 0.5));
    sg_verdict_cache_close(cache);
    sg_verdict_cache_close(NULL);
}

/* Of the four in a bucket, the one used longest ago gives way. */
static void the_one_used_longest_ago_gives_way(void **state)
{
    (void)state;
    sg_verdict_cache *cache;
    static const uint16_t types[6] = {1, 2, 3, 4, 5, 6};
    assert_ok(sg_verdict_cache_open(&cache, 4));
    for (int i = 0; i < 4; i++) {
        assert_false(finds(cache, types + i, 1, i));
        add(cache, types + i, 1, i);
    }
    assert_true(finds(cache, types, 1, 0));
    assert_true(finds(cache, types + 2, 1, 2));
    assert_false(finds(cache, types + 4, 1, 4));
    add(cache, types + 4, 1, 4); /* instead of the second */
    assert_true(finds(cache, types, 1, 0));
    assert_false(finds(cache, types + 1, 1, 1));
    assert_true(finds(cache, types + 4, 1, 4));
    add(cache, types + 5, 1, 5); /* instead of the fourth */
    assert_false(finds(cache, types + 3, 1, 3));
    assert_true(finds(cache, types + 2, 1, 2));
    sg_verdict_cache_close(cache);
}

/* However many are added, the table stays as large as it is, and most of the latest are there. */
static void more_than_there_is_room_for(void **state)
{
    (void)state;
    enum { ROOM = 1024 };
    sg_verdict_cache *cache;
    int found = 0;
    assert_ok(sg_verdict_cache_open(&cache, ROOM));
    for (uint16_t i = 0; i < 20 * ROOM; i++)
        add(cache, &i, 1, i);
    for (uint16_t i = 20 * ROOM - ROOM / 2; i < 20 * ROOM; i++)
        found += finds(cache, &i, 1, i);
    assert_in_range(found, ROOM / 2 * 85 / 100, ROOM / 2);
    sg_verdict_cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_found),
        cmocka_unit_test(the_one_used_longest_ago_gives_way),
        cmocka_unit_test(more_than_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
