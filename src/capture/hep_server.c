#include "capture/hep_server.h"

#include "base/memory.h"
#include "capture/address.h"
#include "capture/hep.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BUFFER = SG_HEP_MAX + 1,
    RECEIVE_BUFFER = 4 << 20, /* the kernel's, so that a burst outlives a pause of ours */
    REFUSED_AT_ONCE = 64,
    BACKLOG = 64
};

typedef enum { KIND_UDP, KIND_LISTEN, KIND_CLIENT } kind;

typedef struct {
    int fd; /* -1: closed */
    kind kind;
    bool ready;    /* poll found something */
    uint8_t *data; /* of a client: [start, stop) */
    size_t start, stop;
    int64_t last_us;
    uint32_t dropped; /* datagrams the kernel dropped, by its own count */
} channel;

struct sg_hep_server {
    channel *channels; /* the listeners, then room for clients */
    size_t listeners, clients_max, turn;
    sg_network *allowed;
    size_t allowed_count;
    sg_counts *counts;
    uint8_t datagram[BUFFER];
};

/* ---- open and close ---- */

static sg_status bind_channel(channel *c, const char *text)
{
    sg_listen_address address;
    int on = 1, size = RECEIVE_BUFFER;
    SG_TRY(sg_listen_address_read(&address, text));
    c->kind = address.tcp ? KIND_LISTEN : KIND_UDP;
    c->fd = socket(address.address.ss_family,
                   (address.tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return sg_fail(SG_E_IO, "cannot listen on %s: %s", text, strerror(errno));
    if (address.address.ss_family == AF_INET6)
        setsockopt(c->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (address.tcp)
        setsockopt(c->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    else
        setsockopt(c->fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(c->fd, (struct sockaddr *)&address.address, address.size) != 0 ||
        (address.tcp && listen(c->fd, BACKLOG) != 0))
        return sg_fail(SG_E_IO, "cannot listen on %s: %s", text,
                       errno == EADDRINUSE ? "the port is in use by another program" : strerror(errno));
    return SG_OK;
}

static sg_status read_allowed(sg_hep_server *s, const sg_capture_options *options)
{
    SG_TRY(sg_alloc(&s->allowed, options->hep_allow_count, "the list of senders"));
    for (size_t i = 0; i < options->hep_allow_count; i++)
        SG_TRY(sg_network_read(&s->allowed[i], options->hep_allow[i]));
    s->allowed_count = options->hep_allow_count;
    return SG_OK;
}

sg_status sg_hep_server_open(sg_hep_server **out, const sg_capture_options *options, sg_counts *counts)
{
    sg_hep_server *s;
    *out = NULL;
    SG_TRY(sg_alloc(&s, 1, "the HEP listeners"));
    s->counts = counts;
    s->clients_max = (size_t)options->hep_clients_max;
    sg_status status;
    SG_TRY_GOTO(status, fail,
                sg_alloc(&s->channels, options->hep_count + s->clients_max, "the HEP listeners"));
    s->listeners = options->hep_count;
    for (size_t i = 0; i < s->listeners + s->clients_max; i++)
        s->channels[i] = (channel){.fd = -1, .kind = KIND_CLIENT};
    SG_TRY_GOTO(status, fail, read_allowed(s, options));
    for (size_t i = 0; i < s->listeners; i++)
        SG_TRY_GOTO(status, fail, bind_channel(&s->channels[i], options->hep_listen[i]));
    *out = s;
    return SG_OK;
fail:
    sg_hep_server_close(s);
    return status;
}

static void close_channel(channel *c)
{
    if (c->fd >= 0)
        close(c->fd);
    free(c->data);
    *c = (channel){.fd = -1, .kind = KIND_CLIENT};
}

void sg_hep_server_close(sg_hep_server *s)
{
    if (!s)
        return;
    for (size_t i = 0; s->channels && i < s->listeners + s->clients_max; i++)
        close_channel(&s->channels[i]);
    free(s->channels);
    free(s->allowed);
    free(s);
}

/* ---- poll ---- */

size_t sg_hep_server_polls_max(const sg_hep_server *s)
{
    return s->listeners + s->clients_max;
}

size_t sg_hep_server_polls(const sg_hep_server *s, struct pollfd *polls)
{
    size_t count = 0;
    for (size_t i = 0; i < s->listeners + s->clients_max; i++)
        if (s->channels[i].fd >= 0)
            polls[count++] = (struct pollfd){.fd = s->channels[i].fd, .events = POLLIN};
    return count;
}

void sg_hep_server_polled(sg_hep_server *s, const struct pollfd *polls)
{
    for (size_t i = 0; i < s->listeners + s->clients_max; i++)
        if (s->channels[i].fd >= 0)
            s->channels[i].ready = (polls++)->revents != 0;
}

/* ---- UDP ---- */

/* How many datagrams the kernel has dropped for this socket, which it says beside a datagram. */
static void count_drops(sg_hep_server *s, channel *c, struct msghdr *message)
{
    for (struct cmsghdr *one = CMSG_FIRSTHDR(message); one; one = CMSG_NXTHDR(message, one)) {
        uint32_t dropped;
        if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SO_RXQ_OVFL)
            continue;
        memcpy(&dropped, CMSG_DATA(one), sizeof dropped);
        SG_COUNT_ADD(s->counts, KERNEL_DROPS, dropped - c->dropped);
        c->dropped = dropped;
    }
}

static bool next_datagram(sg_hep_server *s, channel *c, const uint8_t **data, size_t *size)
{
    for (int refused = 0; refused < REFUSED_AT_ONCE; refused++) {
        struct sockaddr_storage sender = {0};
        _Alignas(struct cmsghdr) char control[64];
        struct iovec room = {.iov_base = s->datagram, .iov_len = sizeof s->datagram};
        struct msghdr message = {.msg_name = &sender,
                                 .msg_namelen = sizeof sender,
                                 .msg_iov = &room,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof control};
        ssize_t got = recvmsg(c->fd, &message, MSG_DONTWAIT);
        if (got < 0) {
            c->ready = errno == EINTR;
            return false;
        }
        count_drops(s, c, &message);
        if (sg_networks_hold(s->allowed, s->allowed_count, (struct sockaddr *)&sender)) {
            *data = s->datagram;
            *size = (size_t)got;
            return true;
        }
        SG_COUNT(s->counts, HEP_REFUSED);
    }
    return false;
}

/* ---- TCP ---- */

size_t sg_hep_server_clients(const sg_hep_server *s)
{
    size_t count = 0;
    for (size_t i = 0; i < s->clients_max; i++)
        count += s->channels[s->listeners + i].fd >= 0;
    return count;
}

/* A free place for a client; the one idle longest gives way, or idle connections could keep everyone else
 * out. */
static channel *free_place(sg_hep_server *s)
{
    channel *oldest = NULL;
    for (size_t i = s->listeners; i < s->listeners + s->clients_max; i++) {
        channel *c = &s->channels[i];
        if (c->fd < 0)
            return c;
        if (!oldest || c->last_us < oldest->last_us)
            oldest = c;
    }
    if (oldest) {
        SG_COUNT(s->counts, HEP_CLIENTS_SHED);
        close_channel(oldest);
    }
    return oldest;
}

static void accept_client(sg_hep_server *s, channel *listener, int64_t now_us)
{
    struct sockaddr_storage sender = {0};
    socklen_t size = sizeof sender;
    int fd = accept4(listener->fd, (struct sockaddr *)&sender, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE) /* a descriptor must be freed, or poll would never block */
            free_place(s);
        listener->ready = false;
        return;
    }
    channel *c = NULL;
    if (!sg_networks_hold(s->allowed, s->allowed_count, (struct sockaddr *)&sender))
        SG_COUNT(s->counts, HEP_REFUSED);
    else
        c = free_place(s);
    if (!c || !(c->data = malloc(BUFFER))) {
        close(fd);
        return;
    }
    SG_COUNT(s->counts, HEP_CLIENTS);
    c->fd = fd;
    c->last_us = now_us;
    c->ready = true;
}

/* Reads what a client has sent, behind what is there; false if the connection has ended or nothing has come.
 */
static bool receive(sg_hep_server *s, channel *c, int64_t now_us)
{
    memmove(c->data, c->data + c->start, c->stop - c->start);
    c->stop -= c->start;
    c->start = 0;
    ssize_t got = recv(c->fd, c->data + c->stop, BUFFER - c->stop, MSG_DONTWAIT);
    if (got > 0) {
        c->stop += (size_t)got;
        c->last_us = now_us;
        return true;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        c->ready = errno == EINTR;
        return false;
    }
    if (c->stop > 0)
        SG_COUNT(s->counts, HEP_TRUNCATED);
    close_channel(c);
    return false;
}

static bool next_of_client(sg_hep_server *s, channel *c, int64_t now_us, const uint8_t **data, size_t *size)
{
    do {
        size_t length;
        int frame = c->stop > c->start ? sg_hep_frame(c->data + c->start, c->stop - c->start, &length) : 0;
        if (frame < 0) {
            SG_COUNT(s->counts, HEP_DESYNC);
            close_channel(c);
            return false;
        }
        if (frame > 0) {
            *data = c->data + c->start;
            *size = length;
            c->start += length;
            return true;
        }
    } while (receive(s, c, now_us));
    return false;
}

bool sg_hep_server_next(sg_hep_server *s, int64_t now_us, const uint8_t **data, size_t *size, bool *again)
{
    size_t count = s->listeners + s->clients_max;
    *again = true;
    for (size_t i = 0; i < count; i++) {
        channel *c = &s->channels[s->turn];
        s->turn = (s->turn + 1) % count; /* round robin: no client can block the others */
        if (c->fd < 0 || !c->ready)
            continue;
        if (c->kind == KIND_LISTEN)
            accept_client(s, c, now_us);
        else if (c->kind == KIND_UDP ? next_datagram(s, c, data, size)
                                     : next_of_client(s, c, now_us, data, size))
            return true;
    }
    *again = false;
    for (size_t i = 0; i < count; i++)
        *again |= s->channels[i].fd >= 0 && s->channels[i].ready;
    return false;
}

uint16_t sg_hep_server_port(const sg_hep_server *s, size_t i)
{
    struct sockaddr_in6 address = {0}; /* the port of an IPv4 address lies at the same place */
    socklen_t size = sizeof address;
    if (i >= s->listeners || getsockname(s->channels[i].fd, (struct sockaddr *)&address, &size) != 0)
        return 0;
    return ntohs(address.sin6_port);
}
