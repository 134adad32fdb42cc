/* cudnn_weights.c: the RNN descriptor, and weights and gradients between Keras' layout and cuDNN's.
 *
 * Keras' kernels are [in, 4H] with the gates i, f, c, o as blocks of columns; cuDNN has one matrix [H, in]
 * for each gate, wherever it likes.  Its addresses are asked for once.
 */
#include "engine/cudnn/cudnn_state.h"

/* ---- the descriptor ---- */

/* fp32 allows no rounding of operands; tf32 is what cuDNN does with floats if it may choose. */
static cudnnMathType_t math_type(const sg_cudnn *cudnn)
{
    switch (cudnn->base.gpu.precision) {
    case SG_PRECISION_BF16:
        return CUDNN_TENSOR_OP_MATH;
    case SG_PRECISION_TF32:
        return CUDNN_DEFAULT_MATH;
    default:
        return CUDNN_FMA_MATH;
    }
}

/* The standard algorithm: the persistent ones take neither every shape nor lengths that differ, and
 * frameworks choose it for layers as wide as the paper's. */
static sg_status set_rnn(sg_cudnn *cudnn)
{
    const sg_spec *spec = &cudnn->spec;
    SG_CUDNN(cudnnSetRNNDescriptor_v8(cudnn->rnn, CUDNN_RNN_ALGO_STANDARD, CUDNN_LSTM, cudnn->bias_mode,
                                      CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT, cudnn->type, CUDNN_DATA_FLOAT,
                                      math_type(cudnn), spec->message_types, spec->units, spec->units,
                                      spec->layers, cudnn->no_dropout, CUDNN_RNN_PADDED_IO_ENABLED),
             "describing the LSTM");
    SG_CUDNN(cudnnGetRNNWeightSpaceSize(cudnn->handle, cudnn->rnn, &cudnn->weight_bytes),
             "asking for the size of the LSTM's weights");
    return SG_OK;
}

/* ---- where the matrices are ---- */

/* Whether a matrix or bias has `count` weights of the type that was asked for. */
static sg_status check_tensor(const sg_cudnn *cudnn, cudnnTensorDescriptor_t descriptor, int64_t count)
{
    cudnnDataType_t type;
    int rank, dims[3] = {0}, strides[3] = {0};
    int64_t found = 1;
    SG_CUDNN(cudnnGetTensorNdDescriptor(descriptor, 3, &type, &rank, dims, strides),
             "asking for the shape of the LSTM's weights");
    for (int d = 0; d < rank && d < 3; d++)
        found *= dims[d];
    if (type != cudnn->type || found != count)
        return sg_fail(SG_E_DEVICE, "this cuDNN has %lld weights of type %d where %lld of type %d are wanted",
                       (long long)found, (int)type, (long long)count, (int)cudnn->type);
    return SG_OK;
}

/* Places of matrix and bias number `id` of a layer; the bias is left alone if it is not wanted. */
static sg_status find_gate(const sg_cudnn *cudnn, cudnnTensorDescriptor_t shape[2], int layer, int id,
                           int inputs, size_t *matrix, size_t *bias)
{
    const char *space = sg_cudnn_data(cudnn, SG_CUDNN_WEIGHTS);
    void *at = NULL, *bias_at = NULL;
    SG_CUDNN(cudnnGetRNNWeightParams(cudnn->handle, cudnn->rnn, layer, cudnn->weight_bytes, space, id,
                                     shape[0], &at, shape[1], &bias_at),
             "asking for the places of the LSTM's weights");
    if (!at || (bias && !bias_at))
        return sg_fail(SG_E_DEVICE, "this cuDNN has no weights number %d in layer %d of the LSTM", id, layer);
    SG_TRY(check_tensor(cudnn, shape[0], (int64_t)cudnn->spec.units * inputs));
    *matrix = (size_t)((const char *)at - space);
    if (!bias)
        return SG_OK;
    SG_TRY(check_tensor(cudnn, shape[1], cudnn->spec.units));
    *bias = (size_t)((const char *)bias_at - space);
    return SG_OK;
}

static bool is_joined(const sg_cudnn *cudnn, const sg_cudnn_matrix *m)
{
    size_t bytes = (size_t)cudnn->spec.units * (size_t)m->inputs * cudnn->base.gpu.operand_size;
    for (int g = 1; g < SG_CUDNN_GATES; g++)
        if (m->offset[g] != m->offset[g - 1] + bytes)
            return false;
    return true;
}

/* Numbers 0 to 3 are the input matrices of i, f, g, o, with the bias that is trained; 4 to 7 the recurrent
 * ones. */
static sg_status find_layer(sg_cudnn *cudnn, cudnnTensorDescriptor_t shape[2], int layer)
{
    sg_cudnn_matrix *kind = cudnn->matrix[layer];
    kind[SG_CUDNN_INPUT].inputs = sg_cudnn_inputs(cudnn, layer);
    kind[SG_CUDNN_RECURRENT].inputs = cudnn->spec.units;
    kind[SG_CUDNN_BIAS].inputs = 1;
    for (int g = 0; g < SG_CUDNN_GATES; g++) {
        SG_TRY(find_gate(cudnn, shape, layer, g, kind[SG_CUDNN_INPUT].inputs, &kind[SG_CUDNN_INPUT].offset[g],
                         &kind[SG_CUDNN_BIAS].offset[g]));
        SG_TRY(find_gate(cudnn, shape, layer, g + SG_CUDNN_GATES, kind[SG_CUDNN_RECURRENT].inputs,
                         &kind[SG_CUDNN_RECURRENT].offset[g], NULL));
    }
    for (int k = 0; k < SG_CUDNN_KINDS; k++)
        kind[k].joined = is_joined(cudnn, &kind[k]);
    return SG_OK;
}

