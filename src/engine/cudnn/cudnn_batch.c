/* cudnn_batch.c: rows of a plan written out in full, descriptors of their shape, and the parts of forward
 * that training and inference share. */
#include "engine/cudnn/cudnn_state.h"

#include "base/memory.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

sg_status sg_cudnn_reserve_lengths(sg_cudnn *cudnn, int steps, int rows)
{
    int64_t widest = steps > cudnn->spec.units ? steps : cudnn->spec.units;
    if (rows * widest > INT_MAX)
        return sg_fail(SG_E_CONFIG, "a batch of %d rows of %d steps is too large for cuDNN at %d units", rows,
                       steps, cudnn->spec.units);
    return sg_grow(&cudnn->length, &cudnn->length_capacity, rows, "lengths of a batch");
}

int sg_cudnn_expand_leaf(const sg_plan *plan, int leaf, uint16_t *token, int rows, int first, int count)
{
    int length = 0;
    for (int node = plan->leaf_node[leaf]; node >= 0; node = plan->parent[node])
        length++;
    int node = plan->leaf_node[leaf];
    for (int t = plan->steps - 1; t >= 0; t--) {
        uint16_t value = 0, *to = token + (size_t)t * (size_t)rows + first;
        if (t < length) {
            value = plan->token[node];
            node = plan->parent[node];
        }
        for (int k = 0; k < count; k++)
            to[k] = value;
    }
    return length;
}

/* ---- descriptors ---- */

void sg_cudnn_shape_free(sg_cudnn_shape *shape)
{
    if (shape->x)
        cudnnDestroyRNNDataDescriptor(shape->x);
    if (shape->y)
        cudnnDestroyRNNDataDescriptor(shape->y);
    if (shape->h)
        cudnnDestroyTensorDescriptor(shape->h);
    free(shape->length);
    *shape = (sg_cudnn_shape){0};
}

/* Describes rows of these lengths and asks what memory they take.  Padding is left undefined in y: only
 * states of steps that were run are read. */
static sg_status describe_rows(sg_cudnn *cudnn, sg_cudnn_shape *shape, int steps, int rows)
{
    const int32_t *length = cudnn->length;
    SG_CUDNN(cudnnSetRNNDataDescriptor(shape->x, cudnn->type, CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED, steps,
                                       rows, cudnn->spec.message_types, length, NULL),
             "describing a batch");
    SG_CUDNN(cudnnSetRNNDataDescriptor(shape->y, cudnn->type, CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED, steps,
                                       rows, cudnn->spec.units, length, NULL),
             "describing a batch");
    SG_TRY(sg_grow(&shape->length, &shape->capacity, rows, "lengths of a batch"));
    memcpy(shape->length, length, (size_t)rows * sizeof *length);
    shape->reserve = 0;
    return sg_cudnn_ran(
        cudnn,
        cudnnGetRNNTempSpaceSizes(cudnn->handle, cudnn->rnn, shape->mode, shape->x, &shape->work,
                                  shape->mode == CUDNN_FWD_MODE_TRAINING ? &shape->reserve : NULL),
        "asking for the LSTM's temporary memory");
}

static sg_status describe_shape(sg_cudnn *cudnn, sg_cudnn_shape *shape, int steps, int rows)
{
    int h = cudnn->spec.units;
    int dims[3] = {cudnn->spec.layers, rows, h}, strides[3] = {rows * h, h, 1};
    SG_CUDNN(cudnnSetTensorNdDescriptor(shape->h, cudnn->type, 3, dims, strides), "describing a batch");
    return describe_rows(cudnn, shape, steps, rows);
}

static sg_status create_shape(sg_cudnn_shape *shape)
{
    if (!shape->x)
        SG_CUDNN(cudnnCreateRNNDataDescriptor(&shape->x), "making descriptors");
    if (!shape->y)
        SG_CUDNN(cudnnCreateRNNDataDescriptor(&shape->y), "making descriptors");
    if (!shape->h)
        SG_CUDNN(cudnnCreateTensorDescriptor(&shape->h), "making descriptors");
    return SG_OK;
}

