/* cuda_gradients.c: forward and backward of a batch over its prefix trie, enqueued on the engine's stream.
 *
 * The order of work is that of the CPU engine (cpu_gradients.c): forward, level by level, Z = H[t-1] R once
 * for each parent and one kernel that gathers; then the head; backward, one kernel that sums children into
 * parents and dH[t-1] = dZ R^T; at the end dR in one product and the sums by token.  Nothing waits for the
 * device.
 */
#include "engine/cuda/cuda_state.h"

/* ---- storage ---- */

/* Room for `rows` rows; somewhat more if it has to grow, so that batches of much the same size do not make it
 * grow again and again. */
static sg_status reserve(sg_cuda *cuda, sg_block *block, int64_t rows, int64_t width, size_t size)
{
    size_t need = (size_t)(rows * width);
    if (block->data && block->bytes >= need * size)
        return SG_OK;
    return sg_gpu_reserve(&cuda->base.gpu, block, need + need / 8, size, "states of a batch");
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

static sg_status reserve_heads(sg_cuda *cuda, const sg_plan *plan)
{
    int64_t h = cuda->base.weights.units, n = cuda->base.weights.classes, heads = plan->heads;
    size_t operand = cuda->base.gpu.operand_size;
    SG_TRY(reserve(cuda, &cuda->leaf_gradient, plan->leaves, h, sizeof(float)));
    SG_TRY(reserve(cuda, &cuda->head_scale, heads, h, sizeof(float)));
    SG_TRY(reserve(cuda, &cuda->head_operand, heads, h, operand));
    SG_TRY(reserve(cuda, &cuda->head_gradient, heads, h, sizeof(float)));
    SG_TRY(reserve(cuda, &cuda->head_output, heads, n, sizeof(float)));
    if (cuda->base.gpu.operand == SG_OPERAND_BF16)
        SG_TRY(reserve(cuda, &cuda->output_operand, heads, n, operand));
    SG_TRY(reserve(cuda, &cuda->head_loss, heads, 1, sizeof(double)));
    return reserve(cuda, &cuda->head_argmax, heads, 1, sizeof(int32_t));
}

/* For the sums by token, the widest of the sums over rows, and those over heads. */
static sg_status reserve_partial(sg_cuda *cuda)
{
    const sg_cuda_plan *p = &cuda->plan;
    SG_TRY(reserve(cuda, &cuda->partial, p->by_token.chunks, 4 * (int64_t)cuda->base.weights.units,
                   sizeof(float)));
    return reserve(cuda, &cuda->partial, p->heads.chunks, cuda->base.weights.classes, sizeof(float));
}

sg_status sg_cuda_prepare(sg_cuda *cuda, const sg_batch *batch)
{
    SG_TRY(reserve_nodes(cuda, batch->plan));
    SG_TRY(reserve_levels(cuda, batch->plan));
    SG_TRY(reserve_heads(cuda, batch->plan));
    SG_TRY(sg_cuda_stage_plan(cuda, batch->plan, batch->mask, true));
    return reserve_partial(cuda);
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
        SG_TRY(sg_cuda_times_weights(cuda, SG_PHASE_FORWARD, cuda->states[layer - 1].h.data, plan->nodes, h,
                                     4 * h, kernel, s->gates.data));
    for (int t = 0; t < plan->steps; t++) {
        if (t > 0)
            SG_TRY(sg_cuda_times_weights(
                cuda, SG_PHASE_FORWARD, sg_operand_at(cuda, &s->h, plan->level_inner[t - 1], h),
                sg_plan_inner(plan, t - 1), h, 4 * h, recurrent, cuda->product.data));
        SG_TRY(forward_level(cuda, plan, layer, t));
    }
    return SG_OK;
}

/* ---- the head ---- */

/* States of the leaves, masked, as the operand of the dense layer; *scale is the masks or NULL. */
static sg_status gather_heads(sg_cuda *cuda, const sg_batch *batch, const float **scale)
{
    const sg_weights *w = &cuda->base.weights;
    const sg_cuda_states *s = &cuda->states[w->spec.layers - 1];
    *scale = NULL;
    SG_TRY(sg_gpu_span_begin(&cuda->base.gpu, SG_PHASE_POINTWISE));
    if (batch->mask || w->spec.dropout > 0) {
        const sg_dropout dropout = {.heads = batch->plan->heads,
                                    .units = w->spec.units,
                                    .width = w->units,
                                    .row = cuda->plan.head_row,
                                    .seed = batch->dropout_seed,
                                    .update = batch->update,
                                    .rate = (float)w->spec.dropout,
                                    .given = cuda->plan.mask,
                                    .scale = cuda->head_scale.data};
        SG_CUDA(sg_kernel_dropout(&dropout, cuda->base.gpu.stream), "dropout");
        *scale = cuda->head_scale.data;
    }
    const sg_gather gather = {.heads = batch->plan->heads,
                              .units = w->units,
                              .source_row = cuda->plan.head_node,
                              .gates = s->gates.data,
                              .c = s->c.data,
                              .scale = *scale,
                              .out = cuda->head_operand.data,
                              .operand = cuda->base.gpu.operand};
    SG_CUDA(sg_kernel_gather(&gather, cuda->base.gpu.stream), "states of the leaves");
    return sg_gpu_span_end(&cuda->base.gpu);
}

/* Softmax and loss; head_output becomes the gradient of the outputs. */
static sg_status softmax_heads(sg_cuda *cuda, const sg_plan *plan)
{
    const sg_weights *w = &cuda->base.weights;
    const sg_softmax_loss softmax = {.heads = plan->heads,
                                     .classes = w->spec.classes,
                                     .width = w->classes,
                                     .label = cuda->plan.head_label,
                                     .weight = cuda->plan.head_weight,
                                     .scale = 1.0f / (float)plan->rows,
                                     .bias = tensor(cuda, w->w, w->layout.dense_bias),
                                     .outputs = cuda->head_output.data,
                                     .gradient = cuda->output_operand.data,
                                     .loss = cuda->head_loss.data,
                                     .argmax = cuda->head_argmax.data};
    SG_TRY(sg_gpu_span_begin(&cuda->base.gpu, SG_PHASE_SOFTMAX));
    SG_CUDA(sg_kernel_softmax_loss(&softmax, cuda->base.gpu.stream), "softmax");
    SG_CUDA(sg_kernel_batch_result(plan->heads, cuda->head_loss.data, cuda->head_argmax.data,
                                   cuda->plan.head_label, cuda->plan.head_weight, 1.0 / plan->rows,
                                   cuda->base.steps.device, cuda->base.gpu.stream),
            "the loss");
    return sg_gpu_span_end(&cuda->base.gpu);
}

static sg_status sum_rows(sg_cuda *cuda, const sg_cuda_chunks *chunks, const void *matrix, sg_operand operand,
                          int columns, float *kernel, float *total)
{
    const sg_row_sums sums = {.columns = columns,
                              .chunks = chunks->chunks,
                              .groups = chunks->groups,
                              .matrix = matrix,
                              .operand = operand,
                              .member = chunks->member,
                              .chunk_first = chunks->chunk_first,
                              .group_first = chunks->group_first,
                              .partial = cuda->partial.data,
                              .kernel = kernel,
                              .total = total};
    SG_TRY(sg_gpu_span_begin(&cuda->base.gpu, SG_PHASE_POINTWISE));
    SG_CUDA(sg_kernel_row_sums(&sums, cuda->base.gpu.stream), "gradients of biases");
    return sg_gpu_span_end(&cuda->base.gpu);
}

static sg_status run_head(sg_cuda *cuda, const sg_batch *batch)
{
    const sg_plan *plan = batch->plan;
    const sg_layout *at = &cuda->base.weights.layout;
    int64_t h = cuda->base.weights.units, n = cuda->base.weights.classes;
    const float *scale;
    SG_TRY(gather_heads(cuda, batch, &scale));
    SG_TRY(sg_cuda_times_weights(cuda, SG_PHASE_HEAD, cuda->head_operand.data, plan->heads, h, n,
                                 at->dense_kernel, cuda->head_output.data));
    SG_TRY(softmax_heads(cuda, plan));
    const void *gradient = cuda->output_operand.data ? cuda->output_operand.data : cuda->head_output.data;
    SG_TRY(sg_cuda_times_transposed(cuda, SG_PHASE_HEAD, gradient, plan->heads, n, h, at->dense_kernel,
                                    cuda->head_gradient.data));
    SG_TRY(sg_cuda_outer(cuda, SG_PHASE_HEAD, cuda->head_operand.data, gradient, plan->heads, h, n,
                         at->dense_kernel));
    SG_TRY(sg_gpu_span_begin(&cuda->base.gpu, SG_PHASE_POINTWISE));
    SG_CUDA(sg_kernel_sum_heads(plan->leaves, (int)h, cuda->plan.head_first, cuda->head_gradient.data, scale,
                                cuda->leaf_gradient.data, cuda->base.gpu.stream),
            "gradients of the leaves");
    SG_TRY(sg_gpu_span_end(&cuda->base.gpu));
    return sum_rows(cuda, &cuda->plan.heads, cuda->head_output.data, SG_OPERAND_FLOAT, (int)n, NULL,
                    tensor(cuda, cuda->base.weights.gradient, at->dense_bias));
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
    SG_TRY(sg_cuda_outer(cuda, SG_PHASE_WEIGHTS, cuda->states[layer - 1].h.data, dz, plan->nodes, h, 4 * h,
                         kernel));
    return sg_cuda_times_transposed(cuda, SG_PHASE_BACKWARD, dz, plan->nodes, 4 * h, h, kernel,
                                    cuda->input_gradient.data);
}

static sg_status backward_layer(sg_cuda *cuda, const sg_plan *plan, int layer)
{
    int64_t h = cuda->base.weights.units;
    const sg_layout *at = &cuda->base.weights.layout;
    float *bias = tensor(cuda, cuda->base.weights.gradient, at->bias[layer]);
    for (int t = plan->steps - 1; t > 0; t--) {
        SG_TRY(backward_level(cuda, plan, layer, t));
        SG_TRY(sg_cuda_times_transposed(
            cuda, SG_PHASE_BACKWARD, sg_operand_at(cuda, &cuda->z_sum, plan->level_inner[t - 1], 4 * h),
            sg_plan_inner(plan, t - 1), 4 * h, h, at->recurrent[layer], cuda->product.data));
    }
    SG_TRY(backward_level(cuda, plan, layer, 0));
    SG_TRY(sg_cuda_outer(cuda, SG_PHASE_WEIGHTS, cuda->states[layer].h.data, cuda->z_sum.data,
                         plan->inner_nodes, h, 4 * h, at->recurrent[layer]));
    if (layer == 0)
        return sum_rows(cuda, &cuda->plan.by_token, dz_of(cuda, 0), cuda->base.gpu.operand, 4 * (int)h,
                        tensor(cuda, cuda->base.weights.gradient, at->kernel[0]), bias);
    SG_TRY(sum_rows(cuda, &cuda->plan.nodes, dz_of(cuda, layer), cuda->base.gpu.operand, 4 * (int)h, NULL,
                    bias));
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
