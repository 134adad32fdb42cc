/* pointwise.h: loops over one row of elements, compiled for several instruction sets and chosen at run time.
 *
 * Each works on one row (a node of a trie, a sample, a range of weights) and knows nothing of threads: the
 * caller spreads rows over threads, so results do not depend on how many there are.
 */
#ifndef SG_ENGINE_CPU_POINTWISE_H
#define SG_ENGINE_CPU_POINTWISE_H

#include <stdint.h>

/* One node forward: sums = z + x + bias, each [4 units] in gate order i, f, c, o; gates [4 units] receives
 * the activations, c and h [units] the new states.  gates may be x. */
void sg_row_cell_forward(int units, const float *z, const float *x, const float *bias, const float *c_before,
                         float *gates, float *c, float *h);

/* One node backward: gates holds activations and receives the gradient of the sums; z_sum [4 units] and c_sum
 * [units], the parent's, are added to. */
void sg_row_cell_backward(int units, float *gates, const float *c, const float *c_before, const float *dh,
                          const float *dc, float *z_sum, float *c_sum);

/* to += from. */
void sg_row_add(int count, float *to, const float *from);

/* to = a * b. */
void sg_row_multiply(int count, float *to, const float *a, const float *b);

/* to += a * b. */
void sg_row_multiply_add(int count, float *to, const float *a, const float *b);

/* h = o tanh(c): the state of a node from its output gate and cell. */
void sg_row_output(int units, const float *o, const float *c, float *h);

void sg_row_to_bf16(int count, uint16_t *to, const float *from);

/* Fused bias, softmax, cross-entropy and its gradient: row holds outputs of the dense layer without bias and
 * receives scale * (p - onehot(label)).  Returns -log p[label]; *argmax is the largest output, the lowest on
 * ties. */
double sg_row_softmax_loss(int classes, float *row, const float *bias, int label, float scale, int *argmax);

/* Bias and softmax in place; *argmax as above. */
void sg_row_softmax(int classes, float *row, const float *bias, int *argmax);

/* Normalised moments of a row of probabilities, in double. */
void sg_row_moments(int classes, const float *p, double *skewness, double *kurtosis);

/* Adam over a range of weights; gradients are multiplied by `scale` first. */
void sg_range_adam(int64_t count, float *w, float *m, float *v, const float *gradient, float scale,
                   float rate, float beta1, float beta2, float epsilon);

/* The sum of squares of a range, in double. */
double sg_range_square_sum(int64_t count, const float *x);

/* Dropout masks of one row: mask[u] of element row * units + u. */
void sg_row_dropout_mask(int units, uint64_t seed, uint32_t update, int64_t row, float rate, float *mask);

#endif
