/* cell.h: the arithmetic of one element, shared by the CPU loops and the CUDA kernels.
 *
 * LSTM cell (Keras): i, f, o = sigmoid(z), g = tanh(z), c' = f c + i g, h' = o tanh(c').  exp and tanh are
 * written without branches, so that host compilers vectorise the loops around them and every engine rounds
 * the same way.
 */
#ifndef SG_ENGINE_CELL_H
#define SG_ENGINE_CELL_H

#include "base/philox.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* ---- elementary functions ---- */

SG_HD float sg_float_from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

SG_HD uint32_t sg_bits_from_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* exp(x) to 2 ulp for |x| <= 87; clamped beyond.  NaN stays NaN. */
SG_HD float sg_exp(float x)
{
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    /* x = n ln 2 + r: adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits. */
    float shifted = x * 1.44269504088896341f + 12582912.0f;
    float n = shifted - 12582912.0f;
    float r = x - n * 0.693145751953125f - n * 1.42860682030941723e-6f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    return p * sg_float_from_bits((sg_bits_from_float(shifted) + 127u) << 23);
}

/* 1/x for 1 <= x < 2^127.  A GPU's division branches to a slow path for numbers that do not occur here, and
 * the branches keep the units of a thread from overlapping.  The approximation and one Newton step avoid
 * branches.
 */
SG_HD float sg_reciprocal(float x)
{
#ifdef __CUDA_ARCH__
    float r;
    asm("rcp.approx.f32 %0, %1;" : "=f"(r) : "f"(x));
    return fmaf(r, fmaf(-x, r, 1.0f), r);
#else
    return 1.0f / x;
#endif
}

SG_HD float sg_sigmoid(float x)
{
    return sg_reciprocal(1.0f + sg_exp(-x));
}

/* tanh(x) to 3 ulp: an odd polynomial near 0, 1 - 2/(exp(2|x|) + 1) elsewhere. */
SG_HD float sg_tanh(float x)
{
    float a = x < 0 ? -x : x, z = x * x;
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    float near_zero = p * z * x + x;
    float far = 1.0f - 2.0f * sg_reciprocal(sg_exp(2.0f * a) + 1.0f);
    far = x < 0 ? -far : far;
    return a < 0.625f ? near_zero : far;
}

/* The nearest bfloat16, ties to even; NaN stays NaN. */
SG_HD uint16_t sg_bf16_from_float(float x)
{
    uint32_t bits = sg_bits_from_float(x);
    uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? (bits >> 16) | 0x40u : rounded);
}

SG_HD float sg_float_from_bf16(uint16_t x)
{
    return sg_float_from_bits((uint32_t)x << 16);
}

/* ---- the LSTM cell ---- */

typedef struct {
    float i, f, g, o; /* after sigmoid and tanh */
    float c, h;
} sg_cell;

/* One unit forward: z are the sums of input, recurrent and bias terms, c_before the cell state of the parent.
 */
SG_HD sg_cell sg_cell_forward(float zi, float zf, float zg, float zo, float c_before)
{
    sg_cell cell;
    cell.i = sg_sigmoid(zi);
    cell.f = sg_sigmoid(zf);
    cell.g = sg_tanh(zg);
    cell.o = sg_sigmoid(zo);
    cell.c = cell.f * c_before + cell.i * cell.g;
    cell.h = cell.o * sg_tanh(cell.c);
    return cell;
}

typedef struct {
    float zi, zf, zg, zo; /* gradients of the sums */
    float c_before;       /* gradient of the parent's cell state */
} sg_cell_gradient;

/* One unit backward: dh and dc are the gradients that reach h and c from later steps and from the head. */
SG_HD sg_cell_gradient sg_cell_backward(float i, float f, float g, float o, float c, float c_before, float dh,
                                        float dc)
{
    sg_cell_gradient d;
    float tc = sg_tanh(c);
    float dc_all = dc + dh * o * (1.0f - tc * tc);
    d.zo = dh * tc * o * (1.0f - o);
    d.zi = dc_all * g * i * (1.0f - i);
    d.zf = dc_all * c_before * f * (1.0f - f);
    d.zg = dc_all * i * (1.0f - g * g);
    d.c_before = dc_all * f;
    return d;
}

/* ---- dropout ---- */

/* The mask of element `index` = row * H + unit from its random word: 0, or 1/(1 - rate). */
SG_HD float sg_dropout_scale(uint32_t bits, float rate)
{
    return sg_random_unit(bits) < rate ? 0.0f : 1.0f / (1.0f - rate);
}

/* ---- moments ---- */

/* Central sums of one row of outputs, in double. */
typedef struct {
    double m2, m3, m4;
} sg_moment_sums;

SG_HD void sg_moments_add(sg_moment_sums *sums, double p, double mean)
{
    double d = p - mean, d2 = d * d;
    sums->m2 += d2;
    sums->m3 += d2 * d;
    sums->m4 += d2 * d2;
}

/* Skewness and non-excess kurtosis (biased), divided by their maxima over n outputs, reached by a one-hot
 * row: (n-2)/sqrt(n-1) and (n^2-3n+3)/(n-1).  A constant row has none; it counts as 0, 0, the least certain
 * result. */
SG_HD void sg_moments_finish(const sg_moment_sums *sums, double n, double *skewness, double *kurtosis)
{
    double variance = sums->m2 / n;
    if (!(variance > 0)) {
        *skewness = *kurtosis = 0;
        return;
    }
    *skewness = sums->m3 / n / (variance * sqrt(variance)) * sqrt(n - 1) / (n - 2);
    *kurtosis = sums->m4 / n / (variance * variance) * (n - 1) / (n * n - 3 * n + 3);
}

/* ---- Adam ---- */

/* Keras' form, rate = lr sqrt(1 - b2^t)/(1 - b1^t).  gain1 = 1 - b1 and gain2 = 1 - b2, subtracted in double:
 * in float, 1 - 0.999 is off by 1e-5 of itself. */
SG_HD void sg_adam_element(float *w, float *m, float *v, float gradient, float rate, float gain1, float gain2,
                           float epsilon)
{
    *m += gain1 * (gradient - *m);
    *v += gain2 * (gradient * gradient - *v);
    *w -= rate * *m / (sqrtf(*v) + epsilon);
}

#endif
