/* cuda_gradients.c: forward and backward of a batch over its prefix trie, enqueued on the engine's stream.
 *
 * The order of work is that of the CPU engine (cpu_gradients.c): forward, level by level, Z = H[t-1] R once
 * for each parent and one kernel that gathers; then the head; backward, one kernel that sums children into
 * parents and dH[t-1] = dZ R^T; at the end dR in one product and the sums by token.  Nothing waits for the
 * device.
 */
#include "engine/cuda/cuda_state.h"

/* ---- storage ---- */

static sg_status reserve(sg_cuda *cuda, sg_block *block, int64_t rows, int64_t width, size_t size)
{
    return sg_gpu_engine_reserve(&cuda->base, block, rows, width, size);
}

static sg_status reserve_nodes(sg_cuda *cuda, const sg_plan *plan)
{
    int64_t h = cuda->base.weights.units;
    size_t operand = cuda->base.gpu.operand_size;
    for (int l = 0; l < cuda->base.weights.spec.layers; l++) {
        SG_TRY(reserve(cuda, &cuda->states[l].gates, plan->nodes, 4 * h, sizeof(float)));
        SG_TRY(reserve(cuda, &cuda->states[l].c, plan->nodes, h, sizeof(float)));
        SG_TRY(reserve(cuda, &cuda->states[l].h, plan->nodes, h, operand));
    }
    if (cuda->base.gpu.operand == SG_OPERAND_BF16)
        SG_TRY(reserve(cuda, &cuda->dz, plan->nodes, 4 * h, operand));
    if (cuda->base.weights.spec.layers > 1)
        SG_TRY(reserve(cuda, &cuda->input_gradient, plan->nodes, h, sizeof(float)));
    return reserve(cuda, &cuda->z_sum, plan->inner_nodes, 4 * h, operand);
}

static sg_status reserve_levels(sg_cuda *cuda, const sg_plan *plan)
{
    int64_t widest = 1, h = cuda->base.weights.units;
    for (int t = 0; t < plan->steps; t++)
        if (sg_plan_inner(plan, t) > widest)
            widest = sg_plan_inner(plan, t);
    SG_TRY(reserve(cuda, &cuda->c_sum[0], widest, h, sizeof(float)));
    SG_TRY(reserve(cuda, &cuda->c_sum[1], widest, h, sizeof(float)));
    return reserve(cuda, &cuda->product, widest, 4 * h, sizeof(float));
}

sg_status sg_cuda_prepare(sg_cuda *cuda, const sg_batch *batch)
{
    const sg_plan *plan = batch->plan;
    const int64_t h = cuda->base.weights.units;
    SG_TRY(reserve_nodes(cuda, plan));
    SG_TRY(reserve_levels(cuda, plan));
    SG_TRY(reserve(cuda, &cuda->leaf_gradient, plan->leaves, h, sizeof(float)));
    SG_TRY(sg_cuda_stage_plan(cuda, plan, batch->mask, true));
    /* The widest of the sums over rows is that by token. */
    SG_TRY(reserve(cuda, &cuda->base.partial, cuda->plan.by_token.chunks, 4 * h, sizeof(float)));
    return sg_head_reserve(&cuda->base, &cuda->plan.heads);
}

/* ---- forward ---- */

static float *tensor(const sg_cuda *cuda, float *base, int number)
{
    return sg_weights_at(&cuda->base.weights, base, number);
}

