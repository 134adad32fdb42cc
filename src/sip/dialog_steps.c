/* dialog_steps.c: what a message does to a dialog.  Section numbers refer to RFC 3261. */
#include "sip/tracker_internal.h"

enum {
    SECOND = 1000000,
    ANSWER_S = 32,      /* 64 T1: timers B and F (17.1.1.2, 17.1.2.2), and H for the ACK */
    PROCEEDING_S = 180, /* timer C (16.6, 11) */
    ACK_S = 64,         /* the callee's 64 T1 for the ACK (13.3.1.4), and as long for its BYE */
    EXPIRES_S = 3600    /* of a subscription without Expires */
};

static void move(entry *e, sg_dialog_state state, int64_t now_us, int64_t seconds)
{
    e->dialog.state = state;
    e->deadline_us = now_us + seconds * SECOND;
}

static bool in_call(const sg_dialog *dialog)
{
    return dialog->methods_seen & 1u << SG_METHOD_INVITE;
}

static void on_invite(entry *e, const sg_sip_message *message, const sg_tracker_options *options, int64_t now)
{
    switch (e->dialog.state) {
    case SG_DIALOG_ESTABLISHED: /* a re-INVITE (14.1), whose failure leaves the call as it is */
        move(e, SG_DIALOG_ESTABLISHED, now, options->established_s);
        break;
    case SG_DIALOG_PROCEEDING: /* another leg or branch */
        move(e, SG_DIALOG_PROCEEDING, now, PROCEEDING_S);
        break;
    case SG_DIALOG_ANSWERED:
    case SG_DIALOG_ENDING:
        break;
    case SG_DIALOG_COMPLETED:
        if (message->to_tag.length) { /* a re-INVITE that crossed the BYE */
            move(e, SG_DIALOG_COMPLETED, now, options->linger_s);
            break;
        }
        /* fall through */
    default: /* the first, or the retry of one refused */
        move(e, SG_DIALOG_CALLING, now, ANSWER_S);
        break;
    }
}

static void on_bye(entry *e, int64_t now)
{
    if (e->dialog.state >= SG_DIALOG_CALLING && e->dialog.state <= SG_DIALOG_CANCELLING)
        move(e, SG_DIALOG_ENDING, now, ANSWER_S);
}

static int64_t subscription_s(const sg_sip_message *message, const sg_tracker_options *options)
{
    int64_t seconds = message->expires >= 0 ? message->expires : EXPIRES_S;
    return seconds < options->subscription_s ? seconds : options->subscription_s;
}

static void on_subscribe(entry *e, const sg_sip_message *message, const sg_tracker_options *options,
                         int64_t now)
{
    e->subscribing = true;
    e->expires_us = subscription_s(message, options) * SECOND;
    if (e->dialog.state != SG_DIALOG_SUBSCRIBED) {
        e->terminated = false;
        move(e, SG_DIALOG_REQUESTED, now, ANSWER_S);
    }
}

static bool is_terminated(const sg_sip_message *message)
{
    sg_text state = message->subscription_state;
    return state.length == 10 && strncasecmp(state.data, "terminated", 10) == 0;
}

static void on_notify(entry *e, const sg_sip_message *message, const sg_tracker_options *options, int64_t now)
{
    e->terminated = e->terminated || is_terminated(message);
    if (e->dialog.state == SG_DIALOG_SUBSCRIBED && e->terminated)
        move(e, SG_DIALOG_COMPLETED, now, options->linger_s);
    else if (e->dialog.state != SG_DIALOG_SUBSCRIBED && !(e->subscribing && !sg_dialog_is_over(&e->dialog)))
        move(e, SG_DIALOG_REQUESTED, now, ANSWER_S);
}

/* A request inside a call: an established call continues; other calls are not affected. */
static void refresh(entry *e, const sg_tracker_options *options, int64_t now)
{
    if (e->dialog.state == SG_DIALOG_ESTABLISHED)
        move(e, SG_DIALOG_ESTABLISHED, now, options->established_s);
    else if (sg_dialog_is_over(&e->dialog))
        move(e, e->dialog.state, now, options->linger_s);
    else if (e->dialog.state == SG_DIALOG_STRAY)
        move(e, SG_DIALOG_STRAY, now, ANSWER_S);
}

