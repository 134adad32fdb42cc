/* pointwise_loops.h: the loops of pointwise.h.  Included by one file for each instruction set, which names
 * the table and is compiled with the matching options; element arithmetic is that of cell.h.
 */
#include "engine/cell.h"
#include "engine/cpu/pointwise.h"

static void cell_forward(int units, const float *z, const float *x, const float *bias, const float *c_before,
                         float *gates, float *c, float *h)
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

static void cell_backward(int units, float *gates, const float *c, const float *c_before, const float *dh,
                          const float *dc, float *z_sum, float *c_sum)
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

static void add(int count, float *to, const float *from)
{
#pragma omp simd
    for (int i = 0; i < count; i++)
        to[i] += from[i];
}

static void multiply(int count, float *to, const float *a, const float *b)
{
#pragma omp simd
    for (int i = 0; i < count; i++)
        to[i] = a[i] * b[i];
}

static void multiply_add(int count, float *to, const float *a, const float *b)
{
#pragma omp simd
    for (int i = 0; i < count; i++)
        to[i] += a[i] * b[i];
}

static void output(int units, const float *o, const float *c, float *h)
{
#pragma omp simd
    for (int u = 0; u < units; u++)
        h[u] = o[u] * sg_tanh(c[u]);
}

static void to_bf16(int64_t count, uint16_t *to, const float *from)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        to[i] = sg_bf16_from_float(from[i]);
}

/* ---- softmax ---- */

/* Adds the bias; returns the largest output, and in *top the lowest place where it stands. */
static float add_bias(int classes, float *row, const float *bias, int *top)
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
static float exponentials(int classes, float *row, float max)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int n = 0; n < classes; n++) {
        row[n] = sg_exp(row[n] - max);
        sum += row[n];
    }
    return sum;
}

static void scale_row(int count, float *row, float factor)
{
#pragma omp simd
    for (int i = 0; i < count; i++)
        row[i] *= factor;
}

static double softmax_loss(int classes, float *row, const float *bias, int label, float scale, int *argmax)
{
    float max = add_bias(classes, row, bias, argmax);
    double gap = (double)max - (double)row[label];
    float sum = exponentials(classes, row, max);
    scale_row(classes, row, scale / sum);
    row[label] -= scale;
    return log((double)sum) + gap;
}

static void softmax(int classes, float *row, const float *bias, int *argmax)
{
    float max = add_bias(classes, row, bias, argmax);
    float sum = exponentials(classes, row, max);
    scale_row(classes, row, 1.0f / sum);
}

/* ---- moments ---- */

static double row_sum(int count, const float *x)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < count; i++)
        sum += (double)x[i];
    return sum;
}

static void moments(int classes, const float *p, double *skewness, double *kurtosis)
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

static void adam(int64_t count, float *w, float *m, float *v, const float *gradient, float scale, float rate,
                 float gain1, float gain2, float epsilon)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        sg_adam_element(&w[i], &m[i], &v[i], gradient[i] * scale, rate, gain1, gain2, epsilon);
}

static double square_sum(int64_t count, const float *x)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

static void dropout_mask(int units, uint64_t seed, uint32_t update, int64_t row, float rate, float *mask)
{
    uint64_t first = (uint64_t)row * (uint64_t)units;
    for (int u = 0; u < units;) {
        uint64_t index = first + (uint64_t)u;
        sg_random4 words = sg_random_block(seed, SG_RANDOM_DROPOUT, update, index >> 2);
        for (unsigned k = index & 3; k < 4 && u < units; k++)
            mask[u++] = sg_dropout_scale(words.v[k], rate);
    }
}

/* In the order of pointwise.h. */
const sg_pointwise SG_POINTWISE_TABLE = {
    SG_POINTWISE_NAME, cell_forward, cell_backward, output,  add,  multiply,   multiply_add,
    to_bf16,           softmax_loss, softmax,       moments, adam, square_sum, dropout_mask};
