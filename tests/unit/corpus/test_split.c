#include "corpus/split.h"
#include "corpus_case.h"

/* A corpus of labels only: class c has count[c] dialogs. */
static void make_labels(sg_corpus *corpus, const int64_t *count, int classes)
{
    *corpus = (sg_corpus){.classes = classes};
    for (int c = 0; c < classes; c++)
        corpus->dialogs += count[c];
    assert_ok(sg_alloc(&corpus->label, corpus->dialogs, "test"));
    assert_ok(sg_alloc(&corpus->split, corpus->dialogs, "test"));
    corpus->class_count = copy_of(count, (size_t)classes * sizeof *count);
    int64_t d = 0;
    for (int c = 0; c < classes; c++)
        for (int64_t i = 0; i < count[c]; i++)
            corpus->label[d++] = c;
}

static void shares_become_sizes(void **state)
{
    (void)state;
    int64_t size[SG_SPLITS];
    assert_ok(sg_split_sizes(1900, (const double[]){0.5, 0.2, 0.3}, size));
    assert_int_equal(size[0], 950);
    assert_int_equal(size[1], 380);
    assert_int_equal(size[2], 570);
    assert_ok(sg_split_sizes(1, (const double[]){0.5, 0.5, 0}, size));
    assert_int_equal(size[0] + size[1] + size[2], 1);
    assert_int_equal(size[2], 0);
    assert_fails(SG_E_CONFIG, "sum to 1.1", sg_split_sizes(10, (const double[]){0.5, 0.3, 0.3}, size));
    assert_fails(SG_E_CONFIG, "share of test is -0.1",
                 sg_split_sizes(10, (const double[]){0.8, 0.3, -0.1}, size));
    assert_fails(SG_E_CONFIG, "share of train is nan",
                 sg_split_sizes(10, (const double[]){NAN, 0.3, 0.1}, size));
}

static void draws_exact_sizes_by_seed(void **state)
{
    (void)state;
    sg_corpus a, b;
    const int64_t count[] = {5, 3, 2, 1, 1}, size[] = {6, 4, 2};
    int64_t got[SG_SPLITS], unseen[SG_SPLITS];
    make_labels(&a, count, 5);
    make_labels(&b, count, 5);
    assert_ok(sg_split_draw(&a, size, 9));
    assert_ok(sg_split_draw(&b, size, 9));
    assert_memory_equal(a.split, b.split, 12);
    assert_int_equal(a.split_seed, 9);
    assert_ok(sg_split_count(&a, got, unseen));
    for (int s = 0; s < SG_SPLITS; s++)
        assert_int_equal(got[s], size[s]);
    assert_int_equal(unseen[SG_SPLIT_TRAIN], 0);
    assert_ok(sg_split_draw(&b, size, 10));
    assert_memory_not_equal(a.split, b.split, 12);
    sg_corpus_free(&a);
    sg_corpus_free(&b);
}

/* Each dialog goes to each split as often as the others. */
static void shuffles_evenly(void **state)
{
    (void)state;
    sg_corpus corpus;
    const int64_t count[] = {10}, size[] = {5, 2, 3};
    int in_train[10] = {0};
    make_labels(&corpus, count, 1);
    for (uint64_t seed = 0; seed < 10000; seed++) {
        assert_ok(sg_split_draw(&corpus, size, seed));
        for (int d = 0; d < 10; d++)
            in_train[d] += corpus.split[d] == SG_SPLIT_TRAIN;
    }
    for (int d = 0; d < 10; d++)
        assert_true(abs(in_train[d] - 5000) < 250); /* 5 sigma */
    sg_corpus_free(&corpus);
}

static void refuses_wrong_sizes(void **state)
{
    (void)state;
    sg_corpus corpus;
    const int64_t count[] = {5, 5};
    make_labels(&corpus, count, 2);
    assert_fails(SG_E_CONFIG, "sum to 9", sg_split_draw(&corpus, (const int64_t[]){5, 2, 2}, 1));
    assert_fails(SG_E_CONFIG, "-1 dialogs for test", sg_split_draw(&corpus, (const int64_t[]){9, 2, -1}, 1));
    assert_fails(SG_E_CONFIG, "11 dialogs", sg_split_draw(&corpus, (const int64_t[]){11, 0, 0}, 1));
    assert_fails(SG_E_CONFIG, "train split is empty", sg_split_draw(&corpus, (const int64_t[]){0, 5, 5}, 1));
    sg_corpus_free(&corpus);
}

/* The search finds what drawing each seed finds, at the first seed that fits. */
static void search_agrees_with_drawing(void **state)
{
    (void)state;
    sg_corpus corpus;
    const int64_t count[] = {30, 10, 5, 4, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1}, size[] = {32, 13, 19};
    int64_t got[SG_SPLITS], unseen[SG_SPLITS], tries;
    make_labels(&corpus, count, 14);
    for (int64_t v = 0; v < 5; v++)
        for (int64_t t = 0; t < 5; t++) {
            uint64_t seed = 100;
            do {
                assert_ok(sg_split_draw(&corpus, size, seed++));
                assert_ok(sg_split_count(&corpus, got, unseen));
            } while (unseen[1] != v || unseen[2] != t);
            assert_ok(sg_split_search(&corpus, size, 100, v, t, 100000, &tries));
            assert_int_equal(corpus.split_seed, seed - 1);
            assert_int_equal(tries, seed - 100);
            assert_ok(sg_split_count(&corpus, got, unseen));
            assert_int_equal(unseen[1], v);
            assert_int_equal(unseen[2], t);
        }
    assert_fails(SG_E_CONFIG, "none of the 50 split seeds from 7",
                 sg_split_search(&corpus, size, 7, 13, 19, 50, &tries));
    assert_int_equal(tries, 50);
    sg_corpus_free(&corpus);
}

static void expected_unseen_is_the_mean(void **state)
{
    (void)state;
    sg_corpus corpus;
    const int64_t count[] = {8, 4, 3, 2, 2, 1, 1, 1, 1, 1}, size[] = {12, 5, 7};
    int64_t got[SG_SPLITS], unseen[SG_SPLITS];
    double sum = 0;
    const int seeds = 20000;
    make_labels(&corpus, count, 10);
    for (int seed = 0; seed < seeds; seed++) {
        assert_ok(sg_split_draw(&corpus, size, (uint64_t)seed));
        assert_ok(sg_split_count(&corpus, got, unseen));
        sum += (double)(unseen[1] + unseen[2]);
    }
    assert_true(fabs(sum / seeds - sg_split_expected_unseen(count, 10, size)) < 0.06);
    /* Paper: 988 singles alone, of 18782. */
    const int64_t one = 1, paper[] = {9331, 3847, 5604};
    assert_true(fabs(sg_split_expected_unseen(&one, 1, paper) - 9451.0 / 18782) < 1e-12);
    sg_corpus_free(&corpus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_become_sizes),
        cmocka_unit_test(draws_exact_sizes_by_seed),
        cmocka_unit_test(shuffles_evenly),
        cmocka_unit_test(refuses_wrong_sizes),
        cmocka_unit_test(search_agrees_with_drawing),
        cmocka_unit_test(expected_unseen_is_the_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
