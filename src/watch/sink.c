#include "watch/sink.h"

#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define RETRY_S      1.0
#define WARN_S       60.0
#define LONG_AGO     (-1e9)
#define IMPATIENT_MS 100
#define FAREWELL_MS  1000

static const char *title(const sg_sink *sink)
{
    return strcmp(sink->path, "-") == 0 ? "standard output" : sink->path;
}

/* ---- Outages ---- */

static void fails(sg_sink *sink, int error)
{
    double now = sg_seconds();
    if (!sink->down && now - sink->warned_at >= WARN_S) {
        sg_warn("%s: %s; alerts for it are lost until it takes them again", title(sink),
                error == EAGAIN ? "its reader does not keep up" : strerror(error));
        sink->warned_at = now;
    }
    sink->down = true;
}

static void loses(sg_sink *sink, uint64_t lines)
{
    sink->lost += lines;
    sink->missed += lines;
}

static void works(sg_sink *sink)
{
    if (sink->down && sink->missed)
        sg_note("%s takes alerts again; %llu were lost", title(sink), (unsigned long long)sink->missed);
    sink->down = false;
    sink->missed = 0;
}

/* ---- Files and pipes ---- */

static sg_status set_path(sg_sink *sink, const char *path, sg_sink_kind kind, size_t limit)
{
    memset(sink, 0, sizeof *sink);
    sink->kind = kind;
    sink->fd = -1;
    sink->owned = true;
    sink->tried_at = sink->warned_at = LONG_AGO;
    if (strlen(path) >= limit)
        return sg_fail(SG_E_USAGE, "the path '%.60s...' for alerts is longer than %zu bytes", path,
                       limit - 1);
    strcpy(sink->path, path);
    return SG_OK;
}

