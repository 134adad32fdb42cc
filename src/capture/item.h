/* item.h: what a capture is opened with and gives; for its parts (capture.h is for the rest). */
#ifndef SG_CAPTURE_ITEM_H
#define SG_CAPTURE_ITEM_H

#include "base/status.h"
#include "sip/endpoint.h"

/* The texts must outlive the capture. */
typedef struct {
    const char *const *files; /* pcap or pcapng, also gzipped; "-" is standard input */
    size_t file_count;
    const char *interface; /* live, NULL: none; "any" for all */
    const char *filter;    /* BPF, for files and the interface; NULL or "": none */
    bool promiscuous;      /* true by default */
    int buffer_mib;        /* kernel buffer of the interface, 16 */

    /* "udp:ADDR:PORT", "tcp:ADDR:PORT", "udp:[::1]:9060"; "udp:9060": all addresses. */
    const char *const *hep_listen;
    size_t hep_count;
    const char *const *hep_allow; /* "10.0.0.0/8", "::1", ...; none: every sender */
    size_t hep_allow_count;
    const char *hep_key; /* NULL: none wanted.  Applies to listeners, not to HEP inside captures */
    int hep_clients_max; /* TCP connections, 256 */

    bool hep_in_captures; /* take HEP found in packets apart, true; else it counts as not SIP */

    /* Copies of one datagram (span ports, -i any, docker): same addresses, ports, IP identification and
     * payload, at most so far apart.  0, the default, keeps them: retransmissions and floods repeat datagrams
     * as well, and other tools count them.  10000 is well under the shortest timer of SIP, 500 ms. */
    int64_t duplicate_window_us;

    size_t tcp_streams_max; /* directions of connections, 65536; the idle oldest is dropped */
    size_t tcp_bytes_max;   /* held for all streams, 64 MiB */
    int64_t tcp_gap_us;     /* 3 s, by the time of the packets */
    size_t message_max;     /* longest header and longest body in TCP, 256 KiB each */
    size_t fragments_max;   /* fragmented datagrams at a time, 1024, at most 64 KiB each */
    int64_t fragment_us;    /* 30 s, by the time of the packets */
} sg_capture_options;

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

/* What is held at the moment. */
typedef struct {
    uint64_t tcp_streams, tcp_bytes, fragmented_datagrams, hep_clients;
} sg_capture_gauges;

#endif
