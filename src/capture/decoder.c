#include "capture/decoder.h"

#include "base/memory.h"
#include "capture/decoder_internal.h"
#include "capture/duplicates.h"
#include "capture/hep.h"
#include "capture/sniff.h"
#include "capture/tcp.h"
#include "sip/frame.h"

#include <stdlib.h>
#include <string.h>

enum { UDP_HEADER = 8, TCP_HEADER = 20, GTP_PORT = 2152, GTP_HEADER = 8, INFLATED_MAX = 65536 };

struct sg_decoder {
    sg_capture_options options;
    sg_counts *counts;
    sg_fragments *fragments;
    sg_duplicates *duplicates; /* NULL: copies are kept */
    sg_tcp *tcp;
    sg_packet packet; /* data NULL: what is decoded came by a listener, or no packet did */
    uint64_t number;
    bool has_item;
    sg_capture_item item; /* of a datagram, not yet taken */
    /* HEP packets of a datagram that have not been looked at */
    const uint8_t *hep;
    size_t hep_size;
    const char *hep_key;
    int64_t hep_arrival;
    bool hep_whole;
    uint8_t inflated[INFLATED_MAX];
};

sg_status sg_decoder_open(sg_decoder **out, const sg_capture_options *options, sg_counts *counts)
{
    sg_decoder *d;
    *out = NULL;
    SG_TRY(sg_alloc(&d, 1, "the decoder"));
    d->options = *options;
    d->counts = counts;
    sg_tcp_options tcp = {.streams_max = options->tcp_streams_max,
                          .bytes_max = options->tcp_bytes_max,
                          .message_max = options->message_max,
                          .gap_us = options->tcp_gap_us,
                          .hep = options->hep_in_captures};
    sg_status status;
    SG_TRY_GOTO(status, fail,
                sg_fragments_open(&d->fragments, options->fragments_max, options->fragment_us, counts));
    SG_TRY_GOTO(status, fail, sg_tcp_open(&d->tcp, &tcp, counts));
    if (options->duplicate_window_us > 0)
        SG_TRY_GOTO(status, fail, sg_duplicates_open(&d->duplicates, options->duplicate_window_us));
    *out = d;
    return SG_OK;
fail:
    sg_decoder_close(d);
    return status;
}

void sg_decoder_close(sg_decoder *d)
{
    if (!d)
        return;
    sg_fragments_close(d->fragments);
    sg_duplicates_close(d->duplicates);
    sg_tcp_close(d->tcp);
    free(d);
}

void sg_decoder_gauges(const sg_decoder *d, sg_capture_gauges *gauges)
{
    sg_tcp_held(d->tcp, &gauges->tcp_streams, &gauges->tcp_bytes);
    gauges->fragmented_datagrams = sg_fragments_held(d->fragments);
}

/* ---- messages ---- */

static void fill_frame(const sg_decoder *d, sg_capture_item *item)
{
    item->packet = d->number;
    item->frame = d->packet.data;
    item->frame_captured = d->packet.captured;
    item->frame_length = d->packet.length;
    item->frame_link = d->packet.link;
    item->frame_time_us = d->packet.time_us;
}

/* Finds the SIP message of a datagram; false if there is none.  *keep_alive: it holds only keep-alive
 * bytes. */
static bool find_message(const uint8_t *data, size_t size, const char **message, size_t *length,
                         bool *keep_alive)
{
    *keep_alive = false;
    while (size > 0 && sg_sniff_sip(data, size)) {
        sg_frame frame = sg_sip_frame_datagram((const char *)data, size, length);
        if (frame == SG_FRAME_COMPLETE) {
            *message = (const char *)data;
            return true;
        }
        if (frame != SG_FRAME_KEEP_ALIVE || *length == 0)
            return false;
        data += *length;
        size -= *length;
        *keep_alive = size == 0;
    }
    return false;
}

static void offer(sg_decoder *d, const sg_flow *flow, const char *message, size_t length)
{
    d->has_item = true;
    memset(&d->item, 0, sizeof d->item);
    d->item.flow = *flow;
    d->item.data = message;
    d->item.length = length;
    fill_frame(d, &d->item);
}

/* ---- HEP ---- */

static bool inflate_payload(sg_decoder *d, sg_hep *hep)
{
    size_t length;
    if (!hep->compressed)
        return true;
    if (!sg_hep_inflate(hep->payload, hep->payload_size, d->inflated, sizeof d->inflated, &length))
        return false;
    hep->payload = d->inflated;
    hep->payload_size = length;
    return true;
}

