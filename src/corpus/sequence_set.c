#include "corpus/sequence_set.h"

#include "base/memory.h"
#include "corpus/corpus.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { FIRST_SLOTS = 1024 };

sg_status sg_sequence_set_open(sg_sequence_set *set)
{
    memset(set, 0, sizeof *set);
    SG_TRY(sg_alloc(&set->slots, FIRST_SLOTS, "unique sequences"));
    set->slots_mask = FIRST_SLOTS - 1;
    sg_status status = sg_grow(&set->start, &set->start_capacity, 1, "unique sequences");
    if (status != SG_OK)
        sg_sequence_set_free(set);
    else
        set->start[0] = 0;
    return status;
}

void sg_sequence_set_free(sg_sequence_set *set)
{
    free(set->tokens);
    free(set->start);
    free(set->times);
    free(set->slots);
    memset(set, 0, sizeof *set);
}

static uint32_t hash(const uint16_t *tokens, int length)
{
    return (uint32_t)XXH3_64bits(tokens, (size_t)length * sizeof *tokens);
}

/* The slot that holds the sequence, or the empty one where it belongs. */
static uint32_t find_slot(const sg_sequence_set *set, const uint16_t *tokens, int length)
{
    uint32_t at = hash(tokens, length) & set->slots_mask;
    for (; set->slots[at]; at = (at + 1) & set->slots_mask) {
        int32_t number = (int32_t)set->slots[at] - 1;
        if (sg_sequence_set_length(set, number) == length &&
            memcmp(sg_sequence_set_tokens(set, number), tokens, (size_t)length * sizeof *tokens) == 0)
            break;
    }
    return at;
}

/* Doubles the table, so that it stays at most half full. */
static sg_status grow_slots(sg_sequence_set *set)
{
    uint32_t *slots, mask = set->slots_mask * 2 + 1;
    SG_TRY(sg_alloc(&slots, (size_t)mask + 1, "unique sequences"));
    free(set->slots);
    set->slots = slots;
    set->slots_mask = mask;
    for (int32_t n = 0; n < set->count; n++) {
        uint32_t at = find_slot(set, sg_sequence_set_tokens(set, n), sg_sequence_set_length(set, n));
        slots[at] = (uint32_t)n + 1;
    }
    return SG_OK;
}

sg_status sg_sequence_set_add(sg_sequence_set *set, const uint16_t *tokens, int length, int32_t *number)
{
    uint32_t at = find_slot(set, tokens, length);
    if (set->slots[at]) {
        *number = (int32_t)set->slots[at] - 1;
        set->times[*number]++;
        return SG_OK;
    }
    if (set->count >= SG_CLASSES_MAX)
        return sg_fail(SG_E_CONFIG, "more than %d unique sequences", SG_CLASSES_MAX);
    size_t n = (size_t)set->count, used = set->start[n];
    SG_TRY(sg_grow(&set->tokens, &set->tokens_capacity, used + (size_t)length, "unique sequences"));
    SG_TRY(sg_grow(&set->start, &set->start_capacity, n + 2, "unique sequences"));
    SG_TRY(sg_grow(&set->times, &set->times_capacity, n + 1, "unique sequences"));
    memcpy(set->tokens + used, tokens, (size_t)length * sizeof *tokens);
    set->start[n + 1] = used + (size_t)length;
    set->times[n] = 1;
    set->slots[at] = (uint32_t)++set->count;
    *number = (int32_t)n;
    return (uint32_t)set->count > set->slots_mask / 2 ? grow_slots(set) : SG_OK;
}
