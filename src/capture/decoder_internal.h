/* decoder_internal.h: what the two halves of the decoder share: layers.c walks from the link to the
 * transport, decoder.c makes messages from what it finds there. */
#ifndef SG_CAPTURE_DECODER_INTERNAL_H
#define SG_CAPTURE_DECODER_INTERNAL_H

#include "capture/decoder.h"
#include "capture/fragments.h"

/* The way through one packet. */
typedef struct {
    sg_fragments *fragments;
    sg_counts *counts;
    int64_t time_us;
    int depth;                       /* headers and tunnels so far */
    sg_endpoint source, destination; /* of the innermost IP header; ports of the transport */
    uint16_t ip_id;
    bool cut;    /* the end is missing */
    bool joined; /* from fragments: not all of it is in this packet */
    /* what was found */
    uint8_t protocol;    /* SG_IP_UDP, SG_IP_TCP, or 0: nothing of use, and counted */
    const uint8_t *data; /* the transport header */
    size_t size;
} sg_walk;

enum { SG_IP_TCP = 6, SG_IP_UDP = 17 };

/* Finds the UDP or TCP header of a packet. */
void sg_walk_packet(sg_walk *walk, const sg_packet *packet);

/* The same for an IP packet inside a UDP datagram (GTP-U). */
void sg_walk_inner_ip(sg_walk *walk, const uint8_t *data, size_t size);

#endif
