#include "capture/decoder_internal.h"

#include <string.h>

enum {
    DEPTH_MAX = 24, /* headers in one packet: five VLAN tags, a few tunnels, extension headers */
    ETHERNET_HEADER = 14,
    IP4_HEADER = 20,
    IP6_HEADER = 40
};

enum {
    TYPE_IP4 = 0x0800,
    TYPE_IP6 = 0x86dd,
    TYPE_VLAN = 0x8100,
    TYPE_QINQ = 0x88a8,
    TYPE_QINQ_OLD = 0x9100,
    TYPE_PPPOE = 0x8864,
    TYPE_ETHERNET = 0x6558, /* in GRE */
    TYPE_PPP_IP4 = 0x0021,
    TYPE_PPP_IP6 = 0x0057
};

enum {
    IP_HOP_OPTIONS = 0,
    IP_ICMP = 1,
    IP_IN_IP = 4,
    IP_IPV6 = 41,
    IP_ROUTING = 43,
    IP_FRAGMENT = 44,
    IP_GRE = 47,
    IP_AUTHENTICATION = 51,
    IP_ICMP6 = 58,
    IP_NO_NEXT = 59,
    IP_DESTINATION_OPTIONS = 60,
    IP_MOBILITY = 135
};

static void walk_ip(sg_walk *w, const uint8_t *p, size_t n);
static void walk_type(sg_walk *w, unsigned type, const uint8_t *p, size_t n);

#define REFUSE(walk, NAME)              \
    do {                                \
        SG_COUNT((walk)->counts, NAME); \
        return;                         \
    } while (0)

/* ---- links ---- */

static void walk_ethernet(sg_walk *w, const uint8_t *p, size_t n)
{
    if (n < ETHERNET_HEADER)
        REFUSE(w, LINK_TRUNCATED);
    walk_type(w, sg_be16(p + 12), p + ETHERNET_HEADER, n - ETHERNET_HEADER);
}

static void walk_pppoe(sg_walk *w, const uint8_t *p, size_t n)
{
    if (n < 8)
        REFUSE(w, LINK_TRUNCATED);
    unsigned type = sg_be16(p + 6);
    if (type != TYPE_PPP_IP4 && type != TYPE_PPP_IP6)
        REFUSE(w, NOT_IP);
    walk_ip(w, p + 8, n - 8);
}

/* PPP, with or without the address and control bytes, and with a protocol of one or two bytes (RFC 1661). */
static void walk_ppp(sg_walk *w, const uint8_t *p, size_t n)
{
    size_t at = n >= 2 && p[0] == 0xff && p[1] == 0x03 ? 2 : 0;
    if (n < at + 2)
        REFUSE(w, LINK_TRUNCATED);
    unsigned type = p[at] & 1 ? p[at] : sg_be16(p + at);
    at += p[at] & 1 ? 1 : 2;
    if (type != TYPE_PPP_IP4 && type != TYPE_PPP_IP6)
        REFUSE(w, NOT_IP);
    walk_ip(w, p + at, n - at);
}

static void walk_type(sg_walk *w, unsigned type, const uint8_t *p, size_t n)
{
    while (type == TYPE_VLAN || type == TYPE_QINQ || type == TYPE_QINQ_OLD) {
        if (++w->depth > DEPTH_MAX)
            REFUSE(w, TOO_NESTED);
        if (n < 4)
            REFUSE(w, LINK_TRUNCATED);
        type = sg_be16(p + 2);
        p += 4, n -= 4;
    }
    if (type == TYPE_IP4 || type == TYPE_IP6)
        walk_ip(w, p, n);
    else if (type == TYPE_PPPOE)
        walk_pppoe(w, p, n);
    else if (type == TYPE_ETHERNET && ++w->depth <= DEPTH_MAX)
        walk_ethernet(w, p, n);
    else
        SG_COUNT(w->counts, NOT_IP);
}

/* A link header of fixed size before IP, or whose type field stands at `type_at`. */
static void walk_fixed(sg_walk *w, const uint8_t *p, size_t n, size_t header, int type_at)
{
    if (n < header)
        REFUSE(w, LINK_TRUNCATED);
    if (type_at >= 0)
        walk_type(w, sg_be16(p + type_at), p + header, n - header);
    else
        walk_ip(w, p + header, n - header);
}

