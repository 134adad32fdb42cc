/* pointwise.h: loops over one row of elements, compiled for several instruction sets; the best one that the
 * processor has is chosen at run time.
 *
 * Each works on one row (a node of a trie, a sample, a range of weights) and is unaware of threads: the
 * caller spreads rows over threads, so results do not depend on their number.
 */
#ifndef SG_ENGINE_CPU_POINTWISE_H
#define SG_ENGINE_CPU_POINTWISE_H

#include <stdint.h>

typedef struct {
    const char *name; /* of the instruction set */

    /* One node forward: sums = z + x + bias, each [4 units] in gate order i, f, c, o; gates [4 units]
     * receives the activations, c and h [units] the new states.  gates may be x. */
    void (*cell_forward)(int units, const float *z, const float *x, const float *bias, const float *c_before,
                         float *gates, float *c, float *h);

    /* One node backward: gates holds activations and receives the gradient of the sums; z_sum [4 units] and
     * c_sum [units], the parent's, are added to. */
    void (*cell_backward)(int units, float *gates, const float *c, const float *c_before, const float *dh,
                          const float *dc, float *z_sum, float *c_sum);

    /* h = o tanh(c): the state of a node from its output gate and cell. */
    void (*output)(int units, const float *o, const float *c, float *h);

    void (*add)(int count, float *to, const float *from);                       /* to += from */
    void (*multiply)(int count, float *to, const float *a, const float *b);     /* to = a b */
    void (*multiply_add)(int count, float *to, const float *a, const float *b); /* to += a b */
    void (*to_bf16)(int64_t count, uint16_t *to, const float *from);

    /* Fused bias, softmax, cross-entropy and its gradient: row holds outputs of the dense layer without bias
     * and receives scale * (p - onehot(label)).  Returns -log p[label]; *argmax is the largest output, the
     * lowest on ties. */
    double (*softmax_loss)(int classes, float *row, const float *bias, int label, float scale, int *argmax);

    /* Bias and softmax in place; *argmax as above. */
    void (*softmax)(int classes, float *row, const float *bias, int *argmax);

    /* Normalised moments of a row of probabilities, in double. */
    void (*moments)(int classes, const float *p, double *skewness, double *kurtosis);

    /* Adam over a range of weights; gradients are multiplied by `scale` first; gains as in cell.h. */
    void (*adam)(int64_t count, float *w, float *m, float *v, const float *gradient, float scale, float rate,
                 float gain1, float gain2, float epsilon);

    /* The sum of squares of a range, in double. */
    double (*square_sum)(int64_t count, const float *x);

    /* Dropout masks of one row: mask[u] of element row * units + u. */
    void (*dropout_mask)(int units, uint64_t seed, uint32_t update, int64_t row, float rate, float *mask);
} sg_pointwise;

/* The fastest set of loops that this processor can run. */
const sg_pointwise *sg_pointwise_select(void);

#endif
