#include "watch/follow.h"

#include "base/memory.h"
#include "detect/prefixes.h"
#include "watch/cases.h"
#include "watch/kept.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CACHE_ENTRIES = 1 << 16,
    ALERTED_SLOTS = 1 << 13 /* dialogs that are remembered to have had an alert after they ended */
};

/* What is kept of a dialog in the tracker's user slot. */
typedef struct {
    int32_t node; /* in the trie of known beginnings, -1: outside; see `begun` */
    bool begun;
    sg_dialog_alerts alerts;
    sg_kept_dialog kept;
} dialog_state;

/* The network's alert on a dialog; it may come when the dialog has gone on or is over. */
typedef struct {
    uint64_t serial;
    int position;
    int64_t time_us;
} sequence_alert;

struct sg_follow {
    sg_follow_options options;
    sg_model model;
    sg_engine *engine;
    sg_alphabet *alphabet;
    sg_prefixes *prefixes;
    sg_tracker *tracker;
    sg_sources *sources;
    sg_score_cache *cache;
    sg_cases *cases;
    sg_kept *kept;               /* messages for -O, NULL without */
    const char **names;          /* of a dialog's messages, for alerts */
    sequence_alert *alerted;     /* [ALERTED_SLOTS] the last ones, by serial */
    const sg_capture_item *item; /* the message being looked at */
    sg_sip_message message;
    int64_t quiet_until_us, last_us;
    sg_view_dialog view[SG_VIEW_DIALOGS];
    sg_status status; /* of a callback */
    sg_follow_counts counts;
};

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

/* ---- alerts ---- */

static void name_types(sg_follow *f, const uint16_t *types, int length)
{
    for (int i = 0; i < length; i++)
        f->names[i] = sg_alphabet_name(f->alphabet, types[i]);
}

static void write_alert(sg_follow *f, sg_alert *alert, const uint16_t *types, int length)
{
    f->counts.alerts[alert->reason]++;
    if (f->options.alerted) {
        sg_status status = f->options.alerted(f->options.context, alert);
        f->status = f->status == SG_OK ? status : f->status;
    }
    if (!f->options.alerts)
        return;
    int shown = length < f->model.spec.max_length ? length : f->model.spec.max_length;
    name_types(f, types, shown);
    alert->seq = f->names;
    alert->seq_length = shown;
    sg_alerts_write(f->options.alerts, alert);
}

static sg_text last_of(const sg_sip_message *message, char code[8])
{
    if (!message->response)
        return message->method_name;
    int n = snprintf(code, 8, "%u", message->code);
    return (sg_text){code, (uint32_t)n};
}

/* Notes that a dialog has had an alert, and lets its messages go to -O; false if it had one for this reason.
 */
static bool mark(sg_follow *f, dialog_state *state, sg_reason reason, int position, int64_t time_us)
{
    if (state->alerts.raised & (1u << reason))
        return false;
    if (!state->alerts.raised || time_us < state->alerts.time_us) {
        state->alerts.reason = reason;
        state->alerts.position = position;
        state->alerts.time_us = time_us;
    }
    state->alerts.raised |= 1u << reason;
    if (f->kept)
        sg_kept_release(f->kept, &state->kept);
    return true;
}

/* Takes note of what the network said meanwhile. */
static void catch_up(sg_follow *f, const sg_dialog *dialog, dialog_state *state)
{
    const sequence_alert *a = &f->alerted[dialog->serial % ALERTED_SLOTS];
    if (a->serial == dialog->serial)
        mark(f, state, SG_REASON_SEQUENCE, a->position, a->time_us);
}

/* An alert about the dialog of the message at hand. */
static void alert_dialog(sg_follow *f, const sg_dialog *dialog, sg_reason reason)
{
    dialog_state *state = sg_dialog_user(dialog);
    int position = (int)dialog->length;
    char code[8];
    if (!mark(f, state, reason, position, f->item->flow.time_us))
        return;
    sg_alert alert = {.reason = reason,
                      .time_us = f->item->flow.time_us,
                      .flow = f->item->flow,
                      .response = f->message.response,
                      .flow_id = dialog->serial,
                      .call_id = {dialog->call_id, dialog->call_id_length},
                      .from_tag = f->message.from_tag,
                      .to_tag = f->message.to_tag,
                      .last = last_of(&f->message, code),
                      .position = position,
                      .known_prefix = state->node >= 0};
    write_alert(f, &alert, dialog->types, (int)dialog->length);
}

static uint64_t flow_id_of(const sg_endpoint *source)
{
    uint64_t id = 1469598103934665603u;
    for (size_t i = 0; i < sizeof source->address; i++)
        id = (id ^ source->address[i]) * 1099511628211u;
    return id;
}

