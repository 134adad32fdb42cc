/* cudnn_lstm.c: one layer of an LSTM, forward and backward.
 *
 * z = W x + R h' + b;  i, f, o = sigmoid(z), g = tanh(z);  c = f c' + i g;  h = o tanh(c).
 * Sums are in float.  With bf16, states and gradients of the sums are rounded when they are stored.
 */
#include "cudnn_emulator.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

float emulator_round(bool bf16, float x)
{
    return bf16 ? emulator_from_bf16(emulator_to_bf16(x)) : x;
}

/* ---- products of row-major matrices ---- */

/* out [n, m] = x [n, k] w^T with w [m, k], or x w with w [k, m] if `plain`; added to out if `add`. */
static void times(const emulator_states *states, float *out, int64_t n, int64_t m, int64_t k, const float *x,
                  const float *w, bool plain, bool add)
{
    emulator_matrix a = {w, EMULATOR_FLOAT, plain ? 1 : k, plain ? m : 1};
    emulator_matrix b = {x, EMULATOR_FLOAT, 1, k};
    emulator_multiply(&(emulator_product){m, n, k, a, b, states->tf32, 1, add ? 1 : 0, out, m});
}

/* out [m, k] = the sum over n of dz [n, m] times x [n, k]. */
static void outer(const emulator_states *states, float *out, int64_t n, int64_t m, int64_t k, const float *dz,
                  const float *x)
{
    emulator_matrix a = {x, EMULATOR_FLOAT, 1, k};
    emulator_matrix b = {dz, EMULATOR_FLOAT, m, 1};
    emulator_multiply(&(emulator_product){k, m, n, a, b, states->tf32, 1, 0, out, k});
}

/* ---- forward ---- */

static float sigmoid(float z)
{
    return 1.0f / (1.0f + expf(-z));
}

/* One row of one step: `gates` holds the sums without bias and gets the activations.  In bf16 cuDNN's kernels
 * keep everything between steps in bf16 and only compute in float. */
static void cell(const emulator_layer *layer, bool bf16, float *gates, float *h, float *c)
{
    int units = layer->units;
    for (int u = 0; u < units; ++u) {
        float *at[4] = {gates + u, gates + units + u, gates + 2 * units + u, gates + 3 * units + u};
        for (int g = 0; g < 4; ++g) {
            float z = emulator_round(bf16, *at[g]) + layer->bias[g * units + u];
            *at[g] = emulator_round(bf16, g == 2 ? tanhf(z) : sigmoid(z));
        }
        c[u] = emulator_round(bf16, *at[1] * c[u] + *at[0] * *at[2]);
        h[u] = emulator_round(bf16, *at[3] * tanhf(c[u]));
    }
}

void emulator_lstm_forward(const emulator_layer *layer, const emulator_states *states, float *hy, float *cy)
{
    size_t units = (size_t)layer->units, rows = (size_t)states->rows;
    int64_t width = 4 * (int64_t)units;
    memcpy(hy, states->hx, rows * units * sizeof(float));
    memcpy(cy, states->cx, rows * units * sizeof(float));
    times(states, states->gates, (int64_t)states->steps * states->rows, width, layer->inputs, states->x,
          layer->input, false, false);
    for (int t = 0; t < states->steps; ++t) {
        size_t first = (size_t)t * rows;
        times(states, states->gates + first * 4 * units, states->rows, width, layer->units, hy,
              layer->recurrent, false, true);
        for (size_t b = 0; b < rows; ++b) {
            float *h = states->h + (first + b) * units, *c = states->c + (first + b) * units;
            bool runs = t < states->length[b];
            if (runs)
                cell(layer, states->bf16, states->gates + (first + b) * 4 * units, hy + b * units,
                     cy + b * units);
            for (size_t u = 0; u < units; ++u) {
                h[u] = runs ? hy[b * units + u] : 0;
                c[u] = runs ? cy[b * units + u] : 0;
            }
        }
    }
}

/* ---- backward ---- */

/* One row of one step: `gates` holds the activations and gets the gradients of the sums; dc is what reaches
 * c, and becomes what reaches the c before. */
static void cell_backward(const emulator_layer *layer, bool bf16, float *gates, const float *c,
                          const float *c_before, const float *dh, const float *dh_state, float *dc)
{
    int units = layer->units;
    for (int u = 0; u < units; ++u) {
        float i = gates[u], f = gates[units + u], g = gates[2 * units + u], o = gates[3 * units + u];
        float y = tanhf(c[u]), d = dh[u] + dh_state[u];
        float e = dc[u] + d * o * (1 - y * y);
        gates[u] = emulator_round(bf16, e * g * i * (1 - i));
        gates[units + u] = emulator_round(bf16, e * c_before[u] * f * (1 - f));
        gates[2 * units + u] = emulator_round(bf16, e * i * (1 - g * g));
        gates[3 * units + u] = emulator_round(bf16, d * y * o * (1 - o));
        dc[u] = emulator_round(bf16, e * f);
    }
}

/* dh_state = what a step's sums pass on to the states before it, for the rows that run. */
static void pass_back(const emulator_layer *layer, const emulator_states *states, int t, float *dh_state,
                      float *passed)
{
    size_t units = (size_t)layer->units, rows = (size_t)states->rows;
    times(states, passed, states->rows, layer->units, 4 * (int64_t)units,
          states->gates + (size_t)t * rows * 4 * units, layer->recurrent, true, false);
    for (size_t b = 0; b < rows; ++b)
        for (size_t u = 0; t < states->length[b] && u < units; ++u)
            dh_state[b * units + u] = emulator_round(states->bf16, passed[b * units + u]);
}

void emulator_lstm_backward(const emulator_layer *layer, const emulator_states *states, const float *dh,
                            float *dh_state, float *dc_state, float *dx)
{
    size_t units = (size_t)layer->units, rows = (size_t)states->rows;
    float *passed = emulator_new(rows * units * sizeof(float));
    for (int t = states->steps - 1; t >= 0; --t) {
        for (size_t b = 0; b < rows; ++b) {
            size_t at = (size_t)t * rows + b;
            float *gates = states->gates + at * 4 * units;
            const float *before = t > 0 ? states->c + (at - rows) * units : states->cx + b * units;
            if (t < states->length[b])
                cell_backward(layer, states->bf16, gates, states->c + at * units, before, dh + at * units,
                              dh_state + b * units, dc_state + b * units);
            else
                memset(gates, 0, 4 * units * sizeof(float));
        }
        pass_back(layer, states, t, dh_state, passed);
    }
    times(states, dx, (int64_t)states->steps * states->rows, layer->inputs, 4 * (int64_t)units, states->gates,
          layer->input, true, false);
    free(passed);
}

void emulator_lstm_weights(const emulator_layer *gradient, const emulator_states *states)
{
    size_t units = (size_t)gradient->units, state = (size_t)states->rows * units;
    int64_t cells = (int64_t)states->steps * states->rows, width = 4 * (int64_t)units;
    float *before = emulator_new((size_t)cells * units * sizeof(float)); /* states before each step */
    memcpy(before, states->hx, state * sizeof(float));
    memcpy(before + state, states->h, ((size_t)cells * units - state) * sizeof(float));
    outer(states, gradient->input, cells, width, gradient->inputs, states->gates, states->x);
    outer(states, gradient->recurrent, cells, width, gradient->units, states->gates, before);
    memset(gradient->bias, 0, 4 * units * sizeof(float));
    for (int64_t n = 0; n < cells; ++n)
        for (int64_t j = 0; j < width; ++j)
            gradient->bias[j] += states->gates[n * width + j];
    free(before);
}
