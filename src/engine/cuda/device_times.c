/* device_times.c: where the time of a step goes.
 *
 * Kernels other than products are timed in place, between two events.  Events around a product of 10 us would
 * measure the events, so products are only noted while the steps run; once times are collected, those of each
 * phase are launched back to back on operands of their own, often enough to last some milliseconds.
 */
#include "engine/cuda/device.h"

#include "base/memory.h"
#include <stdlib.h>

/* ---- spans ---- */

sg_status sg_gpu_span_begin(sg_gpu *gpu, sg_phase phase)
{
    if (!gpu->timed)
        return SG_OK;
    if (gpu->spans == SG_SPANS_MAX)
        SG_TRY(sg_gpu_collect_spans(gpu));
    if (!gpu->span)
        SG_TRY(sg_alloc(&gpu->span, SG_SPANS_MAX, "times"));
    sg_span *span = &gpu->span[gpu->spans];
    if (gpu->spans == gpu->spans_made) {
        SG_CUDA(cudaEventCreate(&span->begin), "taking times");
        cudaError_t error = cudaEventCreate(&span->end);
        if (error != cudaSuccess) {
            (void)cudaEventDestroy(span->begin);
            SG_CUDA(error, "taking times");
        }
        gpu->spans_made++;
    }
    span->phase = phase;
    SG_CUDA(cudaEventRecord(span->begin, gpu->stream), "taking times");
    return SG_OK;
}

sg_status sg_gpu_span_end(sg_gpu *gpu)
{
    if (!gpu->timed)
        return SG_OK;
    SG_CUDA(cudaEventRecord(gpu->span[gpu->spans].end, gpu->stream), "taking times");
    gpu->spans++;
    return SG_OK;
}

sg_status sg_gpu_collect_spans(sg_gpu *gpu)
{
    SG_TRY(sg_gpu_wait(gpu));
    for (int i = 0; i < gpu->spans; i++) {
        float ms = 0;
        SG_CUDA(cudaEventElapsedTime(&ms, gpu->span[i].begin, gpu->span[i].end), "taking times");
        gpu->timing.seconds[gpu->span[i].phase] += 1e-3 * (double)ms;
    }
    gpu->spans = 0;
    return SG_OK;
}

/* ---- work launched back to back ---- */

static int compare_floats(const void *x, const void *y)
{
    float a = *(const float *)x, b = *(const float *)y;
    return (a > b) - (a < b);
}

/* Milliseconds of `launches` in a row. */
static sg_status time_launches(sg_gpu *gpu, const cudaEvent_t event[2], sg_gpu_work run, const void *context,
                               int launches, float *ms)
{
    SG_CUDA(cudaEventRecord(event[0], gpu->stream), "taking times");
    for (int i = 0; i < launches; i++)
        SG_TRY(run(gpu, context));
    SG_CUDA(cudaEventRecord(event[1], gpu->stream), "taking times");
    SG_CUDA(cudaEventSynchronize(event[1]), "taking times");
    SG_CUDA(cudaEventElapsedTime(ms, event[0], event[1]), "taking times");
    return SG_OK;
}

/* How many launches last SG_BURST_MS; what is run to find out warms up. */
static sg_status choose_launches(sg_gpu *gpu, const cudaEvent_t event[2], sg_gpu_work run,
                                 const void *context, int *launches)
{
    float ms;
    SG_TRY(time_launches(gpu, event, run, context, 1, &ms));
    for (int n = 1; n <= SG_BURST_MOST; n *= 2) {
        *launches = n;
        SG_TRY(time_launches(gpu, event, run, context, n, &ms));
        if (ms >= SG_BURST_MS)
            break;
    }
    return SG_OK;
}

static sg_status take_bursts(sg_gpu *gpu, const cudaEvent_t event[2], sg_gpu_work run, const void *context,
                             int repeats, float *ms, double *seconds)
{
    int launches = 1;
    SG_TRY(choose_launches(gpu, event, run, context, &launches));
    for (int r = 0; r < repeats; r++)
        SG_TRY(time_launches(gpu, event, run, context, launches, &ms[r]));
    qsort(ms, (size_t)repeats, sizeof *ms, compare_floats);
    *seconds = 1e-3 * (double)ms[repeats / 2] / launches;
    return SG_OK;
}

