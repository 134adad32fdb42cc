#include "alert_case.h"
#include "base/log.h"
#include "watch/alert_forms.h"
#include "watch/alert_outlets.h"

#include <cjson/cJSON.h>
#include <sys/stat.h>
#include <unistd.h>

static sg_line line;

static const char *eve(const sg_alert *alert)
{
    sg_line_clear(&line);
    sg_alert_eve(&line, alert, "model1.0");
    assert_false(line.overflow);
    assert_true(line.length < SG_LINE_MAX);
    line.data[line.length] = '\0';
    assert_int_equal(strlen(line.data), line.length); /* no NUL */
    assert_int_equal(strcspn(line.data, "\n"), line.length - 1);
    return line.data;
}

static const cJSON *get(const cJSON *o, const char *path)
{
    char name[64];
    while (*path) {
        size_t n = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)n, path);
        o = cJSON_GetObjectItemCaseSensitive(o, name);
        path += n + (path[n] == '.');
    }
    return o;
}

static const char *text_at(const cJSON *o, const char *path)
{
    const char *text = cJSON_GetStringValue(get(o, path));
    return text ? text : "(none)";
}

static double number_at(const cJSON *o, const char *path)
{
    return cJSON_GetNumberValue(get(o, path));
}

static void eve_has_the_fields_of_the_shape(void **state)
{
    (void)state;
    sg_alert alert = sample_alert();
    cJSON *o = cJSON_Parse(eve(&alert));
    assert_non_null(o);
    assert_string_equal(text_at(o, "timestamp"), "2026-01-02T03:04:05.123456+0000");
    assert_string_equal(text_at(o, "event_type"), "anomaly");
    assert_true(number_at(o, "flow_id") == (double)(0xfedcba9876543210 & ((UINT64_C(1) << 53) - 1)));
    assert_string_equal(text_at(o, "src_ip"), "192.0.2.1");
    assert_string_equal(text_at(o, "dest_ip"), "198.51.100.7");
    assert_true(number_at(o, "src_port") == 5060);
    assert_true(number_at(o, "dest_port") == 5062);
    assert_string_equal(text_at(o, "proto"), "UDP");
    assert_string_equal(text_at(o, "sip.call_id"), "abc@host");
    assert_string_equal(text_at(o, "sip.from_tag"), "f1");
    assert_string_equal(text_at(o, "sip.to_tag"), "t1");
    assert_string_equal(text_at(o, "sip.last"), "BYE");
    assert_int_equal(cJSON_GetArraySize(get(o, "sip.seq")), 4);
    assert_string_equal(cJSON_GetArrayItem(get(o, "sip.seq"), 3)->valuestring, "BYE");
    assert_string_equal(text_at(o, "anomaly.model"), "model1.0");
    assert_string_equal(text_at(o, "anomaly.reason"), "unknown_prefix");
    assert_true(number_at(o, "anomaly.score") == 0.75);
    assert_true(number_at(o, "anomaly.skewness") == 0.25);
    assert_true(number_at(o, "anomaly.kurtosis") == 0.125);
    assert_true(number_at(o, "anomaly.threshold.skewness") == 0.999828);
    assert_true(number_at(o, "anomaly.threshold.kurtosis") == 0.999759);
    assert_true(number_at(o, "anomaly.position") == 4);
    assert_true(cJSON_IsFalse(get(o, "anomaly.known_prefix")));
    assert_string_equal(text_at(o, "anomaly.verdict"), "abnormal");
    assert_true(number_at(o, "schema_version") == 1);
    assert_null(get(o, "source"));
    assert_null(get(o, "sip.truncated"));
    assert_int_equal(cJSON_GetArraySize(o), 11);
    assert_int_equal(cJSON_GetArraySize(get(o, "sip")), 5);
    assert_int_equal(cJSON_GetArraySize(get(o, "anomaly")), 9);
    cJSON_Delete(o);
}

