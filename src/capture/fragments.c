#include "capture/fragments.h"

#include "base/memory.h"
#include "capture/packet.h"
#include "capture/secret.h"

#include <stdlib.h>
#include <string.h>

enum { DATAGRAM_MAX = 65535, RANGES_MAX = 64 };

typedef struct {
    uint32_t start, stop;
} range;

typedef struct datagram {
    sg_fragment_key key;
    struct datagram *chain, *older, *newer;
    int64_t time_us; /* of its first fragment */
    uint8_t *data;
    size_t capacity;
    uint32_t length; /* 0: the last fragment has not come */
    int ranges;      /* sorted, apart */
    bool dropped;    /* contradicted itself */
    uint8_t protocol;
    range range[RANGES_MAX];
} datagram;

typedef struct {
    datagram *first;
} bucket;

struct sg_fragments {
    bucket *buckets;
    size_t mask, held, max;
    datagram *oldest, *newest;
    int64_t expire_us;
    sg_counts *counts;
    sg_secret secret;
    uint8_t *complete; /* the last one given out */
};

sg_status sg_fragments_open(sg_fragments **out, size_t max, int64_t expire_us, sg_counts *counts)
{
    sg_fragments *f;
    size_t buckets = 64;
    *out = NULL;
    while (buckets < max)
        buckets *= 2;
    SG_TRY(sg_alloc(&f, 1, "the table of fragments"));
    sg_status status = sg_alloc(&f->buckets, buckets, "the table of fragments");
    if (status != SG_OK) {
        free(f);
        return status;
    }
    f->mask = buckets - 1;
    f->max = max;
    f->expire_us = expire_us;
    f->counts = counts;
    sg_secret_make(&f->secret);
    *out = f;
    return SG_OK;
}

static datagram **slot_of(sg_fragments *f, const sg_fragment_key *key)
{
    datagram **slot = &f->buckets[sg_secret_hash(&f->secret, key, sizeof *key) & f->mask].first;
    while (*slot && memcmp(&(*slot)->key, key, sizeof *key) != 0)
        slot = &(*slot)->chain;
    return slot;
}

static void drop(sg_fragments *f, datagram *d)
{
    datagram **slot = slot_of(f, &d->key);
    if (*slot == d)
        *slot = d->chain;
    *(d->older ? &d->older->newer : &f->oldest) = d->newer;
    *(d->newer ? &d->newer->older : &f->newest) = d->older;
    f->held--;
    free(d->data);
    free(d);
}

void sg_fragments_close(sg_fragments *f)
{
    if (!f)
        return;
    while (f->oldest)
        drop(f, f->oldest);
    free(f->complete);
    free(f->buckets);
    free(f);
}

size_t sg_fragments_held(const sg_fragments *f)
{
    return f->held;
}

static bool expired(const sg_fragments *f, const datagram *d, int64_t now)
{
    return sg_subprocess(now, d->time_us) > f->expire_us;
}

/* Makes room from the old end: what has expired, and one more if the table is full. */
static void make_room(sg_fragments *f, int64_t now)
{
    for (datagram *d = f->oldest, *newer; d; d = newer) {
        bool old = expired(f, d, now);
        if (!old && f->held < f->max)
            return;
        newer = d->newer;
        if (!old)
            SG_COUNT(f->counts, FRAGMENTS_EVICTED);
        else if (!d->dropped)
            SG_COUNT(f->counts, FRAGMENTS_EXPIRED);
        drop(f, d);
    }
}

static datagram *find_or_add(sg_fragments *f, const sg_fragment_key *key, int64_t now)
{
    datagram **slot = slot_of(f, key), *d = *slot;
    if (d && !expired(f, d, now))
        return d;
    if (d) { /* identifications come round again */
        SG_COUNT(f->counts, FRAGMENTS_EXPIRED);
        drop(f, d);
    }
    make_room(f, now);
    d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->key = *key;
    d->time_us = now;
    d->older = f->newest;
    *(f->newest ? &f->newest->newer : &f->oldest) = d;
    f->newest = d;
    slot = slot_of(f, key);
    *slot = d;
    f->held++;
    return d;
}

