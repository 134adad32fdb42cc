/* files.h: writes capture files for tests, right or wrong on purpose, and reads captures to their end. */
#ifndef SG_TEST_FILES_H
#define SG_TEST_FILES_H

#include "capture/capture.h"
#include "packet_writer.h"
#include "testing.h"

#include <zlib.h>

/* Bytes that grow. */
typedef struct {
    uint8_t *data;
    size_t size;
} blob;

static inline void blob_add(blob *b, const void *data, size_t size)
{
    b->data = realloc(b->data, b->size + size + 1);
    assert_non_null(b->data);
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

static inline void blob_free(blob *b)
{
    free(b->data);
    *b = (blob){0};
}

/* A number of four bytes in this byte order. */
static inline void blob_add32(blob *b, uint32_t value, bool big)
{
    uint8_t bytes[4];
    pw_put32(bytes, value);
    if (!big) {
        uint8_t swapped[4] = {bytes[3], bytes[2], bytes[1], bytes[0]};
        memcpy(bytes, swapped, 4);
    }
    blob_add(b, bytes, 4);
}

static inline void pcap_begin(blob *b, bool big, bool nano, uint32_t link)
{
    blob_add32(b, nano ? 0xa1b23c4d : 0xa1b2c3d4, big);
    blob_add(b, big ? "\0\2\0\4" : "\2\0\4\0", 4);
    blob_add32(b, 0, big);
    blob_add32(b, 0, big);
    blob_add32(b, 65535, big);
    blob_add32(b, link, big);
}

static inline void pcap_record(blob *b, bool big, uint32_t seconds, uint32_t fraction, const pw_packet *p)
{
    blob_add32(b, seconds, big);
    blob_add32(b, fraction, big);
    blob_add32(b, (uint32_t)p->size, big);
    blob_add32(b, (uint32_t)p->size, big);
    blob_add(b, p->at, p->size);
}

/* An OPTIONS from 10.0.0.1 in a RAW packet, whose Call-ID is `id`. */
static inline void options_packet(pw_packet *p, int id)
{
    char text[200];
    snprintf(text, sizeof text, "OPTIONS sip:a@b SIP/2.0\r\nCall-ID: %d\r\n\r\n", id);
    pw_text(p, text);
    pw_udp(p, 5060, 5060);
    pw_ip4(p, "10.0.0.1", "10.0.0.2", 17);
}

/* A little-endian pcap file with `count` OPTIONS, from Call-ID `first` on. */
static inline void pcap_simple(blob *b, int first, int count)
{
    pw_packet *p = malloc(sizeof *p);
    pcap_begin(b, false, false, 101);
    for (int i = 0; i < count; i++) {
        options_packet(p, first + i);
        pcap_record(b, false, 1700000000u + (uint32_t)i, 250000, p);
    }
    free(p);
}

static inline void blob_write(const blob *b, const char *path)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(b->data, 1, b->size, out), b->size);
    fclose(out);
}

static inline void blob_write_gzip(const blob *b, const char *path, const char *mode)
{
    gzFile out = gzopen(path, mode);
    assert_non_null(out);
    assert_int_equal(gzwrite(out, b->data, (unsigned)b->size), (int)b->size);
    gzclose(out);
}

/* What reading to the end gave. */
typedef struct {
    int messages;
    char ids[1000]; /* "1 2 3", of the first hundred */
    int64_t first_us, last_us;
    sg_counts counts;
    sg_status status; /* the last error */
} reading;

static inline void read_to_the_end(sg_capture *capture, reading *r)
{
    sg_capture_event event = SG_CAPTURE_MESSAGE;
    sg_capture_item item;
    memset(r, 0, sizeof *r);
    while (event != SG_CAPTURE_END) {
        sg_status status = sg_capture_next(capture, -1, &event, &item);
        if (status != SG_OK) {
            r->status = status;
            continue;
        }
        if (event != SG_CAPTURE_MESSAGE)
            continue;
        char text[200];
        snprintf(text, sizeof text, "%.*s", (int)item.length, item.data);
        const char *at = strstr(text, "Call-ID: ");
        if (r->messages < 100)
            snprintf(r->ids + strlen(r->ids), sizeof r->ids - strlen(r->ids), "%s%d", r->messages ? " " : "",
                     at ? atoi(at + 9) : -1);
        if (r->messages++ == 0)
            r->first_us = item.flow.time_us;
        r->last_us = item.flow.time_us;
    }
    sg_capture_counts(capture, &r->counts);
}

/* Opens these files (up to NULL), reads them all, closes them. */
static inline void read_files(reading *r, const char *const *paths, const char *filter)
{
    sg_capture *capture;
    sg_capture_options options;
    sg_capture_defaults(&options);
    options.files = paths;
    options.filter = filter;
    while (paths[options.file_count])
        options.file_count++;
    assert_ok(sg_capture_open(&capture, &options));
    read_to_the_end(capture, r);
    sg_capture_close(capture);
}

#define FILES(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

#endif
