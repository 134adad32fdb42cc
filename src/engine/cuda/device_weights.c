/* device_weights.c: weights, gradients and Adam's state on the device. */
#include "engine/cuda/device.h"

#include <math.h>

enum { TENSOR_ALIGNMENT = 64 }; /* floats */
enum { BLOCK_W, BLOCK_M, BLOCK_V, BLOCK_GRADIENT, BLOCK_BF16, BLOCK_NORM };

static int round_up(int value, int multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

/* Rows of a tensor on the device: those of units are padded as well. */
static int64_t device_rows(const sg_weights *w, int number)
{
    const sg_tensor *t = &w->layout.tensor[number];
    if (t->rank == 1)
        return 1;
    return number == w->layout.kernel[0] ? t->dims[0] : w->units;
}

static void place_tensor(sg_weights *w, int number)
{
    const sg_tensor *t = &w->layout.tensor[number];
    bool dense = number == w->layout.dense_kernel || number == w->layout.dense_bias;
    int pieces = dense ? 1 : 4; /* of a row: one for each gate */
    int64_t rows = t->rank == 2 ? t->dims[0] : 1;
    sg_weight_tensor *to = &w->tensor[number];
    to->offset = w->count;
    to->host_offset = t->offset;
    to->chunks = rows * pieces;
    to->width = dense ? w->spec.classes : w->spec.units;
    to->pitch = dense ? w->classes : w->units;
    size_t count = (size_t)(device_rows(w, number) * pieces * to->pitch);
    w->count += (count + TENSOR_ALIGNMENT - 1) / TENSOR_ALIGNMENT * TENSOR_ALIGNMENT;
}

static sg_status reserve_zeroed(sg_weights *w, sg_gpu *gpu, int block, size_t size, const char *what,
                                void **at)
{
    if (w->block[block].data)
        return SG_OK;
    SG_TRY(sg_gpu_reserve(gpu, &w->block[block], w->count, size, what));
    *at = w->block[block].data;
    SG_CUDA(cudaMemsetAsync(*at, 0, w->count * size, gpu->stream), what);
    return SG_OK;
}

sg_status sg_weights_open(sg_weights *w, sg_gpu *gpu, const sg_spec *spec, int multiple)
{
    *w = (sg_weights){.spec = *spec};
    sg_layout_make(&w->layout, spec);
    w->units = round_up(spec->units, multiple);
    w->classes = round_up(spec->classes, multiple);
    for (int k = 0; k < w->layout.tensors; k++)
        place_tensor(w, k);
    SG_TRY(reserve_zeroed(w, gpu, BLOCK_W, sizeof(float), "weights", (void **)&w->w));
    SG_TRY(reserve_zeroed(w, gpu, BLOCK_GRADIENT, sizeof(float), "gradients", (void **)&w->gradient));
    if (gpu->operand == SG_OPERAND_BF16)
        SG_TRY(reserve_zeroed(w, gpu, BLOCK_BF16, sizeof(uint16_t), "weights in bf16", (void **)&w->w_bf16));
    size_t chunks = (w->count + SG_NORM_CHUNK - 1) / SG_NORM_CHUNK;
    SG_TRY(sg_gpu_reserve(gpu, &w->block[BLOCK_NORM], chunks, sizeof(double), "gradient norm"));
    w->norm_partial = w->block[BLOCK_NORM].data;
    return SG_OK;
}

void sg_weights_close(sg_weights *w)
{
    for (size_t i = 0; i < sizeof w->block / sizeof *w->block; i++)
        sg_gpu_release(&w->block[i]);
    *w = (sg_weights){0};
}

const void *sg_weights_operand(const sg_weights *w, const sg_gpu *gpu, int number)
{
    size_t offset = w->tensor[number].offset;
    return gpu->operand == SG_OPERAND_BF16 ? (const void *)(w->w_bf16 + offset)
                                           : (const void *)(w->w + offset);
}

/* ---- between host and device ---- */

static sg_status to_device(const sg_weights *w, sg_gpu *gpu, float *device, const float *host)
{
    for (int k = 0; k < w->layout.tensors; k++) {
        const sg_weight_tensor *t = &w->tensor[k];
        size_t width = (size_t)t->width * sizeof(float);
        SG_CUDA(cudaMemcpy2DAsync(device + t->offset, (size_t)t->pitch * sizeof(float), host + t->host_offset,
                                  width, width, (size_t)t->chunks, cudaMemcpyHostToDevice, gpu->stream),
                "copying weights to the GPU");
    }
    return sg_gpu_wait(gpu);
}

static sg_status to_host(const sg_weights *w, sg_gpu *gpu, const float *device, float *host)
{
    for (int k = 0; k < w->layout.tensors; k++) {
        const sg_weight_tensor *t = &w->tensor[k];
        size_t width = (size_t)t->width * sizeof(float);
        SG_CUDA(cudaMemcpy2DAsync(host + t->host_offset, width, device + t->offset,
                                  (size_t)t->pitch * sizeof(float), width, (size_t)t->chunks,
                                  cudaMemcpyDeviceToHost, gpu->stream),
                "copying weights from the GPU");
    }
    return sg_gpu_wait(gpu);
}

sg_status sg_weights_load(sg_weights *w, sg_gpu *gpu, const float *host)
{
    SG_TRY(to_device(w, gpu, w->w, host));
    if (!w->w_bf16)
        return SG_OK;
    SG_CUDA(
        sg_kernel_convert((int64_t)w->count, w->w, SG_OPERAND_FLOAT, w->w_bf16, SG_OPERAND_BF16, gpu->stream),
        "rounding weights");
    return SG_OK;
}

sg_status sg_weights_store(const sg_weights *w, sg_gpu *gpu, float *host)
{
    return to_host(w, gpu, w->w, host);
}

static sg_status reserve_optimizer(sg_weights *w, sg_gpu *gpu)
{
    SG_TRY(reserve_zeroed(w, gpu, BLOCK_M, sizeof(float), "Adam's first moments", (void **)&w->m));
    return reserve_zeroed(w, gpu, BLOCK_V, sizeof(float), "Adam's second moments", (void **)&w->v);
}

sg_status sg_weights_load_optimizer(sg_weights *w, sg_gpu *gpu, const float *m, const float *v)
{
    SG_TRY(reserve_optimizer(w, gpu));
    SG_TRY(to_device(w, gpu, w->m, m));
    return to_device(w, gpu, w->v, v);
}

sg_status sg_weights_store_optimizer(sg_weights *w, sg_gpu *gpu, float *m, float *v)
{
    SG_TRY(reserve_optimizer(w, gpu));
    SG_TRY(to_host(w, gpu, w->m, m));
    return to_host(w, gpu, w->v, v);
}

sg_status sg_weights_store_gradient(const sg_weights *w, sg_gpu *gpu, float *host)
{
    if (!w->has_gradient)
        return sg_fail(SG_E_INTERNAL, "there are no gradients yet");
    return to_host(w, gpu, w->gradient, host);
}

/* ---- Adam ---- */

sg_status sg_weights_adam(sg_weights *w, sg_gpu *gpu, const sg_adam *adam, sg_outcome *outcome)
{
    if (!w->has_gradient)
        return sg_fail(SG_E_INTERNAL, "there are no gradients to apply");
    SG_TRY(reserve_optimizer(w, gpu));
    double t = (double)adam->update;
    sg_adam_update update = {
        .count = (int64_t)w->count,
        .w = w->w,
        .m = w->m,
        .v = w->v,
        .gradient = w->gradient,
        .w_bf16 = w->w_bf16,
        .rate = (float)(adam->learning_rate * sqrt(1 - pow(adam->beta2, t)) / (1 - pow(adam->beta1, t))),
        .gain1 = (float)(1 - adam->beta1),
        .gain2 = (float)(1 - adam->beta2),
        .epsilon = (float)adam->epsilon,
        .clip_norm = adam->clip_norm,
        .outcome = outcome};
    SG_TRY(sg_gpu_span_begin(gpu, SG_PHASE_ADAM));
    SG_CUDA(sg_kernel_norm(update.count, w->gradient, w->norm_partial, outcome, gpu->stream),
            "gradient norm");
    SG_CUDA(sg_kernel_adam(&update, gpu->stream), "Adam");
    return sg_gpu_span_end(gpu);
}