static void on_request(entry *e, const sg_sip_message *message, const sg_tracker_options *options,
                       int64_t now)
{
    bool call = in_call(&e->dialog);
    switch (message->method) {
    case SG_METHOD_INVITE:
        on_invite(e, message, options, now);
        return;
    case SG_METHOD_ACK:
        if (e->dialog.state == SG_DIALOG_ANSWERED)
            e->dialog.state = SG_DIALOG_ESTABLISHED;
        refresh(e, options, now);
        return;
    case SG_METHOD_BYE:
        on_bye(e, now);
        refresh(e, options, now);
        return;
    case SG_METHOD_CANCEL:
        if (e->dialog.state == SG_DIALOG_CALLING || e->dialog.state == SG_DIALOG_PROCEEDING)
            move(e, SG_DIALOG_CANCELLING, now, ANSWER_S);
        refresh(e, options, now);
        return;
    case SG_METHOD_PRACK:
    case SG_METHOD_UPDATE:
        refresh(e, options, now);
        return;
    default:
        break;
    }
    if (call)
        refresh(e, options, now);
    else if (message->method == SG_METHOD_SUBSCRIBE || message->method == SG_METHOD_REFER)
        on_subscribe(e, message, options, now);
    else if (message->method == SG_METHOD_NOTIFY)
        on_notify(e, message, options, now);
    else if (e->dialog.state != SG_DIALOG_SUBSCRIBED)
        move(e, SG_DIALOG_REQUESTED, now, ANSWER_S);
}

static void on_invite_refused(entry *e, int code, const sg_tracker_options *options, int64_t now)
{
    sg_dialog_state state = e->dialog.state;
    if (state == SG_DIALOG_CANCELLING && code == 487)
        move(e, SG_DIALOG_CANCELLED, now, options->linger_s);
    else if (state == SG_DIALOG_CALLING || state == SG_DIALOG_PROCEEDING || state == SG_DIALOG_CANCELLING)
        move(e, SG_DIALOG_REFUSED, now, options->linger_s);
    else
        refresh(e, options, now);
}

static void on_invite_answer(entry *e, int code, const sg_tracker_options *options, int64_t now)
{
    sg_dialog_state state = e->dialog.state;
    if (code >= 300)
        on_invite_refused(e, code, options, now);
    else if (code >= 200 &&
             (state == SG_DIALOG_CALLING || state == SG_DIALOG_PROCEEDING || state == SG_DIALOG_CANCELLING ||
              state == SG_DIALOG_REFUSED || state == SG_DIALOG_CANCELLED))
        move(e, SG_DIALOG_ANSWERED, now, ACK_S);
    else if (code < 200 && (state == SG_DIALOG_CALLING || state == SG_DIALOG_PROCEEDING))
        move(e, SG_DIALOG_PROCEEDING, now, PROCEEDING_S);
    else
        refresh(e, options, now);
}

static void on_subscribe_answer(entry *e, const sg_sip_message *message, const sg_tracker_options *options,
                                int64_t now)
{
    bool open = e->dialog.state == SG_DIALOG_REQUESTED || e->dialog.state == SG_DIALOG_SUBSCRIBED;
    int64_t seconds = message->expires >= 0 ? subscription_s(message, options) : e->expires_us / SECOND;
    if (message->code >= 300 && e->dialog.state == SG_DIALOG_REQUESTED)
        move(e, SG_DIALOG_REFUSED, now, options->linger_s);
    else if (message->code < 300 && open && e->terminated)
        move(e, SG_DIALOG_COMPLETED, now, options->linger_s);
    else if (message->code < 300 && open)
        move(e, SG_DIALOG_SUBSCRIBED, now, seconds + ANSWER_S);
}

static void on_response(entry *e, const sg_sip_message *message, const sg_tracker_options *options,
                        int64_t now)
{
    sg_dialog *dialog = &e->dialog;
    bool final = message->code >= 200;
    sg_sip_method method = message->method;
    if (final && (method == SG_METHOD_INVITE || method == dialog->first_method))
        dialog->code = message->code;
    if (dialog->state == SG_DIALOG_STRAY)
        refresh(e, options, now);
    else if (method == SG_METHOD_INVITE)
        on_invite_answer(e, message->code, options, now);
    else if (method == SG_METHOD_BYE && final && dialog->state == SG_DIALOG_ENDING)
        move(e, SG_DIALOG_COMPLETED, now, options->linger_s);
    else if (in_call(dialog) || !final)
        refresh(e, options, now);
    else if (method == SG_METHOD_SUBSCRIBE || method == SG_METHOD_REFER)
        on_subscribe_answer(e, message, options, now);
    else if (dialog->state == SG_DIALOG_REQUESTED && !e->subscribing)
        move(e, message->code < 300 ? SG_DIALOG_COMPLETED : SG_DIALOG_REFUSED, now, options->linger_s);
}

