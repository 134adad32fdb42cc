#include "engine/cuda/device_head.h"

sg_status sg_head_reserve(sg_gpu_engine *e, const sg_heads *heads)
{
    const int64_t h = e->weights.units, n = e->weights.classes, k = heads->heads;
    const size_t operand = e->gpu.operand_size;
    sg_head *head = &e->head;
    SG_TRY(sg_gpu_engine_reserve(e, &head->scale, k, h, sizeof(float)));
    SG_TRY(sg_gpu_engine_reserve(e, &head->state, k, h, operand));
    SG_TRY(sg_gpu_engine_reserve(e, &head->gradient, k, h, sizeof(float)));
    SG_TRY(sg_gpu_engine_reserve(e, &head->outputs, k, n, sizeof(float)));
    if (e->gpu.operand == SG_OPERAND_BF16)
        SG_TRY(sg_gpu_engine_reserve(e, &head->operand, k, n, operand));
    SG_TRY(sg_gpu_engine_reserve(e, &head->loss, k, 1, sizeof(double)));
    SG_TRY(sg_gpu_engine_reserve(e, &head->argmax, k, 1, sizeof(int32_t)));
    return sg_gpu_engine_reserve(e, &e->partial, heads->all.chunks, n, sizeof(float));
}

sg_status sg_head_gather(sg_gpu_engine *e, const sg_gather *states, int count, const float *scale)
{
    sg_gather gather = *states;
    gather.heads = count;
    gather.units = e->weights.units;
    gather.scale = scale;
    gather.out = e->head.state.data;
    gather.operand = e->gpu.operand;
    SG_TRY(sg_gpu_span_begin(&e->gpu, SG_PHASE_POINTWISE));
    SG_CUDA(sg_kernel_gather(&gather, e->gpu.stream), "gathering last states");
    return sg_gpu_span_end(&e->gpu);
}

static sg_status make_masks(sg_gpu_engine *e, const sg_batch *batch, const sg_heads *heads)
{
    const sg_dropout dropout = {.heads = heads->heads,
                                .units = e->weights.spec.units,
                                .width = e->weights.units,
                                .row = heads->row,
                                .seed = batch->dropout_seed,
                                .update = batch->update,
                                .rate = (float)e->weights.spec.dropout,
                                .given = heads->mask,
                                .scale = e->head.scale.data};
    SG_TRY(sg_gpu_span_begin(&e->gpu, SG_PHASE_POINTWISE));
    SG_CUDA(sg_kernel_dropout(&dropout, e->gpu.stream), "making dropout masks");
    return sg_gpu_span_end(&e->gpu);
}

/* Softmax and loss; head.outputs becomes the gradient of the outputs. */
static sg_status softmax_loss(sg_gpu_engine *e, const sg_heads *heads)
{
    const sg_weights *w = &e->weights;
    const sg_head *head = &e->head;
    const sg_softmax_loss softmax = {.heads = heads->heads,
                                     .classes = w->spec.classes,
                                     .width = w->classes,
                                     .label = heads->label,
                                     .weight = heads->weight,
                                     .scale = 1.0f / (float)heads->rows,
                                     .bias = sg_weights_at(w, w->w, w->layout.dense_bias),
                                     .outputs = head->outputs.data,
                                     .gradient = head->operand.data,
                                     .loss = head->loss.data,
                                     .argmax = head->argmax.data};
    SG_TRY(sg_gpu_span_begin(&e->gpu, SG_PHASE_SOFTMAX));
    SG_CUDA(sg_kernel_softmax_loss(&softmax, e->gpu.stream), "taking the softmax");
    SG_CUDA(sg_kernel_batch_result(heads->heads, head->loss.data, head->argmax.data, heads->label,
                                   heads->weight, 1.0 / heads->rows, e->steps.device, e->gpu.stream),
            "summing the loss");
    return sg_gpu_span_end(&e->gpu);
}