static sg_status find_layers(sg_cudnn *cudnn)
{
    cudnnTensorDescriptor_t shape[2] = {0};
    cudnnStatus_t made = cudnnCreateTensorDescriptor(&shape[0]);
    if (made == CUDNN_STATUS_SUCCESS)
        made = cudnnCreateTensorDescriptor(&shape[1]);
    sg_status status = SG_OK;
    if (made != CUDNN_STATUS_SUCCESS)
        status = sg_cudnn_failed((int)made, "making descriptors", __FILE__, __LINE__);
    for (int layer = 0; status == SG_OK && layer < cudnn->spec.layers; layer++)
        status = find_layer(cudnn, shape, layer);
    for (int i = 0; i < 2; i++)
        if (shape[i])
            cudnnDestroyTensorDescriptor(shape[i]);
    return status;
}

sg_status sg_cudnn_describe(sg_cudnn *cudnn, cudnnRNNBiasMode_t bias_mode)
{
    cudnn->bias_mode = bias_mode;
    cudnn->accepted = cudnn->refused = false;
    cudnn->training.rows = cudnn->inference.rows = 0;
    cudnn->base.stale = true;
    SG_TRY(set_rnn(cudnn));
    SG_TRY(sg_cudnn_reserve(cudnn, SG_CUDNN_WEIGHTS, cudnn->weight_bytes, 1, "weights for cuDNN"));
    /* What is between the matrices, and the bias that is not trained, stays zero. */
    SG_CUDA(cudaMemsetAsync(sg_cudnn_data(cudnn, SG_CUDNN_WEIGHTS), 0, cudnn->weight_bytes,
                            cudnn->base.gpu.stream),
            "clearing weights");
    return find_layers(cudnn);
}

/* ---- one bias or two ---- */

bool sg_cudnn_fell_back(sg_cudnn *cudnn)
{
    if (!cudnn->refused || cudnn->accepted || cudnn->bias_mode == CUDNN_RNN_DOUBLE_BIAS)
        return false;
    return sg_cudnn_describe(cudnn, CUDNN_RNN_DOUBLE_BIAS) == SG_OK;
}

/* ---- weights to cuDNN, gradients back ---- */

/* A Keras tensor and its matrices in a space, one way or the other. */
static sg_status move_tensor(sg_cudnn *cudnn, float *tensor, const sg_cudnn_matrix *m, char *space,
                             bool to_space)
{
    int h = cudnn->spec.units, gates = m->joined ? SG_CUDNN_GATES : 1; /* moved at once */
    int64_t width = (int64_t)SG_CUDNN_GATES * h;
    sg_operand operand = cudnn->base.gpu.operand;
    for (int g = 0; g < SG_CUDNN_GATES; g += gates) {
        float *columns = tensor + (size_t)g * (size_t)h;
        char *matrix = space + m->offset[g];
        sg_transpose forth = {.rows = m->inputs,
                              .columns = gates * h,
                              .from = columns,
                              .from_stride = width,
                              .from_type = SG_OPERAND_FLOAT,
                              .to = matrix,
                              .to_stride = m->inputs,
                              .to_type = operand};
        sg_transpose back = {.rows = gates * h,
                             .columns = m->inputs,
                             .from = matrix,
                             .from_stride = m->inputs,
                             .from_type = operand,
                             .to = columns,
                             .to_stride = width,
                             .to_type = SG_OPERAND_FLOAT};
        SG_CUDA(sg_kernel_transpose(to_space ? &forth : &back, cudnn->base.gpu.stream),
                "transposing weights");
    }
    return SG_OK;
}

/* All LSTM tensors of `array`, laid out like weights.w, to a space or from it. */
static sg_status move_all(sg_cudnn *cudnn, float *array, char *space, bool to_space)
{
    const sg_weights *w = &cudnn->base.weights;
    for (int layer = 0; layer < cudnn->spec.layers; layer++) {
        const int number[SG_CUDNN_KINDS] = {[SG_CUDNN_INPUT] = w->layout.kernel[layer],
                                            [SG_CUDNN_RECURRENT] = w->layout.recurrent[layer],
                                            [SG_CUDNN_BIAS] = w->layout.bias[layer]};
        for (int k = 0; k < SG_CUDNN_KINDS; k++)
            SG_TRY(move_tensor(cudnn, sg_weights_at(w, array, number[k]), &cudnn->matrix[layer][k], space,
                               to_space));
    }
    return SG_OK;
}

sg_status sg_cudnn_pack(sg_cudnn *cudnn)
{
    if (!cudnn->base.stale)
        return SG_OK;
    SG_TRY(sg_gpu_span_begin(&cudnn->base.gpu, SG_PHASE_PACKING));
    SG_TRY(move_all(cudnn, cudnn->base.weights.w, sg_cudnn_data(cudnn, SG_CUDNN_WEIGHTS), true));
    cudnn->base.stale = false;
    return sg_gpu_span_end(&cudnn->base.gpu);
}

sg_status sg_cudnn_unpack_gradients(sg_cudnn *cudnn)
{
    SG_TRY(sg_gpu_span_begin(&cudnn->base.gpu, SG_PHASE_PACKING));
    SG_TRY(move_all(cudnn, cudnn->base.weights.gradient, sg_cudnn_data(cudnn, SG_CUDNN_GRADIENTS), false));
    return sg_gpu_span_end(&cudnn->base.gpu);
}
