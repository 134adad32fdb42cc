/* cpu_peak.c: measures how fast this machine's products can be: each shape of a step alone, operands packed,
 * best of several runs. */
#include "engine/cpu/cpu_engine.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/philox.h"
#include <stdlib.h>
#include <string.h>

enum { REPEATS_MIN = 3, REPEATS_MAX = 50, COPY_BLOCK = 1 << 18 };
#define SECONDS_PER_SHAPE 0.6

/* Best rate of C [rows, n] = A [rows, k] B over repeats. */
static sg_status best_rate(sg_packed *b, const void *a, int64_t rows, int64_t k, int64_t n, float *c,
                           double *gflops)
{
    double begin = sg_seconds(), best = 1e30;
    for (int i = 0; i < REPEATS_MAX && (i <= REPEATS_MIN || sg_seconds() - begin < SECONDS_PER_SHAPE); i++) {
        double start = sg_seconds();
        SG_TRY(sg_packed_multiply(b, a, rows, c));
        double seconds = sg_seconds() - start;
        if (i > 0 && seconds < best) /* the first makes the primitive */
            best = seconds;
    }
    *gflops = 2.0 * (double)rows * (double)k * (double)n / best * 1e-9;
    return SG_OK;
}

static sg_status peak_of_shape(sg_cpu *cpu, int64_t rows, int64_t k, int64_t n, double *gflops)
{
    void *a = NULL;
    float *c = NULL;
    sg_packed *b = NULL;
    sg_status status = sg_alloc_bytes(&a, (size_t)(rows * k), cpu->operand_size, "peak of products");
    if (status == SG_OK)
        status = sg_alloc(&c, rows * n, "peak of products");
    if (status == SG_OK)
        status = sg_packed_make(cpu->gemm, k, n, false, &b);
    if (status == SG_OK)
        status = best_rate(b, a, rows, k, n, c, gflops);
    sg_packed_free(b);
    free(c);
    free(a);
    return status;
}

sg_status sg_cpu_peak(void *self, int64_t level_rows, int64_t all_rows, sg_peak *peak)
{
    sg_cpu *cpu = self;
    int64_t h = cpu->spec.units;
    SG_TRY(peak_of_shape(cpu, level_rows, h, 4 * h, &peak->forward));
    SG_TRY(peak_of_shape(cpu, level_rows, 4 * h, h, &peak->backward));
    return peak_of_shape(cpu, h, all_rows, 4 * h, &peak->weights);
}

/* ---- ceilings ---- */

static int compare_doubles(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* Runs `body` shape->repeats times after a warm-up; `seconds` receives the median. */
#define MEDIAN_SECONDS(repeats, times, seconds, body)                       \
    do {                                                                    \
        for (int r_ = -1; r_ < (repeats); r_++) {                           \
            double start_ = sg_seconds();                                   \
            body;                                                           \
            if (r_ >= 0)                                                    \
                (times)[r_] = sg_seconds() - start_;                        \
        }                                                                   \
        qsort((times), (size_t)(repeats), sizeof(double), compare_doubles); \
        (seconds) = (times)[(repeats) / 2];                                 \
    } while (0)

static void fill_random(float *x, int64_t count, uint32_t step)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = sg_random_unit(sg_random_at(1, SG_RANDOM_BENCH, step, (uint64_t)i)) - 0.5f;
}

static void copy_all(const sg_cpu *cpu, float *to, const float *from, int64_t count)
{
#pragma omp parallel for schedule(static) num_threads(cpu->threads)
    for (int64_t b = 0; b < count; b += COPY_BLOCK)
        memcpy(to + b, from + b, (size_t)(count - b < COPY_BLOCK ? count - b : COPY_BLOCK) * sizeof *to);
}

static void all_moments(const sg_cpu *cpu, const float *p, int rows, int columns, double *moments)
{
#pragma omp parallel for schedule(static) num_threads(cpu->threads)
    for (int r = 0; r < rows; r++)
        cpu->row->moments(columns, p + (size_t)r * (size_t)columns, &moments[2 * r], &moments[2 * r + 1]);
}

static sg_status measure_ceilings(sg_cpu *cpu, const sg_ceilings_shape *shape, float *a, float *c,
                                  sg_packed *b, double *moments, double *times, sg_ceilings *ceilings)
{
    int64_t n = shape->size;
    double seconds;
    sg_status status = SG_OK;
    fill_random(a, n * n, 0);
    MEDIAN_SECONDS(shape->repeats, times, seconds, copy_all(cpu, c, a, n * n));
    ceilings->copy_gbs = 2.0 * (double)(n * n) * sizeof(float) / seconds * 1e-9;
    SG_TRY(sg_packed_fill(b, a));
    if (cpu->bf16) {
        cpu->row->to_bf16(n * n, (void *)c, a);
        memcpy(a, c, (size_t)(n * n) * sizeof(uint16_t));
    }
    MEDIAN_SECONDS(shape->repeats, times, seconds, status = sg_packed_multiply(b, a, n, c));
    SG_TRY(status);
    ceilings->gemm_gflops = 2.0 * (double)n * (double)n * (double)n / seconds * 1e-9;
    int64_t values = (int64_t)shape->rows * shape->columns;
    float *p;
    SG_TRY(sg_alloc(&p, values, "ceilings"));
    fill_random(p, values, 1);
    MEDIAN_SECONDS(shape->repeats, times, seconds, all_moments(cpu, p, shape->rows, shape->columns, moments));
    ceilings->moments_gbs = (double)values * sizeof(float) / seconds * 1e-9;
    free(p);
    return SG_OK;
}

sg_status sg_cpu_ceilings(void *self, const sg_ceilings_shape *shape, sg_ceilings *ceilings)
{
    sg_cpu *cpu = self;
    int64_t n = shape->size;
    float *a = NULL, *c = NULL;
    double *moments = NULL, *times = NULL;
    sg_packed *b = NULL;
    sg_status status = sg_alloc(&a, n * n, "ceilings");
    if (status == SG_OK)
        status = sg_alloc(&c, n * n, "ceilings");
    if (status == SG_OK)
        status = sg_alloc(&moments, 2 * (int64_t)shape->rows, "ceilings");
    if (status == SG_OK)
        status = sg_alloc(&times, shape->repeats, "ceilings");
    if (status == SG_OK)
        status = sg_packed_make(cpu->gemm, n, n, false, &b);
    if (status == SG_OK)
        status = measure_ceilings(cpu, shape, a, c, b, moments, times, ceilings);
    sg_packed_free(b);
    free(times);
    free(moments);
    free(c);
    free(a);
    return status;
}
