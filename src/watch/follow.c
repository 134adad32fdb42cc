/* follow.c: messages, ends of dialogs, models. */
#include "watch/follow_internal.h"

#include "base/memory.h"
#include <stdlib.h>
#include <string.h>

const char *sg_outcome_name(sg_outcome outcome)
{
    static const char *const names[SG_OUTCOMES] = {"known", "prefix", "new", "abnormal"};
    return names[outcome];
}

void sg_follow_defaults(sg_follow_options *o)
{
    *o = (sg_follow_options){.detectors = SG_WATCH_NETWORK | SG_WATCH_PROTOCOL | SG_WATCH_SOURCES,
                             .rule = SG_RULE_BOTH,
                             .quiet_us = 32000000,
                             .batch = 64,
                             .queue = 4096,
                             .keep_bytes = (int64_t)256 << 20};
    sg_tracker_defaults(&o->tracker);
    sg_source_defaults(&o->sources);
}

/* ---- messages ---- */

/* Suspicions of the tracker. */
static void check_protocol(sg_follow *f, const sg_dialog *dialog, uint32_t flags)
{
    if (flags & (SG_FLAG_STRAY_REQUEST | SG_FLAG_STRAY_RESPONSE))
        sg_follow_alert_dialog(f, dialog, SG_REASON_STRAY);
    if (flags & SG_FLAG_SOURCE_CHANGE)
        sg_follow_alert_dialog(f, dialog, SG_REASON_SOURCE_CHANGE);
    if (flags & SG_FLAG_TAG_CHANGE)
        sg_follow_alert_dialog(f, dialog, SG_REASON_TAG_CHANGE);
}

/* The dialog at hand, after a message of type `type`. */
static sg_status follow_dialog(sg_follow *f, const sg_tracked *tracked, uint16_t type)
{
    sg_dialog *dialog = tracked->dialog;
    sg_dialog_progress *state = sg_dialog_user(dialog);
    sg_verdict verdict;
    bool settled = true;
    sg_follow_catch_up(f, dialog, state);
    if (f->pending)
        SG_TRY(sg_pending_message(f->pending, &state->pending, f->item));
    if (tracked->kept) {
        settled = sg_detector_push(f->detector, &state->standing, type, &verdict);
        f->counts.prefix_hits += verdict.known_prefix;
    }
    if (f->options.detectors & SG_WATCH_PROTOCOL)
        check_protocol(f, dialog, tracked->flags);
    if (type == 0) { /* nothing the model could be shown */
        (void)sg_detector_push(f->detector, &state->standing, type, &verdict);
        if (f->options.detectors & (SG_WATCH_NETWORK | SG_WATCH_PREFIXES))
            sg_follow_alert_dialog(f, dialog, SG_REASON_TYPE);
        return SG_OK;
    }
    if (settled)
        return SG_OK;
    if (f->options.detectors & SG_WATCH_PREFIXES)
        sg_follow_alert_dialog(f, dialog, SG_REASON_PREFIX);
    return f->options.detectors & SG_WATCH_NETWORK ? sg_follow_ask_message(f, dialog, state) : SG_OK;
}

/* Counts what the source does; a response counts for the address it goes to. */
static void count_source(sg_follow *f, bool repeated)
{
    sg_source source;
    const sg_flow *flow = &f->item->flow;
    if (sg_networks_hold_endpoint(f->options.trusted, f->options.trusted_count,
                                  f->message.response ? &flow->destination : &flow->source))
        return;
    uint32_t rules = sg_sources_add(f->sources, &f->message, flow, repeated, &source);
    for (int r = 0; rules && r < SG_SOURCE_RULES; r++)
        if (rules & (1u << r))
            sg_follow_alert_source(f, (sg_source_rule)r, &source);
}