void sg_walk_packet(sg_walk *w, const sg_packet *packet)
{
    const uint8_t *p = packet->data;
    size_t n = packet->captured;
    switch (packet->link) {
    case SG_LINK_ETHERNET:
        walk_ethernet(w, p, n);
        break;
    case SG_LINK_SLL:
        walk_fixed(w, p, n, 16, 14);
        break;
    case SG_LINK_SLL2:
        walk_fixed(w, p, n, 20, 0);
        break;
    case SG_LINK_NULL: /* the address family, in either byte order: the IP version says the same */
    case SG_LINK_LOOP:
        walk_fixed(w, p, n, 4, -1);
        break;
    case SG_LINK_RAW:
    case SG_LINK_IPV4:
    case SG_LINK_IPV6:
        walk_fixed(w, p, n, 0, -1);
        break;
    case SG_LINK_PPP:
        walk_ppp(w, p, n);
        break;
    default:
        SG_COUNT(w->counts, LINK_UNKNOWN);
    }
}

/* ---- what IP carries ---- */

/* GRE (RFC 2784, RFC 2890): checksum, key and sequence number are optional. */
static void walk_gre(sg_walk *w, const uint8_t *p, size_t n)
{
    if (n < 4)
        REFUSE(w, LINK_TRUNCATED);
    unsigned flags = sg_be16(p), type = sg_be16(p + 2);
    if ((flags & 7) != 0 || (flags & 0x4000) != 0) /* PPTP and source routes are not followed */
        REFUSE(w, NOT_UDP_TCP);
    size_t header = 4 + (flags & 0x8000 ? 4u : 0) + (flags & 0x2000 ? 4u : 0) + (flags & 0x1000 ? 4u : 0);
    if (n < header)
        REFUSE(w, LINK_TRUNCATED);
    walk_type(w, type, p + header, n - header);
}

static void walk_protocol(sg_walk *w, unsigned protocol, const uint8_t *p, size_t n)
{
    switch (protocol) {
    case SG_IP_UDP:
    case SG_IP_TCP:
        w->protocol = (uint8_t)protocol;
        w->data = p;
        w->size = n;
        break;
    case IP_IN_IP:
    case IP_IPV6:
        walk_ip(w, p, n);
        break;
    case IP_GRE:
        walk_gre(w, p, n);
        break;
    case IP_ICMP:
    case IP_ICMP6:
        SG_COUNT(w->counts, ICMP);
        break;
    default:
        SG_COUNT(w->counts, NOT_UDP_TCP);
    }
}

static void walk_fragment(sg_walk *w, sg_fragment_key *key, const sg_fragment *fragment)
{
    const uint8_t *data;
    size_t size;
    uint8_t protocol;
    SG_COUNT(w->counts, FRAGMENTS);
    if (w->joined) /* a fragmented tunnel with fragments inside: the room of the outer one would be reused */
        REFUSE(w, TOO_NESTED);
    memcpy(key->source, w->source.address, 16);
    memcpy(key->destination, w->destination.address, 16);
    key->family = w->source.family;
    if (!sg_fragments_add(w->fragments, key, fragment, w->time_us, &data, &size, &protocol))
        return;
    w->joined = true;
    walk_protocol(w, protocol, data, size);
}

/* ---- IPv4 (RFC 791) ---- */

static void set_addresses(sg_walk *w, uint8_t family, const uint8_t *source, const uint8_t *destination)
{
    size_t size = family == 4 ? 4 : 16;
    memset(&w->source, 0, sizeof w->source);
    memset(&w->destination, 0, sizeof w->destination);
    w->source.family = w->destination.family = family;
    memcpy(w->source.address, source, size);
    memcpy(w->destination.address, destination, size);
}

