/* network_fixture.h: networks in Keras' layout, and the same packed for the detector library. */
#ifndef NETWORK_FIXTURE_H
#define NETWORK_FIXTURE_H

#include "base/philox.h"
#include "sipdetect/network.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Row-major, gates i, f, c, o one after the other. */
typedef struct {
    int types, length, units, classes, layers;
    sd_padding padding;
    float *kernel[SD_LAYERS_MAX], *recurrent[SD_LAYERS_MAX],
        *bias[SD_LAYERS_MAX];  /* [in, 4H], [H, 4H], [4H] */
    float *dense, *dense_bias; /* [H, N], [N] */
} plain_network;

static inline void *aligned_zeros(size_t bytes)
{
    size_t whole = (bytes + 63) / 64 * 64;
    void *p = aligned_alloc(64, whole ? whole : 64);
    if (!p)
        abort();
    return memset(p, 0, whole ? whole : 64);
}

/* Uniform on -most..most. */
static inline float *random_floats(size_t count, float most, uint32_t stream)
{
    float *x = aligned_zeros(count * sizeof *x);
    sg_random r = sg_random_open(7, SG_RANDOM_BENCH, stream);
    for (size_t i = 0; i < count; i++)
        x[i] = most * (2.0f * sg_random_unit(sg_random_next(&r)) - 1.0f);
    return x;
}

/* Weights of a size that keeps the gates alive, and outputs that differ clearly. */
static inline void plain_random(plain_network *p)
{
    size_t h = (size_t)p->units, n = (size_t)p->classes;
    float most = 2.5f / sqrtf((float)h);
    for (int l = 0; l < p->layers; l++) {
        size_t in = l ? h : (size_t)p->types;
        uint32_t stream = (uint32_t)(10 * l);
        p->kernel[l] = random_floats(in * 4 * h, l ? most : 1.0f, stream + 1);
        p->recurrent[l] = random_floats(h * 4 * h, most, stream + 2);
        p->bias[l] = random_floats(4 * h, 0.5f, stream + 3);
        for (size_t u = 0; u < h; u++)
            p->bias[l][h + u] += 1.0f;
    }
    p->dense = random_floats(h * n, 2.0f * most, 30);
    p->dense_bias = random_floats(n, 0.5f, 31);
}

static inline void plain_free(plain_network *p)
{
    for (int l = 0; l < p->layers; l++) {
        free(p->kernel[l]);
        free(p->recurrent[l]);
        free(p->bias[l]);
    }
    free(p->dense);
    free(p->dense_bias);
}

/* [rows, 4H] with the columns where panels want them: [rows, 4 * padded units]. */
static inline float *order_columns(const float *from, int rows, int units)
{
    int padded = (units + 15) / 16 * 16;
    float *to = aligned_zeros((size_t)rows * 4 * (size_t)padded * sizeof *to);
    for (int k = 0; k < rows; k++)
        for (int g = 0; g < 4; g++)
            for (int u = 0; u < units; u++)
                to[(size_t)k * 4 * (size_t)padded + (size_t)(u / 16 * 64 + 16 * g + u % 16)] =
                    from[((size_t)k * 4 + (size_t)g) * (size_t)units + (size_t)u];
    return to;
}

static inline sd_matrix packed_matrix(sd_precision precision, const float *weights, int rows, int columns,
                                      int rows_padded)
{
    int padded = (columns + SD_PANEL - 1) / SD_PANEL * SD_PANEL;
    void *data = aligned_zeros(sd_matrix_bytes(precision, rows_padded, columns));
    float *scale = precision == SD_INT8 ? aligned_zeros((size_t)padded * sizeof *scale) : NULL;
    int32_t *sums = precision == SD_INT8 ? aligned_zeros((size_t)padded * sizeof *sums) : NULL;
    sd_matrix_pack(precision, weights, rows, columns, rows_padded, data, scale, sums);
    return (sd_matrix){rows_padded, padded, data, scale, sums};
}

static inline void packed_matrix_free(sd_matrix *m)
{
    free((void *)(uintptr_t)m->data);
    free((void *)(uintptr_t)m->scale);
    free((void *)(uintptr_t)m->sums);
}

static inline sd_matrix packed_lstm(sd_precision precision, const float *weights, int units, int padded)
{
    float *ordered = order_columns(weights, units, units);
    sd_matrix m = packed_matrix(precision, ordered, units, 4 * padded, padded);
    free(ordered);
    return m;
}

static inline sd_network packed_network(const plain_network *p, sd_precision precision)
{
    int padded = (p->units + 15) / 16 * 16;
    sd_network n = {.precision = precision,
                    .padding = p->padding,
                    .message_types = p->types,
                    .max_length = p->length,
                    .units = p->units,
                    .classes = p->classes,
                    .layers = p->layers,
                    .units_padded = padded,
                    .classes_padded = (p->classes + SD_PANEL - 1) / SD_PANEL * SD_PANEL};
    n.input = order_columns(p->kernel[0], p->types, p->units);
    for (int l = 0; l < p->layers; l++) {
        if (l)
            n.kernel = packed_lstm(precision, p->kernel[l], p->units, padded);
        n.recurrent[l] = packed_lstm(precision, p->recurrent[l], p->units, padded);
        n.bias[l] = order_columns(p->bias[l], 1, p->units);
    }
    n.dense = packed_matrix(precision, p->dense, p->units, p->classes, padded);
    float *bias = aligned_zeros((size_t)n.classes_padded * sizeof *bias);
    memcpy(bias, p->dense_bias, (size_t)p->classes * sizeof *bias);
    n.dense_bias = bias;
    return n;
}

static inline void packed_network_free(sd_network *n)
{
    free((void *)(uintptr_t)n->input);
    if (n->layers > 1)
        packed_matrix_free(&n->kernel);
    for (int l = 0; l < n->layers; l++) {
        packed_matrix_free(&n->recurrent[l]);
        free((void *)(uintptr_t)n->bias[l]);
    }
    packed_matrix_free(&n->dense);
    free((void *)(uintptr_t)n->dense_bias);
}

#endif
