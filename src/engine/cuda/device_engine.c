#include "engine/cuda/device_engine.h"

#include <stdio.h>

void sg_gpu_engine_describe(sg_gpu_engine *e, const char *name, const char *more)
{
    const struct cudaDeviceProp *device = &e->gpu.properties;
    snprintf(e->description, sizeof e->description, "%s:%d, %.40s (sm_%d%d), precision=%s%s", name,
             e->gpu.index, device->name, device->major, device->minor, sg_gpu_precision_name(&e->gpu), more);
}

void sg_gpu_engine_settle(sg_gpu_engine *e)
{
    if (e->gpu.stream && sg_gpu_enter(&e->gpu) == SG_OK)
        (void)sg_gpu_wait(&e->gpu);
}

void sg_gpu_engine_close(sg_gpu_engine *e)
{
    sg_head *h = &e->head;
    sg_block *const blocks[] = {&h->state, &h->scale,  &h->outputs, &h->operand, &h->gradient,
                                &h->loss,  &h->argmax, &h->p_max,   &h->moments, &e->partial};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        sg_gpu_release(blocks[i]);
    sg_steps_close(&e->steps);
    sg_weights_close(&e->weights);
    sg_gpu_close(&e->gpu);
}

const char *sg_gpu_engine_description(const void *self)
{
    return ((const sg_gpu_engine *)self)->description;
}

const char *sg_gpu_engine_precision(const void *self)
{
    return sg_gpu_precision_name(&((const sg_gpu_engine *)self)->gpu);
}

void sg_gpu_engine_versions(const void *self, sg_versions *versions)
{
    const sg_gpu_engine *e = self;
    sg_gpu_versions(&e->gpu, versions);
    versions->cudnn = e->cudnn;
}

/* ---- weights ---- */

sg_status sg_gpu_engine_load(void *self, const float *weights)
{
    sg_gpu_engine *e = self;
    SG_TRY(sg_gpu_enter(&e->gpu));
    e->stale = true;
    return sg_weights_load(&e->weights, &e->gpu, weights);
}

sg_status sg_gpu_engine_store(void *self, float *weights)
{
    sg_gpu_engine *e = self;
    SG_TRY(sg_gpu_enter(&e->gpu));
    return sg_weights_store(&e->weights, &e->gpu, weights);
}

sg_status sg_gpu_engine_load_optimizer(void *self, const float *m, const float *v)
{
    sg_gpu_engine *e = self;
    SG_TRY(sg_gpu_enter(&e->gpu));
    return sg_weights_load_optimizer(&e->weights, &e->gpu, m, v);
}

sg_status sg_gpu_engine_store_optimizer(void *self, float *m, float *v)
{
    sg_gpu_engine *e = self;
    SG_TRY(sg_gpu_enter(&e->gpu));
    return sg_weights_store_optimizer(&e->weights, &e->gpu, m, v);
}

sg_status sg_gpu_engine_store_gradients(void *self, float *gradients)
{
    sg_gpu_engine *e = self;
    SG_TRY(sg_gpu_enter(&e->gpu));
    return sg_weights_store_gradient(&e->weights, &e->gpu, gradients);
}

/* ---- what steps are made of ---- */

sg_status sg_gpu_engine_reserve(sg_gpu_engine *e, sg_block *block, int64_t rows, int64_t width, size_t size)
{
    const size_t need = (size_t)(rows * width);
    if (block->data && block->bytes >= need * size)
        return SG_OK;
    return sg_gpu_reserve(&e->gpu, block, need + need / 8, size, "a batch");
}

sg_status sg_gpu_times_weights(sg_gpu_engine *e, sg_phase phase, const void *a, int64_t rows, int64_t k,
                               int64_t n, int number, float *c)
{
    const sg_product product = {.m = rows,
                                .n = n,
                                .k = k,
                                .a = a,
                                .lda = k,
                                .b = sg_weights_operand(&e->weights, &e->gpu, number),
                                .ldb = n,
                                .c = c,
                                .ldc = n};
    return sg_gpu_product(&e->gpu, phase, &product);
}

sg_status sg_gpu_times_transposed(sg_gpu_engine *e, sg_phase phase, const void *a, int64_t rows, int64_t k,
                                  int64_t n, int number, float *c)
{
    const sg_product product = {.transpose_b = true,
                                .m = rows,
                                .n = n,
                                .k = k,
                                .a = a,
                                .lda = k,
                                .b = sg_weights_operand(&e->weights, &e->gpu, number),
                                .ldb = k,
                                .c = c,
                                .ldc = n};
    return sg_gpu_product(&e->gpu, phase, &product);
}

