/* cudnn_layout.c: where the emulated cuDNN keeps weights.
 *
 * Not where anybody would expect: layers and gates last to first, biases before matrices, and a gap of three
 * elements before each, which also spoils the alignment.  Whoever asks for the addresses does not notice.
 * CUDA_EMULATOR_CUDNN_LAYOUT=joined lays the gates of a layer out one behind the other, as cuDNN does.
 */
#include "cudnn_emulator.h"

#include <stdlib.h>
#include <string.h>

enum { IDS = 8, GAP = 3 };

static bool joined(void)
{
    const char *layout = getenv("CUDA_EMULATOR_CUDNN_LAYOUT");
    return layout && strcmp(layout, "joined") == 0;
}

/* Rows and columns only; rows 0 if there is no such matrix or bias. */
static emulator_piece shape_of(const struct cudnnRNNStruct *rnn, int layer, int id, bool bias)
{
    bool recurrent = id >= IDS / 2;
    bool exists = !bias || rnn->bias == CUDNN_RNN_DOUBLE_BIAS ||
                  rnn->bias == (recurrent ? CUDNN_RNN_SINGLE_REC_BIAS : CUDNN_RNN_SINGLE_INP_BIAS);
    int inputs = recurrent || layer > 0 ? rnn->units : rnn->inputs;
    return (emulator_piece){0, exists ? rnn->units : 0, bias ? 1 : inputs};
}

/* Walks through all pieces in the order in which they lie, up to the one that is asked for; returns the end
 * if that is none. */
static size_t walk(const struct cudnnRNNStruct *rnn, int layer, int id, bool bias)
{
    bool plain = joined();
    size_t offset = 0, gap = plain ? 0 : GAP;
    for (int n = 0; n < rnn->layers * 2 * IDS; ++n) {
        int at_layer = plain ? n / (2 * IDS) : rnn->layers - 1 - n / (2 * IDS);
        bool at_bias = (n / IDS % 2 == 1) == plain;
        int at_id = plain ? n % IDS : IDS - 1 - n % IDS;
        emulator_piece piece = shape_of(rnn, at_layer, at_id, at_bias);
        offset += gap;
        if (at_layer == layer && at_id == id && at_bias == bias)
            return offset;
        offset += (size_t)piece.rows * (size_t)piece.columns;
    }
    return offset + gap;
}

emulator_piece emulator_weight_piece(const struct cudnnRNNStruct *rnn, int layer, int id, bool bias)
{
    emulator_piece piece = shape_of(rnn, layer, id, bias);
    piece.offset = walk(rnn, layer, id, bias);
    return piece;
}

size_t emulator_weight_count(const struct cudnnRNNStruct *rnn)
{
    return walk(rnn, -1, 0, false);
}

cudnnStatus_t cudnnGetRNNWeightSpaceSize(cudnnHandle_t handle, cudnnRNNDescriptor_t rnn, size_t *bytes)
{
    emulator_cudnn_handle(handle, "cudnnGetRNNWeightSpaceSize");
    emulator_cudnn_rnn(rnn, "cudnnGetRNNWeightSpaceSize");
    *bytes = emulator_weight_count(rnn) * emulator_size(rnn->type);
    return CUDNN_STATUS_SUCCESS;
}

/* NULL and a tensor without dimensions if there is no such piece. */
static void describe(const struct cudnnRNNStruct *rnn, const emulator_piece *piece, const void *space,
                     cudnnTensorDescriptor_t tensor, void **address)
{
    const int dims[3] = {1, piece->rows, piece->columns};
    if (tensor)
        emulator_tensor_set(tensor, rnn->type, piece->rows ? 3 : 0, dims);
    if (address)
        *address = piece->rows ? (char *)(uintptr_t)space + piece->offset * emulator_size(rnn->type) : NULL;
}

cudnnStatus_t cudnnGetRNNWeightParams(cudnnHandle_t handle, cudnnRNNDescriptor_t rnn, int32_t layer,
                                      size_t bytes, const void *space, int32_t id,
                                      cudnnTensorDescriptor_t matrix, void **matrix_address,
                                      cudnnTensorDescriptor_t bias, void **bias_address)
{
    const char *call = "cudnnGetRNNWeightParams";
    emulator_cudnn_handle(handle, call);
    emulator_cudnn_rnn(rnn, call);
    if (layer < 0 || layer >= rnn->layers || id < 0 || id >= IDS || !space ||
        bytes < emulator_weight_count(rnn) * emulator_size(rnn->type))
        return emulator_cudnn(CUDNN_STATUS_BAD_PARAM, "weights %d of layer %d in a space of %zu bytes", id,
                              layer, bytes);
    emulator_check_device(space, bytes, handle->device, call, "weight space");
    emulator_piece pieces[2] = {emulator_weight_piece(rnn, layer, id, false),
                                emulator_weight_piece(rnn, layer, id, true)};
    describe(rnn, &pieces[0], space, matrix, matrix_address);
    describe(rnn, &pieces[1], space, bias, bias_address);
    return CUDNN_STATUS_SUCCESS;
}
