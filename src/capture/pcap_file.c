#include "capture/pcap_file.h"

#include "base/memory.h"
#include "capture/byte_stream.h"
#include "capture/filter.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_HEADER = 24, RECORD_HEADER = 16, CAPTURED_MAX = 262144 };

#define MAGIC_MICRO 0xa1b2c3d4u
#define MAGIC_NANO  0xa1b23c4du

struct sg_pcap_file {
    sg_byte_stream *stream;
    sg_counts *counts;
    pcap_t *pcap; /* NULL: plain pcap, read here */
    bool swapped; /* numbers are big-endian */
    uint32_t per_second;
    int link;
    uint64_t number; /* of the last packet */
    bool filtered;
    struct bpf_program program;
};

static uint32_t number32(const sg_pcap_file *f, const uint8_t *p)
{
    return f->swapped ? sg_be32(p) : sg_le32(p);
}

/* Whether the header is that of a plain pcap file of version 2.4. */
static bool read_plain_header(sg_pcap_file *f, const uint8_t *header, size_t available)
{
    if (available < FILE_HEADER)
        return false;
    for (int big = 0; big < 2; big++) {
        f->swapped = big;
        uint32_t magic = number32(f, header);
        f->per_second = magic == MAGIC_NANO ? 1000000000 : 1000000;
        if (magic == MAGIC_MICRO || magic == MAGIC_NANO) {
            f->link = sg_link_of_dlt((int)(number32(f, header + 20) & 0x3ffffff));
            return header[big ? 1 : 0] != 0 && header[big ? 5 : 4] == 2 && header[big ? 4 : 5] == 0 &&
                   header[big ? 7 : 6] == 4 && header[big ? 6 : 7] == 0;
        }
    }
    return false;
}

/* ---- what libpcap reads: through a FILE over the byte stream ---- */

static ssize_t cookie_read(void *cookie, char *to, size_t size)
{
    const uint8_t *data;
    size_t available;
    bool waiting;
    do { /* libpcap cannot wait in the middle of a block: a signal does not end this wait */
        if (sg_byte_stream_peek(cookie, 1, -1, &data, &available, &waiting) != SG_OK)
            return -1;
    } while (waiting);
    if (available > size)
        available = size;
    memcpy(to, data, available);
    sg_byte_stream_skip(cookie, available);
    return (ssize_t)available;
}

static sg_status open_with_libpcap(sg_pcap_file *f)
{
    char text[PCAP_ERRBUF_SIZE] = "";
    cookie_io_functions_t functions = {.read = cookie_read};
    FILE *in = fopencookie(f->stream, "r", functions);
    if (!in)
        return sg_fail(SG_E_MEMORY, "no memory to read %s", sg_byte_stream_name(f->stream));
    f->pcap = pcap_fopen_offline(in, text);
    if (!f->pcap) {
        fclose(in);
        return sg_fail(SG_E_FORMAT, "%s is not a capture file: %s", sg_byte_stream_name(f->stream), text);
    }
    f->link = sg_link_of_dlt(pcap_datalink(f->pcap));
    return SG_OK;
}

/* ---- open and close ---- */

static sg_status open_header(sg_pcap_file *f)
{
    const uint8_t *header;
    size_t available;
    bool waiting;
    do {
        SG_TRY(sg_byte_stream_peek(f->stream, FILE_HEADER, -1, &header, &available, &waiting));
    } while (waiting);
    const char *name = sg_byte_stream_name(f->stream);
    if (available == 0)
        return sg_fail(SG_E_FORMAT, "%s is empty, not a capture file", name);
    if (read_plain_header(f, header, available)) {
        sg_byte_stream_skip(f->stream, FILE_HEADER);
        return SG_OK;
    }
    if (available < 4)
        return sg_fail(SG_E_FORMAT, "%s is not a capture file: only %zu bytes", name, available);
    return open_with_libpcap(f);
}

static sg_status compile_filter(sg_pcap_file *f, const char *filter)
{
    if (!filter || !*filter)
        return SG_OK;
    pcap_t *dead =
        f->pcap ? f->pcap : pcap_open_dead(f->link == SG_LINK_RAW ? DLT_RAW : f->link, CAPTURED_MAX);
    if (!dead)
        return sg_fail(SG_E_MEMORY, "no memory for a filter");
    sg_status status = sg_filter_compile(&f->program, dead, filter);
    f->filtered = status == SG_OK;
    if (dead != f->pcap)
        pcap_close(dead);
    return status;
}

sg_status sg_pcap_file_open(sg_pcap_file **out, const char *path, const char *filter, sg_counts *counts)
{
    sg_pcap_file *f;
    *out = NULL;
    SG_TRY(sg_alloc(&f, 1, "a capture file"));
    f->counts = counts;
    sg_status status;
    SG_TRY_GOTO(status, fail, sg_byte_stream_open(&f->stream, path));
    SG_TRY_GOTO(status, fail, open_header(f));
    SG_TRY_GOTO(status, fail, compile_filter(f, filter));
    *out = f;
    return SG_OK;
fail:
    sg_pcap_file_close(f);
    return status;
}