static void eve_says_null_where_there_is_nothing(void **state)
{
    (void)state;
    sg_alert alert = source_alert();
    alert.flow.destination.family = 0;
    cJSON *o = cJSON_Parse(eve(&alert));
    assert_non_null(o);
    assert_true(cJSON_IsNull(get(o, "dest_ip")));
    assert_true(cJSON_IsNull(get(o, "anomaly.score")));
    assert_true(cJSON_IsNull(get(o, "anomaly.threshold.kurtosis")));
    assert_true(cJSON_IsNull(get(o, "anomaly.position")));
    assert_string_equal(text_at(o, "sip.call_id"), "");
    assert_string_equal(text_at(o, "source.ip"), "2001:db8::1");
    assert_string_equal(text_at(o, "source.first"), "2026-01-02T03:03:20.000000+0000");
    assert_true(number_at(o, "source.call_ids") == 39);
    assert_true(number_at(o, "source.failures") == 37);
    cJSON_Delete(o);
    alert.source = NULL;
    alert.scored = true;
    alert.score = NAN;
    alert.skewness = -INFINITY;
    o = cJSON_Parse(eve(&alert));
    assert_true(cJSON_IsNull(get(o, "anomaly.score")));
    assert_true(cJSON_IsNull(get(o, "anomaly.skewness")));
    cJSON_Delete(o);
}

static void times_of_any_size_are_printed(void **state)
{
    (void)state;
    static const struct {
        int64_t time_us;
        const char *text;
    } cases[] = {{INT64_MIN, "1970-01-01T00:00:00.000000+0000"},
                 {-1, "1970-01-01T00:00:00.000000+0000"},
                 {INT64_C(4294967296999999), "2106-02-07T06:28:16.999999+0000"},
                 {INT64_C(951782400000001), "2000-02-29T00:00:00.000001+0000"},
                 {INT64_MAX, "9999-12-31T23:59:59.999999+0000"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sg_line_clear(&line);
        sg_line_time(&line, cases[i].time_us);
        assert_int_equal(line.length, strlen(cases[i].text));
        assert_memory_equal(line.data, cases[i].text, line.length);
    }
}

/* Printable ASCII, or well-formed UTF-8 that is neither control nor direction. */
static void assert_harmless(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        assert_true(c >= 0x20 && c != 0x7f && c != 0xff);
    }
    assert_null(memmem(text, length, "\xe2\x80\xae", 3));
    assert_null(memmem(text, length, "\xed\xa0", 2));
}

static void wire_bytes_are_escaped_everywhere(void **state)
{
    (void)state;
    sg_alert alert = sample_alert();
    const char *types[] = {"INVITE", "ba\"d\x01\xff", ""};
    alert.call_id = alert.from_tag = alert.to_tag = alert.last = TEXT(hostile);
    alert.seq = types;
    alert.seq_length = 3;
    const char *text = eve(&alert);
    assert_harmless(text, strlen(text) - 1);
    /* Bytes that are no UTF-8 and characters that deceive are told; what is fine is kept. */
    assert_non_null(
        strstr(text, "\"call_id\":\"a\\u0000b\\\"c\\\\d\\u000d\\u000ae\\u001b[2Jf\\u007fg\\u00ffh\\u00c3i"
                     "\xc3\xa9j\\u202ek\\u00ed\\u00a0\\u0080l\\u00f4\\u0090\\u0080\\u0080m%n%s "
                     "src=1.2.3.4\\u000a{}\""));
    assert_non_null(strstr(text, "\"ba\\\"d\\u0001\\u00ff\""));
    cJSON *o = cJSON_Parse(text);
    assert_non_null(o);
    assert_int_equal(cJSON_GetArraySize(o), 11);
    cJSON_Delete(o);
}

/* Every byte, every pair of bytes: valid JSON without raw control bytes. */
static void any_bytes_give_valid_json(void **state)
{
    (void)state;
    for (int n = 0; n < 65536 + 256; n++) {
        char bytes[3] = {(char)n, (char)(n >> 8), 'x'};
        sg_line_clear(&line);
        sg_line_json(&line, (sg_text){bytes, n >= 65536 ? 1 : 3}, 10);
        assert_harmless(line.data, line.length);
        if (bytes[0] && bytes[1]) {
            line.data[line.length] = '\0';
            cJSON *o = cJSON_Parse(line.data);
            assert_true(cJSON_IsString(o));
            cJSON_Delete(o);
        }
    }
}