static void walk_ip4(sg_walk *w, const uint8_t *p, size_t n)
{
    if (n < IP4_HEADER)
        REFUSE(w, IP_TRUNCATED);
    size_t header = (p[0] & 15u) * 4, total = sg_be16(p + 2);
    if (header < IP4_HEADER || total < header)
        REFUSE(w, IP_MALFORMED);
    if (total > n) {
        SG_COUNT(w->counts, IP_TRUNCATED);
        w->cut = true;
        total = n;
        if (header > n)
            return;
    }
    set_addresses(w, 4, p + 12, p + 16);
    w->ip_id = sg_be16(p + 4);
    unsigned place = sg_be16(p + 6);
    if ((place & 0x3fff) == 0) {
        walk_protocol(w, p[9], p + header, total - header);
        return;
    }
    if (w->cut) /* a hole in the datagram */
        return;
    sg_fragment_key key = {.id = w->ip_id, .protocol = p[9]};
    sg_fragment fragment = {.offset = (place & 0x1fffu) * 8,
                            .more = place & 0x2000,
                            .protocol = p[9],
                            .data = p + header,
                            .size = total - header};
    walk_fragment(w, &key, &fragment);
}

/* ---- IPv6 (RFC 8200) ---- */

static void walk_fragment6(sg_walk *w, const uint8_t *p, size_t n)
{
    unsigned place = sg_be16(p + 2);
    sg_fragment_key key = {.id = sg_be32(p + 4)};
    sg_fragment fragment = {
        .offset = place & 0xfff8, .more = place & 1, .protocol = p[0], .data = p + 8, .size = n - 8};
    if (!fragment.offset && !fragment.more) /* an atomic fragment is whole (RFC 6946) */
        walk_protocol(w, p[0], p + 8, n - 8);
    else if (!w->cut)
        walk_fragment(w, &key, &fragment);
}

/* Skips extension headers: each has at least 8 bytes, so the walk ends. */
static void walk_extensions(sg_walk *w, unsigned protocol, const uint8_t *p, size_t n)
{
    for (;;) {
        size_t header;
        bool extension = protocol == IP_HOP_OPTIONS || protocol == IP_ROUTING ||
                         protocol == IP_DESTINATION_OPTIONS || protocol == IP_MOBILITY ||
                         protocol == IP_AUTHENTICATION || protocol == IP_FRAGMENT;
        if (!extension)
            break;
        if (++w->depth > DEPTH_MAX)
            REFUSE(w, TOO_NESTED);
        if (n < 8)
            REFUSE(w, IP_MALFORMED);
        if (protocol == IP_FRAGMENT) {
            walk_fragment6(w, p, n);
            return;
        }
        header = protocol == IP_AUTHENTICATION ? (p[1] + 2u) * 4 : (p[1] + 1u) * 8;
        if (header > n)
            REFUSE(w, IP_MALFORMED);
        protocol = p[0];
        p += header, n -= header;
    }
    if (protocol == IP_NO_NEXT)
        REFUSE(w, NOT_UDP_TCP);
    walk_protocol(w, protocol, p, n);
}

static void walk_ip6(sg_walk *w, const uint8_t *p, size_t n)
{
    if (n < IP6_HEADER)
        REFUSE(w, IP_TRUNCATED);
    size_t size = sg_be16(p + 4);
    set_addresses(w, 6, p + 8, p + 24);
    w->ip_id = 0;
    n -= IP6_HEADER;
    if (size > n) {
        SG_COUNT(w->counts, IP_TRUNCATED);
        w->cut = true;
        size = n;
    }
    walk_extensions(w, p[6], p + IP6_HEADER, size);
}

static void walk_ip(sg_walk *w, const uint8_t *p, size_t n)
{
    if (++w->depth > DEPTH_MAX)
        REFUSE(w, TOO_NESTED);
    if (n == 0)
        REFUSE(w, LINK_TRUNCATED);
    if (p[0] >> 4 == 4)
        walk_ip4(w, p, n);
    else if (p[0] >> 4 == 6)
        walk_ip6(w, p, n);
    else
        SG_COUNT(w->counts, IP_MALFORMED);
}

void sg_walk_inner_ip(sg_walk *w, const uint8_t *data, size_t size)
{
    w->protocol = 0;
    walk_ip(w, data, size);
}
