/* alert_outlets.h: where alerts go: JSON lines, syslog, fail2ban, a table on a terminal. */
#ifndef SG_WATCH_ALERT_OUTLETS_H
#define SG_WATCH_ALERT_OUTLETS_H

#include "watch/alert.h"
#include "watch/screen.h"

/* Where alerts go; each may be NULL or "" for not at all. */
typedef struct {
    const char *eve;      /* file of JSON lines, appended; "-" standard output; "unix:PATH" a stream socket */
    bool syslog;          /* facility auth, level warning */
    const char *fail2ban; /* file of fixed lines, appended; "-" standard output */
    bool live;            /* a table on the terminal (standard error), lines where that is none */
    const char *model;    /* name of the model in alerts */
    bool patient;         /* wait for a slow reader of a pipe (offline runs) instead of losing alerts */
    const char *syslog_socket; /* NULL: /dev/log */
} sg_alert_options;

typedef struct sg_alerts sg_alerts;

/* Opens files and sockets: SG_E_IO says which and why, SG_E_USAGE for a name that is too long.  Nobody need
 * listen at a unix socket yet: that is a warning.  Do it before privileges are dropped.  Everything here
 * belongs to one thread. */
sg_status sg_alerts_open(sg_alerts **alerts, const sg_alert_options *options);

/* Writes one alert everywhere, one write a line.  A sink that fails is reported once (sg_warn), and so is
 * its recovery; in between its alerts are counted as lost.  Files are tried with each alert, sockets once a
 * second; what a unix socket cannot take at once waits for it, up to SG_SINK_PENDING bytes.  Without
 * `patient` a stopped reader of a pipe costs 100 ms once. */
void sg_alerts_write(sg_alerts *alerts, const sg_alert *alert);

/* The name of the model in alerts from now on (after a reload). */
void sg_alerts_set_model(sg_alerts *alerts, const char *model);

/* Whether the table is due to be drawn, which is at most 4 times a second: only then make an sg_view. */
bool sg_alerts_view_due(const sg_alerts *alerts);

/* To be called several times a second: sends what waits, connects again, draws the table if it is due.
 * `view` may be NULL. */
void sg_alerts_tick(sg_alerts *alerts, const sg_view *view);

/* Opens files again under their names (after logrotate).  One that cannot be opened is reported, and the old
 * one goes on. */
void sg_alerts_reopen(sg_alerts *alerts);

/* Alerts handed over, by reason, and lines that a sink lost.  Either may be NULL. */
void sg_alerts_counts(const sg_alerts *alerts, uint64_t written[SG_REASONS], uint64_t *lost);

/* Gives waiting lines a second to go, restores the terminal, closes. */
void sg_alerts_close(sg_alerts *alerts); /* NULL is fine */

#endif
