/* Scores come from the network once for each sequence, and are found again while there is room. */
#include "watch/score.h"

#include "network_case.h"

static bool finds(sg_score_cache *cache, const uint16_t *types, int length, double skewness)
{
    sg_score score = {0};
    return sg_score_cache_find(cache, types, length, &score) && score.skewness == skewness &&
           score.kurtosis == -skewness;
}

static void add(sg_score_cache *cache, const uint16_t *types, int length, double skewness)
{
    sg_score_cache_add(cache, types, length, (sg_score){skewness, -skewness});
}

static void what_was_added_is_found(void **state)
{
    (void)state;
    enum { MANY = 500 };
    sg_score_cache *cache;
    uint16_t types[3] = {0};
    assert_ok(sg_score_cache_open(&cache, 64 * MANY));
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
    sg_score_cache_clear(cache);
    assert_false(finds(cache, types, 3, 0.5));
    sg_score_cache_close(cache);
    sg_score_cache_close(NULL);
}

/* Of the four in a bucket, the one used longest ago gives way. */
static void the_one_used_longest_ago_gives_way(void **state)
{
    (void)state;
    sg_score_cache *cache;
    static const uint16_t types[6] = {1, 2, 3, 4, 5, 6};
    assert_ok(sg_score_cache_open(&cache, 4));
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
    sg_score_cache_close(cache);
}

/* However many are added, the table stays as large as it is, and most of the latest are there. */
static void more_than_there_is_room_for(void **state)
{
    (void)state;
    enum { ROOM = 1024 };
    sg_score_cache *cache;
    int found = 0;
    assert_ok(sg_score_cache_open(&cache, ROOM));
    for (uint16_t i = 0; i < 20 * ROOM; i++)
        add(cache, &i, 1, i);
    for (uint16_t i = 20 * ROOM - ROOM / 2; i < 20 * ROOM; i++)
        found += finds(cache, &i, 1, i);
    assert_in_range(found, ROOM / 2 * 85 / 100, ROOM / 2);
    sg_score_cache_close(cache);
}

/* The moments of one sequence, the engine being asked for it alone. */
static sg_score score_alone(sg_engine *engine, const sg_spec *spec, const uint16_t *types, uint16_t length)
{
    sg_sequences set;
    sg_outputs outputs;
    uint16_t padded[LONGEST] = {0};
    memcpy(padded, types, length * sizeof *types);
    assert_ok(sg_sequences_make(&set, spec, padded, &length, 1));
    assert_ok(sg_outputs_alloc(&outputs, 1, spec->classes, false));
    assert_ok(sg_engine_infer_all(engine, &set, &outputs));
    sg_score score = {outputs.skewness[0], outputs.kurtosis[0]};
    sg_outputs_free(&outputs);
    sg_sequences_free(&set);
    return score;
}

static void assert_near(double a, double b)
{
    assert_true(fabs(a - b) < 1e-5);
}

static void scores_are_the_networks(void **state)
{
    (void)state;
    enum { COUNT = 7 };
    static const uint16_t sequence[COUNT][LONGEST] = {
        {OPTIONS, OK}, {BYE},     {INVITE, TRYING, OK},        {BYE},
        {OPTIONS, OK}, {OPTIONS}, {OK, OK, OK, OK, OK, OK, OK}};
    static const uint16_t length[COUNT] = {2, 1, 3, 1, 2, 1, 7};
    for (int padding = SG_PADDING_POST; padding <= SG_PADDING_PRE; padding++) {
        sg_model model;
        sg_score scores[COUNT];
        make_model(&model, LONGEST, 0, 0);
        model.spec.padding = (sg_padding)padding;
        sg_engine *engine = open_engine(&model);
        assert_ok(sg_score_run(engine, &model.spec, sequence[0], length, COUNT, scores));
        for (int i = 0; i < COUNT; i++) {
            sg_score alone = score_alone(engine, &model.spec, sequence[i], length[i]);
            assert_near(scores[i].skewness, alone.skewness);
            assert_near(scores[i].kurtosis, alone.kurtosis);
        }
        assert_memory_equal(&scores[1], &scores[3], sizeof *scores);
        assert_memory_equal(&scores[0], &scores[4], sizeof *scores);
        assert_true(fabs(scores[0].skewness - scores[1].skewness) > 1e-4);
        memory_is_short = true;
        assert_fails(SG_E_MEMORY, "sequences to score",
                     sg_score_run(engine, &model.spec, sequence[0], length, COUNT, scores));
        memory_is_short = false;
        sg_engine_close(engine);
        sg_model_free(&model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_found),
        cmocka_unit_test(the_one_used_longest_ago_gives_way),
        cmocka_unit_test(more_than_there_is_room_for),
        cmocka_unit_test(scores_are_the_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
