/* lstm_reference.h: a stacked LSTM in double precision, written down once more, for one row at a time. */
#ifndef EMULATOR_LSTM_REFERENCE_H
#define EMULATOR_LSTM_REFERENCE_H

#include <math.h>
#include <stdlib.h>

enum { INPUTS = 3, UNITS = 5, LAYERS = 2, STEPS = 4, ROWS = 3, GATES = 4 };

typedef struct {
    double input[LAYERS][GATES][UNITS][UNITS]; /* the first INPUTS columns in layer 0 */
    double recurrent[LAYERS][GATES][UNITS][UNITS];
    double bias[LAYERS][2][GATES][UNITS];
} reference_weights;

typedef struct {
    int length[ROWS];
    double x[STEPS][ROWS][INPUTS];
    double hx[LAYERS][ROWS][UNITS], cx[LAYERS][ROWS][UNITS];
} reference_inputs;

typedef struct {
    double y[STEPS][ROWS][UNITS];
    double hy[LAYERS][ROWS][UNITS], cy[LAYERS][ROWS][UNITS];
} reference_outputs;

static inline double reference_gate(const reference_weights *w, int layer, int gate, int u, const double *x,
                                    const double *h)
{
    double z = w->bias[layer][0][gate][u] + w->bias[layer][1][gate][u];
    for (int j = 0; j < (layer ? UNITS : INPUTS); ++j)
        z += w->input[layer][gate][u][j] * x[j];
    for (int j = 0; j < UNITS; ++j)
        z += w->recurrent[layer][gate][u][j] * h[j];
    return gate == 2 ? tanh(z) : 1 / (1 + exp(-z));
}

static inline void reference_step(const reference_weights *w, int layer, const double *x, double *h,
                                  double *c)
{
    double h_new[UNITS];
    for (int u = 0; u < UNITS; ++u) {
        double i = reference_gate(w, layer, 0, u, x, h), f = reference_gate(w, layer, 1, u, x, h);
        double g = reference_gate(w, layer, 2, u, x, h), o = reference_gate(w, layer, 3, u, x, h);
        c[u] = f * c[u] + i * g;
        h_new[u] = o * tanh(c[u]);
    }
    for (int u = 0; u < UNITS; ++u)
        h[u] = h_new[u];
}

/* y is 0 beyond a row's length. */
static inline void reference_run(const reference_weights *w, const reference_inputs *in,
                                 reference_outputs *out)
{
    *out = (reference_outputs){0};
    for (int b = 0; b < ROWS; ++b) {
        for (int l = 0; l < LAYERS; ++l)
            for (int u = 0; u < UNITS; ++u) {
                out->hy[l][b][u] = in->hx[l][b][u];
                out->cy[l][b][u] = in->cx[l][b][u];
            }
        for (int t = 0; t < in->length[b]; ++t) {
            const double *x = in->x[t][b];
            for (int l = 0; l < LAYERS; ++l) {
                reference_step(w, l, x, out->hy[l][b], out->cy[l][b]);
                x = out->hy[l][b];
            }
            for (int u = 0; u < UNITS; ++u)
                out->y[t][b][u] = x[u];
        }
    }
}

/* What gradients are taken of: the sum of outputs times `factor`. */
static inline double reference_loss(const reference_weights *w, const reference_inputs *in,
                                    const reference_outputs *factor)
{
    reference_outputs out;
    double loss = 0;
    reference_run(w, in, &out);
    const double *a = (const double *)&out, *b = (const double *)factor;
    for (size_t i = 0; i < sizeof(out) / sizeof(double); ++i)
        loss += a[i] * b[i];
    return loss;
}

#endif
