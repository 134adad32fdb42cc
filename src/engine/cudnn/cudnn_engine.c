/* cudnn_engine.c: opening and closing, weights in and out, Adam, steps in flight. */
#include "engine/cudnn/cudnn_engine.h"

#include "base/memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- opening and closing ---- */

static void close_cudnn(void *self)
{
    sg_cudnn *cudnn = self;
    if (!cudnn)
        return;
    /* Nothing can be done about errors here, and what is in flight must end before its memory goes. */
    if (cudnn->gpu.stream && sg_gpu_enter(&cudnn->gpu) == SG_OK)
        (void)sg_gpu_wait(&cudnn->gpu);
    sg_cudnn_shape_free(&cudnn->training);
    sg_cudnn_shape_free(&cudnn->inference);
    if (cudnn->rnn)
        cudnnDestroyRNNDescriptor(cudnn->rnn);
    if (cudnn->no_dropout)
        cudnnDestroyDropoutDescriptor(cudnn->no_dropout);
    if (cudnn->handle)
        cudnnDestroy(cudnn->handle);
    sg_steps_close(&cudnn->steps);
    sg_weights_close(&cudnn->weights);
    for (int b = 0; b < SG_CUDNN_BLOCKS; b++)
        sg_gpu_release(&cudnn->block[b]);
    sg_gpu_close(&cudnn->gpu);
    free(cudnn->length);
    free(cudnn);
}

/* The LSTM of frameworks has no dropout of its own here: the model's acts after the last layer. */
static sg_status open_library(sg_cudnn *cudnn)
{
    cudnn->type = cudnn->gpu.operand == SG_OPERAND_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    SG_CUDNN(cudnnCreate(&cudnn->handle), "opening cuDNN");
    SG_CUDNN(cudnnSetStream(cudnn->handle, cudnn->gpu.stream), "opening cuDNN");
    SG_CUDNN(cudnnCreateDropoutDescriptor(&cudnn->no_dropout), "making descriptors");
    SG_CUDNN(cudnnSetDropoutDescriptor(cudnn->no_dropout, cudnn->handle, 0, NULL, 0, 0),
             "making descriptors");
    SG_CUDNN(cudnnCreateRNNDescriptor(&cudnn->rnn), "making descriptors");
    return SG_OK;
}

/* One bias for each gate, as in Keras.  With two trained ones Adam would move their sum twice as far, so
 * where cuDNN wants two the second stays zero. */
static sg_status open_rnn(sg_cudnn *cudnn)
{
    cudnn->training.mode = CUDNN_FWD_MODE_TRAINING;
    cudnn->inference.mode = CUDNN_FWD_MODE_INFERENCE;
    sg_status status = sg_cudnn_describe(cudnn, CUDNN_RNN_SINGLE_INP_BIAS);
    if (status == SG_E_DEVICE)
        status = sg_cudnn_describe(cudnn, CUDNN_RNN_DOUBLE_BIAS);
    return status;
}

static void describe(sg_cudnn *cudnn)
{
    const sg_gpu *gpu = &cudnn->gpu;
    snprintf(cudnn->description, sizeof cudnn->description, "cudnn:%d, %.40s (sm_%d%d), precision=%s",
             gpu->index, gpu->properties.name, gpu->properties.major, gpu->properties.minor,
             sg_gpu_precision_name(gpu));
    sg_cudnn_add_version(cudnn->description, sizeof cudnn->description);
}

/* auto is what this cuDNN computes rightly. */
static sg_status open_parts(sg_cudnn *cudnn, const sg_engine_options *options)
{
    bool old = cudnnGetVersion() < SG_CUDNN_BF16_VERSION;
    sg_precision precision = options->precision;
    if (old && precision == SG_PRECISION_BF16)
        return sg_fail(SG_E_DEVICE,
                       "precision = bf16 needs cuDNN " SG_CUDNN_BF16_TEXT
                       " or newer: older ones compute LSTMs "
                       "wrongly in bf16, and this one is %zu.%zu.%zu; use tf32 or fp32, or --device cuda",
                       SG_CUDNN_VERSION_PARTS(cudnnGetVersion()));
    if (old && precision == SG_PRECISION_AUTO)
        precision = SG_PRECISION_FP32;
    SG_TRY(sg_gpu_open(&cudnn->gpu, options->device_index, precision));
    SG_TRY(open_library(cudnn));
    SG_TRY(open_rnn(cudnn));
    SG_TRY(sg_weights_open(&cudnn->weights, &cudnn->gpu, &cudnn->spec, 1));
    SG_TRY(sg_steps_open(&cudnn->steps, &cudnn->gpu));
    describe(cudnn);
    return SG_OK;
}

static sg_status open_cudnn(void **self, const sg_spec *spec, const sg_engine_options *options)
{
    sg_cudnn *cudnn;
    *self = NULL;
    SG_TRY(sg_alloc(&cudnn, 1, "engine"));
    cudnn->spec = *spec;
    sg_status status = open_parts(cudnn, options);
    if (status != SG_OK) {
        close_cudnn(cudnn);
        return status;
    }
    *self = cudnn;
    return SG_OK;
}

static const char *description_cudnn(const void *self)
{
    return ((const sg_cudnn *)self)->description;
}

static const char *precision_cudnn(const void *self)
{
    return sg_gpu_precision_name(&((const sg_cudnn *)self)->gpu);
}

static void versions_cudnn(const void *self, sg_versions *versions)
{
    sg_gpu_versions(&((const sg_cudnn *)self)->gpu, versions);
    versions->cudnn = (int)cudnnGetVersion();
}

