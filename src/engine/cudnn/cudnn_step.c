/* cudnn_step.c: one training step on the padded batch, or on its unique rows.
 *
 * Tokens -> one-hot x -> cuDNN forward -> last states, dropout -> dense -> softmax and its gradient -> dense
 * backward -> dy, zero but for the last states -> cuDNN backward -> Keras' layout.
 *
 * On the padded batch every row is run and is a head of its own.  With batching `unique` each unique sequence
 * is run once and the heads are those of the plan: weighted, or with dropout one for each row, which takes
 * its sequence's state before the mask is applied; the gradients of its heads are summed for each sequence.
 */
#include "engine/cudnn/cudnn_state.h"

#include <string.h>

enum { SUM_ROWS = 64 }; /* rows that one partial sum of the dense bias' gradient covers */

/* What a batch brings from the host, as it lies on the device. */
typedef struct {
    int sequences;             /* S */
    const uint16_t *token;     /* [T, S] */
    const int32_t *last;       /* [S] the last step */
    const int32_t *head_first; /* [S + 1] heads of a sequence; NULL: one each */
    sg_heads heads;            /* source_row: the row of y that holds the last state */
} step_rows;

/* The same arrays in page-locked memory, where they are filled. */
typedef struct {
    uint16_t *token;
    int32_t *last, *head_first, *label, *mask_row, *source_row, *chunk_first, *group_first;
    float *weight;
} host_rows;

/* ---- the batch ---- */

/* Fills rows and heads of the padded batch, those of a leaf together.  SG_E_INTERNAL if heads do not stand
 * for all rows. */
static sg_status fill_padded(sg_cudnn *cudnn, const sg_plan *plan, const host_rows *host)
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

/* Fills a sequence for each leaf, and the plan's heads. */
static void fill_unique(sg_cudnn *cudnn, const sg_plan *plan, const host_rows *host)
{
    int sequences = plan->leaves;
    for (int leaf = 0; leaf < sequences; leaf++) {
        int length = sg_cudnn_expand_leaf(plan, leaf, host->token, sequences, leaf, 1);
        cudnn->length[leaf] = length;
        host->last[leaf] = length - 1;
        for (int k = plan->head_first[leaf]; k < plan->head_first[leaf + 1]; k++)
            host->source_row[k] = (length - 1) * sequences + leaf;
    }
    memcpy(host->head_first, plan->head_first, ((size_t)sequences + 1) * sizeof *host->head_first);
    memcpy(host->label, plan->head_label, (size_t)plan->heads * sizeof *host->label);
    memcpy(host->mask_row, plan->head_row, (size_t)plan->heads * sizeof *host->mask_row);
    memcpy(host->weight, plan->head_weight, (size_t)plan->heads * sizeof *host->weight);
}

static void fill_chunks(const host_rows *host, int heads, int chunks)
{
    for (int c = 0; c < chunks; c++)
        host->chunk_first[c] = c * SUM_ROWS;
    host->chunk_first[chunks] = heads;
    host->group_first[0] = 0;
    host->group_first[1] = chunks;
}

/* Makes room for a batch in page-locked memory and on the device. */
static sg_status stage_begin(sg_cudnn *cudnn, const sg_batch *batch, step_rows *rows, host_rows *host)
{
    const sg_plan *plan = batch->plan;
    sg_gpu *gpu = &cudnn->base.gpu;
    sg_block *block = &cudnn->block[SG_CUDNN_BATCH];
    sg_heads *heads = &rows->heads;
    size_t s = (size_t)rows->sequences * sizeof(int32_t), k = (size_t)heads->heads * sizeof(int32_t);
    size_t tokens = (size_t)rows->sequences * (size_t)plan->steps * sizeof(uint16_t);
    size_t chunks = ((size_t)heads->all.chunks + 1) * sizeof(int32_t), groups = 2 * sizeof(int32_t);
    size_t first = plan->batching == SG_BATCHING_UNIQUE ? s + sizeof(int32_t) : 0;
    size_t mask = batch->mask ? (size_t)plan->rows * (size_t)cudnn->spec.units * sizeof(float) : 0;
    SG_TRY(sg_gpu_stage_begin(gpu, block,
                              sg_gpu_stage_size(tokens) + sg_gpu_stage_size(s) + sg_gpu_stage_size(first) +
                                  4 * sg_gpu_stage_size(k) + sg_gpu_stage_size(chunks) +
                                  sg_gpu_stage_size(groups) + sg_gpu_stage_size(mask)));
    rows->token = sg_gpu_stage_room(gpu, block, tokens, (void **)&host->token);
    rows->last = sg_gpu_stage_room(gpu, block, s, (void **)&host->last);
    if (first > 0)
        rows->head_first = sg_gpu_stage_room(gpu, block, first, (void **)&host->head_first);
    heads->label = sg_gpu_stage_room(gpu, block, k, (void **)&host->label);
    heads->row = sg_gpu_stage_room(gpu, block, k, (void **)&host->mask_row);
    heads->states.source_row = sg_gpu_stage_room(gpu, block, k, (void **)&host->source_row);
    heads->weight = sg_gpu_stage_room(gpu, block, k, (void **)&host->weight);
    heads->all.chunk_first = sg_gpu_stage_room(gpu, block, chunks, (void **)&host->chunk_first);
    heads->all.group_first = sg_gpu_stage_room(gpu, block, groups, (void **)&host->group_first);
    if (batch->mask)
        heads->mask = sg_gpu_stage_add(gpu, block, batch->mask, mask);
    return SG_OK;
}

