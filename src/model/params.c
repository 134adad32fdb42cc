#include "model/params.h"

#include "base/memory.h"
#include "base/philox.h"
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>

/* OpenBLAS splits work by thread count, which changes the last bits; the weights must not depend on it. */
extern void openblas_set_num_threads(int) __attribute__((weak));

sg_status sg_params_alloc(sg_params *params, const sg_spec *spec)
{
    sg_layout_make(&params->layout, spec);
    return sg_alloc(&params->data, params->layout.count, "weights");
}

void sg_params_free(sg_params *params)
{
    free(params->data);
    params->data = NULL;
}

sg_status sg_params_check_finite(const sg_params *params)
{
    for (int k = 0; k < params->layout.tensors; k++) {
        const sg_tensor *t = &params->layout.tensor[k];
        const float *x = params->data + t->offset;
        for (size_t i = 0; i < t->count; i++)
            if (!isfinite(x[i]))
                return sg_fail(SG_E_NUMERIC, "%s holds a value that is not finite (element %zu)", t->name, i);
    }
    return SG_OK;
}

/* ---- starting weights ---- */

static void fill_glorot(float *w, int64_t fan_in, int64_t fan_out, uint64_t seed, uint32_t tensor)
{
    double limit = sqrt(6.0 / (double)(fan_in + fan_out));
    size_t count = (size_t)(fan_in * fan_out);
    for (size_t i = 0; i < count; i++) {
        double u = sg_random_unit(sg_random_at(seed, SG_RANDOM_INIT, tensor, i));
        w[i] = (float)(limit * (2 * u - 1));
    }
}

/* Standard normals by Box and Muller, pair i from random words 2i and 2i+1. */
static void fill_normal(float *w, size_t count, double scale, uint64_t seed, uint32_t tensor)
{
    for (size_t i = 0; i < count; i += 2) {
        double u = ((double)sg_random_at(seed, SG_RANDOM_INIT, tensor, i) + 1) * 0x1p-32;
        double angle = 2 * M_PI * sg_random_at(seed, SG_RANDOM_INIT, tensor, i + 1) * 0x1p-32;
        double radius = scale * sqrt(-2 * log(u));
        w[i] = (float)(radius * cos(angle));
        if (i + 1 < count)
            w[i + 1] = (float)(radius * sin(angle));
    }
}

/* R [H, 4H] with orthonormal rows: the transposed Q of the QR factors of a normal [4H, H] matrix, with signs
 * chosen so that R's diagonal is positive (Keras' Orthogonal).  Row-major [H, 4H] is column-major [4H, H]: no
 * transposition is needed. */
static sg_status fill_orthogonal(float *w, int units, uint64_t seed, uint32_t tensor)
{
    int rows = 4 * units;
    float *tau = NULL, *sign = NULL;
    sg_status status = sg_alloc(&tau, units, "orthogonal weights");
    if (status == SG_OK)
        status = sg_alloc(&sign, units, "orthogonal weights");
    if (status == SG_OK) {
        if (openblas_set_num_threads)
            openblas_set_num_threads(1);
        fill_normal(w, (size_t)rows * units, 1.0, seed, tensor);
        int info = LAPACKE_sgeqrf(LAPACK_COL_MAJOR, rows, units, w, rows, tau);
        for (int j = 0; j < units; j++)
            sign[j] = w[(size_t)j * rows + j] < 0 ? -1.0f : 1.0f;
        if (info == 0)
            info = LAPACKE_sorgqr(LAPACK_COL_MAJOR, rows, units, units, w, rows, tau);
        if (info != 0)
            status =
                sg_fail(SG_E_INTERNAL, "LAPACK could not orthogonalise a recurrent kernel (info %d)", info);
        for (int j = 0; j < units; j++)
            for (int i = 0; i < rows; i++)
                w[(size_t)j * rows + i] *= sign[j];
    }
    free(sign);
    free(tau);
    return status;
}

/* Tallec and Ollivier, "Can recurrent neural networks warp time?" (ICLR 2018): forget biases log U(1, L-1),
 * input biases their negatives. */
static void fill_chrono(float *bias, int units, int max_length, uint64_t seed, uint32_t tensor)
{
    double span = max_length > 2 ? max_length - 2 : 0;
    for (int u = 0; u < units; u++) {
        double x = sg_random_unit(sg_random_at(seed, SG_RANDOM_INIT, tensor, (uint64_t)u));
        bias[units + u] = (float)log(1 + span * x);
        bias[u] = -bias[units + u];
    }
}

sg_status sg_params_init(sg_params *params, const sg_spec *spec, const sg_init_options *options)
{
    const sg_layout *at = &params->layout;
    int64_t gates = 4 * (int64_t)spec->units;
    for (int l = 0; l < spec->layers; l++) {
        uint32_t recurrent = (uint32_t)at->recurrent[l];
        fill_glorot(sg_params_at(params, at->kernel[l]), l == 0 ? spec->message_types : spec->units, gates,
                    options->seed, (uint32_t)at->kernel[l]);
        if (options->recurrent == SG_RECURRENT_ORTHOGONAL)
            SG_TRY(fill_orthogonal(sg_params_at(params, at->recurrent[l]), spec->units, options->seed,
                                   recurrent));
        else
            fill_normal(sg_params_at(params, at->recurrent[l]), (size_t)gates * (size_t)spec->units,
                        1 / sqrt(spec->units), options->seed, recurrent);
        float *bias = sg_params_at(params, at->bias[l]);
        for (int u = 0; u < spec->units; u++)
            bias[spec->units + u] = (float)options->forget_bias;
        if (options->chrono)
            fill_chrono(bias, spec->units, spec->max_length, options->seed, (uint32_t)at->bias[l]);
    }
    fill_glorot(sg_params_at(params, at->dense_kernel), spec->units, spec->classes, options->seed,
                (uint32_t)at->dense_kernel);
    return SG_OK;
}