/* Whether what is there already of [start, stop) agrees with `data`. */
static bool agrees(const datagram *d, uint32_t start, uint32_t stop, const uint8_t *data)
{
    for (int i = 0; i < d->ranges; i++) {
        uint32_t from = d->range[i].start > start ? d->range[i].start : start;
        uint32_t to = d->range[i].stop < stop ? d->range[i].stop : stop;
        if (from < to && memcmp(d->data + from, data + (from - start), to - from) != 0)
            return false;
    }
    return true;
}

/* Joins [start, stop) to the ranges; false if there would be too many. */
static bool add_range(datagram *d, uint32_t start, uint32_t stop)
{
    int first = 0, last;
    while (first < d->ranges && d->range[first].stop < start)
        first++;
    for (last = first; last < d->ranges && d->range[last].start <= stop; last++) {
        if (d->range[last].start < start)
            start = d->range[last].start;
        if (d->range[last].stop > stop)
            stop = d->range[last].stop;
    }
    if (d->ranges + 1 - (last - first) > RANGES_MAX)
        return false;
    memmove(&d->range[first + 1], &d->range[last], (size_t)(d->ranges - last) * sizeof(range));
    d->range[first] = (range){start, stop};
    d->ranges += 1 - (last - first);
    return true;
}

static bool reserve(datagram *d, size_t need)
{
    if (need <= d->capacity)
        return true;
    size_t capacity = need > 4096 ? DATAGRAM_MAX : 4096;
    uint8_t *data = realloc(d->data, capacity);
    if (!data)
        return false;
    d->data = data;
    d->capacity = capacity;
    return true;
}

/* Puts the fragment in its place; false if it contradicts what came before. */
static bool place(datagram *d, const sg_fragment *fragment)
{
    uint32_t start = fragment->offset, stop = start + (uint32_t)fragment->size;
    if (d->length && (stop > d->length || (!fragment->more && stop != d->length)))
        return false;
    if (!fragment->more) {
        if (d->ranges && d->range[d->ranges - 1].stop > stop)
            return false;
        d->length = stop;
    }
    if (!agrees(d, start, stop, fragment->data) || !reserve(d, stop) || !add_range(d, start, stop))
        return false;
    memcpy(d->data + start, fragment->data, fragment->size);
    if (start == 0)
        d->protocol = fragment->protocol;
    return true;
}

/* An impossible fragment: beyond the longest datagram, empty, or in the middle and no multiple of eight
 * bytes. */
static bool impossible(const sg_fragment *fragment)
{
    return fragment->size == 0 || fragment->offset + fragment->size > DATAGRAM_MAX ||
           (fragment->more && fragment->size % 8 != 0);
}

bool sg_fragments_add(sg_fragments *f, const sg_fragment_key *key, const sg_fragment *fragment,
                      int64_t time_us, const uint8_t **data, size_t *size, uint8_t *protocol)
{
    if (impossible(fragment)) {
        SG_COUNT(f->counts, FRAGMENTS_MALFORMED);
        return false;
    }
    datagram *d = find_or_add(f, key, time_us);
    if (!d || d->dropped)
        return false;
    if (!place(d, fragment)) {
        SG_COUNT(f->counts, FRAGMENTS_OVERLAP);
        free(d->data); /* the entry stays, so that later fragments of it are not taken for a new datagram */
        d->data = NULL;
        d->dropped = true;
        return false;
    }
    if (!d->length || d->ranges != 1 || d->range[0].start != 0 || d->range[0].stop != d->length)
        return false;
    SG_COUNT(f->counts, FRAGMENTS_JOINED);
    free(f->complete);
    *data = f->complete = d->data;
    *size = d->length;
    *protocol = d->protocol;
    d->data = NULL;
    drop(f, d);
    return true;
}
