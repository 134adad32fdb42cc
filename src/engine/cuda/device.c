/* device.c: opening a device, its errors, memory and staging. */
#include "engine/cuda/device.h"

#include "base/memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OLDEST_SM = 75, BF16_SM = 80, PART_ALIGNMENT = 256 };
static const size_t WORKSPACE = (size_t)64 << 20; /* what cuBLAS asks for on Hopper is 32 MiB */

/* ---- errors ---- */

sg_status sg_cuda_failed(int error, const char *what, const char *file, int line)
{
    cudaError_t code = (cudaError_t)error;
    (void)cudaGetLastError(); /* what can be cleared is */
    if (code == cudaErrorMemoryAllocation)
        return sg_fail_at(file, line, SG_E_MEMORY, "%s: the device is out of memory", what);
    return sg_fail_at(file, line, SG_E_DEVICE, "%s: %s (%s)", what, cudaGetErrorString(code),
                      cudaGetErrorName(code));
}

sg_status sg_cublas_failed(int error, const char *what, const char *file, int line)
{
    cublasStatus_t code = (cublasStatus_t)error;
    /* What cuBLAS calls an execution failure has a reason that CUDA knows. */
    cudaError_t reason = cudaPeekAtLastError();
    if (reason != cudaSuccess)
        return sg_cuda_failed((int)reason, what, file, line);
    return sg_fail_at(file, line, code == CUBLAS_STATUS_ALLOC_FAILED ? SG_E_MEMORY : SG_E_DEVICE,
                      "%s: cuBLAS: %s (%s)", what, cublasGetStatusString(code), cublasGetStatusName(code));
}

/* ---- devices ---- */

