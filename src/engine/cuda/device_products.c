/* device_products.c: products by cuBLAS, and what the device can do at the most. */
#include "engine/cuda/device.h"

#include "base/memory.h"
#include "base/philox.h"
#include <limits.h>
#include <stdlib.h>

/* ---- products ---- */

static sg_status check_sizes(const sg_product *p)
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

sg_status sg_gpu_product(sg_gpu *gpu, sg_phase phase, const sg_product *p)
{
    if (p->m == 0 || p->n == 0)
        return SG_OK;
    if (p->k == 0) {
        SG_CUDA(cudaMemsetAsync(p->c, 0, (size_t)(p->m * p->n) * sizeof(float), gpu->stream), "a product");
        return SG_OK;
    }
    SG_TRY(check_sizes(p));
    SG_TRY(sg_gpu_multiply(gpu, p));
    gpu->timing.flops[phase] += 2.0 * (double)p->m * (double)p->n * (double)p->k;
    return sg_gpu_note_product(gpu, phase, p);
}

/* ---- measurements ---- */

enum { PEAK_REPEATS = 5 };

sg_status sg_gpu_make_operand(sg_gpu *gpu, sg_block *block, int64_t count)
{
    enum { PIECE = 1 << 20 };
    sg_block piece = {0};
    float *host;
    int64_t size = count < PIECE ? count : PIECE;
    SG_TRY(sg_gpu_reserve(gpu, block, (size_t)count, gpu->operand_size, "operands of a measurement"));
    SG_TRY(sg_alloc(&host, size, "operands of a measurement"));
    for (int64_t i = 0; i < size; i++)
        host[i] = sg_random_unit(sg_random_at(1, SG_RANDOM_BENCH, 0, (uint64_t)i)) - 0.5f;
    sg_status status = sg_gpu_reserve(gpu, &piece, (size_t)size, sizeof *host, "operands of a measurement");
    cudaError_t error = cudaSuccess;
    if (status == SG_OK)
        error = cudaMemcpyAsync(piece.data, host, (size_t)size * sizeof *host, cudaMemcpyHostToDevice,
                                gpu->stream);
    for (int64_t at = 0; status == SG_OK && error == cudaSuccess && at < count; at += size)
        error = (cudaError_t)sg_kernel_convert(
            count - at < size ? count - at : size, piece.data, SG_OPERAND_FLOAT,
            (char *)block->data + (size_t)at * gpu->operand_size, gpu->operand, gpu->stream);
    if (status == SG_OK && error != cudaSuccess)
        status = sg_cuda_failed((int)error, "operands of a measurement", __FILE__, __LINE__);
    if (status == SG_OK)
        status = sg_gpu_wait(gpu);
    sg_gpu_release(&piece);
    free(host);
    return status;
}

static sg_status run_product(sg_gpu *gpu, const void *context)
{
    return sg_gpu_multiply(gpu, context);
}

/* Rate of one product, in GFLOP/s; a, b and c of `shape` are set here. */
static sg_status product_rate(sg_gpu *gpu, sg_product shape, int repeats, double *gflops)
{
    sg_block a = {0}, b = {0}, c = {0};
    double seconds = 0;
    sg_status status = check_sizes(&shape);
    if (status == SG_OK)
        status = sg_gpu_make_operand(gpu, &a, shape.m * shape.k);
    if (status == SG_OK)
        status = sg_gpu_make_operand(gpu, &b, shape.k * shape.n);
    if (status == SG_OK)
        status = sg_gpu_reserve(gpu, &c, (size_t)(shape.m * shape.n), sizeof(float), "measurement");
    shape.a = a.data;
    shape.b = b.data;
    shape.c = c.data;
    if (status == SG_OK)
        status = sg_gpu_median_seconds(gpu, run_product, &shape, repeats, &seconds);
    if (status == SG_OK)
        *gflops = 2e-9 * (double)shape.m * (double)shape.n * (double)shape.k / seconds;
    sg_gpu_release(&a);
    sg_gpu_release(&b);
    sg_gpu_release(&c);
    return status;
}

