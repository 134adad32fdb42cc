/* cudnn_state.h: the padded batch through the cuDNN LSTM, as a user of a framework would run it; or its
 * unique rows, as one who looks for them would.
 *
 * Sequences are run for all of their steps: x is one-hot [T, S, M], y the states of the top layer [T, S, H].
 * cuDNN knows nothing of prefixes, so training runs a plan with batching `trie` like one that is `dense`:
 * every row of the batch is a sequence, S = B.  With `unique`, S is the number of leaves.  The heads K are
 * the rows, or those of the plan.  Inference runs leaves.  The weights, their gradients and Adam's state are
 * kept in Keras' layout (device.h); cuDNN reads copies in its own layout, made anew after each update, and
 * writes gradients in that layout.
 *
 *   cudnn_engine.c   opening, closing, the module
 *   cudnn_weights.c  the RNN descriptor, and weights and gradients from one layout to the other
 *   cudnn_batch.c    rows of a plan, descriptors of their shape, forward
 *   cudnn_step.c     one training step
 *   cudnn_infer.c    outputs of leaves
 */
#ifndef SG_ENGINE_CUDNN_STATE_H
#define SG_ENGINE_CUDNN_STATE_H

#include "engine/cuda/device_head.h"
#include <cudnn.h>

/* ---- errors ---- */

/* Turns a failed call into SG_E_DEVICE, or SG_E_MEMORY if cuDNN ran out of it; `what` is "running the LSTM
 * forward" and the like.  The sentence holds what cuDNN itself says of its last error. */
sg_status sg_cudnn_failed(int error, const char *what, const char *file, int line);

#define SG_CUDNN(call, what)                                               \
    do {                                                                   \
        int sg_cudnn_ = (int)(call);                                       \
        if (sg_cudnn_ != 0)                                                \
            return sg_cudnn_failed(sg_cudnn_, (what), __FILE__, __LINE__); \
    } while (0)

/* ---- versions ---- */

/* The first cuDNN whose LSTM in bf16 can be trusted. */
enum { SG_CUDNN_BF16_VERSION = 91300 };
#define SG_CUDNN_BF16_TEXT              "9.13"
#define SG_CUDNN_VERSION_PARTS(version) (version) / 10000, (version) / 100 % 100, (version) % 100

/* ---- state ---- */

/* Device memory that grows with the batches. */
typedef enum {
    SG_CUDNN_WEIGHTS,           /* weight space */
    SG_CUDNN_GRADIENTS,         /* its gradient, same layout */
    SG_CUDNN_WORK,              /* work space */
    SG_CUDNN_RESERVE,           /* what forward keeps for backward */
    SG_CUDNN_BATCH,             /* tokens, labels, row numbers: what a batch brings from the host */
    SG_CUDNN_X,                 /* [T, S, M] operand */
    SG_CUDNN_DX,                /* its gradient; nobody reads it, but BackwardData wants to write it */
    SG_CUDNN_Y,                 /* [T, S, H] operand */
    SG_CUDNN_DY,                /* [T, S, H] operand */
    SG_CUDNN_SEQUENCE_GRADIENT, /* [S, H] sums of the former */
    SG_CUDNN_BLOCKS
} sg_cudnn_block;

enum { SG_CUDNN_GATES = 4 }; /* i, f, g, o: cuDNN's order is Keras' */

/* One Keras tensor [in, 4H] in the weight space: a row-major matrix [H, in] for each gate. */
typedef struct {
    int inputs;                    /* 1 for a bias */
    size_t offset[SG_CUDNN_GATES]; /* bytes from the start of the space */
    bool joined;                   /* the four lie one behind the other, so they are one matrix [4H, in] */
} sg_cudnn_matrix;

typedef enum { SG_CUDNN_INPUT, SG_CUDNN_RECURRENT, SG_CUDNN_BIAS, SG_CUDNN_KINDS } sg_cudnn_kind;

/* Descriptors of batches of T steps and S rows; kept until the next batch has another shape. */
typedef struct {
    cudnnRNNDataDescriptor_t x, y;
    cudnnTensorDescriptor_t h;
    cudnnForwardMode_t mode;
    int steps, rows; /* 0: not set */
    int32_t *length; /* [rows] as the descriptors have it */
    size_t capacity;
    size_t work, reserve; /* bytes */
} sg_cudnn_shape;

