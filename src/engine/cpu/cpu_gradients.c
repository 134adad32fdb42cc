/* cpu_gradients.c: forward and backward of a batch over its prefix trie.
 *
 * Forward, level by level: Z = H[t-1] R once for each parent, then one loop gathers the parent's row of Z and
 * of C, adds what the token contributes, and writes activations, C[t] and H[t].  Backward, the other way
 * round: one loop over parents takes the gradients of their children's sums and adds them up in child order,
 * then dH[t-1] = dZ R^T.  The weight gradient of the recurrent kernel is a single product over all parents at
 * the end.
 */
#include "engine/cpu/cpu_engine.h"

#include "base/log.h"
#include "base/memory.h"
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMN_BLOCK = 128 }; /* columns of the bias and kernel sums that a thread takes at once */

static float *thread_scratch(const sg_cpu *cpu)
{
    return cpu->scratch + (size_t)omp_get_thread_num() * 8 * (size_t)cpu->spec.units;
}

static float *tensor_of(const sg_cpu *cpu, float *base, int tensor)
{
    return base + cpu->layout.tensor[tensor].offset;
}

/* ---- storage ---- */

/* Replaces a buffer by a zeroed one of at least `count` elements. */
static sg_status renew(void **buffer, size_t count, size_t size)
{
    free(*buffer);
    return sg_alloc_bytes(buffer, count, size, "states of a batch");
}

static sg_status reserve_nodes(sg_cpu *cpu, const sg_plan *plan)
{
    size_t nodes = (size_t)plan->nodes, inner = (size_t)plan->inner_nodes, h = (size_t)cpu->spec.units;
    if (inner > cpu->inner_capacity) {
        cpu->inner_capacity = inner + inner / 16;
        SG_TRY(renew(&cpu->z_sum, cpu->inner_capacity * 4 * h, cpu->operand_size));
    }
    if (nodes <= cpu->node_capacity)
        return SG_OK;
    cpu->node_capacity = nodes + nodes / 16;
    for (int l = 0; l < cpu->spec.layers; l++) {
        sg_cpu_states *s = &cpu->states[l];
        SG_TRY(renew((void **)&s->gates, cpu->node_capacity * 4 * h, sizeof(float)));
        SG_TRY(renew((void **)&s->c, cpu->node_capacity * h, sizeof(float)));
        SG_TRY(renew(&s->h, cpu->node_capacity * h, cpu->operand_size));
    }
    if (cpu->spec.layers > 1)
        SG_TRY(renew((void **)&cpu->input_gradient, cpu->node_capacity * h, sizeof(float)));
    if (cpu->spec.layers > 1 && cpu->bf16)
        SG_TRY(renew(&cpu->gates_operand, cpu->node_capacity * 4 * h, cpu->operand_size));
    return renew((void **)&cpu->leaf_of_node, cpu->node_capacity, sizeof(int32_t));
}

static sg_status reserve_levels(sg_cpu *cpu, const sg_plan *plan)
{
    size_t widest = 1, h = (size_t)cpu->spec.units;
    for (int t = 0; t < plan->steps; t++)
        if ((size_t)sg_plan_inner(plan, t) > widest)
            widest = (size_t)sg_plan_inner(plan, t);
    if (widest <= cpu->level_capacity)
        return SG_OK;
    cpu->level_capacity = widest + widest / 8;
    SG_TRY(renew((void **)&cpu->product, cpu->level_capacity * 4 * h, sizeof(float)));
    SG_TRY(renew((void **)&cpu->c_sum[0], cpu->level_capacity * h, sizeof(float)));
    return renew((void **)&cpu->c_sum[1], cpu->level_capacity * h, sizeof(float));
}