void sg_pcap_file_close(sg_pcap_file *f)
{
    if (!f)
        return;
    if (f->filtered)
        pcap_freecode(&f->program);
    if (f->pcap)
        pcap_close(f->pcap);
    sg_byte_stream_close(f->stream);
    free(f);
}

const char *sg_pcap_file_name(const sg_pcap_file *f)
{
    return sg_byte_stream_name(f->stream);
}

/* ---- packets ---- */

static sg_status end_of_file(sg_pcap_file *f, bool cut, sg_read *read)
{
    if (cut || sg_byte_stream_cut(f->stream))
        SG_COUNT(f->counts, FILE_TRUNCATED);
    *read = SG_READ_END;
    return SG_OK;
}

static sg_status next_plain(sg_pcap_file *f, int timeout_ms, sg_read *read, sg_packet *packet)
{
    const uint8_t *record;
    size_t available;
    bool waiting, bad;
    SG_TRY(sg_byte_stream_peek(f->stream, RECORD_HEADER, timeout_ms, &record, &available, &waiting));
    *read = SG_READ_NOTHING;
    if (waiting)
        return SG_OK;
    if (available < RECORD_HEADER)
        return end_of_file(f, available > 0, read);
    uint32_t captured = number32(f, record + 8);
    if (captured > CAPTURED_MAX)
        return sg_fail(SG_E_FORMAT, "%s: packet %llu claims %u bytes: the file is damaged from there on",
                       sg_byte_stream_name(f->stream), (unsigned long long)f->number + 1, captured);
    SG_TRY(
        sg_byte_stream_peek(f->stream, RECORD_HEADER + captured, timeout_ms, &record, &available, &waiting));
    if (waiting)
        return SG_OK;
    if (available < RECORD_HEADER + captured)
        return end_of_file(f, true, read);
    packet->time_us = sg_time_us(number32(f, record), number32(f, record + 4), f->per_second, &bad);
    f->counts->count[SG_COUNT_BAD_TIME] += bad;
    packet->data = record + RECORD_HEADER;
    packet->captured = captured;
    packet->length = number32(f, record + 12);
    packet->link = f->link;
    sg_byte_stream_skip(f->stream, RECORD_HEADER + captured);
    *read = SG_READ_PACKET;
    return SG_OK;
}

static sg_status libpcap_fault(sg_pcap_file *f, sg_read *read)
{
    const char *text = pcap_geterr(f->pcap), *name = sg_byte_stream_name(f->stream);
    unsigned long long number = (unsigned long long)f->number + 1;
    if (strstr(text, "truncated"))
        return end_of_file(f, true, read);
    if (strstr(text, "interface"))
        return sg_fail(
            SG_E_FORMAT,
            "%s: packet %llu: %s; libpcap cannot read a file of several interfaces that differ: split "
            "it by interface (tshark -Y frame.interface_id==0 -w)",
            name, number, text);
    return sg_fail(SG_E_FORMAT, "%s: packet %llu: %s", name, number, text);
}

static sg_status next_of_libpcap(sg_pcap_file *f, sg_read *read, sg_packet *packet)
{
    struct pcap_pkthdr *header;
    const uint8_t *data;
    int result = pcap_next_ex(f->pcap, &header, &data);
    if (result == PCAP_ERROR_BREAK)
        return end_of_file(f, false, read);
    if (result != 1)
        return libpcap_fault(f, read);
    bool bad;
    packet->time_us = sg_time_us((uint32_t)header->ts.tv_sec, (uint32_t)header->ts.tv_usec, 1000000, &bad);
    f->counts->count[SG_COUNT_BAD_TIME] += bad;
    packet->data = data;
    packet->captured = header->caplen;
    packet->length = header->len;
    packet->link = f->link;
    *read = SG_READ_PACKET;
    return SG_OK;
}

/* Whether the filter lets the packet pass. */
static bool passes(const sg_pcap_file *f, const sg_packet *packet)
{
    struct pcap_pkthdr header = {.caplen = packet->captured, .len = packet->length};
    return pcap_offline_filter(&f->program, &header, packet->data) != 0;
}

sg_status sg_pcap_file_next(sg_pcap_file *f, int timeout_ms, sg_read *read, sg_packet *packet)
{
    SG_TRY(f->pcap ? next_of_libpcap(f, read, packet) : next_plain(f, timeout_ms, read, packet));
    if (*read != SG_READ_PACKET)
        return SG_OK;
    f->number++;
    if (f->filtered && !passes(f, packet)) {
        SG_COUNT(f->counts, FILTERED);
        *read = SG_READ_FILTERED;
    }
    return SG_OK;
}