sg_status sg_gpu_outer(sg_gpu_engine *e, sg_phase phase, const void *a, const void *b, int64_t rows,
                       int64_t m, int64_t n, int number)
{
    const sg_product product = {.transpose_a = true,
                                .m = m,
                                .n = n,
                                .k = rows,
                                .a = a,
                                .lda = m,
                                .b = b,
                                .ldb = n,
                                .c = sg_weights_at(&e->weights, e->weights.gradient, number),
                                .ldc = n};
    return sg_gpu_product(&e->gpu, phase, &product);
}

sg_status sg_gpu_sum_rows(sg_gpu_engine *e, const sg_chunks *chunks, const void *matrix, sg_operand operand,
                          int columns, float *kernel, float *total)
{
    const sg_row_sums sums = {.columns = columns,
                              .chunks = chunks->chunks,
                              .groups = chunks->groups,
                              .matrix = matrix,
                              .operand = operand,
                              .member = chunks->member,
                              .chunk_first = chunks->chunk_first,
                              .group_first = chunks->group_first,
                              .partial = e->partial.data,
                              .kernel = kernel,
                              .total = total};
    SG_TRY(sg_gpu_span_begin(&e->gpu, SG_PHASE_POINTWISE));
    SG_CUDA(sg_kernel_row_sums(&sums, e->gpu.stream), "summing gradients of biases");
    return sg_gpu_span_end(&e->gpu);
}

/* ---- steps ---- */

sg_status sg_gpu_engine_adam(sg_gpu_engine *e, const sg_adam *adam)
{
    e->stale = true;
    return sg_weights_adam(&e->weights, &e->gpu, adam, e->steps.device);
}

sg_status sg_gpu_engine_gradients(void *self, const sg_batch *batch, sg_step_result *result)
{
    sg_gpu_engine *e = self;
    SG_TRY(sg_gpu_enter(&e->gpu));
    SG_TRY(e->enqueue(self, batch));
    SG_TRY(sg_steps_push(&e->steps, &e->gpu));
    return sg_steps_pop(&e->steps, &e->gpu, result, NULL);
}

sg_status sg_gpu_engine_apply(void *self, const sg_adam *adam, double *norm)
{
    sg_gpu_engine *e = self;
    sg_step_result unused;
    SG_TRY(sg_gpu_enter(&e->gpu));
    SG_TRY(sg_gpu_engine_adam(e, adam));
    SG_TRY(sg_steps_push(&e->steps, &e->gpu));
    return sg_steps_pop(&e->steps, &e->gpu, &unused, norm);
}

sg_status sg_gpu_engine_begin_step(void *self, const sg_batch *batch, const sg_adam *adam)
{
    sg_gpu_engine *e = self;
    SG_TRY(sg_gpu_enter(&e->gpu));
    SG_TRY(e->enqueue(self, batch));
    SG_TRY(sg_gpu_engine_adam(e, adam));
    return sg_steps_push(&e->steps, &e->gpu);
}

sg_status sg_gpu_engine_end_step(void *self, sg_step_result *result, double *norm)
{
    sg_gpu_engine *e = self;
    SG_TRY(sg_gpu_enter(&e->gpu));
    return sg_steps_pop(&e->steps, &e->gpu, result, norm);
}

/* ---- measurements ---- */

sg_timing *sg_gpu_engine_timing(void *self)
{
    return &((sg_gpu_engine *)self)->gpu.timing;
}

sg_status sg_gpu_engine_take_times(void *self, bool on)
{
    sg_gpu_engine *e = self;
    SG_TRY(sg_gpu_enter(&e->gpu));
    return sg_gpu_take_times(&e->gpu, on);
}

sg_status sg_gpu_engine_peak(void *self, int64_t level_rows, int64_t all_rows, sg_peak *peak)
{
    sg_gpu_engine *e = self;
    SG_TRY(sg_gpu_enter(&e->gpu));
    return sg_gpu_peak(&e->gpu, e->weights.units, level_rows, all_rows, peak);
}

sg_status sg_gpu_engine_ceilings(void *self, const sg_ceilings_shape *shape, sg_ceilings *ceilings)
{
    sg_gpu_engine *e = self;
    SG_TRY(sg_gpu_enter(&e->gpu));
    return sg_gpu_ceilings(&e->gpu, shape, ceilings);
}
