/* A HEP datagram to a listener, with and without a key, and the framing of streams. */
#include "capture/decoder.h"
#include "capture/hep.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void receive(const uint8_t *data, size_t size, const char *key)
{
    sg_capture_options options;
    sg_counts counts = {0};
    sg_decoder *decoder;
    sg_capture_item item;
    volatile char sum = 0;
    sg_capture_defaults(&options);
    options.tcp_streams_max = 2;
    options.fragments_max = 1;
    if (sg_decoder_open(&decoder, &options, &counts) != SG_OK)
        return;
    sg_decoder_hep(decoder, data, size, key, 1700000000000000);
    while (sg_decoder_next(decoder, &item))
        for (size_t i = 0; i < item.length; i++)
            sum = (char)(sum + item.data[i]);
    sg_decoder_close(decoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t length;
    uint8_t *copy = malloc(size ? size : 1);
    if (size)
        memcpy(copy, data, size);
    receive(copy, size, NULL);
    receive(copy, size, "key");
    if (sg_hep_frame(copy, size, &length) > 0 && length > size)
        abort();
    sg_hep_begins(copy, size);
    free(copy);
    return 0;
}