static sg_status reserve_heads(sg_cpu *cpu, const sg_plan *plan)
{
    size_t heads = (size_t)(plan->heads > plan->leaves ? plan->heads : plan->leaves);
    size_t h = (size_t)cpu->spec.units, n = (size_t)cpu->spec.classes;
    if (heads <= cpu->head_capacity)
        return SG_OK;
    cpu->head_capacity = heads = heads + heads / 8;
    SG_TRY(renew((void **)&cpu->leaf_gradient, heads * h, sizeof(float)));
    SG_TRY(renew((void **)&cpu->head_mask, heads * h, sizeof(float)));
    SG_TRY(renew((void **)&cpu->head_gradient, heads * h, sizeof(float)));
    SG_TRY(renew(&cpu->head_operand, heads * h, cpu->operand_size));
    SG_TRY(renew((void **)&cpu->head_output, heads * n, sizeof(float)));
    if (cpu->bf16)
        SG_TRY(renew(&cpu->output_operand, heads * n, cpu->operand_size));
    SG_TRY(renew((void **)&cpu->head_loss, heads, sizeof(double)));
    return renew((void **)&cpu->head_argmax, heads, sizeof(int32_t));
}

static sg_status reserve(sg_cpu *cpu, const sg_plan *plan)
{
    if (!cpu->gradient)
        SG_TRY(sg_alloc(&cpu->gradient, cpu->layout.count, "gradients"));
    SG_TRY(reserve_nodes(cpu, plan));
    SG_TRY(reserve_levels(cpu, plan));
    return reserve_heads(cpu, plan);
}

/* ---- forward ---- */

static void forward_level(sg_cpu *cpu, const sg_plan *plan, int layer, int t)
{
    double start = sg_seconds();
    int h = cpu->spec.units, count = sg_plan_level(plan, t);
    sg_cpu_states *s = &cpu->states[layer];
    const float *bias = layer == 0 ? cpu->zeros : tensor_of(cpu, cpu->w, cpu->layout.bias[layer]);
#pragma omp parallel for schedule(static) num_threads(cpu->threads)
    for (int j = 0; j < count; j++) {
        size_t node = (size_t)sg_plan_node(plan, t, j), width = (size_t)h;
        int parent = plan->parent[node];
        const float *z =
            parent < 0 ? cpu->zeros : cpu->product + (size_t)(parent - plan->level_inner[t - 1]) * 4 * width;
        const float *c_before = parent < 0 ? cpu->zeros : s->c + (size_t)parent * width;
        float *gates = s->gates + node * 4 * width;
        const float *x = layer == 0 ? cpu->token_bias + plan->token[node] * 4 * width : gates;
        void *row = sg_operand_row(cpu, s->h, (int64_t)node, h);
        float *target = sg_operand_target(cpu, row, thread_scratch(cpu));
        cpu->row->cell_forward(h, z, x, bias, c_before, gates, s->c + node * width, target);
        sg_operand_finish(cpu, row, target, h);
    }
    sg_cpu_account(cpu, SG_PHASE_POINTWISE, start, 0);
}

static sg_status forward_layer(sg_cpu *cpu, const sg_plan *plan, int layer)
{
    int64_t h = cpu->spec.units;
    sg_cpu_states *s = &cpu->states[layer];
    if (layer > 0)
        SG_TRY(sg_cpu_multiply(cpu, SG_PHASE_FORWARD, cpu->weights[layer].kernel, cpu->states[layer - 1].h,
                               plan->nodes, h, 4 * h, s->gates));
    for (int t = 0; t < plan->steps; t++) {
        if (t > 0)
            SG_TRY(sg_cpu_multiply(cpu, SG_PHASE_FORWARD, cpu->weights[layer].recurrent,
                                   sg_operand_row(cpu, s->h, plan->level_inner[t - 1], h),
                                   sg_plan_inner(plan, t - 1), h, 4 * h, cpu->product));
        forward_level(cpu, plan, layer, t);
    }
    return SG_OK;
}

/* ---- the head: dropout, dense layer, softmax, cross-entropy ---- */

