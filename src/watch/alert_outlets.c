#include "watch/alert_outlets.h"

#include "base/log.h"
#include "base/memory.h"
#include "watch/alert_forms.h"
#include "watch/sink.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SYSLOG_SOCKET "/dev/log"
#define STREAM_PREFIX "unix:"

struct sg_alerts {
    sg_sink eve, syslog, fail2ban;
    sg_screen *screen; /* NULL: none wanted, or standard error is no terminal */
    bool plain;        /* lines on standard error instead */
    char model[SG_CAP_MODEL + 1];
    uint64_t written[SG_REASONS];
    uint64_t oversize; /* lines that did not fit; none that this program can make */
    sg_line line;
};

static bool is_given(const char *text)
{
    return text && *text;
}

static sg_status open_eve(sg_sink *sink, const sg_alert_options *options)
{
    const size_t prefix = strlen(STREAM_PREFIX);
    if (strncmp(options->eve, STREAM_PREFIX, prefix) == 0)
        return sg_sink_open_stream(sink, options->eve + prefix);
    return sg_sink_open_file(sink, options->eve, options->patient);
}

static sg_status open_sinks(sg_alerts *a, const sg_alert_options *options)
{
    if (is_given(options->eve))
        SG_TRY(open_eve(&a->eve, options));
    if (is_given(options->fail2ban))
        SG_TRY(sg_sink_open_file(&a->fail2ban, options->fail2ban, options->patient));
    if (options->syslog)
        SG_TRY(sg_sink_open_datagram(&a->syslog, is_given(options->syslog_socket) ? options->syslog_socket
                                                                                  : SYSLOG_SOCKET));
    a->plain = options->live && !isatty(STDERR_FILENO);
    /* Last: what fails before is said on the terminal as it is. */
    return options->live && !a->plain ? sg_screen_open(&a->screen, STDERR_FILENO) : SG_OK;
}

sg_status sg_alerts_open(sg_alerts **alerts, const sg_alert_options *options)
{
    SG_TRY(sg_alloc(alerts, 1, "alerts"));
    sg_alerts_set_model(*alerts, options->model);
    sg_status status = open_sinks(*alerts, options);
    if (status != SG_OK) {
        sg_alerts_close(*alerts);
        *alerts = NULL;
    }
    return status;
}

void sg_alerts_set_model(sg_alerts *alerts, const char *model)
{
    size_t length = model ? strnlen(model, SG_CAP_MODEL) : 0;
    memcpy(alerts->model, model ? model : "", length);
    alerts->model[length] = '\0';
}

static void send_line(sg_alerts *a, sg_sink *sink)
{
    if (a->line.overflow)
        a->oversize++;
    else
        sg_sink_write(sink, a->line.data, a->line.length);
}

void sg_alerts_write(sg_alerts *alerts, const sg_alert *alert)
{
    sg_alerts *a = alerts;
    if ((unsigned)alert->reason < SG_REASONS)
        a->written[alert->reason]++;
    if (a->eve.kind != SG_SINK_NONE) {
        sg_line_clear(&a->line);
        sg_alert_eve(&a->line, alert, a->model);
        send_line(a, &a->eve);
    }
    if (a->fail2ban.kind != SG_SINK_NONE) {
        sg_line_clear(&a->line);
        if (sg_alert_fail2ban(&a->line, alert))
            send_line(a, &a->fail2ban);
    }
    if (a->syslog.kind != SG_SINK_NONE) {
        sg_line_clear(&a->line);
        sg_alert_syslog(&a->line, alert, (int64_t)time(NULL));
        send_line(a, &a->syslog);
    }
    if (a->plain) {
        sg_line_clear(&a->line);
        sg_line_time(&a->line, alert->time_us);
        sg_line_put(&a->line, " ");
        sg_alert_summary(&a->line, alert);
        sg_note("%.*s", (int)a->line.length, a->line.data);
    }
    if (a->screen)
        sg_screen_add(a->screen, alert);
}

bool sg_alerts_view_due(const sg_alerts *alerts)
{
    return alerts->screen && sg_screen_is_due(alerts->screen);
}

void sg_alerts_tick(sg_alerts *alerts, const sg_view *view)
{
    sg_sink_tick(&alerts->eve);
    if (alerts->screen && sg_screen_is_due(alerts->screen)) {
        uint64_t lost;
        sg_alerts_counts(alerts, NULL, &lost);
        sg_screen_draw(alerts->screen, view, lost);
    }
}

void sg_alerts_reopen(sg_alerts *alerts)
{
    sg_sink_reopen(&alerts->eve);
    sg_sink_reopen(&alerts->fail2ban);
}

void sg_alerts_counts(const sg_alerts *alerts, uint64_t written[SG_REASONS], uint64_t *lost)
{
    if (written)
        memcpy(written, alerts->written, sizeof alerts->written);
    if (lost)
        *lost = alerts->eve.lost + alerts->syslog.lost + alerts->fail2ban.lost + alerts->oversize;
}

void sg_alerts_close(sg_alerts *alerts)
{
    if (!alerts)
        return;
    sg_screen_close(alerts->screen);
    sg_sink_close(&alerts->eve);
    sg_sink_close(&alerts->fail2ban);
    sg_sink_close(&alerts->syslog);
    uint64_t lost;
    sg_alerts_counts(alerts, NULL, &lost);
    if (lost)
        sg_warn("%llu alerts could not be delivered", (unsigned long long)lost);
    free(alerts);
}
