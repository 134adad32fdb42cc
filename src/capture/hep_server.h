/* hep_server.h: listens for HEP over UDP and TCP.  One thread, poll(), bounded clients and buffers. */
#ifndef SG_CAPTURE_HEP_SERVER_H
#define SG_CAPTURE_HEP_SERVER_H

#include "capture/counts.h"
#include "capture/item.h"

#include <poll.h>

typedef struct sg_hep_server sg_hep_server;

/* Binds every address of the options.  SG_E_USAGE for a bad address or network, SG_E_IO if one cannot be
 * bound. */
sg_status sg_hep_server_open(sg_hep_server **server, const sg_capture_options *options, sg_counts *counts);
void sg_hep_server_close(sg_hep_server *server); /* NULL is fine */

/* Descriptors for poll: at most sg_hep_server_polls_max() of them are written; then give the result back. */
size_t sg_hep_server_polls_max(const sg_hep_server *server);
size_t sg_hep_server_polls(const sg_hep_server *server, struct pollfd *polls);
void sg_hep_server_polled(sg_hep_server *server, const struct pollfd *polls);

/* The next datagram, or packet of a connection, valid until the next call; false if none has come.  *again:
 * call again before polling, as there may be more. */
bool sg_hep_server_next(sg_hep_server *server, int64_t now_us, const uint8_t **data, size_t *size,
                        bool *again);

uint16_t sg_hep_server_port(const sg_hep_server *server, size_t i);
size_t sg_hep_server_clients(const sg_hep_server *server);

#endif
