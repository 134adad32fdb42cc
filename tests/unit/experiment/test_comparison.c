/* Every detector beside every other: against brute force on random corpora, and what must hold on any. */
#include "experiment/comparison.h"
#include "random_corpus.h"

static const sg_detection_options options = SG_DETECTION_DEFAULTS;

static void open_comparison(random_corpus *c, uint32_t trial, sg_detection *d, sg_comparison *comparison)
{
    make_random_corpus(c, trial);
    assert_ok(sg_detection_run(d, &c->corpus, &c->outputs, &options));
    assert_ok(sg_comparison_open(comparison, &c->corpus, d));
    assert_ok(sg_comparison_add(comparison, "1.0", 1, SG_COMBINED_NOT, d));
}

static void close_comparison(sg_detection *d, sg_comparison *comparison)
{
    sg_detection_free(d);
    sg_comparison_free(comparison);
}

static const sg_verdicts *find(const sg_comparison *c, const char *detector)
{
    const sg_verdicts *row = sg_verdict_table_find(&c->table, detector, "-", NULL, SG_COMBINED_NOT);
    assert_non_null(row);
    return row;
}

static void sets_against_brute_force(void **state)
{
    (void)state;
    static random_corpus c;
    for (uint32_t trial = 0; trial < 4; trial++) {
        sg_detection d;
        sg_comparison all;
        open_comparison(&c, trial, &d, &all);
        for (int j = 0; j < RANDOM_CLASSES; j++) {
            const bool in_train = random_count(&c, j, SG_SPLIT_TRAIN) > 0;
            assert_true(find(&all, "exact_set")->abnormal[j] == !in_train);
            assert_true(find(&all, "prefix_trie")->abnormal[j] == !random_is_beginning(&c, j, c.length[j]));
            for (int n = 2; n <= 4; n++) {
                char name[16];
                bool unseen = false;
                snprintf(name, sizeof name, "ngram_%d", n);
                for (int t = 0; t <= c.length[j]; t++)
                    unseen = unseen || !random_has_ngram(&c, j, t, n);
                assert_true(find(&all, name)->abnormal[j] == unseen);
            }
            assert_true(find(&all, "cross_correlation_largest")->abnormal[j] == !in_train);
        }
        close_comparison(&d, &all);
    }
}

/* Shares are those of the test split's dialogs, one by one. */
static void counts_add_up(void **state)
{
    (void)state;
    static random_corpus c;
    sg_detection d;
    sg_comparison all;
    open_comparison(&c, 6, &d, &all);
    assert_int_equal(all.table.count, 5 + 2 * 4 + 3 + 4);
    for (int i = 0; i < all.table.count; i++) {
        const sg_verdicts *row = &all.table.row[i];
        int64_t hits[2] = {0}, total[2] = {0};
        for (int k = 0; k < RANDOM_DIALOGS; k++)
            if (c.split[k] == SG_SPLIT_TEST) {
                const bool known = random_count(&c, c.label[k], SG_SPLIT_TRAIN) > 0;
                total[known]++;
                hits[known] += row->abnormal[c.label[k]];
            }
        const sg_rate wanted[2] = {sg_rate_make(hits[0], total[0]), sg_rate_make(hits[1], total[1])};
        assert_memory_equal(&row->p_d, &wanted[0], sizeof wanted[0]);
        assert_memory_equal(&row->p_fa, &wanted[1], sizeof wanted[1]);
        assert_true(row->p_d_unique.total <= row->p_d.total && row->p_fa_unique.hits <= row->p_fa.hits);
    }
    assert_true(find(&all, "exact_set")->p_d.value == 1 && find(&all, "exact_set")->p_fa.value == 0);
    close_comparison(&d, &all);
}

/* What detection.h says of the network's detectors and of Markov chains is what stands here. */
static void agrees_with_table_6(void **state)
{
    (void)state;
    static random_corpus c;
    sg_detection d;
    sg_comparison all;
    open_comparison(&c, 2, &d, &all);
    for (int i = 0; i < SG_DETECTORS; i++) {
        const bool network = i < SG_DETECTOR_EXACT_SET;
        const sg_verdicts *row = sg_verdict_table_find(&all.table, sg_detector_name((sg_decider)i),
                                                       network ? "1.0" : "-", NULL, SG_COMBINED_NOT);
        assert_non_null(row);
        assert_memory_equal(row->abnormal, d.detector[i].abnormal, RANDOM_CLASSES);
        assert_memory_equal(&row->p_fa, &d.detector[i].p_fa, sizeof row->p_fa);
    }
    close_comparison(&d, &all);
}