static void offer_hep(sg_decoder *d, sg_hep *hep)
{
    const char *message;
    size_t length;
    bool keep_alive;
    d->counts->count[SG_COUNT_BAD_TIME] += hep->bad_time;
    if (d->hep_key && !sg_hep_key_fits(hep, d->hep_key)) {
        SG_COUNT(d->counts, HEP_WRONG_KEY);
    } else if (hep->type != SG_HEP_TYPE_SIP) {
        SG_COUNT(d->counts, HEP_OTHER_TYPE);
    } else if (!inflate_payload(d, hep)) {
        SG_COUNT(d->counts, HEP_INFLATE);
    } else if (find_message(hep->payload, hep->payload_size, &message, &length, &keep_alive)) {
        SG_COUNT(d->counts, HEP_MESSAGES);
        offer(d, &hep->flow, message, length);
        d->item.hep = true;
        d->item.frame_whole = d->hep_whole;
    } else if (keep_alive) {
        SG_COUNT(d->counts, KEEP_ALIVES);
    } else {
        SG_COUNT(d->counts, HEP_NOT_SIP);
    }
}

/* Takes HEP packets from the datagram until one holds a message. */
static void next_hep(sg_decoder *d)
{
    while (!d->has_item && d->hep_size > 0) {
        sg_hep hep;
        sg_count why;
        const uint8_t *data = d->hep;
        size_t size = d->hep_size;
        d->hep_size = 0;
        SG_COUNT(d->counts, HEP_PACKETS);
        if (!sg_hep_parse(data, size, d->hep_arrival, &hep, &why)) {
            d->counts->count[why]++;
            return;
        }
        if (hep.size < size) {
            d->hep_whole = false;
            if (size - hep.size >= 4 && memcmp(data + hep.size, "HEP3", 4) == 0) {
                d->hep = data + hep.size;
                d->hep_size = size - hep.size;
            } else {
                SG_COUNT(d->counts, HEP_TRAILING);
            }
        }
        offer_hep(d, &hep);
    }
}

static void begin_hep(sg_decoder *d, const uint8_t *data, size_t size, const char *key, int64_t arrival_us,
                      bool whole)
{
    d->hep = data;
    d->hep_size = size;
    d->hep_key = key;
    d->hep_arrival = arrival_us;
    d->hep_whole = whole;
    next_hep(d);
}

void sg_decoder_hep(sg_decoder *d, const uint8_t *data, size_t size, const char *key, int64_t arrival_us)
{
    memset(&d->packet, 0, sizeof d->packet);
    d->number++;
    d->has_item = false;
    begin_hep(d, data, size, key, arrival_us, false);
}

/* ---- UDP ---- */

/* Where the IP packet begins in a GTP-U datagram (3GPP TS 29.281), 0 if it is not one. */
static size_t gtp_payload(const sg_walk *w, const uint8_t *p, size_t n)
{
    if ((w->source.port != GTP_PORT && w->destination.port != GTP_PORT) || n < GTP_HEADER + 1 ||
        p[0] >> 4 != 3 || p[1] != 0xff || sg_be16(p + 2) > n - GTP_HEADER)
        return 0;
    size_t at = GTP_HEADER;
    if (p[0] & 7) {
        uint8_t next = at + 4 <= n ? p[at + 3] : 0;
        at += 4;
        while (p[0] & 4 && next && at < n && p[at] > 0 && at + p[at] * 4u <= n) {
            size_t header = p[at] * 4u;
            next = p[at + header - 1];
            at += header;
        }
    }
    return at < n && (p[at] >> 4 == 4 || p[at] >> 4 == 6) ? at : 0;
}

/* TURN relays data with a channel number and a length before it (RFC 8656, 12.4). */
static size_t channel_header(const uint8_t *p, size_t n)
{
    return n > 4 && p[0] >= 0x40 && p[0] < 0x50 && sg_be16(p + 2) <= n - 4 && n - 4 - sg_be16(p + 2) < 4 ? 4
                                                                                                         : 0;
}

static void decode_datagram(sg_decoder *d, sg_walk *w, const uint8_t *p, size_t n)
{
    const char *message;
    size_t length, channel;
    bool keep_alive;
    if (d->options.hep_in_captures && sg_hep_begins(p, n)) {
        begin_hep(d, p, n, NULL, w->time_us, !w->joined && !w->cut);
        return;
    }
    if (!find_message(p, n, &message, &length, &keep_alive) &&
        ((channel = channel_header(p, n)) == 0 ||
         !find_message(p + channel, sg_be16(p + 2), &message, &length, &keep_alive))) {
        if (keep_alive || n <= 4)
            SG_COUNT(d->counts, KEEP_ALIVES);
        else
            SG_COUNT(d->counts, UDP_NOT_SIP);
        return;
    }
    sg_flow flow = {.time_us = w->time_us,
                    .source = w->source,
                    .destination = w->destination,
                    .transport = SG_TRANSPORT_UDP};
    if (d->duplicates && sg_duplicates_seen(d->duplicates, &flow, w->ip_id, p, n)) {
        SG_COUNT(d->counts, DUPLICATES);
        return;
    }
    offer(d, &flow, message, length);
    d->item.truncated = w->cut;
    d->item.frame_whole = !w->joined;
}

