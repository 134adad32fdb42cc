/* follow.c: messages, ends of dialogs, models. */
#include "watch/follow_internal.h"

#include "base/memory.h"
#include <stdlib.h>
#include <string.h>

const char *sg_verdict_name(sg_verdict verdict)
{
    static const char *const names[SG_VERDICTS] = {"known", "prefix", "new", "abnormal"};
    return names[verdict];
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

static void step(sg_follow *f, const sg_dialog *dialog, sg_dialog_progress *state)
{
    if (!state->begun) {
        state->begun = true;
        state->node = 0;
    }
    state->node = sg_prefixes_next(f->prefixes, state->node, dialog->types[dialog->length - 1]);
    if (state->node >= 0)
        f->counts.prefix_hits++;
}

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
    sg_follow_catch_up(f, dialog, state);
    if (f->kept)
        SG_TRY(sg_pending_message(f->kept, &state->kept, f->item));
    if (tracked->kept)
        step(f, dialog, state);
    if (f->options.detectors & SG_WATCH_PROTOCOL)
        check_protocol(f, dialog, tracked->flags);
    if (type == 0) { /* nothing the network could be shown */
        state->begun = true;
        state->node = -1;
        if (f->options.detectors & (SG_WATCH_NETWORK | SG_WATCH_PREFIXES))
            sg_follow_alert_dialog(f, dialog, SG_REASON_TYPE);
        return SG_OK;
    }
    if (!tracked->kept || state->node >= 0)
        return SG_OK;
    if (f->options.detectors & SG_WATCH_PREFIXES)
        sg_follow_alert_dialog(f, dialog, SG_REASON_PREFIX);
    return f->options.detectors & SG_WATCH_NETWORK ? sg_follow_ask_message(f, dialog, state) : SG_OK;
}

/* What the source does: for a response, the one it goes to. */
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
    uint16_t type = sg_alphabet_id(f->alphabet, &f->message, &f->counts.folds);
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

static sg_verdict verdict_of(const sg_follow *f, const sg_dialog_progress *state)
{
    if (state->begun && sg_prefixes_ending(f->prefixes, state->node) > 0)
        return SG_VERDICT_KNOWN;
    return state->begun && state->node >= 0 ? SG_VERDICT_PREFIX : SG_VERDICT_NEW;
}

/* Whether the network is asked about a dialog that is over: one outside the trie, as a whole.  What was cut
 * off by us or by silence is no whole dialog, nor is one with messages that have no type. */
static bool wants_whole(const sg_follow *f, const sg_dialog *dialog, const sg_dialog_progress *state,
                        sg_end end)
{
    bool whole = end != SG_END_EVICTED && end != SG_END_FLUSHED && end != SG_END_OPEN && end != SG_END_STRAY;
    return whole && f->options.detectors & SG_WATCH_NETWORK && state->begun && state->node < 0 &&
           !dialog->untyped && dialog->length <= (uint32_t)f->model.spec.max_length;
}

static void report_now(sg_follow *f, const sg_dialog *dialog, sg_dialog_progress *state, sg_end end)
{
    sg_followed followed = {.call_id = {dialog->call_id, dialog->call_id_length},
                            .source = dialog->first.source,
                            .start_us = dialog->start_us,
                            .last_us = dialog->last_us,
                            .length = (int)dialog->length,
                            .end = end,
                            .verdict = verdict_of(f, state)};
    sg_follow_report_end(f, &followed, &state->alerts);
    if (f->kept)
        sg_pending_drop(f->kept, &state->kept);
}

/* Reports the end when the network has said all that it has to say. */
static sg_status report_later(sg_follow *f, const sg_dialog *dialog, sg_dialog_progress *state, sg_end end)
{
    sg_score_request c;
    SG_TRY(sg_follow_make_case(f, dialog, true, &c));
    c.whole = wants_whole(f, dialog, state, end);
    c.end = end;
    c.messages = (int)dialog->length;
    c.verdict = verdict_of(f, state);
    c.alerts = state->alerts;
    c.kept = state->kept;
    state->kept = (sg_pending_dialog){0};
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
    SG_TRY(sg_score_queue_check(f->cases));
    sg_follow_decide_all(f);
    if (now_us > 0)
        sg_tracker_advance(f->tracker, now_us);
    return f->status;
}