/* The mask of each head, if there is dropout; NULL otherwise. */
static const float *make_masks(sg_cpu *cpu, const sg_batch *batch)
{
    const sg_plan *plan = batch->plan;
    int h = cpu->spec.units;
    if (!batch->mask && !(cpu->spec.dropout > 0))
        return NULL;
#pragma omp parallel for schedule(static) num_threads(cpu->threads)
    for (int k = 0; k < plan->heads; k++) {
        float *mask = cpu->head_mask + (size_t)k * (size_t)h;
        int row = plan->head_row[k];
        if (batch->mask)
            memcpy(mask, batch->mask + (size_t)row * (size_t)h, (size_t)h * sizeof *mask);
        else
            cpu->row->dropout_mask(h, batch->dropout_seed, batch->update, row, (float)cpu->spec.dropout,
                                   mask);
    }
    return cpu->head_mask;
}

/* Gathers the states of the leaves, masked, as the operand of the dense layer. */
static void gather_heads(sg_cpu *cpu, const sg_plan *plan, const float *masks)
{
    size_t h = (size_t)cpu->spec.units;
    const sg_cpu_states *s = &cpu->states[cpu->spec.layers - 1];
#pragma omp parallel for schedule(static) num_threads(cpu->threads)
    for (int k = 0; k < plan->heads; k++) {
        size_t node = (size_t)plan->leaf_node[plan->head_leaf[k]];
        void *row = sg_operand_row(cpu, cpu->head_operand, k, (int64_t)h);
        float *target = sg_operand_target(cpu, row, thread_scratch(cpu));
        cpu->row->output((int)h, s->gates + (node * 4 + 3) * h, s->c + node * h, target);
        if (masks)
            cpu->row->multiply((int)h, target, target, masks + (size_t)k * h);
        sg_operand_finish(cpu, row, target, (int)h);
    }
}

/* Softmax and loss of every head; head_output becomes the gradient of the outputs. */
static void softmax_heads(sg_cpu *cpu, const sg_plan *plan, sg_step_result *result)
{
    double start = sg_seconds();
    int n = cpu->spec.classes;
    const float *bias = tensor_of(cpu, cpu->w, cpu->layout.dense_bias);
#pragma omp parallel for schedule(static) num_threads(cpu->threads)
    for (int k = 0; k < plan->heads; k++) {
        float *row = cpu->head_output + (size_t)k * (size_t)n;
        float scale = plan->head_weight[k] / (float)plan->rows;
        int argmax;
        cpu->head_loss[k] = cpu->row->softmax_loss(n, row, bias, plan->head_label[k], scale, &argmax);
        cpu->head_argmax[k] = argmax;
        if (cpu->bf16)
            cpu->row->to_bf16(n, sg_operand_row(cpu, cpu->output_operand, k, n), row);
    }
    result->loss = 0;
    result->right = 0;
    for (int k = 0; k < plan->heads; k++) {
        result->loss += (double)plan->head_weight[k] * cpu->head_loss[k];
        if (cpu->head_argmax[k] == plan->head_label[k])
            result->right += (int64_t)plan->head_weight[k];
    }
    result->loss /= plan->rows;
    sg_cpu_account(cpu, SG_PHASE_SOFTMAX, start, 0);
}

/* leaf_gradient[l] = sum over the leaf's heads of mask * gradient. */
static void sum_heads(sg_cpu *cpu, const sg_plan *plan, const float *masks)
{
    size_t h = (size_t)cpu->spec.units;
#pragma omp parallel for schedule(static) num_threads(cpu->threads)
    for (int l = 0; l < plan->leaves; l++) {
        float *sum = cpu->leaf_gradient + (size_t)l * h;
        memset(sum, 0, h * sizeof *sum);
        for (size_t k = (size_t)plan->head_first[l]; k < (size_t)plan->head_first[l + 1]; k++) {
            if (masks)
                cpu->row->multiply_add((int)h, sum, cpu->head_gradient + k * h, masks + k * h);
            else
                cpu->row->add((int)h, sum, cpu->head_gradient + k * h);
        }
    }
}