typedef struct {
    sg_gpu_engine base;
    sg_spec spec;
    cudnnHandle_t handle;
    cudnnDropoutDescriptor_t no_dropout;
    cudnnRNNDescriptor_t rnn;
    cudnnDataType_t type;
    cudnnRNNBiasMode_t bias_mode;
    bool accepted; /* a whole step has run with this bias mode */
    bool refused;  /* cuDNN does not support what was asked for with this bias mode */
    size_t weight_bytes;
    sg_cudnn_matrix matrix[SG_LAYERS_MAX][SG_CUDNN_KINDS];
    sg_cudnn_shape training, inference;
    int32_t *length; /* [length_capacity] of the batch at hand */
    size_t length_capacity;
    sg_block block[SG_CUDNN_BLOCKS];
} sg_cudnn;

/* Inputs of one layer: M, or H above the first. */
static inline int sg_cudnn_inputs(const sg_cudnn *cudnn, int layer)
{
    return layer == 0 ? cudnn->spec.message_types : cudnn->spec.units;
}

static inline void *sg_cudnn_data(const sg_cudnn *cudnn, sg_cudnn_block block)
{
    return cudnn->block[block].data;
}

/* sg_gpu_reserve for one of the blocks above. */
static inline sg_status sg_cudnn_reserve(sg_cudnn *cudnn, sg_cudnn_block block, size_t count, size_t size,
                                         const char *what)
{
    return sg_gpu_reserve(&cudnn->base.gpu, &cudnn->block[block], count, size, what);
}

/* ---- cudnn_error.c ---- */

/* For the status of a call that runs the network: fails like SG_CUDNN, and remembers whether another bias
 * mode might help. */
sg_status sg_cudnn_ran(sg_cudnn *cudnn, cudnnStatus_t status, const char *what);

/* ---- cudnn_weights.c ---- */

/* Describes the network to cuDNN, makes the weight spaces and finds every matrix in them. */
sg_status sg_cudnn_describe(sg_cudnn *cudnn, cudnnRNNBiasMode_t bias_mode);

/* After a failure: whether cuDNN refused a single bias, and two, one of them zero, are now in use.  What
 * failed is then to be run again. */
bool sg_cudnn_fell_back(sg_cudnn *cudnn);

/* Brings the weight space up to date. */
sg_status sg_cudnn_pack(sg_cudnn *cudnn);

/* Moves the LSTM's gradients to weights.gradient. */
sg_status sg_cudnn_unpack_gradients(sg_cudnn *cudnn);

/* ---- cudnn_batch.c ---- */

void sg_cudnn_shape_free(sg_cudnn_shape *shape);

/* Room for the lengths of that many rows in cudnn->length.  SG_E_CONFIG if row numbers of y or the strides of
 * states do not fit an int, as cuDNN has them. */
sg_status sg_cudnn_reserve_lengths(sg_cudnn *cudnn, int steps, int rows);

/* Writes the steps of a leaf, padded with zeros, into columns first ... first + count - 1 of token
 * [plan->steps, rows]; returns its length. */
int sg_cudnn_expand_leaf(const sg_plan *plan, int leaf, uint16_t *token, int rows, int first, int count);

/* Describes a batch of that shape whose lengths are in cudnn->length, and makes room for its one-hot inputs,
 * its states and cuDNN's temporaries. */
sg_status sg_cudnn_set_shape(sg_cudnn *cudnn, sg_cudnn_shape *shape, int steps, int rows);

/* token [T, S] to y, by way of one-hot inputs. */
sg_status sg_cudnn_forward(sg_cudnn *cudnn, const sg_cudnn_shape *shape, const uint16_t *token);

/* Counts the operations of one pass over the LSTM, 2 T S (in + H) 4H for each layer. */
void sg_cudnn_count_flops(sg_cudnn *cudnn, sg_phase phase, const sg_cudnn_shape *shape);

/* ---- cudnn_step.c, cudnn_infer.c ---- */

/* sg_gpu_engine.enqueue. */
sg_status sg_cudnn_step(void *self, const sg_batch *batch);

sg_status sg_cudnn_infer(void *self, const sg_plan *plan, sg_outputs *outputs);

#endif
