#include "watch/screen.h"

#include "base/log.h"
#include "base/memory.h"
#include "watch/alert_forms.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define INTERVAL_S 0.25
#define ENTER      "\033[?1049h\033[?7l\033[?25l" /* alternate screen, no wrapping, no cursor */
#define LEAVE      "\033[?25h\033[?7h\033[?1049l"
#define HOME       "\033[H"
#define ROW_END    "\033[K\r\n"
#define REST       "\033[J"

enum {
    ROWS_KEPT = 64,
    ROW_TEXT = 400,
    COLUMNS_DEFAULT = 80,
    ROWS_DEFAULT = 24,
    SHOWN_CALL_ID = 48,
    SHOWN_TYPE = 20,
    PIECE = 512,
    FAREWELL_MS = 1000
};

struct sg_screen {
    int fd;
    bool owned; /* fd is our own, and does not block */
    double drawn_at;
    char alert[ROWS_KEPT][ROW_TEXT]; /* a ring */
    int alert_next, alert_count;
    uint64_t alerts;
    char dialog[ROWS_KEPT][ROW_TEXT]; /* as the last view had them */
    int dialog_count;
    uint64_t messages, dialogs, dropped;
    double rate; /* messages a second */
    int64_t time_us;
    sg_line line, row;
};

/* Writes to the terminal as much as it takes; gives up when it has taken nothing for timeout_ms. */
static void send_text(int fd, const char *data, size_t length, int timeout_ms)
{
    while (length > 0 && poll(&(struct pollfd){fd, POLLOUT, 0}, 1, timeout_ms) > 0) {
        ssize_t n = write(fd, data, length < PIECE ? length : PIECE);
        if (n <= 0)
            return;
        data += n;
        length -= (size_t)n;
    }
}

/* The terminal once more, so that it can be made not to block for us without doing so for the shell. */
static int open_again(int fd)
{
    char name[64];
    return ttyname_r(fd, name, sizeof name) == 0 ? open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
                                                 : -1;
}

sg_status sg_screen_open(sg_screen **screen, int fd)
{
    SG_TRY(sg_alloc(screen, 1, "the table"));
    int again = open_again(fd);
    (*screen)->fd = again < 0 ? fd : again;
    (*screen)->owned = again >= 0;
    (*screen)->drawn_at = -1e9;
    send_text((*screen)->fd, ENTER, strlen(ENTER), FAREWELL_MS);
    return SG_OK;
}

void sg_screen_close(sg_screen *screen)
{
    if (!screen)
        return;
    send_text(screen->fd, LEAVE, strlen(LEAVE), FAREWELL_MS);
    if (screen->owned)
        close(screen->fd);
    free(screen);
}

/* Fills with blanks up to `column`. */
static void pad_to(sg_line *line, size_t column)
{
    do
        sg_line_put(line, " ");
    while (line->length < column);
}

static void keep_row(char row[ROW_TEXT], const sg_line *line)
{
    size_t length = line->length < ROW_TEXT - 1 ? line->length : ROW_TEXT - 1;
    memcpy(row, line->data, length);
    row[length] = '\0';
}

/* Where columns begin. */
enum {
    AT_REASON = 16,
    AT_MESSAGE = 31,
    AT_SCORE = 36,
    AT_SOURCE = 43,
    AT_DESTINATION = 65,
    AT_LAST = 87,
    AT_CALL_ID = 98
};

static const char alert_head[] =
    "TIME            REASON         MSG  SCORE  SOURCE                DESTINATION"
    "           LAST       CALL-ID";
static const char dialog_head[] =
    "STATE           VERDICT        MSGS        SOURCE                DESTINATION"
    "           LAST       CALL-ID";

static void put_ends(sg_line *line, const sg_endpoint *source, const sg_endpoint *destination, sg_text last,
                     sg_text call_id)
{
    pad_to(line, AT_SOURCE);
    sg_line_endpoint(line, source);
    pad_to(line, AT_DESTINATION);
    sg_line_endpoint(line, destination);
    pad_to(line, AT_LAST);
    sg_line_plain(line, last, SHOWN_TYPE);
    pad_to(line, AT_CALL_ID);
    sg_line_plain(line, call_id, SHOWN_CALL_ID);
}

