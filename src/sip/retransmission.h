/* retransmission.h: recognises copies of messages that were sent before (RFC 3261, 17.1.3 and 17.2.3).
 *
 * A copy has the same source and destination, top Via branch and sent-by, method or code, CSeq number and
 * method, and To tag as a message of the last 32 s (64 T1) of its dialog.  So the REGISTERs of a password
 * guesser, which share Call-ID and CSeq, are not copies (their branches differ), and neither is the other leg
 * of a proxy (its addresses differ).  Identical packets from two taps are copies.
 */
#ifndef SG_SIP_RETRANSMISSION_H
#define SG_SIP_RETRANSMISSION_H

#include "sip/endpoint.h"
#include "sip/message.h"

typedef enum {
    SG_REPEATS_KEEP,    /* copies count as messages of the dialog */
    SG_REPEATS_COLLAPSE /* copies are counted and left out */
} sg_repeats;

/* How many messages a dialog remembers.  One that sends more within 32 s forgets the oldest. */
enum { SG_REPEAT_RING = 24 };

typedef struct {
    uint64_t key[SG_REPEAT_RING];
    uint32_t time_ms[SG_REPEAT_RING]; /* on the caller's clock, modulo 2^32 */
    uint8_t count, next;
} sg_repeat_ring; /* begin with zeros */

/* The identity of a message, by a hash that depends on `seed`, which should be secret. */
uint64_t sg_repeat_key(const sg_sip_message *message, const sg_flow *flow, uint64_t seed);

/* Whether the key was there within 32 s of `time_us` (either way: packets come slightly out of order);
 * remembers it if not. */
bool sg_repeat_seen(sg_repeat_ring *ring, uint64_t key, int64_t time_us);

#endif
