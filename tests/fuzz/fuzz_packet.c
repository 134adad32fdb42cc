/* Packets of every link type through the decoder: one byte for the link, then packets, each after two bytes
 * of its length. */
#include "capture/decoder.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every message lies in readable memory. */
static void take(sg_decoder *decoder)
{
    sg_capture_item item;
    volatile char sum = 0;
    while (sg_decoder_next(decoder, &item))
        for (size_t i = 0; i < item.length; i++)
            sum = (char)(sum + item.data[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int links[] = {SG_LINK_ETHERNET, SG_LINK_RAW,  SG_LINK_SLL,
                                SG_LINK_SLL2,     SG_LINK_NULL, SG_LINK_PPP};
    sg_capture_options options;
    sg_counts counts = {0};
    sg_decoder *decoder;
    sg_capture_defaults(&options);
    options.tcp_streams_max = 8;
    options.fragments_max = 4;
    options.duplicate_window_us = 10;
    if (size < 1 || sg_decoder_open(&decoder, &options, &counts) != SG_OK)
        return 0;
    int link = links[data[0] % 6];
    int64_t time_us = 0;
    for (data++, size--; size >= 2;) {
        size_t wanted = sg_be16(data), length = wanted < size - 2 ? wanted : size - 2;
        uint8_t *copy = malloc(length ? length : 1); /* so that a byte too far is found */
        memcpy(copy, data + 2, length);
        sg_packet packet = {.data = copy,
                            .captured = (uint32_t)length,
                            .length = (uint32_t)wanted,
                            .link = link,
                            .time_us = time_us += 1000};
        sg_decoder_packet(decoder, &packet);
        take(decoder);
        free(copy);
        data += 2 + length, size -= 2 + length;
    }
    sg_decoder_finish(decoder);
    take(decoder);
    sg_decoder_close(decoder);
    return 0;
}
