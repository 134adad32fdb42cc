#include "corpus/split.h"
#include "corpus/synth.h"
#include "corpus_case.h"

/* Makes a corpus from a preset with changes ("key=value", up to NULL). */
static sg_status make(sg_corpus *corpus, sg_synth_preset preset, uint64_t seed, const char *const *changes)
{
    sg_synth_options options;
    sg_synth_report report;
    SG_TRY(sg_synth_preset_options(&options, preset));
    for (; changes && *changes; changes++)
        SG_TRY(sg_options_assign(sg_synth_option_table, &options, *changes));
    SG_TRY(sg_synth_resolve(&options, preset));
    return sg_synth_corpus(corpus, &options, seed, &report);
}

#define CHANGES(...)      \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

typedef struct {
    int64_t once, agents, longest, types;
    int64_t size[SG_SPLITS], unseen[SG_SPLITS];
} marginals;

/* Counts everything again from labels and sequences alone. */
static marginals recount(const sg_corpus *c)
{
    marginals m = {0};
    int64_t *count, *in_train;
    int32_t *agents;
    bool types[64] = {false};
    assert_ok(sg_alloc(&count, c->classes, "test"));
    assert_ok(sg_alloc(&in_train, c->classes, "test"));
    assert_ok(sg_alloc(&agents, c->dialogs, "test"));
    for (int64_t d = 0; d < c->dialogs; d++) {
        count[c->label[d]]++;
        in_train[c->label[d]] += c->split[d] == SG_SPLIT_TRAIN;
        m.size[c->split[d]]++;
        assert_in_range(c->user_agent[d], 0, c->dialogs - 1);
        m.agents += agents[c->user_agent[d]]++ == 0;
        assert_true(d == 0 || c->start_time[d] > c->start_time[d - 1]);
    }
    for (int64_t d = 0; d < c->dialogs; d++)
        m.unseen[c->split[d]] += in_train[c->label[d]] == 0;
    for (int k = 0; k < c->classes; k++) {
        assert_int_equal(count[k], c->class_count[k]);
        m.once += count[k] == 1;
        m.longest = c->class_length[k] > m.longest ? c->class_length[k] : m.longest;
        for (int t = 0; t < c->class_length[k]; t++)
            types[c->class_sequence[k * c->max_length + t]] = true;
    }
    assert_false(types[0]);
    for (int t = 1; t < 64; t++)
        m.types += types[t];
    free(count);
    free(in_train);
    free(agents);
    return m;
}

static void preset_paper_has_every_published_figure(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 1000000007; seed += 1000000006) {
        sg_corpus corpus;
        assert_ok(make(&corpus, SG_SYNTH_PAPER, seed, NULL));
        marginals m = recount(&corpus);
        assert_int_equal(corpus.dialogs, 18782);
        assert_int_equal(corpus.classes, 1492);
        assert_int_equal(corpus.message_types, 18);
        assert_int_equal(corpus.max_length, 56);
        assert_int_equal(m.agents, 249);
        assert_int_equal(m.once, 988);
        assert_int_equal(m.types, 18);
        assert_int_equal(m.longest, 56);
        assert_int_equal(m.size[SG_SPLIT_TRAIN], 9331);
        assert_int_equal(m.size[SG_SPLIT_VALIDATION], 3847);
        assert_int_equal(m.size[SG_SPLIT_TEST], 5604);
        assert_int_equal(m.unseen[SG_SPLIT_VALIDATION], 277);
        assert_int_equal(m.unseen[SG_SPLIT_TEST], 362);
        sg_corpus_free(&corpus);
    }
}

static void preset_paper_has_the_alphabet_of_a_call_server(void **state)
{
    (void)state;
    static const char *const names[] = {"INVITE",    "ACK",    "BYE", "CANCEL", "REGISTER", "OPTIONS",
                                        "SUBSCRIBE", "NOTIFY", "100", "180",    "183",      "200",
                                        "401",       "407",    "404", "480",    "486",      "487"};
    sg_sip_rates rates = {0};
    sg_sip_model model;
    sg_sip_model_open(&model, &rates, 18, 56);
    for (int type = 0; type < SG_SIP_TYPES; type++)
        assert_int_equal(model.id[type], type < 18 ? type + 1 : 0);
    for (int type = 0; type < 18; type++)
        assert_string_equal(sg_sip_type_name(type), names[type]);
}

static void small_preset_is_like_it(void **state)
{
    (void)state;
    sg_corpus corpus;
    assert_ok(make(&corpus, SG_SYNTH_SMALL, 3, NULL));
    marginals m = recount(&corpus);
    assert_int_equal(corpus.dialogs, 1900);
    assert_int_equal(corpus.classes, 150);
    assert_int_equal(corpus.message_types, 18);
    assert_int_equal(m.types, 18);
    assert_int_equal(m.longest, corpus.max_length);
    assert_int_equal(m.size[SG_SPLIT_TRAIN], 950);
    assert_int_equal(m.size[SG_SPLIT_VALIDATION], 380);
    assert_true(m.unseen[SG_SPLIT_TEST] > 0);
    sg_corpus_free(&corpus);
}

static void same_seed_same_corpus(void **state)
{
    (void)state;
    sg_corpus a, b, c;
    assert_ok(make(&a, SG_SYNTH_SMALL, 5, CHANGES("synth.call_id=true")));
    assert_ok(make(&b, SG_SYNTH_SMALL, 5, CHANGES("synth.call_id=true")));
    assert_ok(make(&c, SG_SYNTH_SMALL, 6, CHANGES("synth.call_id=true")));
    assert_same_corpus(&a, &b);
    assert_string_not_equal(a.digest, c.digest);
    for (int64_t d = 1; d < a.dialogs; d++)
        assert_string_not_equal(a.call_id[d], a.call_id[d - 1]);
    sg_corpus_free(&a);
    sg_corpus_free(&b);
    sg_corpus_free(&c);
}

