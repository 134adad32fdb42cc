/* sources.h: what each source address does, independent of dialogs.  Scans and floods use a new Call-ID for
 * each probe, so no single dialog looks odd (svmap, svwar and svcrack work like this).
 *
 * Requests count for the address they come from, responses for the one they go to.  Rates are over a sliding
 * window: the present window and the part of the last one that still counts.  Different Call-IDs, users and
 * destinations are estimated from bitmaps of keyed hashes (linear counting: within a tenth up to some 500).
 * The table is bounded; the address that has been idle longest is dropped.  A table belongs to one thread.
 */
#ifndef SG_SIP_SOURCES_H
#define SG_SIP_SOURCES_H

#include "base/status.h"
#include "sip/endpoint.h"
#include "sip/message.h"

/* A rule fires when its counts reach the threshold. */
typedef enum {
    SG_SOURCE_FLOOD,       /* requests, copies included, in flood_window_ms */
    SG_SOURCE_SCAN,        /* Call-IDs begun, with less than one success to three; or addresses asked */
    SG_SOURCE_ENUMERATION, /* users asked for, with half as many refusals, and more of these than successes */
    SG_SOURCE_GUESSING,    /* 401, 403 or 407 received, and more than four to each success */
    SG_SOURCE_HALF_OPEN,   /* INVITEs more than ACKs */
    SG_SOURCE_RULES
} sg_source_rule;

typedef struct {
    int64_t sources_max;      /* 1..2^24; 16384 (0.6 KB each) */
    int64_t flood_window_ms;  /* 2000, as kamailio's pike */
    int64_t flood_requests;   /* 30; 0 turns a rule off, here and below */
    int64_t window_ms;        /* of all other rules; 60000 */
    int64_t scan_call_ids;    /* 30 */
    int64_t scan_targets;     /* destination addresses and ports; 20 */
    int64_t enumerated_users; /* 10 */
    int64_t failures;         /* 12 */
    int64_t half_open;        /* 20 */
    int64_t interval_ms;      /* a rule fires at most once in this time for each source; 60000 */
    bool any_seed;            /* take `seed` instead of a random one; for tests */
    uint64_t seed;
} sg_source_options;

/* A source as it is now; estimates over the window. */
typedef struct {
    sg_endpoint address; /* port 0 */
    int64_t first_us, last_us;
    uint64_t requests, responses;      /* since first_us */
    uint32_t rate;                     /* requests in flood_window_ms */
    uint32_t call_ids, users, targets; /* different ones; Call-IDs that it began */
    uint32_t failures;                 /* 401, 403, 407 it was given */
    uint32_t refusals;                 /* all of 4xx to 6xx but 487 and 491, the failures included */
    uint32_t successes;                /* 2xx it was given */
    uint32_t invites, acks;            /* without copies; INVITEs that begin a call */
} sg_source;

typedef struct {
    uint64_t sources, evicted;
    uint64_t raised[SG_SOURCE_RULES];
    uint64_t bytes;
} sg_source_counts;

typedef struct sg_sources sg_sources;

void sg_source_defaults(sg_source_options *options);

/* SG_E_CONFIG for a number out of range. */
sg_status sg_sources_open(sg_sources **sources, const sg_source_options *options);
void sg_sources_close(sg_sources *sources); /* NULL is fine */

/* Counts a message; `repeated` as the tracker has it: copies count for the flood only.  Returns the rules
 * that fire now, as bits 1 << sg_source_rule.  The source it was counted for goes to *source unless that is
 * NULL. */
uint32_t sg_sources_add(sg_sources *sources, const sg_sip_message *message, const sg_flow *flow,
                        bool repeated, sg_source *source);

/* The source at an address as it is at time_us; false if it is not known. */
bool sg_sources_find(const sg_sources *sources, const sg_endpoint *address, int64_t time_us,
                     sg_source *source);

void sg_sources_counts_now(const sg_sources *sources, sg_source_counts *counts);

const char *sg_source_rule_text(sg_source_rule rule); /* "flood", "scan", ... */

#endif
