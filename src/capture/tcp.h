/* tcp.h: SIP and HEP messages out of TCP segments.
 *
 * A stream is followed from its SYN, or from a segment in which a start line stands.  Messages are framed by
 * Content-Length; where no start line stands the stream is searched for the next one.  Streams of which no
 * message came give way first when the table is full, then the idle oldest; bytes are bounded over all
 * streams.
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

/* It is `now_us`: older gaps are given up by the next sg_tcp_next. */
void sg_tcp_idle(sg_tcp *tcp, int64_t now_us);

/* Nothing more comes: so are all. */
void sg_tcp_finish(sg_tcp *tcp);

void sg_tcp_held(const sg_tcp *tcp, uint64_t *streams, uint64_t *bytes);

#endif
