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
 * is an error: what cannot be used is counted by reason (counts.h) and skipped.  A capture belongs to one
 * thread.
 *
 * What counts as a message:
 * - any port; a SIP start line decides (sip/frame.h);
 * - over Ethernet (VLAN, QinQ, PPPoE), SLL, SLL2, NULL, LOOP, RAW, PPP; IPv4 and IPv6 with fragments and
 *   extension headers; in IP-in-IP, GRE, GTP-U and TURN channels: then the addresses are the innermost;
 * - one a UDP datagram, to its end (RFC 4475, 3.1.2.4);
 * - in TCP as Content-Length frames them, after the segments have been put in order; of bytes sent twice the
 *   first captured win; a gap is given up after `tcp_gap_us`, and reading goes on at the next start line;
 * - the payload of a HEP message, also of one found inside a capture: it has HEP's addresses and time;
 * - never what an ICMP error quotes.
 */
#ifndef SG_CAPTURE_CAPTURE_H
#define SG_CAPTURE_CAPTURE_H

#include "base/status.h"
#include "capture/counts.h"
#include "sip/endpoint.h"

typedef struct sg_capture sg_capture;

/* The texts must outlive the capture. */
typedef struct {
    const char *const *files; /* pcap or pcapng, also gzipped; "-" is standard input */
    size_t file_count;
    const char *interface; /* live, NULL: none; "any" for all */
    const char *filter;    /* BPF, for files and the interface; NULL or "": none */
    bool promiscuous;      /* true by default */
    int buffer_mib;        /* kernel buffer of the interface, 16 */

    const char *const
        *hep_listen; /* "udp:ADDR:PORT", "tcp:ADDR:PORT", "udp:[::1]:9060"; "udp:9060": all addresses */
    size_t hep_count;
    const char *const *hep_allow; /* "10.0.0.0/8", "::1", ...; none: every sender */
    size_t hep_allow_count;
    const char *hep_key; /* NULL: any.  Applies to listeners, not to HEP inside captures */
    int hep_clients_max; /* TCP connections, 256 */

    bool hep_in_captures; /* unpack HEP found in packets, true; otherwise it counts as not SIP */

    /* Copies of one datagram (span ports, -i any, docker): same addresses, ports, IP identification and
     * payload, at most this far apart. 0, the default, keeps them: retransmissions and floods repeat
     * datagrams too, and other tools count them.  10000 is well under the shortest timer of SIP, 500 ms. */
    int64_t duplicate_window_us;

    size_t tcp_streams_max; /* directions of connections, 65536; the idle oldest is dropped */
    size_t tcp_bytes_max;   /* held for all streams, 64 MiB */
    int64_t tcp_gap_us;     /* 3 s, by the time of the packets */
    size_t message_max;     /* longest header and longest body in TCP, 256 KiB each */
    size_t fragments_max;   /* fragmented datagrams at a time, 1024, at most 64 KiB each */
    int64_t fragment_us;    /* 30 s, by the time of the packets */
} sg_capture_options;

typedef enum {
    SG_CAPTURE_MESSAGE,  /* an item */
    SG_CAPTURE_TIME_OUT, /* nothing yet: do other work and call again */
    SG_CAPTURE_END       /* all sources have ended (never with an interface or a listener) */
} sg_capture_event;

/* One message.  All pointers are valid until the next call for this capture. */
typedef struct {
    sg_flow flow;
    const char *data;
    size_t length;
    bool hep;        /* flow is what the sender of HEP says */
    bool truncated;  /* cut short by the capture: bytes at the end are missing */
    uint64_t packet; /* number of the packet, from 1, over all sources; for TCP the one that completed it */

    /* The packet that brought it (or its end): NULL for what came by a HEP listener. */
    const uint8_t *frame;
    uint32_t frame_captured, frame_length; /* bytes here, and on the wire */
    int frame_link;                        /* LINKTYPE_ number as in pcap files */
    int64_t frame_time_us;                 /* microseconds since 1970 */
    bool frame_whole;                      /* the frame alone holds the whole message, and no other */
} sg_capture_item;

void sg_capture_defaults(sg_capture_options *options);

/* Opens everything: files are looked at, the interface is opened and sockets are bound, so that privileges
 * can be dropped afterwards.  SG_E_USAGE for a bad filter, address or limit, SG_E_IO for what the system
 * refuses, SG_E_FORMAT for a file that is no capture; the message names the source and says what to do. */
sg_status sg_capture_open(sg_capture **capture, const sg_capture_options *options);
void sg_capture_close(sg_capture *capture); /* NULL is fine */

/* The next message.  Waits at most `timeout_ms` (-1: for ever, 0: not at all; a signal also ends the wait
 * with SG_CAPTURE_TIME_OUT).  Errors name a source that broke (SG_E_FORMAT, SG_E_IO); it is closed then, and
 * the next call goes on with the others. */
sg_status sg_capture_next(sg_capture *capture, int timeout_ms, sg_capture_event *event,
                          sg_capture_item *item);

/* The counts so far, including the interface's own. */
void sg_capture_counts(sg_capture *capture, sg_counts *counts);

/* What is held now. */
typedef struct {
    uint64_t tcp_streams, tcp_bytes, fragmented_datagrams, hep_clients;
} sg_capture_gauges;
void sg_capture_gauges_now(const sg_capture *capture, sg_capture_gauges *gauges);

/* Reports: "the file x.pcap" being read, "the interface eth0", ...; for progress lines. */
const char *sg_capture_source(const sg_capture *capture);

/* The port that listener number i is bound to (for port 0 in tests), 0 if there is no such listener. */
uint16_t sg_capture_hep_port(const sg_capture *capture, size_t i);

#endif
