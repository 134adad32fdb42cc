#include "detect/prefixes.h"

#include "base/memory.h"
#include <stdlib.h>

typedef struct {
    int64_t ending, passing;
    int32_t parent;
    uint16_t type, depth;
} node;

/* An edge: from a node by a message type to a node; open addressing, to = 0 is empty (nothing leads to the
 * root). */
typedef struct {
    int32_t from, to;
    uint32_t type;
} edge;

struct sg_prefixes {
    node *nodes;
    size_t capacity;
    int32_t count;
    edge *edges;
    uint64_t mask; /* slots - 1 */
};

static uint64_t slot_of(int32_t from, uint32_t type)
{
    uint64_t x = ((uint64_t)(uint32_t)from << 32 | type) * 0x9E3779B97F4A7C15u;
    return x ^ x >> 32;
}

static edge *find_edge(const sg_prefixes *p, int32_t from, uint32_t type)
{
    uint64_t at = slot_of(from, type) & p->mask;
    while (p->edges[at].to && (p->edges[at].from != from || p->edges[at].type != type))
        at = (at + 1) & p->mask;
    return &p->edges[at];
}

/* At most half of the slots are taken. */
static sg_status grow_edges(sg_prefixes *p)
{
    if (2 * (uint64_t)p->count <= p->mask)
        return SG_OK;
    edge *old = p->edges;
    uint64_t slots = p->mask + 1;
    sg_status status = sg_alloc(&p->edges, 2 * slots, "prefixes");
    if (status != SG_OK) {
        p->edges = old;
        return status;
    }
    p->mask = 2 * slots - 1;
    for (uint64_t i = 0; i < slots; i++)
        if (old[i].to)
            *find_edge(p, old[i].from, old[i].type) = old[i];
    free(old);
    return SG_OK;
}

static sg_status add_step(sg_prefixes *p, int32_t *at, uint16_t type, int64_t weight)
{
    edge *e = find_edge(p, *at, type);
    if (!e->to) {
        SG_TRY(sg_grow(&p->nodes, &p->capacity, p->count + 1, "prefixes"));
        p->nodes[p->count] =
            (node){.parent = *at, .type = type, .depth = (uint16_t)(p->nodes[*at].depth + 1)};
        *e = (edge){*at, p->count, type};
        *at = p->count++;
        p->nodes[*at].passing = weight;
        return grow_edges(p);
    }
    *at = e->to;
    p->nodes[*at].passing += weight;
    return SG_OK;
}

static sg_status fill(sg_prefixes *p, const uint16_t *sequence, const uint16_t *length, const int64_t *weight,
                      int count, int steps)
{
    enum { SLOTS = 1024 };
    SG_TRY(sg_alloc(&p->edges, SLOTS, "prefixes"));
    p->mask = SLOTS - 1;
    SG_TRY(sg_grow(&p->nodes, &p->capacity, 1, "prefixes"));
    p->nodes[0] = (node){.parent = -1};
    p->count = 1;
    for (int s = 0; s < count; s++) {
        const uint16_t *types = sequence + (size_t)s * (size_t)steps;
        int32_t at = 0;
        if (weight[s] <= 0)
            continue;
        p->nodes[0].passing += weight[s];
        for (int t = 0; t < length[s]; t++)
            SG_TRY(add_step(p, &at, types[t], weight[s]));
        p->nodes[at].ending += weight[s];
    }
    return SG_OK;
}

sg_status sg_prefixes_open(sg_prefixes **prefixes, const uint16_t *sequence, const uint16_t *length,
                           const int64_t *weight, int count, int steps)
{
    *prefixes = NULL;
    sg_prefixes *p;
    SG_TRY(sg_alloc(&p, 1, "prefixes"));
    sg_status status = fill(p, sequence, length, weight, count, steps);
    if (status != SG_OK)
        sg_prefixes_close(p);
    else
        *prefixes = p;
    return status;
}

void sg_prefixes_close(sg_prefixes *p)
{
    if (!p)
        return;
    free(p->nodes);
    free(p->edges);
    free(p);
}

int32_t sg_prefixes_next(const sg_prefixes *p, int32_t at, uint16_t type)
{
    if (at < 0)
        return -1;
    int32_t to = find_edge(p, at, type)->to;
    return to ? to : -1;
}

int32_t sg_prefixes_find(const sg_prefixes *p, const uint16_t *types, int length)
{
    int32_t at = 0;
    for (int t = 0; t < length && at >= 0; t++)
        at = sg_prefixes_next(p, at, types[t]);
    return at;
}

int64_t sg_prefixes_ending(const sg_prefixes *p, int32_t at)
{
    return at < 0 ? 0 : p->nodes[at].ending;
}

int64_t sg_prefixes_passing(const sg_prefixes *p, int32_t at)
{
    return at < 0 ? 0 : p->nodes[at].passing;
}

int sg_prefixes_depth(const sg_prefixes *p, int32_t at)
{
    return p->nodes[at].depth;
}

int32_t sg_prefixes_parent(const sg_prefixes *p, int32_t at)
{
    return p->nodes[at].parent;
}

uint16_t sg_prefixes_type(const sg_prefixes *p, int32_t at)
{
    return p->nodes[at].type;
}

int32_t sg_prefixes_count(const sg_prefixes *p)
{
    return p->count;
}

size_t sg_prefixes_bytes(const sg_prefixes *p)
{
    return p->capacity * sizeof *p->nodes + (p->mask + 1) * sizeof *p->edges;
}
