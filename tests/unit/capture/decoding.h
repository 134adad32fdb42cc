/* decoding.h: a decoder, the messages it gave and its counts, for tests of the capture room. */
#ifndef SG_TEST_DECODING_H
#define SG_TEST_DECODING_H

#include "capture/capture.h"
#include "capture/decoder.h"
#include "packet_writer.h"
#include "testing.h"

enum { KEPT = 64 };

typedef struct {
    sg_capture_options options;
    sg_counts counts;
    sg_decoder *decoder;
    int64_t time_us;
    int messages; /* all; the first KEPT are in item and text */
    sg_capture_item item[KEPT];
    char text[KEPT][160]; /* the beginning of the message */
} decoding;

#define COUNTED(d, NAME) ((d)->counts.count[SG_COUNT_##NAME])

static inline decoding *decoding_open(const sg_capture_options *options)
{
    decoding *d = calloc(1, sizeof *d);
    assert_non_null(d);
    sg_capture_defaults(&d->options);
    if (options)
        d->options = *options;
    d->time_us = 1700000000000000;
    assert_ok(sg_decoder_open(&d->decoder, &d->options, &d->counts));
    return d;
}

static inline void decoding_close(decoding *d)
{
    sg_decoder_close(d->decoder);
    free(d);
}

static inline void take_messages(decoding *d)
{
    sg_capture_item item;
    while (sg_decoder_next(d->decoder, &item)) {
        volatile char sum = 0; /* every byte can be read */
        for (size_t i = 0; i < item.length; i++)
            sum = (char)(sum + item.data[i]);
        if (d->messages < KEPT) {
            d->item[d->messages] = item;
            snprintf(d->text[d->messages], sizeof d->text[0], "%.*s", (int)item.length, item.data);
        }
        d->messages++;
    }
}

/* Decodes bytes that end where readable memory ends. */
static inline void decode_bytes(decoding *d, const uint8_t *data, size_t size, size_t length, int link)
{
    guarded g = guarded_copy(data, size);
    sg_packet packet = {.data = g.data,
                        .captured = (uint32_t)size,
                        .length = (uint32_t)length,
                        .link = link,
                        .time_us = d->time_us};
    sg_decoder_packet(d->decoder, &packet);
    take_messages(d);
    guarded_free(&g);
}

static inline void decode(decoding *d, const pw_packet *p, int link)
{
    decode_bytes(d, p->at, p->size, p->size, link);
}

/* What of every count a test does not expect; for messages of failures. */
static inline void print_counts(const decoding *d)
{
    for (int i = 0; i < SG_COUNT_NUMBER; i++)
        if (d->counts.count[i])
            print_message("%s %llu\n", sg_count_name((sg_count)i), (unsigned long long)d->counts.count[i]);
}

#define OPTIONS "OPTIONS sip:a@b SIP/2.0\r\nCall-ID: 1@x\r\nContent-Length: 0\r\n\r\n"

#endif
