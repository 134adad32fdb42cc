/* A capture file of any kind: pcap, pcapng, gzip. */
#include "capture/capture.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    const char *files[] = {path};
    sg_capture *capture;
    sg_capture_options options;
    sg_capture_event event = SG_CAPTURE_MESSAGE;
    sg_capture_item item;
    int fd = memfd_create("capture", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    sg_capture_defaults(&options);
    options.files = files;
    options.file_count = 1;
    options.tcp_streams_max = 8;
    options.fragments_max = 4;
    if (write(fd, data, size) == (ssize_t)size && sg_capture_open(&capture, &options) == SG_OK) {
        while (event != SG_CAPTURE_END)
            if (sg_capture_next(capture, -1, &event, &item) != SG_OK)
                event = SG_CAPTURE_TIME_OUT;
        sg_capture_close(capture);
    }
    close(fd);
    return 0;
}
