/* cuda_engine.c: opening, weights and Adam of the trie engine on a GPU, and its module. */
#include "engine/cuda/cuda_engine.h"

#include "base/memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNIT_MULTIPLE = 16 }; /* rows of 32 bytes in bf16: what tensor cores and cache sectors want */

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
    sg_block *const rest[] = {&cuda->table,       &cuda->batch,        &cuda->dz,
                              &cuda->z_sum,       &cuda->product,      &cuda->input_gradient,
                              &cuda->c_sum[0],    &cuda->c_sum[1],     &cuda->leaf_gradient,
                              &cuda->head_scale,  &cuda->head_operand, &cuda->head_gradient,
                              &cuda->head_output, &cuda->head_loss,    &cuda->output_operand,
                              &cuda->head_argmax, &cuda->partial,      &cuda->infer_x,
                              &cuda->leaf_h,      &cuda->leaf_output,  &cuda->leaf_argmax,
                              &cuda->leaf_p_max,  &cuda->leaf_moments};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        sg_gpu_release(rest[i]);
}

static void close_cuda(void *self)
{
    sg_cuda *cuda = self;
    if (!cuda)
        return;
    if (cuda->gpu.stream) {
        (void)sg_gpu_enter(&cuda->gpu);
        (void)sg_gpu_wait(&cuda->gpu);
    }
    if (cuda->graph)
        (void)cudaGraphExecDestroy(cuda->graph);
    release_blocks(cuda);
    sg_steps_close(&cuda->steps);
    sg_weights_close(&cuda->weights);
    sg_gpu_close(&cuda->gpu);
    free(cuda);
}

static void describe(sg_cuda *cuda)
{
    int cublas = 0;
    (void)cublasGetVersion(cuda->gpu.cublas, &cublas);
    snprintf(cuda->description, sizeof cuda->description,
             "cuda:%d, %.40s (sm_%d%d), precision=%s, cuBLAS %d.%d%s", cuda->gpu.index,
             cuda->gpu.properties.name, cuda->gpu.properties.major, cuda->gpu.properties.minor,
             sg_gpu_precision_name(&cuda->gpu), cublas / 10000, cublas % 10000 / 100,
             cuda->graphs ? ", graphs" : "");
}

static sg_status open_parts(sg_cuda *cuda, const sg_spec *spec, const sg_engine_options *options)
{
    SG_TRY(sg_gpu_open(&cuda->gpu, options->device_index, options->precision));
    SG_TRY(sg_weights_open(&cuda->weights, &cuda->gpu, spec, UNIT_MULTIPLE));
    SG_TRY(sg_steps_open(&cuda->steps, &cuda->gpu));
    size_t columns = 4 * (size_t)cuda->weights.units;
    SG_TRY(sg_gpu_reserve(&cuda->gpu, &cuda->table, ((size_t)spec->message_types + 1) * columns,
                          sizeof(float), "weights"));
    cuda->table_is_stale = true;
    describe(cuda);
    return sg_gpu_wait(&cuda->gpu);
}

static sg_status open_cuda(void **self, const sg_spec *spec, const sg_engine_options *options)
{
    sg_cuda *cuda;
    *self = NULL;
    SG_TRY(sg_alloc(&cuda, 1, "engine"));
    cuda->graphs = options->graphs;
    sg_status status = open_parts(cuda, spec, options);
    if (status != SG_OK) {
        close_cuda(cuda);
        return status;
    }
    *self = cuda;
    return SG_OK;
}

static const char *description_of(const void *self)
{
    return ((const sg_cuda *)self)->description;
}

static const char *precision_of(const void *self)
{
    return sg_gpu_precision_name(&((const sg_cuda *)self)->gpu);
}

static void versions_of(const void *self, sg_versions *versions)
{
    sg_gpu_versions(&((const sg_cuda *)self)->gpu, versions);
}

static sg_timing *timing_of(void *self)
{
    return &((sg_cuda *)self)->gpu.timing;
}

static sg_status take_times(void *self, bool on)
{
    sg_cuda *cuda = self;
    SG_TRY(sg_gpu_enter(&cuda->gpu));
    return sg_gpu_take_times(&cuda->gpu, on);
}

/* ---- weights ---- */

static sg_status load(void *self, const float *weights)
{
    sg_cuda *cuda = self;
    SG_TRY(sg_gpu_enter(&cuda->gpu));
    cuda->table_is_stale = true;
    return sg_weights_load(&cuda->weights, &cuda->gpu, weights);
}

static sg_status store(void *self, float *weights)
{
    sg_cuda *cuda = self;
    SG_TRY(sg_gpu_enter(&cuda->gpu));
    return sg_weights_store(&cuda->weights, &cuda->gpu, weights);
}

static sg_status load_optimizer(void *self, const float *m, const float *v)
{
    sg_cuda *cuda = self;
    SG_TRY(sg_gpu_enter(&cuda->gpu));
    return sg_weights_load_optimizer(&cuda->weights, &cuda->gpu, m, v);
}

static sg_status store_optimizer(void *self, float *m, float *v)
{
    sg_cuda *cuda = self;
    SG_TRY(sg_gpu_enter(&cuda->gpu));
    return sg_weights_store_optimizer(&cuda->weights, &cuda->gpu, m, v);
}

