/* The one judge: what is known costs a look-up, what is not is the network's, against the limits of the
 * model; an exported model says the same. */
#include "detect/detector.h"

#include "export/export.h"
#include "network_case.h"

#define STRICT  2.0
#define LENIENT -1.0

static sg_detector *open_case(sg_padding padding, double going_on, double over)
{
    sg_model model;
    sg_detector *detector;
    make_model(&model, LONGEST, going_on, over);
    model.spec.padding = padding;
    assert_ok(open_detector(&detector, &model));
    assert_null(model.class_sequence); /* taken over */
    return detector;
}

/* ---- message by message ---- */

static void known_beginnings_are_settled(void **state)
{
    (void)state;
    sg_detector *d = open_case(SG_PADDING_POST, STRICT, STRICT);
    sg_standing dialog = {0};
    sg_verdict v;
    assert_false(sg_detector_end(d, &dialog, &v)); /* nothing has come */
    for (int t = 0; t < known_length[0]; t++) {
        assert_true(sg_detector_push(d, &dialog, known_sequence[0][t], &v));
        assert_true(v.known_prefix && !v.scored && v.best_class == -1 && isnan(v.skewness));
        assert_int_equal(v.known, t == known_length[0] - 1);
        assert_int_equal(sg_verdict_abnormal(&v, false, SG_RULE_EITHER), 0);
        const sg_dialog_types so_far = {known_sequence[0], t + 1};
        assert_int_equal(sg_detector_find(d, &so_far).node, dialog.node);
    }
    assert_true(sg_detector_end(d, &dialog, &v));
    assert_true(v.known && sg_verdict_abnormal(&v, true, SG_RULE_BOTH) == 0);
    assert_false(sg_detector_push(d, &dialog, ACK, &v)); /* further than any */
    assert_false(v.known_prefix || v.known);
    assert_false(sg_detector_push(d, &dialog, INVITE, &v)); /* and it stays outside */
    sg_detector_close(d);
}

static void a_message_without_type_leads_outside(void **state)
{
    (void)state;
    sg_detector *d = open_case(SG_PADDING_POST, STRICT, STRICT);
    sg_standing dialog = {0};
    sg_verdict v;
    assert_true(sg_detector_push(d, &dialog, OPTIONS, &v));
    assert_false(sg_detector_push(d, &dialog, 0, &v));
    assert_false(sg_detector_push(d, &dialog, OK, &v));
    assert_false(sg_detector_end(d, &dialog, &v));
    sg_detector_close(d);
}

/* ---- the network ---- */

/* The moments of one sequence, the engine being asked for it alone. */
static void moments_alone(sg_detector *d, const sg_dialog_types *dialog, double *skewness, double *kurtosis)
{
    const sg_spec *spec = &sg_detector_model(d)->spec;
    sg_sequences set;
    sg_outputs outputs;
    uint16_t padded[LONGEST] = {0}, length = (uint16_t)dialog->length;
    memcpy(padded, dialog->types, length * sizeof *padded);
    assert_ok(sg_sequences_make(&set, spec, padded, &length, 1));
    assert_ok(sg_outputs_alloc(&outputs, 1, spec->classes, false));
    assert_ok(sg_engine_infer_all(sg_detector_engine(d), &set, &outputs));
    *skewness = outputs.skewness[0];
    *kurtosis = outputs.kurtosis[0];
    sg_outputs_free(&outputs);
    sg_sequences_free(&set);
}

enum { COUNT = 7 };
static const uint16_t sequence[COUNT][LONGEST] = {
    {OPTIONS, OK}, {BYE},     {INVITE, TRYING, OK},        {BYE},
    {OPTIONS, OK}, {OPTIONS}, {OK, OK, OK, OK, OK, OK, OK}};
static const uint8_t length[COUNT] = {2, 1, 3, 1, 2, 1, 7};

static void list_dialogs(sg_dialog_types dialogs[COUNT])
{
    for (int i = 0; i < COUNT; i++)
        dialogs[i] = (sg_dialog_types){sequence[i], length[i]};
}

static void verdicts_are_the_networks(void **state)
{
    (void)state;
    sg_dialog_types dialogs[COUNT];
    sg_verdict v[COUNT];
    list_dialogs(dialogs);
    for (int padding = SG_PADDING_POST; padding <= SG_PADDING_PRE; padding++) {
        sg_detector *d = open_case((sg_padding)padding, 0, 0);
        assert_ok(sg_detector_judge(d, dialogs, COUNT, v));
        for (int i = 0; i < COUNT; i++) {
            double skewness, kurtosis;
            moments_alone(d, &dialogs[i], &skewness, &kurtosis);
            assert_true(v[i].scored && fabs(v[i].skewness - skewness) < 1e-5);
            assert_true(fabs(v[i].kurtosis - kurtosis) < 1e-5);
            assert_int_equal(v[i].known_prefix, i == 0 || i >= 4 ? i != 6 : false);
            assert_int_equal(v[i].known, i == 0 || i == 4); /* OPTIONS alone is of another split */
        }
        assert_memory_equal(&v[1], &v[3], sizeof *v);
        assert_memory_equal(&v[0], &v[4], sizeof *v);
        assert_true(fabs(v[0].skewness - v[1].skewness) > 1e-4);
        memory_is_short = true;
        assert_fails(SG_E_MEMORY, "sequences to score", sg_detector_judge(d, dialogs, COUNT, v));
        memory_is_short = false;
        sg_detector_close(d);
    }
}