static void decode_transport(sg_decoder *d, sg_walk *w);

static void decode_udp(sg_decoder *d, sg_walk *w)
{
    const uint8_t *p = w->data;
    size_t n = w->size;
    if (n < UDP_HEADER || (sg_be16(p + 4) < UDP_HEADER) || (sg_be16(p + 4) > n && !w->cut)) {
        SG_COUNT(d->counts, UDP_MALFORMED);
        return;
    }
    if (sg_be16(p + 4) < n)
        n = sg_be16(p + 4);
    w->source.port = sg_be16(p);
    w->destination.port = sg_be16(p + 2);
    p += UDP_HEADER, n -= UDP_HEADER;
    if (n == 0) {
        SG_COUNT(d->counts, UDP_EMPTY);
        return;
    }
    size_t inner = gtp_payload(w, p, n);
    if (!inner) {
        decode_datagram(d, w, p, n);
        return;
    }
    sg_walk_inner_ip(w, p + inner, n - inner);
    decode_transport(d, w);
}

/* ---- TCP ---- */

static void decode_tcp(sg_decoder *d, sg_walk *w)
{
    const uint8_t *p = w->data;
    size_t n = w->size, header = n >= TCP_HEADER ? (p[12] >> 4) * 4u : 0;
    if (header < TCP_HEADER || header > n) {
        SG_COUNT(d->counts, TCP_MALFORMED);
        return;
    }
    w->source.port = sg_be16(p);
    w->destination.port = sg_be16(p + 2);
    sg_tcp_segment segment = {.source = &w->source,
                              .destination = &w->destination,
                              .sequence = sg_be32(p + 4),
                              .flags = p[13] & (SG_TCP_FIN | SG_TCP_SYN | SG_TCP_RST),
                              .data = p + header,
                              .size = n - header,
                              .time_us = w->time_us};
    if (w->cut) /* the end of the segment is missing: so is the end of the stream */
        segment.flags &= (uint8_t)~SG_TCP_FIN;
    if (segment.flags & SG_TCP_RST) /* may carry a reason as text (RFC 9293, 3.5.3), which is not data */
        segment.size = 0;
    sg_tcp_add(d->tcp, &segment);
}

static void decode_transport(sg_decoder *d, sg_walk *w)
{
    if (w->protocol == SG_IP_UDP)
        decode_udp(d, w);
    else if (w->protocol == SG_IP_TCP)
        decode_tcp(d, w);
}

void sg_decoder_packet(sg_decoder *d, const sg_packet *packet)
{
    d->packet = *packet;
    d->number++;
    d->has_item = false;
    d->hep_size = 0;
    SG_COUNT(d->counts, PACKETS);
    SG_COUNT_ADD(d->counts, BYTES, packet->captured);
    sg_tcp_idle(d->tcp, packet->time_us);
    sg_walk walk = {.fragments = d->fragments, .counts = d->counts, .time_us = packet->time_us};
    sg_walk_packet(&walk, packet);
    decode_transport(d, &walk);
}

/* ---- taking ---- */

/* A message of TCP; false if it is HEP and gives none, or none for now. */
static void take_tcp(sg_decoder *d, const sg_tcp_message *m)
{
    if (m->hep) {
        begin_hep(d, m->data, m->size, NULL, m->time_us, m->whole);
        return;
    }
    sg_flow flow = {.time_us = m->time_us,
                    .source = m->source,
                    .destination = m->destination,
                    .transport = SG_TRANSPORT_TCP};
    offer(d, &flow, (const char *)m->data, m->size);
    d->item.frame_whole = m->whole;
    if (!m->of_current) { /* a gap was given up: the packet that brought it has gone */
        d->item.frame = NULL;
        d->item.frame_captured = d->item.frame_length = 0;
    }
}

bool sg_decoder_next(sg_decoder *d, sg_capture_item *item)
{
    sg_tcp_message message;
    if (!d->has_item)
        next_hep(d);
    while (!d->has_item && sg_tcp_next(d->tcp, &message))
        take_tcp(d, &message);
    if (!d->has_item)
        return false;
    *item = d->item;
    d->has_item = false;
    SG_COUNT(d->counts, MESSAGES);
    SG_COUNT_ADD(d->counts, MESSAGE_BYTES, item->length);
    d->counts->count[SG_COUNT_MESSAGES_TRUNCATED] += item->truncated;
    return true;
}

void sg_decoder_idle(sg_decoder *d, int64_t now_us)
{
    memset(&d->packet, 0, sizeof d->packet);
    sg_tcp_idle(d->tcp, now_us);
}

void sg_decoder_finish(sg_decoder *d)
{
    memset(&d->packet, 0, sizeof d->packet);
    sg_tcp_finish(d->tcp);
}
