/* hep.h: the Homer Encapsulation Protocol, versions 1, 2 and 3 (HEP/EEP revision 37).
 *
 * Every length is checked against what was received before it is used: a chunk of length 0 to 5, or longer
 * than what is left, makes the packet invalid.
 */
#ifndef SG_CAPTURE_HEP_H
#define SG_CAPTURE_HEP_H

#include "capture/counts.h"
#include "sip/endpoint.h"
#include <stdbool.h>
#include <stddef.h>

enum { SG_HEP_MAX = 65535, SG_HEP_TYPE_SIP = 1 };

typedef struct {
    sg_flow flow; /* time_us is the arrival where the packet has none */
    int version;  /* 1, 2, 3 */
    uint8_t type; /* SG_HEP_TYPE_SIP; versions 1 and 2 carry nothing else */
    bool compressed, bad_time;
    uint32_t capture_id;
    const uint8_t *payload, *key; /* key NULL: none */
    size_t payload_size, key_size;
    size_t size; /* of the packet; more may follow in the datagram */
} sg_hep;

/* Reads the packet at the beginning of `data`.  False with the reason in *why, one of SG_COUNT_HEP_*, and the
 * size of the packet if it is known (else 0) in hep->size. */
bool sg_hep_parse(const uint8_t *data, size_t size, int64_t arrival_us, sg_hep *hep, sg_count *why);

/* Whether a packet inside a capture begins like HEP, strictly: versions 1 and 2 have no mark of their own, so
 * their payload must begin like SIP. */
bool sg_hep_begins(const uint8_t *data, size_t size);

/* In a stream: 1 if a packet of *length bytes is there, 0 if more bytes are needed (then *length says how
 * many in all, as far as known), -1 if there is no HEP v3 packet here. */
int sg_hep_frame(const uint8_t *data, size_t size, size_t *length);

/* Decompresses zlib or gzip into room[capacity]; false if the data are damaged or give more than that. */
bool sg_hep_inflate(const uint8_t *data, size_t size, uint8_t *room, size_t capacity, size_t *length);

/* Whether the packet's key is `key`; the time does not depend on where they differ. */
bool sg_hep_key_fits(const sg_hep *hep, const char *key);

#endif
