/* network.h: the LSTM network of a .sipm model on the instructions of this processor; forward only.
 *
 * Matrices are packed (pack.h).  Everything else is fp32; softmax sums and moments are double.  Sums run over
 * k in order, one accumulator for each row and column (AMX: by 16 words of h): results do not depend on which
 * rows are computed together. Levels with fused multiply-adds have equal bits in fp32; bf16 differs within
 * rounding.
 */
#ifndef SD_NETWORK_H
#define SD_NETWORK_H

#include "sipdetect/kernels.h"

typedef enum { SD_PAD_POST, SD_PAD_MASK, SD_PAD_PRE } sd_padding;

enum { SD_LAYERS_MAX = 2 };

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

/* What the network says of one sequence. */
typedef struct {
    int32_t best_class; /* the first of the largest outputs */
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
