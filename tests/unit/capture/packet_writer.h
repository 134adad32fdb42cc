/* packet_writer.h: makes packets for tests, from the inside out, right or wrong on purpose.
 *
 *     pw_packet p;
 *     pw_payload(&p, text, size);
 *     pw_udp(&p, 5060, 5060);
 *     pw_ip4(&p, "10.0.0.1", "10.0.0.2", 17);
 *     pw_ethernet(&p, 0x0800);
 *
 * Each call puts a header before what is there.  Lengths are right; to get a wrong one, change p.at[...]
 * afterwards. guarded_copy() places bytes right before a page that may not be read.
 */
#ifndef SG_PACKET_WRITER_H
#define SG_PACKET_WRITER_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PW_ROOM = 200000, PW_HEADERS = 4096 };

typedef struct {
    uint8_t room[PW_ROOM];
    uint8_t *at; /* the packet: at[0..size) */
    size_t size;
} pw_packet;

static inline void pw_payload(pw_packet *p, const void *data, size_t size)
{
    p->at = p->room + PW_HEADERS;
    memcpy(p->at, data, size);
    p->size = size;
}

static inline void pw_text(pw_packet *p, const char *text)
{
    pw_payload(p, text, strlen(text));
}

/* `size` zero bytes before the packet. */
static inline uint8_t *pw_push(pw_packet *p, size_t size)
{
    p->at -= size;
    p->size += size;
    return memset(p->at, 0, size);
}

static inline void pw_put16(uint8_t *to, size_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static inline void pw_put32(uint8_t *to, uint32_t value)
{
    pw_put16(to, value >> 16);
    pw_put16(to + 2, value & 0xffff);
}

static inline void pw_udp(pw_packet *p, uint16_t from, uint16_t to)
{
    uint8_t *h = pw_push(p, 8);
    pw_put16(h, from);
    pw_put16(h + 2, to);
    pw_put16(h + 4, p->size);
}

enum { PW_FIN = 1, PW_SYN = 2, PW_RST = 4, PW_PSH = 8, PW_ACK = 16 };

static inline void pw_tcp(pw_packet *p, uint16_t from, uint16_t to, uint32_t sequence, unsigned flags)
{
    uint8_t *h = pw_push(p, 20);
    pw_put16(h, from);
    pw_put16(h + 2, to);
    pw_put32(h + 4, sequence);
    h[12] = 5 << 4;
    h[13] = (uint8_t)flags;
}

/* A fragment: `place` is the offset in bytes, plus 1 if more follow. */
static inline void pw_ip4_part(pw_packet *p, const char *from, const char *to, uint8_t protocol, uint16_t id,
                               size_t place)
{
    uint8_t *h = pw_push(p, 20);
    h[0] = 0x45;
    pw_put16(h + 2, p->size);
    pw_put16(h + 4, id);
    pw_put16(h + 6, (place >> 3) | (place & 1 ? 0x2000 : 0));
    h[8] = 64;
    h[9] = protocol;
    inet_pton(AF_INET, from, h + 12);
    inet_pton(AF_INET, to, h + 16);
}

static inline void pw_ip4(pw_packet *p, const char *from, const char *to, uint8_t protocol)
{
    pw_ip4_part(p, from, to, protocol, 0, 0);
}

static inline void pw_ip6(pw_packet *p, const char *from, const char *to, uint8_t next)
{
    uint8_t *h = pw_push(p, 40);
    h[0] = 0x60;
    pw_put16(h + 4, p->size - 40);
    h[6] = next;
    h[7] = 64;
    inet_pton(AF_INET6, from, h + 8);
    inet_pton(AF_INET6, to, h + 24);
}

/* An IPv6 extension header of `units` times 8 bytes. */
static inline void pw_extension(pw_packet *p, uint8_t next, size_t units)
{
    uint8_t *h = pw_push(p, units * 8);
    h[0] = next;
    h[1] = (uint8_t)(units - 1);
}

static inline void pw_fragment6(pw_packet *p, uint8_t next, uint32_t id, size_t place)
{
    uint8_t *h = pw_push(p, 8);
    h[0] = next;
    pw_put16(h + 2, place);
    pw_put32(h + 4, id);
}

static inline void pw_ethernet(pw_packet *p, uint16_t type)
{
    pw_put16(pw_push(p, 14) + 12, type);
}

/* A tag that stands before what has Ethernet type `type`; the header before it has type 0x8100 or 0x88a8. */
static inline void pw_vlan(pw_packet *p, uint16_t type)
{
    pw_put16(pw_push(p, 4) + 2, type);
}

/* A chunk of HEP v3 behind what is there. */
static inline void pw_hep_chunk(pw_packet *p, unsigned vendor, unsigned type, const void *data, size_t size)
{
    uint8_t *h = p->at + p->size;
    pw_put16(h, vendor);
    pw_put16(h + 2, type);
    pw_put16(h + 4, size + 6);
    memcpy(h + 6, data, size);
    p->size += size + 6;
    pw_put16(p->at + 4, p->size);
}

static inline void pw_hep_number(pw_packet *p, unsigned type, uint32_t value, size_t size)
{
    uint8_t bytes[4];
    pw_put32(bytes, value);
    pw_hep_chunk(p, 0, type, bytes + 4 - size, size);
}

/* The beginning of a HEP v3 packet, without payload: 10.0.0.1:5060 to 10.0.0.2:5070, UDP, 1700000000.25 s,
 * SIP. */
static inline void pw_hep(pw_packet *p)
{
    pw_payload(p, "HEP3\0\6", 6);
    pw_hep_number(p, 1, 2, 1);
    pw_hep_number(p, 2, 17, 1);
    pw_hep_number(p, 3, 0x0a000001, 4);
    pw_hep_number(p, 4, 0x0a000002, 4);
    pw_hep_number(p, 7, 5060, 2);
    pw_hep_number(p, 8, 5070, 2);
    pw_hep_number(p, 9, 1700000000, 4);
    pw_hep_number(p, 10, 250000, 4);
    pw_hep_number(p, 11, 1, 1);
    pw_hep_number(p, 12, 2001, 4);
}

/* Memory whose end is the end of what may be read.  Release with guarded_free. */
typedef struct {
    uint8_t *map, *data;
    size_t map_size;
} guarded;

static inline guarded guarded_copy(const void *data, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (size + page - 1) / page * page;
    guarded g = {.map_size = whole + page};
    void *map = mmap(NULL, g.map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        abort();
    g.map = map;
    if (mprotect(g.map + whole, page, PROT_NONE) != 0)
        abort();
    g.data = g.map + whole - size;
    if (size)
        memcpy(g.data, data, size);
    return g;
}

static inline void guarded_free(guarded *g)
{
    munmap(g->map, g->map_size);
}

#endif
