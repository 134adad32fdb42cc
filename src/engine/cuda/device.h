/* device.h: what both GPU engines stand on: one stream and one cuBLAS handle of one device, memory that
 * grows, products, weights in padded layout, Adam, steps in flight, times by phase.
 *
 * Every call's status is checked.  Errors of the driver become SG_E_DEVICE, a full device SG_E_MEMORY, each
 * with one sentence that names what was being done.
 */
#ifndef SG_ENGINE_CUDA_DEVICE_H
#define SG_ENGINE_CUDA_DEVICE_H

#include "engine/engine.h"
#include "kernels/kernels.h"
#include <cublas_v2.h>
#include <cuda_runtime_api.h>

/* Turns a failed call into a status; `what` is "copying a batch to the device" and the like. */
sg_status sg_cuda_failed(int error, const char *what, const char *file, int line);
sg_status sg_cublas_failed(int error, const char *what, const char *file, int line);

#define SG_CUDA(call, what)                                              \
    do {                                                                 \
        int sg_cuda_ = (int)(call);                                      \
        if (sg_cuda_ != 0)                                               \
            return sg_cuda_failed(sg_cuda_, (what), __FILE__, __LINE__); \
    } while (0)

#define SG_CUBLAS(call, what)                                                \
    do {                                                                     \
        int sg_cublas_ = (int)(call);                                        \
        if (sg_cublas_ != 0)                                                 \
            return sg_cublas_failed(sg_cublas_, (what), __FILE__, __LINE__); \
    } while (0)

/* ---- the device ---- */

enum { SG_SPANS_MAX = 4096, SG_STAGES = 2 };

/* A stretch of a step's work, between two events, while times are taken. */
typedef struct {
    cudaEvent_t begin, end;
    sg_phase phase;
} sg_span;

typedef struct sg_noted_product sg_noted_product; /* a product of a step, while times are taken */

/* Page-locked memory from which a batch is copied; free again when `copied` has passed. */
typedef struct {
    char *host;
    size_t capacity, used;
    cudaEvent_t copied;
    bool busy;
} sg_stage;

typedef struct {
    int index;
    struct cudaDeviceProp properties;
    sg_precision precision; /* fp32, tf32 or bf16 */
    sg_operand operand;
    size_t operand_size; /* 4, or 2 for bf16 */
    cudaStream_t stream;
    cublasHandle_t cublas;
    void *workspace; /* of cuBLAS: with one of its own, results are the same from run to run */
    sg_stage stage[SG_STAGES];
    int next_stage;
    bool timed;    /* whether spans are recorded and products noted */
    sg_span *span; /* [SG_SPANS_MAX] */
    int spans, spans_made;
    sg_noted_product *product; /* [products_room] */
    int products, products_room;
    sg_timing timing;
} sg_gpu;

/* Number of devices a module can use, and why not if there are none: "no NVIDIA driver is loaded", ... */
sg_status sg_gpu_count(int *count);

/* One line on device `index`: name, architecture, memory, driver and CUDA versions; SG_E_DEVICE if it is too
 * old (below sm_75) or not there. */
sg_status sg_gpu_describe(int index, char *text, size_t size);

/* Opens device `index`; checks that it can compute in `precision` (auto: bf16 from sm_80 on, else fp32). */
sg_status sg_gpu_open(sg_gpu *gpu, int index, sg_precision precision);
void sg_gpu_close(sg_gpu *gpu); /* a zeroed struct is fine */

const char *sg_gpu_precision_name(const sg_gpu *gpu);

/* Makes the device current in this thread: at the start of every call from outside. */
sg_status sg_gpu_enter(const sg_gpu *gpu);

/* Waits for everything enqueued; errors of kernels surface here. */
sg_status sg_gpu_wait(const sg_gpu *gpu);

/* ---- memory ---- */

/* Device memory that grows: *memory is replaced by at least `count` elements of `size` bytes if *capacity is
 * less; what was in it is lost.  Waits for the stream before it frees.  SG_E_MEMORY says how much of `what`
 * was wanted and how much is free. */
typedef struct {
    void *data;
    size_t bytes;
} sg_block;

sg_status sg_gpu_reserve(sg_gpu *gpu, sg_block *block, size_t count, size_t size, const char *what);
void sg_gpu_release(sg_block *block);

/* Collects host arrays in page-locked memory, then copies them to `block` in one piece.  Begin with `bytes`
 * as the sum of sg_gpu_stage_size() of all parts; each add returns where the part will lie on the device. */
size_t sg_gpu_stage_size(size_t bytes);
sg_status sg_gpu_stage_begin(sg_gpu *gpu, sg_block *block, size_t bytes);
const void *sg_gpu_stage_add(sg_gpu *gpu, const sg_block *block, const void *from, size_t bytes);
/* The same for a part the caller fills: *host is where. */
const void *sg_gpu_stage_room(sg_gpu *gpu, const sg_block *block, size_t bytes, void **host);
sg_status sg_gpu_stage_copy(sg_gpu *gpu, const sg_block *block);

/* ---- products ---- */

/* C [m, n] = op(A) op(B), row-major, k the inner size; A, B operands, C float.  Transposed: A is stored
 * [k, m], B [n, k].  lda, ldb, ldc: distances of stored rows.  m or n of 0 does nothing, k of 0 zeroes C
 * (ldc = n then). */
