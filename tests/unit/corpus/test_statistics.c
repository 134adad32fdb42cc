#include "corpus/statistics.h"
#include "corpus_case.h"

static void describes_a_corpus(void **state)
{
    (void)state;
    sg_corpus corpus;
    sg_corpus_statistics s;
    make_case(&corpus, false);
    assert_ok(sg_corpus_statistics_make(&s, &corpus, 933));
    assert_int_equal(s.once, 1);
    assert_int_equal(s.user_agents, 4);
    assert_int_equal(s.messages, 4 * 2 + 2 * 3 + 5);
    assert_int_equal(s.type_messages[0], 2); /* INVITE */
    assert_int_equal(s.type_messages[2], 4 + 4);
    assert_int_equal(s.type_messages[3], 4 + 2 + 1);
    assert_int_equal(s.types_used, 4);
    assert_int_equal(s.shortest, 2);
    assert_int_equal(s.longest, 5);
    assert_true(s.median_length == 2);
    assert_true(fabs(s.mean_length - 19.0 / 7) < 1e-12);
    assert_int_equal(s.length_bins, 5);
    assert_int_equal(s.length[1].dialogs, 4);
    assert_int_equal(s.length[4].classes, 1);
    assert_int_equal(s.multiplicity_bins, 3);
    assert_int_equal(s.multiplicity[0].classes, 1);
    assert_int_equal(s.multiplicity[1].dialogs, 2);
    assert_int_equal(s.multiplicity[2].from, 3);
    assert_int_equal(s.multiplicity[2].to, 4);
    assert_int_equal(s.multiplicity[2].dialogs, 4);
    sg_corpus_statistics_free(&s);
    sg_corpus_free(&corpus);
}

static void describes_its_split(void **state)
{
    (void)state;
    sg_corpus corpus;
    sg_corpus_statistics s;
    make_case(&corpus, false); /* labels 0 1 0 | 2 1 | 0 0 */
    assert_ok(sg_corpus_statistics_make(&s, &corpus, 933));
    assert_int_equal(s.split[SG_SPLIT_TRAIN].dialogs, 3);
    assert_int_equal(s.split[SG_SPLIT_TRAIN].classes, 2);
    assert_int_equal(s.split[SG_SPLIT_VALIDATION].classes, 2);
    assert_int_equal(s.split[SG_SPLIT_VALIDATION].unseen, 1);
    assert_int_equal(s.split[SG_SPLIT_TEST].classes, 1);
    assert_int_equal(s.split[SG_SPLIT_TEST].unseen, 0);
    sg_corpus_statistics_free(&s);
    sg_corpus_free(&corpus);
}

/* Train: OPTIONS 200 000 (twice) and INVITE 200 ACK 00: two sequences that share nothing. */
static void measures_the_trie_of_a_batch(void **state)
{
    (void)state;
    sg_corpus corpus;
    sg_corpus_statistics s;
    make_case(&corpus, false);
    assert_ok(sg_corpus_statistics_make(&s, &corpus, 933));
    assert_int_equal(s.batch.rows, 3);
    assert_int_equal(s.batch.row_steps, 15);
    assert_true(s.batch.unique == 2 && s.batch.nodes == 10);
    assert_true(s.batch.factor == 1.5);
    sg_corpus_statistics_free(&s);
    /* With all dialogs in train, OPTIONS 200 and OPTIONS OPTIONS... share one prefix. */
    memset(corpus.split, SG_SPLIT_TRAIN, CASE_DIALOGS);
    assert_ok(sg_corpus_statistics_make(&s, &corpus, 7));
    assert_true(s.batch.unique == 3 && s.batch.nodes == 14);
    sg_corpus_statistics_free(&s);
    assert_ok(sg_corpus_statistics_make(&s, &corpus, 1));
    assert_true(s.batch.unique == 1 && s.batch.nodes == 5 && s.batch.factor == 1);
    sg_corpus_statistics_free(&s);
    sg_corpus_free(&corpus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(describes_a_corpus),
        cmocka_unit_test(describes_its_split),
        cmocka_unit_test(measures_the_trie_of_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
