/* cudnn_data.c: what the emulated cuDNN reads and writes, between its types and layouts and plain floats. */
#include "cudnn_emulator.h"

#include <stdlib.h>
#include <string.h>

size_t emulator_place(const struct cudnnRNNDataStruct *data, int t, int b)
{
    bool by_step = data->layout == CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED;
    size_t row =
        by_step ? (size_t)t * (size_t)data->rows + (size_t)b : (size_t)b * (size_t)data->steps + (size_t)t;
    return row * (size_t)data->width;
}

void emulator_load(cudnnDataType_t type, const void *from, size_t first, size_t count, float *to)
{
    for (size_t i = 0; i < count; ++i)
        to[i] = type == CUDNN_DATA_BFLOAT16 ? emulator_from_bf16(((const uint16_t *)from)[first + i])
                                            : ((const float *)from)[first + i];
}

void emulator_store(cudnnDataType_t type, const float *from, size_t count, void *to, size_t first)
{
    for (size_t i = 0; i < count; ++i)
        if (type == CUDNN_DATA_BFLOAT16)
            ((uint16_t *)to)[first + i] = emulator_to_bf16(from[i]);
        else
            ((float *)to)[first + i] = from[i];
}

/* [steps, rows, width], padding 0 whatever is there. */
float *emulator_load_data(const struct cudnnRNNDataStruct *data, const void *from)
{
    size_t width = (size_t)data->width;
    float *to = emulator_new((size_t)data->steps * (size_t)data->rows * width * sizeof(float));
    for (int b = 0; b < data->rows; ++b)
        for (int t = 0; t < data->length[b]; ++t)
            emulator_load(data->type, from, emulator_place(data, t, b), width,
                          to + ((size_t)t * (size_t)data->rows + (size_t)b) * width);
    return to;
}

/* Padding gets what the descriptor says if it is of an output, and else poison: it is undefined. */
void emulator_store_data(const struct cudnnRNNDataStruct *data, const float *from, void *to, bool fills)
{
    size_t width = (size_t)data->width, size = emulator_size(data->type);
    for (int t = 0; t < data->steps; ++t)
        for (int b = 0; b < data->rows; ++b) {
            size_t at = emulator_place(data, t, b);
            if (t < data->length[b])
                emulator_store(data->type, from + ((size_t)t * (size_t)data->rows + (size_t)b) * width, width,
                               to, at);
            else if (!fills)
                memset((char *)to + at * size, 0xff, width * size);
            else
                for (size_t j = 0; j < width; ++j)
                    emulator_store(data->type, &data->fill, 1, to, at + j);
        }
}

/* ---- weights ---- */

emulator_layer emulator_new_layer(const struct cudnnRNNStruct *rnn, int layer)
{
    emulator_layer made = {.inputs = layer > 0 ? rnn->units : rnn->inputs, .units = rnn->units};
    size_t width = 4 * (size_t)rnn->units;
    made.input = emulator_new(width * (size_t)made.inputs * sizeof(float));
    made.recurrent = emulator_new(width * (size_t)rnn->units * sizeof(float));
    made.bias = emulator_new(width * sizeof(float));
    return made;
}

void emulator_free_layer(emulator_layer *layer)
{
    free(layer->input);
    free(layer->recurrent);
    free(layer->bias);
}

emulator_layer emulator_load_layer(const struct cudnnRNNStruct *rnn, const void *space, int layer)
{
    emulator_layer made = emulator_new_layer(rnn, layer);
    size_t units = (size_t)rnn->units;
    float *bias = emulator_new(units * sizeof(float));
    for (int id = 0; id < 8; ++id) {
        emulator_piece matrix = emulator_weight_piece(rnn, layer, id, false);
        emulator_piece vector = emulator_weight_piece(rnn, layer, id, true);
        size_t columns = (size_t)matrix.columns, gate = (size_t)id % 4;
        emulator_load(rnn->type, space, matrix.offset, units * columns,
                      (id < 4 ? made.input : made.recurrent) + gate * units * columns);
        if (vector.rows == 0)
            continue;
        emulator_load(rnn->type, space, vector.offset, units, bias);
        for (size_t u = 0; u < units; ++u)
            made.bias[gate * units + u] += bias[u];
    }
    free(bias);
    return made;
}

static void add(cudnnDataType_t type, const float *from, size_t count, void *to, size_t first)
{
    for (size_t i = 0; i < count; ++i) {
        float sum;
        emulator_load(type, to, first + i, 1, &sum);
        sum += from[i];
        emulator_store(type, &sum, 1, to, first + i);
    }
}

void emulator_add_layer(const struct cudnnRNNStruct *rnn, const emulator_layer *gradient, int layer,
                        void *space)
{
    size_t units = (size_t)rnn->units;
    for (int id = 0; id < 8; ++id) {
        emulator_piece matrix = emulator_weight_piece(rnn, layer, id, false);
        emulator_piece vector = emulator_weight_piece(rnn, layer, id, true);
        size_t count = units * (size_t)matrix.columns, gate = (size_t)id % 4;
        add(rnn->type, (id < 4 ? gradient->input : gradient->recurrent) + gate * count, count, space,
            matrix.offset);
        if (vector.rows > 0)
            add(rnn->type, gradient->bias + gate * units, units, space, vector.offset);
    }
}
