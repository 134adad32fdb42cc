/* device_products.c: products by cuBLAS. */
#include "engine/cuda/device.h"

#include <limits.h>
#include <stdlib.h>

sg_status sg_gpu_check_product(const sg_product *p)
{
    const int64_t sizes[] = {p->m, p->n, p->k, p->lda, p->ldb, p->ldc};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i] > INT_MAX)
            return sg_fail(SG_E_CONFIG, "a product of %lld x %lld x %lld is too large", (long long)p->m,
                           (long long)p->k, (long long)p->n);
    return SG_OK;
}

/* cuBLAS is column-major: what it takes for C, B and A are our transposes, so C' = B' A'. */
sg_status sg_gpu_multiply(sg_gpu *gpu, const sg_product *p)
{
    const float one = 1, zero = 0;
    cudaDataType_t type = gpu->operand == SG_OPERAND_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    cublasComputeType_t compute =
        gpu->precision == SG_PRECISION_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    SG_CUBLAS(cublasGemmEx(gpu->cublas, p->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                           p->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, (int)p->n, (int)p->m, (int)p->k, &one,
                           p->b, type, (int)p->ldb, p->a, type, (int)p->lda, &zero, p->c, CUDA_R_32F,
                           (int)p->ldc, compute, CUBLAS_GEMM_DEFAULT),
              "a product");
    return SG_OK;
}

/* Remembers the shape of a product while times are taken. */
static sg_status note_product(sg_gpu *gpu, sg_phase phase, const sg_product *product)
{
    if (!gpu->timed)
        return SG_OK;
    if (gpu->products == gpu->products_room) {
        int room = gpu->products_room ? 2 * gpu->products_room : 1024;
        sg_noted_product *grown = realloc(gpu->product, (size_t)room * sizeof *grown);
        if (!grown)
            return sg_fail(SG_E_MEMORY, "times: out of memory");
        gpu->product = grown;
        gpu->products_room = room;
    }
    gpu->product[gpu->products++] = (sg_noted_product){phase, *product};
    return SG_OK;
}

sg_status sg_gpu_product(sg_gpu *gpu, sg_phase phase, const sg_product *p)
{
    if (p->m == 0 || p->n == 0)
        return SG_OK;
    if (p->k == 0) {
        SG_CUDA(cudaMemsetAsync(p->c, 0, (size_t)(p->m * p->n) * sizeof(float), gpu->stream), "a product");
        return SG_OK;
    }
    SG_TRY(sg_gpu_check_product(p));
    SG_TRY(sg_gpu_multiply(gpu, p));
    gpu->timing.flops[phase] += 2.0 * (double)p->m * (double)p->n * (double)p->k;
    return note_product(gpu, phase, p);
}
