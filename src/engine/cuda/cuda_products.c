/* cuda_products.c: products with weight tensors, rows stored without gaps; of layer 0's kernel a table of
 * what each token adds. */
#include "engine/cuda/cuda_state.h"

sg_status sg_cuda_times_weights(sg_cuda *cuda, sg_phase phase, const void *a, int64_t rows, int64_t k,
                                int64_t n, int number, float *c)
{
    const sg_product product = {.m = rows,
                                .n = n,
                                .k = k,
                                .a = a,
                                .lda = k,
                                .b = sg_weights_operand(&cuda->base.weights, &cuda->base.gpu, number),
                                .ldb = n,
                                .c = c,
                                .ldc = n};
    return sg_gpu_product(&cuda->base.gpu, phase, &product);
}

sg_status sg_cuda_times_transposed(sg_cuda *cuda, sg_phase phase, const void *a, int64_t rows, int64_t k,
                                   int64_t n, int number, float *c)
{
    const sg_product product = {.transpose_b = true,
                                .m = rows,
                                .n = n,
                                .k = k,
                                .a = a,
                                .lda = k,
                                .b = sg_weights_operand(&cuda->base.weights, &cuda->base.gpu, number),
                                .ldb = k,
                                .c = c,
                                .ldc = n};
    return sg_gpu_product(&cuda->base.gpu, phase, &product);
}

sg_status sg_cuda_outer(sg_cuda *cuda, sg_phase phase, const void *a, const void *b, int64_t rows, int64_t m,
                        int64_t n, int number)
{
    const sg_product product = {.transpose_a = true,
                                .m = m,
                                .n = n,
                                .k = rows,
                                .a = a,
                                .lda = m,
                                .b = b,
                                .ldb = n,
                                .c = sg_weights_at(&cuda->base.weights, cuda->base.weights.gradient, number),
                                .ldc = n};
    return sg_gpu_product(&cuda->base.gpu, phase, &product);
}

sg_status sg_cuda_refresh(sg_cuda *cuda)
{
    const sg_weights *w = &cuda->base.weights;
    if (!cuda->base.stale)
        return SG_OK;
    SG_TRY(sg_gpu_span_begin(&cuda->base.gpu, SG_PHASE_PACKING));
    SG_CUDA(sg_kernel_token_table(
                w->spec.message_types, 4 * w->units, sg_weights_at(w, w->w, w->layout.kernel[0]),
                sg_weights_at(w, w->w, w->layout.bias[0]), cuda->table.data, cuda->base.gpu.stream),
            "token table");
    cuda->base.stale = false;
    return sg_gpu_span_end(&cuda->base.gpu);
}