/* A limit is the best one on the validation split, tried one by one; the test split has no say in it. */
static void limits_come_from_validation(void **state)
{
    (void)state;
    static random_corpus c;
    sg_detection d;
    sg_comparison all, other;
    open_comparison(&c, 5, &d, &all);
    const sg_verdicts *row =
        sg_verdict_table_find(&all.table, "skewness", "1.0", "validation", SG_COMBINED_NOT);
    assert_non_null(row);
    double best = -2, chosen = -2;
    for (int i = -1; i < RANDOM_CLASSES; i++) {
        const double limit = i < 0 ? row->limit : c.skewness[i];
        double hits[2] = {0}, total[2] = {0};
        for (int j = 0; j < RANDOM_CLASSES; j++) {
            const double weight = (double)random_count(&c, j, SG_SPLIT_VALIDATION);
            total[d.known[j]] += weight;
            hits[d.known[j]] += c.skewness[j] < limit ? weight : 0;
        }
        const double gain = hits[0] / total[0] - hits[1] / total[1];
        if (i < 0)
            chosen = gain;
        best = fmax(best, gain);
    }
    assert_true(fabs(chosen - best) < 1e-12);
    const double limit = row->limit;
    sg_detection_free(&d);
    for (int k = 0, moved = 0; k < RANDOM_DIALOGS; k++) /* another test split, the rest as it was */
        if (c.split[k] == SG_SPLIT_TEST)
            c.label[k] = moved++ % RANDOM_CLASSES;
    assert_ok(sg_detection_run(&d, &c.corpus, &c.outputs, &options));
    assert_ok(sg_comparison_open(&other, &c.corpus, &d));
    assert_ok(sg_comparison_add(&other, "1.0", 1, SG_COMBINED_NOT, &d));
    row = sg_verdict_table_find(&other.table, "skewness", "1.0", "validation", SG_COMBINED_NOT);
    assert_true(row->limit == limit);
    sg_comparison_free(&other);
    close_comparison(&d, &all);
}

static void no_validation_split(void **state)
{
    (void)state;
    static random_corpus c;
    sg_detection d;
    sg_comparison all;
    make_random_corpus(&c, 1);
    for (int k = 0; k < RANDOM_DIALOGS; k++)
        c.split[k] = c.split[k] == SG_SPLIT_VALIDATION ? SG_SPLIT_TRAIN : c.split[k];
    assert_ok(sg_detection_run(&d, &c.corpus, &c.outputs, &options));
    assert_ok(sg_comparison_open(&all, &c.corpus, &d));
    assert_ok(sg_comparison_add(&all, "1.0", 3, SG_COMBINED_MEAN, &d));
    assert_null(sg_verdict_table_find(&all.table, "p_max", "1.0", NULL, SG_COMBINED_MEAN));
    assert_null(sg_verdict_table_find(&all.table, "markov_2", "-", "validation", SG_COMBINED_NOT));
    const sg_verdicts *row =
        sg_verdict_table_find(&all.table, "threshold_both", "1.0", NULL, SG_COMBINED_MEAN);
    assert_true(row && row->runs == 3);
    /* Runs together also have curves. */
    assert_int_equal(all.curves, 2);
    assert_int_equal(all.curve[0].score, SG_SCORE_HIGHER_MOMENT);
    assert_int_equal(all.curve[1].score, SG_SCORE_P_MAX);
    for (int i = 0; i < all.curves; i++) {
        const sg_combined_roc *curve = &all.curve[i];
        const sg_roc *wanted = &d.roc[curve->score];
        assert_true(curve->runs == 3 && curve->combined == SG_COMBINED_MEAN &&
                    strcmp(curve->model, "1.0") == 0 && curve->roc.count == wanted->count);
        assert_memory_equal(curve->roc.points, wanted->points,
                            (size_t)wanted->count * sizeof *wanted->points);
    }
    close_comparison(&d, &all);
}

static void pairs_by_hand(void **state)
{
    (void)state;
    static random_corpus c;
    sg_detection d;
    sg_comparison all;
    open_comparison(&c, 8, &d, &all);
    const sg_verdicts *a = sg_verdict_table_find(&all.table, "threshold_both", "1.0", NULL, SG_COMBINED_NOT);
    const sg_verdicts *b = find(&all, "markov_2");
    int64_t first = 0, second = 0;
    for (int k = 0; k < RANDOM_DIALOGS; k++) {
        const bool known = d.known[c.label[k]], test = c.split[k] == SG_SPLIT_TEST;
        const bool a_right = a->abnormal[c.label[k]] != known, b_right = b->abnormal[c.label[k]] != known;
        first += test && a_right && !b_right;
        second += test && b_right && !a_right;
    }
    const sg_paired pair = sg_comparison_pair(&all, a, b), back = sg_comparison_pair(&all, b, a);
    assert_true(pair.first == first && pair.second == second && first + second > 0);
    assert_true(back.first == second && back.unique_first == pair.unique_second);
    assert_true(pair.p_value == back.p_value);
    assert_true(sg_comparison_pair(&all, find(&all, "exact_set"), a).second == 0);
    close_comparison(&d, &all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_against_brute_force), cmocka_unit_test(counts_add_up),
        cmocka_unit_test(agrees_with_table_6),      cmocka_unit_test(limits_come_from_validation),
        cmocka_unit_test(no_validation_split),      cmocka_unit_test(pairs_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
