/* trie.h: how the dialogs of the train split begin, as a .sipm file holds it. */
#ifndef SD_TRIE_H
#define SD_TRIE_H

#include "sipdetect/sipm_format.h"

typedef struct {
    uint32_t nodes;
    const uint32_t *first;            /* [nodes + 1] */
    const uint16_t *type;             /* [nodes] */
    const uint64_t *ending, *passing; /* [nodes] */
    const sd_node_score *score;       /* [nodes] */
} sd_trie;

/* The node after one more message, or -1 if no train dialog goes on like that; node may be -1. */
static inline int32_t sd_trie_next(const sd_trie *trie, int32_t node, uint16_t type)
{
    if (node < 0)
        return -1;
    uint32_t low = trie->first[node], end = trie->first[node + 1], high = end;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (trie->type[middle] < type)
            low = middle + 1;
        else
            high = middle;
    }
    return low < end && trie->type[low] == type ? (int32_t)low : -1;
}

/* The node of a whole beginning, or -1. */
static inline int32_t sd_trie_find(const sd_trie *trie, const uint16_t *types, int length)
{
    int32_t node = 0;
    for (int t = 0; t < length && node >= 0; t++)
        node = sd_trie_next(trie, node, types[t]);
    return node;
}

#endif
