/* cudnn_step.c: one training step on the padded batch.
 *
 * Tokens -> one-hot x -> cuDNN forward -> last state of each row, dropout -> dense -> softmax and its
 * gradient -> dense backward -> dy, zero but for the last states -> cuDNN backward -> Keras' layout.  Every
 * row of the batch is a head of its own.
 */
#include "engine/cudnn/cudnn_engine.h"

#include <string.h>

enum { SUM_ROWS = 64 }; /* rows that one partial sum of the dense bias' gradient covers */

/* What a batch brings from the host, as it lies on the device. */
typedef struct {
    int rows, chunks;
    const uint16_t *token;      /* [T, B] */
    const int32_t *label;       /* [B] */
    const int32_t *mask_row;    /* [B] row of the dropout mask */
    const int32_t *source_row;  /* [B] row of y that holds the last state */
    const int32_t *last;        /* [B] its step */
    const float *weight;        /* [B] ones */
    const int32_t *chunk_first; /* [chunks + 1] */
    const int32_t *group_first; /* [2] all chunks are one group */
    const float *mask;          /* [B, H] given by the caller, or NULL */
} step_rows;

/* The same arrays in page-locked memory, where they are filled. */
typedef struct {
    uint16_t *token;
    int32_t *label, *mask_row, *source_row, *last, *chunk_first, *group_first;
    float *weight;
} host_rows;

static bool has_dropout(const sg_cudnn *cudnn, const sg_batch *batch)
{
    return batch->mask || cudnn->spec.dropout > 0;
}

/* ---- the batch ---- */

/* Fills the rows, those of a leaf together.  SG_E_INTERNAL if heads do not stand for all rows. */
static sg_status fill_rows(sg_cudnn *cudnn, const sg_plan *plan, const host_rows *host)
{
    int rows = plan->rows, b = 0;
    for (int leaf = 0; leaf < plan->leaves; leaf++) {
        int first = b;
        for (int k = plan->head_first[leaf]; k < plan->head_first[leaf + 1]; k++)
            for (int n = (int)plan->head_weight[k]; n > 0 && b < rows; n--, b++) {
                host->label[b] = plan->head_label[k];
                host->mask_row[b] = plan->head_row[k];
            }
        int length = sg_cudnn_expand_leaf(plan, leaf, host->token, rows, first, b - first);
        for (int r = first; r < b; r++) {
            cudnn->length[r] = length;
            host->last[r] = length - 1;
            host->source_row[r] = (length - 1) * rows + r;
            host->weight[r] = 1;
        }
    }
    return b == rows ? SG_OK : sg_fail(SG_E_INTERNAL, "a batch of %d rows has heads for %d", rows, b);
}

static void fill_chunks(const host_rows *host, int rows, int chunks)
{
    for (int c = 0; c < chunks; c++)
        host->chunk_first[c] = c * SUM_ROWS;
    host->chunk_first[chunks] = rows;
    host->group_first[0] = 0;
    host->group_first[1] = chunks;
}

/* Writes the batch out and enqueues its copy to the device. */
static sg_status stage_rows(sg_cudnn *cudnn, const sg_batch *batch, step_rows *rows)
{
    const sg_plan *plan = batch->plan;
    sg_gpu *gpu = &cudnn->gpu;
    sg_block *block = &cudnn->block[SG_CUDNN_BATCH];
    host_rows host;
    *rows = (step_rows){.rows = plan->rows, .chunks = (plan->rows + SUM_ROWS - 1) / SUM_ROWS};
    size_t b = (size_t)plan->rows, row = sizeof(int32_t), chunks = (size_t)rows->chunks;
    size_t tokens = b * (size_t)plan->steps * sizeof(uint16_t);
    size_t mask = batch->mask ? b * (size_t)cudnn->spec.units * sizeof(float) : 0;
    SG_TRY(sg_cudnn_reserve_lengths(cudnn, plan->steps, plan->rows));
    SG_TRY(sg_gpu_stage_begin(gpu, block,
                              sg_gpu_stage_size(tokens) + 5 * sg_gpu_stage_size(b * row) +
                                  sg_gpu_stage_size((chunks + 1) * row) + sg_gpu_stage_size(2 * row) +
                                  sg_gpu_stage_size(mask)));
    rows->token = sg_gpu_stage_room(gpu, block, tokens, (void **)&host.token);
    rows->label = sg_gpu_stage_room(gpu, block, b * row, (void **)&host.label);
    rows->mask_row = sg_gpu_stage_room(gpu, block, b * row, (void **)&host.mask_row);
    rows->source_row = sg_gpu_stage_room(gpu, block, b * row, (void **)&host.source_row);
    rows->last = sg_gpu_stage_room(gpu, block, b * row, (void **)&host.last);
    rows->weight = sg_gpu_stage_room(gpu, block, b * row, (void **)&host.weight);
    rows->chunk_first = sg_gpu_stage_room(gpu, block, (chunks + 1) * row, (void **)&host.chunk_first);
    rows->group_first = sg_gpu_stage_room(gpu, block, 2 * row, (void **)&host.group_first);
    if (batch->mask)
        rows->mask = sg_gpu_stage_add(gpu, block, batch->mask, mask);
    fill_chunks(&host, plan->rows, rows->chunks);
    SG_TRY(fill_rows(cudnn, plan, &host));
    return sg_gpu_stage_copy(gpu, block);
}

