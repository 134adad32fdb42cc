/* What the tables look like, and that CSV reads back. */
#include "experiment/report.h"
#include "small_corpus.h"

static const sg_detection_options options = SG_DETECTION_DEFAULTS;

/* Lines of a text, and commas outside quotes in each: the same in all for a sound CSV. */
static int check_csv(const char *text, int *columns)
{
    int lines = 0, commas = 0, first = -1;
    bool quoted = false;
    for (; *text; text++) {
        quoted ^= *text == '"';
        commas += *text == ',' && !quoted;
        if (*text != '\n' || quoted)
            continue;
        if (first < 0)
            first = commas;
        assert_int_equal(commas, first);
        commas = 0;
        lines++;
    }
    *columns = first + 1;
    return lines;
}

static void text_table_styles(void **state)
{
    (void)state;
    static const char *const wanted[] = {"name     P_D          95%  count\n"
                                         "a,b   50.00%  15.00-85.00    2/4\n",
                                         "name,p_d,low,high,hits,total\n"
                                         "\"a,b\",0.5,0.1500389"};
    for (int style = SG_STYLE_TEXT; style <= SG_STYLE_CSV; style++) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        const sg_rate half = sg_rate_make(2, 4);
        sg_text_table t;
        sg_text_table_open(&t, (sg_table_style)style);
        sg_text_table_head(&t, "name", "name");
        if (style == SG_STYLE_TEXT)
            sg_text_table_head_rate(&t, "P_D");
        else
            sg_text_table_heads(&t, "p_d,low,high,hits,total");
        sg_text_table_cell(&t, "a,b");
        (style == SG_STYLE_TEXT ? sg_text_table_rate : sg_text_table_interval)(&t, &half);
        assert_ok(sg_text_table_write(&t, out));
        fclose(out);
        if (strncmp(text, wanted[style], strlen(wanted[style])) != 0)
            fail_msg("got:\n%s\nwanted:\n%s", text, wanted[style]);
        free(text);
        sg_text_table_cell(&t, "loose");
        assert_int_equal(sg_text_table_write(&t, stderr), SG_E_INTERNAL);
        sg_text_table_free(&t);
    }
}

static void undefined_shares_are_dashes(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (int style = SG_STYLE_TEXT; style <= SG_STYLE_CSV; style++) {
        sg_text_table t;
        sg_text_table_open(&t, (sg_table_style)style);
        sg_text_table_head(&t, "a", "a");
        sg_text_table_head(&t, "b", "b");
        sg_text_table_share(&t, NAN);
        sg_text_table_value(&t, NAN, 3);
        assert_ok(sg_text_table_write(&t, out));
        sg_text_table_free(&t);
    }
    fclose(out);
    assert_string_equal(text, "a  b\n-  -\na,b\n,\n");
    free(text);
}

static void detection_tables(void **state)
{
    (void)state;
    static small_corpus s;
    make_small_corpus(&s);
    sg_detection d;
    assert_ok(sg_detection_run(&d, &s.corpus, &s.outputs, &options));
    sg_status (*const writers[])(const sg_detection *, sg_table_style, FILE *) = {sg_report_limits,
                                                                                  sg_report_auc};
    const int rows[] = {8, SG_SCORES}, wanted[] = {3, 5};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = NULL;
        size_t size = 0;
        int columns;
        FILE *out = open_memstream(&text, &size);
        assert_ok(writers[i](&d, SG_STYLE_CSV, out));
        fclose(out);
        assert_int_equal(check_csv(text, &columns), rows[i] + 1);
        assert_int_equal(columns, wanted[i]);
        free(text);
    }
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_ok(sg_report_detection(&d, false, out));
    assert_ok(sg_report_detection(&d, true, out));
    fclose(out);
    const char *both = strstr(text, "threshold, both below");
    assert_true(both && strstr(both, "99.45%") < strchr(both, '\n'));
    assert_non_null(strstr(both + 1, "threshold, both below")); /* counted by classes */
    free(text);
    sg_detection_free(&d);
}

static void csv_files(void **state)
{
    (void)state;
    static small_corpus s;
    make_small_corpus(&s);
    sg_detection d;
    sg_class_counts counts;
    const int32_t class_of[SMALL_CLASSES] = {0, 1, 2, 3, -1, 5};
    assert_ok(sg_detection_run(&d, &s.corpus, &s.outputs, &options));
    assert_ok(sg_class_counts_make(&counts, &s.corpus));
    const sg_roc_source source = {"1.0", 1, SG_COMBINED_NOT, 7, "skewness"};
    const int rows[] = {SG_DETECTORS, 3 + 5, 8, SMALL_CLASSES, d.roc[0].count};
    const int wanted[] = {21, 17, 18, 13, 8};
    for (int i = 0; i < 5; i++) {
        char *text = NULL;
        size_t size = 0;
        int columns;
        FILE *out = open_memstream(&text, &size);
        if (i == 0)
            assert_ok(sg_report_verdicts(d.detector, SG_DETECTORS, out));
        else if (i == 1) {
            sg_report_moments_head(out);
            sg_report_moments(&d, &s.corpus, &counts, &s.outputs, "1.0", 7, out);
        } else if (i == 2)
            sg_report_dialogs(&d, &s.corpus, &s.outputs, SG_RULE_BOTH, out);
        else if (i == 3)
            sg_report_classes(&s.corpus, &counts, &s.outputs, class_of, d.known, out);
        else {
            sg_report_roc_head(out);
            sg_report_roc(&d.roc[0], &source, out);
        }
        fclose(out);
        assert_int_equal(check_csv(text, &columns), rows[i] + 1);
        assert_int_equal(columns, wanted[i]);
        if (i == 3)
            assert_non_null(strstr(text, "\"INVITE a \"\"b\"\", c\""));
        free(text);
    }
    sg_class_counts_free(&counts);
    sg_detection_free(&d);
}

/* Splits without dialogs and splits not asked for have no row. */
static void evaluation_rows(void **state)
{
    (void)state;
    sg_evaluation e[SG_SPLITS] = {0};
    e[SG_SPLIT_TRAIN].p_d = sg_rate_make(3, 4);
    e[SG_SPLIT_TEST].p_d = sg_rate_make(1, 2);
    for (unsigned splits = 0; splits < 8; splits++) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        assert_ok(sg_report_evaluation(e, splits, out));
        fclose(out);
        assert_true((strstr(text, "\ntrain ") != NULL) == ((splits & 1) != 0));
        assert_true((strstr(text, "\ntest ") != NULL) == ((splits >> 2 & 1) != 0));
        assert_null(strstr(text, "\nvalidation "));
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_table_styles), cmocka_unit_test(undefined_shares_are_dashes),
        cmocka_unit_test(detection_tables),  cmocka_unit_test(csv_files),
        cmocka_unit_test(evaluation_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
