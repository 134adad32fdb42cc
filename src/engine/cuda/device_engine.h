/* device_engine.h: what both GPU engines are alike in: the state that each begins with, and the calls of a
 * backend that need no more than that.
 */
#ifndef SG_ENGINE_CUDA_DEVICE_ENGINE_H
#define SG_ENGINE_CUDA_DEVICE_ENGINE_H

#include "engine/backend.h"
#include "engine/cuda/device.h"

/* How rows are gathered into chunks for sg_kernel_row_sums; device addresses. */
typedef struct {
    const int32_t *member, *chunk_first, *group_first;
    int chunks, groups;
} sg_chunks;

/* Storage of the head (device_head.h). */
typedef struct {
    sg_block state;          /* [K, H] operand: last states, masked */
    sg_block scale;          /* [K, H] dropout masks */
    sg_block outputs;        /* [K, N] then their gradient or probabilities */
    sg_block operand;        /* [K, N] the gradient in bf16 */
    sg_block gradient;       /* [K, H] of the states */
    sg_block loss, argmax;   /* [K] double, int32 */
    sg_block p_max, moments; /* of leaves: [K] float, [2, K] double */
} sg_head;

/* The first member of an engine, so that `self` points to it. */
typedef struct {
    sg_gpu gpu;
    sg_weights weights;
    sg_steps steps;
    sg_head head;
    sg_block partial; /* of row sums */
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

/* Room for `rows` rows of a batch; somewhat more if it has to grow, so that batches of much the same size do
 * not make it grow again and again. */
sg_status sg_gpu_engine_reserve(sg_gpu_engine *engine, sg_block *block, int64_t rows, int64_t width,
                                size_t size);

/* Products with weight tensor `number`, operands stored without gaps; all float results.
 *   times_weights     c [rows, n] = a [rows, k] W      W [k, n]
 *   times_transposed  c [rows, n] = a [rows, k] W^T    W [n, k]
 *   outer             its gradient [m, n] = a^T b      a [rows, m], b [rows, n] */
sg_status sg_gpu_times_weights(sg_gpu_engine *engine, sg_phase phase, const void *a, int64_t rows, int64_t k,
                               int64_t n, int number, float *c);
sg_status sg_gpu_times_transposed(sg_gpu_engine *engine, sg_phase phase, const void *a, int64_t rows,
                                  int64_t k, int64_t n, int number, float *c);
sg_status sg_gpu_outer(sg_gpu_engine *engine, sg_phase phase, const void *a, const void *b, int64_t rows,
                       int64_t m, int64_t n, int number);

/* Sums of rows of a matrix by chunks (sg_kernel_row_sums); `partial` has room for them. */
sg_status sg_gpu_sum_rows(sg_gpu_engine *engine, const sg_chunks *chunks, const void *matrix,
                          sg_operand operand, int columns, float *kernel, float *total);

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
