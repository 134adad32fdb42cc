/* live.h: packets of a network interface, read with libpcap. */
#ifndef SG_CAPTURE_LIVE_H
#define SG_CAPTURE_LIVE_H

#include "base/status.h"
#include "capture/packet.h"

typedef struct sg_live sg_live;

/* Opens the interface (snapshot length 65535, immediate delivery, never blocking).  SG_E_IO if it does not
 * exist (the text lists those that do) or may not be opened, SG_E_USAGE for a bad filter. */
sg_status sg_live_open(sg_live **live, const char *interface, const char *filter, bool promiscuous,
                       int buffer_mib);
void sg_live_close(sg_live *live); /* NULL is fine */

/* For poll(); -1 if the device has none and must be polled. */
int sg_live_fd(const sg_live *live);

/* The next packet, valid until the next call, or SG_READ_NOTHING.  SG_E_IO if the interface went away. */
sg_status sg_live_next(sg_live *live, sg_read *read, sg_packet *packet);

/* Packets that the kernel and the device dropped so far. */
uint64_t sg_live_drops(const sg_live *live);

#endif
