/* onnx.c: writes the network, and what its outputs mean, as an ONNX graph.
 *
 * tokens [batch, L] are type ids, a dialog followed by zeros, whatever the padding of the model: the graph
 * moves the zeros to the front (pre) or gives the LSTM the lengths (mask).  Ids become one-hot rows by Gather
 * from a table whose row 0 is zero, so an id above M is an error instead of passing unnoticed.  The moments
 * are computed in double, as engine/cell.h does.
 */
#include "base/memory.h"
#include "export/description.h"
#include "export/export.h"
#include "export/onnx_graph.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Weights in the layouts of the ONNX operators. */
typedef struct {
    float *one_hot;                                         /* [M + 1, M] */
    float *input[SG_LAYERS_MAX], *recurrent[SG_LAYERS_MAX]; /* [1, 4H, in], [1, 4H, H] */
    float *bias[SG_LAYERS_MAX];                             /* [1, 8H] */
} onnx_weights;

static void free_weights(onnx_weights *w)
{
    free(w->one_hot);
    for (int l = 0; l < SG_LAYERS_MAX; l++) {
        free(w->input[l]);
        free(w->recurrent[l]);
        free(w->bias[l]);
    }
}

/* The position of Keras' gates i, f, c, o among ONNX's i, o, f, c. */
static const int gate_place[4] = {0, 2, 3, 1};

/* [rows, 4H] in Keras' order to its transpose [4H, rows] in that of ONNX. */
static void transpose_gates(const float *from, int64_t rows, int64_t units, float *to)
{
    for (int64_t r = 0; r < rows; r++)
        for (int g = 0; g < 4; g++)
            for (int64_t u = 0; u < units; u++)
                to[(gate_place[g] * units + u) * rows + r] = from[(r * 4 + g) * units + u];
}

static sg_status convert_weights(const sg_model *model, onnx_weights *w)
{
    const sg_layout *layout = &model->params.layout;
    const int64_t types = model->spec.message_types, units = model->spec.units;
    SG_TRY(sg_alloc(&w->one_hot, (types + 1) * types, "one-hot rows"));
    for (int64_t m = 0; m < types; m++)
        w->one_hot[(m + 1) * types + m] = 1;
    for (int l = 0; l < model->spec.layers; l++) {
        const int64_t in = l ? units : types;
        SG_TRY(sg_alloc(&w->input[l], 4 * units * in, "ONNX weights"));
        SG_TRY(sg_alloc(&w->recurrent[l], 4 * units * units, "ONNX weights"));
        SG_TRY(sg_alloc(&w->bias[l], 8 * units, "ONNX weights"));
        transpose_gates(sg_params_at(&model->params, layout->kernel[l]), in, units, w->input[l]);
        transpose_gates(sg_params_at(&model->params, layout->recurrent[l]), units, units, w->recurrent[l]);
        /* The second half, a bias of the recurrent product, is zero. */
        transpose_gates(sg_params_at(&model->params, layout->bias[l]), 1, units, w->bias[l]);
    }
    return SG_OK;
}

/* ---- the graph ---- */

static sg_onnx_node *add_with_axis(sg_onnx_graph *g, const char *op, const char *inputs, const char *outputs,
                                   int64_t axis)
{
    sg_onnx_node *node = sg_onnx_add(g, op, inputs, outputs);
    sg_onnx_set_int(g, node, "axis", axis);
    return node;
}

static void add_cast(sg_onnx_graph *g, const char *input, const char *output, sg_onnx_type type)
{
    sg_onnx_set_int(g, sg_onnx_add(g, "Cast", input, output), "to", type);
}

/* lengths [batch, 1] int64: how many messages each dialog has. */
static void add_lengths(sg_onnx_graph *g)
{
    sg_onnx_int64(g, "padding", 0);
    sg_onnx_add(g, "Equal", "tokens padding", "is_padding");
    sg_onnx_add(g, "Not", "is_padding", "is_message");
    add_cast(g, "is_message", "ones", SG_ONNX_INT64);
    sg_onnx_set_int(g, sg_onnx_add(g, "ReduceSum", "ones axis_1", "lengths"), "keepdims", 1);
}

