/* follow_requests.c: asks the model about dialogs whose verdict is not settled, and alerts by its answers. */
#include "watch/follow_internal.h"

#include "base/memory.h"
#include <string.h>

static void alert_request(sg_follow *f, const sg_score_request *c)
{
    sg_prefix_limit limit = {0};
    (void)sg_detector_limits(f->detector, c->length, c->over, &limit);
    sg_alert alert = {.reason = SG_REASON_SEQUENCE,
                      .time_us = c->time_us,
                      .flow = c->flow,
                      .response = c->response,
                      .flow_id = c->serial,
                      .call_id = {c->call_id, c->call_id_length},
                      .call_id_cut = c->call_id_cut,
                      .from_tag = {c->from_tag, (uint32_t)strlen(c->from_tag)},
                      .to_tag = {c->to_tag, (uint32_t)strlen(c->to_tag)},
                      .last = {c->last, (uint32_t)strlen(c->last)},
                      .position = c->length,
                      .over = c->over,
                      .scored = true,
                      .skewness = c->verdict.skewness,
                      .kurtosis = c->verdict.kurtosis,
                      .skewness_limit = limit.skewness,
                      .kurtosis_limit = limit.kurtosis,
                      .score = sg_verdict_depth(&c->verdict, &limit)};
    sg_follow_alert(f, &alert, c->types, c->length);
}

/* A dialog is over and judged. */
void sg_follow_report_end(sg_follow *f, sg_followed *followed, const sg_dialog_alerts *alerts)
{
    if (alerts->raised) {
        followed->outcome = SG_OUTCOME_ABNORMAL;
        followed->alert_reason = alerts->reason;
        followed->alert_position = alerts->position;
        followed->alert_time_us = alerts->time_us;
    }
    f->counts.outcome[followed->outcome]++;
    if (f->options.ended)
        f->options.ended(f->options.context, followed);
}

/* Notes the network's alert on a dialog that goes on or is over; false if it had one. */
static bool note_sequence(sg_follow *f, const sg_score_request *c)
{
    sg_sequence_alert *alerted = &f->alerted[c->serial % ALERTED_SLOTS];
    const sg_dialog *dialog = sg_tracker_find(f->tracker, (sg_text){c->call_id, c->call_id_length});
    if (alerted->serial == c->serial || c->alerts.raised & (1u << SG_REASON_SEQUENCE))
        return false;
    *alerted = (sg_sequence_alert){c->serial, c->length, c->time_us};
    return !dialog || dialog->serial != c->serial ||
           sg_follow_mark(f, sg_dialog_user(dialog), SG_REASON_SEQUENCE, c->length, c->time_us);
}

/* The last request of a dialog that is over: nothing more will be said of it. */
static void settle(sg_follow *f, sg_score_request *c)
{
    const sg_sequence_alert *alerted = &f->alerted[c->serial % ALERTED_SLOTS];
    if (alerted->serial == c->serial)
        sg_follow_add_alert(&c->alerts, SG_REASON_SEQUENCE, alerted->position, alerted->time_us);
    if (f->pending && c->alerts.raised)
        sg_pending_release(f->pending, &c->pending);
    if (f->pending)
        sg_pending_drop(f->pending, &c->pending);
    sg_followed followed = {.call_id = {c->call_id, c->call_id_length},
                            .source = c->flow.source,
                            .start_us = c->start_us,
                            .last_us = c->time_us,
                            .length = c->messages,
                            .end = c->end,
                            .outcome = (sg_outcome)c->outcome};
    sg_follow_report_end(f, &followed, &c->alerts);
}

/* A request has its score.  Its dialog may have gone on, or be gone. */
static void decide(sg_follow *f, sg_score_request *c)
{
    /* Outside the known beginnings it was when it was asked about; the moments decide. */
    const bool abnormal = c->verdict.below[c->over][f->options.rule] == 1;
    if ((!c->over || c->whole) && abnormal && note_sequence(f, c))
        alert_request(f, c);
    if (c->over)
        settle(f, c);
}

/* Decides on all requests that have been scored. */
void sg_follow_decide_all(sg_follow *f)
{
    sg_score_request c;
    while (sg_score_queue_next(f->queue, &c)) {
        sg_verdict_cache_add(f->cache, c.types, c.length, &c.verdict);
        f->decided = c.number;
        decide(f, &c);
        sg_score_request_free(&c);
    }
}

static void cut_text(char to[SG_SCORE_REQUEST_TEXT], sg_text from)
{
    size_t n = from.length < SG_SCORE_REQUEST_TEXT - 1 ? from.length : SG_SCORE_REQUEST_TEXT - 1;
    if (n)
        memcpy(to, from.data, n);
    to[n] = '\0';
    for (size_t i = 0; i < n; i++) /* a NUL byte would end the text */
        if (!to[i])
            to[i] = '?';
}

sg_status sg_follow_make_request(sg_follow *f, const sg_dialog *dialog, bool over, sg_score_request *c)
{
    uint32_t longest = (uint32_t)sg_detector_max_length(f->detector);
    uint32_t length = dialog->length < longest ? dialog->length : longest;
    *c = (sg_score_request){.serial = dialog->serial,
                            .start_us = dialog->start_us,
                            .time_us = dialog->last_us,
                            .flow = dialog->first,
                            .over = over,
                            .call_id_length = dialog->call_id_length,
                            .call_id_cut = dialog->call_id_whole > dialog->call_id_length,
                            .length = (int)length};
    if (!over) {
        char code[8];
        c->time_us = f->item->flow.time_us;
        c->flow = f->item->flow;
        c->response = f->message.response;
        cut_text(c->last, sg_follow_last(&f->message, code));
        cut_text(c->from_tag, f->message.from_tag);
        cut_text(c->to_tag, f->message.to_tag);
    }
    SG_TRY(sg_alloc(&c->call_id, dialog->call_id_length + 1, "request"));
    sg_status status = sg_alloc(&c->types, length, "request");
    if (status != SG_OK) {
        sg_score_request_free(c);
        return status;
    }
    memcpy(c->call_id, dialog->call_id, dialog->call_id_length);
    memcpy(c->types, dialog->types, length * sizeof *c->types);
    return SG_OK;
}

bool sg_follow_waits(const sg_follow *f, const sg_dialog_progress *state)
{
    return state->queued > f->decided;
}

/* Asks the network, or the cache.  Requests of one dialog are decided in order. */
sg_status sg_follow_ask(sg_follow *f, sg_dialog_progress *state, sg_score_request *c)
{
    if (!sg_follow_waits(f, state) && sg_verdict_cache_find(f->cache, c->types, c->length, &c->verdict)) {
        f->counts.cache_hits++;
        decide(f, c);
        sg_score_request_free(c);
        return SG_OK;
    }
    c->number = state->queued = ++f->queued;
    sg_status status = sg_score_queue_add(f->queue, c);
    if (c->over) /* one that was shed */
        settle(f, c);
    sg_score_request_free(c);
    if (!f->options.live)
        sg_follow_decide_all(f);
    return status;
}

/* Asks about a dialog that goes on, whose verdict is not settled. */
sg_status sg_follow_ask_message(sg_follow *f, const sg_dialog *dialog, sg_dialog_progress *state)
{
    sg_score_request c;
    if (state->alerts.raised & (1u << SG_REASON_SEQUENCE))
        return SG_OK;
    if (dialog->length > (uint32_t)sg_detector_max_length(f->detector)) {
        f->counts.too_long++;
        return SG_OK;
    }
    SG_TRY(sg_follow_make_request(f, dialog, false, &c));
    return sg_follow_ask(f, state, &c);
}
