/* follow_internal.h: what the files of follow share: follow.c (messages, ends, models), follow_alerts.c
 * (alerts about dialogs and sources) and follow_requests.c (what the network says of a dialog).
 */
#ifndef SG_WATCH_FOLLOW_INTERNAL_H
#define SG_WATCH_FOLLOW_INTERNAL_H

#include "watch/follow.h"
#include "watch/pending_packets.h"
#include "watch/score_queue.h"
#include "watch/verdict_cache.h"

enum {
    CACHE_ENTRIES = 1 << 16,
    ALERTED_SLOTS = 1 << 13 /* dialogs that are remembered to have had an alert after they ended */
};

/* What is kept of a dialog in the tracker's user slot. */
typedef struct {
    sg_standing standing;
    uint64_t queued; /* number of its last request that had to wait; 0: there was none */
    sg_dialog_alerts alerts;
    sg_pending_dialog pending;
} sg_dialog_progress;

/* The network's alert on a dialog; it may come when the dialog has gone on or is over. */
typedef struct {
    uint64_t serial;
    int position;
    int64_t time_us;
} sg_sequence_alert;

struct sg_follow {
    sg_follow_options options;
    sg_detector *detector;
    sg_tracker *tracker;
    sg_sources *sources;
    sg_verdict_cache *cache;
    sg_score_queue *queue;
    sg_pending_packets *pending; /* messages for -O, NULL without */
    const char **names;          /* of a dialog's messages, for alerts */
    sg_sequence_alert *alerted;  /* [ALERTED_SLOTS] the last ones, by serial */
    const sg_capture_item *item; /* the message being looked at */
    sg_sip_message message;
    uint64_t queued, decided;   /* numbers of the last requests that were */
    sg_score_queue_counts past; /* with the models before this one */
    int64_t last_us;
    sg_view_dialog view[SG_VIEW_DIALOGS];
    sg_status status; /* of a callback */
    sg_follow_counts counts;
};

/* ---- follow_alerts.c ---- */

/* Writes an alert with the names of the dialog's `types`, and counts it. */
void sg_follow_alert(sg_follow *f, sg_alert *alert, const uint16_t *types, int length);

/* Alerts about the message at hand: its dialog, once for each reason; its source. */
void sg_follow_alert_dialog(sg_follow *f, const sg_dialog *dialog, sg_reason reason);
void sg_follow_alert_source(sg_follow *f, sg_source_rule rule, const sg_source *source);

/* Notes an alert; false if there was one for this reason.  The second form also lets the messages go to -O.
 */
bool sg_follow_add_alert(sg_dialog_alerts *alerts, sg_reason reason, int position, int64_t time_us);
bool sg_follow_mark(sg_follow *f, sg_dialog_progress *state, sg_reason reason, int position, int64_t time_us);

/* Takes note of what the network said of the dialog meanwhile. */
void sg_follow_catch_up(sg_follow *f, const sg_dialog *dialog, sg_dialog_progress *state);

/* Method or code of a message; `code` is room for the latter. */
sg_text sg_follow_last(const sg_sip_message *message, char code[8]);

/* ---- follow_requests.c ---- */

/* A dialog outside the trie, as it is now or as a whole, becomes a request; a request is asked about (or
 * found in the cache); all requests that have been scored are decided on. */
sg_status sg_follow_make_request(sg_follow *f, const sg_dialog *dialog, bool over, sg_score_request *c);
sg_status sg_follow_ask(sg_follow *f, sg_dialog_progress *state, sg_score_request *c);
sg_status sg_follow_ask_message(sg_follow *f, const sg_dialog *dialog, sg_dialog_progress *state);
void sg_follow_decide_all(sg_follow *f);

/* Whether requests of the dialog are still to be decided on. */
bool sg_follow_waits(const sg_follow *f, const sg_dialog_progress *state);

/* A dialog is over and judged. */
void sg_follow_report_end(sg_follow *f, sg_followed *followed, const sg_dialog_alerts *alerts);

#endif