/* Zeros first: step t takes the token of step (t + length) mod L. */
static sg_status add_shift(sg_onnx_graph *g, int steps, int64_t **range)
{
    const int64_t dims[2] = {1, steps};
    SG_TRY(sg_alloc(range, steps, "steps"));
    for (int t = 0; t < steps; t++)
        (*range)[t] = t;
    sg_onnx_tensor(g, "steps", SG_ONNX_INT64, 2, dims, *range);
    sg_onnx_int64(g, "step_count", steps);
    sg_onnx_add(g, "Add", "steps lengths", "shifted");
    sg_onnx_add(g, "Mod", "shifted step_count", "places");
    add_with_axis(g, "GatherElements", "tokens places", "padded", 1);
    return SG_OK;
}

/* Steps to run, at least one: runtimes disagree about zero.  A row without messages keeps the initial
 * state. */
static void add_sequence_lengths(sg_onnx_graph *g)
{
    sg_onnx_int64(g, "one_step", 1);
    sg_onnx_add(g, "Max", "lengths one_step", "steps_run");
    sg_onnx_add(g, "Squeeze", "steps_run axis_1", "steps_row");
    add_cast(g, "steps_row", "sequence_lens", SG_ONNX_INT32);
    sg_onnx_add(g, "Min", "lengths one_step", "begun_count");
    add_cast(g, "begun_count", "begun", SG_ONNX_FLOAT);
}

static void add_lstm(sg_onnx_graph *g, const sg_spec *spec, const onnx_weights *w, int layer)
{
    const int64_t units = spec->units, in = layer ? units : spec->message_types;
    const bool last = layer == spec->layers - 1;
    const int64_t input[3] = {1, 4 * units, in}, recurrent[3] = {1, 4 * units, units},
                  bias[2] = {1, 8 * units};
    char names[4][24], inputs[128];
    snprintf(names[0], sizeof names[0], "lstm_%d.input", layer);
    snprintf(names[1], sizeof names[1], "lstm_%d.recurrent", layer);
    snprintf(names[2], sizeof names[2], "lstm_%d.bias", layer);
    sg_onnx_tensor(g, names[0], SG_ONNX_FLOAT, 3, input, w->input[layer]);
    sg_onnx_tensor(g, names[1], SG_ONNX_FLOAT, 3, recurrent, w->recurrent[layer]);
    sg_onnx_tensor(g, names[2], SG_ONNX_FLOAT, 2, bias, w->bias[layer]);
    snprintf(inputs, sizeof inputs, "%s %s %s %s%s", layer ? "sequence_1" : "one_hot", names[0], names[1],
             names[2], spec->padding == SG_PADDING_MASK ? " sequence_lens" : "");
    /* The last layer's outputs of all steps are not needed: the first word is empty. */
    sg_onnx_node *node = sg_onnx_add(g, "LSTM", inputs, last ? " final" : "sequence_0");
    sg_onnx_set_int(g, node, "hidden_size", units);
    if (!last)
        sg_onnx_add(g, "Squeeze", "sequence_0 axis_1", "sequence_1");
}

