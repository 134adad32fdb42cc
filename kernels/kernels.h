/* kernels.h: the CUDA kernels, as C functions that launch them.
 *
 * All pointers are to device memory unless said otherwise; nothing here allocates, copies or waits.  A
 * launcher enqueues its kernel on `stream` and returns the launch's cudaError_t as an int, 0 for success; it
 * neither reads nor leaves a last error.  Counts of zero launch nothing.  Matrices are row-major.  Each
 * launcher has a twin in twin.h that does the same in plain loops on the host; both get their arithmetic from
 * engine/cell.h.
 *
 * Sums have one order that depends on shapes only: no atomics, so the same inputs give the same bits.
 */
#ifndef SG_KERNELS_H
#define SG_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CUstream_st *sg_stream;

/* What products read: float (also for tf32) or bfloat16. */
typedef enum { SG_OPERAND_FLOAT, SG_OPERAND_BF16 } sg_operand;

/* ---- the trie's levels (engine/cell.h; units are a multiple of 4 here) ---- */

/* One level forward, one layer.  The level has `inner` nodes with children, numbered from inner_node, and
 * `end` nodes without, numbered from end_node; their rows in x, gates, c and h begin at inner_row and
 * end_row. z and c_before hold the parents' rows, that of node parent_first first; both are NULL on level 0.
 * Layer 0 adds row token[node] of `table`; a layer above adds its row of x and `bias`. */
typedef struct {
    int units;
    int inner, end, inner_node, end_node, inner_row, end_row;
    const int32_t *parent; /* [nodes] */
    int parent_first;
    const float *z;              /* [parents, 4H] */
    const float *c_before;       /* [parents, H] */
    const uint16_t *token;       /* [nodes], NULL above layer 0 */
    const float *table;          /* [M + 1, 4H], NULL above layer 0 */
    const float *x;              /* [rows, 4H], NULL on layer 0; may be `gates` */
    const float *bias;           /* [4H], NULL on layer 0 */
    float *gates;                /* [rows, 4H] activations i, f, c, o; NULL: not kept */
    float *c;                    /* [rows, H] */
    void *h;                     /* [rows, H] operand */
    const int32_t *leaf_of_node; /* [nodes], -1: none; NULL: no leaf is kept */
    void *leaf_h;                /* [leaves, H] operand: h of the nodes that are leaves */
    sg_operand operand;
} sg_forward_level;

int sg_kernel_forward_level(const sg_forward_level *level, sg_stream stream);

/* One level backward, one layer: gradients of the sums of all nodes of a level, into dz, and their sums over
 * the children of each parent, in child order, into z_sum and c_sum.
 *
 * On level 0 no node has a parent: parents = 0, and the nodes are given by inner, end, inner_node, end_node;
 * above level 0 those four are not read, the nodes are the children of parents parent_first ... . What
 * reaches h of node n: dh[n - child_inner] if n < inner_nodes (later steps), plus, if leaf_of_node is not
 * NULL and leaf_of_node[n] >= 0, that leaf's row of leaf_gradient, plus, if from_above is not NULL, row n of
 * it. What reaches c: dc[n - child_inner] if n < inner_nodes. */
typedef struct {
    int units;
    int parents, parent_first;
    int inner, end, inner_node, end_node;
    int inner_nodes;                    /* of the whole plan */
    int child_inner;                    /* the first inner node of this level */
    const int32_t *child_first, *child; /* of the whole plan, as in plan.h */
    const float *gates;                 /* [nodes, 4H] */
    const float *c;                     /* [nodes, H] */
    const float *dh, *dc;               /* [inner nodes of this level, H] */
    const int32_t *leaf_of_node;        /* [nodes] or NULL */
    const float *leaf_gradient;         /* [leaves, H] */
    const float *from_above;            /* [nodes, H] or NULL */
    void *dz;                           /* [nodes, 4H] operand; may be `gates` if operands are float */
    void *z_sum;                        /* [parents, 4H] operand, of node parent_first first */
    float *c_sum;                       /* [parents, H] likewise */
    sg_operand operand;
} sg_backward_level;

