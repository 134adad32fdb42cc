/* tcp.h: extracts SIP and HEP messages from TCP segments.
 *
 * A stream is followed from its SYN, or from a segment with a start line.  Messages are framed by
 * Content-Length; where a start line is missing, the stream is searched for the next one.  When the table is
 * full, streams without a message give way first, then the one that has been idle longest; the bytes of all
 * streams together are bounded.
 */
#ifndef SG_CAPTURE_TCP_H
#define SG_CAPTURE_TCP_H

#include "base/status.h"
#include "capture/counts.h"
#include "sip/endpoint.h"

typedef struct sg_tcp sg_tcp;

typedef struct {
    size_t streams_max, bytes_max, message_max;
    int64_t gap_us;
    bool hep; /* look for HEP v3 as well */
} sg_tcp_options;

enum { SG_TCP_FIN = 1, SG_TCP_SYN = 2, SG_TCP_RST = 4 };

typedef struct {
    const sg_endpoint *source, *destination;
    uint32_t sequence;
    uint8_t flags;
    const uint8_t *data;
    size_t size;
    int64_t time_us;
} sg_tcp_segment;

typedef struct {
    sg_endpoint source, destination;
    int64_t time_us; /* of the segment that completed it, as far as that is known */
    const uint8_t *data;
    size_t size;
    bool hep;
    bool of_current; /* the current segment completed it */
    bool whole;      /* and holds it alone */
} sg_tcp_message;

sg_status sg_tcp_open(sg_tcp **tcp, const sg_tcp_options *options, sg_counts *counts);
void sg_tcp_close(sg_tcp *tcp); /* NULL is fine */

/* Takes a segment in; then take messages until there are none. */
void sg_tcp_add(sg_tcp *tcp, const sg_tcp_segment *segment);

/* The next message, valid until the next call of any function here. */
bool sg_tcp_next(sg_tcp *tcp, sg_tcp_message *message);

/* The time is `now_us`: the next sg_tcp_next gives up older gaps. */
void sg_tcp_idle(sg_tcp *tcp, int64_t now_us);

/* Nothing more comes: gives up all gaps. */
void sg_tcp_finish(sg_tcp *tcp);

void sg_tcp_held(const sg_tcp *tcp, uint64_t *streams, uint64_t *bytes);

#endif
