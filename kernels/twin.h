/* twin.h: what each kernel of kernels.h does, in plain loops over host memory, for tests.
 *
 * sg_twin_X takes what sg_kernel_X takes, without the stream.
 */
#ifndef SG_KERNELS_TWIN_H
#define SG_KERNELS_TWIN_H

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

void sg_twin_forward_level(const sg_forward_level *level);
void sg_twin_backward_level(const sg_backward_level *level);
void sg_twin_token_table(int types, int columns, const float *kernel, const float *bias, float *table);
void sg_twin_dropout(const sg_dropout *dropout);
void sg_twin_gather(const sg_gather *gather);
void sg_twin_softmax_loss(const sg_softmax_loss *softmax);
void sg_twin_batch_result(int heads, const double *loss, const int32_t *argmax, const int32_t *label,
                          const float *weight, double scale, sg_outcome *outcome);
void sg_twin_sum_heads(int leaves, int units, const int32_t *head_first, const float *gradient,
                       const float *scale, float *leaf_gradient);
void sg_twin_row_sums(const sg_row_sums *sums); /* leaves `partial` alone */
void sg_twin_norm(int64_t count, const float *gradient, double *partial, sg_outcome *outcome);
void sg_twin_adam(const sg_adam_update *adam);
void sg_twin_softmax_rows(const sg_softmax_rows *softmax);
void sg_twin_moments(int rows, int classes, int width, const float *p, double *skewness, double *kurtosis);
void sg_twin_convert(int64_t count, const void *from, sg_operand from_type, void *to, sg_operand to_type);
void sg_twin_transpose(const sg_transpose *transpose);
void sg_twin_one_hot(int64_t rows, int types, const uint16_t *token, void *x, sg_operand operand);
void sg_twin_scatter_last(const sg_scatter_last *scatter);

#ifdef __cplusplus
}
#endif

#endif
