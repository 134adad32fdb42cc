/* fragments.h: puts IP datagrams together from their fragments (RFC 791, RFC 8200 4.5).
 *
 * Overlap: identical bytes are accepted, because networks repeat packets; if they contradict each other the
 * whole datagram is dropped, along with any later fragments of it (RFC 5722; Linux does the same for IPv4).
 * Memory is bounded: the datagram that has been idle longest gives way, and one not complete after
 * `fragment_us` of packet time is dropped.
 */
#ifndef SG_CAPTURE_FRAGMENTS_H
#define SG_CAPTURE_FRAGMENTS_H

#include "base/status.h"
#include "capture/counts.h"
#include <stdint.h>

typedef struct sg_fragments sg_fragments;

/* What tells datagrams apart.  Set all bytes to zero first: keys are compared as memory. */
typedef struct {
    uint8_t source[16], destination[16];
    uint32_t id;
    uint8_t family, protocol; /* protocol 0 for IPv6: its fragments need not agree */
    uint8_t zero[2];
} sg_fragment_key;

typedef struct {
    uint32_t offset;  /* bytes */
    bool more;        /* fragments follow */
    uint8_t protocol; /* kept of the first fragment: what the datagram holds */
    const uint8_t *data;
    size_t size;
} sg_fragment;

sg_status sg_fragments_open(sg_fragments **fragments, size_t max, int64_t expire_us, sg_counts *counts);
void sg_fragments_close(sg_fragments *fragments); /* NULL is fine */

/* Takes a fragment in.  True when it completes its datagram, which is at *data until the next call. */
bool sg_fragments_add(sg_fragments *fragments, const sg_fragment_key *key, const sg_fragment *fragment,
                      int64_t time_us, const uint8_t **data, size_t *size, uint8_t *protocol);

size_t sg_fragments_held(const sg_fragments *fragments);

#endif