typedef struct {
    bool transpose_a, transpose_b;
    int64_t m, n, k;
    const void *a;
    int64_t lda;
    const void *b;
    int64_t ldb;
    float *c;
    int64_t ldc;
} sg_product;

sg_status sg_gpu_product(sg_gpu *gpu, sg_phase phase, const sg_product *product);

/* SG_E_CONFIG if a size does not fit an int, which is what cuBLAS has. */
sg_status sg_gpu_check_product(const sg_product *product);

/* The product without an account of it; m, n and k of at least 1, checked. */
sg_status sg_gpu_multiply(sg_gpu *gpu, const sg_product *product);

/* ---- times ---- */

struct sg_noted_product {
    sg_phase phase;
    sg_product product; /* whose operands may be gone */
};

/* Around work of one phase; costs nothing unless gpu->timed.  Not for products. */
sg_status sg_gpu_span_begin(sg_gpu *gpu, sg_phase phase);
sg_status sg_gpu_span_end(sg_gpu *gpu);

/* Adds the spans recorded so far to gpu->timing; waits for the stream. */
sg_status sg_gpu_collect_spans(sg_gpu *gpu);

/* sg_backend.take_times, the same for both engines: collects spans, times the products noted, then switches.
 */
sg_status sg_gpu_take_times(sg_gpu *gpu, bool on);

/* ---- weights ---- */

/* Where a tensor of model/params.h lies on the device: `chunks` pieces of `width` floats, `pitch` apart. */
typedef struct {
    size_t offset; /* in floats */
    int64_t chunks, width, pitch;
    size_t host_offset;
} sg_weight_tensor;

typedef struct {
    sg_spec spec;
    sg_layout layout;                        /* of the host */
    int units, classes;                      /* padded: H and N as the device sees them */
    sg_weight_tensor tensor[SG_TENSORS_MAX]; /* numbered as in `layout` */
    size_t count;                            /* floats, padding included; the same for w, m, v, gradient */
    float *w, *m, *v, *gradient;             /* device; v and m from the first update on */
    uint16_t *w_bf16;                        /* device; with bf16 operands only */
    double *norm_partial;
    sg_block block[6]; /* owners of the above */
    bool has_gradient;
} sg_weights;

/* Units and classes are rounded up to `multiple` (1: as they are); the padding is zero and stays zero. */
sg_status sg_weights_open(sg_weights *weights, sg_gpu *gpu, const sg_spec *spec, int multiple);
void sg_weights_close(sg_weights *weights);

/* Device address of tensor `number` within an array of weights->count floats. */
static inline float *sg_weights_at(const sg_weights *weights, float *array, int number)
{
    return array + weights->tensor[number].offset;
}

/* The same tensor as an operand of products: bf16 copy or the weights themselves. */
const void *sg_weights_operand(const sg_weights *weights, const sg_gpu *gpu, int number);

sg_status sg_weights_load(sg_weights *weights, sg_gpu *gpu, const float *host);
sg_status sg_weights_store(const sg_weights *weights, sg_gpu *gpu, float *host);
sg_status sg_weights_load_optimizer(sg_weights *weights, sg_gpu *gpu, const float *m, const float *v);
sg_status sg_weights_store_optimizer(sg_weights *weights, sg_gpu *gpu, float *m, float *v);
sg_status sg_weights_store_gradient(const sg_weights *weights, sg_gpu *gpu, float *host);

/* Enqueues norm, clipping and Adam; weights change only if outcome->failed is 0. */
sg_status sg_weights_adam(sg_weights *weights, sg_gpu *gpu, const sg_adam *adam, sg_outcome *outcome);

/* ---- steps in flight ---- */

enum { SG_STEPS_MAX = 2 };

typedef struct {
    sg_outcome *device; /* one, reused by all steps */
    sg_outcome *host;   /* [SG_STEPS_MAX] page-locked */
    cudaEvent_t done[SG_STEPS_MAX];
    int first, count; /* of those enqueued and not collected */
} sg_steps;

sg_status sg_steps_open(sg_steps *steps, sg_gpu *gpu);
void sg_steps_close(sg_steps *steps);

/* Enqueues the copy of the outcome of the step just enqueued. */
sg_status sg_steps_push(sg_steps *steps, sg_gpu *gpu);

/* Waits for the oldest step.  A loss or gradient that was not finite is SG_E_NUMERIC: neither that step nor
 * the later ones changed the weights, and those are dropped. */
sg_status sg_steps_pop(sg_steps *steps, sg_gpu *gpu, sg_step_result *result, double *norm);

/* Drops steps that were enqueued, and forgets a failure; waits. */
sg_status sg_steps_reset(sg_steps *steps, sg_gpu *gpu);

/* ---- measurements ---- */

/* Versions of the driver, CUDA and cuBLAS; that of cuDNN is left as it is. */
void sg_gpu_versions(const sg_gpu *gpu, sg_versions *versions);

/* sg_backend.peak and .ceilings, the same for both engines. */
sg_status sg_gpu_peak(sg_gpu *gpu, int64_t units, int64_t level_rows, int64_t all_rows, sg_peak *peak);
sg_status sg_gpu_ceilings(sg_gpu *gpu, const sg_ceilings_shape *shape, sg_ceilings *ceilings);

#endif
