/* alert.h: what `watch` has to say, and where it goes: JSON lines, syslog, fail2ban, a table on a terminal.
 */
#ifndef SG_WATCH_ALERT_H
#define SG_WATCH_ALERT_H

#include "base/status.h"
#include "sip/endpoint.h"
#include "sip/message.h"
#include "sip/sources.h"

/* Why an alert was raised. */
typedef enum {
    SG_REASON_SEQUENCE,      /* the network finds the sequence unlike what it was trained on */
    SG_REASON_PREFIX,        /* no dialog of the training set begins like this */
    SG_REASON_TYPE,          /* a message of a type that the training set does not hold */
    SG_REASON_STRAY,         /* in-dialog request or response without a dialog */
    SG_REASON_SOURCE_CHANGE, /* an address unknown to the dialog */
    SG_REASON_TAG_CHANGE,    /* other tags inside an established dialog */
    SG_REASON_FLOOD,         /* by source, in the order of sg_source_rule (sip/sources.h) */
    SG_REASON_SCAN,
    SG_REASON_ENUMERATION,
    SG_REASON_GUESSING,
    SG_REASON_HALF_OPEN,
    SG_REASONS
} sg_reason;

/* "sequence", "unknown_prefix", "unknown_type", "stray", "source_change", "tag_change", "flood", ...; "?" for
 * others. */
const char *sg_reason_name(sg_reason reason);

static inline bool sg_reason_by_source(sg_reason reason)
{
    return reason >= SG_REASON_FLOOD && reason < SG_REASONS;
}

/* One alert.  Texts and arrays live as long as the call that hands it over. */
typedef struct {
    sg_reason reason;
    int64_t time_us;  /* of the message that raised it, microseconds since 1970 */
    sg_flow flow;     /* that message's */
    bool response;    /* it was a response: then nobody is to be banned for flow.source */
    uint64_t flow_id; /* the same for all alerts of a dialog; of a source for reasons by source.  The lower 53
                         bits are printed, which every reader of JSON keeps */
    sg_text call_id, from_tag, to_tag; /* empty for reasons by source */
    bool call_id_cut;                  /* it was longer on the wire */
    sg_text last;                      /* method or code of that message */

    /* The dialog so far, oldest first: names of message types. */
    const char *const *seq;
    int seq_length;
    int position; /* the message that raised it, from 1, copies not counted where they are collapsed; 0: none
                   */
    bool over;    /* the dialog had ended */

    /* By the network. */
    bool scored;
    double skewness, kurtosis;             /* normalised moments of the outputs */
    double skewness_limit, kurtosis_limit; /* below both (or either): abnormal */
    double score;                          /* how far below, 0 at the limit, 1 at the least possible */
    bool known_prefix;                     /* some dialog of the training set begins like this */

    /* By source. */
    const sg_source *source; /* NULL otherwise */
} sg_alert;

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

/* Writes one alert everywhere, one write a line.  A place that fails is reported once (sg_warn), and so is
 * its recovery; in between its alerts are counted as lost.  Files are tried with each alert, sockets once a
 * second; what a unix socket cannot take at once waits for it, up to SG_ALERT_PENDING bytes.  Without
 * `patient` a stopped reader of a pipe costs 100 ms once. */
void sg_alerts_write(sg_alerts *alerts, const sg_alert *alert);

enum { SG_ALERT_PENDING = 256 * 1024 };

/* The name of the model in alerts from now on (after a reload). */
void sg_alerts_set_model(sg_alerts *alerts, const char *model);

/* What the table on the terminal shows beside the alerts. */
typedef struct {
    sg_text call_id;
    sg_endpoint source, destination;
    const char *state;   /* "established", ... */
    const char *verdict; /* "known", "in progress", "abnormal" */
    sg_text last;        /* method or code of the last message */
    uint32_t messages;
} sg_view_dialog;

typedef struct {
    int64_t time_us;              /* of the last message */
    uint64_t messages, dialogs;   /* read so far; followed now */
    uint64_t dropped;             /* by kernel and device */
    const sg_view_dialog *dialog; /* the latest ones, latest first */
    int dialog_count;             /* SG_VIEW_DIALOGS are enough for any terminal */
} sg_view;

enum { SG_VIEW_DIALOGS = 64 };

/* Whether the table is due to be drawn, which is at most 4 times a second: only then make an sg_view. */
bool sg_alerts_view_due(const sg_alerts *alerts);

/* To be called several times a second: sends what waits, connects again, draws the table if it is due.
 * `view` may be NULL. */
void sg_alerts_tick(sg_alerts *alerts, const sg_view *view);

/* Opens files again under their names (after logrotate).  One that cannot be opened is reported, and the old
 * one goes on. */
void sg_alerts_reopen(sg_alerts *alerts);

/* Alerts handed over, by reason, and lines that a place lost.  Either may be NULL. */
void sg_alerts_counts(const sg_alerts *alerts, uint64_t written[SG_REASONS], uint64_t *lost);

/* Gives waiting lines a second to go, restores the terminal, closes. */
void sg_alerts_close(sg_alerts *alerts); /* NULL is fine */

#endif
