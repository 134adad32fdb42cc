/* follow.h: from SIP messages to verdicts and alerts: the pipeline of `watch`.
 *
 * Each message goes to the dialog it belongs to (sip/tracker.h) and to the counters of its source
 * (sip/sources.h).  What the dialog has become goes to the detector (detect/detector.h): a known beginning
 * costs one look-up.  For any other the model is asked about the messages so far, against the limits for that
 * length, and at the dialog's end against the paper's; what it said once is kept in a cache.
 *
 * Live, a thread of its own scores batches from a bounded queue, the oldest being shed when it is full;
 * offline, batches are scored in place, so that the same file gives the same alerts in the same order.
 */
#ifndef SG_WATCH_FOLLOW_H
#define SG_WATCH_FOLLOW_H

#include "capture/address.h"
#include "capture/pcap_out.h"
#include "detect/detector.h"
#include "sip/sources.h"
#include "sip/tracker.h"
#include "watch/alert_outlets.h"

/* What raises alerts, as bits. */
enum {
    SG_WATCH_NETWORK = 1 << 0,  /* SG_REASON_SEQUENCE */
    SG_WATCH_PREFIXES = 1 << 1, /* SG_REASON_PREFIX */
    SG_WATCH_PROTOCOL = 1 << 2, /* strays, changes of source or tag */
    SG_WATCH_SOURCES = 1 << 3   /* floods, scans, ... */
};

/* Where a dialog ended up. */
typedef enum {
    SG_OUTCOME_KNOWN,    /* the whole dialog is one that the model was trained on */
    SG_OUTCOME_PREFIX,   /* it is the beginning of one */
    SG_OUTCOME_NEW,      /* neither, but not unlike them */
    SG_OUTCOME_ABNORMAL, /* it raised an alert */
    SG_OUTCOMES
} sg_outcome;

const char *sg_outcome_name(sg_outcome outcome);

/* One dialog that is over, for reports. */
typedef struct {
    sg_text call_id;
    sg_endpoint source; /* of the first message */
    int64_t start_us, last_us;
    int length; /* messages kept */
    sg_end end;
    sg_outcome outcome;
    sg_reason alert_reason; /* of its first alert */
    int alert_position;     /* the message that raised it, from 1; 0: there was none */
    int64_t alert_time_us;
} sg_followed;

typedef struct {
    unsigned detectors;
    sg_rule rule;
    sg_tracker_options tracker; /* repeats, user_size, ended and context are set here */
    sg_source_options sources;
    const sg_network *trusted; /* whose requests and refusals are not counted: proxies, registrars */
    size_t trusted_count;
    int64_t quiet_us; /* strays are ignored for so long after the first message: dialogs began before it */
    int batch;        /* sequences scored at once */
    int queue;        /* waiting at the most, live */
    bool live;
    sg_alerts *alerts;  /* may be NULL */
    sg_pcap_out *out;   /* messages of dialogs with an alert; may be NULL */
    int64_t keep_bytes; /* of messages kept for `out` */
    /* Told of each dialog that is over, and of each alert, also without `alerts`; may be NULL. */
    void (*ended)(void *context, const sg_followed *followed);
    sg_status (*alerted)(void *context, const sg_alert *alert);
    void *context;
} sg_follow_options;

void sg_follow_defaults(sg_follow_options *options);

typedef struct {
    uint64_t messages, not_sip, without_call_id;
    uint64_t outcome[SG_OUTCOMES];     /* dialogs that are over */
    uint64_t alerts[SG_REASONS];       /* raised */
    uint64_t prefix_hits;              /* messages that stayed within the trie */
    uint64_t cache_hits, scored, shed; /* beginnings outside it */
    uint64_t too_long;                 /* messages beyond the model's longest dialog */
    uint64_t batches;
    double scoring_seconds;
    uint64_t not_kept; /* messages that `out` had no room for */
    uint64_t waiting;  /* now */
    sg_fold_counts folds;
    sg_tracker_counts tracker;
    sg_source_counts sources;
} sg_follow_counts;

typedef struct sg_follow sg_follow;

/* Takes the detector over, and closes it on failure.  SG_E_CONFIG if it has no limits for what is asked. */
sg_status sg_follow_open(sg_follow **follow, sg_detector *detector, const sg_follow_options *options);
void sg_follow_close(sg_follow *follow); /* NULL is fine; flush before */

sg_status sg_follow_message(sg_follow *follow, const sg_capture_item *item);

/* Live: alerts of what was scored meanwhile, and the passing of time. */
sg_status sg_follow_poll(sg_follow *follow, int64_t now_us);

/* Ends all dialogs, scores what waits, writes the last alerts. */
sg_status sg_follow_flush(sg_follow *follow);

/* Another model for the dialogs that go on, taken over like the first; SG_E_CONFIG if its alphabet is
 * another, and the old one stays. */
sg_status sg_follow_reload(sg_follow *follow, sg_detector *detector);

void sg_follow_counts_now(sg_follow *follow, sg_follow_counts *counts);
/* What the table on a terminal shows, but for `dropped`; valid until the next call. */
void sg_follow_view(sg_follow *follow, sg_view *view);
const char *sg_follow_engine(const sg_follow *follow);

#endif
