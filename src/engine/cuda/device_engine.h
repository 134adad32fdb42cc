/* device_engine.h: what both GPU engines are alike in: the state that each begins with, and the calls of a
 * backend that need no more than that.
 */
#ifndef SG_ENGINE_CUDA_DEVICE_ENGINE_H
#define SG_ENGINE_CUDA_DEVICE_ENGINE_H

#include "engine/backend.h"
#include "engine/cuda/device.h"

/* The first member of an engine, so that `self` points to it. */
typedef struct {
    sg_gpu gpu;
    sg_weights weights;
    sg_steps steps;
    char description[160];
    int cudnn;  /* its version; 0: not used */
    bool stale; /* what the engine derives from the weights is older than they are */
    /* Enqueues forward and backward of a batch: gradients are in weights.gradient, loss and right in
     * steps.device. */
    sg_status (*enqueue)(void *self, const sg_batch *batch);
} sg_gpu_engine;

/* "cuda:0, NVIDIA H100 (sm_90), precision=bf16" and `more`, as the engine's description. */
void sg_gpu_engine_describe(sg_gpu_engine *engine, const char *name, const char *more);

/* Makes the device current and waits for what is in flight, before anything of it is released; errors can
 * only be dropped here.  Then steps, weights and the device. */
void sg_gpu_engine_settle(sg_gpu_engine *engine);
void sg_gpu_engine_close(sg_gpu_engine *engine);

/* Enqueues Adam; what is derived from the weights is stale from then on. */
sg_status sg_gpu_engine_adam(sg_gpu_engine *engine, const sg_adam *adam);

/* Members of sg_backend (backend.h). */
const char *sg_gpu_engine_description(const void *self);
const char *sg_gpu_engine_precision(const void *self);
void sg_gpu_engine_versions(const void *self, sg_versions *versions);
sg_status sg_gpu_engine_load(void *self, const float *weights);
sg_status sg_gpu_engine_store(void *self, float *weights);
sg_status sg_gpu_engine_load_optimizer(void *self, const float *m, const float *v);
sg_status sg_gpu_engine_store_optimizer(void *self, float *m, float *v);
sg_status sg_gpu_engine_gradients(void *self, const sg_batch *batch, sg_step_result *result);
sg_status sg_gpu_engine_store_gradients(void *self, float *gradients);
sg_status sg_gpu_engine_apply(void *self, const sg_adam *adam, double *norm);
sg_status sg_gpu_engine_begin_step(void *self, const sg_batch *batch, const sg_adam *adam);
sg_status sg_gpu_engine_end_step(void *self, sg_step_result *result, double *norm);
sg_timing *sg_gpu_engine_timing(void *self);
sg_status sg_gpu_engine_take_times(void *self, bool on);
sg_status sg_gpu_engine_peak(void *self, int64_t level_rows, int64_t all_rows, sg_peak *peak);
sg_status sg_gpu_engine_ceilings(void *self, const sg_ceilings_shape *shape, sg_ceilings *ceilings);

/* All of them but begin_step, which an engine may have of its own. */
/* clang-format off */
#define SG_GPU_ENGINE_MEMBERS                          \
    .description = sg_gpu_engine_description,          \
    .precision = sg_gpu_engine_precision,              \
    .versions = sg_gpu_engine_versions,                \
    .load = sg_gpu_engine_load,                        \
    .store = sg_gpu_engine_store,                      \
    .load_optimizer = sg_gpu_engine_load_optimizer,    \
    .store_optimizer = sg_gpu_engine_store_optimizer,  \
    .gradients = sg_gpu_engine_gradients,              \
    .store_gradients = sg_gpu_engine_store_gradients,  \
    .apply = sg_gpu_engine_apply,                      \
    .end_step = sg_gpu_engine_end_step,                \
    .timing = sg_gpu_engine_timing,                    \
    .take_times = sg_gpu_engine_take_times,            \
    .peak = sg_gpu_engine_peak,                        \
    .ceilings = sg_gpu_engine_ceilings
/* clang-format on */

#endif