static sg_status reserve_step(sg_cudnn *cudnn, const step_rows *rows, bool dropout)
{
    const sg_cudnn_shape *shape = &cudnn->training;
    size_t cells = (size_t)shape->steps * (size_t)shape->rows, size = cudnn->gpu.operand_size;
    size_t b = (size_t)rows->rows, h = (size_t)cudnn->spec.units, n = (size_t)cudnn->spec.classes;
    size_t inputs = (size_t)cudnn->spec.message_types;
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_GRADIENTS, cudnn->weight_bytes, 1, "gradients of cuDNN"));
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_DX, cells * inputs, size, "gradients of inputs"));
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_DY, cells * h, size, "gradients of states"));
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_STATE, b * h, size, "last states"));
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_STATE_GRADIENT, b * h, sizeof(float), "last states"));
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_OUTPUTS, b * n, sizeof(float), "outputs"));
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_LOSS, b, sizeof(double), "outputs"));
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_ARGMAX, b, sizeof(int32_t), "outputs"));
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_PARTIAL, (size_t)rows->chunks * n, sizeof(float), "outputs"));
    if (cudnn->gpu.operand == SG_OPERAND_BF16)
        SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_OUTPUT_OPERAND, b * n, size, "outputs"));
    if (dropout)
        SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_SCALE, b * h, sizeof(float), "dropout masks"));
    return SG_OK;
}

/* ---- the head ---- */

/* Last states, masked, as the operand of the dense layer. */
static sg_status gather_states(sg_cudnn *cudnn, const sg_batch *batch, const step_rows *rows)
{
    sg_gpu *gpu = &cudnn->gpu;
    bool dropout = has_dropout(cudnn, batch);
    sg_dropout masks = {.heads = rows->rows,
                        .units = cudnn->spec.units,
                        .width = cudnn->spec.units,
                        .row = rows->mask_row,
                        .seed = batch->dropout_seed,
                        .update = batch->update,
                        .rate = (float)cudnn->spec.dropout,
                        .given = rows->mask,
                        .scale = sg_cudnn_data(cudnn, SG_CUDNN_SCALE)};
    SG_TRY(sg_gpu_span_begin(gpu, SG_PHASE_POINTWISE));
    if (dropout)
        SG_CUDA(sg_kernel_dropout(&masks, gpu->stream), "making dropout masks");
    SG_TRY(sg_cudnn_gather(cudnn, rows->rows, rows->source_row, dropout));
    return sg_gpu_span_end(gpu);
}

