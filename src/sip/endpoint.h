/* endpoint.h: who sent something to whom, and when. */
#ifndef SG_SIP_ENDPOINT_H
#define SG_SIP_ENDPOINT_H

#include <stdint.h>

typedef enum {
    SG_TRANSPORT_UDP,
    SG_TRANSPORT_TCP,
    SG_TRANSPORT_TLS,
    SG_TRANSPORT_SCTP,
    SG_TRANSPORT_WS
} sg_transport;

typedef struct {
    uint8_t family;      /* 4 or 6; 0: not known */
    uint8_t address[16]; /* network order; the first 4 bytes for IPv4, the rest zero */
    uint16_t port;       /* host order; 0 where there is none */
} sg_endpoint;

/* Room for any address as text, with port: "[ffff:...:255.255.255.255]:65535". */
enum { SG_ENDPOINT_TEXT = 64 };

typedef struct {
    int64_t time_us; /* microseconds since 1970 */
    sg_endpoint source, destination;
    sg_transport transport;
} sg_flow;

#endif
