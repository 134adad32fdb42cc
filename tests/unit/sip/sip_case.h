/* sip_case.h: messages for the tests of src/sip. */
#ifndef SG_SIP_CASE_H
#define SG_SIP_CASE_H

#include "sip/endpoint.h"
#include "sip/message.h"
#include "testing.h"

#include <sys/mman.h>

/* Captures that may lie beside the repository and do not belong to it; tests that want them skip without. */
#define SG_SHARED_CAPTURES SG_TEST_DATA "/../../../shared/captures"

/* Bytes that end where a page begins which must not be touched: reading past the end ends the program. */
typedef struct {
    char *map;
    size_t size, room; /* of the map, and of the part that may be read */
} guarded;

static inline guarded guarded_open(size_t room)
{
    size_t page = 4096;
    guarded g = {.room = (room + page - 1) / page * page};
    g.size = g.room + page;
    g.map = mmap(NULL, g.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.map != MAP_FAILED);
    assert_int_equal(mprotect(g.map + g.room, page, PROT_NONE), 0);
    return g;
}

/* A copy of the bytes right before the forbidden page. */
static inline char *guarded_put(const guarded *g, const void *data, size_t size)
{
    char *at = g->map + g->room - size;
    memcpy(at, data, size);
    return at;
}

static inline void guarded_close(guarded *g)
{
    munmap(g->map, g->size);
}

static inline bool text_is(sg_text text, const char *want)
{
    return text.length == strlen(want) && (text.length == 0 || memcmp(text.data, want, text.length) == 0);
}

#define assert_text(text, want)                                                                     \
    do {                                                                                            \
        sg_text text_ = (text);                                                                     \
        if (!text_is(text_, (want)))                                                                \
            fail_msg("%s is '%.*s' instead of '%s'", #text, (int)text_.length, text_.data, (want)); \
    } while (0)

/* Numbers of no quality but their speed and sameness (splitmix64). */
static inline uint64_t dice(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline sg_endpoint host(unsigned last, uint16_t port)
{
    sg_endpoint endpoint = {
        .family = 4, .address = {10, 0, (uint8_t)(last >> 8), (uint8_t)last}, .port = port};
    return endpoint;
}

/* A message of hosts `from` and `to` at a time in seconds. */
static inline sg_flow flow_at(double seconds, unsigned from, unsigned to)
{
    sg_flow flow = {
        .time_us = (int64_t)(seconds * 1e6), .source = host(from, 5060), .destination = host(to, 5060)};
    return flow;
}

#endif
