/* Limits of prefixes against quantiles taken dialog by dialog. */
#include "detect/prefix_limits.h"

#include "base/philox.h"
#include "testing.h"

enum { CLASSES = 24, TYPES = 4, LONGEST = 9, USED = 7 /* messages of the longest dialog */ };

static bool is_new(const sg_model *m, int c)
{
    for (int other = 0; other < c; other++)
        if (memcmp(m->class_sequence + other * LONGEST, m->class_sequence + c * LONGEST,
                   LONGEST * sizeof(uint16_t)) == 0)
            return false;
    return true;
}

/* Random classes, each of some hundred train dialogs or none, and random weights. */
static void make_model(sg_model *m, sg_padding padding)
{
    sg_random random = sg_random_open(5, SG_RANDOM_BENCH, 0);
    sg_init_options init = {.seed = 4, .forget_bias = 1};
    *m = (sg_model){.spec = {.message_types = TYPES,
                             .max_length = LONGEST,
                             .units = 7,
                             .classes = CLASSES,
                             .layers = 1,
                             .padding = padding}};
    m->class_sequence = calloc(CLASSES * LONGEST, sizeof *m->class_sequence);
    m->class_length = calloc(CLASSES, sizeof *m->class_length);
    m->class_train = calloc(CLASSES, sizeof *m->class_train);
    for (int c = 0; c < CLASSES;) {
        uint16_t *row = m->class_sequence + c * LONGEST;
        memset(row, 0, LONGEST * sizeof *row);
        m->class_length[c] = (uint16_t)(1 + sg_random_below(&random, USED));
        for (int t = 0; t < m->class_length[c]; t++)
            row[t] = (uint16_t)(1 + sg_random_below(&random, TYPES));
        m->class_train[c] = c % 5 == 4 ? 0 : 1 + sg_random_below(&random, 400);
        c += is_new(m, c);
    }
    assert_ok(sg_params_alloc(&m->params, &m->spec));
    assert_ok(sg_params_init(&m->params, &m->spec, &init));
    for (size_t i = 0; i < m->params.layout.count; i++)
        m->params.data[i] *= 3;
}

static sg_engine *open_engine(const sg_model *m)
{
    const sg_engine_options options = {.device = SG_DEVICE_CPU, .precision = SG_PRECISION_FP32, .threads = 1};
    sg_engine *engine;
    assert_ok(sg_engine_open(&engine, &m->spec, &options));
    assert_ok(sg_engine_load(engine, &m->params));
    return engine;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The moments of all classes, cut after k messages, one by one: some are the same then. */
static void cut_and_run(const sg_model *m, sg_engine *engine, int k, double skewness[CLASSES],
                        double kurtosis[CLASSES])
{
    for (int c = 0; c < CLASSES; c++) {
        uint16_t sequence[LONGEST] = {0}, length = m->class_length[c] < k ? m->class_length[c] : (uint16_t)k;
        sg_sequences set;
        sg_outputs outputs;
        memcpy(sequence, m->class_sequence + c * LONGEST, length * sizeof *sequence);
        assert_ok(sg_sequences_make(&set, &m->spec, sequence, &length, 1));
        assert_ok(sg_outputs_alloc(&outputs, 1, CLASSES, false));
        assert_ok(sg_engine_infer_all(engine, &set, &outputs));
        skewness[c] = outputs.skewness[0];
        kurtosis[c] = outputs.kurtosis[0];
        sg_outputs_free(&outputs);
        sg_sequences_free(&set);
    }
}

/* Every train dialog of k messages or more by itself, sorted: the one with at most a share of them below. */
static double direct_quantile(const sg_model *m, const double *moment, int k, int *dialogs)
{
    static double values[CLASSES * 400];
    int count = 0;
    for (int c = 0; c < CLASSES; c++)
        for (int64_t i = 0; m->class_length[c] >= k && i < m->class_train[c]; i++)
            values[count++] = moment[c];
    *dialogs = count;
    qsort(values, (size_t)count, sizeof *values, compare);
    return count ? values[(int)(SG_PREFIX_QUANTILE * count)] : NAN;
}

static void agrees_with_quantiles_taken_directly(void **state)
{
    (void)state;
    for (int padding = SG_PADDING_POST; padding <= SG_PADDING_PRE; padding++) {
        sg_model m;
        make_model(&m, (sg_padding)padding);
        sg_engine *engine = open_engine(&m);
        assert_ok(sg_prefix_limits_fit(&m, engine));
        for (int k = 1; k <= LONGEST; k++) {
            double moment[2][CLASSES];
            int dialogs;
            cut_and_run(&m, engine, k, moment[0], moment[1]);
            double skewness = direct_quantile(&m, moment[0], k, &dialogs);
            double kurtosis = direct_quantile(&m, moment[1], k, &dialogs);
            const sg_prefix_limit *limit = &m.prefix_limit[k - 1];
            assert_int_equal(dialogs > 0, k <= USED);
            assert_true(dialogs == 0 ? limit->skewness == limit[-1].skewness
                                     : fabs(limit->skewness - skewness) < 1e-6);
            assert_true(dialogs == 0 ? limit->kurtosis == limit[-1].kurtosis
                                     : fabs(limit->kurtosis - kurtosis) < 1e-6);
        }
        sg_engine_close(engine);
        sg_model_free(&m);
    }
}

/* A beginning that one dialog in a thousand has does not lower the limit; one in a hundred does. */
static void rare_beginnings_do_not_count(void **state)
{
    (void)state;
    double limit[2];
    for (int often = 0; often <= 1; often++) {
        sg_model m;
        double skewness[CLASSES], kurtosis[CLASSES];
        make_model(&m, SG_PADDING_POST);
        sg_engine *engine = open_engine(&m);
        cut_and_run(&m, engine, 1, skewness, kurtosis);
        int least = 0, other = -1;
        for (int c = 0; c < CLASSES; c++)
            least = skewness[c] < skewness[least] ? c : least;
        for (int c = 0; c < CLASSES && other < 0; c++)
            other = m.class_sequence[c * LONGEST] != m.class_sequence[least * LONGEST] ? c : other;
        memset(m.class_train, 0, CLASSES * sizeof *m.class_train);
        m.class_train[least] = often ? 10 : 1;
        m.class_train[other] = 990;
        assert_ok(sg_prefix_limits_fit(&m, engine));
        limit[often] = m.prefix_limit[0].skewness;
        assert_true(fabs(limit[often] - skewness[often ? least : other]) < 1e-6);
        sg_engine_close(engine);
        sg_model_free(&m);
    }
    assert_true(limit[0] > limit[1]);
}

static void without_train_dialogs(void **state)
{
    (void)state;
    sg_model m;
    make_model(&m, SG_PADDING_POST);
    sg_engine *engine = open_engine(&m);
    assert_ok(sg_prefix_limits_fit(&m, engine));
    memset(m.class_train, 0, CLASSES * sizeof *m.class_train);
    assert_fails(SG_E_CONFIG, "no train dialogs", sg_prefix_limits_fit(&m, engine));
    assert_null(m.prefix_limit); /* rather than those of before */
    sg_engine_close(engine);
    sg_model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_quantiles_taken_directly),
        cmocka_unit_test(rare_beginnings_do_not_count),
        cmocka_unit_test(without_train_dialogs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
