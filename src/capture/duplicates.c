#include "capture/duplicates.h"

#include "base/memory.h"
#include "capture/packet.h"
#include "capture/secret.h"

#include <stdlib.h>
#include <string.h>

/* At a million datagrams a second the window of 10 ms holds 10000. */
enum { PLACES = 1 << 14 };

struct sg_duplicates {
    int64_t window_us;
    sg_secret secret;
    struct {
        uint64_t hash;
        int64_t time_us;
    } place[PLACES]; /* by hash; a newer one takes the place of an older */
};

sg_status sg_duplicates_open(sg_duplicates **out, int64_t window_us)
{
    sg_duplicates *d;
    *out = NULL;
    SG_TRY(sg_alloc(&d, 1, "the table of duplicates"));
    d->window_us = window_us;
    sg_secret_make(&d->secret);
    *out = d;
    return SG_OK;
}

void sg_duplicates_close(sg_duplicates *d)
{
    free(d);
}

bool sg_duplicates_seen(sg_duplicates *d, const sg_flow *flow, uint16_t ip_id, const uint8_t *data,
                        size_t size)
{
    struct {
        uint64_t payload;
        uint8_t source[16], destination[16];
        uint16_t source_port, destination_port, ip_id, family;
    } key = {.payload = sg_secret_hash(&d->secret, data, size),
             .source_port = flow->source.port,
             .destination_port = flow->destination.port,
             .ip_id = ip_id,
             .family = flow->source.family};
    memcpy(key.source, flow->source.address, 16);
    memcpy(key.destination, flow->destination.address, 16);
    uint64_t hash = sg_secret_hash(&d->secret, &key, sizeof key) | 1;
    size_t at = hash >> 32 & (PLACES - 1);
    bool seen =
        d->place[at].hash == hash && sg_subprocess(d->place[at].time_us, flow->time_us) <= d->window_us;
    if (!seen) {
        d->place[at].hash = hash;
        d->place[at].time_us = flow->time_us;
    }
    return seen;
}