/* ---- weights ---- */

static sg_status load_cudnn(void *self, const float *weights)
{
    sg_cudnn *cudnn = self;
    SG_TRY(sg_gpu_enter(&cudnn->gpu));
    cudnn->weights_are_stale = true;
    return sg_weights_load(&cudnn->weights, &cudnn->gpu, weights);
}

static sg_status store_cudnn(void *self, float *weights)
{
    sg_cudnn *cudnn = self;
    SG_TRY(sg_gpu_enter(&cudnn->gpu));
    return sg_weights_store(&cudnn->weights, &cudnn->gpu, weights);
}

static sg_status load_optimizer_cudnn(void *self, const float *m, const float *v)
{
    sg_cudnn *cudnn = self;
    SG_TRY(sg_gpu_enter(&cudnn->gpu));
    return sg_weights_load_optimizer(&cudnn->weights, &cudnn->gpu, m, v);
}

static sg_status store_optimizer_cudnn(void *self, float *m, float *v)
{
    sg_cudnn *cudnn = self;
    SG_TRY(sg_gpu_enter(&cudnn->gpu));
    return sg_weights_store_optimizer(&cudnn->weights, &cudnn->gpu, m, v);
}

static sg_status store_gradients_cudnn(void *self, float *gradients)
{
    sg_cudnn *cudnn = self;
    SG_TRY(sg_gpu_enter(&cudnn->gpu));
    return sg_weights_store_gradient(&cudnn->weights, &cudnn->gpu, gradients);
}

/* ---- steps ---- */

/* Enqueues Adam; the weights that cuDNN has are old from then on. */
static sg_status update(sg_cudnn *cudnn, const sg_adam *adam)
{
    cudnn->weights_are_stale = true;
    return sg_weights_adam(&cudnn->weights, &cudnn->gpu, adam, cudnn->steps.device);
}

static sg_status gradients_cudnn(void *self, const sg_batch *batch, sg_step_result *result)
{
    sg_cudnn *cudnn = self;
    SG_TRY(sg_gpu_enter(&cudnn->gpu));
    SG_TRY(sg_cudnn_step(cudnn, batch));
    SG_TRY(sg_steps_push(&cudnn->steps, &cudnn->gpu));
    return sg_steps_pop(&cudnn->steps, &cudnn->gpu, result, NULL);
}

static sg_status apply_cudnn(void *self, const sg_adam *adam, double *norm)
{
    sg_cudnn *cudnn = self;
    sg_step_result result;
    if (!cudnn->weights.has_gradient)
        return sg_fail(SG_E_INTERNAL, "there are no gradients to apply");
    SG_TRY(sg_gpu_enter(&cudnn->gpu));
    SG_TRY(update(cudnn, adam));
    SG_TRY(sg_steps_push(&cudnn->steps, &cudnn->gpu));
    return sg_steps_pop(&cudnn->steps, &cudnn->gpu, &result, norm);
}

static sg_status begin_step_cudnn(void *self, const sg_batch *batch, const sg_adam *adam)
{
    sg_cudnn *cudnn = self;
    SG_TRY(sg_gpu_enter(&cudnn->gpu));
    SG_TRY(sg_cudnn_step(cudnn, batch));
    SG_TRY(update(cudnn, adam));
    return sg_steps_push(&cudnn->steps, &cudnn->gpu);
}

static sg_status end_step_cudnn(void *self, sg_step_result *result, double *norm)
{
    sg_cudnn *cudnn = self;
    SG_TRY(sg_gpu_enter(&cudnn->gpu));
    return sg_steps_pop(&cudnn->steps, &cudnn->gpu, result, norm);
}

/* ---- measurements ---- */

static sg_timing *timing_cudnn(void *self)
{
    return &((sg_cudnn *)self)->gpu.timing;
}

static sg_status take_times_cudnn(void *self, bool on)
{
    sg_cudnn *cudnn = self;
    SG_TRY(sg_gpu_enter(&cudnn->gpu));
    return sg_gpu_take_times(&cudnn->gpu, on);
}

static sg_status peak_cudnn(void *self, int64_t level_rows, int64_t all_rows, sg_peak *peak)
{
    sg_cudnn *cudnn = self;
    SG_TRY(sg_gpu_enter(&cudnn->gpu));
    return sg_gpu_peak(&cudnn->gpu, cudnn->spec.units, level_rows, all_rows, peak);
}

static sg_status ceilings_cudnn(void *self, const sg_ceilings_shape *shape, sg_ceilings *ceilings)
{
    sg_cudnn *cudnn = self;
    SG_TRY(sg_gpu_enter(&cudnn->gpu));
    return sg_gpu_ceilings(&cudnn->gpu, shape, ceilings);
}

const sg_backend sg_cudnn_backend = {
    .open = open_cudnn,
    .close = close_cudnn,
    .description = description_cudnn,
    .precision = precision_cudnn,
    .versions = versions_cudnn,
    .load = load_cudnn,
    .store = store_cudnn,
    .load_optimizer = load_optimizer_cudnn,
    .store_optimizer = store_optimizer_cudnn,
    .gradients = gradients_cudnn,
    .store_gradients = store_gradients_cudnn,
    .apply = apply_cudnn,
    .begin_step = begin_step_cudnn,
    .end_step = end_step_cudnn,
    .infer = sg_cudnn_infer,
    .timing = timing_cudnn,
    .take_times = take_times_cudnn,
    .peak = peak_cudnn,
    .ceilings = ceilings_cudnn,
};