sg_status sg_gpu_peak(sg_gpu *gpu, int64_t units, int64_t level_rows, int64_t all_rows, sg_peak *peak)
{
    int64_t h = units, gates = 4 * units;
    const sg_product forward = {.m = level_rows, .n = gates, .k = h, .lda = h, .ldb = gates, .ldc = gates};
    const sg_product backward = {
        .transpose_b = true, .m = level_rows, .n = h, .k = gates, .lda = gates, .ldb = gates, .ldc = h};
    const sg_product weights = {
        .transpose_a = true, .m = h, .n = gates, .k = all_rows, .lda = h, .ldb = gates, .ldc = gates};
    SG_TRY(product_rate(gpu, forward, PEAK_REPEATS, &peak->forward));
    SG_TRY(product_rate(gpu, backward, PEAK_REPEATS, &peak->backward));
    return product_rate(gpu, weights, PEAK_REPEATS, &peak->weights);
}

typedef struct {
    void *from, *to;
    size_t bytes;
    int rows, columns;
    double *skewness, *kurtosis;
} memory_work;

static sg_status run_copy(sg_gpu *gpu, const void *context)
{
    const memory_work *w = context;
    SG_CUDA(cudaMemcpyAsync(w->to, w->from, w->bytes, cudaMemcpyDeviceToDevice, gpu->stream), "a copy");
    return SG_OK;
}

static sg_status run_moments(sg_gpu *gpu, const void *context)
{
    const memory_work *w = context;
    SG_CUDA(
        sg_kernel_moments(w->rows, w->columns, w->columns, w->from, w->skewness, w->kurtosis, gpu->stream),
        "moments");
    return SG_OK;
}

static sg_status memory_rates(sg_gpu *gpu, const sg_ceilings_shape *shape, sg_block block[4],
                              sg_ceilings *ceilings)
{
    size_t size = (size_t)shape->size * (size_t)shape->size * sizeof(float) / gpu->operand_size;
    size_t values = (size_t)shape->rows * (size_t)shape->columns;
    double seconds = 0;
    SG_TRY(sg_gpu_make_operand(gpu, &block[0], (int64_t)size));
    SG_TRY(sg_gpu_reserve(gpu, &block[1], size, gpu->operand_size, "measurement"));
    memory_work w = {.from = block[0].data, .to = block[1].data, .bytes = size * gpu->operand_size};
    SG_TRY(sg_gpu_median_seconds(gpu, run_copy, &w, shape->repeats, &seconds));
    ceilings->copy_gbs = 2e-9 * (double)w.bytes / seconds;
    SG_TRY(sg_gpu_make_operand(gpu, &block[2], (int64_t)(values * sizeof(float) / gpu->operand_size)));
    SG_TRY(sg_gpu_reserve(gpu, &block[3], 2 * (size_t)shape->rows, sizeof(double), "measurement"));
    w = (memory_work){.from = block[2].data,
                      .rows = shape->rows,
                      .columns = shape->columns,
                      .skewness = block[3].data,
                      .kurtosis = (double *)block[3].data + shape->rows};
    SG_TRY(sg_gpu_median_seconds(gpu, run_moments, &w, shape->repeats, &seconds));
    ceilings->moments_gbs = 1e-9 * (double)(values * sizeof(float)) / seconds;
    return SG_OK;
}

sg_status sg_gpu_ceilings(sg_gpu *gpu, const sg_ceilings_shape *shape, sg_ceilings *ceilings)
{
    sg_block block[4] = {{0}};
    int64_t n = shape->size;
    const sg_product square = {.m = n, .n = n, .k = n, .lda = n, .ldb = n, .ldc = n};
    sg_status status = memory_rates(gpu, shape, block, ceilings);
    for (int i = 0; i < 4; i++)
        sg_gpu_release(&block[i]);
    return status == SG_OK ? product_rate(gpu, square, shape->repeats, &ceilings->gemm_gflops) : status;
}
