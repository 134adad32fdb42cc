/* cuda_products.c: products with weight tensors, rows stored without gaps. */
#include "engine/cuda/cuda_engine.h"

sg_status sg_cuda_times_weights(sg_cuda *cuda, sg_phase phase, const void *a, int64_t rows, int64_t k,
                                int64_t n, int number, float *c)
{
    const sg_product product = {.m = rows,
                                .n = n,
                                .k = k,
                                .a = a,
                                .lda = k,
                                .b = sg_weights_operand(&cuda->weights, &cuda->gpu, number),
                                .ldb = n,
                                .c = c,
                                .ldc = n};
    return sg_gpu_product(&cuda->gpu, phase, &product);
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
                                .b = sg_weights_operand(&cuda->weights, &cuda->gpu, number),
                                .ldb = k,
                                .c = c,
                                .ldc = n};
    return sg_gpu_product(&cuda->gpu, phase, &product);
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
                                .c = sg_weights_at(&cuda->weights, cuda->weights.gradient, number),
                                .ldc = n};
    return sg_gpu_product(&cuda->gpu, phase, &product);
}
