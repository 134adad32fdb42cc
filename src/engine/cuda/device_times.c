/* device_times.c: where the time of a step goes: kernels other than products, in place between two events. */
#include "engine/cuda/device.h"

#include "base/memory.h"

sg_status sg_gpu_span_begin(sg_gpu *gpu, sg_phase phase)
{
    if (!gpu->timed)
        return SG_OK;
    if (gpu->spans == SG_SPANS_MAX)
        SG_TRY(sg_gpu_collect_spans(gpu));
    if (!gpu->span)
        SG_TRY(sg_alloc(&gpu->span, SG_SPANS_MAX, "times"));
    sg_span *span = &gpu->span[gpu->spans];
    if (gpu->spans == gpu->spans_made) {
        SG_CUDA(cudaEventCreate(&span->begin), "taking times");
        cudaError_t error = cudaEventCreate(&span->end);
        if (error != cudaSuccess) {
            (void)cudaEventDestroy(span->begin);
            SG_CUDA(error, "taking times");
        }
        gpu->spans_made++;
    }
    span->phase = phase;
    SG_CUDA(cudaEventRecord(span->begin, gpu->stream), "taking times");
    return SG_OK;
}

sg_status sg_gpu_span_end(sg_gpu *gpu)
{
    if (!gpu->timed)
        return SG_OK;
    SG_CUDA(cudaEventRecord(gpu->span[gpu->spans].end, gpu->stream), "taking times");
    gpu->spans++;
    return SG_OK;
}

sg_status sg_gpu_collect_spans(sg_gpu *gpu)
{
    SG_TRY(sg_gpu_wait(gpu));
    for (int i = 0; i < gpu->spans; i++) {
        float ms = 0;
        SG_CUDA(cudaEventElapsedTime(&ms, gpu->span[i].begin, gpu->span[i].end), "taking times");
        gpu->timing.seconds[gpu->span[i].phase] += 1e-3 * (double)ms;
    }
    gpu->spans = 0;
    return SG_OK;
}