/* ---- Suspicions ---- */

static uint32_t check_stray(const entry *e, const sg_sip_message *message)
{
    const uint32_t needs_call = 1u << SG_METHOD_BYE | 1u << SG_METHOD_ACK | 1u << SG_METHOD_CANCEL |
                                1u << SG_METHOD_PRACK | 1u << SG_METHOD_UPDATE;
    if (e->excused || message->method == SG_METHOD_NONE)
        return 0;
    uint32_t seen = e->dialog.methods_seen;
    if (message->response)
        return seen & 1u << message->method ? 0 : SG_FLAG_STRAY_RESPONSE;
    return needs_call & 1u << message->method && !in_call(&e->dialog) ? SG_FLAG_STRAY_REQUEST : 0;
}

static bool knows_tag(const sg_dialog *dialog, uint64_t tag)
{
    for (uint32_t n = 0; n < dialog->to_tag_count; n++)
        if (dialog->to_tags[n] == tag)
            return true;
    return false;
}

static void learn_tag(sg_dialog *dialog, uint64_t tag)
{
    if (tag && dialog->to_tag_count < SG_DIALOG_TAGS && !knows_tag(dialog, tag))
        dialog->to_tags[dialog->to_tag_count++] = tag;
}

/* Once a 2xx has fixed the tags (12.1), requests carry them, in one direction or the other, and so does
 * another 2xx.  Other answers may still come from branches of a fork; a refusal sets the tag of its ACK. */
static uint32_t check_tags(entry *e, const sg_sip_message *message, const sg_hash_key *key)
{
    sg_dialog *dialog = &e->dialog;
    uint64_t from = sg_hash_text(key, message->from_tag), to = sg_hash_text(key, message->to_tag);
    if (from == 0)
        return 0;
    if (dialog->from_tag == 0 || (!e->answered && from != dialog->from_tag && to != dialog->from_tag))
        dialog->from_tag = from;
    bool forward = from == dialog->from_tag, backward = !forward && to == dialog->from_tag;
    uint64_t other = forward ? to : from;
    bool fixed = !message->response || (message->code >= 200 && message->code < 300);
    bool room = dialog->to_tag_count < SG_DIALOG_TAGS;
    if (e->answered && fixed &&
        ((!forward && !backward) || (other && !knows_tag(dialog, other) && (room || message->response)))) {
        dialog->tag_changes++;
        return SG_FLAG_TAG_CHANGE;
    }
    learn_tag(dialog, other);
    return 0;
}

/* The index of an address among those of the dialog; a new one is stored if there is room. -1 if it is
 * new. */
static int find_address(entry *e, uint64_t address, bool *fresh)
{
    *fresh = false;
    for (int n = 0; n < e->address_count; n++)
        if (e->addresses[n] == address)
            return n;
    if (e->address_count == SG_DIALOG_ADDRESSES)
        return -1;
    *fresh = true;
    e->addresses[e->address_count] = address;
    return e->address_count++;
}

static uint32_t check_source(entry *e, const sg_sip_message *message, const sg_flow *flow,
                             const sg_hash_key *key)
{
    bool fresh, ignored, first = e->address_count == 0;
    int place = find_address(e, sg_hash_address(key, &flow->source), &fresh);
    if (place >= 0 && !(e->address_sent & 1u << place)) {
        e->address_sent = (uint16_t)(e->address_sent | 1u << place);
        e->dialog.sources++;
    }
    find_address(e, sg_hash_address(key, &flow->destination), &ignored);
    if (!fresh || first)
        return 0;
    if (message->response)
        return SG_FLAG_ANSWER_SOURCE;
    bool inside = message->to_tag.length > 0 || message->method == SG_METHOD_CANCEL ||
                  message->method == SG_METHOD_BYE || e->dialog.state == SG_DIALOG_ESTABLISHED;
    return inside ? SG_FLAG_SOURCE_CHANGE : 0;
}

uint32_t sg_dialog_step(entry *e, const sg_sip_message *message, const sg_flow *flow,
                        const sg_tracker_options *options, const sg_hash_key *key, int64_t now_us)
{
    uint32_t flags = check_stray(e, message) | check_source(e, message, flow, key);
    flags |= check_tags(e, message, key);
    if (message->response) {
        on_response(e, message, options, now_us);
        e->answered |= message->method == SG_METHOD_INVITE && message->code >= 200 && message->code < 300;
    } else {
        on_request(e, message, options, now_us);
        e->dialog.methods_seen |= 1u << message->method;
    }
    return flags;
}