sg_status sg_gpu_median_seconds(sg_gpu *gpu, sg_gpu_work run, const void *context, int repeats,
                                double *seconds)
{
    cudaEvent_t event[2] = {NULL, NULL};
    float *ms;
    SG_TRY(sg_alloc(&ms, repeats, "times"));
    sg_status status = SG_OK;
    for (int i = 0; i < 2 && status == SG_OK; i++) {
        cudaError_t error = cudaEventCreate(&event[i]);
        if (error != cudaSuccess)
            status = sg_cuda_failed((int)error, "taking times", __FILE__, __LINE__);
    }
    if (status == SG_OK)
        status = take_bursts(gpu, event, run, context, repeats, ms, seconds);
    for (int i = 0; i < 2; i++)
        if (event[i])
            (void)cudaEventDestroy(event[i]);
    free(ms);
    return status;
}

/* ---- the products of steps ---- */

enum { PRODUCT_REPEATS = 5 };

typedef struct {
    sg_phase phase;
    void *a, *b;
    float *c;
} product_work;

sg_status sg_gpu_note_product(sg_gpu *gpu, sg_phase phase, const sg_product *product)
{
    if (!gpu->timed)
        return SG_OK;
    if (gpu->products == gpu->products_room) {
        int room = gpu->products_room ? 2 * gpu->products_room : 1024;
        sg_noted_product *grown = realloc(gpu->product, (size_t)room * sizeof *grown);
        if (!grown)
            return sg_fail(SG_E_MEMORY, "times: out of memory");
        gpu->product = grown;
        gpu->products_room = room;
    }
    gpu->product[gpu->products++] = (sg_noted_product){phase, *product};
    return SG_OK;
}

/* All products of a phase, in the order of the steps. */
static sg_status run_products(sg_gpu *gpu, const void *context)
{
    const product_work *w = context;
    for (int i = 0; i < gpu->products; i++) {
        sg_product p = gpu->product[i].product;
        if (gpu->product[i].phase != w->phase)
            continue;
        p.a = w->a;
        p.b = w->b;
        p.c = w->c;
        SG_TRY(sg_gpu_multiply(gpu, &p));
    }
    return SG_OK;
}

/* Elements of the largest A, B and C of a phase; false if it has no products. */
static bool largest_operands(const sg_gpu *gpu, sg_phase phase, int64_t size[3])
{
    size[0] = size[1] = size[2] = 0;
    for (int i = 0; i < gpu->products; i++) {
        const sg_product *p = &gpu->product[i].product;
        if (gpu->product[i].phase != phase)
            continue;
        const int64_t wanted[3] = {(p->transpose_a ? p->k : p->m) * p->lda,
                                   (p->transpose_b ? p->n : p->k) * p->ldb, p->m * p->ldc};
        for (int k = 0; k < 3; k++)
            size[k] = wanted[k] > size[k] ? wanted[k] : size[k];
    }
    return size[2] > 0;
}

static sg_status time_products(sg_gpu *gpu, sg_phase phase)
{
    sg_block block[3] = {{0}};
    int64_t size[3];
    double seconds = 0;
    if (!largest_operands(gpu, phase, size))
        return SG_OK;
    sg_status status = sg_gpu_make_operand(gpu, &block[0], size[0]);
    if (status == SG_OK)
        status = sg_gpu_make_operand(gpu, &block[1], size[1]);
    if (status == SG_OK)
        status = sg_gpu_reserve(gpu, &block[2], (size_t)size[2], sizeof(float), "measurement");
    const product_work work = {.phase = phase, .a = block[0].data, .b = block[1].data, .c = block[2].data};
    if (status == SG_OK)
        status = sg_gpu_median_seconds(gpu, run_products, &work, PRODUCT_REPEATS, &seconds);
    gpu->timing.seconds[phase] += seconds;
    for (int k = 0; k < 3; k++)
        sg_gpu_release(&block[k]);
    return status;
}

sg_status sg_gpu_take_times(sg_gpu *gpu, bool on)
{
    SG_TRY(sg_gpu_collect_spans(gpu));
    gpu->timed = on;
    for (int phase = 0; phase < SG_PHASES; phase++)
        SG_TRY(time_products(gpu, (sg_phase)phase));
    gpu->products = 0;
    return SG_OK;
}
