/* duplicates.h: copies of one datagram that the capture point saw more than once. */
#ifndef SG_CAPTURE_DUPLICATES_H
#define SG_CAPTURE_DUPLICATES_H

#include "base/status.h"
#include "sip/endpoint.h"

typedef struct sg_duplicates sg_duplicates;

/* Datagrams are copies if they are alike and at most `window_us` apart. */
sg_status sg_duplicates_open(sg_duplicates **duplicates, int64_t window_us);
void sg_duplicates_close(sg_duplicates *duplicates); /* NULL is fine */

/* Whether this datagram was seen just before; remembers it if not. */
bool sg_duplicates_seen(sg_duplicates *duplicates, const sg_flow *flow, uint16_t ip_id, const uint8_t *data,
                        size_t size);

#endif
