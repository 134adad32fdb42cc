/* follow_alerts.c: alerts about the dialog or the source of the message at hand. */
#include "watch/follow_internal.h"

#include <stdio.h>
#include <string.h>

static void name_types(sg_follow *f, const uint16_t *types, int length)
{
    const sg_alphabet *alphabet = sg_detector_alphabet(f->detector);
    for (int i = 0; i < length; i++)
        f->names[i] = sg_alphabet_name(alphabet, types[i]);
}

void sg_follow_alert(sg_follow *f, sg_alert *alert, const uint16_t *types, int length)
{
    f->counts.alerts[alert->reason]++;
    if (f->options.alerted) {
        sg_status status = f->options.alerted(f->options.context, alert);
        f->status = f->status == SG_OK ? status : f->status;
    }
    if (!f->options.alerts)
        return;
    const int longest = sg_detector_max_length(f->detector), shown = length < longest ? length : longest;
    name_types(f, types, shown);
    alert->seq = f->names;
    alert->seq_length = shown;
    sg_alerts_write(f->options.alerts, alert);
}

sg_text sg_follow_last(const sg_sip_message *message, char code[8])
{
    if (!message->response)
        return message->method_name;
    int n = snprintf(code, 8, "%u", message->code);
    return (sg_text){code, (uint32_t)n};
}

/* False if there was one for this reason. */
bool sg_follow_add_alert(sg_dialog_alerts *alerts, sg_reason reason, int position, int64_t time_us)
{
    if (alerts->raised & (1u << reason))
        return false;
    if (!alerts->raised || time_us < alerts->time_us) {
        alerts->reason = reason;
        alerts->position = position;
        alerts->time_us = time_us;
    }
    alerts->raised |= 1u << reason;
    return true;
}

/* Notes that a dialog has had an alert, and lets its messages go to -O; false if it had one for this reason.
 */
bool sg_follow_mark(sg_follow *f, sg_dialog_progress *state, sg_reason reason, int position, int64_t time_us)
{
    if (!sg_follow_add_alert(&state->alerts, reason, position, time_us))
        return false;
    if (f->pending)
        sg_pending_release(f->pending, &state->pending);
    return true;
}

/* Takes note of what the network said meanwhile. */
void sg_follow_catch_up(sg_follow *f, const sg_dialog *dialog, sg_dialog_progress *state)
{
    const sg_sequence_alert *a = &f->alerted[dialog->serial % ALERTED_SLOTS];
    if (a->serial == dialog->serial)
        sg_follow_mark(f, state, SG_REASON_SEQUENCE, a->position, a->time_us);
}

/* An alert about the dialog of the message at hand. */
void sg_follow_alert_dialog(sg_follow *f, const sg_dialog *dialog, sg_reason reason)
{
    sg_dialog_progress *state = sg_dialog_user(dialog);
    int position = (int)dialog->length;
    char code[8];
    if (!sg_follow_mark(f, state, reason, position, f->item->flow.time_us))
        return;
    sg_alert alert = {.reason = reason,
                      .time_us = f->item->flow.time_us,
                      .flow = f->item->flow,
                      .response = f->message.response,
                      .flow_id = dialog->serial,
                      .call_id = {dialog->call_id, dialog->call_id_length},
                      .call_id_cut = dialog->call_id_whole > dialog->call_id_length,
                      .from_tag = f->message.from_tag,
                      .to_tag = f->message.to_tag,
                      .last = sg_follow_last(&f->message, code),
                      .position = position,
                      .known_prefix = state->standing.node >= 0};
    sg_follow_alert(f, &alert, dialog->types, (int)dialog->length);
}

static uint64_t flow_id_of(const sg_endpoint *source)
{
    uint64_t id = 1469598103934665603u;
    for (size_t i = 0; i < sizeof source->address; i++)
        id = (id ^ source->address[i]) * 1099511628211u;
    return id;
}

void sg_follow_alert_source(sg_follow *f, sg_source_rule rule, const sg_source *source)
{
    static const sg_reason reasons[SG_SOURCE_RULES] = {SG_REASON_FLOOD, SG_REASON_SCAN, SG_REASON_ENUMERATION,
                                                       SG_REASON_GUESSING, SG_REASON_HALF_OPEN};
    char code[8];
    sg_alert alert = {.reason = reasons[rule],
                      .time_us = f->item->flow.time_us,
                      .flow = f->item->flow,
                      .response = f->message.response,
                      .flow_id = flow_id_of(&source->address),
                      .last = sg_follow_last(&f->message, code),
                      .source = source};
    sg_follow_alert(f, &alert, NULL, 0);
}
