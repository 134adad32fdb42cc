/* address.h: socket addresses, and lists of networks whose packets are accepted. */
#ifndef SG_CAPTURE_ADDRESS_H
#define SG_CAPTURE_ADDRESS_H

#include "base/status.h"
#include "sip/endpoint.h"
#include <stdint.h>
#include <sys/socket.h>

/* "udp:192.0.2.1:9060", "tcp:[2001:db8::1]:9060", "udp:9060" (all IPv4 addresses). */
typedef struct {
    bool tcp;
    struct sockaddr_storage address;
    socklen_t size;
} sg_listen_address;

/* SG_E_USAGE if the text is not such an address. */
sg_status sg_listen_address_read(sg_listen_address *listen, const char *text);

/* A network: "192.0.2.0/24", "2001:db8::/32", or one address. */
typedef struct {
    uint8_t family; /* 4 or 6 */
    uint8_t address[16];
    unsigned bits;
} sg_network;

/* SG_E_USAGE if the text is not a network. */
sg_status sg_network_read(sg_network *network, const char *text);

/* Whether one of the networks holds the address (an IPv4-mapped IPv6 address counts as IPv4); true for an
 * empty list. */
bool sg_networks_hold(const sg_network *networks, size_t count, const struct sockaddr *address);

/* The same for the sender of a message, but false for an empty list. */
bool sg_networks_hold_endpoint(const sg_network *networks, size_t count, const sg_endpoint *endpoint);

#endif
