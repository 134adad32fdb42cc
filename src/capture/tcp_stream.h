/* tcp_stream.h: one direction of a TCP connection: puts its segments in order (RFC 9293).
 *
 * If bytes come twice, the first captured are kept: nobody can know what a receiver did with differing
 * copies, and this way a later packet never rewrites what was read.  Segments that come early wait in a list;
 * a gap that is not filled is given up by the caller.
 */
#ifndef SG_CAPTURE_TCP_STREAM_H
#define SG_CAPTURE_TCP_STREAM_H

#include "capture/counts.h"
#include "sip/endpoint.h"

#include <stdbool.h>
#include <stddef.h>

/* Sides of a connection.  Set all bytes to zero first: keys are compared as memory. */
typedef struct {
    uint8_t source[16], destination[16];
    uint16_t source_port, destination_port;
    uint8_t family, zero[3];
} sg_tcp_key;

/* A segment that came before its turn. */
typedef struct sg_tcp_early {
    struct sg_tcp_early *next;
    uint32_t sequence, size;
    uint8_t data[];
} sg_tcp_early;

typedef enum {
    SG_TCP_FRAMED,    /* the bytes begin where a message begins */
    SG_TCP_SEARCHING, /* for a start line */
    SG_TCP_CLOSED     /* ended; remembered, so that repeated segments are known as such */
} sg_tcp_state;

typedef struct sg_tcp_stream sg_tcp_stream;

/* A list of streams, oldest first. */
typedef struct {
    sg_tcp_stream *oldest, *newest;
    size_t count;
} sg_tcp_list;

typedef struct {
    sg_tcp_stream *older, *newer;
} sg_tcp_links;

struct sg_tcp_stream {
    sg_tcp_key key;
    sg_tcp_stream *chain;
    sg_tcp_links idle, gap; /* in the lists of the table */
    sg_tcp_state state;
    bool proved;  /* a message has come of it */
    bool has_gap; /* in the list of gaps */
    bool has_end, ended;
    uint32_t next, end;      /* sequence numbers: of the next byte, and after the last */
    int64_t last_us, gap_us; /* last segment; since when the gap has been there */
    uint8_t *data;           /* bytes in order, [start, stop) */
    size_t capacity, start, stop;
    size_t need;    /* bytes a message takes at least, as far as known */
    size_t fresh;   /* where the bytes of the current segment begin */
    size_t skipped; /* bytes passed over without having found a message */
    sg_tcp_early *early;
    size_t early_bytes, early_count;
};

/* The smallest buffer of a stream; it doubles as needed. */
enum { SG_TCP_FIRST_CAPACITY = 2048 };

/* What the streams of a table share. */
typedef struct {
    size_t bytes; /* allocated for all streams */
    sg_counts *counts;
} sg_tcp_account;

/* a - b with wrap-around. */
static inline int32_t sg_tcp_distance(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

/* Takes bytes in; false if out of memory. */
bool sg_tcp_stream_add(sg_tcp_stream *stream, uint32_t sequence, const uint8_t *data, size_t size,
                       sg_tcp_account *account);

/* Gives up the bytes between what is there and the first early segment, with the unfinished message before
 * them. */
void sg_tcp_stream_give_up(sg_tcp_stream *stream, sg_tcp_account *account);

/* Forgets all bytes and goes on at `next`. */
void sg_tcp_stream_restart(sg_tcp_stream *stream, uint32_t next, sg_tcp_account *account);

#endif
