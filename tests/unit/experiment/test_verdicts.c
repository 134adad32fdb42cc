/* Rows of detectors: counted by hand, kept, found, and written. */
#include "experiment/verdicts.h"
#include "testing.h"

static const bool known[5] = {true, false, true, false, false};
static const int64_t test[5] = {4, 2, 0, 1, 0};
static const bool abnormal[5] = {false, true, true, false, true};

static void counts_by_hand(void **state)
{
    (void)state;
    sg_verdicts row = {0};
    sg_verdicts_count(&row, abnormal, known, test, 5);
    assert_true(row.p_d.hits == 2 && row.p_d.total == 3);
    assert_true(row.p_fa.hits == 0 && row.p_fa.total == 4);
    assert_true(row.p_d_unique.hits == 1 && row.p_d_unique.total == 2);
    assert_true(row.p_fa_unique.hits == 0 && row.p_fa_unique.total == 1);
}

static void rows_are_copies(void **state)
{
    (void)state;
    sg_verdict_table table = {0};
    bool flags[5] = {true};
    const sg_verdicts row = {.detector = "a", .model = "1.0", .rule = "x", .abnormal = flags};
    assert_ok(sg_verdict_table_add(&table, &row, flags, 5));
    assert_ok(sg_verdict_table_add(&table, &row, NULL, 0));
    table.row[1].combined = SG_COMBINED_MEAN;
    flags[0] = false;
    const sg_verdicts *first = sg_verdict_table_find(&table, "a", "1.0", NULL, SG_COMBINED_NOT);
    assert_true(first == &table.row[0] && first->abnormal[0]);
    assert_ptr_equal(sg_verdict_table_find(&table, "a", "1.0", "x", SG_COMBINED_MEAN), &table.row[1]);
    assert_null(table.row[1].abnormal);
    assert_null(sg_verdict_table_find(&table, "a", "1.0", "y", SG_COMBINED_NOT));
    assert_null(sg_verdict_table_find(&table, "a", "-", NULL, SG_COMBINED_NOT));
    sg_verdict_table_free(&table);
}

static void csv_by_hand(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    sg_verdicts rows[2] = {{.detector = "a", .model = "-", .rule = "x, y", .limit = NAN},
                           {.detector = "b",
                            .model = "1.0",
                            .runs = 2,
                            .combined = SG_COMBINED_MAX,
                            .messages = 3,
                            .limit = 0.5}};
    for (int i = 0; i < 2; i++)
        sg_verdicts_count(&rows[i], abnormal, known, test, 5);
    assert_ok(sg_report_verdicts(rows, 2, out));
    fclose(out);
    const char *line = strchr(text, '\n') + 1;
    assert_true(strncmp(line, "a,-,0,,\"x, y\",,0.6666666667,", 28) == 0);
    assert_non_null(strstr(line, ",2,3,0,0,"));
    assert_non_null(strstr(line, ",1,2,0,1,\nb,1.0,2,max,,3,0.6666666667,"));
    assert_non_null(strstr(line, ",1,2,0,1,0.5\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_by_hand),
        cmocka_unit_test(rows_are_copies),
        cmocka_unit_test(csv_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
