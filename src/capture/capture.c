#include "capture/capture.h"

#include "base/memory.h"
#include "capture/decoder.h"
#include "capture/hep_server.h"
#include "capture/live.h"
#include "capture/pcap_file.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { LOOK_AT_CLOCK = 512, WITHOUT_FD_MS = 10 };

struct sg_capture {
    sg_capture_options options;
    sg_counts counts;
    sg_decoder *decoder;
    size_t next_file;
    sg_pcap_file *file; /* the one being read */
    bool file_slow;     /* a pipe that had nothing the last time */
    sg_live *live;
    sg_hep_server *server;
    bool live_ready, server_ready, live_turn;
    bool finished; /* the files have ended and there is no other source */
    struct pollfd *polls;
    char source[512];
};

void sg_capture_defaults(sg_capture_options *options)
{
    *options = (sg_capture_options){.promiscuous = true,
                                    .buffer_mib = 16,
                                    .hep_clients_max = 256,
                                    .hep_in_captures = true,
                                    .tcp_streams_max = 65536,
                                    .tcp_bytes_max = (size_t)64 << 20,
                                    .tcp_gap_us = 3000000,
                                    .message_max = (size_t)256 << 10,
                                    .fragments_max = 1024,
                                    .fragment_us = 30000000};
}

/* ---- open and close ---- */

static sg_status check_limits(const sg_capture_options *o)
{
    if (o->file_count == 0 && !o->interface && o->hep_count == 0)
        return sg_fail(SG_E_USAGE,
                       "no source of messages: name a capture file, an interface or an address to listen on");
    if (o->tcp_streams_max < 2 || o->tcp_streams_max > 1 << 24)
        return sg_fail(SG_E_USAGE, "the number of TCP streams must be from 2 to %d", 1 << 24);
    if (o->fragments_max < 1 || o->fragments_max > 1 << 20)
        return sg_fail(SG_E_USAGE, "the number of fragmented datagrams must be from 1 to %d", 1 << 20);
    if (o->message_max < 1024 || o->message_max > 16 << 20 || o->tcp_bytes_max < o->message_max * 16)
        return sg_fail(
            SG_E_USAGE,
            "the longest message must be from 1024 bytes to 16 MiB, and a sixteenth at most of what "
            "all TCP streams may hold");
    if (o->buffer_mib < 1 || o->buffer_mib > 2047 || o->hep_clients_max < 0 || o->hep_clients_max > 65536)
        return sg_fail(SG_E_USAGE,
                       "the kernel's buffer must have 1 to 2047 MiB, and clients may be 0 to 65536");
    if (o->tcp_gap_us < 0 || o->fragment_us < 0 || o->duplicate_window_us < 0)
        return sg_fail(SG_E_USAGE, "times to wait cannot be negative");
    return SG_OK;
}

static sg_status open_next_file(sg_capture *c)
{
    const char *path = c->options.files[c->next_file++];
    SG_TRY(sg_pcap_file_open(&c->file, path, c->options.filter, &c->counts));
    snprintf(c->source, sizeof c->source, "the file %s", sg_pcap_file_name(c->file));
    return SG_OK;
}

/* Opens the first file and checks the others, so that a wrong name is reported before work begins.  A pipe
 * cannot be checked without reading from it. */
static sg_status open_files(sg_capture *c)
{
    for (size_t i = 1; i < c->options.file_count; i++) {
        const char *path = c->options.files[i];
        struct stat info;
        sg_pcap_file *file;
        if (strcmp(path, "-") == 0 ||
            (stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)))
            continue;
        SG_TRY(sg_pcap_file_open(&file, path, c->options.filter, &c->counts));
        sg_pcap_file_close(file);
    }
    return c->options.file_count > 0 ? open_next_file(c) : SG_OK;
}