static void long_texts_are_cut_and_say_so(void **state)
{
    (void)state;
    enum { BYTES = 65536, TYPES = 5000 };
    static const char *types[TYPES];
    char *long_text = malloc(BYTES);
    memset(long_text, 1, BYTES); /* the worst: each byte becomes six */
    char long_type[200];
    memset(long_type, 2, sizeof long_type - 1);
    long_type[sizeof long_type - 1] = '\0';
    for (int i = 0; i < TYPES; i++)
        types[i] = i == TYPES - 1 ? "BYE" : long_type;
    sg_alert alert = source_alert();
    alert.call_id = alert.from_tag = alert.to_tag = alert.last = (sg_text){long_text, BYTES};
    alert.seq = types;
    alert.seq_length = TYPES;
    sg_line_clear(&line);
    sg_alert_eve(&line, &alert, long_text[0] == 1 ? long_type : "");
    assert_false(line.overflow);
    line.data[line.length] = '\0';
    cJSON *o = cJSON_Parse(line.data);
    assert_non_null(o);
    assert_true(cJSON_IsTrue(get(o, "sip.truncated")));
    assert_int_equal(strlen(text_at(o, "sip.call_id")), SG_CAP_CALL_ID);
    assert_int_equal(strlen(text_at(o, "sip.to_tag")), SG_CAP_TAG);
    const cJSON *seq = get(o, "sip.seq");
    assert_int_equal(cJSON_GetArraySize(seq), SG_CAP_SEQUENCE);
    assert_string_equal(cJSON_GetArrayItem(seq, SG_CAP_SEQUENCE - 1)->valuestring, "BYE");
    cJSON_Delete(o);
    /* Never in the middle of a character. */
    sg_line_clear(&line);
    assert_false(sg_line_json(&line, TEXT("ab\xc3\xa9"), 3));
    assert_int_equal(line.length, 4);
    free(long_text);
}

static void summaries_are_one_short_line_of_ascii(void **state)
{
    (void)state;
    sg_alert alert = sample_alert();
    sg_line_clear(&line);
    sg_alert_summary(&line, &alert);
    line.data[line.length] = '\0';
    assert_string_equal(line.data, "reason=unknown_prefix src=192.0.2.1:5060 dst=198.51.100.7:5062 proto=UDP "
                                   "message=4 last=BYE score=0.750 call_id=abc@host");
    char filler[5000];
    memset(filler, 0xee, sizeof filler);
    alert.last = TEXT(hostile);
    alert.call_id = (sg_text){filler, sizeof filler};
    sg_line_clear(&line);
    sg_alert_syslog(&line, &alert, 1767323045);
    assert_true(line.length < 1000);
    for (size_t i = 0; i < line.length; i++)
        assert_in_range(line.data[i], ' ', '~');
    line.data[line.length] = '\0';
    assert_memory_equal(line.data, "<36>Jan  2 ", 11);
    assert_null(strstr(line.data, " src=1.2.3.4"));
    alert = source_alert();
    sg_line_clear(&line);
    sg_alert_summary(&line, &alert);
    line.data[line.length] = '\0';
    assert_string_equal(line.data, "reason=scan src=2001:db8::1 rate=40 call_ids=39 users=38 targets=3 "
                                   "failures=37 refusals=37 successes=0 invites=2 acks=1");
}

static void fail2ban_lines_hold_nothing_of_a_message(void **state)
{
    (void)state;
    sg_alert alert = sample_alert();
    alert.call_id = alert.last = alert.from_tag = alert.to_tag = TEXT(hostile);
    sg_line_clear(&line);
    assert_true(sg_alert_fail2ban(&line, &alert));
    line.data[line.length] = '\0';
    assert_string_equal(
        line.data, "2026-01-02T03:04:05.123456+0000 sipgpu: alert reason=unknown_prefix src=192.0.2.1\n");
    alert.response = true; /* its sender answered: that may be the server */
    sg_line_clear(&line);
    assert_false(sg_alert_fail2ban(&line, &alert));
    assert_int_equal(line.length, 0);
    alert = source_alert();
    alert.response = true; /* who asked is known here */
    assert_true(sg_alert_fail2ban(&line, &alert));
    line.data[line.length] = '\0';
    assert_string_equal(line.data,
                        "2026-01-02T03:04:05.123456+0000 sipgpu: alert reason=scan src=2001:db8::1\n");
    alert = sample_alert();
    alert.flow.source.family = 0;
    assert_false(sg_alert_fail2ban(&line, &alert));
}

