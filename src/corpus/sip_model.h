/* sip_model.h: a SIP user agent and its call server, as a source of dialogs.
 *
 * A dialog is written message by message, as seen at the server's side towards one user agent, by walking the
 * transactions of RFC 3261 (section numbers in sip_flows.c): calls with authentication, provisional
 * responses, forks, cancellation, refusal, redirection and in-dialog requests; registration and its
 * refreshes; OPTIONS keep-alives; subscriptions; retransmissions on timers A to K.  Flows that need a message
 * type which the alphabet lacks are not taken.
 */
#ifndef SG_CORPUS_SIP_MODEL_H
#define SG_CORPUS_SIP_MODEL_H

#include "base/philox.h"
#include <stdbool.h>
#include <stdint.h>

/* Every type the model can write, X(name, rank), in alphabet order; the first 18 are the alphabet of preset
 * paper.  Ranks go from the indispensable to the exotic: a type stands after those that its shortest flow
 * needs, so that the types up to any rank but the first are an alphabet in which each can occur; preset paper
 * has those up to rank 17. */
/* clang-format off */
#define SG_SIP_TYPE_LIST(X) \
    X(INVITE, 6) X(ACK, 7) X(BYE, 8) X(CANCEL, 12) X(REGISTER, 2) X(OPTIONS, 0) \
    X(SUBSCRIBE, 5) X(NOTIFY, 4) X(100, 9) X(180, 10) X(183, 17) X(200, 1) X(401, 3) \
    X(407, 14) X(404, 15) X(480, 16) X(486, 11) X(487, 13) X(408, 18) X(302, 19) X(500, 20) \
    X(503, 21) X(403, 22) X(488, 23) X(603, 24) X(600, 39) X(481, 25) X(491, 26) X(202, 27) \
    X(REFER, 28) X(INFO, 29) X(UPDATE, 30) X(MESSAGE, 31) X(PUBLISH, 32) X(PRACK, 33) \
    X(423, 34) X(422, 35) X(420, 36) X(182, 37) X(181, 38)
/* clang-format on */

typedef enum {
#define SG_SIP_MEMBER(name, rank) SG_SIP_##name,
    SG_SIP_TYPE_LIST(SG_SIP_MEMBER)
#undef SG_SIP_MEMBER
        SG_SIP_TYPES
} sg_sip_type;

/* "INVITE", ..., "200", ... */
const char *sg_sip_type_name(sg_sip_type type);

/* How often what happens.  Probabilities, unless said otherwise; counts are means of geometric laws.  Each
 * is a key of section [synth], described in synth.c. */
typedef struct {
    /* What a dialog is; weights, need not sum to 1. */
    double call, registration, keep_alive, subscription, notification, message, publication;
    /* Authentication. */
    double challenge, proxy_challenge, stale_nonce, wrong_password, register_challenge;
    /* Setting up a call. */
    double trying, early_media, no_ringing, repeat_ringing, fork, fork_branches, queued;
    double cancel, busy, unavailable, not_found, refused, redirect, renegotiate, early_bye, no_answer;
    /* During and after a call. */
    double refresh, hold, in_call_keep_alive, mixed_requests, long_calls, in_call_events, bye_challenge,
        glare, open_end;
    /* Registration, keep-alives, subscriptions. */
    double register_refresh, register_refreshes, unregister, keep_alive_chain, keep_alives, notifications,
        subscribe_refresh;
    /* Unreliable transport. */
    double retransmission, retransmission_again, lost_answer;
} sg_sip_rates;

typedef struct {
    sg_sip_rates rates;
    int max_length;
    int message_types;
    uint16_t id[SG_SIP_TYPES]; /* alphabet id 1..M, 0 if the alphabet lacks the type */
} sg_sip_model;

enum { SG_SIP_TYPES_MIN = 2 };

/* Chooses the alphabet of `message_types` types (SG_SIP_TYPES_MIN..SG_SIP_TYPES): the first ones of a fixed
 * list from the indispensable to the exotic (sip_types.c), each prefix of which allows whole dialogs,
 * numbered in the order of sg_sip_type.  18 gives the alphabet of preset paper. */
void sg_sip_model_open(sg_sip_model *model, const sg_sip_rates *rates, int message_types, int max_length);

/* Writes one dialog into tokens[max_length]; returns its length, or 0 when it came out longer than
 * max_length. `variety` >= 1 multiplies the chance of every less likely turn, up to 1/2: 1 for ordinary
 * traffic, more to find unusual dialogs. */
int sg_sip_model_dialog(const sg_sip_model *model, sg_random *random, double variety, uint16_t *tokens);

#endif