/* to[column] = sum over rows of a [rows, columns] matrix. */
static void column_sums(const sg_cpu *cpu, const float *matrix, int rows, int columns, float *to)
{
#pragma omp parallel for schedule(static) num_threads(cpu->threads)
    for (int first = 0; first < columns; first += COLUMN_BLOCK) {
        int count = columns - first < COLUMN_BLOCK ? columns - first : COLUMN_BLOCK;
        memset(to + first, 0, (size_t)count * sizeof *to);
        for (int r = 0; r < rows; r++)
            cpu->row->add(count, to + first, matrix + (size_t)r * (size_t)columns + first);
    }
}

static sg_status outer(sg_cpu *cpu, sg_phase phase, const void *a, const void *b, int64_t rows, int64_t m,
                       int64_t n, float *c)
{
    double start = sg_seconds();
    if (rows == 0)
        memset(c, 0, (size_t)(m * n) * sizeof *c);
    else
        SG_TRY(sg_gemm_outer(cpu->gemm, a, b, rows, m, n, c));
    sg_cpu_account(cpu, phase, start, 2.0 * (double)rows * (double)m * (double)n);
    return SG_OK;
}

static sg_status run_head(sg_cpu *cpu, const sg_batch *batch, sg_step_result *result)
{
    const sg_plan *plan = batch->plan;
    int64_t h = cpu->spec.units, n = cpu->spec.classes;
    double start = sg_seconds();
    const float *masks = make_masks(cpu, batch);
    gather_heads(cpu, plan, masks);
    sg_cpu_account(cpu, SG_PHASE_POINTWISE, start, 0);
    SG_TRY(sg_cpu_multiply(cpu, SG_PHASE_HEAD, cpu->dense, cpu->head_operand, plan->heads, h, n,
                           cpu->head_output));
    softmax_heads(cpu, plan, result);
    const void *gradient = cpu->bf16 ? cpu->output_operand : cpu->head_output;
    SG_TRY(
        sg_cpu_multiply(cpu, SG_PHASE_HEAD, cpu->dense_t, gradient, plan->heads, n, h, cpu->head_gradient));
    SG_TRY(outer(cpu, SG_PHASE_HEAD, cpu->head_operand, gradient, plan->heads, h, n,
                 tensor_of(cpu, cpu->gradient, cpu->layout.dense_kernel)));
    start = sg_seconds();
    sum_heads(cpu, plan, masks);
    column_sums(cpu, cpu->head_output, plan->heads, (int)n,
                tensor_of(cpu, cpu->gradient, cpu->layout.dense_bias));
    sg_cpu_account(cpu, SG_PHASE_POINTWISE, start, 0);
    return SG_OK;
}

/* ---- backward ---- */

/* What reaches the state h of a node from later steps, from the head and from the layer above, as one row. */
static const float *state_gradient(const sg_cpu *cpu, const sg_plan *plan, int layer, int t, int node,
                                   float *scratch)
{
    size_t h = (size_t)cpu->spec.units;
    const float *source[2];
    int sources = 0, leaf = layer == cpu->spec.layers - 1 ? cpu->leaf_of_node[node] : -1;
    if (node < plan->inner_nodes)
        source[sources++] = cpu->product + (size_t)(node - plan->level_inner[t]) * h;
    if (leaf >= 0)
        source[sources++] = cpu->leaf_gradient + (size_t)leaf * h;
    else if (layer < cpu->spec.layers - 1)
        source[sources++] = cpu->input_gradient + (size_t)node * h;
    if (sources < 2)
        return sources ? source[0] : cpu->zeros;
    memcpy(scratch, source[0], h * sizeof *scratch);
    cpu->row->add((int)h, scratch, source[1]);
    return scratch;
}

