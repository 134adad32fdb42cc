/* Early detection against brute force, and what must hold of every curve. */
#include "detect/prefix_limits.h"
#include "experiment/early.h"
#include "random_corpus.h"

enum { UNITS = 6 };

typedef struct {
    random_corpus c;
    sg_model model;
    sg_engine *engine;
    sg_detection detection;
    sg_early early;
} early_case;

/* A network of random weights with limits from the train split, on a random corpus. */
static void open_case(early_case *e, uint32_t trial, sg_padding padding)
{
    const sg_engine_options engine_options = {
        .device = SG_DEVICE_CPU, .precision = SG_PRECISION_FP32, .threads = 1};
    const sg_detection_options options = SG_DETECTION_DEFAULTS;
    const sg_init_options init = {.seed = trial, .forget_bias = 1};
    const sg_spec spec = {.message_types = RANDOM_TYPES,
                          .max_length = RANDOM_LENGTH,
                          .units = UNITS,
                          .classes = RANDOM_CLASSES,
                          .layers = 1,
                          .padding = padding};
    sg_sequences set;
    sg_outputs outputs;
    make_random_corpus(&e->c, trial);
    assert_ok(sg_model_make(&e->model, &spec, &e->c.corpus));
    assert_ok(sg_params_init(&e->model.params, &spec, &init));
    for (size_t i = 0; i < e->model.params.layout.count; i++)
        e->model.params.data[i] *= 4;
    assert_ok(sg_engine_open(&e->engine, &spec, &engine_options));
    assert_ok(sg_engine_load(e->engine, &e->model.params));
    assert_ok(sg_prefix_limits_fit(&e->model, e->engine));
    assert_ok(sg_sequences_make(&set, &spec, e->c.sequence, e->c.length, RANDOM_CLASSES));
    assert_ok(sg_outputs_alloc(&outputs, RANDOM_CLASSES, RANDOM_CLASSES, false));
    assert_ok(sg_engine_infer_all(e->engine, &set, &outputs));
    assert_ok(sg_detection_run(&e->detection, &e->c.corpus, &outputs, &options));
    assert_ok(sg_early_open(&e->early, &e->c.corpus, &e->detection));
    assert_ok(sg_early_add(&e->early, "1.0", &e->model, e->engine, &e->c.corpus, &e->detection));
    sg_outputs_free(&outputs);
    sg_sequences_free(&set);
}

static void close_case(early_case *e)
{
    sg_early_free(&e->early);
    sg_detection_free(&e->detection);
    sg_engine_close(e->engine);
    sg_model_free(&e->model);
}

static const sg_early_row *find(const early_case *e, const char *detector, const char *model)
{
    const sg_early_row *row = sg_early_find(&e->early, detector, model);
    assert_non_null(row);
    return row;
}

static void sets_against_brute_force(void **state)
{
    (void)state;
    static early_case e;
    open_case(&e, 1, SG_PADDING_POST);
    const bool *known = e.detection.known;
    for (int j = 0; j < RANDOM_CLASSES; j++) {
        const int length = e.c.length[j];
        int trie = 0;
        for (int k = length; k >= 1; k--)
            trie = random_is_beginning(&e.c, j, k) ? trie : k;
        assert_int_equal(find(&e, "exact_set", "-")->first[j], known[j] ? 0 : length);
        assert_int_equal(find(&e, "prefix_trie", "-")->first[j], trie);
        assert_int_equal(find(&e, "prefix_trie_exact_set", "-")->first[j], trie       ? trie
                                                                           : known[j] ? 0
                                                                                      : length);
        for (int n = 2; n <= 4; n++) {
            char name[16];
            int first = 0;
            snprintf(name, sizeof name, "ngram_%d", n);
            for (int t = length; t >= 0; t--)
                first = random_has_ngram(&e.c, j, t, n) ? first : t == length ? length : t + 1;
            assert_int_equal(find(&e, name, "-")->first[j], first);
        }
    }
    close_case(&e);
}

static void curves_make_sense(void **state)
{
    (void)state;
    static early_case e;
    open_case(&e, 2, SG_PADDING_MASK);
    for (int i = 0; i < e.early.rows; i++) {
        sg_rate before_d = {0}, before_fa = {0};
        sg_verdicts at;
        for (int k = 1; k <= RANDOM_LENGTH; k++) {
            sg_early_count(&e.early, &e.early.row[i], k, &at);
            assert_true(at.p_d.hits >= before_d.hits && at.p_fa.hits >= before_fa.hits);
            assert_int_equal(at.p_d.total, e.detection.test_new);
            assert_int_equal(at.p_fa.total, e.detection.test_known);
            assert_true(at.messages == k && at.p_d_unique.hits <= at.p_d.hits);
            before_d = at.p_d;
            before_fa = at.p_fa;
        }
        sg_early_position position;
        assert_ok(sg_early_position_of(&e.early, &e.early.row[i], NULL, &position));
        assert_int_equal(position.detections, before_d.hits);
        assert_int_equal(position.false_alarms, before_fa.hits);
    }
    close_case(&e);
}

