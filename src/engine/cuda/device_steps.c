/* device_steps.c: brings the results of steps in flight to the host, one after another. */
#include "engine/cuda/device.h"

_Static_assert((int)SG_STEPS_MAX == (int)SG_STEPS_IN_FLIGHT, "a place for each step in flight");

sg_status sg_steps_open(sg_steps *steps, sg_gpu *gpu)
{
    *steps = (sg_steps){0};
    SG_CUDA(cudaMalloc((void **)&steps->device, sizeof *steps->device), "results of a step");
    SG_CUDA(cudaMemsetAsync(steps->device, 0, sizeof *steps->device, gpu->stream), "results of a step");
    SG_CUDA(cudaMallocHost((void **)&steps->host, SG_STEPS_MAX * sizeof *steps->host), "results of a step");
    for (int i = 0; i < SG_STEPS_MAX; i++)
        SG_CUDA(cudaEventCreateWithFlags(&steps->done[i], cudaEventDisableTiming), "results of a step");
    return SG_OK;
}

void sg_steps_close(sg_steps *steps)
{
    for (int i = 0; i < SG_STEPS_MAX; i++)
        if (steps->done[i])
            (void)cudaEventDestroy(steps->done[i]);
    if (steps->host)
        (void)cudaFreeHost(steps->host);
    if (steps->device)
        (void)cudaFree(steps->device);
    *steps = (sg_steps){0};
}

sg_status sg_steps_push(sg_steps *steps, sg_gpu *gpu)
{
    if (steps->count == SG_STEPS_MAX)
        return sg_fail(SG_E_INTERNAL, "too many steps in flight");
    int slot = (steps->first + steps->count) % SG_STEPS_MAX;
    SG_CUDA(cudaMemcpyAsync(&steps->host[slot], steps->device, sizeof *steps->host, cudaMemcpyDeviceToHost,
                            gpu->stream),
            "results of a step");
    SG_CUDA(cudaEventRecord(steps->done[slot], gpu->stream), "results of a step");
    steps->count++;
    return SG_OK;
}

sg_status sg_steps_pop(sg_steps *steps, sg_gpu *gpu, sg_step_result *result, double *norm)
{
    if (steps->count == 0)
        return sg_fail(SG_E_INTERNAL, "no step is in flight");
    int slot = steps->first;
    cudaError_t error = cudaEventSynchronize(steps->done[slot]);
    if (error != cudaSuccess) {
        steps->count = 0;
        SG_CUDA(error, "a training step");
    }
    sg_outcome outcome = steps->host[slot];
    steps->first = (slot + 1) % SG_STEPS_MAX;
    steps->count--;
    *result = (sg_step_result){.loss = outcome.loss, .right = outcome.right};
    if (norm)
        *norm = outcome.norm;
    if (!outcome.failed)
        return SG_OK;
    SG_TRY(sg_steps_reset(steps, gpu));
    return sg_fail(SG_E_NUMERIC,
                   outcome.failed == 1 ? "the loss is not finite" : "the gradient is not finite");
}

sg_status sg_steps_reset(sg_steps *steps, sg_gpu *gpu)
{
    steps->first = steps->count = 0;
    SG_TRY(sg_gpu_wait(gpu));
    SG_CUDA(cudaMemsetAsync(steps->device, 0, sizeof *steps->device, gpu->stream), "results of a step");
    return SG_OK;
}
