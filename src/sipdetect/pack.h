/* pack.h: matrices of weights in the order and precision that the loops of kernels.h read them.
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
 * levels have equal bits.  Within the LSTM, h is sent as whole steps of 1/123; what rounding leaves is fed
 * back into the next three time steps (third-order noise shaping), because slow cells add up errors over the
 * zero steps after a dialog: at full width, plain rounding to 8 bits changes probabilities by up to 0.15,
 * shaped rounding by 0.01, no more than the rounding of the weights does.  The dense layer gets the last h as
 * 16 bits, two digits of 8.
 *
 * bf16: products of bf16 weights and h rounded to bf16, summed in fp32.
 */
#ifndef SD_PACK_H
#define SD_PACK_H

#include <stddef.h>
#include <stdint.h>

typedef enum { SD_FP32, SD_BF16, SD_INT8, SD_PRECISIONS } sd_precision;

enum { SD_PANEL = 64 };

/* A packed matrix [rows, columns]; `scale` and `sums` are NULL but for int8.  int8 takes at most 66000 rows,
 * beyond which the sums of bytes might not fit 32 bits. */
typedef struct {
    int rows, columns;   /* K and C padded: multiples of 16 and SD_PANEL */
    const void *data;    /* 64-byte aligned, sd_matrix_bytes(precision, rows, columns) */
    const float *scale;  /* [columns], 64-byte aligned; 0 where a column is all zero, as padding is */
    const int32_t *sums; /* the sum over k of q in each column, [columns], 64-byte aligned */
} sd_matrix;

/* Bytes of the data of a packed matrix. */
size_t sd_matrix_bytes(sd_precision precision, int rows, int columns);

/* Packs weights[rows, columns] (row-major; the columns already in the order wanted) into data; for int8 fills
 * scale and sums as well, both of `columns` rounded up to a multiple of SD_PANEL.  Rows up to rows_padded and
 * columns up to that multiple are zero.  Weights must be finite. */
void sd_matrix_pack(sd_precision precision, const float *weights, int rows, int columns, int rows_padded,
                    void *data, float *scale, int32_t *sums);

#endif
