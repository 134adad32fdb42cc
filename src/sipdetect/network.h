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
 * int8: weight = q * scale[c], q in -127..127, one scale a column.  Products are exact integers, so that all
 * levels have equal bits.  Within the LSTM, h is passed on in whole steps of 1/123; rounding errors are fed
 * back into the next three time steps (third-order noise shaping), because slow cells add up errors over the
 * zero steps after a dialog: at full width, plain rounding to 8 bits changes probabilities by up to 0.15,
 * shaped rounding by 0.01, no more than the rounding of the weights does.  The dense layer gets the last h as
 * 16 bits, two digits of 8.
 *
 * bf16: products of bf16 weights and h rounded to bf16, summed in fp32.
 *
 * Everything else is fp32; softmax sums and moments are double.  Sums run over k in order, one accumulator
 * for each row and column (AMX: by 16 words of h): results do not depend on which rows are computed together.
 * Levels with fused multiply-adds have equal bits in fp32; bf16 differs within rounding.
 */
#ifndef SD_NETWORK_H
#define SD_NETWORK_H

#include <stddef.h>
#include <stdint.h>

typedef enum { SD_FP32, SD_BF16, SD_INT8, SD_PRECISIONS } sd_precision;
typedef enum { SD_PAD_POST, SD_PAD_MASK, SD_PAD_PRE } sd_padding;

enum { SD_PANEL = 64, SD_LAYERS_MAX = 2 };

/* A packed matrix [rows, columns]; `scale` and `sums` are NULL but for int8.  int8 takes at most 66000 rows,
 * beyond which the sums of bytes might not fit 32 bits. */
typedef struct {
    int rows, columns;   /* K and C padded: multiples of 16 and SD_PANEL */
    const void *data;    /* 64-byte aligned, sd_matrix_bytes(precision, rows, columns) */
    const float *scale;  /* [columns], 64-byte aligned; 0 where a column is all zero, as padding is */
    const int32_t *sums; /* the sum over k of q in each column, [columns], 64-byte aligned */
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

/* Packs weights[rows, columns] (row-major; the columns already in the order above) into data; for int8 fills
 * scale and sums as well, both of `columns` rounded up to a multiple of SD_PANEL.  Rows up to rows_padded and
 * columns up to that multiple are zero.  Weights must be finite. */
void sd_matrix_pack(sd_precision precision, const float *weights, int rows, int columns, int rows_padded,
                    void *data, float *scale, int32_t *sums);

/* The instructions to compute with. */
typedef struct sd_kernels sd_kernels;

/* The best set for the precision if name is NULL or "auto", the named one otherwise; NULL if this processor
 * or this build lacks it.  A level uses what the processor adds to it: AVX-VNNI with "avx2", AVX512_VNNI and
 * AVX512_BF16 with "avx512". */
const sd_kernels *sd_kernels_find(const char *name, sd_precision precision);
const char *sd_kernels_name(const sd_kernels *kernels);
const char *sd_kernels_all(void); /* "generic avx2 avx512 amx", what this processor has, slowest first */

/* The network's scores of one sequence. */
typedef struct {
    int32_t best_class; /* the largest output, the lowest on ties */
    float probability;
    double skewness, kurtosis; /* normalised */
} sd_score;

/* Room to compute in: sd_room_bytes for at most `batch` sequences at a time, anywhere aligned to 64. */
size_t sd_room_bytes(const sd_network *network, int batch);

/* Scores `count` <= batch sequences: type ids 1..M at types + i * stride, 1 <= lengths[i] <= L.  Equal
 * beginnings, and equal sequences, are computed once (a trie over the batch).  `scores` or `probabilities`
 * [count, N] may be NULL. Allocates nothing. */
void sd_network_run(const sd_network *network, const sd_kernels *kernels, void *room, int batch,
                    const uint16_t *types, const uint16_t *lengths, int count, size_t stride,
                    sd_score *scores, float *probabilities);

#endif