static sg_status add_network(sg_onnx_graph *g, const sg_model *model, const onnx_weights *w, int64_t **range)
{
    static const int64_t swap[2] = {1, 0}, one = 1, zero = 0;
    const sg_spec *spec = &model->spec;
    const int64_t table[2] = {spec->message_types + 1, spec->message_types};
    const int64_t dense[2] = {spec->units, spec->classes};
    const bool mask = spec->padding == SG_PADDING_MASK;
    sg_onnx_tensor(g, "axis_0", SG_ONNX_INT64, 1, &one, &zero);
    if (spec->layers > 1 || spec->padding != SG_PADDING_POST)
        sg_onnx_tensor(g, "axis_1", SG_ONNX_INT64, 1, &one, &one);
    if (spec->padding != SG_PADDING_POST)
        add_lengths(g);
    if (spec->padding == SG_PADDING_PRE)
        SG_TRY(add_shift(g, spec->max_length, range));
    if (mask)
        add_sequence_lengths(g);
    sg_onnx_node *transpose =
        sg_onnx_add(g, "Transpose", spec->padding == SG_PADDING_PRE ? "padded" : "tokens", "by_step");
    sg_onnx_set_ints(g, transpose, "perm", 2, swap);
    sg_onnx_tensor(g, "one_hot_rows", SG_ONNX_FLOAT, 2, table, w->one_hot);
    add_with_axis(g, "Gather", "one_hot_rows by_step", "one_hot", 0);
    for (int l = 0; l < spec->layers; l++)
        add_lstm(g, spec, w, l);
    sg_onnx_add(g, "Squeeze", "final axis_0", mask ? "state_run" : "state");
    if (mask)
        sg_onnx_add(g, "Mul", "state_run begun", "state");
    sg_onnx_tensor(g, "dense.kernel", SG_ONNX_FLOAT, 2, dense,
                   sg_params_at(&model->params, model->params.layout.dense_kernel));
    sg_onnx_tensor(g, "dense.bias", SG_ONNX_FLOAT, 1, &dense[1],
                   sg_params_at(&model->params, model->params.layout.dense_bias));
    sg_onnx_add(g, "Gemm", "state dense.kernel dense.bias", "logits");
    add_with_axis(g, "Softmax", "logits", "probabilities", 1);
    sg_onnx_node *argmax = add_with_axis(g, "ArgMax", "probabilities", "class", 1);
    sg_onnx_set_int(g, argmax, "keepdims", 0);
    return SG_OK;
}

static void add_mean(sg_onnx_graph *g, const char *input, const char *output, int64_t keep)
{
    static const int64_t axis = 1;
    sg_onnx_node *node = sg_onnx_add(g, "ReduceMean", input, output);
    sg_onnx_set_ints(g, node, "axes", 1, &axis);
    sg_onnx_set_int(g, node, "keepdims", keep);
}

/* skewness and kurtosis [batch] as sg_moments_finish: divided by their one-hot maxima, 0 without variance
 * (the third and fourth sums are 0 then, so any divisor will do). */
static void add_moments(sg_onnx_graph *g, double n)
{
    sg_onnx_double(g, "no_variance", 0);
    sg_onnx_double(g, "any_variance", 1);
    sg_onnx_double(g, "skewness_scale", sqrt(n - 1) / (n - 2));
    sg_onnx_double(g, "kurtosis_scale", (n - 1) / (n * n - 3 * n + 3));
    add_cast(g, "probabilities", "p", SG_ONNX_DOUBLE);
    add_mean(g, "p", "mean", 1);
    sg_onnx_add(g, "Sub", "p mean", "d1");
    sg_onnx_add(g, "Mul", "d1 d1", "d2");
    sg_onnx_add(g, "Mul", "d2 d1", "d3");
    sg_onnx_add(g, "Mul", "d2 d2", "d4");
    add_mean(g, "d2", "m2", 0);
    add_mean(g, "d3", "m3", 0);
    add_mean(g, "d4", "m4", 0);
    sg_onnx_add(g, "Greater", "m2 no_variance", "varies");
    sg_onnx_add(g, "Where", "varies m2 any_variance", "variance");
    sg_onnx_add(g, "Sqrt", "variance", "deviation");
    sg_onnx_add(g, "Mul", "variance deviation", "deviation_3");
    sg_onnx_add(g, "Mul", "variance variance", "deviation_4");
    sg_onnx_add(g, "Div", "m3 deviation_3", "skewness_raw");
    sg_onnx_add(g, "Div", "m4 deviation_4", "kurtosis_raw");
    sg_onnx_add(g, "Mul", "skewness_raw skewness_scale", "skewness");
    sg_onnx_add(g, "Mul", "kurtosis_raw kurtosis_scale", "kurtosis");
}

