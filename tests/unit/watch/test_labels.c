#include "alert_case.h"
#include "watch/labels.h"

#include <unistd.h>

#define SECOND   INT64_C(1000000)
#define CAPTURES SG_TEST_DATA "/../../../shared/captures/open"

static char path[256];

static sg_status open_text(sg_labels **labels, const char *text, size_t size)
{
    static char folder[128];
    if (!*folder)
        make_test_folder(folder);
    snprintf(path, sizeof path, "%s/labels.csv", folder);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    fwrite(text, 1, size, out);
    fclose(out);
    return sg_labels_open(labels, path);
}

static sg_status open_labels(sg_labels **labels, const char *text)
{
    return open_text(labels, text, strlen(text));
}

static void note(sg_labels *labels, const char *call_id, int host, int64_t start_s, int64_t last_s)
{
    sg_endpoint source = ipv4(10, 0, 0, host, 5060 + (int)start_s);
    sg_labels_dialog(labels, (sg_text){call_id, (uint32_t)strlen(call_id)}, &source, start_s * SECOND,
                     last_s * SECOND);
}

static void raise_alert(sg_labels *labels, const char *call_id, sg_reason reason, int position,
                        int64_t time_us)
{
    sg_alert alert = {.reason = reason, .position = position, .time_us = time_us};
    alert.call_id = (sg_text){call_id, (uint32_t)strlen(call_id)};
    assert_ok(sg_labels_alert(labels, &alert));
}

static void raise_source_alert(sg_labels *labels, int host, sg_reason reason, int64_t time_s)
{
    sg_source source = {.address = ipv4(10, 0, 0, host, 0)};
    sg_alert alert = {.reason = reason, .time_us = time_s * SECOND, .source = &source};
    assert_ok(sg_labels_alert(labels, &alert));
}

static const char sample[] = "call_id,label,scenario\n"
                             "n1,normal,basic\nn2,Normal,basic\n\"n,3\",normal,basic\n"
                             "b1,attack,bye\nb2,attack,bye\nb3,attack,bye\n"
                             "s1,attack,scan\ns2,attack,scan\n";

static sg_labels *sample_run(void)
{
    sg_labels *labels;
    assert_ok(open_labels(&labels, sample));
    note(labels, "n1", 1, 100, 110);
    note(labels, "n2", 1, 200, 210);
    note(labels, "n,3", 2, 300, 310);
    note(labels, "b1", 3, 400, 410);
    note(labels, "b2", 3, 400, 410);
    note(labels, "b3", 3, 400, 410);
    note(labels, "s1", 4, 500, 500);
    note(labels, "s2", 4, 620, 620);
    note(labels, "unknown", 4, 1, 2);
    raise_alert(labels, "n2", SG_REASON_SEQUENCE, 2, 201 * SECOND);
    raise_alert(labels, "b1", SG_REASON_PREFIX, 5, 404 * SECOND);
    raise_alert(labels, "b1", SG_REASON_SEQUENCE, 3, 402 * SECOND); /* earlier, told later */
    raise_alert(labels, "b1", SG_REASON_SEQUENCE, 9, 409 * SECOND);
    raise_alert(labels, "b2", SG_REASON_PREFIX, 4, 403 * SECOND);
    raise_alert(labels, "unknown", SG_REASON_PREFIX, 4, 403 * SECOND);
    raise_source_alert(labels, 4, SG_REASON_SCAN, 530);
    raise_source_alert(labels, 9, SG_REASON_SCAN, 100);
    return labels;
}