/* Every alphabet of the list gives whole dialogs, with every type in use. */
static void any_alphabet_can_be_asked_for(void **state)
{
    (void)state;
    for (int types = SG_SIP_TYPES_MIN; types <= SG_SIP_TYPES; types++) {
        sg_corpus corpus;
        char change[64];
        snprintf(change, sizeof change, "synth.message_types=%d", types);
        assert_ok(make(&corpus, SG_SYNTH_SMALL, 1, CHANGES(change, "synth.unique=60", "synth.dialogs=600")));
        assert_int_equal(recount(&corpus).types, types);
        assert_int_equal(corpus.message_types, types);
        sg_corpus_free(&corpus);
    }
}

static void sizes_follow_the_options(void **state)
{
    (void)state;
    sg_corpus corpus;
    assert_ok(make(&corpus, SG_SYNTH_PAPER, 1,
                   CHANGES("synth.dialogs=30000", "synth.unique=3000", "synth.user_agents=7",
                           "synth.max_length=80", "synth.once=1000")));
    marginals m = recount(&corpus);
    assert_int_equal(m.once, 1000);
    assert_int_equal(m.agents, 7);
    assert_int_equal(m.longest, 80);
    assert_int_equal(m.size[SG_SPLIT_TRAIN], 15000);
    sg_corpus_free(&corpus);
    assert_ok(make(&corpus, SG_SYNTH_SMALL, 1, CHANGES("synth.train=1000", "synth.test=800")));
    m = recount(&corpus);
    assert_int_equal(m.size[SG_SPLIT_VALIDATION], 100);
    sg_corpus_free(&corpus);
    assert_ok(make(&corpus, SG_SYNTH_SMALL, 1, CHANGES("synth.dialogs=150")));
    assert_int_equal(recount(&corpus).once, 150);
    sg_corpus_free(&corpus);
    assert_ok(
        make(&corpus, SG_SYNTH_SMALL, 1, CHANGES("synth.unseen_validation=30", "synth.unseen_test=30")));
    m = recount(&corpus);
    assert_int_equal(m.unseen[SG_SPLIT_VALIDATION], 30);
    assert_int_equal(m.unseen[SG_SPLIT_TEST], 30);
    sg_corpus_free(&corpus);
}

static void refuses_what_cannot_be(void **state)
{
    (void)state;
    static const struct {
        const char *change[3], *part;
    } cases[] = {
        {{"synth.unique=2000"}, "synth.unique = 2000 is more than synth.dialogs = 1900"},
        {{"synth.once=151"}, "synth.once = 151 is more than synth.unique = 150"},
        {{"synth.once=150"}, "1900 dialogs cannot hold 150 unique ones"},
        {{"synth.dialogs=200", "synth.once=50"}, "200 dialogs cannot hold 150 unique ones"},
        {{"synth.user_agents=1901"}, "user agents"},
        {{"synth.train=10", "synth.test=10", "synth.validation=10"}, "must sum to the 1900 dialogs"},
        {{"synth.train=10"}, "must sum to the 1900 dialogs"},
        {{"synth.train_share=0.9"}, "sum to 1.4"},
        {{"synth.unseen_test=3"}, "must be given together"},
        {{"synth.max_length=1"}, "unique dialogs of at most 1 messages"},
        {{"synth.message_types=2", "synth.max_length=3"}, "unique dialogs of at most 3 messages"},
        {{"synth.unique=5"}, "cannot hold all 18 message types"},
        {{"synth.call=0", "synth.registration=0", "synth.keep_alive=1"}, "holds message type"},
        {{"synth.unseen_validation=380", "synth.unseen_test=570", "synth.split_tries=99"}, "nearest"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sg_corpus corpus;
        const char *const changes[] = {cases[i].change[0], cases[i].change[1], cases[i].change[2], NULL};
        assert_fails(SG_E_CONFIG, cases[i].part, make(&corpus, SG_SYNTH_SMALL, 1, changes));
    }
}

static void zipf_counts_fall_and_sum(void **state)
{
    (void)state;
    enum { MOST = 504 };
    static const int64_t wanted[][2] = {{MOST, 17794}, {MOST, 2 * MOST}, {1, 100}, {2, 5}, {MOST, 10000000}};
    int64_t count[MOST];
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        for (double exponent = 0; exponent < 6; exponent += 0.7) {
            int64_t sum = 0;
            sg_zipf_counts(count, wanted[i][0], wanted[i][1], exponent, 0.7);
            for (int64_t r = 0; r < wanted[i][0]; r++) {
                assert_true(count[r] >= 2);
                assert_true(r == 0 || count[r] <= count[r - 1]);
                sum += count[r];
            }
            assert_int_equal(sum, wanted[i][1]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(preset_paper_has_every_published_figure),
        cmocka_unit_test(preset_paper_has_the_alphabet_of_a_call_server),
        cmocka_unit_test(small_preset_is_like_it),
        cmocka_unit_test(same_seed_same_corpus),
        cmocka_unit_test(any_alphabet_can_be_asked_for),
        cmocka_unit_test(sizes_follow_the_options),
        cmocka_unit_test(refuses_what_cannot_be),
        cmocka_unit_test(zipf_counts_fall_and_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
