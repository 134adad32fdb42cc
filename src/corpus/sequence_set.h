/* sequence_set.h: the unique sequences of message types met so far, numbered in order of first appearance. */
#ifndef SG_CORPUS_SEQUENCE_SET_H
#define SG_CORPUS_SEQUENCE_SET_H

#include "base/status.h"
#include <stdint.h>

typedef struct {
    int32_t count;    /* unique sequences */
    uint16_t *tokens; /* all of them, one after the other */
    uint64_t *start;  /* [count + 1] where each begins in tokens */
    int64_t *times;   /* [count] how often each was added */
    uint32_t *slots;  /* open addressing, number + 1; 0 is empty */
    uint32_t slots_mask;
    size_t tokens_capacity, start_capacity, times_capacity;
} sg_sequence_set;

/* An empty set; release with sg_sequence_set_free. */
sg_status sg_sequence_set_open(sg_sequence_set *set);
void sg_sequence_set_free(sg_sequence_set *set);

/* Counts the sequence `tokens` of `length` >= 1 types; *number says which it is (set->count - 1 if it is
 * new). SG_E_CONFIG beyond SG_CLASSES_MAX sequences. */
sg_status sg_sequence_set_add(sg_sequence_set *set, const uint16_t *tokens, int length, int32_t *number);

static inline int sg_sequence_set_length(const sg_sequence_set *set, int32_t number)
{
    return (int)(set->start[number + 1] - set->start[number]);
}

static inline const uint16_t *sg_sequence_set_tokens(const sg_sequence_set *set, int32_t number)
{
    return set->tokens + set->start[number];
}

#endif
