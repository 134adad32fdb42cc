/* cpu_peak.c: how fast this machine's products can be: each shape of a step alone, operands packed, best of
 * several. */
#include "engine/cpu/cpu_engine.h"

#include "base/log.h"
#include "base/memory.h"
#include <stdlib.h>

enum { REPEATS_MIN = 3, REPEATS_MAX = 50 };
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
