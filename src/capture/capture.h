/* capture.h: where SIP messages come from: capture files, a live interface, HEP listeners.
 *
 * Open a list of sources, then ask for one message after the other:
 *
 *     sg_capture_options options;
 *     sg_capture_defaults(&options);
 *     options.files = names, options.file_count = n;
 *     SG_TRY(sg_capture_open(&capture, &options));
 *     while ((status = sg_capture_next(capture, 200, &event, &item)) == SG_OK && event != SG_CAPTURE_END)
 *         if (event == SG_CAPTURE_MESSAGE)
 *             use(item.data, item.length);
 *     sg_capture_close(capture);
 *
 * Files are read first, one after the other (TCP streams go on from one file to the next, as in a rotated
 * capture); then the interface and the listeners, together and without end.  Nothing that comes from a packet
 * is an error: what cannot be used is counted by reason (counts.h) and passed over.  A capture belongs to one
 * thread.
 *
 * What counts as a message:
 * - any port; a SIP start line decides (sip/frame.h);
 * - over Ethernet (VLAN, QinQ, PPPoE), SLL, SLL2, NULL, LOOP, RAW, PPP; IPv4 and IPv6 with fragments and
 *   extension headers; in IP-in-IP, GRE, GTP-U and TURN channels: then the addresses are the innermost;
 * - one a UDP datagram, to its end (RFC 4475, 3.1.2.4);
 * - in TCP as Content-Length frames them, after the segments have been put in order; of bytes sent twice the
 *   first captured win; a gap is waited for `tcp_gap_us`, then passed over up to the next start line;
 * - the payload of a HEP message, also of one found inside a capture: it has HEP's addresses and time;
 * - never what an ICMP error quotes.
 */
#ifndef SG_CAPTURE_CAPTURE_H
#define SG_CAPTURE_CAPTURE_H

#include "capture/counts.h"
#include "capture/item.h"

typedef struct sg_capture sg_capture;

typedef enum {
    SG_CAPTURE_MESSAGE,  /* an item */
    SG_CAPTURE_TIME_OUT, /* nothing yet: do other work and call again */
    SG_CAPTURE_END       /* all sources have ended (never with an interface or a listener) */
} sg_capture_event;

void sg_capture_defaults(sg_capture_options *options);

/* Opens everything: files are looked at, the interface is opened and sockets are bound, so that privileges
 * can be dropped afterwards.  SG_E_USAGE for a bad filter, address or limit, SG_E_IO for what the system
 * refuses, SG_E_FORMAT for a file that is no capture; the text names the source and what to do. */
sg_status sg_capture_open(sg_capture **capture, const sg_capture_options *options);
void sg_capture_close(sg_capture *capture); /* NULL is fine */

/* The next message.  Waits at most `timeout_ms` (-1: for ever, 0: not at all; a signal also ends the wait
 * with SG_CAPTURE_TIME_OUT).  Errors name a source that broke (SG_E_FORMAT, SG_E_IO); it is closed then, and
 * the next call goes on with the others. */
sg_status sg_capture_next(sg_capture *capture, int timeout_ms, sg_capture_event *event,
                          sg_capture_item *item);

/* The counts so far; those of the interface are asked for. */
void sg_capture_counts(sg_capture *capture, sg_counts *counts);

void sg_capture_gauges_now(const sg_capture *capture, sg_capture_gauges *gauges);

/* Reports: "the file x.pcap" being read, "the interface eth0", ...; for progress lines. */
const char *sg_capture_source(const sg_capture *capture);

/* The port that listener number i is bound to (for port 0 in tests), 0 if there is no such listener. */
uint16_t sg_capture_hep_port(const sg_capture *capture, size_t i);

#endif