static sg_status open_online(sg_capture *c)
{
    const sg_capture_options *o = &c->options;
    if (o->interface)
        SG_TRY(sg_live_open(&c->live, o->interface, o->filter, o->promiscuous, o->buffer_mib));
    if (o->hep_count > 0)
        SG_TRY(sg_hep_server_open(&c->server, o, &c->counts));
    if (o->file_count == 0)
        snprintf(c->source, sizeof c->source, "%s%s%s", c->live ? "the interface " : "",
                 c->live ? o->interface : "", c->server ? (c->live ? " and HEP" : "HEP") : "");
    return sg_alloc(&c->polls, 1 + (c->server ? sg_hep_server_polls_max(c->server) : 0),
                    "the list of sockets");
}

sg_status sg_capture_open(sg_capture **out, const sg_capture_options *options)
{
    sg_capture *c;
    *out = NULL;
    SG_TRY(check_limits(options));
    SG_TRY(sg_alloc(&c, 1, "the capture"));
    c->options = *options;
    sg_status status;
    SG_TRY_GOTO(status, fail, sg_decoder_open(&c->decoder, options, &c->counts));
    SG_TRY_GOTO(status, fail, open_online(c));
    SG_TRY_GOTO(status, fail, open_files(c));
    *out = c;
    return SG_OK;
fail:
    sg_capture_close(c);
    return status;
}

void sg_capture_close(sg_capture *c)
{
    if (!c)
        return;
    sg_pcap_file_close(c->file);
    sg_live_close(c->live);
    sg_hep_server_close(c->server);
    sg_decoder_close(c->decoder);
    free(c->polls);
    free(c);
}

/* ---- time ---- */

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* When a call has to return.  The time runs from the first look at the clock, since most calls find a message
 * without one. */
typedef struct {
    int timeout_ms;
    bool never, begun;
    int64_t us;
    unsigned looks;
} deadline;

static deadline deadline_in(int timeout_ms)
{
    return (deadline){.timeout_ms = timeout_ms, .never = timeout_ms < 0};
}

static int left_ms(deadline *d)
{
    if (d->never)
        return -1;
    int64_t now = clock_us(CLOCK_MONOTONIC);
    if (!d->begun) {
        d->begun = true;
        d->us = now + (int64_t)d->timeout_ms * 1000;
    }
    int64_t left = d->us - now;
    return left <= 0 ? 0 : (int)((left + 999) / 1000);
}

/* For loops over packets without messages: checks the clock only now and then. */
static bool passed(deadline *d)
{
    return !d->never && ++d->looks % LOOK_AT_CLOCK == 0 && left_ms(d) == 0;
}

/* ---- files ---- */

/* Reads on; *more is false if the time is up or a signal came while waiting for a pipe. */
static sg_status read_file(sg_capture *c, deadline *until, bool *more)
{
    sg_read read;
    sg_packet packet;
    int timeout_ms = until->never ? -1 : c->file_slow ? left_ms(until) : 0;
    sg_status status = sg_pcap_file_next(c->file, timeout_ms, &read, &packet);
    if (status != SG_OK || read == SG_READ_END) {
        sg_pcap_file_close(c->file);
        c->file = NULL;
        return status;
    }
    if (read == SG_READ_PACKET)
        sg_decoder_packet(c->decoder, &packet);
    c->file_slow = read == SG_READ_NOTHING;
    *more = c->file_slow ? !until->never && left_ms(until) > 0 : !passed(until);
    return SG_OK;
}

/* ---- interface and listeners ---- */

static sg_status take_live(sg_capture *c)
{
    sg_read read;
    sg_packet packet;
    sg_status status = sg_live_next(c->live, &read, &packet);
    if (status != SG_OK) {
        SG_COUNT_ADD(&c->counts, KERNEL_DROPS, sg_live_drops(c->live));
        sg_live_close(c->live);
        c->live = NULL;
        c->live_ready = false;
        return status;
    }
    c->live_ready = read == SG_READ_PACKET;
    if (c->live_ready)
        sg_decoder_packet(c->decoder, &packet);
    return SG_OK;
}

