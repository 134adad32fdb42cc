/* alert.h: what `watch` has to say: one alert. */
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

/* Whom the alert is about: the source, or the sender of the message. */
const sg_endpoint *sg_alert_blamed(const sg_alert *alert);

/* "UDP", "TCP" or "SCTP"; TLS and WebSocket run over TCP. */
const char *sg_alert_protocol(const sg_alert *alert);

#endif
