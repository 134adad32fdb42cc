#include "capture/hep.h"

#include "capture/filter.h"
#include "capture/packet.h"
#include "capture/sniff.h"

#include <string.h>
#define ZLIB_CONST
#include <zlib.h>

enum { HEADER3 = 6, CHUNK_HEADER = 6, HEADER12 = 8 };

/* ---- version 3 ---- */

enum {
    CHUNK_FAMILY = 1,
    CHUNK_PROTOCOL = 2,
    CHUNK_SOURCE4 = 3,
    CHUNK_DESTINATION4 = 4,
    CHUNK_SOURCE6 = 5,
    CHUNK_DESTINATION6 = 6,
    CHUNK_SOURCE_PORT = 7,
    CHUNK_DESTINATION_PORT = 8,
    CHUNK_SECONDS = 9,
    CHUNK_MICROSECONDS = 10,
    CHUNK_TYPE = 11,
    CHUNK_CAPTURE_ID = 12,
    CHUNK_KEY = 14,
    CHUNK_PAYLOAD = 15,
    CHUNK_COMPRESSED = 16
};

/* The size a chunk's data must have; 0: any. */
static size_t chunk_size(unsigned type)
{
    static const uint8_t sizes[] = {0, 1, 1, 4, 4, 16, 16, 2, 2, 4, 4, 1, 4};
    return type < sizeof sizes ? sizes[type] : 0;
}

/* What the chunks said; the last of several of one kind wins. */
typedef struct {
    const uint8_t *source4, *destination4, *source6, *destination6;
    uint32_t seconds, microseconds;
    bool has_seconds;
    uint8_t protocol;
} chunks;

static void take_chunk(sg_hep *hep, chunks *c, unsigned type, const uint8_t *data, size_t size)
{
    switch (type) {
    case CHUNK_PROTOCOL:
        c->protocol = data[0];
        break;
    case CHUNK_SOURCE4:
        c->source4 = data;
        break;
    case CHUNK_DESTINATION4:
        c->destination4 = data;
        break;
    case CHUNK_SOURCE6:
        c->source6 = data;
        break;
    case CHUNK_DESTINATION6:
        c->destination6 = data;
        break;
    case CHUNK_SOURCE_PORT:
        hep->flow.source.port = sg_be16(data);
        break;
    case CHUNK_DESTINATION_PORT:
        hep->flow.destination.port = sg_be16(data);
        break;
    case CHUNK_SECONDS:
        c->seconds = sg_be32(data);
        c->has_seconds = true;
        break;
    case CHUNK_MICROSECONDS:
        c->microseconds = sg_be32(data);
        break;
    case CHUNK_TYPE:
        hep->type = data[0];
        break;
    case CHUNK_CAPTURE_ID:
        hep->capture_id = sg_be32(data);
        break;
    case CHUNK_KEY:
        hep->key = data;
        hep->key_size = size;
        break;
    case CHUNK_PAYLOAD:
    case CHUNK_COMPRESSED:
        hep->payload = data;
        hep->payload_size = size;
        hep->compressed = type == CHUNK_COMPRESSED;
        break;
    default: /* the family follows from the addresses; correlation, VLAN, node: not needed */
        break;
    }
}

static sg_transport transport_of(uint8_t protocol)
{
    switch (protocol) {
    case 6:
        return SG_TRANSPORT_TCP;
    case 22: /* kamailio: TLS or WebSocket */
        return SG_TRANSPORT_TLS;
    case 132:
        return SG_TRANSPORT_SCTP;
    default:
        return SG_TRANSPORT_UDP;
    }
}

static void set_address(sg_endpoint *endpoint, const uint8_t *address, uint8_t family)
{
    endpoint->family = family;
    memset(endpoint->address, 0, sizeof endpoint->address);
    memcpy(endpoint->address, address, family == 4 ? 4 : 16);
}

static bool finish3(sg_hep *hep, const chunks *c, sg_count *why)
{
    sg_flow *flow = &hep->flow;
    bool four = c->source4 && c->destination4;
    *why = SG_COUNT_HEP_NO_ADDRESS;
    if (!four && !(c->source6 && c->destination6))
        return false;
    set_address(&flow->source, four ? c->source4 : c->source6, four ? 4 : 6);
    set_address(&flow->destination, four ? c->destination4 : c->destination6, four ? 4 : 6);
    flow->transport = transport_of(c->protocol);
    if (c->has_seconds)
        flow->time_us = sg_time_us(c->seconds, c->microseconds, 1000000, &hep->bad_time);
    *why = SG_COUNT_HEP_NO_PAYLOAD;
    return hep->payload && hep->payload_size > 0;
}

static bool parse3(const uint8_t *data, size_t size, sg_hep *hep, sg_count *why)
{
    chunks c = {0};
    size_t total = size >= HEADER3 ? sg_be16(data + 4) : 0;
    *why = SG_COUNT_HEP_TRUNCATED;
    if (total < HEADER3 || total > size)
        return false;
    hep->version = 3;
    hep->size = total;
    hep->type = 0;
    for (size_t at = HEADER3; at < total;) {
        *why = SG_COUNT_HEP_BAD_CHUNK;
        size_t left = total - at, length = left >= CHUNK_HEADER ? sg_be16(data + at + 4) : 0;
        if (length < CHUNK_HEADER || length > left)
            return false;
        unsigned vendor = sg_be16(data + at), type = sg_be16(data + at + 2);
        size_t wanted = vendor ? 0 : chunk_size(type);
        *why = SG_COUNT_HEP_BAD_SIZE;
        if (wanted && length - CHUNK_HEADER != wanted)
            return false;
        if (!vendor)
            take_chunk(hep, &c, type, data + at + CHUNK_HEADER, length - CHUNK_HEADER);
        at += length;
    }
    return finish3(hep, &c, why);
}

