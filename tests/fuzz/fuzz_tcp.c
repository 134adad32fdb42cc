/* Segments of two streams: steps of five bytes (stream and flags, sequence, length, time) and their data. */
#include "capture/tcp.h"

#include "capture/packet.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES_MAX = 65536 };

static void take(sg_tcp *tcp)
{
    sg_tcp_message message;
    uint64_t streams, bytes;
    volatile uint8_t sum = 0;
    while (sg_tcp_next(tcp, &message))
        for (size_t i = 0; i < message.size; i++)
            sum = (uint8_t)(sum + message.data[i]);
    sg_tcp_held(tcp, &streams, &bytes);
    if (streams > 4 || bytes > BYTES_MAX)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sg_tcp_options options = {
        .streams_max = 4, .bytes_max = BYTES_MAX, .message_max = 4096, .gap_us = 1000, .hep = true};
    sg_counts counts = {0};
    sg_tcp *tcp;
    sg_endpoint source = {.family = 4}, destination = {.family = 4};
    int64_t now = 0;
    if (sg_tcp_open(&tcp, &options, &counts) != SG_OK)
        return 0;
    while (size >= 5) {
        size_t length = data[3] < size - 5 ? data[3] : size - 5;
        uint8_t *copy = malloc(length ? length : 1);
        memcpy(copy, data + 5, length);
        source.port = data[0] >> 5;
        now += data[4] * 10;
        sg_tcp_segment segment = {.source = &source,
                                  .destination = &destination,
                                  .sequence = 0xffffff00u + sg_be16(data + 1) * (data[0] & 16 ? 65521u : 1u),
                                  .flags = data[0] & 7,
                                  .data = copy,
                                  .size = length,
                                  .time_us = now};
        sg_tcp_add(tcp, &segment);
        take(tcp);
        free(copy);
        data += 5 + length, size -= 5 + length;
    }
    sg_tcp_finish(tcp);
    take(tcp);
    sg_tcp_close(tcp);
    return 0;
}