static sg_status reserve_shape(sg_cudnn *cudnn, const sg_cudnn_shape *shape)
{
    size_t cells = (size_t)shape->steps * (size_t)shape->rows, size = cudnn->base.gpu.operand_size;
    size_t inputs = (size_t)cudnn->spec.message_types, h = (size_t)cudnn->spec.units;
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_X, cells * inputs, size, "one-hot inputs of a batch"));
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_Y, cells * h, size, "states of a batch"));
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_WORK, shape->work, 1, "work space of cuDNN"));
    return sg_cudnn_reserve(cudnn, SG_CUDNN_RESERVE, shape->reserve, 1, "reserve space of cuDNN");
}

sg_status sg_cudnn_set_shape(sg_cudnn *cudnn, sg_cudnn_shape *shape, int steps, int rows)
{
    SG_TRY(create_shape(shape));
    if (shape->steps != steps || shape->rows != rows) {
        /* A failure half way leaves a shape that fits no batch. */
        shape->rows = 0;
        SG_TRY(describe_shape(cudnn, shape, steps, rows));
        shape->steps = steps;
        shape->rows = rows;
    } else if (memcmp(shape->length, cudnn->length, (size_t)rows * sizeof *shape->length) != 0) {
        shape->rows = 0;
        SG_TRY(describe_rows(cudnn, shape, steps, rows));
        shape->rows = rows;
    }
    return reserve_shape(cudnn, shape);
}

/* ---- forward ---- */

void sg_cudnn_count_flops(sg_cudnn *cudnn, sg_phase phase, const sg_cudnn_shape *shape)
{
    double h = cudnn->spec.units, cells = 0;
    for (int row = 0; row < shape->rows; row++)
        cells += shape->length[row];
    for (int layer = 0; layer < cudnn->spec.layers; layer++)
        cudnn->base.gpu.timing.flops[phase] += 2 * cells * (sg_cudnn_inputs(cudnn, layer) + h) * 4 * h;
}

sg_status sg_cudnn_forward(sg_cudnn *cudnn, const sg_cudnn_shape *shape, const uint16_t *token)
{
    sg_gpu *gpu = &cudnn->base.gpu;
    bool training = shape->mode == CUDNN_FWD_MODE_TRAINING;
    SG_TRY(sg_gpu_span_begin(gpu, SG_PHASE_POINTWISE));
    SG_CUDA(sg_kernel_one_hot((int64_t)shape->steps * shape->rows, cudnn->spec.message_types, token,
                              sg_cudnn_data(cudnn, SG_CUDNN_X), gpu->operand, gpu->stream),
            "making one-hot inputs");
    SG_TRY(sg_gpu_span_end(gpu));
    SG_TRY(sg_gpu_span_begin(gpu, SG_PHASE_FORWARD));
    /* Lengths on the device are not read since cuDNN 8.9.1; states before the first step are zero. */
    SG_TRY(
        sg_cudnn_ran(cudnn,
                     cudnnRNNForward(cudnn->handle, cudnn->rnn, shape->mode, NULL, shape->x,
                                     sg_cudnn_data(cudnn, SG_CUDNN_X), shape->y,
                                     sg_cudnn_data(cudnn, SG_CUDNN_Y), shape->h, NULL, NULL, shape->h, NULL,
                                     NULL, cudnn->weight_bytes, sg_cudnn_data(cudnn, SG_CUDNN_WEIGHTS),
                                     shape->work, sg_cudnn_data(cudnn, SG_CUDNN_WORK), shape->reserve,
                                     training ? sg_cudnn_data(cudnn, SG_CUDNN_RESERVE) : NULL),
                     "running the LSTM forward"));
    sg_cudnn_count_flops(cudnn, SG_PHASE_FORWARD, shape);
    return sg_gpu_span_end(gpu);
}
