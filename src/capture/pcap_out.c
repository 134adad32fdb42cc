#include "capture/pcap_out.h"

#include "base/memory.h"
#include "capture/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SNAPLEN = 262144, MADE_MAX = 65535, LINK_MAX = 20, UDP_HEADER = 8 };

struct sg_pcap_out {
    FILE *file;
    bool begun, failed; /* begun: the header is written, the link type chosen */
    int link;
    uint64_t written, lost;
    char name[256];
    uint8_t made[LINK_MAX + MADE_MAX];
};

sg_status sg_pcap_out_open(sg_pcap_out **out, const char *path, bool force)
{
    sg_pcap_out *o;
    bool standard = strcmp(path, "-") == 0;
    *out = NULL;
    SG_TRY(sg_alloc(&o, 1, "the output capture"));
    strncpy(o->name, standard ? "standard output" : path, sizeof o->name - 1);
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL);
    int fd = standard ? dup(STDOUT_FILENO) : open(path, flags, 0640);
    o->file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (!o->file) {
        sg_status status = errno == EEXIST
                               ? sg_fail(SG_E_IO, "'%s' exists already; --force overwrites it", path)
                               : sg_fail(SG_E_IO, "cannot write '%s': %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        free(o);
        return status;
    }
    *out = o;
    return SG_OK;
}

static sg_status give_up(sg_pcap_out *o)
{
    o->failed = true;
    o->lost++;
    return sg_fail(SG_E_IO, "cannot write '%s': %s; no more messages are written to it", o->name,
                   strerror(errno));
}

/* A pcap header, then records of one link type. */
static bool write_header(sg_pcap_out *o, int link)
{
    struct {
        uint32_t magic;
        uint16_t major, minor;
        uint32_t zone, accuracy, snaplen, link;
    } header = {0xa1b2c3d4, 2, 4, 0, 0, SNAPLEN, (uint32_t)link};
    o->link = link;
    o->begun = true;
    return fwrite(&header, sizeof header, 1, o->file) == 1;
}

static sg_status write_record(sg_pcap_out *o, int64_t time_us, const uint8_t *data, uint32_t captured,
                              uint32_t length)
{
    uint32_t record[4] = {(uint32_t)(time_us / 1000000), (uint32_t)(time_us % 1000000), captured, length};
    if (fwrite(record, sizeof record, 1, o->file) != 1 ||
        (captured && fwrite(data, captured, 1, o->file) != 1) || fflush(o->file) != 0)
        return give_up(o);
    o->written++;
    return SG_OK;
}

static void put16(uint8_t *p, size_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

/* A link header before IP of this version; its size.  Links that cannot be made are not chosen for the file.
 */
static size_t put_link(int link, bool six, uint8_t *p)
{
    size_t type = six ? 0x86dd : 0x0800;
    memset(p, 0, LINK_MAX);
    switch (link) {
    case SG_LINK_ETHERNET:
        put16(p + 12, type);
        return 14;
    case SG_LINK_SLL:
        put16(p + 14, type);
        return 16;
    case SG_LINK_SLL2:
        put16(p, type);
        return 20;
    default:
        return 0;
    }
}

static bool can_make(int link)
{
    return link == SG_LINK_ETHERNET || link == SG_LINK_SLL || link == SG_LINK_SLL2 || link == SG_LINK_RAW;
}

static void put_ip4_sum(uint8_t *ip)
{
    uint32_t sum = 0;
    for (int i = 0; i < 20; i += 2)
        sum += sg_be16(ip + i);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    put16(ip + 10, ~sum & 0xffff);
}

static size_t put_ip(const sg_flow *flow, size_t size, uint8_t *p)
{
    if (flow->source.family == 6) {
        memset(p, 0, 40);
        p[0] = 0x60;
        put16(p + 4, size);
        p[6] = 17;
        p[7] = 64;
        memcpy(p + 8, flow->source.address, 16);
        memcpy(p + 24, flow->destination.address, 16);
        return 40;
    }
    memset(p, 0, 20);
    p[0] = 0x45;
    put16(p + 2, 20 + size);
    p[8] = 64;
    p[9] = 17;
    memcpy(p + 12, flow->source.address, 4);
    memcpy(p + 16, flow->destination.address, 4);
    put_ip4_sum(p);
    return 20;
}

sg_status sg_pcap_out_write_message(sg_pcap_out *o, const sg_flow *flow, const char *data, size_t length)
{
    if (o->failed) {
        o->lost++;
        return SG_OK;
    }
    if (!o->begun && !write_header(o, SG_LINK_RAW))
        return give_up(o);
    bool six = flow->source.family == 6;
    size_t at = put_link(o->link, six, o->made), room = MADE_MAX - (six ? 40u : 20u) - UDP_HEADER;
    size_t kept = length < room ? length : room;
    at += put_ip(flow, UDP_HEADER + kept, o->made + at);
    put16(o->made + at, flow->source.port);
    put16(o->made + at + 2, flow->destination.port);
    put16(o->made + at + 4, UDP_HEADER + kept);
    put16(o->made + at + 6, 0);
    memcpy(o->made + at + UDP_HEADER, data, kept);
    at += UDP_HEADER + kept;
    return write_record(o, flow->time_us, o->made, (uint32_t)at, (uint32_t)(at + length - kept));
}

sg_status sg_pcap_out_write(sg_pcap_out *o, const sg_capture_item *item)
{
    if (o->failed) {
        o->lost++;
        return SG_OK;
    }
    bool whole = item->frame && item->frame_whole;
    if (!o->begun && !write_header(o, whole && can_make(item->frame_link) ? item->frame_link : SG_LINK_RAW))
        return give_up(o);
    if (!whole || item->frame_link != o->link)
        return sg_pcap_out_write_message(o, &item->flow, item->data, item->length);
    return write_record(o, item->frame_time_us, item->frame, item->frame_captured, item->frame_length);
}

void sg_pcap_out_counts(const sg_pcap_out *o, uint64_t *written, uint64_t *lost)
{
    *written = o->written;
    *lost = o->lost;
}

sg_status sg_pcap_out_close(sg_pcap_out *o)
{
    if (!o)
        return SG_OK;
    sg_status status = SG_OK;
    if (!o->begun && !o->failed)
        write_header(o, SG_LINK_RAW); /* a file without messages is still a capture file */
    if (fclose(o->file) != 0 && !o->failed)
        status = sg_fail(SG_E_IO, "cannot write '%s': %s", o->name, strerror(errno));
    free(o);
    return status;
}
