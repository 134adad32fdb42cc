/* tracker_internal.h: a dialog as the tracker keeps it; for tracker.c and dialog_steps.c. */
#ifndef SG_SIP_TRACKER_INTERNAL_H
#define SG_SIP_TRACKER_INTERNAL_H

#include "sip/keyed_hash.h"
#include "sip/tracker.h"
#include "sip/wheel.h"

/* Most Call-IDs and dialogs fit into these; longer ones have an item of the pool. */
enum { CALL_ID_INSIDE = 63, TYPES_INSIDE = 24 };

typedef struct entry entry;
struct entry {
    sg_dialog dialog; /* must be first: it is what the caller holds */
    sg_timer timer;
    entry *older, *newer; /* by the last message */
    XXH128_hash_t hash;   /* of the whole Call-ID */
    int64_t begun_us;     /* on the tracker's clock, as are the next two */
    int64_t deadline_us;
    int64_t expires_us; /* of the subscription that was asked for */
    uint64_t addresses[SG_DIALOG_ADDRESSES];
    uint16_t address_count, address_sent; /* how many are known; which of them have sent, as bits */
    uint32_t types_room;
    bool answered;    /* a 2xx to INVITE: the tags are fixed */
    bool subscribing; /* SUBSCRIBE or REFER outside a call */
    bool terminated;  /* NOTIFY said so, perhaps before the 2xx */
    bool excused;     /* it began soon after the capture did: what is missing may have come before */
    sg_repeat_ring ring;
    uint16_t types[TYPES_INSIDE];
    char call_id[CALL_ID_INSIDE + 1];
};

/* What the message does to the dialog: its state, deadline and what is known of its sides.  Returns the flags
 * it raises.  Not for copies. */
uint32_t sg_dialog_step(entry *e, const sg_sip_message *message, const sg_flow *flow,
                        const sg_tracker_options *options, const sg_hash_key *key, int64_t now_us);

static inline bool sg_dialog_is_over(const sg_dialog *dialog)
{
    return dialog->state >= SG_DIALOG_COMPLETED;
}

#endif
