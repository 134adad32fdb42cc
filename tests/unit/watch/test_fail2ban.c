#include "alert_case.h"
#include "watch/alert_forms.h"
#include "watch/alert_outlets.h"

#include <unistd.h>

#define SCRIPT SG_TEST_DATA "/../unit/watch/fail2ban_match.py"
#define FILTER SG_TEST_DATA "/../../configs/fail2ban/filter.d/sipgpu.conf"

static char path[256];
static sg_line line;

/* What the filter finds in the file at `path`: an address or "-" a line; to be freed. */
static char *match(const char *mode)
{
    char command[1024], *text = calloc(1, 65536);
    snprintf(command, sizeof command, "python3 '%s' '%s' %s < '%s'", SCRIPT, FILTER, mode, path);
    FILE *in = popen(command, "r");
    assert_non_null(in);
    size_t n = fread(text, 1, 65535, in);
    text[n] = '\0';
    assert_int_equal(pclose(in), 0);
    return text;
}

static int begin(void **state)
{
    (void)state;
    static char folder[128];
    if (!*folder)
        make_test_folder(folder);
    snprintf(path, sizeof path, "%s/fail2ban.log", folder);
    unlink(path);
    return 0;
}

static void skip_without_python(void)
{
    if (system("python3 -c '' 2> /dev/null") != 0) {
        print_message("skipped: no python3 here\n");
        skip();
    }
}

/* One alert for each reason, with text that asks for other addresses to be banned. */
static void write_alerts(void)
{
    static const char bait[] =
        "\n2026-01-02T03:04:05.123456+0000 sipgpu: alert reason=scan src=203.0.113.9\n";
    sg_alerts *alerts;
    sg_alert_options options = {.fail2ban = path, .model = bait};
    assert_ok(sg_alerts_open(&alerts, &options));
    for (int reason = 0; reason < SG_REASONS; reason++) {
        sg_alert alert = sg_reason_by_source((sg_reason)reason) ? source_alert() : sample_alert();
        alert.reason = (sg_reason)reason;
        alert.call_id = alert.from_tag = alert.to_tag = alert.last = TEXT(bait);
        sg_alerts_write(alerts, &alert);
    }
    sg_alerts_close(alerts);
}

/* From which mode on a reason bans: 0 normal, 1 strict, 2 all. */
static int mode_of(sg_reason reason)
{
    bool strict =
        reason == SG_REASON_STRAY || reason == SG_REASON_SOURCE_CHANGE || reason == SG_REASON_TAG_CHANGE;
    return sg_reason_by_source(reason) ? 0 : strict ? 1 : 2;
}

static void the_filter_finds_the_source_only(void **state)
{
    (void)state;
    static const char *const modes[] = {"normal", "strict", "all"};
    skip_without_python();
    write_alerts();
    for (int mode = 0; mode < 3; mode++) {
        char want[1024] = "", *found = match(modes[mode]);
        for (int r = 0; r < SG_REASONS; r++)
            strcat(want, mode_of((sg_reason)r) > mode        ? "-\n"
                         : sg_reason_by_source((sg_reason)r) ? "2001:db8::1\n"
                                                             : "192.0.2.1\n");
        assert_string_equal(found, want);
        free(found);
    }
}

/* Lines of the other outputs, with a Call-ID that looks like an alert, should they end up in the same file.
 */
static void the_filter_finds_nothing_elsewhere(void **state)
{
    (void)state;
    skip_without_python();
    static const char *const baits[] = {
        "2026-01-02T03:04:05.123456+0000 sipgpu: alert reason=scan src=203.0.113.9",
        "x\n2026-01-02T03:04:05.123456+0000 sipgpu: alert reason=scan src=203.0.113.9\n",
        " sipgpu: alert reason=scan src=203.0.113.9",
        "\r\n sipgpu: alert reason=scan src=203.0.113.9",
        "\xe2\x80\xa8sipgpu: alert reason=scan src=203.0.113.9",
        "\"\n sipgpu: alert reason=flood src=2001:db8::9",
    };
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    for (size_t i = 0; i < sizeof baits / sizeof *baits; i++) {
        sg_alert alert = sample_alert();
        alert.call_id = alert.from_tag = alert.to_tag = alert.last =
            (sg_text){baits[i], (uint32_t)strlen(baits[i])};
        sg_line_clear(&line);
        sg_alert_eve(&line, &alert, baits[i]);
        sg_line_time(&line, alert.time_us);
        sg_line_put(&line, " ");
        sg_alert_summary(&line, &alert);
        sg_line_put(&line, "\n");
        sg_alert_syslog(&line, &alert, 0);
        sg_line_put(&line, "\n");
        fwrite(line.data, 1, line.length, out);
    }
    /* Nor in lines that only look like one. */
    fputs("2026-01-02T03:04:05.123456+0000 sipgpu: alert reason=scan src=203.0.113.9 src=192.0.2.1\n"
          "2026-01-02T03:04:05.123456+0000 sipgpu: alert reason=scan src=example.com\n"
          "2026-01-02T03:04:05.123456+0000 sipgpu: alert reason=scan src=?\n"
          "2026-01-02T03:04:05.123456+0000 sipgpu: alert reason=nonsense src=192.0.2.1\n",
          out);
    fclose(out);
    char *found = match("all");
    assert_int_equal(count_lines(found), 3 * (int)(sizeof baits / sizeof *baits) + 4);
    assert_int_equal(strspn(found, "-\n"), strlen(found));
    free(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_filter_finds_the_source_only, begin),
        cmocka_unit_test_setup(the_filter_finds_nothing_elsewhere, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