/* Where a flagged beginning makes a flagged dialog, the curve ends at Table VI; elsewhere it ends above. */
static void curves_end_at_whole_dialogs(void **state)
{
    (void)state;
    static early_case e;
    open_case(&e, 3, SG_PADDING_POST);
    for (int i = 0; i < SG_DETECTORS; i++) {
        const bool network = i < SG_DETECTOR_EXACT_SET;
        if (i == SG_DETECTOR_KMEANS)
            continue;
        const sg_verdicts *whole = &e.detection.detector[i];
        sg_verdicts end;
        sg_early_count(&e.early, find(&e, sg_detector_name((sg_decider)i), network ? "1.0" : "-"),
                       RANDOM_LENGTH, &end);
        assert_true(end.p_d.hits >= whole->p_d.hits && end.p_fa.hits >= whole->p_fa.hits);
        if (i == SG_DETECTOR_EXACT_SET)
            assert_true(end.p_d_unique.hits == whole->p_d_unique.hits && end.p_fa.hits == 0);
    }
    close_case(&e);
}

/* One sequence through the network by itself. */
static void run_alone(const early_case *e, const uint16_t *sequence, int length, double *skewness,
                      double *kurtosis)
{
    uint16_t cut[RANDOM_LENGTH] = {0}, cut_length = (uint16_t)length;
    sg_sequences set;
    sg_outputs outputs;
    memcpy(cut, sequence, (size_t)length * sizeof *cut);
    assert_ok(sg_sequences_make(&set, &e->model.spec, cut, &cut_length, 1));
    assert_ok(sg_outputs_alloc(&outputs, 1, RANDOM_CLASSES, false));
    assert_ok(sg_engine_infer_all(e->engine, &set, &outputs));
    *skewness = outputs.skewness[0];
    *kurtosis = outputs.kurtosis[0];
    sg_outputs_free(&outputs);
    sg_sequences_free(&set);
}

/* Every beginning cut and run alone, against its limit.  Near ties (rounding) are passed over. */
static void network_against_brute_force(void **state)
{
    (void)state;
    static early_case e;
    sg_random random = sg_random_open(13, SG_RANDOM_BENCH, 0);
    int flagged = 0, compared = 0;
    for (int padding = SG_PADDING_POST; padding <= SG_PADDING_PRE; padding++) {
        open_case(&e, 4, (sg_padding)padding);
        /* Limits in the midst of the moments: those from the train split flag next to nothing here. */
        for (int k = 0; k < RANDOM_LENGTH; k++) {
            const int j = (int)sg_random_below(&random, RANDOM_CLASSES);
            run_alone(&e, e.c.sequence + j * RANDOM_LENGTH, e.c.length[j], &e.model.prefix_limit[k].skewness,
                      &e.model.prefix_limit[k].kurtosis);
        }
        sg_early_free(&e.early);
        assert_ok(sg_early_open(&e.early, &e.c.corpus, &e.detection));
        assert_ok(sg_early_add(&e.early, "1.0", &e.model, e.engine, &e.c.corpus, &e.detection));
        for (int j = 0; j < RANDOM_CLASSES; j++) {
            int first[2] = {0};
            bool close = false;
            if (random_count(&e.c, j, SG_SPLIT_TEST) == 0)
                continue;
            for (int k = 1; k <= e.c.length[j]; k++) {
                const sg_prefix_limit *limit = &e.model.prefix_limit[k - 1];
                double s, q;
                run_alone(&e, e.c.sequence + j * RANDOM_LENGTH, k, &s, &q);
                close = close || fabs(s - limit->skewness) < 1e-6 || fabs(q - limit->kurtosis) < 1e-6;
                const bool low_s = s < limit->skewness, low_q = q < limit->kurtosis;
                first[0] = first[0] == 0 && low_s && low_q ? k : first[0];
                first[1] = first[1] == 0 && (low_s || low_q) ? k : first[1];
            }
            const char *const name[2] = {"threshold_both", "threshold_either"};
            for (int rule = 0; rule < 2 && !close; rule++) {
                const bool whole =
                    e.detection.detector[rule ? SG_DETECTOR_THRESHOLD_EITHER : SG_DETECTOR_THRESHOLD_BOTH]
                        .abnormal[j];
                const int wanted = first[rule] ? first[rule] : whole ? e.c.length[j] : 0;
                assert_int_equal(find(&e, name[rule], "1.0")->first[j], wanted);
                flagged += first[rule] > 0;
                compared++;
            }
        }
        close_case(&e);
    }
    assert_true(flagged > 0 && flagged < compared);
}