static sg_status forward_level(sg_cuda *cuda, const sg_plan *plan, int layer, int t)
{
    size_t h = (size_t)cuda->base.weights.units;
    const sg_cuda_states *s = &cuda->states[layer];
    int parent_first = t > 0 ? plan->level_inner[t - 1] : 0;
    sg_forward_level level = {.units = cuda->base.weights.units,
                              .inner = sg_plan_inner(plan, t),
                              .end = sg_plan_end(plan, t),
                              .inner_node = plan->level_inner[t],
                              .end_node = plan->level_end[t],
                              .inner_row = plan->level_inner[t],
                              .end_row = plan->level_end[t],
                              .parent = cuda->plan.parent,
                              .parent_first = parent_first,
                              .gates = s->gates.data,
                              .c = s->c.data,
                              .h = s->h.data,
                              .operand = cuda->base.gpu.operand};
    if (t > 0) {
        level.z = cuda->product.data;
        level.c_before = (const float *)s->c.data + (size_t)parent_first * h;
    }
    if (layer == 0) {
        level.token = cuda->plan.token;
        level.table = cuda->table.data;
    } else {
        level.x = s->gates.data;
        level.bias = tensor(cuda, cuda->base.weights.w, cuda->base.weights.layout.bias[layer]);
    }
    SG_TRY(sg_gpu_span_begin(&cuda->base.gpu, SG_PHASE_POINTWISE));
    SG_CUDA(sg_kernel_forward_level(&level, cuda->base.gpu.stream), "forward");
    return sg_gpu_span_end(&cuda->base.gpu);
}

static sg_status forward_layer(sg_cuda *cuda, const sg_plan *plan, int layer)
{
    int64_t h = cuda->base.weights.units;
    int kernel = cuda->base.weights.layout.kernel[layer],
        recurrent = cuda->base.weights.layout.recurrent[layer];
    sg_cuda_states *s = &cuda->states[layer];
    if (layer > 0)
        SG_TRY(sg_gpu_times_weights(&cuda->base, SG_PHASE_FORWARD, cuda->states[layer - 1].h.data,
                                    plan->nodes, h, 4 * h, kernel, s->gates.data));
    for (int t = 0; t < plan->steps; t++) {
        if (t > 0)
            SG_TRY(sg_gpu_times_weights(&cuda->base, SG_PHASE_FORWARD,
                                        sg_operand_at(cuda, &s->h, plan->level_inner[t - 1], h),
                                        sg_plan_inner(plan, t - 1), h, 4 * h, recurrent, cuda->product.data));
        SG_TRY(forward_level(cuda, plan, layer, t));
    }
    return SG_OK;
}

/* ---- the head ---- */

static sg_status run_head(sg_cuda *cuda, const sg_batch *batch)
{
    const sg_cuda_states *s = &cuda->states[cuda->base.weights.spec.layers - 1];
    sg_heads heads = cuda->plan.heads;
    const float *scale;
    heads.states.gates = s->gates.data;
    heads.states.c = s->c.data;
    SG_TRY(sg_head_step(&cuda->base, batch, &heads, &scale));
    SG_TRY(sg_gpu_span_begin(&cuda->base.gpu, SG_PHASE_POINTWISE));
    SG_CUDA(sg_kernel_sum_heads(batch->plan->leaves, cuda->base.weights.units, cuda->plan.head_first,
                                cuda->base.head.gradient.data, scale, cuda->leaf_gradient.data,
                                cuda->base.gpu.stream),
            "gradients of the leaves");
    return sg_gpu_span_end(&cuda->base.gpu);
}

/* ---- backward ---- */

/* Where gradients of the sums go: a bf16 array of their own, or the place of the activations. */
static void *dz_of(const sg_cuda *cuda, int layer)
{
    return cuda->base.gpu.operand == SG_OPERAND_BF16 ? cuda->dz.data : cuda->states[layer].gates.data;
}

