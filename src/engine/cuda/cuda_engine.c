/* cuda_engine.c: steps, opening and closing of the trie engine on a GPU, and its module. */
#include "engine/cuda/cuda_state.h"

#include "base/memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNIT_MULTIPLE = 16 }; /* rows of 32 bytes in bf16: what tensor cores and cache sectors want */

/* ---- steps ---- */

static sg_status enqueue(void *self, const sg_batch *batch)
{
    SG_TRY(sg_cuda_prepare(self, batch));
    return sg_cuda_enqueue_gradients(self, batch);
}

static sg_status enqueue_step(sg_cuda *cuda, const sg_batch *batch, const sg_adam *adam)
{
    SG_TRY(sg_cuda_enqueue_gradients(cuda, batch));
    return sg_gpu_engine_adam(&cuda->base, adam);
}

/* Puts the captured step into the executable graph of the one before, which is far cheaper than making a new
 * one; their kernels are the same, only sizes differ. */
static sg_status launch_graph(sg_cuda *cuda, cudaGraph_t graph)
{
    if (cuda->graph) {
        cudaGraphExecUpdateResultInfo info;
        if (cudaGraphExecUpdate(cuda->graph, graph, &info) != cudaSuccess) {
            (void)cudaGetLastError();
            SG_CUDA(cudaGraphExecDestroy(cuda->graph), "the graph of a step");
            cuda->graph = NULL;
        }
    }
    if (!cuda->graph)
        SG_CUDA(cudaGraphInstantiate(&cuda->graph, graph, 0), "the graph of a step");
    SG_CUDA(cudaGraphLaunch(cuda->graph, cuda->base.gpu.stream), "a training step");
    return SG_OK;
}

static sg_status step_by_graph(sg_cuda *cuda, const sg_batch *batch, const sg_adam *adam)
{
    cudaGraph_t graph = NULL;
    SG_CUDA(cudaStreamBeginCapture(cuda->base.gpu.stream, cudaStreamCaptureModeThreadLocal),
            "the graph of a step");
    sg_status status = enqueue_step(cuda, batch, adam);
    cudaError_t error = cudaStreamEndCapture(cuda->base.gpu.stream, &graph);
    if (status == SG_OK && error != cudaSuccess)
        status = sg_cuda_failed((int)error, "the graph of a step", __FILE__, __LINE__);
    else if (error != cudaSuccess)
        (void)cudaGetLastError(); /* a failed step has ended the capture, and is what is reported */
    if (status == SG_OK)
        status = launch_graph(cuda, graph);
    if (graph)
        (void)cudaGraphDestroy(graph);
    return status;
}

static sg_status begin_step(void *self, const sg_batch *batch, const sg_adam *adam)
{
    sg_cuda *cuda = self;
    SG_TRY(sg_gpu_enter(&cuda->base.gpu));
    SG_TRY(sg_cuda_prepare(cuda, batch));
    if (cuda->graphs && !cuda->base.gpu.timed && cuda->warm)
        SG_TRY(step_by_graph(cuda, batch, adam));
    else
        SG_TRY(enqueue_step(cuda, batch, adam));
    cuda->warm = true;
    return sg_steps_push(&cuda->base.steps, &cuda->base.gpu);
}

/* ---- opening and closing ---- */

static void release_blocks(sg_cuda *cuda)
{
    for (int l = 0; l < SG_LAYERS_MAX; l++) {
        sg_gpu_release(&cuda->states[l].gates);
        sg_gpu_release(&cuda->states[l].c);
        sg_gpu_release(&cuda->states[l].h);
        for (int k = 0; k < 2; k++) {
            sg_gpu_release(&cuda->infer_c[l][k]);
            sg_gpu_release(&cuda->infer_h[l][k]);
        }
    }
    sg_block *const rest[] = {&cuda->table,          &cuda->batch,         &cuda->dz,       &cuda->z_sum,
                              &cuda->product,        &cuda->infer_x,       &cuda->c_sum[0], &cuda->c_sum[1],
                              &cuda->input_gradient, &cuda->leaf_gradient, &cuda->leaf_h};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        sg_gpu_release(rest[i]);
}

static void close_cuda(void *self)
{
    sg_cuda *cuda = self;
    if (!cuda)
        return;
    sg_gpu_engine_settle(&cuda->base);
    if (cuda->graph)
        (void)cudaGraphExecDestroy(cuda->graph);
    release_blocks(cuda);
    sg_gpu_engine_close(&cuda->base);
    free(cuda);
}

static void describe(sg_cuda *cuda)
{
    char more[64];
    int cublas = 0;
    (void)cublasGetVersion(cuda->base.gpu.cublas, &cublas);
    snprintf(more, sizeof more, ", cuBLAS %d.%d%s", cublas / 10000, cublas % 10000 / 100,
             cuda->graphs ? ", graphs" : "");
    sg_gpu_engine_describe(&cuda->base, "cuda", more);
}

static sg_status open_parts(sg_cuda *cuda, const sg_spec *spec, const sg_engine_options *options)
{
    SG_TRY(sg_gpu_open(&cuda->base.gpu, options->device_index, options->precision));
    SG_TRY(sg_weights_open(&cuda->base.weights, &cuda->base.gpu, spec, UNIT_MULTIPLE));
    SG_TRY(sg_steps_open(&cuda->base.steps, &cuda->base.gpu));
    size_t columns = 4 * (size_t)cuda->base.weights.units;
    SG_TRY(sg_gpu_reserve(&cuda->base.gpu, &cuda->table, ((size_t)spec->message_types + 1) * columns,
                          sizeof(float), "weights"));
    cuda->base.stale = true;
    describe(cuda);
    return sg_gpu_wait(&cuda->base.gpu);
}

static sg_status open_cuda(void **self, const sg_spec *spec, const sg_engine_options *options)
{
    sg_cuda *cuda;
    *self = NULL;
    SG_TRY(sg_alloc(&cuda, 1, "engine"));
    cuda->graphs = options->graphs;
    cuda->base.enqueue = enqueue;
    sg_status status = open_parts(cuda, spec, options);
    if (status != SG_OK) {
        close_cuda(cuda);
        return status;
    }
    *self = cuda;
    return SG_OK;
}

/* ---- the module ---- */

static const sg_backend backend = {
    .shares_prefixes = true,
    .open = open_cuda,
    .close = close_cuda,
    SG_GPU_ENGINE_MEMBERS,
    .begin_step = begin_step,
    .infer = sg_cuda_infer,
};

extern const sg_module sipgpu_module __attribute__((visibility("default")));

const sg_module sipgpu_module = {
    .abi = SG_MODULE_ABI,
    .name = "cuda",
    .error_text = sg_error_text,
    .count = sg_gpu_count,
    .describe = sg_gpu_describe,
    .backend = &backend,
};