sg_status sg_gpu_count(int *count)
{
    *count = 0;
    cudaError_t error = cudaGetDeviceCount(count);
    if (error == cudaErrorNoDevice || (error == cudaSuccess && *count == 0))
        return sg_fail(SG_E_DEVICE, "the NVIDIA driver sees no GPU");
    if (error == cudaErrorInsufficientDriver) {
        int driver = 0;
        (void)cudaDriverGetVersion(&driver);
        if (driver == 0)
            return sg_fail(SG_E_DEVICE, "no NVIDIA driver is installed");
        return sg_fail(SG_E_DEVICE,
                       "the NVIDIA driver is too old: it supports CUDA %d.%d, this program needs %d.%d",
                       driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    }
    SG_CUDA(error, "looking for GPUs");
    return SG_OK;
}

static sg_status read_properties(int index, struct cudaDeviceProp *properties)
{
    int count;
    SG_TRY(sg_gpu_count(&count));
    if (index >= count)
        return sg_fail(SG_E_DEVICE, "GPU number %d does not exist; the machine has %d", index, count);
    SG_CUDA(cudaGetDeviceProperties(properties, index), "reading the properties of the GPU");
    int sm = 10 * properties->major + properties->minor;
    if (sm < OLDEST_SM)
        return sg_fail(SG_E_DEVICE, "%s is too old (sm_%d): at least sm_%d is needed", properties->name, sm,
                       OLDEST_SM);
    return SG_OK;
}

sg_status sg_gpu_describe(int index, char *text, size_t size)
{
    struct cudaDeviceProp p;
    int driver = 0, runtime = 0;
    SG_TRY(read_properties(index, &p));
    SG_CUDA(cudaDriverGetVersion(&driver), "asking for the driver's version");
    SG_CUDA(cudaRuntimeGetVersion(&runtime), "asking for CUDA's version");
    snprintf(text, size, "%s, sm_%d%d, %.0f GiB, driver for CUDA %d.%d, CUDA %d.%d", p.name, p.major, p.minor,
             (double)p.totalGlobalMem / 0x1p30, driver / 1000, driver % 1000 / 10, runtime / 1000,
             runtime % 1000 / 10);
    return SG_OK;
}

static sg_status choose_precision(sg_gpu *gpu, sg_precision precision)
{
    int sm = 10 * gpu->properties.major + gpu->properties.minor;
    if (sm < BF16_SM && (precision == SG_PRECISION_BF16 || precision == SG_PRECISION_TF32))
        return sg_fail(SG_E_DEVICE, "precision = %s needs sm_%d or newer; %s is sm_%d: use fp32",
                       precision == SG_PRECISION_BF16 ? "bf16" : "tf32", BF16_SM, gpu->properties.name, sm);
    if (precision == SG_PRECISION_AUTO)
        precision = sm < BF16_SM ? SG_PRECISION_FP32 : SG_PRECISION_BF16;
    gpu->precision = precision;
    gpu->operand = precision == SG_PRECISION_BF16 ? SG_OPERAND_BF16 : SG_OPERAND_FLOAT;
    gpu->operand_size = precision == SG_PRECISION_BF16 ? 2 : 4;
    return SG_OK;
}

static sg_status open_libraries(sg_gpu *gpu)
{
    SG_CUDA(cudaStreamCreateWithFlags(&gpu->stream, cudaStreamNonBlocking), "opening the GPU");
    SG_CUBLAS(cublasCreate(&gpu->cublas), "opening cuBLAS");
    SG_CUBLAS(cublasSetStream(gpu->cublas, gpu->stream), "opening cuBLAS");
    SG_CUDA(cudaMalloc(&gpu->workspace, WORKSPACE), "opening cuBLAS");
    SG_CUBLAS(cublasSetWorkspace(gpu->cublas, gpu->workspace, WORKSPACE), "opening cuBLAS");
    SG_CUBLAS(cublasSetMathMode(gpu->cublas, CUBLAS_DEFAULT_MATH), "opening cuBLAS");
    for (int i = 0; i < SG_STAGES; i++)
        SG_CUDA(cudaEventCreateWithFlags(&gpu->stage[i].copied, cudaEventDisableTiming), "opening the GPU");
    return SG_OK;
}

sg_status sg_gpu_open(sg_gpu *gpu, int index, sg_precision precision)
{
    *gpu = (sg_gpu){.index = index};
    SG_TRY(read_properties(index, &gpu->properties));
    SG_TRY(choose_precision(gpu, precision));
    SG_CUDA(cudaSetDevice(index), "opening the GPU");
    sg_status status = open_libraries(gpu);
    if (status != SG_OK)
        sg_gpu_close(gpu);
    return status;
}

void sg_gpu_close(sg_gpu *gpu)
{
    if (gpu->stream)
        (void)cudaStreamSynchronize(gpu->stream);
    for (int i = 0; i < SG_STAGES; i++) {
        if (gpu->stage[i].copied)
            (void)cudaEventDestroy(gpu->stage[i].copied);
        if (gpu->stage[i].host)
            (void)cudaFreeHost(gpu->stage[i].host);
    }
    for (int i = 0; i < gpu->spans_made; i++) {
        (void)cudaEventDestroy(gpu->span[i].begin);
        (void)cudaEventDestroy(gpu->span[i].end);
    }
    free(gpu->span);
    free(gpu->product);
    if (gpu->cublas)
        (void)cublasDestroy(gpu->cublas);
    if (gpu->workspace)
        (void)cudaFree(gpu->workspace);
    if (gpu->stream)
        (void)cudaStreamDestroy(gpu->stream);
    *gpu = (sg_gpu){0};
}

void sg_gpu_versions(const sg_gpu *gpu, sg_versions *versions)
{
    (void)cudaDriverGetVersion(&versions->driver);
    (void)cudaRuntimeGetVersion(&versions->cuda);
    (void)cublasGetVersion(gpu->cublas, &versions->cublas);
}

const char *sg_gpu_precision_name(const sg_gpu *gpu)
{
    static const char *const names[] = {"auto", "fp32", "tf32", "bf16"};
    return names[gpu->precision];
}

sg_status sg_gpu_enter(const sg_gpu *gpu)
{
    SG_CUDA(cudaSetDevice(gpu->index), "choosing the GPU");
    return SG_OK;
}

sg_status sg_gpu_wait(const sg_gpu *gpu)
{
    SG_CUDA(cudaStreamSynchronize(gpu->stream), "waiting for the GPU");
    return SG_OK;
}

/* ---- memory ---- */

sg_status sg_gpu_reserve(sg_gpu *gpu, sg_block *block, size_t count, size_t size, const char *what)
{
    size_t bytes, free_bytes = 0, all = 0;
    if (__builtin_mul_overflow(count ? count : 1, size, &bytes))
        return sg_fail(SG_E_MEMORY, "%s: more memory than any GPU has", what);
    if (block->data && bytes <= block->bytes)
        return SG_OK;
    if (block->data)
        SG_TRY(sg_gpu_wait(gpu));
    sg_gpu_release(block);
    cudaError_t error = cudaMalloc(&block->data, bytes);
    if (error == cudaSuccess) {
        block->bytes = bytes;
        return SG_OK;
    }
    block->data = NULL;
    if (error != cudaErrorMemoryAllocation)
        SG_CUDA(error, what);
    (void)cudaGetLastError();
    (void)cudaMemGetInfo(&free_bytes, &all);
    return sg_fail(SG_E_MEMORY, "%s: needs %.1f MiB, the GPU has %.1f of %.1f MiB free", what,
                   (double)bytes / 0x1p20, (double)free_bytes / 0x1p20, (double)all / 0x1p20);
}

void sg_gpu_release(sg_block *block)
{
    if (block->data)
        (void)cudaFree(block->data);
    *block = (sg_block){0};
}

/* ---- staging ---- */

size_t sg_gpu_stage_size(size_t bytes)
{
    return (bytes + PART_ALIGNMENT - 1) / PART_ALIGNMENT * PART_ALIGNMENT;
}

sg_status sg_gpu_stage_begin(sg_gpu *gpu, sg_block *block, size_t bytes)
{
    sg_stage *stage = &gpu->stage[gpu->next_stage];
    if (stage->busy)
        SG_CUDA(cudaEventSynchronize(stage->copied), "waiting for a batch to be copied");
    stage->busy = false;
    stage->used = 0;
    if (bytes > stage->capacity) {
        if (stage->host)
            SG_CUDA(cudaFreeHost(stage->host), "releasing page-locked memory");
        stage->host = NULL;
        stage->capacity = 0;
        SG_CUDA(cudaMallocHost((void **)&stage->host, bytes + bytes / 8), "page-locked memory for a batch");
        stage->capacity = bytes + bytes / 8;
    }
    if (block->bytes >= bytes)
        return SG_OK;
    return sg_gpu_reserve(gpu, block, bytes + bytes / 8, 1, "batch");
}

const void *sg_gpu_stage_room(sg_gpu *gpu, const sg_block *block, size_t bytes, void **host)
{
    sg_stage *stage = &gpu->stage[gpu->next_stage];
    size_t at = stage->used;
    stage->used += sg_gpu_stage_size(bytes);
    *host = stage->host + at;
    return (char *)block->data + at;
}

const void *sg_gpu_stage_add(sg_gpu *gpu, const sg_block *block, const void *from, size_t bytes)
{
    void *host;
    const void *device = sg_gpu_stage_room(gpu, block, bytes, &host);
    memcpy(host, from, bytes);
    return device;
}

sg_status sg_gpu_stage_copy(sg_gpu *gpu, const sg_block *block)
{
    sg_stage *stage = &gpu->stage[gpu->next_stage];
    if (stage->used > stage->capacity || stage->used > block->bytes)
        return sg_fail(SG_E_INTERNAL, "a batch outgrew its staging memory");
    SG_CUDA(cudaMemcpyAsync(block->data, stage->host, stage->used, cudaMemcpyHostToDevice, gpu->stream),
            "copying a batch to the GPU");
    SG_CUDA(cudaEventRecord(stage->copied, gpu->stream), "copying a batch to the GPU");
    stage->busy = true;
    gpu->next_stage = (gpu->next_stage + 1) % SG_STAGES;
    return SG_OK;
}