static void alert_source(sg_follow *f, sg_source_rule rule, const sg_source *source)
{
    static const sg_reason reasons[SG_SOURCE_RULES] = {SG_REASON_FLOOD, SG_REASON_SCAN, SG_REASON_ENUMERATION,
                                                       SG_REASON_GUESSING, SG_REASON_HALF_OPEN};
    char code[8];
    sg_alert alert = {.reason = reasons[rule],
                      .time_us = f->item->flow.time_us,
                      .flow = f->item->flow,
                      .response = f->message.response,
                      .flow_id = flow_id_of(&source->address),
                      .last = last_of(&f->message, code),
                      .source = source};
    write_alert(f, &alert, NULL, 0);
}

/* ---- the network's verdict ---- */

/* Limits for a dialog of `length` messages. */
static sg_prefix_limit limits_of(const sg_follow *f, int length, bool over)
{
    if (over || length >= f->model.spec.max_length)
        return (sg_prefix_limit){f->model.lambda_skewness, f->model.lambda_kurtosis};
    return f->model.prefix_limit[length - 1];
}

static bool is_abnormal(const sg_follow *f, const sg_prefix_limit *limit, sg_score score)
{
    bool s = score.skewness < limit->skewness, k = score.kurtosis < limit->kurtosis;
    return f->options.rule == SG_RULE_BOTH ? s && k : s || k;
}

/* How far below its limit a moment is, of the way down to that of equal outputs, 0. */
static double depth(double value, double limit)
{
    double share = limit > 0 ? (limit - value) / limit : 0;
    return fmin(fmax(share, 0), 1);
}

static void alert_case(sg_follow *f, const sg_case *c, const sg_prefix_limit *limit)
{
    sg_alert alert = {
        .reason = SG_REASON_SEQUENCE,
        .time_us = c->time_us,
        .flow = c->flow,
        .response = c->response,
        .flow_id = c->serial,
        .call_id = {c->call_id, c->call_id_length},
        .from_tag = {c->from_tag, (uint32_t)strlen(c->from_tag)},
        .to_tag = {c->to_tag, (uint32_t)strlen(c->to_tag)},
        .last = {c->last, (uint32_t)strlen(c->last)},
        .position = c->length,
        .over = c->over,
        .scored = true,
        .skewness = c->score.skewness,
        .kurtosis = c->score.kurtosis,
        .skewness_limit = limit->skewness,
        .kurtosis_limit = limit->kurtosis,
        .score = fmax(depth(c->score.skewness, limit->skewness), depth(c->score.kurtosis, limit->kurtosis))};
    write_alert(f, &alert, c->types, c->length);
}

/* A dialog is over and judged. */
static void report_end(sg_follow *f, sg_followed *followed, const sg_dialog_alerts *alerts)
{
    if (alerts->raised) {
        followed->verdict = SG_VERDICT_ABNORMAL;
        followed->alert_reason = alerts->reason;
        followed->alert_position = alerts->position;
        followed->alert_time_us = alerts->time_us;
    }
    f->counts.verdict[followed->verdict]++;
    if (f->options.ended)
        f->options.ended(f->options.context, followed);
}

/* A case has its score.  Its dialog may have gone on, or be gone. */
static void decide(sg_follow *f, sg_case *c)
{
    sg_prefix_limit limit = limits_of(f, c->length, c->over);
    sequence_alert *alerted = &f->alerted[c->serial % ALERTED_SLOTS];
    if (is_abnormal(f, &limit, c->score) && alerted->serial != c->serial) {
        *alerted = (sequence_alert){c->serial, c->length, c->time_us};
        alert_case(f, c, &limit);
    }
    if (!c->over)
        return;
    if (alerted->serial == c->serial && !c->alerts.raised)
        c->alerts = (sg_dialog_alerts){1u << SG_REASON_SEQUENCE, SG_REASON_SEQUENCE, alerted->position,
                                       alerted->time_us};
    sg_followed followed = {.call_id = {c->call_id, c->call_id_length},
                            .source = c->flow.source,
                            .start_us = c->start_us,
                            .last_us = c->time_us,
                            .length = c->length,
                            .end = c->end,
                            .verdict = SG_VERDICT_NEW};
    report_end(f, &followed, &c->alerts);
}

/* Decides on all cases that have been scored. */
static void decide_all(sg_follow *f)
{
    sg_case c;
    while (sg_cases_next(f->cases, &c)) {
        sg_score_cache_add(f->cache, c.types, c.length, c.score);
        decide(f, &c);
        sg_case_free(&c);
    }
}

static void cut_text(char to[SG_CASE_TEXT], sg_text from)
{
    size_t n = from.length < SG_CASE_TEXT - 1 ? from.length : SG_CASE_TEXT - 1;
    if (n)
        memcpy(to, from.data, n);
    to[n] = '\0';
    for (size_t i = 0; i < n; i++) /* a NUL byte would end the text */
        if (!to[i])
            to[i] = '?';
}

