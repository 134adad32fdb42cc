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

static sg_status run_rows(sg_cudnn *cudnn, const sg_plan *plan, const infer_rows *rows)
{
    SG_TRY(sg_cudnn_set_shape(cudnn, &cudnn->inference, plan->steps, rows->rows));
    SG_TRY(sg_cudnn_pack(cudnn));
    SG_TRY(sg_cudnn_forward(cudnn, &cudnn->inference, rows->token));
    const sg_gather states = {.source_row = rows->source_row, .h = sg_cudnn_data(cudnn, SG_CUDNN_Y)};
    return sg_head_gather(&cudnn->base, &states, rows->rows, NULL);
}

static sg_status infer_block(sg_cudnn *cudnn, const sg_plan *plan, int first, sg_outputs *outputs)
{
    int left = plan->leaves - first;
    infer_rows rows = {.first = first, .rows = left < INFER_ROWS ? left : INFER_ROWS};
    SG_TRY(stage_rows(cudnn, plan, &rows));
    sg_status status = run_rows(cudnn, plan, &rows);
    if (status != SG_OK && sg_cudnn_fell_back(cudnn))
        status = run_rows(cudnn, plan, &rows);
    SG_TRY(status);
    return sg_head_infer(&cudnn->base, cudnn->base.head.state.data, first, rows.rows, outputs);
}

sg_status sg_cudnn_infer(void *self, const sg_plan *plan, sg_outputs *outputs)
{
    sg_cudnn *cudnn = self;
    SG_TRY(sg_gpu_enter(&cudnn->base.gpu));
    SG_TRY(sg_head_reserve_leaves(&cudnn->base, plan->leaves < INFER_ROWS ? plan->leaves : INFER_ROWS));
    for (int first = 0; first < plan->leaves; first += INFER_ROWS)
        SG_TRY(infer_block(cudnn, plan, first, outputs));
    return sg_gpu_wait(&cudnn->base.gpu);
}
