#include "alert_case.h"
#include "base/log.h"
#include "watch/screen.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { OUTPUT_MAX = 1 << 17 };

static int master, terminal;

static int open_terminal(void **state)
{
    (void)state;
    struct winsize size = {.ws_row = 20, .ws_col = 120};
    int failed = openpty(&master, &terminal, NULL, NULL, &size);
    return failed ? failed : fcntl(master, F_SETFL, O_NONBLOCK);
}

static int close_terminal(void **state)
{
    (void)state;
    close(master);
    close(terminal);
    return 0;
}

/* What the terminal got, NUL-terminated; to be freed. */
static char *take_output(void)
{
    char *text = calloc(1, OUTPUT_MAX);
    size_t got = 0;
    while (got < OUTPUT_MAX - 1 && poll(&(struct pollfd){master, POLLIN, 0}, 1, 50) > 0) {
        ssize_t n = read(master, text + got, OUTPUT_MAX - 1 - got);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return text;
}

static void draws_alerts_and_dialogs_and_leaves(void **state)
{
    (void)state;
    sg_screen *screen;
    assert_ok(sg_screen_open(&screen, terminal));
    char *text = take_output();
    assert_non_null(strstr(text, "\033[?1049h"));
    free(text);
    sg_alert alert = sample_alert(), other = source_alert();
    sg_screen_add(screen, &alert);
    sg_screen_add(screen, &other);
    sg_view_dialog dialogs[SG_VIEW_DIALOGS];
    for (int i = 0; i < SG_VIEW_DIALOGS; i++)
        dialogs[i] = (sg_view_dialog){.call_id = TEXT("dialog@host"),
                                      .source = ipv4(10, 0, 0, 1, 5060),
                                      .destination = ipv4(10, 0, 0, 2, 5060),
                                      .state = "established",
                                      .verdict = "known",
                                      .last = TEXT("ACK"),
                                      .messages = 5};
    sg_view view = {1767323045123456, 1000, 7, 3, dialogs, SG_VIEW_DIALOGS};
    assert_true(sg_screen_is_due(screen));
    sg_screen_draw(screen, &view, 2);
    assert_false(sg_screen_is_due(screen)); /* four times a second at most */
    text = take_output();
    assert_non_null(strstr(text, "1000 messages"));
    assert_non_null(strstr(text, "7 dialogs, 2 alerts, 2 lost"));
    assert_non_null(
        strstr(text, "03:04:05.123    unknown_prefix 4    0.750  192.0.2.1:5060        198.51.100.7:5062     "
                     "BYE        abc@host"));
    assert_non_null(strstr(text, "scan"));
    assert_non_null(strstr(text, "established"));
    assert_true(count_lines(text) < 20); /* nothing scrolls */
    assert_memory_equal(text, "\033[H", 3);
    free(text);
    sg_screen_close(screen);
    text = take_output();
    assert_string_equal(text, "\033[?25h\033[?7h\033[?1049l");
    free(text);
    sg_screen_close(NULL);
}

static void hostile_texts_stay_harmless(void **state)
{
    (void)state;
    sg_screen *screen;
    assert_ok(sg_screen_open(&screen, terminal));
    free(take_output());
    sg_alert alert = sample_alert();
    alert.call_id = alert.last = TEXT(hostile);
    for (int i = 0; i < 200; i++)
        sg_screen_add(screen, &alert);
    sg_view_dialog dialog = {.call_id = TEXT(hostile), .last = TEXT(hostile), .state = "s", .verdict = "v"};
    sg_view view = {INT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, &dialog, 1};
    sg_screen_draw(screen, &view, UINT64_MAX);
    char *text = take_output();
    assert_null(strstr(text, "\033[2J"));
    for (char *c = text; *c; c++) {
        assert_true((unsigned char)*c < 0x7f);
        assert_true(*c >= ' ' || *c == '\033' || *c == '\r' || *c == '\n');
    }
    /* Rows are cut at the width of the terminal. */
    for (char *row = strtok(text, "\r\n"); row; row = strtok(NULL, "\r\n"))
        assert_true(strlen(row) <= 120 + 2 * strlen("\033[K"));
    free(text);
    sg_screen_close(screen);
    free(take_output());
}

static void any_size_of_terminal_will_do(void **state)
{
    (void)state;
    static const unsigned short sizes[][2] = {{0, 0}, {1, 1}, {2, 300}, {5, 40}, {500, 500}, {65535, 65535}};
    sg_screen *screen;
    assert_ok(sg_screen_open(&screen, terminal));
    sg_alert alert = sample_alert();
    for (int i = 0; i < 100; i++)
        sg_screen_add(screen, &alert);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct winsize size = {.ws_row = sizes[i][0], .ws_col = sizes[i][1]};
        ioctl(terminal, TIOCSWINSZ, &size);
        sg_screen_draw(screen, NULL, 0);
        free(take_output());
    }
    sg_screen_close(screen);
    free(take_output());
}

/* Nobody reads the terminal: drawing never waits. */
static void a_stopped_terminal_is_not_waited_for(void **state)
{
    (void)state;
    sg_screen *screen;
    assert_ok(sg_screen_open(&screen, terminal));
    sg_alert alert = sample_alert();
    for (int i = 0; i < 100; i++)
        sg_screen_add(screen, &alert);
    double start = sg_seconds();
    for (int i = 0; i < 500; i++)
        sg_screen_draw(screen, NULL, 0);
    assert_true(sg_seconds() - start < 3);
    free(take_output());
    sg_screen_close(screen);
    free(take_output());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(draws_alerts_and_dialogs_and_leaves, open_terminal, close_terminal),
        cmocka_unit_test_setup_teardown(hostile_texts_stay_harmless, open_terminal, close_terminal),
        cmocka_unit_test_setup_teardown(any_size_of_terminal_will_do, open_terminal, close_terminal),
        cmocka_unit_test_setup_teardown(a_stopped_terminal_is_not_waited_for, open_terminal, close_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