sg_status sg_follow_message(sg_follow *f, const sg_capture_item *item)
{
    sg_tracked tracked;
    f->counts.messages++;
    if (!sg_sip_read(&f->message, item->data, item->length)) {
        f->counts.not_sip++;
        return SG_OK;
    }
    f->last_us = item->flow.time_us;
    f->item = item;
    uint16_t type = sg_alphabet_id(sg_detector_alphabet(f->detector), &f->message, &f->counts.folds);
    SG_TRY(sg_tracker_add(f->tracker, &f->message, &item->flow, type, &tracked));
    SG_TRY(f->status);
    if (f->options.detectors & SG_WATCH_SOURCES)
        count_source(f, tracked.repeated);
    if (tracked.dialog)
        SG_TRY(follow_dialog(f, &tracked, type));
    else
        f->counts.without_call_id++;
    f->item = NULL;
    return SG_OK;
}

/* ---- ends ---- */

/* What a dialog is unless it has an alert. */
static sg_outcome outcome_of(const sg_follow *f, const sg_dialog_progress *state)
{
    sg_verdict verdict;
    (void)sg_detector_end(f->detector, &state->standing, &verdict);
    return verdict.known ? SG_OUTCOME_KNOWN : verdict.known_prefix ? SG_OUTCOME_PREFIX : SG_OUTCOME_NEW;
}

/* Whether the model is asked about a dialog that is over: as a whole, where its end settles nothing.  A
 * dialog that we or silence cut off is not a whole dialog, and neither is one with messages without a
 * type. */
static bool wants_whole(const sg_follow *f, const sg_dialog *dialog, const sg_dialog_progress *state,
                        sg_end end)
{
    bool whole = end != SG_END_EVICTED && end != SG_END_FLUSHED && end != SG_END_OPEN && end != SG_END_STRAY;
    return whole && f->options.detectors & SG_WATCH_NETWORK && state->standing.node < 0 && !dialog->untyped &&
           dialog->length <= (uint32_t)sg_detector_max_length(f->detector);
}

static void report_now(sg_follow *f, const sg_dialog *dialog, sg_dialog_progress *state, sg_end end)
{
    sg_followed followed = {.call_id = {dialog->call_id, dialog->call_id_length},
                            .source = dialog->first.source,
                            .start_us = dialog->start_us,
                            .last_us = dialog->last_us,
                            .length = (int)dialog->length,
                            .end = end,
                            .outcome = outcome_of(f, state)};
    sg_follow_report_end(f, &followed, &state->alerts);
    if (f->pending)
        sg_pending_drop(f->pending, &state->pending);
}

/* Reports the end once all requests of the dialog have been decided. */
static sg_status report_later(sg_follow *f, const sg_dialog *dialog, sg_dialog_progress *state, sg_end end)
{
    sg_score_request c;
    SG_TRY(sg_follow_make_request(f, dialog, true, &c));
    c.whole = wants_whole(f, dialog, state, end);
    c.end = end;
    c.messages = (int)dialog->length;
    c.outcome = outcome_of(f, state);
    c.alerts = state->alerts;
    c.pending = state->pending;
    state->pending = (sg_pending_dialog){0};
    return sg_follow_ask(f, state, &c);
}

/* The tracker's callback: a dialog is over. */
static void on_end(void *context, sg_dialog *dialog, sg_end end)
{
    sg_follow *f = context;
    sg_dialog_progress *state = sg_dialog_user(dialog);
    sg_follow_catch_up(f, dialog, state);
    if (wants_whole(f, dialog, state, end) || sg_follow_waits(f, state)) {
        sg_status status = report_later(f, dialog, state, end);
        f->status = f->status == SG_OK ? status : f->status;
    } else {
        report_now(f, dialog, state, end);
    }
}

sg_status sg_follow_poll(sg_follow *f, int64_t now_us)
{
    SG_TRY(sg_score_queue_check(f->queue));
    sg_follow_decide_all(f);
    if (now_us > 0)
        sg_tracker_advance(f->tracker, now_us);
    return f->status;
}

sg_status sg_follow_flush(sg_follow *f)
{
    /* Pending scores belong to dialogs that still exist. */
    sg_score_queue_counts c;
    do {
        SG_TRY(sg_score_queue_finish(f->queue));
        sg_follow_decide_all(f);
        sg_score_queue_counts_now(f->queue, &c);
    } while (c.waiting > 0);
    sg_tracker_flush(f->tracker);
    SG_TRY(f->status);
    do {
        SG_TRY(sg_score_queue_finish(f->queue));
        sg_follow_decide_all(f);
        sg_score_queue_counts_now(f->queue, &c);
    } while (c.waiting > 0);
    return SG_OK;
}