static void alerts_go_to_all_places(void **state)
{
    (void)state;
    char folder[128], eve_path[256], ban_path[256];
    make_test_folder(folder);
    snprintf(eve_path, sizeof eve_path, "%s/eve.json", folder);
    snprintf(ban_path, sizeof ban_path, "%s/ban.log", folder);
    sg_alerts *alerts;
    sg_alert_options options = {.eve = eve_path, .fail2ban = ban_path, .live = true, .model = "m"};
    FILE *sink = tmpfile(); /* standard error is no terminal in tests: plain lines */
    assert_non_null(sink);
    sg_log_set_sink(sink);
    assert_ok(sg_alerts_open(&alerts, &options));
    sg_alert alert = sample_alert(), other = source_alert();
    sg_alerts_write(alerts, &alert);
    sg_alerts_set_model(alerts, "another");
    sg_alerts_write(alerts, &other);
    sg_alerts_tick(alerts, NULL);
    uint64_t written[SG_REASONS], lost;
    sg_alerts_counts(alerts, written, &lost);
    assert_int_equal(written[SG_REASON_PREFIX], 1);
    assert_int_equal(written[SG_REASON_SCAN], 1);
    assert_int_equal(lost, 0);
    sg_alerts_close(alerts);
    sg_log_set_sink(NULL);
    fclose(sink);
    char *text = read_whole(eve_path, NULL);
    assert_int_equal(count_lines(text), 2);
    assert_non_null(strstr(text, "\"model\":\"m\""));
    assert_non_null(strstr(text, "\"model\":\"another\""));
    free(text);
    text = read_whole(ban_path, NULL);
    assert_int_equal(count_lines(text), 2);
    free(text);
    struct stat info;
    assert_int_equal(stat(eve_path, &info), 0);
    assert_int_equal(info.st_mode & 0007, 0); /* Call-IDs are nobody else's business */
}

static void places_that_cannot_be_opened_are_named(void **state)
{
    (void)state;
    sg_alerts *alerts;
    sg_alert_options options = {.eve = "/nowhere/eve.json"};
    assert_fails(SG_E_IO, "cannot open '/nowhere/eve.json' for alerts: No such file",
                 sg_alerts_open(&alerts, &options));
    assert_null(alerts);
    options = (sg_alert_options){.eve = "/tmp"};
    assert_fails(SG_E_IO, "Is a directory", sg_alerts_open(&alerts, &options));
    options = (sg_alert_options){.syslog = true, .syslog_socket = "/nowhere/log"};
    assert_fails(SG_E_IO, "the system's log at '/nowhere/log'", sg_alerts_open(&alerts, &options));
    char path[300] = "unix:/";
    memset(path + 6, 'x', 200);
    options = (sg_alert_options){.eve = path};
    assert_fails(SG_E_USAGE, "longer than 107 bytes", sg_alerts_open(&alerts, &options));
    sg_alerts_close(NULL);
}

static void reasons_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < SG_REASONS; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(sg_reason_name((sg_reason)i), sg_reason_name((sg_reason)k));
    assert_string_equal(sg_reason_name(SG_REASONS), "?");
    assert_true(sg_reason_by_source(SG_REASON_FLOOD));
    assert_false(sg_reason_by_source(SG_REASON_TAG_CHANGE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eve_has_the_fields_of_the_shape),
        cmocka_unit_test(eve_says_null_where_there_is_nothing),
        cmocka_unit_test(times_of_any_size_are_printed),
        cmocka_unit_test(wire_bytes_are_escaped_everywhere),
        cmocka_unit_test(any_bytes_give_valid_json),
        cmocka_unit_test(long_texts_are_cut_and_say_so),
        cmocka_unit_test(summaries_are_one_short_line_of_ascii),
        cmocka_unit_test(fail2ban_lines_hold_nothing_of_a_message),
        cmocka_unit_test(alerts_go_to_all_places),
        cmocka_unit_test(places_that_cannot_be_opened_are_named),
        cmocka_unit_test(reasons_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
