/* device_measure.c: what is measured by launching it back to back, often enough to last some milliseconds:
 * the products of steps, and what the device can do at the most.
 *
 * Events around a product of 10 us would measure the events, so products are only noted while the steps run;
 * once times are collected, those of each phase are launched on operands of their own.
 */
#include "engine/cuda/device.h"

#include "base/memory.h"
#include "base/philox.h"
#include <stdlib.h>

#define BURST_MS 5.0f /* what is measured lasts as long, */
enum { BURST_MOST = 1 << 12, /* or is launched so many times */ REPEATS = 5 };

typedef sg_status (*gpu_work)(sg_gpu *gpu, const void *context);

/* ---- work launched back to back ---- */

static int compare_floats(const void *x, const void *y)
{
    float a = *(const float *)x, b = *(const float *)y;
    return (a > b) - (a < b);
}

/* Milliseconds of `launches` in a row. */
static sg_status time_launches(sg_gpu *gpu, const cudaEvent_t event[2], gpu_work run, const void *context,
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

/* How many launches last BURST_MS; what is run to find out warms up. */
static sg_status choose_launches(sg_gpu *gpu, const cudaEvent_t event[2], gpu_work run, const void *context,
                                 int *launches)
{
    float ms;
    SG_TRY(time_launches(gpu, event, run, context, 1, &ms));
    for (int n = 1; n <= BURST_MOST; n *= 2) {
        *launches = n;
        SG_TRY(time_launches(gpu, event, run, context, n, &ms));
        if (ms >= BURST_MS)
            break;
    }
    return SG_OK;
}

static sg_status take_bursts(sg_gpu *gpu, const cudaEvent_t event[2], gpu_work run, const void *context,
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

/* Seconds of one `run`: of `repeats` bursts of runs launched back to back, between two events each, the
 * median. */
static sg_status median_seconds(sg_gpu *gpu, gpu_work run, const void *context, int repeats, double *seconds)
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

/* ---- operands ---- */

/* Fills `count` elements of a fresh block with random operands in [-0.5, 0.5). */
static sg_status make_operand(sg_gpu *gpu, sg_block *block, int64_t count)
{
    enum { PIECE = 1 << 20 };
    sg_block piece = {0};
    float *host;
    int64_t size = count < PIECE ? count : PIECE;
    SG_TRY(sg_gpu_reserve(gpu, block, (size_t)count, gpu->operand_size, "operands of a measurement"));
    SG_TRY(sg_alloc(&host, size, "operands of a measurement"));
    for (int64_t i = 0; i < size; i++)
        host[i] = sg_random_unit(sg_random_at(1, SG_RANDOM_BENCH, 0, (uint64_t)i)) - 0.5f;
    sg_status status = sg_gpu_reserve(gpu, &piece, (size_t)size, sizeof *host, "operands of a measurement");
    cudaError_t error = cudaSuccess;
    if (status == SG_OK)
        error = cudaMemcpyAsync(piece.data, host, (size_t)size * sizeof *host, cudaMemcpyHostToDevice,
                                gpu->stream);
    for (int64_t at = 0; status == SG_OK && error == cudaSuccess && at < count; at += size)
        error = (cudaError_t)sg_kernel_convert(
            count - at < size ? count - at : size, piece.data, SG_OPERAND_FLOAT,
            (char *)block->data + (size_t)at * gpu->operand_size, gpu->operand, gpu->stream);
    if (status == SG_OK && error != cudaSuccess)
        status = sg_cuda_failed((int)error, "operands of a measurement", __FILE__, __LINE__);
    if (status == SG_OK)
        status = sg_gpu_wait(gpu);
    sg_gpu_release(&piece);
    free(host);
    return status;
}

/* ---- the products of steps ---- */

typedef struct {
    sg_phase phase;
    void *a, *b;
    float *c;
} product_work;

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
    sg_status status = make_operand(gpu, &block[0], size[0]);
    if (status == SG_OK)
        status = make_operand(gpu, &block[1], size[1]);
    if (status == SG_OK)
        status = sg_gpu_reserve(gpu, &block[2], (size_t)size[2], sizeof(float), "measurement");
    const product_work work = {.phase = phase, .a = block[0].data, .b = block[1].data, .c = block[2].data};
    if (status == SG_OK)
        status = median_seconds(gpu, run_products, &work, REPEATS, &seconds);
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

/* ---- what the device can do ---- */

static sg_status run_product(sg_gpu *gpu, const void *context)
{
    return sg_gpu_multiply(gpu, context);
}

/* Rate of one product, in GFLOP/s; a, b and c of `shape` are set here. */
static sg_status product_rate(sg_gpu *gpu, sg_product shape, int repeats, double *gflops)
{
    sg_block a = {0}, b = {0}, c = {0};
    double seconds = 0;
    sg_status status = sg_gpu_check_product(&shape);
    if (status == SG_OK)
        status = make_operand(gpu, &a, shape.m * shape.k);
    if (status == SG_OK)
        status = make_operand(gpu, &b, shape.k * shape.n);
    if (status == SG_OK)
        status = sg_gpu_reserve(gpu, &c, (size_t)(shape.m * shape.n), sizeof(float), "measurement");
    shape.a = a.data;
    shape.b = b.data;
    shape.c = c.data;
    if (status == SG_OK)
        status = median_seconds(gpu, run_product, &shape, repeats, &seconds);
    if (status == SG_OK)
        *gflops = 2e-9 * (double)shape.m * (double)shape.n * (double)shape.k / seconds;
    sg_gpu_release(&a);
    sg_gpu_release(&b);
    sg_gpu_release(&c);
    return status;
}

sg_status sg_gpu_peak(sg_gpu *gpu, int64_t units, int64_t level_rows, int64_t all_rows, sg_peak *peak)
{
    int64_t h = units, gates = 4 * units;
    const sg_product forward = {.m = level_rows, .n = gates, .k = h, .lda = h, .ldb = gates, .ldc = gates};
    const sg_product backward = {
        .transpose_b = true, .m = level_rows, .n = h, .k = gates, .lda = gates, .ldb = gates, .ldc = h};
    const sg_product weights = {
        .transpose_a = true, .m = h, .n = gates, .k = all_rows, .lda = h, .ldb = gates, .ldc = gates};
    SG_TRY(product_rate(gpu, forward, REPEATS, &peak->forward));
    SG_TRY(product_rate(gpu, backward, REPEATS, &peak->backward));
    return product_rate(gpu, weights, REPEATS, &peak->weights);
}

typedef struct {
    void *from, *to;
    size_t bytes;
    int rows, columns;
    double *skewness, *kurtosis;
} memory_work;

static sg_status run_copy(sg_gpu *gpu, const void *context)
{
    const memory_work *w = context;
    SG_CUDA(cudaMemcpyAsync(w->to, w->from, w->bytes, cudaMemcpyDeviceToDevice, gpu->stream), "a copy");
    return SG_OK;
}

static sg_status run_moments(sg_gpu *gpu, const void *context)
{
    const memory_work *w = context;
    SG_CUDA(
        sg_kernel_moments(w->rows, w->columns, w->columns, w->from, w->skewness, w->kurtosis, gpu->stream),
        "moments");
    return SG_OK;
}

static sg_status memory_rates(sg_gpu *gpu, const sg_ceilings_shape *shape, sg_block block[4],
                              sg_ceilings *ceilings)
{
    size_t size = (size_t)shape->size * (size_t)shape->size * sizeof(float) / gpu->operand_size;
    size_t values = (size_t)shape->rows * (size_t)shape->columns;
    double seconds = 0;
    SG_TRY(make_operand(gpu, &block[0], (int64_t)size));
    SG_TRY(sg_gpu_reserve(gpu, &block[1], size, gpu->operand_size, "measurement"));
    memory_work w = {.from = block[0].data, .to = block[1].data, .bytes = size * gpu->operand_size};
    SG_TRY(median_seconds(gpu, run_copy, &w, shape->repeats, &seconds));
    ceilings->copy_gbs = 2e-9 * (double)w.bytes / seconds;
    SG_TRY(make_operand(gpu, &block[2], (int64_t)(values * sizeof(float) / gpu->operand_size)));
    SG_TRY(sg_gpu_reserve(gpu, &block[3], 2 * (size_t)shape->rows, sizeof(double), "measurement"));
    w = (memory_work){.from = block[2].data,
                      .rows = shape->rows,
                      .columns = shape->columns,
                      .skewness = block[3].data,
                      .kurtosis = (double *)block[3].data + shape->rows};
    SG_TRY(median_seconds(gpu, run_moments, &w, shape->repeats, &seconds));
    ceilings->moments_gbs = 1e-9 * (double)(values * sizeof(float)) / seconds;
    return SG_OK;
}

sg_status sg_gpu_ceilings(sg_gpu *gpu, const sg_ceilings_shape *shape, sg_ceilings *ceilings)
{
    sg_block block[4] = {{0}};
    int64_t n = shape->size;
    const sg_product square = {.m = n, .n = n, .k = n, .lda = n, .ldb = n, .ldc = n};
    sg_status status = memory_rates(gpu, shape, block, ceilings);
    for (int i = 0; i < 4; i++)
        sg_gpu_release(&block[i]);
    return status == SG_OK ? product_rate(gpu, square, shape->repeats, &ceilings->gemm_gflops) : status;
}