static sg_status make_case(sg_follow *f, const sg_dialog *dialog, bool over, sg_case *c)
{
    *c = (sg_case){.serial = dialog->serial,
                   .start_us = dialog->start_us,
                   .time_us = dialog->last_us,
                   .flow = dialog->first,
                   .over = over,
                   .call_id_length = dialog->call_id_length,
                   .length = (int)dialog->length};
    if (!over) {
        char code[8];
        c->time_us = f->item->flow.time_us;
        c->flow = f->item->flow;
        c->response = f->message.response;
        cut_text(c->last, last_of(&f->message, code));
        cut_text(c->from_tag, f->message.from_tag);
        cut_text(c->to_tag, f->message.to_tag);
    }
    SG_TRY(sg_alloc(&c->call_id, dialog->call_id_length + 1, "case"));
    sg_status status = sg_alloc(&c->types, dialog->length, "case");
    if (status != SG_OK) {
        sg_case_free(c);
        return status;
    }
    memcpy(c->call_id, dialog->call_id, dialog->call_id_length);
    memcpy(c->types, dialog->types, dialog->length * sizeof *c->types);
    return SG_OK;
}

/* Asks for the network's view of a dialog that is outside the trie. */
static sg_status ask(sg_follow *f, const sg_dialog *dialog, bool over, sg_end end)
{
    const dialog_state *state = sg_dialog_user(dialog);
    sg_case c;
    if (!over && state->alerts.raised & (1u << SG_REASON_SEQUENCE))
        return SG_OK;
    if (dialog->length > (uint32_t)f->model.spec.max_length) {
        f->counts.too_long++;
        return SG_OK;
    }
    SG_TRY(make_case(f, dialog, over, &c));
    c.end = end;
    c.alerts = state->alerts;
    if (sg_score_cache_find(f->cache, c.types, c.length, &c.score)) {
        f->counts.cache_hits++;
        decide(f, &c);
        sg_case_free(&c);
        return SG_OK;
    }
    sg_status status = sg_cases_add(f->cases, &c);
    sg_case_free(&c);
    if (!f->options.live)
        decide_all(f);
    return status;
}

/* ---- messages ---- */

static void step(sg_follow *f, const sg_dialog *dialog, dialog_state *state)
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
    bool quiet = f->item->flow.time_us < f->quiet_until_us;
    if (!quiet && flags & (SG_FLAG_STRAY_REQUEST | SG_FLAG_STRAY_RESPONSE))
        alert_dialog(f, dialog, SG_REASON_STRAY);
    if (flags & SG_FLAG_SOURCE_CHANGE)
        alert_dialog(f, dialog, SG_REASON_SOURCE_CHANGE);
    if (flags & SG_FLAG_TAG_CHANGE)
        alert_dialog(f, dialog, SG_REASON_TAG_CHANGE);
}

/* The dialog at hand, after a message of type `type`. */
static sg_status follow_dialog(sg_follow *f, const sg_tracked *tracked, uint16_t type)
{
    sg_dialog *dialog = tracked->dialog;
    dialog_state *state = sg_dialog_user(dialog);
    catch_up(f, dialog, state);
    if (f->kept)
        SG_TRY(sg_kept_message(f->kept, &state->kept, f->item));
    if (tracked->kept)
        step(f, dialog, state);
    if (f->options.detectors & SG_WATCH_PROTOCOL)
        check_protocol(f, dialog, tracked->flags);
    if (type == 0) { /* nothing the network could be shown */
        state->begun = true;
        state->node = -1;
        if (f->options.detectors & (SG_WATCH_NETWORK | SG_WATCH_PREFIXES))
            alert_dialog(f, dialog, SG_REASON_TYPE);
        return SG_OK;
    }
    if (!tracked->kept || state->node >= 0)
        return SG_OK;
    if (f->options.detectors & SG_WATCH_PREFIXES)
        alert_dialog(f, dialog, SG_REASON_PREFIX);
    return f->options.detectors & SG_WATCH_NETWORK ? ask(f, dialog, false, SG_ENDS) : SG_OK;
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
            alert_source(f, (sg_source_rule)r, &source);
}

