/* All detectors on a corpus small enough to count by hand, and what must hold on any corpus. */
#include "base/memory.h"
#include "base/philox.h"
#include "experiment/detection.h"
#include "experiment/paper.h"
#include "small_corpus.h"

static const sg_detection_options options = SG_DETECTION_DEFAULTS;

static void check_rate(const sg_rate *rate, int64_t hits, int64_t total)
{
    assert_int_equal(rate->hits, hits);
    assert_int_equal(rate->total, total);
}

/* lambda(skewness) is a little below (4*1 + 2*0.9999 + 0.9998)/7 = 0.999943: classes 1 and 2 are below, and
 * class 3; class 4 is above.  K-means puts class 3 alone into the low cluster. */
static void counts_by_hand(void **state)
{
    (void)state;
    static small_corpus s;
    make_small_corpus(&s);
    sg_detection d;
    assert_ok(sg_detection_run(&d, &s.corpus, &s.outputs, &options));
    assert_int_equal(d.test_new, 3);
    assert_int_equal(d.test_known, 5);
    assert_int_equal(d.test_unique_new, 2);
    check_rate(&d.detector[SG_DETECTOR_THRESHOLD_BOTH].p_d, 2, 3);
    check_rate(&d.detector[SG_DETECTOR_THRESHOLD_BOTH].p_fa, 2, 5);
    check_rate(&d.detector[SG_DETECTOR_THRESHOLD_BOTH].p_fa_unique, 2, 3);
    check_rate(&d.detector[SG_DETECTOR_KMEANS].p_d, 2, 3);
    check_rate(&d.detector[SG_DETECTOR_KMEANS].p_d_unique, 1, 2);
    check_rate(&d.detector[SG_DETECTOR_KMEANS].p_fa, 0, 5);
    check_rate(&d.detector[SG_DETECTOR_EXACT_SET].p_d, 3, 3);
    check_rate(&d.detector[SG_DETECTOR_EXACT_SET].p_fa, 0, 5);
    assert_true(d.kmeans.centroid[0][0] == 0.4);
    sg_detection_free(&d);
}

/* A random corpus of N classes with random moments. */
enum { N = 300, DIALOGS = 2000, LENGTH = 6, TYPES = 4 };
typedef struct {
    sg_corpus corpus;
    uint16_t sequence[N * LENGTH], length[N];
    int32_t label[DIALOGS], argmax[N];
    uint8_t split[DIALOGS];
    float p_max[N];
    double skewness[N], kurtosis[N];
    sg_outputs outputs;
} random_corpus;

static void make_random_corpus(random_corpus *c, uint32_t trial)
{
    sg_random random = sg_random_open(5, SG_RANDOM_BENCH, trial);
    *c = (random_corpus){0};
    for (int j = 0; j < N; j++) {
        c->length[j] = (uint16_t)(1 + sg_random_below(&random, LENGTH));
        for (int t = 0; t < c->length[j]; t++)
            c->sequence[j * LENGTH + t] = (uint16_t)(1 + sg_random_below(&random, TYPES));
        c->p_max[j] = (float)sg_random_double(&random);
        c->skewness[j] = sg_random_double(&random);
        c->kurtosis[j] = sg_random_double(&random);
    }
    for (int d = 0; d < DIALOGS; d++) {
        const double u = sg_random_double(&random);
        c->label[d] = (int32_t)(u * u * u * N);
        c->split[d] = (uint8_t)sg_random_below(&random, SG_SPLITS);
    }
    c->corpus = (sg_corpus){.message_types = TYPES,
                            .max_length = LENGTH,
                            .classes = N,
                            .dialogs = DIALOGS,
                            .label = c->label,
                            .class_sequence = c->sequence,
                            .class_length = c->length,
                            .split = c->split};
    c->outputs = (sg_outputs){N, c->argmax, c->p_max, c->skewness, c->kurtosis, NULL};
}

/* The verdicts of one detector counted dialog by dialog. */
static void recount(const random_corpus *c, const sg_detection *d, int detector)
{
    bool in_train[N] = {false};
    int64_t hits[2] = {0}, total[2] = {0};
    for (int i = 0; i < DIALOGS; i++)
        if (c->split[i] == SG_SPLIT_TRAIN)
            in_train[c->label[i]] = true;
    for (int i = 0; i < DIALOGS; i++) {
        if (c->split[i] != SG_SPLIT_TEST)
            continue;
        total[in_train[c->label[i]]]++;
        hits[in_train[c->label[i]]] += d->detector[detector].abnormal[c->label[i]];
    }
    check_rate(&d->detector[detector].p_d, hits[0], total[0]);
    check_rate(&d->detector[detector].p_fa, hits[1], total[1]);
}

