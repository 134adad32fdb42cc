/* cudnn_infer.c: forward of a plan's leaves in blocks, dense layer, softmax and moments. */
#include "engine/cudnn/cudnn_state.h"

enum { INFER_ROWS = 1024 }; /* leaves that are run at once */

/* What a block of leaves brings from the host, as it lies on the device. */
typedef struct {
    int first, rows; /* leaves first ... first + rows - 1 */
    const uint16_t *token;
    const int32_t *source_row;
} infer_rows;

static sg_status stage_rows(sg_cudnn *cudnn, const sg_plan *plan, infer_rows *rows)
{
    sg_gpu *gpu = &cudnn->base.gpu;
    sg_block *block = &cudnn->block[SG_CUDNN_BATCH];
    uint16_t *token;
    int32_t *source_row;
    size_t b = (size_t)rows->rows, tokens = b * (size_t)plan->steps * sizeof *token;
    SG_TRY(sg_cudnn_reserve_lengths(cudnn, plan->steps, rows->rows));
    SG_TRY(sg_gpu_stage_begin(gpu, block,
                              sg_gpu_stage_size(tokens) + sg_gpu_stage_size(b * sizeof *source_row)));
    rows->token = sg_gpu_stage_room(gpu, block, tokens, (void **)&token);
    rows->source_row = sg_gpu_stage_room(gpu, block, b * sizeof *source_row, (void **)&source_row);
    for (int r = 0; r < rows->rows; r++) {
        int length = sg_cudnn_expand_leaf(plan, rows->first + r, token, rows->rows, r, 1);
        cudnn->length[r] = length;
        source_row[r] = (length - 1) * rows->rows + r;
    }
    return sg_gpu_stage_copy(gpu, block);
}

static sg_status reserve_infer(sg_cudnn *cudnn, const sg_plan *plan)
{
    size_t leaves = (size_t)plan->leaves, b = leaves < INFER_ROWS ? leaves : INFER_ROWS;
    size_t h = (size_t)cudnn->spec.units, n = (size_t)cudnn->spec.classes;
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_STATE, b * h, cudnn->base.gpu.operand_size, "last states"));
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_OUTPUTS, b * n, sizeof(float), "outputs"));
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_ARGMAX, leaves, sizeof(int32_t), "outputs"));
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_P_MAX, leaves, sizeof(float), "outputs"));
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_SKEWNESS, leaves, sizeof(double), "outputs"));
    return sg_cudnn_reserve(cudnn, SG_CUDNN_KURTOSIS, leaves, sizeof(double), "outputs");
}

static sg_status softmax(sg_cudnn *cudnn, const infer_rows *rows)
{
    sg_gpu *gpu = &cudnn->base.gpu;
    const sg_weights *w = &cudnn->base.weights;
    float *outputs = sg_cudnn_data(cudnn, SG_CUDNN_OUTPUTS);
    sg_softmax_rows head = {.rows = rows->rows,
                            .classes = cudnn->spec.classes,
                            .width = w->classes,
                            .bias = sg_weights_at(w, w->w, w->layout.dense_bias),
                            .outputs = outputs,
                            .argmax = (int32_t *)sg_cudnn_data(cudnn, SG_CUDNN_ARGMAX) + rows->first,
                            .p_max = (float *)sg_cudnn_data(cudnn, SG_CUDNN_P_MAX) + rows->first};
    SG_TRY(sg_gpu_span_begin(gpu, SG_PHASE_SOFTMAX));
    SG_CUDA(sg_kernel_softmax_rows(&head, gpu->stream), "taking the softmax");
    SG_CUDA(sg_kernel_moments(rows->rows, cudnn->spec.classes, w->classes, outputs,
                              (double *)sg_cudnn_data(cudnn, SG_CUDNN_SKEWNESS) + rows->first,
                              (double *)sg_cudnn_data(cudnn, SG_CUDNN_KURTOSIS) + rows->first, gpu->stream),
            "taking moments");
    return sg_gpu_span_end(gpu);
}

static sg_status run_rows(sg_cudnn *cudnn, const sg_plan *plan, const infer_rows *rows)
{
    sg_gpu *gpu = &cudnn->base.gpu;
    SG_TRY(sg_cudnn_set_shape(cudnn, &cudnn->inference, plan->steps, rows->rows));
    SG_TRY(sg_cudnn_pack(cudnn));
    SG_TRY(sg_cudnn_forward(cudnn, &cudnn->inference, rows->token));
    SG_TRY(sg_gpu_span_begin(gpu, SG_PHASE_POINTWISE));
    SG_TRY(sg_cudnn_gather(cudnn, rows->rows, rows->source_row, false));
    SG_TRY(sg_gpu_span_end(gpu));
    SG_TRY(sg_cudnn_dense(cudnn, rows->rows));
    return softmax(cudnn, rows);
}

/* One block of leaves; its probabilities are copied at once, since the next block overwrites them. */
static sg_status infer_block(sg_cudnn *cudnn, const sg_plan *plan, int first, sg_outputs *outputs)
{
    int left = plan->leaves - first;
    infer_rows rows = {.first = first, .rows = left < INFER_ROWS ? left : INFER_ROWS};
    size_t n = (size_t)cudnn->spec.classes;
    SG_TRY(stage_rows(cudnn, plan, &rows));
    sg_status status = run_rows(cudnn, plan, &rows);
    if (status != SG_OK && sg_cudnn_fell_back(cudnn))
        status = run_rows(cudnn, plan, &rows);
    SG_TRY(status);
    if (outputs->probabilities)
        SG_CUDA(cudaMemcpyAsync(outputs->probabilities + (size_t)first * n,
                                sg_cudnn_data(cudnn, SG_CUDNN_OUTPUTS), (size_t)rows.rows * n * sizeof(float),
                                cudaMemcpyDeviceToHost, cudnn->base.gpu.stream),
                "copying outputs to the host");
    return SG_OK;
}

static sg_status copy_out(sg_cudnn *cudnn, sg_cudnn_block block, void *to, size_t bytes)
{
    SG_CUDA(cudaMemcpyAsync(to, sg_cudnn_data(cudnn, block), bytes, cudaMemcpyDeviceToHost,
                            cudnn->base.gpu.stream),
            "copying outputs to the host");
    return SG_OK;
}

sg_status sg_cudnn_infer(void *self, const sg_plan *plan, sg_outputs *outputs)
{
    sg_cudnn *cudnn = self;
    size_t leaves = (size_t)plan->leaves;
    SG_TRY(sg_gpu_enter(&cudnn->base.gpu));
    SG_TRY(reserve_infer(cudnn, plan));
    for (int first = 0; first < plan->leaves; first += INFER_ROWS)
        SG_TRY(infer_block(cudnn, plan, first, outputs));
    SG_TRY(copy_out(cudnn, SG_CUDNN_ARGMAX, outputs->argmax, leaves * sizeof *outputs->argmax));
    SG_TRY(copy_out(cudnn, SG_CUDNN_P_MAX, outputs->p_max, leaves * sizeof *outputs->p_max));
    SG_TRY(copy_out(cudnn, SG_CUDNN_SKEWNESS, outputs->skewness, leaves * sizeof *outputs->skewness));
    SG_TRY(copy_out(cudnn, SG_CUDNN_KURTOSIS, outputs->kurtosis, leaves * sizeof *outputs->kurtosis));
    return sg_gpu_wait(&cudnn->base.gpu);
}
