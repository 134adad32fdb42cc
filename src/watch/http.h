/* http.h: as much of an HTTP/1.1 server (RFC 9112) as two pages on a loopback address want; for metrics.c. */
#ifndef SG_WATCH_HTTP_H
#define SG_WATCH_HTTP_H

#include "base/status.h"
#include <stdint.h>
#include <stdio.h>

enum { SG_HTTP_CLIENTS = 16 }; /* at a time */

typedef struct sg_http sg_http;

/* As sg_metrics_open.  `write_page` writes the body of /metrics. */
sg_status sg_http_open(sg_http **server, const char *address, double timeout_s,
                       void (*write_page)(void *context, FILE *out), void *context);
void sg_http_close(sg_http *server); /* NULL is fine */

void sg_http_poll(sg_http *server);
uint16_t sg_http_port(const sg_http *server);

#endif