/* ---- versions 1 and 2: a header of fixed form ---- */

static size_t addresses_size(uint8_t family)
{
    return family == 2 ? 8 : family == 10 ? 32 : 0;
}

/* kamailio writes seconds and microseconds in the order of its processor, others in that of the network: the
 * reading nearer to the arrival is right. */
static void take_time2(sg_hep *hep, const uint8_t *p)
{
    bool bad_big, bad_little;
    int64_t arrival = hep->flow.time_us;
    int64_t big = sg_time_us(sg_be32(p), sg_be32(p + 4), 1000000, &bad_big);
    int64_t little = sg_time_us(sg_le32(p), sg_le32(p + 4), 1000000, &bad_little);
    bool use_little = sg_subprocess(little, arrival) < sg_subprocess(big, arrival);
    hep->flow.time_us = use_little ? little : big;
    hep->bad_time = use_little ? bad_little : bad_big;
}

/* Where the payload of version 2 begins.  The header length may count the time stamp or not, which has 12
 * bytes from kamailio and OpenSIPS (two of them padding) and 10 in some readers: if not, SIP begins where it
 * is. */
static size_t payload_offset2(const uint8_t *data, size_t size, size_t base)
{
    const size_t candidates[] = {base + 10, base + 12};
    for (size_t i = 0; i < 2 && data[1] == base; i++) {
        size_t at = candidates[i];
        if (at + 4 <= size && data[at] > ' ' && sg_sniff_sip(data + at, size - at))
            return at;
    }
    return data[1];
}

static bool parse12(const uint8_t *data, size_t size, sg_hep *hep, sg_count *why)
{
    *why = SG_COUNT_HEP_BAD_HEADER;
    if (size < HEADER12)
        return false;
    size_t addresses = addresses_size(data[2]), base = HEADER12 + addresses;
    if (!addresses || data[1] < base || data[1] > base + 12 || (data[0] == 1 && data[1] != base) ||
        size < base)
        return false;
    size_t offset = data[0] == 1 ? base : payload_offset2(data, size, base);
    *why = SG_COUNT_HEP_NO_PAYLOAD;
    if (offset >= size)
        return false;
    uint8_t family = data[2] == 2 ? 4 : 6;
    hep->version = data[0];
    hep->size = size;
    hep->type = SG_HEP_TYPE_SIP;
    hep->flow.transport = transport_of(data[3]);
    hep->flow.source.port = sg_be16(data + 4);
    hep->flow.destination.port = sg_be16(data + 6);
    set_address(&hep->flow.source, data + HEADER12, family);
    set_address(&hep->flow.destination, data + HEADER12 + addresses / 2, family);
    if (data[0] == 2 && offset >= base + 8)
        take_time2(hep, data + base);
    hep->payload = data + offset;
    hep->payload_size = size - offset;
    return true;
}

bool sg_hep_parse(const uint8_t *data, size_t size, int64_t arrival_us, sg_hep *hep, sg_count *why)
{
    *hep = (sg_hep){.flow.time_us = arrival_us};
    if (size >= 4 && memcmp(data, "HEP3", 4) == 0)
        return parse3(data, size, hep, why);
    if (size >= 1 && (data[0] == 1 || data[0] == 2))
        return parse12(data, size, hep, why);
    *why = SG_COUNT_HEP_NOT_HEP;
    return false;
}

bool sg_hep_begins(const uint8_t *data, size_t size)
{
    sg_hep hep;
    sg_count why;
    if (size >= HEADER3 && memcmp(data, "HEP3", 4) == 0)
        return true;
    return size > HEADER12 && (data[0] == 1 || data[0] == 2) && sg_hep_parse(data, size, 0, &hep, &why) &&
           hep.payload_size >= 4 && hep.payload[0] > ' ' && sg_sniff_sip(hep.payload, hep.payload_size);
}

int sg_hep_frame(const uint8_t *data, size_t size, size_t *length)
{
    size_t mark = size < 4 ? size : 4;
    *length = HEADER3;
    if (memcmp(data, "HEP3", mark) != 0)
        return -1;
    if (size < HEADER3)
        return 0;
    *length = sg_be16(data + 4);
    if (*length < HEADER3)
        return -1;
    return size >= *length;
}

/* ---- payload and key ---- */

bool sg_hep_inflate(const uint8_t *data, size_t size, uint8_t *room, size_t capacity, size_t *length)
{
    z_stream z = {
        .next_in = data, .avail_in = (unsigned)size, .next_out = room, .avail_out = (unsigned)capacity};
    if (inflateInit2(&z, 15 + 32) != Z_OK) /* zlib or gzip, by its header */
        return false;
    int result = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    *length = capacity - z.avail_out;
    return result == Z_STREAM_END;
}

bool sg_hep_key_fits(const sg_hep *hep, const char *key)
{
    size_t length = strlen(key);
    unsigned differ = !hep->key || hep->key_size != length;
    for (size_t i = 0; hep->key && i < hep->key_size; i++)
        differ |= hep->key[i] ^ (i < length ? (uint8_t)key[i] : 0u);
    return differ == 0;
}
