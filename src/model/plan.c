#include "model/plan.h"

#include "base/memory.h"
#include <stdlib.h>
#include <string.h>

/* ---- sequences ---- */

static int compare_steps(const uint16_t *a, const uint16_t *b, int steps)
{
    for (int t = 0; t < steps; t++)
        if (a[t] != b[t])
            return a[t] < b[t] ? -1 : 1;
    return 0;
}

static int compare_sequences(const void *x, const void *y, void *context)
{
    const sg_sequences *set = context;
    int32_t a = *(const int32_t *)x, b = *(const int32_t *)y;
    int order =
        compare_steps(set->token + (size_t)a * set->steps, set->token + (size_t)b * set->steps, set->steps);
    return order ? order : (a > b) - (a < b);
}

sg_status sg_sequences_make(sg_sequences *set, const sg_spec *spec, const uint16_t *sequence,
                            const uint16_t *length, int count)
{
    *set = (sg_sequences){.count = count, .steps = spec->max_length};
    size_t steps = (size_t)set->steps;
    sg_status status;
    SG_TRY_GOTO(status, failed, sg_alloc(&set->token, (size_t)count * steps, "sequences"));
    SG_TRY_GOTO(status, failed, sg_alloc(&set->length, count, "sequences"));
    SG_TRY_GOTO(status, failed, sg_alloc(&set->sorted, count, "sequences"));
    SG_TRY_GOTO(status, failed, sg_alloc(&set->position, count, "sequences"));
    for (int s = 0; s < count; s++) {
        size_t zeros = spec->padding == SG_PADDING_PRE ? steps - length[s] : 0;
        memcpy(set->token + (size_t)s * steps + zeros, sequence + (size_t)s * steps,
               length[s] * sizeof *sequence);
        set->length[s] = spec->padding == SG_PADDING_MASK ? length[s] : (uint16_t)steps;
        set->sorted[s] = s;
    }
    qsort_r(set->sorted, (size_t)count, sizeof *set->sorted, compare_sequences, set);
    for (int i = 0; i < count; i++)
        set->position[set->sorted[i]] = i;
    return SG_OK;
failed:
    sg_sequences_free(set);
    return status;
}

void sg_sequences_free(sg_sequences *set)
{
    free(set->token);
    free(set->length);
    free(set->sorted);
    free(set->position);
    *set = (sg_sequences){0};
}

/* ---- plans ---- */

const char *sg_batching_name(sg_batching batching)
{
    static const char *const names[] = {
        [SG_BATCHING_TRIE] = "trie", [SG_BATCHING_UNIQUE] = "unique", [SG_BATCHING_DENSE] = "dense"};
    return names[batching];
}

/* A row of the batch on its way into the trie. */
struct sg_plan_entry {
    int32_t position, label, row, sequence;
};

