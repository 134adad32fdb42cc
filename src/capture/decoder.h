/* decoder.h: from packets and HEP datagrams to SIP messages: the one path that all sources share.
 *
 * Give it a packet, then take messages until there are no more.  Nothing in a packet is an error: what cannot
 * be used is counted.  Internal to the capture room.
 */
#ifndef SG_CAPTURE_DECODER_H
#define SG_CAPTURE_DECODER_H

#include "capture/counts.h"
#include "capture/item.h"
#include "capture/packet.h"

typedef struct sg_decoder sg_decoder;

/* `counts` must outlive the decoder. */
sg_status sg_decoder_open(sg_decoder **decoder, const sg_capture_options *options, sg_counts *counts);
void sg_decoder_close(sg_decoder *decoder); /* NULL is fine */

/* Takes a packet in; messages of the one before that were not taken are lost. */
void sg_decoder_packet(sg_decoder *decoder, const sg_packet *packet);

/* Takes bytes of a HEP listener in: one datagram, or one packet of a connection.  `key` is the one wanted,
 * NULL for any; `arrival_us` settles the byte order of times in HEP v2. */
void sg_decoder_hep(sg_decoder *decoder, const uint8_t *data, size_t size, const char *key,
                    int64_t arrival_us);

/* The next message, false if there is none for now. */
bool sg_decoder_next(sg_decoder *decoder, sg_capture_item *item);

/* Gives up gaps in TCP that are too old at `now_us`, when no packet tells the time. */
void sg_decoder_idle(sg_decoder *decoder, int64_t now_us);

/* No more packets come: gives up every gap. */
void sg_decoder_finish(sg_decoder *decoder);

void sg_decoder_gauges(const sg_decoder *decoder, sg_capture_gauges *gauges);

#endif
