/* cuda_infer.c: forward only, keeping two levels of states; then dense layer, softmax and moments of the
 * leaves, block by block. */
#include "engine/cuda/cuda_state.h"

enum { HEAD_ROWS = 4096 }; /* leaves whose outputs are computed at once */

static sg_status reserve(sg_cuda *cuda, const sg_plan *plan)
{
    size_t widest = 1, h = (size_t)cuda->base.weights.units;
    size_t leaves = (size_t)plan->leaves, rows = leaves < HEAD_ROWS ? leaves : HEAD_ROWS;
    sg_gpu *gpu = &cuda->base.gpu;
    for (int t = 0; t < plan->steps; t++)
        if ((size_t)sg_plan_level(plan, t) > widest)
            widest = (size_t)sg_plan_level(plan, t);
    for (int l = 0; l < cuda->base.weights.spec.layers; l++) {
        for (int k = 0; k < 2; k++) {
            SG_TRY(sg_gpu_reserve(gpu, &cuda->infer_c[l][k], widest * h, sizeof(float), "states of a level"));
            SG_TRY(sg_gpu_reserve(gpu, &cuda->infer_h[l][k], widest * h, gpu->operand_size,
                                  "states of a level"));
        }
    }
    SG_TRY(sg_gpu_reserve(gpu, &cuda->product, widest * 4 * h, sizeof(float), "states of a level"));
    if (cuda->base.weights.spec.layers > 1)
        SG_TRY(sg_gpu_reserve(gpu, &cuda->infer_x, widest * 4 * h, sizeof(float), "states of a level"));
    SG_TRY(sg_gpu_reserve(gpu, &cuda->leaf_h, leaves * h, gpu->operand_size, "states of leaves"));
    return sg_head_reserve_leaves(&cuda->base, (int)rows);
}

/* States of one layer at level t from those at t-1; nodes lie in a level's rows inner nodes first. */
static sg_status level_states(sg_cuda *cuda, const sg_plan *plan, int layer, int t)
{
    bool last = layer == cuda->base.weights.spec.layers - 1;
    sg_forward_level level = {.units = cuda->base.weights.units,
                              .inner = sg_plan_inner(plan, t),
                              .end = sg_plan_end(plan, t),
                              .inner_node = plan->level_inner[t],
                              .end_node = plan->level_end[t],
                              .inner_row = 0,
                              .end_row = sg_plan_inner(plan, t),
                              .parent = cuda->plan.parent,
                              .parent_first = t > 0 ? plan->level_inner[t - 1] : 0,
                              .z = t > 0 ? cuda->product.data : NULL,
                              .c_before = t > 0 ? cuda->infer_c[layer][(t + 1) & 1].data : NULL,
                              .c = cuda->infer_c[layer][t & 1].data,
                              .h = cuda->infer_h[layer][t & 1].data,
                              .leaf_of_node = last ? cuda->plan.leaf_of_node : NULL,
                              .leaf_h = cuda->leaf_h.data,
                              .operand = cuda->base.gpu.operand};
    if (layer == 0) {
        level.token = cuda->plan.token;
        level.table = cuda->table.data;
    } else {
        level.x = cuda->infer_x.data;
        level.bias =
            sg_weights_at(&cuda->base.weights, cuda->base.weights.w, cuda->base.weights.layout.bias[layer]);
    }
    SG_TRY(sg_gpu_span_begin(&cuda->base.gpu, SG_PHASE_POINTWISE));
    SG_CUDA(sg_kernel_forward_level(&level, cuda->base.gpu.stream), "inference");
    return sg_gpu_span_end(&cuda->base.gpu);
}

static sg_status run_levels(sg_cuda *cuda, const sg_plan *plan)
{
    int64_t h = cuda->base.weights.units;
    const sg_layout *at = &cuda->base.weights.layout;
    for (int t = 0; t < plan->steps; t++) {
        for (int layer = 0; layer < cuda->base.weights.spec.layers; layer++) {
            if (layer > 0)
                SG_TRY(sg_gpu_times_weights(&cuda->base, SG_PHASE_FORWARD,
                                            cuda->infer_h[layer - 1][t & 1].data, sg_plan_level(plan, t), h,
                                            4 * h, at->kernel[layer], cuda->infer_x.data));
            /* Only inner nodes have children, and they come first. */
            if (t > 0)
                SG_TRY(sg_gpu_times_weights(
                    &cuda->base, SG_PHASE_FORWARD, cuda->infer_h[layer][(t + 1) & 1].data,
                    sg_plan_inner(plan, t - 1), h, 4 * h, at->recurrent[layer], cuda->product.data));
            SG_TRY(level_states(cuda, plan, layer, t));
        }
    }
    return SG_OK;
}

sg_status sg_cuda_infer(void *self, const sg_plan *plan, sg_outputs *outputs)
{
    sg_cuda *cuda = self;
    SG_TRY(sg_gpu_enter(&cuda->base.gpu));
    SG_TRY(reserve(cuda, plan));
    SG_TRY(sg_cuda_stage_plan(cuda, plan, NULL, false));
    SG_TRY(sg_cuda_refresh(cuda));
    SG_TRY(run_levels(cuda, plan));
    for (int first = 0; first < plan->leaves; first += HEAD_ROWS)
        SG_TRY(sg_head_infer(&cuda->base, sg_operand_at(cuda, &cuda->leaf_h, first, cuda->base.weights.units),
                             first, plan->leaves - first < HEAD_ROWS ? plan->leaves - first : HEAD_ROWS,
                             outputs));
    return sg_gpu_wait(&cuda->base.gpu);
}
