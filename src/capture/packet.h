/* packet.h: a packet as a source delivers it, and reading numbers from it. */
#ifndef SG_CAPTURE_PACKET_H
#define SG_CAPTURE_PACKET_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *data;
    uint32_t captured; /* bytes at `data` */
    uint32_t length;   /* on the wire */
    int link;          /* LINKTYPE_ number */
    int64_t time_us;   /* since 1970 */
} sg_packet;

/* What a source has now. */
typedef enum {
    SG_READ_PACKET,
    SG_READ_FILTERED, /* a packet that the filter leaves out */
    SG_READ_NOTHING,  /* nothing yet */
    SG_READ_END
} sg_read;

/* Link types (the LINKTYPE_ registry of pcap files). */
enum {
    SG_LINK_NULL = 0,
    SG_LINK_ETHERNET = 1,
    SG_LINK_PPP = 9,
    SG_LINK_RAW = 101,
    SG_LINK_LOOP = 108,
    SG_LINK_SLL = 113,
    SG_LINK_IPV4 = 228,
    SG_LINK_IPV6 = 229,
    SG_LINK_SLL2 = 276
};

static inline uint16_t sg_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t sg_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint32_t sg_le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* Packet times may run backwards or leap: how far apart two are, whichever comes first. */
static inline int64_t sg_subprocess(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

#endif
