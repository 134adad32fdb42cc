/* Tables over runs: spread, ensemble column, the paper's figures beside the right model. */
#include "experiment/tables.h"
#include "small_corpus.h"

static void spread_by_hand(void **state)
{
    (void)state;
    const double value[] = {1, NAN, 3, 8}, none[] = {NAN};
    sg_spread s = sg_spread_of(value, 4);
    assert_int_equal(s.count, 3);
    assert_true(s.mean == 4 && s.min == 1 && s.max == 8 && fabs(s.std - sqrt(13.0)) < 1e-15);
    s = sg_spread_of(value, 1);
    assert_true(s.mean == 1 && isnan(s.std));
    s = sg_spread_of(none, 1);
    assert_true(s.count == 0 && isnan(s.mean) && isnan(s.max));
}

static sg_run_result made_up(const char *model, int64_t seed, double base)
{
    sg_run_result r = {.seed = seed, .epochs = 500};
    snprintf(r.model, sizeof r.model, "%s", model);
    for (int s = 0; s < SG_SPLITS; s++)
        r.p_d[s] = base + 0.1 * s;
    for (int d = 0; d < SG_DETECTORS; d++)
        r.detector[d].p_d.value = r.detector[d].p_fa.value = base;
    return r;
}

static char *written(sg_status (*writer)(const sg_run_result *, int, const sg_run_result *, int,
                                         sg_table_style, FILE *))
{
    const sg_run_result runs[] = {made_up("1.0", 1, 0.25), made_up("2.1", 1, 0.5), made_up("1.0", 2, 0.75)};
    const sg_run_result ensembles[] = {made_up("1.0", -1, 0.8), made_up("2.1", -1, 0.6)};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_ok(writer(runs, 3, ensembles, 2, SG_STYLE_CSV, out));
    fclose(out);
    return text;
}

static void table_5_rows(void **state)
{
    (void)state;
    char *text = written(sg_report_table5);
    const char *wanted = "split,model,paper,runs,mean,std,min,max,ensemble,ceiling\n"
                         "train,1.0,1,2,0.5,0.3535533906,0.25,0.75,0.8,0\n"
                         "train,2.1,1,1,0.5,,0.5,0.5,0.6,0\n"
                         "validation,1.0,0.928,2,0.6,";
    if (strncmp(text, wanted, strlen(wanted)) != 0)
        fail_msg("got:\n%s", text);
    free(text);
}

static void table_6_rows(void **state)
{
    (void)state;
    char *text = written(sg_report_table6);
    const char *wanted = "detector,model,metric,paper,runs,mean,std,min,max,ensemble\n"
                         "threshold_both,1.0,p_d,0.9945,2,0.5,0.3535533906,0.25,0.75,0.8\n"
                         "threshold_both,1.0,p_fa,0.0395,2,0.5,0.3535533906,0.25,0.75,0.8\n"
                         "threshold_both,2.1,p_d,,1,0.5,,0.5,0.5,0.6\n";
    if (strncmp(text, wanted, strlen(wanted)) != 0)
        fail_msg("got:\n%s", text);
    int rows = 0;
    for (const char *c = text; *c; c++)
        rows += *c == '\n';
    assert_int_equal(rows, 1 + 2 * (3 * 2 + 3)); /* baselines once, whatever the model */
    assert_non_null(strstr(text, "\nmarkov_3,-,p_fa,,2,"));
    free(text);
}

/* A run's figures are those of its evaluation and detection. */
static void figures_of_a_run(void **state)
{
    (void)state;
    static small_corpus s;
    make_small_corpus(&s);
    const sg_detection_options options = SG_DETECTION_DEFAULTS;
    sg_detection d;
    sg_class_counts counts;
    sg_evaluation e[SG_SPLITS];
    sg_run_result r;
    assert_ok(sg_detection_run(&d, &s.corpus, &s.outputs, &options));
    assert_ok(sg_class_counts_make(&counts, &s.corpus));
    sg_evaluate(&counts, s.argmax, NULL, d.known, e);
    sg_run_result_make(&r, "1.0", 3, 170, e, &d);
    assert_true(r.p_d[SG_SPLIT_TEST] == 5.0 / 8.0 && r.ceiling[SG_SPLIT_VALIDATION] == 0.4);
    assert_true(r.detector[SG_DETECTOR_EXACT_SET].p_d.value == 1 &&
                r.detector[SG_DETECTOR_EXACT_SET].p_fa.hits == 0);
    assert_true(r.lambda_kurtosis == d.threshold.kurtosis.lambda && r.seed == 3 && r.epochs == 170);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_ok(sg_report_runs(&r, 1, out));
    fclose(out);
    assert_non_null(strstr(text, "\n1.0,3,170,1,0.8,0.625,1,0.4,0.625,"));
    free(text);
    cJSON *json = sg_json_run(&r);
    assert_true(cJSON_GetObjectItem(json, "seed")->valuedouble == 3);
    cJSON_Delete(json);
    sg_class_counts_free(&counts);
    sg_detection_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spread_by_hand),
        cmocka_unit_test(table_5_rows),
        cmocka_unit_test(table_6_rows),
        cmocka_unit_test(figures_of_a_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
