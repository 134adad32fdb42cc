/* sip_model.h: a model of a SIP user agent and its call server, which generates dialogs.
 *
 * A dialog is written message by message, as the server sees it towards one user agent.  It follows the
 * transactions of RFC 3261 (section numbers in sip_flows.c): calls with authentication, provisional
 * responses, forks, cancellation, refusal, redirection and in-dialog requests; registration and its
 * refreshes; OPTIONS keep-alives; subscriptions; retransmissions on timers A to K.  Flows that need a message
 * type outside the alphabet are not used.
 */
#ifndef SG_CORPUS_SIP_MODEL_H
#define SG_CORPUS_SIP_MODEL_H

#include "base/philox.h"
#include <stdbool.h>
#include <stdint.h>

/* Every type the model can write, in alphabet order.  The first 18 are the alphabet of preset paper. */
typedef enum {
    SG_SIP_INVITE,
    SG_SIP_ACK,
    SG_SIP_BYE,
    SG_SIP_CANCEL,
    SG_SIP_REGISTER,
    SG_SIP_OPTIONS,
    SG_SIP_SUBSCRIBE,
    SG_SIP_NOTIFY,
    SG_SIP_100,
    SG_SIP_180,
    SG_SIP_183,
    SG_SIP_200,
    SG_SIP_401,
    SG_SIP_407,
    SG_SIP_404,
    SG_SIP_480,
    SG_SIP_486,
    SG_SIP_487,
    SG_SIP_408,
    SG_SIP_302,
    SG_SIP_500,
    SG_SIP_503,
    SG_SIP_403,
    SG_SIP_488,
    SG_SIP_603,
    SG_SIP_600,
    SG_SIP_481,
    SG_SIP_491,
    SG_SIP_202,
    SG_SIP_REFER,
    SG_SIP_INFO,
    SG_SIP_UPDATE,
    SG_SIP_MESSAGE,
    SG_SIP_PUBLISH,
    SG_SIP_PRACK,
    SG_SIP_423,
    SG_SIP_422,
    SG_SIP_420,
    SG_SIP_182,
    SG_SIP_181,
    SG_SIP_TYPES
} sg_sip_type;

/* "INVITE", ..., "200", ... */
const char *sg_sip_type_name(sg_sip_type type);

/* How often things happen.  Values are probabilities unless stated otherwise; counts are means of geometric
 * distributions.  Each is a key of section [synth], described in synth.c. */
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

/* Writes one dialog into tokens[max_length]; returns its length, or 0 if it became longer than max_length.
 * `variety` >= 1 multiplies the probability of every less likely turn, up to 1/2: use 1 for ordinary traffic,
 * more to find unusual dialogs. */
int sg_sip_model_dialog(const sg_sip_model *model, sg_random *random, double variety, uint16_t *tokens);

#endif
