#include "watch/sink.h"

#include "base/log.h"
#include "base/memory.h"
#include "watch/alert.h"

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

static const char *title(const sg_sink *place)
{
    return strcmp(place->path, "-") == 0 ? "standard output" : place->path;
}

/* ---- Outages ---- */

static void fails(sg_sink *place, int error)
{
    double now = sg_seconds();
    if (!place->down && now - place->warned_at >= WARN_S) {
        sg_warn("%s: %s; alerts for it are lost until it takes them again", title(place),
                error == EAGAIN ? "its reader does not keep up" : strerror(error));
        place->warned_at = now;
    }
    place->down = true;
}

static void loses(sg_sink *place, uint64_t lines)
{
    place->lost += lines;
    place->missed += lines;
}

static void works(sg_sink *place)
{
    if (place->down && place->missed)
        sg_note("%s takes alerts again; %llu were lost", title(place), (unsigned long long)place->missed);
    place->down = false;
    place->missed = 0;
}

/* ---- Files and pipes ---- */

static sg_status set_path(sg_sink *place, const char *path, sg_sink_kind kind, size_t limit)
{
    memset(place, 0, sizeof *place);
    place->kind = kind;
    place->fd = -1;
    place->owned = true;
    place->tried_at = place->warned_at = LONG_AGO;
    if (strlen(path) >= limit)
        return sg_fail(SG_E_USAGE, "the path '%.60s...' for alerts is longer than %zu bytes", path,
                       limit - 1);
    strcpy(place->path, path);
    return SG_OK;
}