static void add_verdict(sg_onnx_graph *g, const sg_model *model)
{
    sg_onnx_double(g, "threshold_skewness", model->lambda_skewness);
    sg_onnx_double(g, "threshold_kurtosis", model->lambda_kurtosis);
    sg_onnx_add(g, "Less", "skewness threshold_skewness", "below_skewness");
    sg_onnx_add(g, "Less", "kurtosis threshold_kurtosis", "below_kurtosis");
    sg_onnx_add(g, "And", "below_skewness below_kurtosis", "abnormal");
    sg_onnx_add(g, "Or", "below_skewness below_kurtosis", "abnormal_either");
}

static void declare(sg_onnx_graph *g, const sg_model *model)
{
    sg_onnx_input(g, "tokens", SG_ONNX_INT64, model->spec.max_length,
                  "message types 1..M of each dialog, then zeros");
    sg_onnx_output(g, "probabilities", SG_ONNX_FLOAT, model->spec.classes, "of each class");
    sg_onnx_output(g, "class", SG_ONNX_INT64, 0, "the most probable, the lowest on ties");
    sg_onnx_output(g, "skewness", SG_ONNX_DOUBLE, 0, "of the probabilities, divided by its one-hot maximum");
    sg_onnx_output(g, "kurtosis", SG_ONNX_DOUBLE, 0, "of the probabilities, divided by its one-hot maximum");
    if (!model->has_thresholds)
        return;
    sg_onnx_output(g, "abnormal", SG_ONNX_BOOL, 0, "both moments are below their threshold");
    sg_onnx_output(g, "abnormal_either", SG_ONNX_BOOL, 0, "at least one moment is below its threshold");
}

/* Each entry of the description; anything other than text as JSON. */
static sg_status add_metadata(sg_onnx_graph *g, const sg_model *model)
{
    cJSON *description;
    SG_TRY(sg_description_make(model, &description));
    sg_status status = SG_OK;
    const cJSON *item;
    cJSON_ArrayForEach(item, description)
    {
        char key[64], *text = cJSON_IsString(item) ? NULL : cJSON_PrintUnformatted(item);
        snprintf(key, sizeof key, "sipgpu.%s", item->string);
        if (!text && !cJSON_IsString(item)) {
            status = sg_fail(SG_E_MEMORY, "metadata: out of memory");
            break;
        }
        sg_onnx_metadata(g, key, text ? text : item->valuestring);
        cJSON_free(text);
    }
    cJSON_Delete(description);
    return status;
}

/* Refused before memory for a second copy of the weights is allocated. */
static sg_status check_size(const sg_model *model, const char *path)
{
    const double bytes = 4.0 * ((double)model->params.layout.count +
                                (model->spec.message_types + 1.0) * model->spec.message_types);
    if (bytes > INT32_MAX)
        return sg_fail(SG_E_CONFIG, "%s: the weights take %.0f bytes, an ONNX file holds at most %d", path,
                       bytes, INT32_MAX);
    return SG_OK;
}

static sg_status build(sg_onnx_graph *g, const sg_model *model, const onnx_weights *w, int64_t **range)
{
    SG_TRY(add_network(g, model, w, range));
    add_moments(g, model->spec.classes);
    if (model->has_thresholds)
        add_verdict(g, model);
    declare(g, model);
    return add_metadata(g, model);
}

sg_status sg_export_onnx(const sg_model *model, const char *path)
{
    static const char about[] =
        "LSTM classifier of SIP dialogs.  Input: type ids of each dialog's messages, then zeros.";
    sg_onnx_graph *g = NULL;
    onnx_weights w = {0};
    int64_t *range = NULL;
    sg_status status;
    SG_TRY_GOTO(status, done, check_size(model, path));
    SG_TRY_GOTO(status, done, sg_onnx_graph_make(&g));
    SG_TRY_GOTO(status, done, convert_weights(model, &w));
    SG_TRY_GOTO(status, done, build(g, model, &w, &range));
    status = sg_onnx_write(g, about, path);
done:
    sg_onnx_graph_free(g);
    free_weights(&w);
    free(range);
    return status;
}