static void classes_are_joined_with_alerts(void **state)
{
    (void)state;
    sg_labels *labels = sample_run();
    sg_label_report r;
    assert_ok(sg_labels_check(labels));
    assert_ok(sg_labels_report(labels, SG_REASONS_ALL, &r));
    assert_int_equal(r.count, 2);
    const sg_label_result *bye = &r.attack[0], *scan = &r.attack[1];
    assert_string_equal(bye->name, "bye");
    assert_string_equal(scan->name, "scan");
    assert_int_equal(bye->detected.hits, 2);
    assert_int_equal(bye->detected.total, 3);
    assert_int_equal(bye->own, 2);
    assert_true(bye->median_message == 3.5); /* 3 and 4 */
    assert_true(bye->median_seconds == 2.5); /* 2 and 3 */
    assert_int_equal(bye->by_reason[SG_REASON_PREFIX], 2);
    assert_int_equal(bye->by_reason[SG_REASON_SEQUENCE], 1);
    /* s1 was over 30 s before the alert; s2 began more than a minute after it. */
    assert_int_equal(scan->detected.hits, 1);
    assert_int_equal(scan->own, 0);
    assert_int_equal(scan->by_source, 1);
    assert_true(isnan(scan->median_message));
    assert_true(scan->median_seconds == 30);
    assert_int_equal(r.all.detected.hits, 3);
    assert_int_equal(r.all.detected.total, 5);
    assert_int_equal(r.normal.detected.hits, 1);
    assert_int_equal(r.normal.detected.total, 3);
    assert_int_equal(r.unlabelled, 1);
    sg_label_report_free(&r);
    /* One detector by itself. */
    assert_ok(sg_labels_report(labels, 1u << SG_REASON_SEQUENCE, &r));
    assert_int_equal(r.all.detected.hits, 1);
    assert_true(r.attack[0].median_message == 3);
    assert_int_equal(r.attack[0].by_reason[SG_REASON_PREFIX], 0);
    assert_int_equal(r.normal.detected.hits, 1);
    sg_label_report_free(&r);
    sg_labels_close(labels);
    sg_labels_close(NULL);
}

static void reports_are_tables_and_json(void **state)
{
    (void)state;
    sg_labels *labels = sample_run();
    sg_label_report r;
    char *text;
    size_t size;
    assert_ok(sg_labels_report(labels, SG_REASONS_ALL, &r));
    FILE *out = open_memstream(&text, &size);
    assert_ok(sg_label_report_table(&r, out));
    fclose(out);
    assert_int_equal(count_lines(text), 5);
    assert_memory_equal(text, "class", 5);
    assert_non_null(strstr(text, "\nbye           66.67%"));
    assert_non_null(strstr(text, "\nnormal        33.33%"));
    free(text);
    cJSON *o = sg_label_report_json(&r);
    text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    assert_non_null(
        strstr(text, "{\"attacks\":{\"bye\":{\"detected\":{\"value\":0.66666666666666663,\"hits\":2,"));
    assert_non_null(strstr(text, "\"median_message\":null"));
    assert_non_null(strstr(text, "\"false_alarms\""));
    free(text);
    sg_label_report_free(&r);
    sg_labels_close(labels);
}

static void labels_of_another_capture_are_an_error(void **state)
{
    (void)state;
    sg_labels *labels;
    assert_ok(open_labels(&labels, sample));
    note(labels, "n1", 1, 100, 110);
    note(labels, "b1", 1, 100, 110);
    assert_fails(SG_E_FORMAT, "labels.csv:3: no dialog has the Call-ID 'n2' (6 of 8 labels match none)",
                 sg_labels_check(labels));
    sg_labels_close(labels);
}

static void files_that_are_no_labels_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "labels.csv: the file is empty"},
        {"\n\n", "labels.csv: the file is empty"},
        {"call_id,label\n", "no labels below the header"},
        {"call_id,class\na,b\n", "labels.csv:1: no column label"},
        {"id,label\na,b\n", "labels.csv:1: no column call_id"},
        {"call_id,label\na\n", "labels.csv:2: Call-ID or label is missing"},
        {"call_id,label\n,normal\n", "labels.csv:2: Call-ID or label is missing"},
        {"call_id,label\na,\n", "labels.csv:2: the label is empty"},
        {"call_id,label\na,x\x1by\n",
         "labels.csv:2: the label is empty, longer than 64 bytes or not printable"},
        {"call_id,label\na,bye\n\nb,normal\na,scan\n",
         "labels.csv:5: the Call-ID 'a' has another label in line 2"},
        {"call_id,label\n\"a,bye\n", "labels.csv:2: a quote is never closed"},
    };
    sg_labels *labels;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(SG_E_FORMAT, cases[i].error, open_labels(&labels, cases[i].text));
    assert_fails(SG_E_FORMAT, "labels.csv:2: a zero byte", open_text(&labels, "call_id,label\na\0,b\n", 20));
    assert_fails(SG_E_IO, "/nowhere", sg_labels_open(&labels, "/nowhere/labels.csv"));
    char *many = malloc(20000);
    int at = sprintf(many, "call_id,label\n");
    for (int i = 0; i < 300; i++)
        at += sprintf(many + at, "c%d,l%d\n", i, i);
    assert_fails(SG_E_FORMAT, "more than 256 different labels", open_labels(&labels, many));
    free(many);
}