static void take_hep(sg_capture *c)
{
    const uint8_t *data;
    size_t size;
    int64_t now = clock_us(CLOCK_REALTIME);
    const char *key = c->options.hep_key && *c->options.hep_key ? c->options.hep_key : NULL;
    if (sg_hep_server_next(c->server, now, &data, &size, &c->server_ready))
        sg_decoder_hep(c->decoder, data, size, key, now);
}

/* Waits for the interface and the sockets; *more is false if the time is up or a signal came. */
static void wait_online(sg_capture *c, deadline *until, bool *more)
{
    size_t count = 0, first = c->live && sg_live_fd(c->live) >= 0 ? 1 : 0;
    int left = left_ms(until);
    if (first)
        c->polls[count++] = (struct pollfd){.fd = sg_live_fd(c->live), .events = POLLIN};
    else if (c->live && (left < 0 || left > WITHOUT_FD_MS))
        left = WITHOUT_FD_MS;
    if (c->server)
        count += sg_hep_server_polls(c->server, c->polls + first);
    int result = poll(c->polls, (nfds_t)count, left);
    if (result < 0) { /* a signal: the caller may want to look at what it set */
        *more = false;
        return;
    }
    c->live_ready = c->live && (!first || c->polls[0].revents != 0);
    if (c->server) {
        sg_hep_server_polled(c->server, c->polls + first);
        c->server_ready = true;
    }
    sg_decoder_idle(c->decoder, clock_us(CLOCK_REALTIME));
    *more = result > 0 || left_ms(until) != 0;
}

static sg_status read_online(sg_capture *c, deadline *until, bool *more)
{
    *more = true;
    c->live_turn = !c->live_turn;
    if (c->live_ready && (c->live_turn || !c->server_ready))
        SG_TRY(take_live(c));
    else if (c->server_ready)
        take_hep(c);
    else
        wait_online(c, until, more);
    if (passed(until))
        *more = false;
    return SG_OK;
}

/* ---- next ---- */

static sg_status read_on(sg_capture *c, deadline *until, bool *more)
{
    *more = true;
    if (c->file)
        return read_file(c, until, more);
    if (c->next_file < c->options.file_count)
        return open_next_file(c);
    if (c->live || c->server) {
        if (c->options.file_count > 0 && strncmp(c->source, "the file", 8) == 0)
            snprintf(c->source, sizeof c->source, "incoming traffic");
        return read_online(c, until, more);
    }
    sg_decoder_finish(c->decoder);
    c->finished = true;
    return SG_OK;
}

sg_status sg_capture_next(sg_capture *c, int timeout_ms, sg_capture_event *event, sg_capture_item *item)
{
    bool more = true;
    *event = SG_CAPTURE_MESSAGE;
    if (sg_decoder_next(c->decoder, item))
        return SG_OK;
    deadline until = deadline_in(timeout_ms);
    while (more && !c->finished) {
        SG_TRY(read_on(c, &until, &more));
        if (sg_decoder_next(c->decoder, item))
            return SG_OK;
    }
    *event = c->finished ? SG_CAPTURE_END : SG_CAPTURE_TIME_OUT;
    return SG_OK;
}

/* ---- reports ---- */

void sg_capture_counts(sg_capture *c, sg_counts *counts)
{
    *counts = c->counts;
    if (c->live)
        SG_COUNT_ADD(counts, KERNEL_DROPS, sg_live_drops(c->live));
}

void sg_capture_gauges_now(const sg_capture *c, sg_capture_gauges *gauges)
{
    sg_decoder_gauges(c->decoder, gauges);
    gauges->hep_clients = c->server ? sg_hep_server_clients(c->server) : 0;
}

const char *sg_capture_source(const sg_capture *c)
{
    return c->source;
}

uint16_t sg_capture_hep_port(const sg_capture *c, size_t i)
{
    return c->server ? sg_hep_server_port(c->server, i) : 0;
}
