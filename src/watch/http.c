#include "watch/http.h"

#include "base/log.h"
#include "base/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define POLL_INTERVAL_S   0.01
#define DEFAULT_TIMEOUT_S 5.0
#define LINGER_S          1.0 /* for the client to read the answer and close */

enum { REQUEST_MAX = 4096, ACCEPTS_A_POLL = SG_HTTP_CLIENTS };

typedef enum { CLIENT_READS, CLIENT_WRITES, CLIENT_LINGERS } client_state;

typedef struct {
    int fd;
    client_state state;
    double deadline; /* as sg_seconds */
    char request[REQUEST_MAX];
    size_t got;
    char *answer;
    size_t length, sent;
} client;

struct sg_http {
    int fd;
    uint16_t port;
    double timeout_s, polled_at;
    void (*write_page)(void *context, FILE *out);
    void *context;
    int count;
    client clients[SG_HTTP_CLIENTS]; /* the oldest first */
};

/* ---- Addresses ---- */

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} socket_address;

/* "HOST:PORT" or "PORT" with host 127.0.0.1, ::1 in brackets, or localhost. */
static sg_status parse_address(const char *text, socket_address *address, socklen_t *size)
{
    const char *colon = strrchr(text, ':'), *port_text = colon ? colon + 1 : text;
    size_t length = colon ? (size_t)(colon - text) : 0;
    char host[64] = "127.0.0.1", *end;
    long port = strtol(port_text, &end, 10);
    bool brackets = length >= 2 && text[0] == '[' && colon[-1] == ']';
    if (*port_text < '0' || *port_text > '9' || *end || port > 65535 || length - 2 * brackets >= sizeof host)
        return sg_fail(SG_E_USAGE, "'%s' is no address for metrics: give ADDRESS:PORT, as 127.0.0.1:9469",
                       text);
    if (length > 0)
        snprintf(host, sizeof host, "%.*s", (int)(length - 2 * brackets), text + brackets);
    if (strcmp(host, "localhost") == 0)
        strcpy(host, "127.0.0.1");
    memset(address, 0, sizeof *address);
    if (!brackets && inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons((uint16_t)port);
        *size = sizeof address->v4;
        if (ntohl(address->v4.sin_addr.s_addr) >> 24 == 127)
            return SG_OK;
    } else if (brackets && inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons((uint16_t)port);
        *size = sizeof address->v6;
        if (IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr))
            return SG_OK;
    }
    return sg_fail(SG_E_USAGE,
                   "'%s' is no loopback address: metrics are given on 127.0.0.1 or [::1] only, and "
                   "a proxy may carry them further",
                   text);
}