sg_status sg_head_step(sg_gpu_engine *e, const sg_batch *batch, const sg_heads *heads, const float **scale)
{
    const sg_weights *w = &e->weights;
    const sg_head *head = &e->head;
    const int64_t k = heads->heads, h = w->units, n = w->classes;
    const int dense = w->layout.dense_kernel;
    *scale = NULL;
    if (sg_head_has_dropout(e, batch)) {
        SG_TRY(make_masks(e, batch, heads));
        *scale = head->scale.data;
    }
    SG_TRY(sg_head_gather(e, &heads->states, heads->heads, *scale));
    SG_TRY(sg_gpu_times_weights(e, SG_PHASE_HEAD, head->state.data, k, h, n, dense, head->outputs.data));
    SG_TRY(softmax_loss(e, heads));
    const void *gradient = head->operand.data ? head->operand.data : head->outputs.data;
    SG_TRY(sg_gpu_times_transposed(e, SG_PHASE_HEAD, gradient, k, n, h, dense, head->gradient.data));
    SG_TRY(sg_gpu_outer(e, SG_PHASE_HEAD, head->state.data, gradient, k, h, n, dense));
    return sg_gpu_sum_rows(e, &heads->all, head->outputs.data, SG_OPERAND_FLOAT, (int)n, NULL,
                           sg_weights_at(w, w->gradient, w->layout.dense_bias));
}

/* ---- leaves ---- */

sg_status sg_head_reserve_leaves(sg_gpu_engine *e, int rows)
{
    const int64_t h = e->weights.units, n = e->weights.classes;
    SG_TRY(sg_gpu_engine_reserve(e, &e->head.state, rows, h, e->gpu.operand_size));
    SG_TRY(sg_gpu_engine_reserve(e, &e->head.outputs, rows, n, sizeof(float)));
    SG_TRY(sg_gpu_engine_reserve(e, &e->head.argmax, rows, 1, sizeof(int32_t)));
    SG_TRY(sg_gpu_engine_reserve(e, &e->head.p_max, rows, 1, sizeof(float)));
    return sg_gpu_engine_reserve(e, &e->head.moments, 2 * (int64_t)rows, 1, sizeof(double));
}

static sg_status fetch(sg_gpu_engine *e, void *to, const void *from, size_t count, size_t size)
{
    SG_CUDA(cudaMemcpyAsync(to, from, count * size, cudaMemcpyDeviceToHost, e->gpu.stream),
            "copying outputs from the GPU");
    return SG_OK;
}

static sg_status fetch_outputs(sg_gpu_engine *e, int first, int count, sg_outputs *outputs)
{
    const size_t rows = (size_t)count, n = (size_t)e->weights.spec.classes;
    const double *moments = e->head.moments.data;
    SG_TRY(fetch(e, outputs->argmax + first, e->head.argmax.data, rows, sizeof *outputs->argmax));
    SG_TRY(fetch(e, outputs->p_max + first, e->head.p_max.data, rows, sizeof *outputs->p_max));
    SG_TRY(fetch(e, outputs->skewness + first, moments, rows, sizeof *moments));
    SG_TRY(fetch(e, outputs->kurtosis + first, moments + rows, rows, sizeof *moments));
    if (outputs->probabilities)
        SG_CUDA(cudaMemcpy2DAsync(outputs->probabilities + (size_t)first * n, n * sizeof(float),
                                  e->head.outputs.data, (size_t)e->weights.classes * sizeof(float),
                                  n * sizeof(float), rows, cudaMemcpyDeviceToHost, e->gpu.stream),
                "copying outputs from the GPU");
    return SG_OK;
}

sg_status sg_head_infer(sg_gpu_engine *e, const void *states, int first, int count, sg_outputs *outputs)
{
    const sg_weights *w = &e->weights;
    double *moments = e->head.moments.data;
    SG_TRY(sg_gpu_times_weights(e, SG_PHASE_HEAD, states, count, w->units, w->classes, w->layout.dense_kernel,
                                e->head.outputs.data));
    const sg_softmax_rows softmax = {.rows = count,
                                     .classes = w->spec.classes,
                                     .width = w->classes,
                                     .bias = sg_weights_at(w, w->w, w->layout.dense_bias),
                                     .outputs = e->head.outputs.data,
                                     .argmax = e->head.argmax.data,
                                     .p_max = e->head.p_max.data};
    SG_TRY(sg_gpu_span_begin(&e->gpu, SG_PHASE_SOFTMAX));
    SG_CUDA(sg_kernel_softmax_rows(&softmax, e->gpu.stream), "taking the softmax");
    SG_CUDA(sg_kernel_moments(count, w->spec.classes, w->classes, e->head.outputs.data, moments,
                              moments + count, e->gpu.stream),
            "taking moments");
    SG_TRY(sg_gpu_span_end(&e->gpu));
    return fetch_outputs(e, first, count, outputs);
}
