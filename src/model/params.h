/* params.h: the weights of a network as one flat array of floats, with Keras names and shapes.
 *
 *   lstm_l/kernel            [in, 4H]   in = M for l = 0, H for l = 1; gate order i, f, c, o
 *   lstm_l/recurrent_kernel  [H, 4H]
 *   lstm_l/bias              [4H]
 *   dense/kernel             [H, N]
 *   dense/bias               [N]
 *
 * Row-major.  Row m-1 of lstm_0/kernel belongs to message type m.  Each tensor starts at a multiple of 16
 * floats; the floats between tensors are zero and stay zero.
 */
#ifndef SG_MODEL_PARAMS_H
#define SG_MODEL_PARAMS_H

#include "model/spec.h"
#include <stdint.h>

enum { SG_TENSORS_MAX = 3 * SG_LAYERS_MAX + 2 };

typedef struct {
    char name[32];
    int rank;
    int64_t dims[2];
    size_t offset, count; /* in floats */
} sg_tensor;

/* Where each tensor lies; a pure function of the spec. */
typedef struct {
    int tensors;
    sg_tensor tensor[SG_TENSORS_MAX];
    size_t count; /* total floats, gaps included */
    /* Positions in tensor[]. */
    int kernel[SG_LAYERS_MAX], recurrent[SG_LAYERS_MAX], bias[SG_LAYERS_MAX], dense_kernel, dense_bias;
} sg_layout;

typedef struct {
    sg_layout layout;
    float *data; /* [layout.count], 64-byte aligned */
} sg_params;

void sg_layout_make(sg_layout *layout, const sg_spec *spec);

/* Zeroed weights of the shape of `spec`. */
sg_status sg_params_alloc(sg_params *params, const sg_spec *spec);
void sg_params_free(sg_params *params);

/* Start of one tensor. */
static inline float *sg_params_at(const sg_params *params, int tensor)
{
    return params->data + params->layout.tensor[tensor].offset;
}

/* How recurrent kernels start: an exactly orthogonal matrix (Keras), or normal with deviation 1/sqrt(H). */
typedef enum { SG_RECURRENT_ORTHOGONAL, SG_RECURRENT_NORMAL } sg_recurrent_init;
#define SG_RECURRENT_CHOICES "orthogonal|normal"

typedef struct {
    uint64_t seed;
    double forget_bias; /* Keras: 1.  Chrono initialisation when chrono is set: log of uniform on [1, L-1] */
    bool chrono;
    sg_recurrent_init recurrent;
} sg_init_options;

/* Keras' starting weights: glorot-uniform kernels, orthogonal recurrent kernels (QR of a normal [4H, H], sign
 * fixed, transposed), zero biases with forget_bias in the forget gate.  The same numbers for the same seed
 * everywhere. */
sg_status sg_params_init(sg_params *params, const sg_spec *spec, const sg_init_options *options);

/* SG_E_NUMERIC names the first tensor that holds a NaN or an infinity. */
sg_status sg_params_check_finite(const sg_params *params);

#endif