static sg_status store_gradients(void *self, float *gradients)
{
    sg_cuda *cuda = self;
    SG_TRY(sg_gpu_enter(&cuda->gpu));
    return sg_weights_store_gradient(&cuda->weights, &cuda->gpu, gradients);
}

sg_status sg_cuda_refresh(sg_cuda *cuda)
{
    const sg_weights *w = &cuda->weights;
    if (!cuda->table_is_stale)
        return SG_OK;
    SG_TRY(sg_gpu_span_begin(&cuda->gpu, SG_PHASE_PACKING));
    SG_CUDA(sg_kernel_token_table(
                w->spec.message_types, 4 * w->units, sg_weights_at(w, w->w, w->layout.kernel[0]),
                sg_weights_at(w, w->w, w->layout.bias[0]), cuda->table.data, cuda->gpu.stream),
            "token table");
    cuda->table_is_stale = false;
    return sg_gpu_span_end(&cuda->gpu);
}

static sg_status enqueue_adam(sg_cuda *cuda, const sg_adam *adam)
{
    cuda->table_is_stale = true;
    return sg_weights_adam(&cuda->weights, &cuda->gpu, adam, cuda->steps.device);
}

static sg_status apply(void *self, const sg_adam *adam, double *norm)
{
    sg_cuda *cuda = self;
    sg_step_result unused;
    SG_TRY(sg_gpu_enter(&cuda->gpu));
    SG_TRY(enqueue_adam(cuda, adam));
    SG_TRY(sg_steps_push(&cuda->steps, &cuda->gpu));
    return sg_steps_pop(&cuda->steps, &cuda->gpu, &unused, norm);
}

/* ---- steps ---- */

sg_status sg_cuda_gradients(void *self, const sg_batch *batch, sg_step_result *result)
{
    sg_cuda *cuda = self;
    SG_TRY(sg_gpu_enter(&cuda->gpu));
    SG_TRY(sg_cuda_prepare(cuda, batch));
    SG_TRY(sg_cuda_enqueue_gradients(cuda, batch));
    SG_TRY(sg_steps_push(&cuda->steps, &cuda->gpu));
    return sg_steps_pop(&cuda->steps, &cuda->gpu, result, NULL);
}

static sg_status enqueue_step(sg_cuda *cuda, const sg_batch *batch, const sg_adam *adam)
{
    SG_TRY(sg_cuda_enqueue_gradients(cuda, batch));
    return enqueue_adam(cuda, adam);
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
    SG_CUDA(cudaGraphLaunch(cuda->graph, cuda->gpu.stream), "a training step");
    return SG_OK;
}

static sg_status step_by_graph(sg_cuda *cuda, const sg_batch *batch, const sg_adam *adam)
{
    cudaGraph_t graph = NULL;
    SG_CUDA(cudaStreamBeginCapture(cuda->gpu.stream, cudaStreamCaptureModeThreadLocal),
            "the graph of a step");
    sg_status status = enqueue_step(cuda, batch, adam);
    cudaError_t error = cudaStreamEndCapture(cuda->gpu.stream, &graph);
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

sg_status sg_cuda_begin_step(void *self, const sg_batch *batch, const sg_adam *adam)
{
    sg_cuda *cuda = self;
    SG_TRY(sg_gpu_enter(&cuda->gpu));
    SG_TRY(sg_cuda_prepare(cuda, batch));
    if (cuda->graphs && !cuda->gpu.timed && cuda->warm)
        SG_TRY(step_by_graph(cuda, batch, adam));
    else
        SG_TRY(enqueue_step(cuda, batch, adam));
    cuda->warm = true;
    return sg_steps_push(&cuda->steps, &cuda->gpu);
}

static sg_status end_step(void *self, sg_step_result *result, double *norm)
{
    sg_cuda *cuda = self;
    SG_TRY(sg_gpu_enter(&cuda->gpu));
    return sg_steps_pop(&cuda->steps, &cuda->gpu, result, norm);
}

/* ---- measurements ---- */

static sg_status peak(void *self, int64_t level_rows, int64_t all_rows, sg_peak *rates)
{
    sg_cuda *cuda = self;
    SG_TRY(sg_gpu_enter(&cuda->gpu));
    return sg_gpu_peak(&cuda->gpu, cuda->weights.units, level_rows, all_rows, rates);
}

static sg_status ceilings(void *self, const sg_ceilings_shape *shape, sg_ceilings *rates)
{
    sg_cuda *cuda = self;
    SG_TRY(sg_gpu_enter(&cuda->gpu));
    return sg_gpu_ceilings(&cuda->gpu, shape, rates);
}

/* ---- the module ---- */

static const sg_backend backend = {
    .shares_prefixes = true,
    .open = open_cuda,
    .close = close_cuda,
    .description = description_of,
    .precision = precision_of,
    .versions = versions_of,
    .load = load,
    .store = store,
    .load_optimizer = load_optimizer,
    .store_optimizer = store_optimizer,
    .gradients = sg_cuda_gradients,
    .store_gradients = store_gradients,
    .apply = apply,
    .begin_step = sg_cuda_begin_step,
    .end_step = end_step,
    .infer = sg_cuda_infer,
    .timing = timing_of,
    .take_times = take_times,
    .peak = peak,
    .ceilings = ceilings,
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
