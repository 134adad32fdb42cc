/* cuda_infer.c: forward only, keeping two levels of states; then dense layer, softmax and moments of the
 * leaves, block by block. */
#include "engine/cuda/cuda_state.h"

enum { HEAD_ROWS = 4096 }; /* leaves whose outputs are computed at once */

static sg_status reserve(sg_cuda *cuda, const sg_plan *plan)
{
    size_t widest = 1, h = (size_t)cuda->base.weights.units, n = (size_t)cuda->base.weights.classes;
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
    SG_TRY(sg_gpu_reserve(gpu, &cuda->leaf_output, rows * n, sizeof(float), "outputs"));
    SG_TRY(sg_gpu_reserve(gpu, &cuda->leaf_argmax, rows, sizeof(int32_t), "outputs"));
    SG_TRY(sg_gpu_reserve(gpu, &cuda->leaf_p_max, rows, sizeof(float), "outputs"));
    return sg_gpu_reserve(gpu, &cuda->leaf_moments, 2 * rows, sizeof(double), "outputs");
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
                SG_TRY(sg_cuda_times_weights(cuda, SG_PHASE_FORWARD, cuda->infer_h[layer - 1][t & 1].data,
                                             sg_plan_level(plan, t), h, 4 * h, at->kernel[layer],
                                             cuda->infer_x.data));
            /* Only inner nodes have children, and they come first. */
            if (t > 0)
                SG_TRY(sg_cuda_times_weights(cuda, SG_PHASE_FORWARD, cuda->infer_h[layer][(t + 1) & 1].data,
                                             sg_plan_inner(plan, t - 1), h, 4 * h, at->recurrent[layer],
                                             cuda->product.data));
            SG_TRY(level_states(cuda, plan, layer, t));
        }
    }
    return SG_OK;
}

static sg_status fetch(sg_cuda *cuda, void *to, const void *from, size_t count, size_t size)
{
    SG_CUDA(cudaMemcpyAsync(to, from, count * size, cudaMemcpyDeviceToHost, cuda->base.gpu.stream),
            "copying outputs from the GPU");
    return SG_OK;
}

static sg_status fetch_outputs(sg_cuda *cuda, int first, int count, sg_outputs *outputs)
{
    size_t rows = (size_t)count, n = (size_t)cuda->base.weights.spec.classes;
    const double *moments = cuda->leaf_moments.data;
    SG_TRY(fetch(cuda, outputs->argmax + first, cuda->leaf_argmax.data, rows, sizeof *outputs->argmax));
    SG_TRY(fetch(cuda, outputs->p_max + first, cuda->leaf_p_max.data, rows, sizeof *outputs->p_max));
    SG_TRY(fetch(cuda, outputs->skewness + first, moments, rows, sizeof *moments));
    SG_TRY(fetch(cuda, outputs->kurtosis + first, moments + rows, rows, sizeof *moments));
    if (outputs->probabilities)
        SG_CUDA(cudaMemcpy2DAsync(outputs->probabilities + (size_t)first * n, n * sizeof(float),
                                  cuda->leaf_output.data, (size_t)cuda->base.weights.classes * sizeof(float),
                                  n * sizeof(float), rows, cudaMemcpyDeviceToHost, cuda->base.gpu.stream),
                "copying outputs from the GPU");
    return SG_OK;
}

/* Dense layer, softmax and moments of leaves [first, first + count). */
static sg_status run_head(sg_cuda *cuda, int first, int count, sg_outputs *outputs)
{
    const sg_weights *w = &cuda->base.weights;
    double *moments = cuda->leaf_moments.data;
    SG_TRY(sg_cuda_times_weights(cuda, SG_PHASE_HEAD, sg_operand_at(cuda, &cuda->leaf_h, first, w->units),
                                 count, w->units, w->classes, w->layout.dense_kernel,
                                 cuda->leaf_output.data));
    const sg_softmax_rows softmax = {.rows = count,
                                     .classes = w->spec.classes,
                                     .width = w->classes,
                                     .bias = sg_weights_at(w, w->w, w->layout.dense_bias),
                                     .outputs = cuda->leaf_output.data,
                                     .argmax = cuda->leaf_argmax.data,
                                     .p_max = cuda->leaf_p_max.data};
    SG_TRY(sg_gpu_span_begin(&cuda->base.gpu, SG_PHASE_SOFTMAX));
    SG_CUDA(sg_kernel_softmax_rows(&softmax, cuda->base.gpu.stream), "softmax");
    SG_CUDA(sg_kernel_moments(count, w->spec.classes, w->classes, cuda->leaf_output.data, moments,
                              moments + count, cuda->base.gpu.stream),
            "moments");
    SG_TRY(sg_gpu_span_end(&cuda->base.gpu));
    return fetch_outputs(cuda, first, count, outputs);
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
        SG_TRY(run_head(cuda, first, plan->leaves - first < HEAD_ROWS ? plan->leaves - first : HEAD_ROWS,
                        outputs));
    return sg_gpu_wait(&cuda->base.gpu);
}
