/* plan.h: a batch as a prefix trie.
 *
 * Rows with equal prefixes have equal hidden states, so the recurrence runs once for each unique prefix (a
 * node). Level t holds the unique prefixes of t + 1 steps.  The paper's batch of 933 padded dialogs has 52248
 * row-steps but about a sixth as many nodes.  A dense plan (no sharing: one node for each row and step) has
 * the same structure.
 *
 * Nodes are numbered so that every product runs over consecutive rows: first all inner nodes (those with
 * children), level by level, then all end nodes, level by level.  Children of a node are consecutive in
 * `child`, in rising order, so sums over children are deterministic.
 *
 * A leaf is a unique sequence (dense: a row); its state is that of node leaf_node.  With padding `mask` that
 * may be an inner node.  A head is what the dense layer sees: a (leaf, label) pair with its multiplicity, or,
 * with dropout, one row of the batch, because every row has its own mask.
 */
#ifndef SG_MODEL_PLAN_H
#define SG_MODEL_PLAN_H

#include "model/spec.h"
#include <stdint.h>

/* The unique sequences from which batches are drawn, padded as the network sees them and sorted once. */
typedef struct {
    int count, steps;  /* S sequences of at most L steps */
    uint16_t *token;   /* [S, L], 0 = padding step */
    uint16_t *length;  /* [S], steps to run: L, or the dialog's length with padding `mask` */
    int32_t *sorted;   /* [S], sequence numbers in lexicographic order of their steps */
    int32_t *position; /* [S], the inverse of sorted */
} sg_sequences;

/* `sequence` is [count, L] with zeros after `length[s]` messages, 1 <= length[s] <= L.  L is
 * spec->max_length. */
sg_status sg_sequences_make(sg_sequences *set, const sg_spec *spec, const uint16_t *sequence,
                            const uint16_t *length, int count);
void sg_sequences_free(sg_sequences *set);

typedef enum { SG_BATCHING_TRIE, SG_BATCHING_UNIQUE, SG_BATCHING_DENSE } sg_batching;
#define SG_BATCHING_CHOICES "trie|unique|dense"

const char *sg_batching_name(sg_batching batching);

typedef struct {
    sg_batching batching;
    int rows;               /* B */
    int steps;              /* levels in use, at most L */
    int nodes, inner_nodes; /* inner nodes are 0..inner_nodes-1 */
    int32_t *level_inner;   /* [steps + 1]: level t's inner nodes are level_inner[t] .. level_inner[t+1]-1 */
    int32_t *level_end;     /* [steps + 1]: level t's end nodes likewise, from inner_nodes on */
    int32_t *parent;        /* [nodes], -1 on level 0 */
    uint16_t *token;        /* [nodes], 0..M */
    int32_t *child_first;   /* [inner_nodes + 1]: children of p are child[child_first[p]] ..
                               child[child_first[p+1]-1] */
    int32_t *child;

    int leaves;
    int32_t *leaf_node;     /* [leaves] */
    int32_t *leaf_sequence; /* [leaves], number in the sg_sequences */
    int32_t *row_leaf;      /* [B] */

    int heads;
    int32_t *head_leaf;  /* [heads], not falling */
    int32_t *head_label; /* [heads] */
    int32_t *head_row;   /* [heads], a row of the batch: with dropout, the one whose mask applies */
    float *head_weight;  /* [heads], number of rows it represents */
    int32_t *head_first; /* [leaves + 1]: heads of leaf l are head_first[l] .. head_first[l+1]-1 */

    /* Storage reused from plan to plan, and scratch space of the builder. */
    size_t capacity_nodes, capacity_rows, capacity_steps;
    struct sg_plan_entry *entry; /* [B] */
    int32_t *shared;             /* [B]: steps that leaf l shares with leaf l-1 */
    int32_t *path, *next;        /* [2 steps] */
} sg_plan;

/* Builds the plan of a batch: row b shows sequence rows[b] and has label labels[b].  `labels` may be NULL for
 * inference (no heads).  `head_per_row`: see above.  The plan's storage is reused; start from a zeroed
 * struct. */
sg_status sg_plan_build(sg_plan *plan, const sg_sequences *set, const int32_t *rows, const int32_t *labels,
                        int count, sg_batching batching, bool head_per_row);
void sg_plan_free(sg_plan *plan);

/* Inner and end nodes of level t. */
static inline int sg_plan_inner(const sg_plan *plan, int t)
{
    return plan->level_inner[t + 1] - plan->level_inner[t];
}

static inline int sg_plan_end(const sg_plan *plan, int t)
{
    return plan->level_end[t + 1] - plan->level_end[t];
}

/* All nodes of level t, and number j of them: inner nodes first. */
static inline int sg_plan_level(const sg_plan *plan, int t)
{
    return sg_plan_inner(plan, t) + sg_plan_end(plan, t);
}

static inline int sg_plan_node(const sg_plan *plan, int t, int j)
{
    const int inner = sg_plan_inner(plan, t);
    return j < inner ? plan->level_inner[t] + j : plan->level_end[t] + j - inner;
}

/* Product rows: nodes whose state is multiplied by the recurrent kernel in one layer, which are the inner
 * nodes; the work that sharing saves.  Those of the same batch in each kind of plan.  `set` is the one that
 * the plan was built from. */
typedef struct {
    int64_t dense, unique, trie;
} sg_product_rows;

sg_product_rows sg_plan_compare_rows(const sg_plan *plan, const sg_sequences *set);

#endif