/* One node of level t; its gradients are added to z_sum and c_sum of its parent. */
static void backward_node(sg_cpu *cpu, const sg_plan *plan, int layer, int t, int node, const float *c_sums,
                          float *scratch, float *z_sum, float *c_sum)
{
    size_t h = (size_t)cpu->spec.units;
    sg_cpu_states *s = &cpu->states[layer];
    int parent = plan->parent[node];
    const float *dh = state_gradient(cpu, plan, layer, t, node, scratch);
    const float *dc =
        node < plan->inner_nodes ? c_sums + (size_t)(node - plan->level_inner[t]) * h : cpu->zeros;
    const float *c_before = parent < 0 ? cpu->zeros : s->c + (size_t)parent * h;
    cpu->row->cell_backward((int)h, s->gates + (size_t)node * 4 * h, s->c + (size_t)node * h, c_before, dh,
                            dc, z_sum, c_sum);
}

/* Level t: gradients of its nodes' sums, added up over the children of each parent in level t-1. */
static void backward_level(sg_cpu *cpu, const sg_plan *plan, int layer, int t, const float *c_sums,
                           float *c_sums_before)
{
    double start = sg_seconds();
    size_t h = (size_t)cpu->spec.units;
    int first = plan->level_inner[t - 1], parents = sg_plan_inner(plan, t - 1);
#pragma omp parallel for schedule(static) num_threads(cpu->threads)
    for (int q = 0; q < parents; q++) {
        /* Scratch of a thread: a row of dh [H], a row of sums [4H]. */
        float *scratch = thread_scratch(cpu), *c_sum = c_sums_before + (size_t)q * h;
        void *row = sg_operand_row(cpu, cpu->z_sum, first + q, 4 * (int64_t)h);
        float *z_sum = sg_operand_target(cpu, row, scratch + h);
        memset(z_sum, 0, 4 * h * sizeof *z_sum);
        memset(c_sum, 0, h * sizeof *c_sum);
        for (int k = plan->child_first[first + q]; k < plan->child_first[first + q + 1]; k++)
            backward_node(cpu, plan, layer, t, plan->child[k], c_sums, scratch, z_sum, c_sum);
        sg_operand_finish(cpu, row, z_sum, 4 * (int)h);
    }
    sg_cpu_account(cpu, SG_PHASE_POINTWISE, start, 0);
}

/* Level 0: no parents; the sums go nowhere. */
static void backward_first_level(sg_cpu *cpu, const sg_plan *plan, int layer, const float *c_sums)
{
    double start = sg_seconds();
    size_t h = (size_t)cpu->spec.units;
    int count = sg_plan_level(plan, 0);
#pragma omp parallel for schedule(static) num_threads(cpu->threads)
    for (int j = 0; j < count; j++) {
        float *scratch = thread_scratch(cpu);
        backward_node(cpu, plan, layer, 0, sg_plan_node(plan, 0, j), c_sums, scratch, scratch + h,
                      scratch + 5 * h);
    }
    sg_cpu_account(cpu, SG_PHASE_POINTWISE, start, 0);
}

/* Gradients of bias and, for layer 0, of the kernel: sums of the nodes' rows, by token.  A zero step feeds
 * the bias only.  Blocks of columns go to threads, so each sum has one order. */
static void sum_tokens(sg_cpu *cpu, const sg_plan *plan, int layer)
{
    double start = sg_seconds();
    int columns = 4 * cpu->spec.units;
    const float *gates = cpu->states[layer].gates;
    float *bias = tensor_of(cpu, cpu->gradient, cpu->layout.bias[layer]);
    if (layer > 0) {
        column_sums(cpu, gates, plan->nodes, columns, bias);
        sg_cpu_account(cpu, SG_PHASE_POINTWISE, start, 0);
        return;
    }
    float *kernel = tensor_of(cpu, cpu->gradient, cpu->layout.kernel[0]);
    size_t width = (size_t)columns;
#pragma omp parallel for schedule(static) num_threads(cpu->threads)
    for (int first = 0; first < columns; first += COLUMN_BLOCK) {
        int count = columns - first < COLUMN_BLOCK ? columns - first : COLUMN_BLOCK;
        memset(bias + first, 0, (size_t)count * sizeof *bias);
        for (int m = 0; m < cpu->spec.message_types; m++)
            memset(kernel + (size_t)m * width + first, 0, (size_t)count * sizeof *kernel);
        for (int node = 0; node < plan->nodes; node++) {
            int token = plan->token[node];
            float *to = token == 0 ? bias : kernel + (size_t)(token - 1) * width;
            cpu->row->add(count, to + first, gates + (size_t)node * width + first);
        }
        for (int m = 0; m < cpu->spec.message_types; m++)
            cpu->row->add(count, bias + first, kernel + (size_t)m * width + first);
    }
    sg_cpu_account(cpu, SG_PHASE_POINTWISE, start, 0);
}