sg_status sg_follow_message(sg_follow *f, const sg_capture_item *item)
{
    sg_tracked tracked;
    f->counts.messages++;
    if (!sg_sip_read(&f->message, item->data, item->length)) {
        f->counts.not_sip++;
        return SG_OK;
    }
    if (f->quiet_until_us == 0)
        f->quiet_until_us = item->flow.time_us + f->options.quiet_us;
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

static sg_verdict verdict_of(const sg_follow *f, const dialog_state *state)
{
    if (state->begun && sg_prefixes_ending(f->prefixes, state->node) > 0)
        return SG_VERDICT_KNOWN;
    return state->begun && state->node >= 0 ? SG_VERDICT_PREFIX : SG_VERDICT_NEW;
}

/* Whether the network is asked about a dialog that is over: one outside the trie, as a whole.  What was cut
 * off by us or by silence is no whole dialog. */
static bool wants_whole(const sg_follow *f, const sg_dialog *dialog, const dialog_state *state, sg_end end)
{
    bool whole = end != SG_END_EVICTED && end != SG_END_FLUSHED && end != SG_END_OPEN && end != SG_END_STRAY;
    return whole && f->options.detectors & SG_WATCH_NETWORK && state->begun && state->node < 0 &&
           dialog->length <= (uint32_t)f->model.spec.max_length;
}

/* The tracker's callback: a dialog is over. */
static void on_end(void *context, sg_dialog *dialog, sg_end end)
{
    sg_follow *f = context;
    dialog_state *state = sg_dialog_user(dialog);
    catch_up(f, dialog, state);
    if (wants_whole(f, dialog, state, end)) {
        sg_status status = ask(f, dialog, true, end);
        f->status = f->status == SG_OK ? status : f->status;
    } else {
        sg_followed followed = {.call_id = {dialog->call_id, dialog->call_id_length},
                                .source = dialog->first.source,
                                .start_us = dialog->start_us,
                                .last_us = dialog->last_us,
                                .length = (int)dialog->length,
                                .end = end,
                                .verdict = verdict_of(f, state)};
        report_end(f, &followed, &state->alerts);
    }
    if (f->kept)
        sg_kept_drop(f->kept, &state->kept);
}

sg_status sg_follow_poll(sg_follow *f, int64_t now_us)
{
    SG_TRY(sg_cases_check(f->cases));
    decide_all(f);
    if (now_us > 0)
        sg_tracker_advance(f->tracker, now_us);
    return f->status;
}

sg_status sg_follow_flush(sg_follow *f)
{
    /* Scores that are still to come belong to dialogs that are still there. */
    sg_cases_counts c;
    do {
        SG_TRY(sg_cases_finish(f->cases));
        decide_all(f);
        sg_cases_counts_now(f->cases, &c);
    } while (c.waiting > 0);
    sg_tracker_flush(f->tracker);
    SG_TRY(f->status);
    do {
        SG_TRY(sg_cases_finish(f->cases));
        decide_all(f);
        sg_cases_counts_now(f->cases, &c);
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
    SG_TRY(sg_alloc(&f->names, m->spec.max_length, "alerts"));
    return sg_cases_open(&f->cases, f->engine, &m->spec, f->options.batch, f->options.queue, f->options.live);
}

static void close_model(sg_follow *f)
{
    sg_cases_close(f->cases);
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
    tracker.user_size = sizeof(dialog_state);
    tracker.ended = on_end;
    tracker.context = f;
    SG_TRY(open_model(f));
    SG_TRY(sg_alloc(&f->alerted, ALERTED_SLOTS, "alerts"));
    SG_TRY(sg_score_cache_open(&f->cache, CACHE_ENTRIES));
    SG_TRY(sg_sources_open(&f->sources, &f->options.sources));
    if (f->options.out)
        SG_TRY(sg_kept_open(&f->kept, f->options.out, f->options.keep_bytes));
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
        sg_kept_drop(f->kept, &((dialog_state *)sg_dialog_user(d))->kept);
    sg_tracker_close(f->tracker);
    sg_kept_close(f->kept);
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
    decide_all(f);
    close_model(f);
    f->model = fresh.model;
    f->engine = fresh.engine;
    f->alphabet = fresh.alphabet;
    f->prefixes = fresh.prefixes;
    f->cases = fresh.cases;
    f->names = fresh.names;
    sg_score_cache_clear(f->cache);
    for (sg_dialog *d = sg_tracker_first(f->tracker); d; d = sg_tracker_next(f->tracker, d)) {
        dialog_state *state = sg_dialog_user(d);
        if (state->begun)
            state->node = sg_prefixes_find(f->prefixes, d->types, (int)d->length);
    }
    return SG_OK;
}

void sg_follow_counts_now(sg_follow *f, sg_follow_counts *counts)
{
    sg_cases_counts c;
    *counts = f->counts;
    sg_cases_counts_now(f->cases, &c);
    counts->scored = c.scored;
    counts->shed = c.shed;
    counts->batches = c.batches;
    counts->scoring_seconds = c.seconds;
    counts->waiting = c.waiting;
    counts->not_kept = f->kept ? sg_kept_lost(f->kept) : 0;
    sg_tracker_counts_now(f->tracker, &counts->tracker);
    sg_sources_counts_now(f->sources, &counts->sources);
}

static sg_view_dialog view_of(const sg_follow *f, const sg_dialog *d)
{
    const dialog_state *state = sg_dialog_user(d);
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