sg_status sg_follow_flush(sg_follow *f)
{
    /* Scores that are still to come belong to dialogs that are still there. */
    sg_score_queue_counts c;
    do {
        SG_TRY(sg_score_queue_finish(f->cases));
        sg_follow_decide_all(f);
        sg_score_queue_counts_now(f->cases, &c);
    } while (c.waiting > 0);
    sg_tracker_flush(f->tracker);
    SG_TRY(f->status);
    do {
        SG_TRY(sg_score_queue_finish(f->cases));
        sg_follow_decide_all(f);
        sg_score_queue_counts_now(f->cases, &c);
    } while (c.waiting > 0);
    return SG_OK;
}

/* ---- opening ---- */

static sg_status check_model(const sg_model *model, unsigned detectors)
{
    if (!(detectors & SG_WATCH_NETWORK))
        return SG_OK;
    if (!model->has_thresholds || !model->prefix_limit)
        return sg_fail(SG_E_CONFIG, "the model has no limits for dialogs that go on; train it with "
                                    "train.prefix_limits = true");
    return SG_OK;
}

static sg_status open_model(sg_follow *f)
{
    const sg_model *m = &f->model;
    sg_type_rule rule;
    if (!sg_type_rule_parse(m->type_rule, &rule))
        return sg_fail(SG_E_CONFIG, "the model's type_rule is '%s'; paper/1 or cseq/1 is wanted",
                       m->type_rule);
    SG_TRY(check_model(m, f->options.detectors));
    SG_TRY(sg_alphabet_open(&f->alphabet, rule, (const char *const *)m->alphabet, m->spec.message_types));
    SG_TRY(sg_prefixes_open(&f->prefixes, m->class_sequence, m->class_length, m->class_train, m->spec.classes,
                            m->spec.max_length));
    SG_TRY(sg_engine_open(&f->engine, &m->spec, &f->options.engine));
    SG_TRY(sg_engine_load(f->engine, &m->params));
    sg_params_free(&f->model.params); /* the engine has its own */
    SG_TRY(sg_alloc(&f->names, m->spec.max_length, "alerts"));
    return sg_score_queue_open(&f->cases, f->engine, &m->spec, f->options.batch, f->options.queue,
                               f->options.live);
}

static void close_model(sg_follow *f)
{
    sg_score_queue_close(f->cases);
    sg_engine_close(f->engine);
    sg_prefixes_close(f->prefixes);
    sg_alphabet_close(f->alphabet);
    free(f->names);
    sg_model_free(&f->model);
    f->cases = NULL;
    f->engine = NULL;
    f->prefixes = NULL;
    f->alphabet = NULL;
    f->names = NULL;
}

static sg_status open_parts(sg_follow *f)
{
    sg_tracker_options tracker = f->options.tracker;
    tracker.repeats = f->model.collapsed ? SG_REPEATS_COLLAPSE : SG_REPEATS_KEEP;
    tracker.quiet_s = f->options.quiet_us / 1000000;
    tracker.user_size = sizeof(sg_dialog_progress);
    tracker.ended = on_end;
    tracker.context = f;
    SG_TRY(open_model(f));
    SG_TRY(sg_alloc(&f->alerted, ALERTED_SLOTS, "alerts"));
    SG_TRY(sg_score_cache_open(&f->cache, CACHE_ENTRIES));
    SG_TRY(sg_sources_open(&f->sources, &f->options.sources));
    if (f->options.out)
        SG_TRY(sg_pending_open(&f->kept, f->options.out, f->options.keep_bytes));
    return sg_tracker_open(&f->tracker, &tracker);
}

sg_status sg_follow_open(sg_follow **follow, sg_model *model, const sg_follow_options *options)
{
    sg_follow *f;
    *follow = NULL;
    SG_TRY(sg_alloc(&f, 1, "watch"));
    f->options = *options;
    f->model = *model;
    *model = (sg_model){0};
    sg_status status = open_parts(f);
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
    for (sg_dialog *d = f->tracker && f->kept ? sg_tracker_first(f->tracker) : NULL; d;
         d = sg_tracker_next(f->tracker, d))
        sg_pending_drop(f->kept, &((sg_dialog_progress *)sg_dialog_user(d))->kept);
    sg_tracker_close(f->tracker);
    sg_pending_close(f->kept);
    sg_sources_close(f->sources);
    sg_score_cache_close(f->cache);
    close_model(f);
    free(f->alerted);
    free(f);
}