/* Not to wait for the reader of a FIFO, nor to make a terminal ours. */
static int open_path(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

static void look_at(sg_sink *sink)
{
    struct stat info;
    sink->pipe = fstat(sink->fd, &info) != 0 || !S_ISREG(info.st_mode);
}

sg_status sg_sink_open_file(sg_sink *sink, const char *path, bool patient)
{
    SG_TRY(set_path(sink, path, SG_SINK_FILE, sizeof sink->path));
    sink->patient = patient;
    if (strcmp(path, "-") == 0) {
        sink->fd = STDOUT_FILENO;
        sink->owned = false;
        fflush(stdout); /* what was said before comes before */
    } else if ((sink->fd = open_path(path)) < 0) {
        int error = errno;
        sink->kind = SG_SINK_NONE;
        return sg_fail(SG_E_IO, "cannot open '%s' for alerts: %s", path,
                       error == ENXIO ? "nobody reads this pipe or socket (a socket is given as unix:PATH)"
                                      : strerror(error));
    }
    look_at(sink);
    return SG_OK;
}

/* writev() that gives EPIPE and EFBIG instead of the signals for them, which would end the process.  The
 * disposition of signals belongs to the process and is left alone. */
static ssize_t write_quietly(int fd, const struct iovec *parts, int count)
{
    sigset_t ours, before, pending;
    sigemptyset(&ours);
    sigaddset(&ours, SIGPIPE);
    sigaddset(&ours, SIGXFSZ);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &ours, &before);
    ssize_t n;
    do
        n = writev(fd, parts, count);
    while (n < 0 && errno == EINTR);
    int error = n < 0 ? errno : 0;
    if (error == EPIPE || error == EFBIG) {
        if (sigismember(&pending, SIGPIPE))
            sigdelset(&ours, SIGPIPE);
        if (sigismember(&pending, SIGXFSZ))
            sigdelset(&ours, SIGXFSZ);
        while (sigtimedwait(&ours, NULL, &(struct timespec){0, 0}) < 0 && errno == EINTR)
            ;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return n;
}

/* Waits until the reader of a pipe has made room; a signal ends the patience.  0 or an error number. */
static int wait_for_reader(const sg_sink *sink)
{
    int timeout = sink->patient ? -1 : sink->down ? 0 : IMPATIENT_MS;
    for (;;) {
        struct pollfd fd = {sink->fd, POLLOUT, 0};
        int n = poll(&fd, 1, timeout);
        if (n > 0)
            return 0;
        if (n == 0)
            return EAGAIN;
        if (errno != EINTR)
            return errno;
        timeout = timeout < 0 ? FAREWELL_MS : timeout;
    }
}

/* Writes to a pipe in pieces that it takes whole or not at all, so that none of them blocks. */
static int write_pipe(sg_sink *sink, const char *data, size_t length, size_t *done)
{
    while (*done < length) {
        int error = wait_for_reader(sink);
        if (error)
            return error;
        size_t piece = length - *done < PIPE_BUF ? length - *done : PIPE_BUF;
        ssize_t n = write_quietly(sink->fd, &(struct iovec){(void *)(data + *done), piece}, 1);
        if (n < 0 && !(errno == EAGAIN && sink->patient))
            return errno;
        *done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* One write for the whole line: with O_APPEND, lines of several processes do not mix. */
static int write_regular(sg_sink *sink, const char *data, size_t length, size_t *done)
{
    struct iovec parts[2] = {{"\n", 1}, {(void *)data, length}};
    size_t ending = sink->torn ? 1 : 0;
    ssize_t n = write_quietly(sink->fd, parts + !ending, 1 + (int)ending);
    if (n < 0)
        return errno;
    *done = (size_t)n < ending ? 0 : (size_t)n - ending;
    if (n > 0)
        sink->torn = false;
    return *done < length ? ENOSPC : 0;
}

static void write_file(sg_sink *sink, const char *line, size_t length)
{
    size_t done = 0;
    int error = 0;
    if (sink->pipe && sink->torn) {
        error = write_pipe(sink, "\n", 1, &done);
        sink->torn = done == 0;
        done = 0;
    }
    if (!error)
        error = (sink->pipe ? write_pipe : write_regular)(sink, line, length, &done);
    if (done > 0 && done < length)
        sink->torn = true;
    if (!error) {
        works(sink);
        return;
    }
    fails(sink, error);
    loses(sink, 1);
}

void sg_sink_reopen(sg_sink *sink)
{
    if (sink->kind != SG_SINK_FILE || !sink->owned)
        return;
    int fd = open_path(sink->path);
    if (fd < 0) {
        sg_warn("%s cannot be opened again: %s; the old file goes on", title(sink), strerror(errno));
        return;
    }
    close(sink->fd);
    sink->fd = fd;
    sink->torn = false;
    look_at(sink);
}

/* ---- Sockets ---- */

/* 0 or an error number. */
static int connect_socket(sg_sink *sink)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, sink->path, strlen(sink->path));
    int type = sink->kind == SG_SINK_STREAM ? SOCK_STREAM : SOCK_DGRAM;
    sink->tried_at = sg_seconds();
    sink->fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (sink->fd < 0)
        return errno;
    if (connect(sink->fd, (struct sockaddr *)&address, sizeof address) == 0)
        return 0;
    int error = errno;
    close(sink->fd);
    sink->fd = -1;
    return error;
}

/* Forgets the connection; what had been sent in part can not go on in another. */
static void disconnect(sg_sink *sink)
{
    close(sink->fd);
    sink->fd = -1;
    if (!sink->mid_line)
        return;
    char *end = memchr(sink->pending, '\n', sink->pending_length);
    size_t rest = end ? (size_t)(end + 1 - sink->pending) : sink->pending_length;
    memmove(sink->pending, sink->pending + rest, sink->pending_length -= rest);
    sink->mid_line = false;
    loses(sink, 1);
}

/* Connects if that is due; whether there is a connection. */
static bool is_connected(sg_sink *sink)
{
    if (sink->fd >= 0)
        return true;
    if (sg_seconds() - sink->tried_at < RETRY_S)
        return false;
    int error = connect_socket(sink);
    if (error)
        fails(sink, error);
    return !error;
}

static void send_pending(sg_sink *sink)
{
    while (sink->pending_length && is_connected(sink)) {
        ssize_t n = send(sink->fd, sink->pending, sink->pending_length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            sink->mid_line = n > 0 ? sink->pending[n - 1] != '\n' : sink->mid_line;
            memmove(sink->pending, sink->pending + n, sink->pending_length -= (size_t)n);
            works(sink);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR) {
            int error = errno;
            disconnect(sink);
            fails(sink, error);
        }
    }
}

static void write_stream(sg_sink *sink, const char *line, size_t length)
{
    if (length > SG_SINK_PENDING - sink->pending_length) {
        send_pending(sink);
        if (length > SG_SINK_PENDING - sink->pending_length) {
            fails(sink, EAGAIN);
            loses(sink, 1);
            return;
        }
    }
    memcpy(sink->pending + sink->pending_length, line, length);
    sink->pending_length += length;
    send_pending(sink);
}

/* The log may have been started anew since: then once more. */
static void write_datagram(sg_sink *sink, const char *line, size_t length)
{
    int error = ENOTCONN;
    for (int attempt = 0; attempt < 2 && is_connected(sink); attempt++) {
        if (send(sink->fd, line, length, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
            works(sink);
            return;
        }
        error = errno;
        if (error == EAGAIN || error == EWOULDBLOCK || error == EMSGSIZE)
            break;
        disconnect(sink);
    }
    fails(sink, error);
    loses(sink, 1);
}

sg_status sg_sink_open_stream(sg_sink *sink, const char *path)
{
    SG_TRY(set_path(sink, path, SG_SINK_STREAM, sizeof((struct sockaddr_un *)NULL)->sun_path));
    SG_TRY(sg_alloc(&sink->pending, SG_SINK_PENDING, "alerts that wait"));
    int error = connect_socket(sink);
    if (error) {
        sg_warn("%s: %s; alerts wait until somebody listens there", path, strerror(error));
        sink->warned_at = sg_seconds();
        sink->down = true;
    }
    return SG_OK;
}

sg_status sg_sink_open_datagram(sg_sink *sink, const char *path)
{
    SG_TRY(set_path(sink, path, SG_SINK_DATAGRAM, sizeof((struct sockaddr_un *)NULL)->sun_path));
    int error = connect_socket(sink);
    if (error) {
        sink->kind = SG_SINK_NONE;
        return sg_fail(SG_E_IO, "cannot reach the system's log at '%s': %s", path, strerror(error));
    }
    return SG_OK;
}

/* ---- All kinds ---- */

void sg_sink_write(sg_sink *sink, const char *line, size_t length)
{
    if (sink->kind == SG_SINK_FILE)
        write_file(sink, line, length);
    else if (sink->kind == SG_SINK_STREAM)
        write_stream(sink, line, length);
    else if (sink->kind == SG_SINK_DATAGRAM)
        write_datagram(sink, line, length);
}

void sg_sink_tick(sg_sink *sink)
{
    if (sink->kind == SG_SINK_STREAM)
        send_pending(sink);
}

void sg_sink_close(sg_sink *sink)
{
    double end = sg_seconds() + 1e-3 * FAREWELL_MS, now;
    while (sink->pending_length && sink->fd >= 0 && (now = sg_seconds()) < end) {
        poll(&(struct pollfd){sink->fd, POLLOUT, 0}, 1, (int)(1e3 * (end - now)) + 1);
        send_pending(sink);
    }
    for (size_t i = 0; i < sink->pending_length; i++)
        loses(sink, sink->pending[i] == '\n');
    if (sink->kind != SG_SINK_NONE && sink->owned && sink->fd >= 0)
        close(sink->fd);
    free(sink->pending);
    *sink = (sg_sink){.lost = sink->lost, .fd = -1};
}