int sg_kernel_backward_level(const sg_backward_level *level, sg_stream stream);

/* table[0] = bias, table[m] = bias + kernel[m - 1]: what layer 0 adds for each token.  columns = 4H. */
int sg_kernel_token_table(int types, int columns, const float *kernel, const float *bias, float *table,
                          sg_stream stream);

/* ---- the head ---- */

/* scale[k, u] = dropout scale of element (row[k], u) of the mask of this update: of element row[k] * units +
 * u of the Philox stream (seed, SG_RANDOM_DROPOUT, update), or given[row[k] * units + u] if `given` is not
 * NULL. Rows of `scale` are `width` >= units apart; the columns beyond `units` become 0. */
typedef struct {
    int heads, units, width;
    const int32_t *row; /* [heads] */
    uint64_t seed;
    uint32_t update;
    float rate;
    const float *given; /* [B, units] or NULL */
    float *scale;       /* [heads, width] */
} sg_dropout;

int sg_kernel_dropout(const sg_dropout *dropout, sg_stream stream);

/* out[k] = h of row source_row[k], times scale[k] if scale is not NULL.  h is o tanh(c) from `gates` and `c`
 * if gates is not NULL, or else row source_row[k] of `h`. */
typedef struct {
    int heads, units;
    const int32_t *source_row; /* [heads] */
    const float *gates, *c;    /* [rows, 4H], [rows, H] */
    const void *h;             /* [rows, H] operand */
    const float *scale;        /* [heads, H] or NULL */
    void *out;                 /* [heads, H] operand */
    sg_operand operand;
} sg_gather;

int sg_kernel_gather(const sg_gather *gather, sg_stream stream);

/* Bias, softmax, cross-entropy and its gradient, one pass: `outputs` holds the dense layer's product and
 * receives weight[k] * scale * (p - onehot(label[k])), zero in the columns beyond `classes`. */
typedef struct {
    int heads, classes, width; /* width >= classes: distance of rows */
    const int32_t *label;      /* [heads] */
    const float *weight;       /* [heads] number of rows a head represents */
    float scale;               /* 1 / rows of the batch */
    const float *bias;         /* [classes] */
    float *outputs;            /* [heads, width] */
    void *gradient;            /* [heads, width] bf16 copy of the gradient, or NULL */
    double *loss;              /* [heads] -log p[label] */
    int32_t *argmax;           /* [heads] largest output, the lowest on ties */
} sg_softmax_loss;

int sg_kernel_softmax_loss(const sg_softmax_loss *softmax, sg_stream stream);

/* The outcome of a step; lives on the device and is copied to the host. */
typedef struct {
    double loss;    /* mean over the rows */
    double norm;    /* of the gradient, before clipping */
    int64_t right;  /* rows whose largest output is their label */
    int32_t failed; /* 0, or which of loss (1) or gradient (2) is not finite; kept until it is reset */
    int32_t reserved;
} sg_outcome;

/* outcome->loss = sum of weight * loss * scale, ->right = sum of weight where argmax = label; a loss that is
 * not finite sets ->failed to 1 if it is 0. */
int sg_kernel_batch_result(int heads, const double *loss, const int32_t *argmax, const int32_t *label,
                           const float *weight, double scale, sg_outcome *outcome, sg_stream stream);

/* leaf_gradient[l] = sum over heads k of leaf l, in order, of gradient[k] (times scale[k] if not NULL). */
int sg_kernel_sum_heads(int leaves, int units, const int32_t *head_first, const float *gradient,
                        const float *scale, float *leaf_gradient, sg_stream stream);

/* ---- sums over rows: bias and input-kernel gradients ---- */