static void dialogs_that_the_model_cannot_take(void **state)
{
    (void)state;
    static const uint16_t types[LONGEST + 1] = {OK, OK, OK, OK, OK, OK, OK, OK};
    sg_detector *d = open_case(SG_PADDING_POST, 0, 0);
    const sg_dialog_types wrong[2] = {{types, LONGEST + 1}, {types, 0}};
    sg_verdict v;
    for (int i = 0; i < 2; i++)
        assert_fails(SG_E_CONFIG, "the model takes 1 to 7", sg_detector_judge(d, &wrong[i], 1, &v));
    assert_ok(sg_detector_judge(d, NULL, 0, NULL));
    sg_detector_close(d);
}

/* ---- limits ---- */

static void each_length_has_its_limits(void **state)
{
    (void)state;
    sg_dialog_types dialogs[COUNT];
    sg_verdict v[COUNT];
    sg_prefix_limit limits;
    list_dialogs(dialogs);
    sg_detector *d = open_case(SG_PADDING_POST, STRICT, LENIENT);
    assert_true(sg_detector_limits(d, 1, false, &limits) && limits.skewness == STRICT);
    assert_true(sg_detector_limits(d, 1, true, &limits) && limits.kurtosis == LENIENT);
    assert_true(sg_detector_limits(d, LONGEST, false, &limits) && limits.skewness == LENIENT);
    assert_ok(sg_detector_judge(d, dialogs, COUNT, v));
    for (int rule = SG_RULE_BOTH; rule <= SG_RULE_EITHER; rule++) {
        assert_int_equal(sg_verdict_abnormal(&v[2], false, (sg_rule)rule), 1);
        assert_int_equal(sg_verdict_abnormal(&v[2], true, (sg_rule)rule), 0);
        assert_int_equal(sg_verdict_abnormal(&v[0], false, (sg_rule)rule), 0); /* it is known, */
        assert_int_equal(v[0].below[false][rule], 1);                          /* whatever the moments */
        assert_int_equal(sg_verdict_abnormal(&v[6], false, (sg_rule)rule), 0); /* L messages: whole */
    }
    sg_detector_close(d);
}

static void rules_join_two_moments(void **state)
{
    (void)state;
    const sg_dialog_types dialog = {sequence[2], length[2]};
    sg_model model;
    sg_detector *d;
    sg_verdict v;
    make_model(&model, LONGEST, STRICT, STRICT);
    model.lambda_kurtosis = LENIENT;
    assert_ok(open_detector(&d, &model));
    assert_ok(sg_detector_judge(d, &dialog, 1, &v));
    assert_int_equal(sg_verdict_abnormal(&v, true, SG_RULE_BOTH), 0);
    assert_int_equal(sg_verdict_abnormal(&v, true, SG_RULE_EITHER), 1);
    const sg_prefix_limit at = {v.skewness, v.kurtosis}, above = {2 * fabs(v.skewness), -1};
    assert_true(sg_verdict_depth(&v, &at) == 0);
    assert_true(sg_verdict_depth(&v, &above) > 0 && sg_verdict_depth(&v, &above) <= 1);
    sg_detector_close(d);
}

static void models_without_limits(void **state)
{
    (void)state;
    const sg_dialog_types dialog = {sequence[2], length[2]};
    for (int with_whole = 0; with_whole <= 1; with_whole++) {
        sg_model model;
        sg_detector *d;
        sg_prefix_limit limits;
        sg_verdict v;
        make_model(&model, LONGEST, STRICT, STRICT);
        free(model.prefix_limit);
        model.prefix_limit = NULL;
        model.has_thresholds = with_whole;
        assert_ok(open_detector(&d, &model));
        assert_false(sg_detector_limits(d, 1, false, &limits));
        assert_int_equal(sg_detector_limits(d, 1, true, &limits), with_whole);
        assert_ok(sg_detector_judge(d, &dialog, 1, &v));
        assert_int_equal(sg_verdict_abnormal(&v, false, SG_RULE_BOTH), -1);
        assert_int_equal(sg_verdict_abnormal(&v, true, SG_RULE_BOTH), with_whole ? 1 : -1);
        assert_int_equal(v.low_cluster, -1);
        sg_detector_close(d);
    }
}