static sg_status backward_level(sg_cuda *cuda, const sg_plan *plan, int layer, int t)
{
    size_t h = (size_t)cuda->base.weights.units;
    const sg_cuda_states *s = &cuda->states[layer];
    bool last = layer == cuda->base.weights.spec.layers - 1;
    sg_backward_level level = {.units = (int)h,
                               .inner = sg_plan_inner(plan, t),
                               .end = sg_plan_end(plan, t),
                               .inner_node = plan->level_inner[t],
                               .end_node = plan->level_end[t],
                               .inner_nodes = plan->inner_nodes,
                               .child_inner = plan->level_inner[t],
                               .child_first = cuda->plan.child_first,
                               .child = cuda->plan.child,
                               .gates = s->gates.data,
                               .c = s->c.data,
                               .dh = cuda->product.data,
                               .dc = cuda->c_sum[t & 1].data,
                               .leaf_of_node = last ? cuda->plan.leaf_of_node : NULL,
                               .leaf_gradient = cuda->leaf_gradient.data,
                               .from_above = last ? NULL : cuda->input_gradient.data,
                               .dz = dz_of(cuda, layer),
                               .operand = cuda->base.gpu.operand};
    if (t > 0) {
        level.parents = sg_plan_inner(plan, t - 1);
        level.parent_first = plan->level_inner[t - 1];
        level.z_sum = sg_operand_at(cuda, &cuda->z_sum, level.parent_first, 4 * (int64_t)h);
        level.c_sum = cuda->c_sum[(t - 1) & 1].data;
    }
    SG_TRY(sg_gpu_span_begin(&cuda->base.gpu, SG_PHASE_POINTWISE));
    SG_CUDA(sg_kernel_backward_level(&level, cuda->base.gpu.stream), "backward");
    return sg_gpu_span_end(&cuda->base.gpu);
}

/* Gradient of the input kernel of a layer above the first, and what the layer below receives. */
static sg_status backward_input(sg_cuda *cuda, const sg_plan *plan, int layer)
{
    int64_t h = cuda->base.weights.units;
    int kernel = cuda->base.weights.layout.kernel[layer];
    const void *dz = dz_of(cuda, layer);
    SG_TRY(sg_gpu_outer(&cuda->base, SG_PHASE_WEIGHTS, cuda->states[layer - 1].h.data, dz, plan->nodes, h,
                        4 * h, kernel));
    return sg_gpu_times_transposed(&cuda->base, SG_PHASE_BACKWARD, dz, plan->nodes, 4 * h, h, kernel,
                                   cuda->input_gradient.data);
}

static sg_status backward_layer(sg_cuda *cuda, const sg_plan *plan, int layer)
{
    int64_t h = cuda->base.weights.units;
    const sg_layout *at = &cuda->base.weights.layout;
    float *bias = tensor(cuda, cuda->base.weights.gradient, at->bias[layer]);
    for (int t = plan->steps - 1; t > 0; t--) {
        SG_TRY(backward_level(cuda, plan, layer, t));
        SG_TRY(sg_gpu_times_transposed(&cuda->base, SG_PHASE_BACKWARD,
                                       sg_operand_at(cuda, &cuda->z_sum, plan->level_inner[t - 1], 4 * h),
                                       sg_plan_inner(plan, t - 1), 4 * h, h, at->recurrent[layer],
                                       cuda->product.data));
    }
    SG_TRY(backward_level(cuda, plan, layer, 0));
    SG_TRY(sg_gpu_outer(&cuda->base, SG_PHASE_WEIGHTS, cuda->states[layer].h.data, cuda->z_sum.data,
                        plan->inner_nodes, h, 4 * h, at->recurrent[layer]));
    if (layer == 0)
        return sg_gpu_sum_rows(&cuda->base, &cuda->plan.by_token, dz_of(cuda, 0), cuda->base.gpu.operand,
                               4 * (int)h, tensor(cuda, cuda->base.weights.gradient, at->kernel[0]), bias);
    SG_TRY(sg_gpu_sum_rows(&cuda->base, &cuda->plan.nodes, dz_of(cuda, layer), cuda->base.gpu.operand,
                           4 * (int)h, NULL, bias));
    return backward_input(cuda, plan, layer);
}

sg_status sg_cuda_enqueue_gradients(sg_cuda *cuda, const sg_batch *batch)
{
    SG_TRY(sg_cuda_refresh(cuda));
    for (int layer = 0; layer < cuda->base.weights.spec.layers; layer++)
        SG_TRY(forward_layer(cuda, batch->plan, layer));
    SG_TRY(run_head(cuda, batch));
    for (int layer = cuda->base.weights.spec.layers - 1; layer >= 0; layer--)
        SG_TRY(backward_layer(cuda, batch->plan, layer));
    cuda->base.weights.has_gradient = true;
    return SG_OK;
}