/* ---- opening ---- */

static sg_status check_limits(const sg_detector *detector, unsigned detectors)
{
    sg_prefix_limit limits;
    if (!(detectors & SG_WATCH_NETWORK) || sg_detector_limits(detector, 1, false, &limits))
        return SG_OK;
    return sg_fail(
        SG_E_CONFIG,
        "the model has no limits for unfinished dialogs; train it with train.prefix_limits = true");
}

/* What belongs to the detector at hand. */
static sg_status open_detector(sg_follow *f)
{
    SG_TRY(check_limits(f->detector, f->options.detectors));
    SG_TRY(sg_alloc(&f->names, sg_detector_max_length(f->detector), "alerts"));
    return sg_score_queue_open(&f->queue, f->detector, f->options.batch, f->options.queue, f->options.live);
}

static void close_detector(sg_follow *f)
{
    sg_score_queue_close(f->queue);
    sg_detector_close(f->detector);
    free(f->names);
    f->queue = NULL;
    f->detector = NULL;
    f->names = NULL;
}

static sg_status open_parts(sg_follow *f)
{
    sg_tracker_options tracker = f->options.tracker;
    tracker.repeats = sg_detector_collapsed(f->detector) ? SG_REPEATS_COLLAPSE : SG_REPEATS_KEEP;
    tracker.quiet_s = f->options.quiet_us / 1000000;
    tracker.user_size = sizeof(sg_dialog_progress);
    tracker.ended = on_end;
    tracker.context = f;
    SG_TRY(open_detector(f));
    SG_TRY(sg_alloc(&f->alerted, ALERTED_SLOTS, "alerts"));
    SG_TRY(sg_verdict_cache_open(&f->cache, CACHE_ENTRIES));
    SG_TRY(sg_sources_open(&f->sources, &f->options.sources));
    if (f->options.out)
        SG_TRY(sg_pending_open(&f->pending, f->options.out, f->options.keep_bytes));
    return sg_tracker_open(&f->tracker, &tracker);
}

sg_status sg_follow_open(sg_follow **follow, sg_detector *detector, const sg_follow_options *options)
{
    sg_follow *f;
    *follow = NULL;
    sg_status status = sg_alloc(&f, 1, "watch");
    if (status != SG_OK) {
        sg_detector_close(detector);
        return status;
    }
    f->options = *options;
    f->detector = detector;
    status = open_parts(f);
    if (status != SG_OK)
        sg_follow_close(f);
    else
        *follow = f;
    return status;
}

void sg_follow_close(sg_follow *f)
{
    if (!f)
        return;
    for (sg_dialog *d = f->tracker && f->pending ? sg_tracker_first(f->tracker) : NULL; d;
         d = sg_tracker_next(f->tracker, d))
        sg_pending_drop(f->pending, &((sg_dialog_progress *)sg_dialog_user(d))->pending);
    sg_tracker_close(f->tracker);
    sg_pending_close(f->pending);
    sg_sources_close(f->sources);
    sg_verdict_cache_close(f->cache);
    close_detector(f);
    free(f->alerted);
    free(f);
}

static void add_counts(sg_score_queue_counts *to, const sg_score_queue_counts *more)
{
    to->scored += more->scored;
    to->shed += more->shed;
    to->batches += more->batches;
    to->seconds += more->seconds;
}

/* Passes waiting requests from the old model to the new one.  Those too long for it are not judged. */
static sg_status move_requests(sg_follow *f, sg_follow *fresh)
{
    sg_score_request c;
    sg_score_queue_counts counts;
    sg_status status = SG_OK;
    const int longest = sg_detector_max_length(fresh->detector);
    while (status == SG_OK && sg_score_queue_withdraw(f->queue, &c)) {
        if (c.length > longest && c.over) {
            c.length = longest;
            c.whole = false;
        }
        if (c.length <= longest)
            status = sg_score_queue_add(fresh->queue, &c);
        sg_score_request_free(&c);
    }
    if (status == SG_OK)
        status = sg_score_queue_finish(f->queue); /* the batch that is being scored */
    sg_follow_decide_all(f);
    sg_score_queue_counts_now(f->queue, &counts);
    add_counts(&f->past, &counts);
    return status;
}

