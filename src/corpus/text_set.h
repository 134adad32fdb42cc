/* text_set.h: the unique texts met so far, numbered in order of first appearance. */
#ifndef SG_CORPUS_TEXT_SET_H
#define SG_CORPUS_TEXT_SET_H

#include "base/status.h"
#include <stdint.h>

typedef struct {
    int32_t count;
    char *bytes;     /* all texts, each with its NUL */
    uint64_t *start; /* [count] where each begins in bytes */
    uint64_t used;
    uint32_t *slots; /* open addressing, number + 1; 0 is empty */
    uint32_t slots_mask;
    size_t bytes_capacity, start_capacity;
} sg_text_set;

/* An empty set; release with sg_text_set_free. */
sg_status sg_text_set_open(sg_text_set *set);
void sg_text_set_free(sg_text_set *set);

/* The number of `text`, which is added if it is new (then *number == set->count - 1). */
sg_status sg_text_set_add(sg_text_set *set, const char *text, int32_t *number);

/* The number of `text`, or -1. */
int32_t sg_text_set_find(const sg_text_set *set, const char *text);

/* Valid until the next sg_text_set_add. */
static inline const char *sg_text_set_text(const sg_text_set *set, int32_t number)
{
    return set->bytes + set->start[number];
}

#endif
