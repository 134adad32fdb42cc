#include "watch/alert_forms.h"

#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define SYSLOG_PRIORITY (4 << 3 | 4) /* facility auth, severity warning (RFC 3164, 4.1.1) */

static void put_source(sg_line *line, const sg_source *source)
{
    sg_line_print(line, " rate=%u call_ids=%u users=%u targets=%u", source->rate, source->call_ids,
                  source->users, source->targets);
    sg_line_print(line, " failures=%u refusals=%u successes=%u invites=%u acks=%u", source->failures,
                  source->refusals, source->successes, source->invites, source->acks);
}

void sg_alert_summary(sg_line *line, const sg_alert *alert)
{
    sg_line_print(line, "reason=%s src=", sg_reason_name(alert->reason));
    if (alert->source) {
        sg_line_address(line, &alert->source->address);
        put_source(line, alert->source);
        return;
    }
    sg_line_endpoint(line, &alert->flow.source);
    sg_line_put(line, " dst=");
    sg_line_endpoint(line, &alert->flow.destination);
    sg_line_print(line, " proto=%s", sg_alert_protocol(alert));
    if (alert->position > 0)
        sg_line_print(line, " message=%d", alert->position);
    sg_line_put(line, " last=");
    sg_line_plain(line, alert->last, SG_CAP_TYPE);
    if (alert->scored && isfinite(alert->score))
        sg_line_print(line, " score=%.3f", alert->score);
    sg_line_put(line, " call_id=");
    sg_line_plain(line, alert->call_id, SG_CAP_LOG_CALL_ID);
}

void sg_alert_syslog(sg_line *line, const sg_alert *alert, int64_t now_s)
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t t = (time_t)now_s;
    struct tm tm;
    localtime_r(&t, &tm); /* as RFC 3164 wants it */
    sg_line_print(line, "<%d>%s %2d %02d:%02d:%02d sipgpu[%d]: alert ", SYSLOG_PRIORITY, months[tm.tm_mon],
                  tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)getpid());
    sg_alert_summary(line, alert);
}

bool sg_alert_fail2ban(sg_line *line, const sg_alert *alert)
{
    /* The sender of a response is the one who was asked: often the server to be protected. */
    const sg_endpoint *blamed = sg_alert_blamed(alert);
    if (blamed->family == 0 || (alert->response && !alert->source))
        return false;
    sg_line_time(line, alert->time_us);
    sg_line_print(line, " sipgpu: alert reason=%s src=", sg_reason_name(alert->reason));
    sg_line_address(line, blamed);
    sg_line_put(line, "\n");
    return true;
}
