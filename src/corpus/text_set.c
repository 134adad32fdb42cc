#include "corpus/text_set.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { FIRST_SLOTS = 1024 };

sg_status sg_text_set_open(sg_text_set *set)
{
    memset(set, 0, sizeof *set);
    set->slots_mask = FIRST_SLOTS - 1;
    return sg_alloc(&set->slots, FIRST_SLOTS, "texts");
}

void sg_text_set_free(sg_text_set *set)
{
    free(set->bytes);
    free(set->start);
    free(set->slots);
    memset(set, 0, sizeof *set);
}

/* The slot that holds the text, or the empty one where it belongs. */
static uint32_t find_slot(const sg_text_set *set, const char *text)
{
    uint32_t at = (uint32_t)XXH3_64bits(text, strlen(text)) & set->slots_mask;
    while (set->slots[at] && strcmp(sg_text_set_text(set, (int32_t)set->slots[at] - 1), text) != 0)
        at = (at + 1) & set->slots_mask;
    return at;
}

/* Doubles the table, so that it stays at most half full. */
static sg_status grow_slots(sg_text_set *set)
{
    uint32_t *slots, mask = set->slots_mask * 2 + 1;
    SG_TRY(sg_alloc(&slots, (size_t)mask + 1, "texts"));
    free(set->slots);
    set->slots = slots;
    set->slots_mask = mask;
    for (int32_t n = 0; n < set->count; n++)
        slots[find_slot(set, sg_text_set_text(set, n))] = (uint32_t)n + 1;
    return SG_OK;
}

sg_status sg_text_set_add(sg_text_set *set, const char *text, int32_t *number)
{
    uint32_t at = find_slot(set, text);
    if (set->slots[at]) {
        *number = (int32_t)set->slots[at] - 1;
        return SG_OK;
    }
    if (set->count >= 1 << 30)
        return sg_fail(SG_E_CONFIG, "more than %d different texts", 1 << 30);
    size_t n = (size_t)set->count, length = strlen(text) + 1;
    SG_TRY(sg_grow(&set->bytes, &set->bytes_capacity, set->used + length, "texts"));
    SG_TRY(sg_grow(&set->start, &set->start_capacity, n + 1, "texts"));
    memcpy(set->bytes + set->used, text, length);
    set->start[n] = set->used;
    set->used += length;
    set->slots[at] = (uint32_t)++set->count;
    *number = (int32_t)n;
    return (uint32_t)set->count > set->slots_mask / 2 ? grow_slots(set) : SG_OK;
}

int32_t sg_text_set_find(const sg_text_set *set, const char *text)
{
    return (int32_t)set->slots[find_slot(set, text)] - 1;
}
