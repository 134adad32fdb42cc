/* cuda_plan.c: what a step reads on the device: a batch's plan, brought there in one copy, and what each
 * token adds in layer 0. */
#include "engine/cuda/cuda_state.h"

#include <string.h>

enum { CHUNK_ROWS = 64 }; /* rows that one partial sum covers */

/* Adds one array, of `count` elements of the type that `from` points at. */
#define ADD(from, count) \
    sg_gpu_stage_add(&cuda->base.gpu, &cuda->batch, (from), (size_t)(count) * sizeof *(from))

static void *room(sg_cuda *cuda, size_t count, size_t size, const void **device)
{
    void *host;
    *device = sg_gpu_stage_room(&cuda->base.gpu, &cuda->batch, count * size, &host);
    return host;
}

static size_t size_of(size_t count, size_t size)
{
    return sg_gpu_stage_size(count * size);
}

/* An upper bound on the bytes of all parts. */
static size_t plan_bytes(const sg_cuda *cuda, const sg_plan *plan, const float *mask)
{
    size_t nodes = (size_t)plan->nodes, heads = (size_t)plan->heads, leaves = (size_t)plan->leaves;
    size_t types = (size_t)cuda->base.weights.spec.message_types;
    size_t chunks = nodes / CHUNK_ROWS + heads / CHUNK_ROWS + types + 8;
    size_t bytes = 4 * size_of(nodes + 1, 4) + size_of(nodes, 2) + 2 * size_of(nodes + 1, 4);
    bytes += 4 * size_of(heads, 4) + size_of(leaves + 1, 4);
    bytes += 3 * size_of(chunks, 4) + 3 * size_of(types + 2, 4);
    return bytes + (mask ? size_of((size_t)plan->rows * (size_t)cuda->base.weights.spec.units, 4) : 0);
}

static void stage_leaves(sg_cuda *cuda, const sg_plan *plan)
{
    const void *device;
    int32_t *leaf_of_node = room(cuda, (size_t)plan->nodes, sizeof *leaf_of_node, &device);
    memset(leaf_of_node, 0xff, (size_t)plan->nodes * sizeof *leaf_of_node);
    for (int l = 0; l < plan->leaves; l++)
        leaf_of_node[plan->leaf_node[l]] = l;
    cuda->plan.leaf_of_node = device;
}

static void stage_heads(sg_cuda *cuda, const sg_plan *plan, const float *mask)
{
    sg_cuda_plan *to = &cuda->plan;
    const void *device;
    int32_t *head_node = room(cuda, (size_t)plan->heads, sizeof *head_node, &device);
    for (int k = 0; k < plan->heads; k++)
        head_node[k] = plan->leaf_node[plan->head_leaf[k]];
    to->heads = (sg_heads){.rows = plan->rows, .heads = plan->heads, .states.source_row = device};
    to->heads.row = ADD(plan->head_row, plan->heads);
    to->heads.label = ADD(plan->head_label, plan->heads);
    to->heads.weight = ADD(plan->head_weight, plan->heads);
    to->head_first = ADD(plan->head_first, plan->leaves + 1);
    to->heads.mask = mask ? ADD(mask, (size_t)plan->rows * (size_t)cuda->base.weights.spec.units) : NULL;
}

/* Rows 0 ... rows-1 as one group. */
static void stage_range(sg_cuda *cuda, int rows, sg_chunks *to)
{
    const void *device;
    to->chunks = (rows + CHUNK_ROWS - 1) / CHUNK_ROWS;
    to->groups = 1;
    to->member = NULL;
    int32_t *first = room(cuda, (size_t)to->chunks + 1, sizeof *first, &device);
    for (int j = 0; j <= to->chunks; j++)
        first[j] = j * CHUNK_ROWS < rows ? j * CHUNK_ROWS : rows;
    to->chunk_first = device;
    int32_t *group = room(cuda, 2, sizeof *group, &device);
    group[0] = 0;
    group[1] = to->chunks;
    to->group_first = device;
}

/* Nodes by token, in order: a counting sort, then groups cut into chunks. */
static void stage_tokens(sg_cuda *cuda, const sg_plan *plan)
{
    sg_chunks *to = &cuda->plan.by_token;
    const void *member_at, *first_at, *group_at;
    int types = cuda->base.weights.spec.message_types;
    to->groups = types + 1;
    int32_t *member = room(cuda, (size_t)plan->nodes, sizeof *member, &member_at);
    int32_t *group = room(cuda, (size_t)types + 2, sizeof *group, &group_at);
    size_t chunks_most = (size_t)(plan->nodes / CHUNK_ROWS + types + 2);
    int32_t *first = room(cuda, chunks_most + 1, sizeof *first, &first_at);
    /* group[m + 1] counts, then is where the next node of token m goes. */
    memset(group, 0, ((size_t)types + 2) * sizeof *group);
    for (int n = 0; n < plan->nodes; n++)
        if (plan->token[n] < types)
            group[plan->token[n] + 1]++;
    for (int m = 1; m <= types; m++)
        group[m] += group[m - 1];
    for (int n = 0; n < plan->nodes; n++)
        member[group[plan->token[n]]++] = n;
    /* Now group[m] is where token m's nodes end: that of token m + 1 is where they begin. */
    int chunks = 0, begin = 0;
    for (int m = 0; m <= types; m++) {
        int end = group[m];
        group[m] = chunks;
        for (int at = begin; at < end; at += CHUNK_ROWS)
            first[chunks++] = at;
        begin = end;
    }
    group[types + 1] = chunks;
    first[chunks] = plan->nodes;
    *to = (sg_chunks){member_at, first_at, group_at, chunks, types + 1};
}

sg_status sg_cuda_stage_plan(sg_cuda *cuda, const sg_plan *plan, const float *mask, bool labels)
{
    sg_cuda_plan *to = &cuda->plan;
    SG_TRY(sg_gpu_stage_begin(&cuda->base.gpu, &cuda->batch, plan_bytes(cuda, plan, mask)));
    *to = (sg_cuda_plan){0};
    to->parent = ADD(plan->parent, plan->nodes);
    to->token = ADD(plan->token, plan->nodes);
    stage_leaves(cuda, plan);
    if (labels) {
        to->child_first = ADD(plan->child_first, plan->inner_nodes + 1);
        to->child = ADD(plan->child, plan->child_first[plan->inner_nodes]);
        stage_heads(cuda, plan, mask);
        stage_tokens(cuda, plan);
        stage_range(cuda, plan->nodes, &to->nodes);
        stage_range(cuda, plan->heads, &to->heads.all);
    }
    return sg_gpu_stage_copy(&cuda->base.gpu, &cuda->batch);
}

sg_status sg_cuda_refresh(sg_cuda *cuda)
{
    const sg_weights *w = &cuda->base.weights;
    if (!cuda->base.stale)
        return SG_OK;
    SG_TRY(sg_gpu_span_begin(&cuda->base.gpu, SG_PHASE_PACKING));
    SG_CUDA(sg_kernel_token_table(
                w->spec.message_types, 4 * w->units, sg_weights_at(w, w->w, w->layout.kernel[0]),
                sg_weights_at(w, w->w, w->layout.bias[0]), cuda->table.data, cuda->base.gpu.stream),
            "token table");
    cuda->base.stale = false;
    return sg_gpu_span_end(&cuda->base.gpu);
}