/* A chain of order 2 by counting, and limits from the train dialogs one by one. */
static double log_share(const random_corpus *c, int j, int t)
{
    double pair = 0, context = 0;
    for (int d = 0; d < RANDOM_DIALOGS; d++) {
        const int i = c->label[d];
        for (int u = 0; c->split[d] == SG_SPLIT_TRAIN && u <= c->length[i]; u++) {
            const bool same = random_symbol(c, i, u - 1) == random_symbol(c, j, t - 1) &&
                              random_symbol(c, i, u - 2) == random_symbol(c, j, t - 2);
            context += same;
            pair += same && random_symbol(c, i, u) == random_symbol(c, j, t);
        }
    }
    return log((pair + 0.01) / (context + 0.01 * (RANDOM_TYPES + 1)));
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void markov_against_brute_force(void **state)
{
    (void)state;
    static early_case e;
    static double score[RANDOM_CLASSES][RANDOM_LENGTH], values[RANDOM_DIALOGS];
    double limit[RANDOM_LENGTH] = {0};
    int early = 0;
    open_case(&e, 7, SG_PADDING_MASK);
    for (int j = 0; j < RANDOM_CLASSES; j++)
        for (int t = 0; t < e.c.length[j]; t++)
            score[j][t] = (t ? score[j][t - 1] : 0) + log_share(&e.c, j, t);
    for (int k = 1; k <= RANDOM_LENGTH; k++) {
        int count = 0;
        for (int d = 0; d < RANDOM_DIALOGS; d++)
            if (e.c.split[d] == SG_SPLIT_TRAIN && e.c.length[e.c.label[d]] >= k)
                values[count++] = score[e.c.label[d]][k - 1];
        qsort(values, (size_t)count, sizeof *values, compare_doubles);
        limit[k - 1] = count ? values[(int)(SG_PREFIX_QUANTILE * count)] : limit[k - 2];
    }
    for (int j = 0; j < RANDOM_CLASSES; j++) {
        int first = 0;
        for (int k = e.c.length[j]; k >= 1; k--)
            first = score[j][k - 1] < limit[k - 1] - 1e-9 ? k : first;
        early += first > 0;
        if (first == 0 && e.detection.detector[SG_DETECTOR_MARKOV_2].abnormal[j])
            first = e.c.length[j];
        assert_int_equal(find(&e, "markov_2", "-")->first[j], first);
    }
    assert_true(early > 0);
    close_case(&e);
}

static void positions_by_hand(void **state)
{
    (void)state;
    static early_case e;
    open_case(&e, 5, SG_PADDING_MASK);
    const sg_early_row *trie = find(&e, "prefix_trie_exact_set", "-"), *set = find(&e, "exact_set", "-");
    sg_early_position p, q;
    int64_t later = 0, sums[2][RANDOM_LENGTH + 1] = {{0}};
    for (int d = 0; d < RANDOM_DIALOGS; d++)
        if (e.c.split[d] == SG_SPLIT_TEST && !e.detection.known[e.c.label[d]]) {
            later += set->first[e.c.label[d]] > trie->first[e.c.label[d]];
            sums[0][trie->first[e.c.label[d]]]++;
        }
    assert_ok(sg_early_position_of(&e.early, set, trie, &p));
    assert_true(p.later == later && p.earlier == 0 && p.median_share == 1 && later > 0);
    assert_ok(sg_early_position_of(&e.early, trie, set, &q));
    assert_true(q.earlier == later && q.later == 0 && q.detections == q.new_dialogs);
    int64_t below = 0;
    for (int k = 1; k < (int)q.median_message; k++)
        below += sums[0][k];
    assert_true(2 * below <= q.detections && 2 * (below + sums[0][(int)q.median_message]) >= q.detections);
    close_case(&e);
}

static void a_model_without_limits_has_no_part(void **state)
{
    (void)state;
    static early_case e;
    open_case(&e, 6, SG_PADDING_MASK);
    const int rows = e.early.rows;
    free(e.model.prefix_limit);
    e.model.prefix_limit = NULL;
    assert_ok(sg_early_add(&e.early, "2.0", &e.model, e.engine, &e.c.corpus, &e.detection));
    assert_int_equal(e.early.rows, rows);
    close_case(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_against_brute_force),           cmocka_unit_test(curves_make_sense),
        cmocka_unit_test(curves_end_at_whole_dialogs),        cmocka_unit_test(network_against_brute_force),
        cmocka_unit_test(markov_against_brute_force),         cmocka_unit_test(positions_by_hand),
        cmocka_unit_test(a_model_without_limits_has_no_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