/* Ongoing dialogs get their position among the new model's beginnings; a dialog with a message without a type
 * is outside them. */
static void place_dialogs(sg_follow *f)
{
    const sg_standing outside = {-1};
    for (sg_dialog *d = sg_tracker_first(f->tracker); d; d = sg_tracker_next(f->tracker, d)) {
        sg_dialog_progress *state = sg_dialog_user(d);
        const sg_dialog_types types = {d->types, (int)d->length};
        if (state->standing.node != 0)
            state->standing = d->untyped ? outside : sg_detector_find(f->detector, &types);
    }
}

sg_status sg_follow_reload(sg_follow *f, sg_detector *detector)
{
    sg_follow fresh = {.options = f->options, .detector = detector};
    sg_status status =
        sg_detector_same_types(f->detector, detector)
            ? open_detector(&fresh)
            : sg_fail(SG_E_CONFIG, "the new model has another alphabet; the old model stays in use");
    if (status != SG_OK) {
        close_detector(&fresh);
        return status;
    }
    status = move_requests(f, &fresh);
    close_detector(f);
    f->detector = fresh.detector;
    f->queue = fresh.queue;
    f->names = fresh.names;
    sg_verdict_cache_clear(f->cache);
    place_dialogs(f);
    return status;
}

void sg_follow_counts_now(sg_follow *f, sg_follow_counts *counts)
{
    sg_score_queue_counts c;
    *counts = f->counts;
    sg_score_queue_counts_now(f->queue, &c);
    counts->waiting = c.waiting;
    add_counts(&c, &f->past);
    counts->scored = c.scored;
    counts->shed = c.shed;
    counts->batches = c.batches;
    counts->scoring_seconds = c.seconds;
    counts->not_kept = f->pending ? sg_pending_lost(f->pending) : 0;
    sg_tracker_counts_now(f->tracker, &counts->tracker);
    sg_sources_counts_now(f->sources, &counts->sources);
}

static sg_view_dialog view_of(const sg_follow *f, const sg_dialog *d)
{
    const sg_dialog_progress *state = sg_dialog_user(d);
    const sg_alphabet *alphabet = sg_detector_alphabet(f->detector);
    const char *last = d->length ? sg_alphabet_name(alphabet, d->types[d->length - 1]) : "";
    sg_verdict known;
    (void)sg_detector_end(f->detector, &state->standing, &known);
    const char *verdict = state->alerts.raised       ? "abnormal"
                          : state->standing.node < 0 ? "new"
                          : known.known              ? "known"
                                                     : "in progress";
    return (sg_view_dialog){.call_id = {d->call_id, d->call_id_length},
                            .source = d->first.source,
                            .destination = d->first.destination,
                            .state = sg_dialog_state_text(d->state),
                            .verdict = verdict,
                            .last = {last, (uint32_t)strlen(last)},
                            .messages = d->messages};
}

void sg_follow_view(sg_follow *f, sg_view *view)
{
    sg_view_dialog ring[SG_VIEW_DIALOGS];
    int count = 0;
    sg_tracker_counts counts;
    /* The tracker lists the idle oldest first: the last of them are the latest. */
    for (const sg_dialog *d = sg_tracker_first(f->tracker); d; d = sg_tracker_next(f->tracker, d))
        ring[count++ % SG_VIEW_DIALOGS] = view_of(f, d);
    int shown = count < SG_VIEW_DIALOGS ? count : SG_VIEW_DIALOGS;
    for (int i = 0; i < shown; i++)
        f->view[i] = ring[(count - 1 - i) % SG_VIEW_DIALOGS];
    sg_tracker_counts_now(f->tracker, &counts);
    *view = (sg_view){.time_us = f->last_us,
                      .messages = f->counts.messages,
                      .dialogs = counts.dialogs,
                      .dialog = f->view,
                      .dialog_count = shown};
}

const char *sg_follow_engine(const sg_follow *f)
{
    return sg_detector_description(f->detector);
}