/* ---- opening ---- */

static void what_a_detector_tells_of_its_model(void **state)
{
    (void)state;
    sg_detector *d = open_case(SG_PADDING_POST, 0, 0), *other;
    sg_model model;
    assert_int_equal(sg_detector_max_length(d), LONGEST);
    assert_int_equal(sg_alphabet_id_of_name(sg_detector_alphabet(d), "180"), RINGING);
    assert_false(sg_detector_collapsed(d));
    const sg_dialog_types second = sg_detector_class(d, 1);
    assert_int_equal(second.length, known_length[1]);
    assert_memory_equal(second.types, known_sequence[1], known_length[1] * sizeof *second.types);
    for (int fault = 0; fault < 4; fault++) {
        make_model(&model, LONGEST, 0, 0);
        if (fault == 1)
            model.alphabet[2][0] = 'X';
        else if (fault == 2)
            strcpy(model.type_rule, "cseq/1");
        else if (fault == 3)
            model.collapsed = true;
        assert_ok(open_detector(&other, &model));
        assert_int_equal(sg_detector_same_types(d, other), fault == 0);
        sg_detector_close(other);
    }
    make_model(&model, LONGEST, 0, 0);
    strcpy(model.type_rule, "paper/9");
    assert_fails(SG_E_CONFIG, "paper/9", open_detector(&other, &model));
    assert_null(other);
    sg_detector_close(d);
    sg_detector_close(NULL);
}

static void assert_same_verdicts(const sg_verdict *a, const sg_verdict *b)
{
    assert_true(a->known == b->known && a->known_prefix == b->known_prefix && b->scored);
    assert_int_equal(a->best_class, b->best_class);
    assert_true(fabs(a->skewness - b->skewness) < 1e-5 && fabs(a->kurtosis - b->kurtosis) < 1e-5);
    for (int over = 0; over <= 1; over++)
        for (int rule = SG_RULE_BOTH; rule <= SG_RULE_EITHER; rule++)
            assert_int_equal(sg_verdict_abnormal(a, over, (sg_rule)rule),
                             sg_verdict_abnormal(b, over, (sg_rule)rule));
}

/* A model file and what `export` makes of it, opened by their paths. */
static void both_kinds_of_files(void **state)
{
    (void)state;
    char folder[128], path[2][160];
    sg_dialog_types dialogs[COUNT];
    sg_verdict v[2][COUNT];
    sg_detector *d[2];
    sg_model model;
    const sg_detector_options options = {.engine = {.device = SG_DEVICE_CPU, .threads = 1},
                                         .recompute = true};
    list_dialogs(dialogs);
    make_test_folder(folder);
    snprintf(path[0], sizeof path[0], "%s/model.h5", folder);
    snprintf(path[1], sizeof path[1], "%s/model.sipm", folder);
    make_model(&model, LONGEST, 0.2, 0.3);
    assert_ok(sg_model_write(&model, NULL, path[0]));
    sg_engine *engine;
    assert_ok(sg_engine_open(&engine, &model.spec, &options.engine));
    assert_ok(sg_engine_load(engine, &model.params));
    assert_ok(sg_export_sipm(&model, engine, SG_WEIGHTS_FP32, path[1], NULL));
    sg_engine_close(engine);
    sg_model_free(&model);
    for (int kind = 0; kind < 2; kind++) {
        bool exported;
        assert_ok(sg_detector_is_exported(path[kind], &exported));
        assert_int_equal(exported, kind);
        assert_ok(sg_detector_open(&d[kind], path[kind], &options));
        assert_int_equal(sg_detector_model(d[kind]) == NULL, kind);
        assert_ok(sg_detector_judge(d[kind], dialogs, COUNT, v[kind]));
        remove(path[kind]);
    }
    assert_true(sg_detector_same_types(d[0], d[1]));
    for (int i = 0; i < COUNT; i++)
        assert_same_verdicts(&v[0][i], &v[1][i]);
    for (int kind = 0; kind < 2; kind++)
        sg_detector_close(d[kind]);
    assert_fails(SG_E_IO, "model.h5", sg_detector_open(&d[0], path[0], &options));
    assert_int_equal(remove(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_beginnings_are_settled),
        cmocka_unit_test(a_message_without_type_leads_outside),
        cmocka_unit_test(verdicts_are_the_networks),
        cmocka_unit_test(dialogs_that_the_model_cannot_take),
        cmocka_unit_test(each_length_has_its_limits),
        cmocka_unit_test(rules_join_two_moments),
        cmocka_unit_test(models_without_limits),
        cmocka_unit_test(what_a_detector_tells_of_its_model),
        cmocka_unit_test(both_kinds_of_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