static void odd_call_ids_are_joined(void **state)
{
    (void)state;
    /* The same label twice, semicolons, columns in any order; longer Call-IDs count as the tracker keeps
     * them. */
    char text[4096], long_id[2001];
    memset(long_id, 'x', 2000);
    long_id[2000] = '\0';
    snprintf(text, sizeof text, "label;note;Call-ID\nbye;;a\nbye;;a\nbye;;%s\n", long_id);
    sg_labels *labels;
    sg_label_report r;
    assert_ok(open_labels(&labels, text));
    note(labels, "a", 1, 10, 20);
    note(labels, "a", 2, 5, 6); /* the Call-ID was used before */
    note(labels, long_id, 1, 1, 2);
    sg_labels_dialog(labels, TEXT("a\0b"), &(sg_endpoint){0}, 1, 2);
    sg_labels_dialog(labels, (sg_text){NULL, 0}, &(sg_endpoint){0}, INT64_MIN, INT64_MAX);
    raise_alert(labels, "a", SG_REASON_STRAY, 1, 12 * SECOND);
    long_id[1500] = '\0';
    raise_alert(labels, long_id, SG_REASON_STRAY, 0, INT64_MAX);
    assert_ok(sg_labels_check(labels));
    assert_ok(sg_labels_report(labels, SG_REASONS_ALL, &r));
    assert_int_equal(r.attack[0].detected.hits, 2);
    assert_int_equal(r.attack[0].detected.total, 2);
    assert_true(r.attack[0].median_message == 1);
    assert_true(r.attack[0].median_seconds > 7);
    assert_int_equal(r.unlabelled, 2);
    assert_int_equal(r.normal.detected.total, 0);
    FILE *out = fopen("/dev/null", "w");
    assert_ok(sg_label_report_table(&r, out));
    fclose(out);
    sg_label_report_free(&r);
    sg_labels_close(labels);
}

static void times_at_the_ends_do_no_harm(void **state)
{
    (void)state;
    sg_labels *labels;
    sg_label_report r;
    assert_ok(open_labels(&labels, "call_id,label\na,bye\n"));
    sg_endpoint source = ipv4(10, 0, 0, 1, 1);
    sg_labels_dialog(labels, TEXT("a"), &source, INT64_MIN, INT64_MAX);
    raise_source_alert(labels, 1, SG_REASON_FLOOD, 0);
    raise_alert(labels, "a", SG_REASON_STRAY, 1, INT64_MAX);
    assert_ok(sg_labels_report(labels, SG_REASONS_ALL, &r));
    assert_int_equal(r.all.detected.hits, 1);
    sg_label_report_free(&r);
    sg_labels_close(labels);
}

/* The labels that come with captures: 32 classes of attacks. */
static void real_labels_are_read(void **state)
{
    (void)state;
    const char *name = CAPTURES "/labels.csv";
    if (access(name, R_OK) != 0) {
        print_message("skipped: no captures here\n");
        skip();
    }
    sg_labels *labels;
    sg_label_report r;
    assert_ok(sg_labels_open(&labels, name));
    note(labels, "1-29424@127.0.1.250", 1, 1, 2);
    assert_ok(sg_labels_report(labels, SG_REASONS_ALL, &r));
    assert_int_equal(r.count, 32);
    assert_string_equal(r.attack[0].name, "a01_bye_third_party_ringing");
    assert_int_equal(r.normal.detected.total, 1);
    assert_fails(SG_E_FORMAT, "1686 of 1687", sg_labels_check(labels));
    sg_label_report_free(&r);
    sg_labels_close(labels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_joined_with_alerts),
        cmocka_unit_test(reports_are_tables_and_json),
        cmocka_unit_test(labels_of_another_capture_are_an_error),
        cmocka_unit_test(files_that_are_no_labels_are_refused),
        cmocka_unit_test(odd_call_ids_are_joined),
        cmocka_unit_test(times_at_the_ends_do_no_harm),
        cmocka_unit_test(real_labels_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