/* Softmax, loss and gradient of every row; OUTPUTS becomes the gradient. */
static sg_status softmax(sg_cudnn *cudnn, const step_rows *rows)
{
    sg_gpu *gpu = &cudnn->gpu;
    const sg_weights *w = &cudnn->weights;
    double *loss = sg_cudnn_data(cudnn, SG_CUDNN_LOSS);
    int32_t *argmax = sg_cudnn_data(cudnn, SG_CUDNN_ARGMAX);
    bool bf16 = gpu->operand == SG_OPERAND_BF16;
    sg_softmax_loss head = {.heads = rows->rows,
                            .classes = cudnn->spec.classes,
                            .width = w->classes,
                            .label = rows->label,
                            .weight = rows->weight,
                            .scale = 1.0f / (float)rows->rows,
                            .bias = sg_weights_at(w, w->w, w->layout.dense_bias),
                            .outputs = sg_cudnn_data(cudnn, SG_CUDNN_OUTPUTS),
                            .gradient = bf16 ? sg_cudnn_data(cudnn, SG_CUDNN_OUTPUT_OPERAND) : NULL,
                            .loss = loss,
                            .argmax = argmax};
    SG_TRY(sg_gpu_span_begin(gpu, SG_PHASE_SOFTMAX));
    SG_CUDA(sg_kernel_softmax_loss(&head, gpu->stream), "taking the softmax");
    SG_CUDA(sg_kernel_batch_result(rows->rows, loss, argmax, rows->label, rows->weight, 1.0 / rows->rows,
                                   cudnn->steps.device, gpu->stream),
            "summing the loss");
    return sg_gpu_span_end(gpu);
}

/* The dense layer's gradients, and that of its input in STATE_GRADIENT. */
static sg_status dense_backward(sg_cudnn *cudnn, const step_rows *rows)
{
    sg_gpu *gpu = &cudnn->gpu;
    const sg_weights *w = &cudnn->weights;
    int64_t h = w->units, n = w->classes;
    const void *gradient =
        sg_cudnn_data(cudnn, gpu->operand == SG_OPERAND_BF16 ? SG_CUDNN_OUTPUT_OPERAND : SG_CUDNN_OUTPUTS);
    sg_product to_states = {.transpose_b = true,
                            .m = rows->rows,
                            .n = h,
                            .k = n,
                            .a = gradient,
                            .lda = n,
                            .b = sg_weights_operand(w, gpu, w->layout.dense_kernel),
                            .ldb = n,
                            .c = sg_cudnn_data(cudnn, SG_CUDNN_STATE_GRADIENT),
                            .ldc = h};
    sg_product to_kernel = {.transpose_a = true,
                            .m = h,
                            .n = n,
                            .k = rows->rows,
                            .a = sg_cudnn_data(cudnn, SG_CUDNN_STATE),
                            .lda = h,
                            .b = gradient,
                            .ldb = n,
                            .c = sg_weights_at(w, w->gradient, w->layout.dense_kernel),
                            .ldc = n};
    SG_TRY(sg_gpu_product(gpu, SG_PHASE_HEAD, &to_states));
    return sg_gpu_product(gpu, SG_PHASE_HEAD, &to_kernel);
}

/* The dense bias' gradient, and dy from STATE_GRADIENT. */
static sg_status scatter_states(sg_cudnn *cudnn, const step_rows *rows, bool dropout)
{
    sg_gpu *gpu = &cudnn->gpu;
    const sg_weights *w = &cudnn->weights;
    sg_row_sums bias = {.columns = w->classes,
                        .chunks = rows->chunks,
                        .groups = 1,
                        .matrix = sg_cudnn_data(cudnn, SG_CUDNN_OUTPUTS),
                        .operand = SG_OPERAND_FLOAT,
                        .chunk_first = rows->chunk_first,
                        .group_first = rows->group_first,
                        .partial = sg_cudnn_data(cudnn, SG_CUDNN_PARTIAL),
                        .total = sg_weights_at(w, w->gradient, w->layout.dense_bias)};
    sg_scatter_last states = {.steps = cudnn->training.steps,
                              .rows = rows->rows,
                              .units = cudnn->spec.units,
                              .last = rows->last,
                              .gradient = sg_cudnn_data(cudnn, SG_CUDNN_STATE_GRADIENT),
                              .scale = dropout ? sg_cudnn_data(cudnn, SG_CUDNN_SCALE) : NULL,
                              .dy = sg_cudnn_data(cudnn, SG_CUDNN_DY),
                              .operand = gpu->operand};
    SG_TRY(sg_gpu_span_begin(gpu, SG_PHASE_POINTWISE));
    SG_CUDA(sg_kernel_row_sums(&bias, gpu->stream), "summing the bias' gradient");
    SG_CUDA(sg_kernel_scatter_last(&states, gpu->stream), "scattering gradients of last states");
    return sg_gpu_span_end(gpu);
}

