/* random_set.h: random unique sequences that share prefixes, for tests of plans and engines. */
#ifndef SG_RANDOM_SET_H
#define SG_RANDOM_SET_H

#include "base/philox.h"
#include "model/plan.h"
#include "testing.h"

typedef struct {
    sg_spec spec;
    int count;
    uint16_t *sequence, *length;
    sg_sequences set;
} random_set;

static inline bool is_new_sequence(const random_set *r, int s)
{
    size_t steps = (size_t)r->spec.max_length;
    for (int k = 0; k < s; k++)
        if (memcmp(r->sequence + (size_t)k * steps, r->sequence + (size_t)s * steps,
                   steps * sizeof(uint16_t)) == 0)
            return false;
    return true;
}

static inline void random_set_make(random_set *r, const sg_spec *spec, int count, uint64_t seed)
{
    sg_random random = sg_random_open(seed, SG_RANDOM_BENCH, 0);
    size_t steps = (size_t)spec->max_length;
    *r = (random_set){.spec = *spec, .count = count};
    r->sequence = calloc((size_t)count * steps, sizeof *r->sequence);
    r->length = calloc((size_t)count, sizeof *r->length);
    for (int s = 0; s < count;) {
        uint16_t *row = r->sequence + (size_t)s * steps;
        int length = 1 + (int)sg_random_below(&random, (uint32_t)steps), keep = 0;
        memset(row, 0, steps * sizeof *row);
        if (s > 0 && sg_random_below(&random, 4) > 0) {
            int base = (int)sg_random_below(&random, (uint32_t)s);
            keep = r->length[base] < length ? r->length[base] : length;
            memcpy(row, r->sequence + (size_t)base * steps, (size_t)keep * sizeof *row);
        }
        for (int t = keep; t < length; t++)
            row[t] = (uint16_t)(1 + sg_random_below(&random, (uint32_t)spec->message_types));
        r->length[s] = (uint16_t)length;
        s += is_new_sequence(r, s);
    }
    assert_ok(sg_sequences_make(&r->set, spec, r->sequence, r->length, count));
}

static inline void random_set_free(random_set *r)
{
    sg_sequences_free(&r->set);
    free(r->sequence);
    free(r->length);
}

#endif