static bool same_alphabet(const sg_model *a, const sg_model *b)
{
    if (a->spec.message_types != b->spec.message_types || strcmp(a->type_rule, b->type_rule) != 0 ||
        a->collapsed != b->collapsed)
        return false;
    for (int m = 0; m < a->spec.message_types; m++)
        if (strcmp(a->alphabet[m], b->alphabet[m]) != 0)
            return false;
    return true;
}

static void add_counts(sg_score_queue_counts *to, const sg_score_queue_counts *more)
{
    to->scored += more->scored;
    to->shed += more->shed;
    to->batches += more->batches;
    to->seconds += more->seconds;
}

/* Hands what waits for the old model to the new one.  What is too long for it is not judged. */
static sg_status move_cases(sg_follow *f, sg_follow *fresh)
{
    sg_score_request c;
    sg_score_queue_counts counts;
    sg_status status = SG_OK;
    int longest = fresh->model.spec.max_length;
    while (status == SG_OK && sg_score_queue_withdraw(f->cases, &c)) {
        if (c.length > longest && c.over) {
            c.length = longest;
            c.whole = false;
        }
        if (c.length <= longest)
            status = sg_score_queue_add(fresh->cases, &c);
        sg_score_request_free(&c);
    }
    if (status == SG_OK)
        status = sg_score_queue_finish(f->cases); /* the batch that is being scored */
    sg_follow_decide_all(f);
    sg_score_queue_counts_now(f->cases, &counts);
    add_counts(&f->past, &counts);
    return status;
}

/* Dialogs that go on find their place among the new model's beginnings; one with a message that has no type
 * is outside them. */
static void place_dialogs(sg_follow *f)
{
    for (sg_dialog *d = sg_tracker_first(f->tracker); d; d = sg_tracker_next(f->tracker, d)) {
        sg_dialog_progress *state = sg_dialog_user(d);
        if (state->begun)
            state->node = d->untyped ? -1 : sg_prefixes_find(f->prefixes, d->types, (int)d->length);
    }
}

sg_status sg_follow_reload(sg_follow *f, sg_model *model)
{
    if (!same_alphabet(&f->model, model))
        return sg_fail(SG_E_CONFIG, "the new model has another alphabet; the old one stays");
    SG_TRY(check_model(model, f->options.detectors));
    sg_follow fresh = {.options = f->options, .model = *model};
    sg_status status = open_model(&fresh);
    if (status != SG_OK) {
        *model = fresh.model; /* the caller's again */
        fresh.model = (sg_model){0};
        close_model(&fresh);
        return status;
    }
    *model = (sg_model){0};
    status = move_cases(f, &fresh);
    close_model(f);
    f->model = fresh.model;
    f->engine = fresh.engine;
    f->alphabet = fresh.alphabet;
    f->prefixes = fresh.prefixes;
    f->cases = fresh.cases;
    f->names = fresh.names;
    sg_score_cache_clear(f->cache);
    place_dialogs(f);
    return status;
}

void sg_follow_counts_now(sg_follow *f, sg_follow_counts *counts)
{
    sg_score_queue_counts c;
    *counts = f->counts;
    sg_score_queue_counts_now(f->cases, &c);
    counts->waiting = c.waiting;
    add_counts(&c, &f->past);
    counts->scored = c.scored;
    counts->shed = c.shed;
    counts->batches = c.batches;
    counts->scoring_seconds = c.seconds;
    counts->not_kept = f->kept ? sg_pending_lost(f->kept) : 0;
    sg_tracker_counts_now(f->tracker, &counts->tracker);
    sg_sources_counts_now(f->sources, &counts->sources);
}

static sg_view_dialog view_of(const sg_follow *f, const sg_dialog *d)
{
    const sg_dialog_progress *state = sg_dialog_user(d);
    const char *last = d->length ? sg_alphabet_name(f->alphabet, d->types[d->length - 1]) : "";
    const char *verdict = state->alerts.raised ? "abnormal" : state->node < 0 ? "new" : "in progress";
    if (!state->alerts.raised && sg_prefixes_ending(f->prefixes, state->node) > 0)
        verdict = "known";
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
    return sg_engine_description(f->engine);
}