static sg_status run_head(sg_cudnn *cudnn, const sg_batch *batch, const step_rows *rows)
{
    SG_TRY(gather_states(cudnn, batch, rows));
    SG_TRY(sg_cudnn_dense(cudnn, rows->rows));
    SG_TRY(softmax(cudnn, rows));
    SG_TRY(dense_backward(cudnn, rows));
    return scatter_states(cudnn, rows, has_dropout(cudnn, batch));
}

/* ---- the LSTM backward ---- */

static sg_status backward_data(sg_cudnn *cudnn)
{
    sg_gpu *gpu = &cudnn->gpu;
    const sg_cudnn_shape *shape = &cudnn->training;
    SG_TRY(sg_gpu_span_begin(gpu, SG_PHASE_BACKWARD));
    SG_TRY(sg_cudnn_ran(
        cudnn,
        cudnnRNNBackwardData_v8(cudnn->handle, cudnn->rnn, NULL, shape->y, sg_cudnn_data(cudnn, SG_CUDNN_Y),
                                sg_cudnn_data(cudnn, SG_CUDNN_DY), shape->x,
                                sg_cudnn_data(cudnn, SG_CUDNN_DX), shape->h, NULL, NULL, NULL, shape->h, NULL,
                                NULL, NULL, cudnn->weight_bytes, sg_cudnn_data(cudnn, SG_CUDNN_WEIGHTS),
                                shape->work, sg_cudnn_data(cudnn, SG_CUDNN_WORK), shape->reserve,
                                sg_cudnn_data(cudnn, SG_CUDNN_RESERVE)),
        "running the LSTM backward"));
    sg_cudnn_count_flops(cudnn, SG_PHASE_BACKWARD, shape);
    return sg_gpu_span_end(gpu);
}

/* After backward_data, which leaves in the reserve space what this needs. */
static sg_status backward_weights(sg_cudnn *cudnn)
{
    sg_gpu *gpu = &cudnn->gpu;
    const sg_cudnn_shape *shape = &cudnn->training;
    SG_TRY(sg_gpu_span_begin(gpu, SG_PHASE_WEIGHTS));
    /* cuDNN adds to what is there. */
    SG_CUDA(cudaMemsetAsync(sg_cudnn_data(cudnn, SG_CUDNN_GRADIENTS), 0, cudnn->weight_bytes, gpu->stream),
            "clearing gradients");
    SG_TRY(sg_cudnn_ran(
        cudnn,
        cudnnRNNBackwardWeights_v8(
            cudnn->handle, cudnn->rnn, CUDNN_WGRAD_MODE_ADD, NULL, shape->x, sg_cudnn_data(cudnn, SG_CUDNN_X),
            shape->h, NULL, shape->y, sg_cudnn_data(cudnn, SG_CUDNN_Y), cudnn->weight_bytes,
            sg_cudnn_data(cudnn, SG_CUDNN_GRADIENTS), shape->work, sg_cudnn_data(cudnn, SG_CUDNN_WORK),
            shape->reserve, sg_cudnn_data(cudnn, SG_CUDNN_RESERVE)),
        "computing the LSTM's gradients"));
    sg_cudnn_count_flops(cudnn, SG_PHASE_WEIGHTS, shape);
    return sg_gpu_span_end(gpu);
}

/* ---- the step ---- */

static sg_status run_rows(sg_cudnn *cudnn, const sg_batch *batch, const step_rows *rows)
{
    SG_TRY(sg_cudnn_set_shape(cudnn, &cudnn->training, batch->plan->steps, rows->rows));
    SG_TRY(reserve_step(cudnn, rows, has_dropout(cudnn, batch)));
    SG_TRY(sg_cudnn_pack(cudnn));
    SG_TRY(sg_cudnn_forward(cudnn, &cudnn->training, rows->token));
    SG_TRY(run_head(cudnn, batch, rows));
    SG_TRY(backward_data(cudnn));
    SG_TRY(backward_weights(cudnn));
    SG_TRY(sg_cudnn_unpack_gradients(cudnn));
    cudnn->accepted = true;
    cudnn->weights.has_gradient = true;
    return SG_OK;
}

sg_status sg_cudnn_step(sg_cudnn *cudnn, const sg_batch *batch)
{
    step_rows rows;
    SG_TRY(stage_rows(cudnn, batch, &rows));
    sg_status status = run_rows(cudnn, batch, &rows);
    if (status != SG_OK && sg_cudnn_fell_back(cudnn))
        status = run_rows(cudnn, batch, &rows);
    return status;
}
