/* pcap_out.h: writes chosen messages to a pcap file (-O).
 *
 * A packet that holds one whole message is written as it was captured.  A message that came in several
 * packets or segments, by HEP, or over another link than the file's is written as one UDP datagram made from
 * its flow (checksum 0), so that each written message can be read by itself; a message longer than a datagram
 * is cut.
 *
 * The file is created when opened; each message is flushed, so that the file can be read at any time.  A full
 * disk is reported once and stops the writing, not the program.
 */
#ifndef SG_CAPTURE_PCAP_OUT_H
#define SG_CAPTURE_PCAP_OUT_H

#include "capture/item.h"

typedef struct sg_pcap_out sg_pcap_out;

/* Creates `path`; SG_E_IO if it exists already and `force` is not set, or cannot be written.  "-" is standard
 * output. */
sg_status sg_pcap_out_open(sg_pcap_out **out, const char *path, bool force);

/* Writes the message.  SG_E_IO once, when the writing fails; from then on does nothing and returns SG_OK. */
sg_status sg_pcap_out_write(sg_pcap_out *out, const sg_capture_item *item);

/* The same for a message that is not at hand as an item any more, as one made datagram. */
sg_status sg_pcap_out_write_message(sg_pcap_out *out, const sg_flow *flow, const char *data, size_t length);

/* Messages written, and given up after a failure. */
void sg_pcap_out_counts(const sg_pcap_out *out, uint64_t *written, uint64_t *lost);

/* SG_E_IO if closing fails.  NULL is fine. */
sg_status sg_pcap_out_close(sg_pcap_out *out);

#endif
