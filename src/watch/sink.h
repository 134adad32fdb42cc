/* sink.h: where lines go: a file or pipe, a unix stream socket, the system's log.  For alert_outlets.c.
 *
 * None of them ends the process: SIGPIPE and SIGXFSZ of a write are caught, what fails is reported once an
 * outage and counted, and the sink is tried again.
 */
#ifndef SG_WATCH_SINK_H
#define SG_WATCH_SINK_H

#include "base/files.h"
#include "base/status.h"
#include <stdint.h>

enum { SG_SINK_PENDING = 256 * 1024 }; /* bytes of lines that wait for a unix stream socket */

typedef enum { SG_SINK_NONE, SG_SINK_FILE, SG_SINK_STREAM, SG_SINK_DATAGRAM } sg_sink_kind;

typedef struct {
    sg_sink_kind kind;
    char path[SG_PATH_MAX]; /* "-": standard output */
    int fd;                 /* -1: not connected */
    bool owned;             /* to be closed */
    bool pipe;              /* a write may have to wait for a reader */
    bool patient;           /* and then does */
    bool torn;              /* the last line was written in part: end it first */
    bool down;              /* it failed, and has not taken a line since */
    double tried_at;        /* the last attempt to connect, as sg_seconds */
    double warned_at;
    uint64_t lost;   /* lines */
    uint64_t missed; /* of them, in this outage */
    char *pending;   /* whole lines that wait; the first may have been sent in part */
    size_t pending_length;
    bool mid_line;
} sg_sink;

/* Appends to a file (made with mode 0640), a FIFO that has a reader, or standard output ("-").  SG_E_IO,
 * SG_E_USAGE if the path is too long. */
sg_status sg_sink_open_file(sg_sink *sink, const char *path, bool patient);

/* Connects to a unix stream socket; if nobody listens, that is a warning. */
sg_status sg_sink_open_stream(sg_sink *sink, const char *path);

/* Connects to a unix datagram socket, as /dev/log is one. */
sg_status sg_sink_open_datagram(sg_sink *sink, const char *path);

/* Writes a line, which ends with a newline unless the sink takes datagrams. */
void sg_sink_write(sg_sink *sink, const char *line, size_t length);

/* Sends what waits and connects again, at most once a second. */
void sg_sink_tick(sg_sink *sink);

/* Opens a file again under its name; the old one goes on if that fails. */
void sg_sink_reopen(sg_sink *sink);

/* Waiting lines have a second to go; then closes.  A sink of all zeros is fine. */
void sg_sink_close(sg_sink *sink);

#endif
