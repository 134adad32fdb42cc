#include "capture/byte_stream.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { PACKED_WINDOW = 1 << 16 };

struct sg_byte_stream {
    int fd;
    bool waits;     /* a pipe or terminal: read() may block */
    bool looked;    /* the first bytes have been looked at */
    bool gzip, end; /* end: nothing follows what is in the window */
    bool cut, damaged;
    size_t start, stop; /* of the window */
    z_stream z;
    size_t packed_stop;
    bool packed_end, member; /* member: within a gzip member */
    char name[256];
    uint8_t packed[PACKED_WINDOW];
    uint8_t window[SG_BYTE_WINDOW];
};

sg_status sg_byte_stream_open(sg_byte_stream **out, const char *path)
{
    sg_byte_stream *s;
    struct stat info;
    bool standard = strcmp(path, "-") == 0;
    *out = NULL;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sg_fail(SG_E_IO, "cannot open '%s': %s", path, strerror(errno));
    if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
        if (!standard)
            close(fd);
        return sg_fail(SG_E_IO, "'%s' is a folder; name the capture files in it", path);
    }
    sg_status status = sg_alloc(&s, 1, "the window of a capture file");
    if (status != SG_OK) {
        if (!standard)
            close(fd);
        return status;
    }
    s->fd = fd;
    s->waits = !S_ISREG(info.st_mode);
    strncpy(s->name, standard ? "standard input" : path, sizeof s->name - 1);
    *out = s;
    return SG_OK;
}

void sg_byte_stream_close(sg_byte_stream *s)
{
    if (!s)
        return;
    if (s->gzip)
        inflateEnd(&s->z);
    if (s->fd != STDIN_FILENO)
        close(s->fd);
    free(s);
}

const char *sg_byte_stream_name(const sg_byte_stream *s)
{
    return s->name;
}

bool sg_byte_stream_cut(const sg_byte_stream *s)
{
    return s->cut;
}

/* Reads what there is, at most `room` bytes; *count 0 at the end or, with *waiting, when nothing came in
 * time. */
static sg_status read_some(sg_byte_stream *s, uint8_t *to, size_t room, int timeout_ms, size_t *count,
                           bool *waiting)
{
    *count = 0;
    for (;;) {
        if (s->waits && timeout_ms >= 0) {
            struct pollfd poll_one = {.fd = s->fd, .events = POLLIN};
            if (poll(&poll_one, 1, timeout_ms) <= 0) {
                *waiting = true;
                return SG_OK;
            }
        }
        ssize_t got = read(s->fd, to, room);
        if (got >= 0) {
            *count = (size_t)got;
            return SG_OK;
        }
        if (errno == EAGAIN) { /* a terminal or pipe that someone set non-blocking */
            *waiting = true;
            return SG_OK;
        }
        if (errno != EINTR)
            return sg_fail(SG_E_IO, "cannot read %s: %s", s->name, strerror(errno));
        if (timeout_ms >= 0 || s->waits) { /* let the caller handle the signal */
            *waiting = true;
            return SG_OK;
        }
    }
}

/* Begins the next gzip member if one follows; anything else after a member is ignored, as gzip does. */
static void next_member(sg_byte_stream *s)
{
    if (s->z.avail_in && s->z.next_in[0] == 0x1f) {
        inflateReset(&s->z);
        s->member = true;
    } else if (s->z.avail_in || s->packed_end) {
        s->end = true;
    }
}

static sg_status inflate_some(sg_byte_stream *s, int timeout_ms, bool *waiting)
{
    size_t count;
    if (s->damaged) { /* only now, so that what stands before the damage is read */
        s->end = true;
        return sg_fail(SG_E_FORMAT, "%s: damaged gzip data", s->name);
    }
    if (s->z.avail_in == 0 && !s->packed_end) {
        SG_TRY(read_some(s, s->packed, PACKED_WINDOW, timeout_ms, &count, waiting));
        if (*waiting)
            return SG_OK;
        s->packed_end = count == 0;
        s->z.next_in = s->packed;
        s->z.avail_in = (unsigned)count;
    }
    if (!s->member) {
        next_member(s);
        return SG_OK;
    }
    s->z.next_out = s->window + s->stop;
    s->z.avail_out = (unsigned)(SG_BYTE_WINDOW - s->stop);
    int result = inflate(&s->z, Z_NO_FLUSH);
    s->stop = SG_BYTE_WINDOW - s->z.avail_out;
    if (result == Z_STREAM_END) {
        s->member = false;
    } else if (result == Z_BUF_ERROR ||
               (result == Z_OK && s->z.avail_in == 0 && s->packed_end && s->z.avail_out)) {
        s->cut = s->end = s->packed_end;
    } else {
        s->damaged = result != Z_OK;
    }
    return SG_OK;
}

/* Looks for gzip once two bytes are there; what has been read becomes the packed input. */
static sg_status look_for_gzip(sg_byte_stream *s)
{
    if (s->looked || (s->stop < 2 && !s->end))
        return SG_OK;
    s->looked = true;
    if (s->stop < 2 || s->window[0] != 0x1f || s->window[1] != 0x8b)
        return SG_OK;
    if (inflateInit2(&s->z, 15 + 16) != Z_OK)
        return sg_fail(SG_E_MEMORY, "no memory to decompress %s", s->name);
    s->gzip = s->member = true;
    memcpy(s->packed, s->window, s->stop);
    s->z.next_in = s->packed;
    s->z.avail_in = (unsigned)s->stop;
    s->stop = 0;
    return SG_OK;
}

static sg_status fill(sg_byte_stream *s, int timeout_ms, bool *waiting)
{
    if (s->gzip)
        return inflate_some(s, timeout_ms, waiting);
    size_t count, room = SG_BYTE_WINDOW - s->stop;
    if (!s->looked && room > PACKED_WINDOW - s->stop)
        room = PACKED_WINDOW - s->stop;
    SG_TRY(read_some(s, s->window + s->stop, room, timeout_ms, &count, waiting));
    s->stop += count;
    s->end = count == 0 && !*waiting;
    return look_for_gzip(s);
}

sg_status sg_byte_stream_peek(sg_byte_stream *s, size_t need, int timeout_ms, const uint8_t **data,
                              size_t *available, bool *waiting)
{
    *waiting = false;
    if (s->stop - s->start < need && !s->end) {
        memmove(s->window, s->window + s->start, s->stop - s->start);
        s->stop -= s->start;
        s->start = 0;
        while (s->stop < need && !s->end && !*waiting)
            SG_TRY(fill(s, timeout_ms, waiting));
    }
    *data = s->window + s->start;
    *available = s->stop - s->start;
    return SG_OK;
}

void sg_byte_stream_skip(sg_byte_stream *s, size_t count)
{
    s->start += count;
}