/* Gradient of the input kernel of a layer above the first, and what the layer below receives. */
static sg_status backward_input(sg_cpu *cpu, const sg_plan *plan, int layer)
{
    int64_t h = cpu->spec.units;
    const sg_cpu_states *s = &cpu->states[layer];
    const void *gradient = s->gates;
    if (cpu->bf16) {
        double start = sg_seconds();
        gradient = cpu->gates_operand;
#pragma omp parallel for schedule(static) num_threads(cpu->threads)
        for (int node = 0; node < plan->nodes; node++)
            cpu->row->to_bf16(4 * (int)h, sg_operand_row(cpu, cpu->gates_operand, node, 4 * h),
                              s->gates + (size_t)node * 4 * (size_t)h);
        sg_cpu_account(cpu, SG_PHASE_POINTWISE, start, 0);
    }
    SG_TRY(outer(cpu, SG_PHASE_WEIGHTS, cpu->states[layer - 1].h, gradient, plan->nodes, h, 4 * h,
                 tensor_of(cpu, cpu->gradient, cpu->layout.kernel[layer])));
    return sg_cpu_multiply(cpu, SG_PHASE_BACKWARD, cpu->weights[layer].kernel_t, gradient, plan->nodes, 4 * h,
                           h, cpu->input_gradient);
}

static sg_status backward_layer(sg_cpu *cpu, const sg_plan *plan, int layer)
{
    int64_t h = cpu->spec.units;
    sg_cpu_states *s = &cpu->states[layer];
    for (int t = plan->steps - 1; t > 0; t--) {
        backward_level(cpu, plan, layer, t, cpu->c_sum[t & 1], cpu->c_sum[(t - 1) & 1]);
        SG_TRY(sg_cpu_multiply(cpu, SG_PHASE_BACKWARD, cpu->weights[layer].recurrent_t,
                               sg_operand_row(cpu, cpu->z_sum, plan->level_inner[t - 1], 4 * h),
                               sg_plan_inner(plan, t - 1), 4 * h, h, cpu->product));
    }
    backward_first_level(cpu, plan, layer, cpu->c_sum[0]);
    SG_TRY(outer(cpu, SG_PHASE_WEIGHTS, s->h, cpu->z_sum, plan->inner_nodes, h, 4 * h,
                 tensor_of(cpu, cpu->gradient, cpu->layout.recurrent[layer])));
    sum_tokens(cpu, plan, layer);
    return layer > 0 ? backward_input(cpu, plan, layer) : SG_OK;
}

sg_status sg_cpu_gradients(void *self, const sg_batch *batch, sg_step_result *result)
{
    sg_cpu *cpu = self;
    const sg_plan *plan = batch->plan;
    SG_TRY(reserve(cpu, plan));
    SG_TRY(sg_cpu_pack(cpu));
    SG_TRY(sg_cpu_pack_backward(cpu));
    for (int node = 0; node < plan->nodes; node++)
        cpu->leaf_of_node[node] = -1;
    for (int l = 0; l < plan->leaves; l++)
        cpu->leaf_of_node[plan->leaf_node[l]] = l;
    for (int layer = 0; layer < cpu->spec.layers; layer++)
        SG_TRY(forward_layer(cpu, plan, layer));
    SG_TRY(run_head(cpu, batch, result));
    for (int layer = cpu->spec.layers - 1; layer >= 0; layer--)
        SG_TRY(backward_layer(cpu, plan, layer));
    return SG_OK;
}
