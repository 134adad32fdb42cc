/* cudnn_emulator.h: what the parts of the emulated cuDNN share. */
#ifndef CUDNN_EMULATOR_H
#define CUDNN_EMULATOR_H

#include "emulator.h"

#include <cudnn.h>

/* ---- objects behind the handles (cudnn_descriptors.c) ---- */

struct cudnnContext {
    int magic, device;
    cudaStream_t stream;
};

struct cudnnTensorStruct {
    int magic;
    bool set;
    cudnnDataType_t type;
    int rank; /* 0: of a matrix that does not exist */
    int dims[CUDNN_DIM_MAX], strides[CUDNN_DIM_MAX];
};

struct cudnnDropoutStruct {
    int magic;
    bool set;
    float rate;
};

struct cudnnRNNStruct {
    int magic;
    bool set;
    cudnnRNNBiasMode_t bias;
    cudnnDataType_t type;
    cudnnMathType_t math;
    int inputs, units, layers;
};

struct cudnnRNNDataStruct {
    int magic;
    bool set;
    cudnnDataType_t type;
    cudnnRNNDataLayout_t layout;
    int steps, rows, width;
    int *length; /* [rows] */
    bool fills;  /* whether padding of an output is filled with `fill`, or undefined */
    float fill;
};

/* Remembers the message, and returns the status. */
cudnnStatus_t emulator_cudnn(cudnnStatus_t status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Each dies if it is not what it should be, or was destroyed. */
void emulator_cudnn_handle(cudnnHandle_t handle, const char *call);
void emulator_cudnn_tensor(const struct cudnnTensorStruct *tensor, const char *call);
void emulator_cudnn_rnn(const struct cudnnRNNStruct *rnn, const char *call);
void emulator_cudnn_data(const struct cudnnRNNDataStruct *data, const char *call);

void emulator_tensor_set(cudnnTensorDescriptor_t tensor, cudnnDataType_t type, int rank, const int *dims);

/* CUDA_EMULATOR_CUDNN_REFUSES: CUDNN_STATUS_NOT_SUPPORTED if the call it names is `call` and the network has
 * not two biases. */
cudnnStatus_t emulator_refuses(cudnnRNNBiasMode_t bias, const char *call);

static inline size_t emulator_size(cudnnDataType_t type)
{
    return type == CUDNN_DATA_BFLOAT16 ? 2 : 4;
}

/* ---- where weights lie (cudnn_layout.c) ---- */

/* Matrix or bias number `id` of a layer: begins at element `offset`; rows 0 if there is none. */
typedef struct {
    size_t offset;
    int rows, columns;
} emulator_piece;

emulator_piece emulator_weight_piece(const struct cudnnRNNStruct *rnn, int layer, int id, bool bias);
size_t emulator_weight_count(const struct cudnnRNNStruct *rnn); /* elements, gaps included */

/* ---- the arithmetic (cudnn_lstm.c), all in float ---- */

/* The weights of a layer, gates i, f, g, o; `bias` is the sum of those there are. */
typedef struct {
    int inputs, units;
    float *input, *recurrent, *bias; /* [4H, inputs], [4H, H], [4H] */
} emulator_layer;

/* One layer's part of a run.  Arrays of states are [steps, rows, H] and begin with row 0 of step 0. */
typedef struct {
    int steps, rows;
    const int *length;
    bool bf16, tf32;
    const float *x;  /* [steps, rows, inputs], padding 0 */
    const float *hx; /* [rows, H] */
    const float *cx; /* [rows, H] */
    float *gates;    /* [steps, rows, 4H] activations, then gradients of the sums */
    float *c;
    float *h; /* padding 0 */
} emulator_states;

void emulator_lstm_forward(const emulator_layer *layer, const emulator_states *states, float *hy, float *cy);

/* dh: what reaches the outputs [steps, rows, H]; dh_state, dc_state [rows, H]: what reaches the last states,
 * becomes what reaches the first ones.  dx [steps, rows, inputs], padding 0. */
void emulator_lstm_backward(const emulator_layer *layer, const emulator_states *states, const float *dh,
                            float *dh_state, float *dc_state, float *dx);

/* Gradients of the weights, into `gradient`; its bias is that of each bias. */
void emulator_lstm_weights(const emulator_layer *gradient, const emulator_states *states);

float emulator_round(bool bf16, float x);

/* ---- what calls read and write, as floats (cudnn_data.c) ---- */

/* First element of step t of row b. */
size_t emulator_place(const struct cudnnRNNDataStruct *data, int t, int b);

void emulator_load(cudnnDataType_t type, const void *from, size_t first, size_t count, float *to);
void emulator_store(cudnnDataType_t type, const float *from, size_t count, void *to, size_t first);

/* [steps, rows, width], padding 0 whatever is there; to be freed. */
float *emulator_load_data(const struct cudnnRNNDataStruct *data, const void *from);

/* Padding gets what the descriptor says if it `fills`, and else poison: it is undefined. */
void emulator_store_data(const struct cudnnRNNDataStruct *data, const float *from, void *to, bool fills);

emulator_layer emulator_new_layer(const struct cudnnRNNStruct *rnn, int layer); /* of zeros */
emulator_layer emulator_load_layer(const struct cudnnRNNStruct *rnn, const void *space, int layer);
void emulator_add_layer(const struct cudnnRNNStruct *rnn, const emulator_layer *gradient, int layer,
                        void *space);
void emulator_free_layer(emulator_layer *layer);

#endif
