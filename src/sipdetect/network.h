/* network.h: the LSTM network of a .sipm model on the instructions of this processor; forward only.
 *
 * Weights lie in the mapped file exactly as the loops read them, so opening a model moves no weights.  A
 * matrix [K, C] (C output columns) is cut into panels of SD_PANEL columns; the panels follow each other, and
 * within a panel its rows do, SD_GROUP(precision) rows of k interleaved:
 *
 *     element (k, c) at  ((c / 64) * ceil(K / G) + k / G) * 64 * G + (c % 64) * G + k % G,  G = 1, 2, 4
 *                        for fp32, bf16, int8; rows and columns beyond K and C are zero
 *
 * which is what fused multiply-adds, bf16 and int8 dot products and AMX tiles take.  The 4H columns of an
 * LSTM are ordered so that a panel holds all four gates of 16 units: column 64 u + 16 g + j is gate g (i, f,
 * c, o) of unit 16 u + j; H is padded to a multiple of 16 with units whose weights are all zero (their h
 * stays 0). The one-hot input needs no product: `input` is a table of rows, [M, 4H padded] float, and `bias`
 * one more.
 *
 * int8: weight = q * scale[c], q in -127..127, one scale a column; h is quantised to q / 127 anew in each
 * step. bf16: products of bf16 weights and h rounded to bf16, summed in fp32.  Everything else is fp32;
 * softmax sums and moments are double.  Results do not depend on which rows are computed together.
 */
#ifndef SD_NETWORK_H
#define SD_NETWORK_H

#include <stddef.h>
#include <stdint.h>

typedef enum { SD_FP32, SD_BF16, SD_INT8, SD_PRECISIONS } sd_precision;
typedef enum { SD_PAD_POST, SD_PAD_MASK, SD_PAD_PRE } sd_padding;

enum { SD_PANEL = 64, SD_LAYERS_MAX = 2 };

/* A packed matrix [rows, columns]; `scale` is NULL but for int8. */
typedef struct {
    int rows, columns;   /* K and C as the network has them, padding included */
    const void *data;    /* 64-byte aligned, sd_matrix_bytes(precision, rows, columns) */
    const float *scale;  /* [columns] */
    const int32_t *sums; /* int8: the sum over k of q in each column, [columns]; for unsigned products */
} sd_matrix;

typedef struct {
    sd_precision precision;
    sd_padding padding;
    int message_types, max_length, units, classes, layers; /* M, L, H, N */
    int units_padded, classes_padded;                      /* to multiples of 16 and SD_PANEL */
    const float *input;                 /* layer 0: [M, 4 * units_padded], columns ordered as above */
    sd_matrix kernel;                   /* layer 1, if any: [units_padded, 4 * units_padded] */
    sd_matrix recurrent[SD_LAYERS_MAX]; /* [units_padded, 4 * units_padded] */
    const float *bias[SD_LAYERS_MAX];   /* [4 * units_padded] */
    sd_matrix dense;                    /* [units_padded, classes_padded] */
    const float *dense_bias;            /* [classes_padded] */
} sd_network;

/* Bytes of the data of a packed matrix. */
size_t sd_matrix_bytes(sd_precision precision, int rows, int columns);

/* Packs weights[rows, columns] (row-major; the columns already in the order wanted) into data; for int8 fills
 * scale[columns] and sums[columns] as well.  Rows up to rows_padded and columns up to a multiple of SD_PANEL
 * are zero. */
void sd_matrix_pack(sd_precision precision, const float *weights, int rows, int columns, int rows_padded,
                    void *data, float *scale, int32_t *sums);

/* The instructions to compute with. */
typedef struct sd_kernels sd_kernels;

/* The best set for the precision if name is NULL or "auto", the named one otherwise; NULL if this processor
 * or this build lacks it. */
const sd_kernels *sd_kernels_find(const char *name, sd_precision precision);
const char *sd_kernels_name(const sd_kernels *kernels);
const char *sd_kernels_all(void); /* "generic avx2 avx512", what this processor has, slowest first */

/* What the network says of one sequence. */
typedef struct {
    int32_t best_class; /* the first of the largest outputs */
    float probability;
    double skewness, kurtosis; /* normalised */
} sd_score;

/* Room to compute in: sd_room_bytes for at most `batch` sequences at a time, anywhere aligned to 64. */
size_t sd_room_bytes(const sd_network *network, int batch);

/* Scores `count` <= batch unique sequences: type ids 1..M at types + i * stride, 1 <= lengths[i] <= L.  Equal
 * beginnings are computed once (a trie over the batch).  `scores` or `probabilities` [count, N] may be NULL.
 * Allocates nothing. */
void sd_network_run(const sd_network *network, const sd_kernels *kernels, void *room, int batch,
                    const uint16_t *types, const uint16_t *lengths, int count, size_t stride,
                    sd_score *scores, float *probabilities);

#endif
