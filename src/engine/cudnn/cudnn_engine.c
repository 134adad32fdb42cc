/* cudnn_engine.c: opening and closing, and what sipgpu_cudnn.so exports. */
#include "engine/cudnn/cudnn_state.h"

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
    sg_gpu_engine_settle(&cudnn->base);
    sg_cudnn_shape_free(&cudnn->training);
    sg_cudnn_shape_free(&cudnn->inference);
    if (cudnn->rnn)
        cudnnDestroyRNNDescriptor(cudnn->rnn);
    if (cudnn->no_dropout)
        cudnnDestroyDropoutDescriptor(cudnn->no_dropout);
    if (cudnn->handle)
        cudnnDestroy(cudnn->handle);
    for (int b = 0; b < SG_CUDNN_BLOCKS; b++)
        sg_gpu_release(&cudnn->block[b]);
    sg_gpu_engine_close(&cudnn->base);
    free(cudnn->length);
    free(cudnn);
}

/* The LSTM of frameworks has no dropout of its own here: the model's acts after the last layer. */
static sg_status open_library(sg_cudnn *cudnn)
{
    cudnn->type = cudnn->base.gpu.operand == SG_OPERAND_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    SG_CUDNN(cudnnCreate(&cudnn->handle), "opening cuDNN");
    SG_CUDNN(cudnnSetStream(cudnn->handle, cudnn->base.gpu.stream), "opening cuDNN");
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

/* ", cuDNN 9.19.0". */
static void write_version(char *text, size_t size)
{
    snprintf(text, size, ", cuDNN %zu.%zu.%zu", SG_CUDNN_VERSION_PARTS(cudnnGetVersion()));
}

/* auto is what this cuDNN computes rightly. */
static sg_status open_parts(sg_cudnn *cudnn, const sg_engine_options *options)
{
    bool old = cudnnGetVersion() < SG_CUDNN_BF16_VERSION;
    char version[32];
    sg_precision precision = options->precision;
    if (old && precision == SG_PRECISION_BF16)
        return sg_fail(SG_E_DEVICE,
                       "precision = bf16 needs cuDNN " SG_CUDNN_BF16_TEXT
                       " or newer: older ones compute LSTMs "
                       "wrongly in bf16, and this one is %zu.%zu.%zu; use tf32 or fp32, or --device cuda",
                       SG_CUDNN_VERSION_PARTS(cudnnGetVersion()));
    if (old && precision == SG_PRECISION_AUTO)
        precision = SG_PRECISION_FP32;
    SG_TRY(sg_gpu_open(&cudnn->base.gpu, options->device_index, precision));
    SG_TRY(open_library(cudnn));
    SG_TRY(open_rnn(cudnn));
    SG_TRY(sg_weights_open(&cudnn->base.weights, &cudnn->base.gpu, &cudnn->spec, 1));
    SG_TRY(sg_steps_open(&cudnn->base.steps, &cudnn->base.gpu));
    write_version(version, sizeof version);
    sg_gpu_engine_describe(&cudnn->base, "cudnn", version);
    return SG_OK;
}

static sg_status open_cudnn(void **self, const sg_spec *spec, const sg_engine_options *options)
{
    sg_cudnn *cudnn;
    *self = NULL;
    SG_TRY(sg_alloc(&cudnn, 1, "engine"));
    cudnn->spec = *spec;
    cudnn->base.enqueue = sg_cudnn_step;
    cudnn->base.cudnn = (int)cudnnGetVersion();
    sg_status status = open_parts(cudnn, options);
    if (status != SG_OK) {
        close_cudnn(cudnn);
        return status;
    }
    *self = cudnn;
    return SG_OK;
}

static const sg_backend backend = {
    .open = open_cudnn,
    .close = close_cudnn,
    SG_GPU_ENGINE_MEMBERS,
    .begin_step = sg_gpu_engine_begin_step,
    .infer = sg_cudnn_infer,
};

/* ---- the module ---- */

static sg_status describe(int index, char *text, size_t size)
{
    SG_TRY(sg_gpu_describe(index, text, size));
    size_t used = strlen(text);
    write_version(text + used, size - used);
    used = strlen(text);
    if (cudnnGetVersion() < SG_CUDNN_BF16_VERSION)
        snprintf(text + used, size - used, ", too old for bf16 (" SG_CUDNN_BF16_TEXT ")");
    return SG_OK;
}

/* The one symbol that the program looks up (backend.h). */
extern const sg_module sipgpu_module __attribute__((visibility("default")));

const sg_module sipgpu_module = {
    .abi = SG_MODULE_ABI,
    .name = "cudnn",
    .error_text = sg_error_text,
    .count = sg_gpu_count,
    .describe = describe,
    .backend = &backend,
};