void sg_screen_add(sg_screen *screen, const sg_alert *alert)
{
    sg_line *line = &screen->row;
    sg_line_clear(line);
    sg_line_time(line, alert->time_us);
    memmove(line->data, line->data + sizeof "2026-01-02T" - 1, line->length = sizeof "03:04:05.123" - 1);
    pad_to(line, AT_REASON);
    sg_line_put(line, sg_reason_name(alert->reason));
    pad_to(line, AT_MESSAGE);
    if (alert->position > 0)
        sg_line_print(line, "%d", alert->position);
    pad_to(line, AT_SCORE);
    if (alert->scored && isfinite(alert->score))
        sg_line_print(line, "%.3f", alert->score);
    put_ends(line, sg_alert_blamed(alert), &alert->flow.destination, alert->last, alert->call_id);
    keep_row(screen->alert[screen->alert_next], line);
    screen->alert_next = (screen->alert_next + 1) % ROWS_KEPT;
    screen->alert_count += screen->alert_count < ROWS_KEPT;
    screen->alerts++;
}

bool sg_screen_is_due(const sg_screen *screen)
{
    return sg_seconds() - screen->drawn_at >= INTERVAL_S;
}

static void take_view(sg_screen *s, const sg_view *view, double passed)
{
    s->rate = view->messages > s->messages ? (double)(view->messages - s->messages) / passed : 0;
    s->messages = view->messages;
    s->dialogs = view->dialogs;
    s->dropped = view->dropped;
    s->time_us = view->time_us;
    s->dialog_count = view->dialog_count < ROWS_KEPT ? view->dialog_count : ROWS_KEPT;
    for (int i = 0; i < s->dialog_count; i++) {
        const sg_view_dialog *d = &view->dialog[i];
        sg_line_clear(&s->row);
        sg_line_put(&s->row, d->state);
        pad_to(&s->row, AT_REASON);
        sg_line_put(&s->row, d->verdict);
        pad_to(&s->row, AT_MESSAGE);
        sg_line_print(&s->row, "%u", d->messages);
        put_ends(&s->row, &d->source, &d->destination, d->last, d->call_id);
        keep_row(s->dialog[i], &s->row);
    }
}

static void put_row(sg_line *line, const char *text, int columns)
{
    sg_line_print(line, "%.*s", columns, text);
    sg_line_put(line, ROW_END);
}

static void put_title(sg_screen *s, uint64_t lost, int columns)
{
    sg_line_clear(&s->row);
    sg_line_print(
        &s->row, "sipgpu watch: %llu messages (%.0f/s), %llu dropped, %llu dialogs, %llu alerts, %llu lost  ",
        (unsigned long long)s->messages, s->rate, (unsigned long long)s->dropped,
        (unsigned long long)s->dialogs, (unsigned long long)s->alerts, (unsigned long long)lost);
    sg_line_time(&s->row, s->time_us);
    char text[ROW_TEXT];
    keep_row(text, &s->row);
    put_row(&s->line, text, columns);
}

/* The latest alerts above, dialogs below; alerts have half of the rows, or what the dialogs leave. */
static void put_rows(sg_screen *s, int rows, int columns)
{
    int room = rows - 4, dialogs = s->dialog_count, alerts = s->alert_count;
    if (alerts > room / 2)
        alerts = room - dialogs > room / 2 ? room - dialogs : room / 2;
    alerts = alerts < s->alert_count ? alerts : s->alert_count;
    put_row(&s->line, alert_head, columns);
    for (int i = 0; i < alerts; i++)
        put_row(&s->line, s->alert[(s->alert_next + ROWS_KEPT - 1 - i) % ROWS_KEPT], columns);
    if (s->dialog_count == 0)
        return;
    put_row(&s->line, "", columns);
    put_row(&s->line, dialog_head, columns);
    for (int i = 0; i < dialogs && i < room - alerts - 1; i++)
        put_row(&s->line, s->dialog[i], columns);
}

void sg_screen_draw(sg_screen *screen, const sg_view *view, uint64_t lost)
{
    sg_screen *s = screen;
    double now = sg_seconds();
    if (view)
        take_view(s, view, now - s->drawn_at);
    s->drawn_at = now;
    struct winsize size = {0};
    bool known = ioctl(s->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
    int columns = known ? size.ws_col : COLUMNS_DEFAULT, rows = known ? size.ws_row : ROWS_DEFAULT;
    sg_line_clear(&s->line);
    sg_line_put(&s->line, HOME);
    put_title(s, lost, columns);
    put_rows(s, rows, columns);
    sg_line_put(&s->line, REST);
    send_text(s->fd, s->line.data, s->line.length, 0);
}