/* Writes the batch out and enqueues its copy to the device. */
static sg_status stage_rows(sg_cudnn *cudnn, const sg_batch *batch, step_rows *rows)
{
    const sg_plan *plan = batch->plan;
    bool unique = plan->batching == SG_BATCHING_UNIQUE;
    host_rows host = {0};
    const int heads = unique ? plan->heads : plan->rows;
    *rows = (step_rows){.sequences = unique ? plan->leaves : plan->rows,
                        .heads = {.rows = plan->rows, .heads = heads}};
    rows->heads.all = (sg_chunks){.chunks = (heads + SUM_ROWS - 1) / SUM_ROWS, .groups = 1};
    SG_TRY(sg_cudnn_reserve_lengths(cudnn, plan->steps, rows->sequences));
    SG_TRY(stage_begin(cudnn, batch, rows, &host));
    fill_chunks(&host, heads, rows->heads.all.chunks);
    if (unique)
        fill_unique(cudnn, plan, &host);
    else
        SG_TRY(fill_padded(cudnn, plan, &host));
    return sg_gpu_stage_copy(&cudnn->base.gpu, &cudnn->block[SG_CUDNN_BATCH]);
}

static sg_status reserve_step(sg_cudnn *cudnn, const step_rows *rows)
{
    const sg_cudnn_shape *shape = &cudnn->training;
    size_t cells = (size_t)shape->steps * (size_t)shape->rows, size = cudnn->base.gpu.operand_size;
    size_t h = (size_t)cudnn->spec.units, inputs = (size_t)cudnn->spec.message_types;
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_GRADIENTS, cudnn->weight_bytes, 1, "gradients of cuDNN"));
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_DX, cells * inputs, size, "gradients of inputs"));
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_DY, cells * h, size, "gradients of states"));
    if (rows->head_first)
        SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_SEQUENCE_GRADIENT, (size_t)rows->sequences * h, sizeof(float),
                                "last states"));
    return sg_head_reserve(&cudnn->base, &rows->heads);
}

/* ---- the head ---- */

/* dy from the gradients of the heads' states. */
static sg_status scatter_states(sg_cudnn *cudnn, const step_rows *rows, const float *scale)
{
    sg_gpu *gpu = &cudnn->base.gpu;
    const float *gradient = cudnn->base.head.gradient.data;
    float *sums = sg_cudnn_data(cudnn, SG_CUDNN_SEQUENCE_GRADIENT);
    if (rows->head_first)
        SG_CUDA(sg_kernel_sum_heads(rows->sequences, cudnn->spec.units, rows->head_first, gradient, scale,
                                    sums, gpu->stream),
                "summing gradients of heads");
    sg_scatter_last states = {.steps = cudnn->training.steps,
                              .rows = rows->sequences,
                              .units = cudnn->spec.units,
                              .last = rows->last,
                              .gradient = rows->head_first ? sums : gradient,
                              .scale = rows->head_first ? NULL : scale,
                              .dy = sg_cudnn_data(cudnn, SG_CUDNN_DY),
                              .operand = gpu->operand};
    SG_CUDA(sg_kernel_scatter_last(&states, gpu->stream), "scattering gradients of last states");
    return SG_OK;
}

static sg_status run_head(sg_cudnn *cudnn, const sg_batch *batch, const step_rows *rows)
{
    sg_heads heads = rows->heads;
    const float *scale;
    heads.states.h = sg_cudnn_data(cudnn, SG_CUDNN_Y);
    SG_TRY(sg_head_step(&cudnn->base, batch, &heads, &scale));
    SG_TRY(sg_gpu_span_begin(&cudnn->base.gpu, SG_PHASE_POINTWISE));
    SG_TRY(scatter_states(cudnn, rows, scale));
    return sg_gpu_span_end(&cudnn->base.gpu);
}

/* ---- the LSTM backward ---- */

static sg_status backward_data(sg_cudnn *cudnn)
{
    sg_gpu *gpu = &cudnn->base.gpu;
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
    sg_gpu *gpu = &cudnn->base.gpu;
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
    SG_TRY(sg_cudnn_set_shape(cudnn, &cudnn->training, batch->plan->steps, rows->sequences));
    SG_TRY(reserve_step(cudnn, rows));
    SG_TRY(sg_cudnn_pack(cudnn));
    SG_TRY(sg_cudnn_forward(cudnn, &cudnn->training, rows->token));
    SG_TRY(run_head(cudnn, batch, rows));
    SG_TRY(backward_data(cudnn));
    SG_TRY(backward_weights(cudnn));
    SG_TRY(sg_cudnn_unpack_gradients(cudnn));
    cudnn->accepted = true;
    cudnn->base.weights.has_gradient = true;
    return SG_OK;
}

sg_status sg_cudnn_step(void *self, const sg_batch *batch)
{
    sg_cudnn *cudnn = self;
    step_rows rows;
    SG_TRY(stage_rows(cudnn, batch, &rows));
    sg_status status = run_rows(cudnn, batch, &rows);
    if (status != SG_OK && sg_cudnn_fell_back(cudnn))
        status = run_rows(cudnn, batch, &rows);
    return status;
}
