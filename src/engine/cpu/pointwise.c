#include "engine/cpu/pointwise.h"

#include "engine/cell.h"

/* Sanitizers instrument the resolvers of function clones before their run time is ready. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
#define SG_CLONES __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#else
#define SG_CLONES
#endif

SG_CLONES void sg_row_cell_forward(int units, const float *z, const float *x, const float *bias,
                                   const float *c_before, float *gates, float *c, float *h)
{
#pragma omp simd
    for (int u = 0; u < units; u++) {
        int f = units + u, g = 2 * units + u, o = 3 * units + u;
        sg_cell cell = sg_cell_forward(z[u] + x[u] + bias[u], z[f] + x[f] + bias[f], z[g] + x[g] + bias[g],
                                       z[o] + x[o] + bias[o], c_before[u]);
        gates[u] = cell.i;
        gates[f] = cell.f;
        gates[g] = cell.g;
        gates[o] = cell.o;
        c[u] = cell.c;
        h[u] = cell.h;
    }
}

SG_CLONES void sg_row_cell_backward(int units, float *gates, const float *c, const float *c_before,
                                    const float *dh, const float *dc, float *z_sum, float *c_sum)
{
#pragma omp simd
    for (int u = 0; u < units; u++) {
        int f = units + u, g = 2 * units + u, o = 3 * units + u;
        sg_cell_gradient d =
            sg_cell_backward(gates[u], gates[f], gates[g], gates[o], c[u], c_before[u], dh[u], dc[u]);
        gates[u] = d.zi;
        gates[f] = d.zf;
        gates[g] = d.zg;
        gates[o] = d.zo;
        z_sum[u] += d.zi;
        z_sum[f] += d.zf;
        z_sum[g] += d.zg;
        z_sum[o] += d.zo;
        c_sum[u] += d.c_before;
    }
}

SG_CLONES void sg_row_add(int count, float *to, const float *from)
{
#pragma omp simd
    for (int i = 0; i < count; i++)
        to[i] += from[i];
}

SG_CLONES void sg_row_multiply(int count, float *to, const float *a, const float *b)
{
#pragma omp simd
    for (int i = 0; i < count; i++)
        to[i] = a[i] * b[i];
}

SG_CLONES void sg_row_multiply_add(int count, float *to, const float *a, const float *b)
{
#pragma omp simd
    for (int i = 0; i < count; i++)
        to[i] += a[i] * b[i];
}

SG_CLONES void sg_row_output(int units, const float *o, const float *c, float *h)
{
#pragma omp simd
    for (int u = 0; u < units; u++)
        h[u] = o[u] * sg_tanh(c[u]);
}

SG_CLONES void sg_row_to_bf16(int count, uint16_t *to, const float *from)
{
#pragma omp simd
    for (int i = 0; i < count; i++)
        to[i] = sg_bf16_from_float(from[i]);
}

/* ---- softmax ---- */

/* Adds the bias; returns the largest output, and in *top the lowest place where it stands. */
SG_CLONES static float add_bias(int classes, float *row, const float *bias, int *top)
{
    float max = -INFINITY;
#pragma omp simd reduction(max : max)
    for (int n = 0; n < classes; n++) {
        row[n] += bias[n];
        max = row[n] > max ? row[n] : max;
    }
    int best = 0;
    while (best < classes - 1 && row[best] != max)
        best++;
    *top = best;
    return max;
}

/* Replaces outputs by exp(output - max); returns their sum. */
SG_CLONES static float exponentials(int classes, float *row, float max)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int n = 0; n < classes; n++) {
        row[n] = sg_exp(row[n] - max);
        sum += row[n];
    }
    return sum;
}

SG_CLONES static void scale_row(int count, float *row, float factor)
{
#pragma omp simd
    for (int i = 0; i < count; i++)
        row[i] *= factor;
}

double sg_row_softmax_loss(int classes, float *row, const float *bias, int label, float scale, int *argmax)
{
    float max = add_bias(classes, row, bias, argmax);
    double gap = (double)max - (double)row[label];
    float sum = exponentials(classes, row, max);
    scale_row(classes, row, scale / sum);
    row[label] -= scale;
    return log((double)sum) + gap;
}

void sg_row_softmax(int classes, float *row, const float *bias, int *argmax)
{
    float max = add_bias(classes, row, bias, argmax);
    float sum = exponentials(classes, row, max);
    scale_row(classes, row, 1.0f / sum);
}

/* ---- moments ---- */

SG_CLONES static double row_sum(int count, const float *x)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < count; i++)
        sum += (double)x[i];
    return sum;
}

SG_CLONES void sg_row_moments(int classes, const float *p, double *skewness, double *kurtosis)
{
    double mean = row_sum(classes, p) / classes, m2 = 0, m3 = 0, m4 = 0;
#pragma omp simd reduction(+ : m2, m3, m4)
    for (int n = 0; n < classes; n++) {
        sg_moment_sums s = {0, 0, 0};
        sg_moments_add(&s, (double)p[n], mean);
        m2 += s.m2;
        m3 += s.m3;
        m4 += s.m4;
    }
    sg_moment_sums sums = {m2, m3, m4};
    sg_moments_finish(&sums, classes, skewness, kurtosis);
}

/* ---- weights ---- */

SG_CLONES void sg_range_adam(int64_t count, float *w, float *m, float *v, const float *gradient, float scale,
                             float rate, float beta1, float beta2, float epsilon)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        sg_adam_element(&w[i], &m[i], &v[i], gradient[i] * scale, rate, beta1, beta2, epsilon);
}

SG_CLONES double sg_range_square_sum(int64_t count, const float *x)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

void sg_row_dropout_mask(int units, uint64_t seed, uint32_t update, int64_t row, float rate, float *mask)
{
    uint64_t first = (uint64_t)row * (uint64_t)units;
    for (int u = 0; u < units;) {
        uint64_t index = first + (uint64_t)u;
        sg_random4 words = sg_random_block(seed, SG_RANDOM_DROPOUT, update, index >> 2);
        for (unsigned k = index & 3; k < 4 && u < units; k++)
            mask[u++] = sg_dropout_scale(words.v[k], rate);
    }
}
