/* alert_forms.h: the forms in which an alert is written; for alert_outlets.c.
 *
 * docs/watch.md describes each for those who read them.
 */
#ifndef SG_WATCH_ALERT_FORMS_H
#define SG_WATCH_ALERT_FORMS_H

#include "sip/line.h"
#include "watch/alert.h"

/* Bytes (types, for the sequence) that are kept of each text; what is cut says so: "truncated". */
enum {
    SG_CAP_CALL_ID = 1023,
    SG_CAP_TAG = 255,
    SG_CAP_TYPE = 63,
    SG_CAP_MODEL = 255,
    SG_CAP_SEQUENCE = 256,  /* the last ones */
    SG_CAP_LOG_CALL_ID = 96 /* in log lines, of which four bytes are made of each at worst */
};

/* One JSON object and a newline: an event of Suricata's EVE, type "anomaly". */
void sg_alert_eve(sg_line *line, const sg_alert *alert, const char *model);

/* "reason=stray src=192.0.2.1:5060 dst=192.0.2.2:5060 proto=UDP message=1 last=BYE call_id=..." without a
 * newline, in printable ASCII, at most 1000 bytes: for syslog and for people. */
void sg_alert_summary(sg_line *line, const sg_alert *alert);

/* "<36>Jan  2 03:04:05 sipgpu[123]: alert reason=..." (RFC 3164) without a newline; `now` is the clock's. */
void sg_alert_syslog(sg_line *line, const sg_alert *alert, int64_t now_s);

/* "2026-01-02T03:04:05.123456+0000 sipgpu: alert reason=scan src=192.0.2.1" and a newline: nothing in it
 * comes from the text of a message.  False, and nothing is written, if there is no address to blame. */
bool sg_alert_fail2ban(sg_line *line, const sg_alert *alert);

#endif