static int compare_entries(const void *x, const void *y)
{
    const struct sg_plan_entry *a = x, *b = y;
    if (a->position != b->position)
        return a->position < b->position ? -1 : 1;
    if (a->label != b->label)
        return a->label < b->label ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

static void free_rows(sg_plan *plan)
{
    free(plan->entry);
    free(plan->shared);
    free(plan->leaf_node);
    free(plan->leaf_sequence);
    free(plan->row_leaf);
    free(plan->head_leaf);
    free(plan->head_label);
    free(plan->head_row);
    free(plan->head_weight);
    free(plan->head_first);
    plan->entry = NULL;
    plan->shared = plan->leaf_node = plan->leaf_sequence = plan->row_leaf = NULL;
    plan->head_leaf = plan->head_label = plan->head_row = plan->head_first = NULL;
    plan->head_weight = NULL;
    plan->capacity_rows = 0;
}

static void free_steps(sg_plan *plan)
{
    free(plan->level_inner);
    free(plan->level_end);
    free(plan->path);
    free(plan->next);
    plan->level_inner = plan->level_end = plan->path = plan->next = NULL;
    plan->capacity_steps = 0;
}

static void free_nodes(sg_plan *plan)
{
    free(plan->parent);
    free(plan->token);
    free(plan->child_first);
    free(plan->child);
    plan->parent = plan->child_first = plan->child = NULL;
    plan->token = NULL;
    plan->capacity_nodes = 0;
}

static sg_status reserve_rows(sg_plan *plan, int count)
{
    size_t need = (size_t)count + 1;
    if (need <= plan->capacity_rows)
        return SG_OK;
    free_rows(plan);
    SG_TRY(sg_alloc(&plan->entry, need, "batch plan"));
    SG_TRY(sg_alloc(&plan->shared, need, "batch plan"));
    SG_TRY(sg_alloc(&plan->leaf_node, need, "batch plan"));
    SG_TRY(sg_alloc(&plan->leaf_sequence, need, "batch plan"));
    SG_TRY(sg_alloc(&plan->row_leaf, need, "batch plan"));
    SG_TRY(sg_alloc(&plan->head_leaf, need, "batch plan"));
    SG_TRY(sg_alloc(&plan->head_label, need, "batch plan"));
    SG_TRY(sg_alloc(&plan->head_row, need, "batch plan"));
    SG_TRY(sg_alloc(&plan->head_weight, need, "batch plan"));
    SG_TRY(sg_alloc(&plan->head_first, need, "batch plan"));
    plan->capacity_rows = need;
    return SG_OK;
}

static sg_status reserve_steps(sg_plan *plan, int steps)
{
    size_t need = (size_t)steps + 1;
    if (need <= plan->capacity_steps)
        return SG_OK;
    free_steps(plan);
    SG_TRY(sg_alloc(&plan->level_inner, need, "batch plan"));
    SG_TRY(sg_alloc(&plan->level_end, need, "batch plan"));
    SG_TRY(sg_alloc(&plan->path, need, "batch plan"));
    SG_TRY(sg_alloc(&plan->next, 2 * need, "batch plan"));
    plan->capacity_steps = need;
    return SG_OK;
}

static sg_status reserve_nodes(sg_plan *plan, int64_t nodes)
{
    if (nodes > INT32_MAX / 2)
        return sg_fail(SG_E_CONFIG, "a batch of %lld row-steps is too large", (long long)nodes);
    size_t need = (size_t)nodes + 1;
    if (need <= plan->capacity_nodes)
        return SG_OK;
    need += need / 8;
    free_nodes(plan);
    SG_TRY(sg_alloc(&plan->parent, need, "batch plan"));
    SG_TRY(sg_alloc(&plan->token, need, "batch plan"));
    SG_TRY(sg_alloc(&plan->child_first, need, "batch plan"));
    SG_TRY(sg_alloc(&plan->child, need, "batch plan"));
    plan->capacity_nodes = need;
    return SG_OK;
}

/* Sorts the rows into leaves and heads. */
static void collect_leaves(sg_plan *plan, bool heads, bool head_per_row)
{
    bool merge = plan->batching != SG_BATCHING_DENSE;
    plan->leaves = plan->heads = 0;
    for (int i = 0; i < plan->rows; i++) {
        const struct sg_plan_entry *e = &plan->entry[i];
        bool new_leaf = i == 0 || !merge || e->position != e[-1].position;
        if (new_leaf) {
            plan->head_first[plan->leaves] = plan->heads;
            plan->leaf_sequence[plan->leaves++] = e->sequence;
        }
        plan->row_leaf[e->row] = plan->leaves - 1;
        if (!heads)
            continue;
        if (new_leaf || head_per_row || e->label != e[-1].label) {
            plan->head_leaf[plan->heads] = plan->leaves - 1;
            plan->head_label[plan->heads] = e->label;
            plan->head_row[plan->heads] = e->row;
            plan->head_weight[plan->heads++] = 0;
        }
        plan->head_weight[plan->heads - 1] += 1;
    }
    plan->head_first[plan->leaves] = plan->heads;
}

static const uint16_t *leaf_steps(const sg_plan *plan, const sg_sequences *set, int leaf)
{
    return set->token + (size_t)plan->leaf_sequence[leaf] * (size_t)set->steps;
}

/* Steps that two leaves have in common from the start. */
static int common_steps(const sg_plan *plan, const sg_sequences *set, int leaf, int other)
{
    const uint16_t *a = leaf_steps(plan, set, leaf), *b = leaf_steps(plan, set, other);
    int length = set->length[plan->leaf_sequence[leaf]], limit = set->length[plan->leaf_sequence[other]];
    int same = 0;
    while (same < length && same < limit && a[same] == b[same])
        same++;
    return same;
}

/* Fills plan->shared; returns the number of nodes. */
static int64_t measure_sharing(sg_plan *plan, const sg_sequences *set)
{
    int64_t nodes = 0;
    plan->steps = 0;
    for (int l = 0; l < plan->leaves; l++) {
        bool prefixes = plan->batching == SG_BATCHING_TRIE && l > 0;
        int length = set->length[plan->leaf_sequence[l]];
        int same = prefixes ? common_steps(plan, set, l - 1, l) : 0;
        plan->shared[l] = same;
        nodes += length - same;
        plan->steps = length > plan->steps ? length : plan->steps;
    }
    plan->shared[plan->leaves] = 0;
    return nodes;
}

/* Whether the node that leaf l adds at level t has children: l goes on, or (l ending here) the next leaf
 * does. */
static bool is_inner(const sg_plan *plan, int length, int l, int t)
{
    return t + 1 < length || plan->shared[l + 1] >= t + 1;
}

/* Counts nodes by level and kind, and turns the counts into ranges. */
static void number_levels(sg_plan *plan, const sg_sequences *set)
{
    int32_t *inner = plan->level_inner, *end = plan->level_end;
    memset(inner, 0, (size_t)(plan->steps + 1) * sizeof *inner);
    memset(end, 0, (size_t)(plan->steps + 1) * sizeof *end);
    for (int l = 0; l < plan->leaves; l++) {
        int length = set->length[plan->leaf_sequence[l]];
        for (int t = plan->shared[l]; t < length; t++)
            (is_inner(plan, length, l, t) ? inner : end)[t + 1]++;
    }
    for (int t = 0; t < plan->steps; t++)
        inner[t + 1] += inner[t];
    plan->inner_nodes = inner[plan->steps];
    end[0] = plan->inner_nodes;
    for (int t = 0; t < plan->steps; t++)
        end[t + 1] += end[t];
    plan->nodes = end[plan->steps];
}

static void number_nodes(sg_plan *plan, const sg_sequences *set)
{
    int32_t *next_inner = plan->next, *next_end = plan->next + plan->capacity_steps;
    memcpy(next_inner, plan->level_inner, (size_t)plan->steps * sizeof *next_inner);
    memcpy(next_end, plan->level_end, (size_t)plan->steps * sizeof *next_end);
    for (int l = 0; l < plan->leaves; l++) {
        int length = set->length[plan->leaf_sequence[l]];
        const uint16_t *steps = leaf_steps(plan, set, l);
        for (int t = plan->shared[l]; t < length; t++) {
            int32_t id = (is_inner(plan, length, l, t) ? next_inner : next_end)[t]++;
            plan->parent[id] = t > 0 ? plan->path[t - 1] : -1;
            plan->token[id] = steps[t];
            plan->path[t] = id;
        }
        plan->leaf_node[l] = plan->path[length - 1];
    }
}

static void list_children(sg_plan *plan)
{
    int32_t *first = plan->child_first;
    memset(first, 0, (size_t)(plan->inner_nodes + 1) * sizeof *first);
    for (int n = 0; n < plan->nodes; n++)
        if (plan->parent[n] >= 0)
            first[plan->parent[n] + 1]++;
    for (int p = 0; p < plan->inner_nodes; p++)
        first[p + 1] += first[p];
    /* first[p] serves as the place of p's next child, and is moved back afterwards. */
    for (int n = 0; n < plan->nodes; n++)
        if (plan->parent[n] >= 0)
            plan->child[first[plan->parent[n]]++] = n;
    for (int p = plan->inner_nodes; p > 0; p--)
        first[p] = first[p - 1];
    first[0] = 0;
}

sg_status sg_plan_build(sg_plan *plan, const sg_sequences *set, const int32_t *rows, const int32_t *labels,
                        int count, sg_batching batching, bool head_per_row)
{
    SG_TRY(reserve_rows(plan, count));
    plan->batching = batching;
    plan->rows = count;
    for (int b = 0; b < count; b++)
        plan->entry[b] = (struct sg_plan_entry){set->position[rows[b]], labels ? labels[b] : 0, b, rows[b]};
    qsort(plan->entry, (size_t)count, sizeof *plan->entry, compare_entries);
    collect_leaves(plan, labels != NULL, head_per_row);
    int64_t nodes = measure_sharing(plan, set);
    SG_TRY(reserve_steps(plan, plan->steps));
    SG_TRY(reserve_nodes(plan, nodes));
    number_levels(plan, set);
    number_nodes(plan, set);
    list_children(plan);
    return SG_OK;
}

void sg_plan_free(sg_plan *plan)
{
    free_rows(plan);
    free_steps(plan);
    free_nodes(plan);
    *plan = (sg_plan){0};
}

sg_product_rows sg_plan_compare_rows(const sg_plan *plan, const sg_sequences *set)
{
    sg_product_rows rows = {0};
    for (int b = 0; b < plan->rows; b++)
        rows.dense += set->length[plan->leaf_sequence[plan->row_leaf[b]]] - 1;
    /* Leaves are sorted, so equal ones are neighbours, and a prefix is shared with the one before.  A leaf
     * adds its own steps; those that are not its last one have children, and so has the last step of the
     * previous leaf if this one continues it. */
    for (int l = 0; l < plan->leaves; l++) {
        int before = l > 0 ? plan->leaf_sequence[l - 1] : -1, length = set->length[plan->leaf_sequence[l]];
        if (before == plan->leaf_sequence[l])
            continue;
        int same = before >= 0 ? common_steps(plan, set, l - 1, l) : 0;
        rows.unique += length - 1;
        rows.trie += length - same - 1 + (before >= 0 && same == set->length[before]);
    }
    return rows;
}