static void holds_on_random_corpora(void **state)
{
    (void)state;
    static random_corpus c;
    for (uint32_t trial = 0; trial < 5; trial++) {
        make_random_corpus(&c, trial);
        sg_detection d;
        assert_ok(sg_detection_run(&d, &c.corpus, &c.outputs, &options));
        assert_int_equal(d.test_new + d.test_known, d.test_dialogs);
        assert_true(d.detector[SG_DETECTOR_EXACT_SET].p_d.value == 1);
        assert_true(d.detector[SG_DETECTOR_EXACT_SET].p_fa.value == 0);
        for (int i = 0; i < SG_DETECTORS; i++)
            recount(&c, &d, i);
        for (int j = 0; j < N; j++) {
            assert_true(d.detector[SG_DETECTOR_THRESHOLD_BOTH].abnormal[j] <=
                        d.detector[SG_DETECTOR_THRESHOLD_EITHER].abnormal[j]);
            assert_int_equal(d.detector[SG_DETECTOR_KMEANS].abnormal[j], d.score[SG_SCORE_KMEANS][j] < 0);
        }
        for (int i = 0; i < SG_SCORES; i++)
            assert_true(d.roc[i].new_dialogs == d.test_new && d.roc[i].known_dialogs == d.test_known);
        sg_detection_free(&d);
    }
}

/* Every test dialog known: P_D is undefined, not 0. */
static void nothing_new(void **state)
{
    (void)state;
    static small_corpus s;
    make_small_corpus(&s);
    for (int i = 0; i < SMALL_DIALOGS; i++)
        if (s.split[i] == SG_SPLIT_VALIDATION || s.label[i] > 2)
            s.split[i] = SG_SPLIT_TRAIN;
    sg_detection d;
    assert_ok(sg_detection_run(&d, &s.corpus, &s.outputs, &options));
    assert_int_equal(d.test_new, 0);
    assert_true(isnan(d.detector[SG_DETECTOR_EXACT_SET].p_d.value));
    assert_true(isnan(d.roc[SG_SCORE_P_MAX].auc));
    sg_detection_free(&d);
}

static void refuses_bad_input(void **state)
{
    (void)state;
    static small_corpus s;
    sg_detection d;
    make_small_corpus(&s);
    for (int i = 0; i < SMALL_DIALOGS; i++)
        s.split[i] = SG_SPLIT_TEST;
    assert_fails(SG_E_CONFIG, "no train dialogs", sg_detection_run(&d, &s.corpus, &s.outputs, &options));
    sg_detection_free(&d);
    memset(s.split, SG_SPLIT_TRAIN, sizeof s.split);
    assert_fails(SG_E_CONFIG, "no test dialogs", sg_detection_run(&d, &s.corpus, &s.outputs, &options));
    sg_detection_free(&d);
    make_small_corpus(&s);
    s.kurtosis[4] = NAN;
    assert_fails(SG_E_NUMERIC, "class 4", sg_detection_run(&d, &s.corpus, &s.outputs, &options));
    sg_detection_free(&d);
    make_small_corpus(&s);
    s.outputs.count = 5;
    assert_fails(SG_E_CONFIG, "5 sequences", sg_detection_run(&d, &s.corpus, &s.outputs, &options));
    sg_detection_free(&d);
}

/* The printed shares are those of whole dialogs: 360 and 252 of 362, 207 of 5242. */
static void paper_figures_are_counts(void **state)
{
    (void)state;
    double p_d, p_fa;
    assert_true(sg_detector_paper(SG_DETECTOR_THRESHOLD_BOTH, &p_d, &p_fa));
    assert_true(fabs(p_d - 360.0 / 362.0) < 5e-5 && fabs(p_fa - 207.0 / 5242.0) < 5e-5);
    assert_true(sg_detector_paper(SG_DETECTOR_KMEANS, &p_d, &p_fa));
    assert_true(fabs(p_d - 252.0 / 362.0) < 5e-5 && p_fa == 0);
    assert_false(sg_detector_paper(SG_DETECTOR_MARKOV_2, &p_d, &p_fa));
    assert_true(isnan(p_d));
    assert_true(fabs(SG_PAPER_PD_TEST - 5242.0 / 5604.0) < 1e-4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_by_hand),
        cmocka_unit_test(holds_on_random_corpora),
        cmocka_unit_test(nothing_new),
        cmocka_unit_test(refuses_bad_input),
        cmocka_unit_test(paper_figures_are_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