static sg_status listen_at(sg_http *server, const char *text)
{
    socket_address address = {0};
    socklen_t size = 0;
    SG_TRY(parse_address(text, &address, &size));
    server->fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (server->fd < 0 || setsockopt(server->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(server->fd, &address.any, size) != 0 || listen(server->fd, SG_HTTP_CLIENTS) != 0 ||
        getsockname(server->fd, &address.any, &size) != 0)
        return sg_fail(SG_E_IO, "cannot give metrics at %s: %s", text, strerror(errno));
    server->port = ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
    return SG_OK;
}

sg_status sg_http_open(sg_http **server, const char *address, double timeout_s,
                       void (*write_page)(void *context, FILE *out), void *context)
{
    SG_TRY(sg_alloc(server, 1, "the metrics server"));
    sg_http *s = *server;
    s->fd = -1;
    s->timeout_s = timeout_s > 0 ? timeout_s : DEFAULT_TIMEOUT_S;
    s->write_page = write_page;
    s->context = context;
    sg_status status = listen_at(s, address);
    if (status != SG_OK) {
        sg_http_close(s);
        *server = NULL;
    }
    return status;
}

uint16_t sg_http_port(const sg_http *server)
{
    return server->port;
}

/* ---- Clients ---- */

static void drop_client(sg_http *server, int i)
{
    close(server->clients[i].fd);
    free(server->clients[i].answer);
    server->count--;
    memmove(server->clients + i, server->clients + i + 1,
            (size_t)(server->count - i) * sizeof *server->clients);
}

void sg_http_close(sg_http *server)
{
    if (!server)
        return;
    while (server->count > 0)
        drop_client(server, 0);
    if (server->fd >= 0)
        close(server->fd);
    free(server);
}

static void accept_clients(sg_http *server, double now)
{
    for (int n = 0; n < ACCEPTS_A_POLL; n++) {
        int fd = accept4(server->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if (server->count == SG_HTTP_CLIENTS)
            drop_client(server, 0);
        client *c = &server->clients[server->count++];
        c->fd = fd;
        c->state = CLIENT_READS;
        c->deadline = now + server->timeout_s;
        c->got = c->length = c->sent = 0;
        c->answer = NULL;
    }
}

/* ---- Requests ---- */

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* 200 with the page that a request line asks for, 404, or 400 for what is no GET. */
static int choose_page(const char *line, bool *metrics)
{
    if (!starts_with(line, "GET /"))
        return 400;
    const char *path = line + 4, *end = strchr(path, ' ');
    if (!end || !starts_with(end, " HTTP/1."))
        return 400;
    size_t length = strcspn(path, "? ");
    *metrics = length == 8 && memcmp(path, "/metrics", length) == 0;
    bool health = length == 8 && memcmp(path, "/healthz", length) == 0;
    return *metrics || health ? 200 : 404;
}

static bool make_body(sg_http *server, int code, bool metrics, char **body, size_t *size)
{
    FILE *out = open_memstream(body, size);
    if (!out)
        return false;
    if (code == 200 && metrics)
        server->write_page(server->context, out);
    else
        fputs(code == 200   ? "ok\n"
              : code == 404 ? "not found: /metrics and /healthz are here\n"
                            : "bad request\n",
              out);
    return fclose(out) == 0;
}

/* Head and body into client->answer; false if memory is short. */
static bool make_answer(sg_http *server, client *c)
{
    bool metrics = false;
    int code = c->got < REQUEST_MAX ? choose_page(c->request, &metrics) : 400;
    char *body = NULL;
    size_t size = 0;
    if (!make_body(server, code, metrics, &body, &size)) {
        free(body);
        return false;
    }
    FILE *out = open_memstream(&c->answer, &c->length);
    if (out) {
        fprintf(out,
                "HTTP/1.1 %d %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                code,
                code == 200   ? "OK"
                : code == 404 ? "Not Found"
                              : "Bad Request",
                size);
        fwrite(body, 1, size, out);
    }
    free(body);
    return out && fclose(out) == 0;
}

/* Reads on; true once the client is to be answered.  *gone: it will never be. */
static bool read_request(client *c, bool *gone)
{
    while (c->got < REQUEST_MAX) {
        ssize_t n = recv(c->fd, c->request + c->got, REQUEST_MAX - c->got, 0);
        if (n < 0 && errno == EINTR)
            continue;
        *gone = n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
        if (n <= 0)
            return false;
        c->got += (size_t)n;
        if (memmem(c->request, c->got, "\r\n\r\n", 4) || memmem(c->request, c->got, "\n\n", 2)) {
            char *end = memchr(c->request, '\n', c->got);
            *end = '\0'; /* there is one: the request line ends here */
            return true;
        }
    }
    return true; /* too long */
}

/* Goes on with one client as far as it can without waiting; false: it is to be dropped. */
static bool serve(sg_http *server, client *c, double now)
{
    bool gone = false;
    if (c->state == CLIENT_READS) {
        if (!read_request(c, &gone))
            return !gone && now < c->deadline;
        if (!make_answer(server, c))
            return false;
        c->state = CLIENT_WRITES;
        c->deadline = now + server->timeout_s;
    }
    while (c->state == CLIENT_WRITES) {
        ssize_t n = send(c->fd, c->answer + c->sent, c->length - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return (errno == EAGAIN || errno == EWOULDBLOCK) && now < c->deadline;
        c->sent += n > 0 ? (size_t)n : 0;
        if (c->sent == c->length) {
            /* A close now might reset the connection under the answer, if bytes of the client are unread. */
            shutdown(c->fd, SHUT_WR);
            c->state = CLIENT_LINGERS;
            c->deadline = now + LINGER_S;
        }
    }
    ssize_t n = recv(c->fd, c->request, REQUEST_MAX, 0);
    return now < c->deadline && (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)));
}

void sg_http_poll(sg_http *server)
{
    double now = sg_seconds();
    if (now - server->polled_at < POLL_INTERVAL_S)
        return;
    server->polled_at = now;
    accept_clients(server, now);
    for (int i = server->count - 1; i >= 0; i--)
        if (!serve(server, &server->clients[i], now))
            drop_client(server, i);
}