/* Rows fall into groups 0 ... groups-1, groups into chunks of consecutive members: chunk j holds rows
 * member[chunk_first[j]] ... member[chunk_first[j+1]-1] (member NULL: the numbers themselves), group g holds
 * chunks group_first[g] ... group_first[g+1]-1.  Each chunk is summed in order into `partial`; then
 * kernel[g - 1] = sum of group g for g >= 1 (if kernel is not NULL) and total = sum over all groups.
 * `partial` is scratch: the sum of a group replaces its first chunk. */
typedef struct {
    int columns, chunks, groups;
    const void *matrix; /* [rows, columns] operand */
    sg_operand operand;
    const int32_t *member, *chunk_first, *group_first;
    float *partial; /* [chunks, columns] */
    float *kernel;  /* [groups - 1, columns] or NULL */
    float *total;   /* [columns] */
} sg_row_sums;

int sg_kernel_row_sums(const sg_row_sums *sums, sg_stream stream);

/* ---- the optimizer ---- */

enum { SG_NORM_CHUNK = 1 << 14 }; /* gradients a partial sum of squares covers */

/* outcome->norm = Euclidean norm of `gradient`, summed in double over chunks; a norm that is not finite sets
 * ->failed to 2 if it is 0.  partial: [(count + SG_NORM_CHUNK - 1) / SG_NORM_CHUNK]. */
int sg_kernel_norm(int64_t count, const float *gradient, double *partial, sg_outcome *outcome,
                   sg_stream stream);

/* Adam in Keras' form (sg_adam_element) on all weights, and their bf16 copies.  Does nothing if
 * outcome->failed.  With clip_norm > 0 and outcome->norm above it, gradients are scaled by clip_norm / norm.
 */
typedef struct {
    int64_t count;
    float *w, *m, *v;
    const float *gradient;
    uint16_t *w_bf16; /* or NULL */
    float rate, gain1, gain2, epsilon;
    double clip_norm;
    const sg_outcome *outcome;
} sg_adam_update;

int sg_kernel_adam(const sg_adam_update *adam, sg_stream stream);

/* ---- inference ---- */

/* Bias and softmax in place; rows are `width` apart, columns beyond `classes` become 0. */
typedef struct {
    int rows, classes, width;
    const float *bias;
    float *outputs;  /* [rows, width] in: products; out: probabilities */
    int32_t *argmax; /* [rows] the lowest on ties */
    float *p_max;    /* [rows] */
} sg_softmax_rows;

int sg_kernel_softmax_rows(const sg_softmax_rows *softmax, sg_stream stream);

/* Normalised skewness and kurtosis of each row of probabilities (cell.h), in double. */
int sg_kernel_moments(int rows, int classes, int width, const float *p, double *skewness, double *kurtosis,
                      sg_stream stream);

/* ---- layouts, for cuDNN ---- */

/* to[i] = from[i] for `count` elements, rounding or widening. */
int sg_kernel_convert(int64_t count, const void *from, sg_operand from_type, void *to, sg_operand to_type,
                      sg_stream stream);

/* to[c * to_stride + r] = from[r * from_stride + c] for r < rows, c < columns. */
typedef struct {
    int rows, columns;
    const void *from;
    int64_t from_stride;
    sg_operand from_type;
    void *to;
    int64_t to_stride;
    sg_operand to_type;
} sg_transpose;

int sg_kernel_transpose(const sg_transpose *transpose, sg_stream stream);

/* x[r, :] = one-hot vector of token[r] (column token - 1; all zero for token 0) for `rows` rows of `types`.
 */
int sg_kernel_one_hot(int64_t rows, int types, const uint16_t *token, void *x, sg_operand operand,
                      sg_stream stream);

/* dy [steps, rows, units] = gradient[r] (times scale[r] if not NULL) in row r of step last[r], zero
 * elsewhere. */
typedef struct {
    int steps, rows, units;
    const int32_t *last;   /* [rows] */
    const float *gradient; /* [rows, H] */
    const float *scale;    /* [rows, H] or NULL */
    void *dy;
    sg_operand operand;
} sg_scatter_last;

int sg_kernel_scatter_last(const sg_scatter_last *scatter, sg_stream stream);

#ifdef __cplusplus
}
#endif

#endif