/* Not to wait for the reader of a FIFO, nor to make a terminal ours. */
static int open_path(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

static void look_at(sg_sink *place)
{
    struct stat info;
    place->pipe = fstat(place->fd, &info) != 0 || !S_ISREG(info.st_mode);
}

sg_status sg_sink_open_file(sg_sink *place, const char *path, bool patient)
{
    SG_TRY(set_path(place, path, SG_SINK_FILE, sizeof place->path));
    place->patient = patient;
    if (strcmp(path, "-") == 0) {
        place->fd = STDOUT_FILENO;
        place->owned = false;
        fflush(stdout); /* what was said before comes before */
    } else if ((place->fd = open_path(path)) < 0) {
        int error = errno;
        place->kind = SG_SINK_NONE;
        return sg_fail(SG_E_IO, "cannot open '%s' for alerts: %s", path,
                       error == ENXIO ? "nobody reads this pipe or socket (a socket is given as unix:PATH)"
                                      : strerror(error));
    }
    look_at(place);
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
static int wait_for_reader(const sg_sink *place)
{
    int timeout = place->patient ? -1 : place->down ? 0 : IMPATIENT_MS;
    for (;;) {
        struct pollfd fd = {place->fd, POLLOUT, 0};
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
static int write_pipe(sg_sink *place, const char *data, size_t length, size_t *done)
{
    while (*done < length) {
        int error = wait_for_reader(place);
        if (error)
            return error;
        size_t piece = length - *done < PIPE_BUF ? length - *done : PIPE_BUF;
        ssize_t n = write_quietly(place->fd, &(struct iovec){(void *)(data + *done), piece}, 1);
        if (n < 0 && !(errno == EAGAIN && place->patient))
            return errno;
        *done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* One write for the whole line: with O_APPEND, lines of several processes do not mix. */
static int write_regular(sg_sink *place, const char *data, size_t length, size_t *done)
{
    struct iovec parts[2] = {{"\n", 1}, {(void *)data, length}};
    size_t ending = place->torn ? 1 : 0;
    ssize_t n = write_quietly(place->fd, parts + !ending, 1 + (int)ending);
    if (n < 0)
        return errno;
    *done = (size_t)n < ending ? 0 : (size_t)n - ending;
    if (n > 0)
        place->torn = false;
    return *done < length ? ENOSPC : 0;
}

static void write_file(sg_sink *place, const char *line, size_t length)
{
    size_t done = 0;
    int error = 0;
    if (place->pipe && place->torn) {
        error = write_pipe(place, "\n", 1, &done);
        place->torn = done == 0;
        done = 0;
    }
    if (!error)
        error = (place->pipe ? write_pipe : write_regular)(place, line, length, &done);
    if (done > 0 && done < length)
        place->torn = true;
    if (!error) {
        works(place);
        return;
    }
    fails(place, error);
    loses(place, 1);
}

void sg_sink_reopen(sg_sink *place)
{
    if (place->kind != SG_SINK_FILE || !place->owned)
        return;
    int fd = open_path(place->path);
    if (fd < 0) {
        sg_warn("%s cannot be opened again: %s; the old file goes on", title(place), strerror(errno));
        return;
    }
    close(place->fd);
    place->fd = fd;
    place->torn = false;
    look_at(place);
}

/* ---- Sockets ---- */

/* 0 or an error number. */
static int connect_socket(sg_sink *place)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, place->path, strlen(place->path));
    int type = place->kind == SG_SINK_STREAM ? SOCK_STREAM : SOCK_DGRAM;
    place->tried_at = sg_seconds();
    place->fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (place->fd < 0)
        return errno;
    if (connect(place->fd, (struct sockaddr *)&address, sizeof address) == 0)
        return 0;
    int error = errno;
    close(place->fd);
    place->fd = -1;
    return error;
}

/* Forgets the connection; what had been sent in part can not go on in another. */
static void disconnect(sg_sink *place)
{
    close(place->fd);
    place->fd = -1;
    if (!place->mid_line)
        return;
    char *end = memchr(place->pending, '\n', place->pending_length);
    size_t rest = end ? (size_t)(end + 1 - place->pending) : place->pending_length;
    memmove(place->pending, place->pending + rest, place->pending_length -= rest);
    place->mid_line = false;
    loses(place, 1);
}

/* Connects if that is due; whether there is a connection. */
static bool is_connected(sg_sink *place)
{
    if (place->fd >= 0)
        return true;
    if (sg_seconds() - place->tried_at < RETRY_S)
        return false;
    int error = connect_socket(place);
    if (error)
        fails(place, error);
    return !error;
}

static void send_pending(sg_sink *place)
{
    while (place->pending_length && is_connected(place)) {
        ssize_t n = send(place->fd, place->pending, place->pending_length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            place->mid_line = n > 0 ? place->pending[n - 1] != '\n' : place->mid_line;
            memmove(place->pending, place->pending + n, place->pending_length -= (size_t)n);
            works(place);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR) {
            int error = errno;
            disconnect(place);
            fails(place, error);
        }
    }
}

static void write_stream(sg_sink *place, const char *line, size_t length)
{
    if (length > SG_ALERT_PENDING - place->pending_length) {
        send_pending(place);
        if (length > SG_ALERT_PENDING - place->pending_length) {
            fails(place, EAGAIN);
            loses(place, 1);
            return;
        }
    }
    memcpy(place->pending + place->pending_length, line, length);
    place->pending_length += length;
    send_pending(place);
}

/* The log may have been started anew since: then once more. */
static void write_datagram(sg_sink *place, const char *line, size_t length)
{
    int error = ENOTCONN;
    for (int attempt = 0; attempt < 2 && is_connected(place); attempt++) {
        if (send(place->fd, line, length, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
            works(place);
            return;
        }
        error = errno;
        if (error == EAGAIN || error == EWOULDBLOCK || error == EMSGSIZE)
            break;
        disconnect(place);
    }
    fails(place, error);
    loses(place, 1);
}

sg_status sg_sink_open_stream(sg_sink *place, const char *path)
{
    SG_TRY(set_path(place, path, SG_SINK_STREAM, sizeof((struct sockaddr_un *)NULL)->sun_path));
    SG_TRY(sg_alloc(&place->pending, SG_ALERT_PENDING, "alerts that wait"));
    int error = connect_socket(place);
    if (error) {
        sg_warn("%s: %s; alerts wait until somebody listens there", path, strerror(error));
        place->warned_at = sg_seconds();
        place->down = true;
    }
    return SG_OK;
}

sg_status sg_sink_open_datagram(sg_sink *place, const char *path)
{
    SG_TRY(set_path(place, path, SG_SINK_DATAGRAM, sizeof((struct sockaddr_un *)NULL)->sun_path));
    int error = connect_socket(place);
    if (error) {
        place->kind = SG_SINK_NONE;
        return sg_fail(SG_E_IO, "cannot reach the system's log at '%s': %s", path, strerror(error));
    }
    return SG_OK;
}

/* ---- All kinds ---- */

void sg_sink_write(sg_sink *place, const char *line, size_t length)
{
    if (place->kind == SG_SINK_FILE)
        write_file(place, line, length);
    else if (place->kind == SG_SINK_STREAM)
        write_stream(place, line, length);
    else if (place->kind == SG_SINK_DATAGRAM)
        write_datagram(place, line, length);
}

void sg_sink_tick(sg_sink *place)
{
    if (place->kind == SG_SINK_STREAM)
        send_pending(place);
}

void sg_sink_close(sg_sink *place)
{
    double end = sg_seconds() + 1e-3 * FAREWELL_MS, now;
    while (place->pending_length && place->fd >= 0 && (now = sg_seconds()) < end) {
        poll(&(struct pollfd){place->fd, POLLOUT, 0}, 1, (int)(1e3 * (end - now)) + 1);
        send_pending(place);
    }
    for (size_t i = 0; i < place->pending_length; i++)
        loses(place, place->pending[i] == '\n');
    if (place->kind != SG_SINK_NONE && place->owned && place->fd >= 0)
        close(place->fd);
    free(place->pending);
    *place = (sg_sink){.lost = place->lost, .fd = -1};
}
