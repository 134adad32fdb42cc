/* prefixes.h: the exact set of beginnings of known dialogs, as a trie: the cheap first test of a dialog that
 * is still going on, and the baseline that a learned detector has to beat.
 *
 * Node 0 is the empty prefix.  Immutable once built; safe to share between threads.
 */
#ifndef SG_DETECT_PREFIXES_H
#define SG_DETECT_PREFIXES_H

#include "base/status.h"
#include <stdint.h>

typedef struct sg_prefixes sg_prefixes;

/* The trie of those of `count` sequences [count, steps] whose weight (dialogs of the train split) is above 0.
 */
sg_status sg_prefixes_open(sg_prefixes **prefixes, const uint16_t *sequence, const uint16_t *length,
                           const int64_t *weight, int count, int steps);
void sg_prefixes_close(sg_prefixes *prefixes); /* NULL is fine */

/* The node after one more message, or -1 if no known dialog goes on like that.  node may be -1. */
int32_t sg_prefixes_next(const sg_prefixes *prefixes, int32_t node, uint16_t type);

/* The node of a whole prefix, or -1. */
int32_t sg_prefixes_find(const sg_prefixes *prefixes, const uint16_t *types, int length);

/* Dialogs of the train split that end at a node, and those that pass through it or end there. */
int64_t sg_prefixes_ending(const sg_prefixes *prefixes, int32_t node);
int64_t sg_prefixes_passing(const sg_prefixes *prefixes, int32_t node);

/* Depth of a node, its parent and the message that leads to it; for walking over all nodes. */
int sg_prefixes_depth(const sg_prefixes *prefixes, int32_t node);
int32_t sg_prefixes_parent(const sg_prefixes *prefixes, int32_t node);
uint16_t sg_prefixes_type(const sg_prefixes *prefixes, int32_t node);

int32_t sg_prefixes_count(const sg_prefixes *prefixes); /* nodes */
size_t sg_prefixes_bytes(const sg_prefixes *prefixes);

#endif
