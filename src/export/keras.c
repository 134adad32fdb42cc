/* keras.c: writes a network as Keras 3 saves it.
 *
 * The model is Sequential: InputLayer (L, M), Masking where padding is `mask`, LSTM once or twice, Dropout
 * where the rate is not 0, Dense with softmax.  Layer settings whose default has never changed in Keras 3 are
 * left out, so that older versions can read the file too.  A .keras archive is config.json, metadata.json and
 * model.weights.h5; the pair of .weights.h5 and .json is the same weights and config.  Weights files name a
 * layer by its class and its position among layers of that class.
 *
 * The meaning of the network's inputs and outputs (description.h) is the entry "sipgpu" of metadata.json, or
 * of the .json of a pair; Keras ignores it.
 */
#include "base/files.h"
#include "base/h5.h"
#include "export/archive.h"
#include "export/description.h"
#include "export/export.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first version whose layouts these are. */
static const char KERAS_VERSION[] = "3.0.0";

/* ---- the layers ---- */

/* {"module", "class_name", "config", "registered_name": null}; returns the config to be filled. */
static cJSON *fill_object(cJSON *object, const char *module, const char *class_name)
{
    cJSON_AddStringToObject(object, "module", module);
    cJSON_AddStringToObject(object, "class_name", class_name);
    cJSON *config = cJSON_AddObjectToObject(object, "config");
    cJSON_AddNullToObject(object, "registered_name");
    return config;
}

/* [null, a] or [null, a, b]; null is the batch. */
static void add_shape(cJSON *object, const char *name, int rank, int a, int b)
{
    cJSON *shape = cJSON_AddArrayToObject(object, name);
    cJSON_AddItemToArray(shape, cJSON_CreateNull());
    cJSON_AddItemToArray(shape, cJSON_CreateNumber(a));
    if (rank > 2)
        cJSON_AddItemToArray(shape, cJSON_CreateNumber(b));
}

static cJSON *add_layer(cJSON *layers, const char *class_name, const char *name)
{
    cJSON *layer = cJSON_CreateObject();
    cJSON *config = fill_object(layer, "keras.layers", class_name);
    cJSON_AddStringToObject(config, "name", name);
    cJSON_AddItemToArray(layers, layer);
    return config;
}

static void add_lstm(cJSON *layers, const sg_spec *spec, int layer)
{
    cJSON *config = add_layer(layers, "LSTM", layer ? "lstm_1" : "lstm");
    cJSON_AddNumberToObject(config, "units", spec->units);
    cJSON_AddBoolToObject(config, "return_sequences", layer < spec->layers - 1);
    cJSON_AddStringToObject(config, "activation", "tanh");
    cJSON_AddStringToObject(config, "recurrent_activation", "sigmoid");
    cJSON_AddBoolToObject(config, "use_bias", true);
    cJSON_AddBoolToObject(config, "unit_forget_bias", true);
}

static cJSON *make_config(const sg_spec *spec)
{
    cJSON *model = cJSON_CreateObject();
    cJSON *config = fill_object(model, "keras", "Sequential"),
          *build = cJSON_AddObjectToObject(model, "build_config");
    add_shape(build, "input_shape", 3, spec->max_length, spec->message_types);
    cJSON_AddStringToObject(config, "name", "sipgpu");
    cJSON *layers = cJSON_AddArrayToObject(config, "layers");
    cJSON *input = add_layer(layers, "InputLayer", "input_layer");
    add_shape(input, "batch_shape", 3, spec->max_length, spec->message_types);
    cJSON_AddStringToObject(input, "dtype", "float32");
    if (spec->padding == SG_PADDING_MASK)
        cJSON_AddNumberToObject(add_layer(layers, "Masking", "masking"), "mask_value", 0);
    for (int l = 0; l < spec->layers; l++)
        add_lstm(layers, spec, l);
    if (spec->dropout > 0)
        cJSON_AddNumberToObject(add_layer(layers, "Dropout", "dropout"), "rate", spec->dropout);
    cJSON *dense = add_layer(layers, "Dense", "dense");
    cJSON_AddNumberToObject(dense, "units", spec->classes);
    cJSON_AddStringToObject(dense, "activation", "softmax");
    cJSON_AddBoolToObject(dense, "use_bias", true);
    add_shape(config, "build_input_shape", 3, spec->max_length, spec->message_types);
    return model;
}

/* ---- the weights ---- */

static sg_status write_tensor(sg_h5 *file, const sg_model *model, int tensor, const char *layer, int place)
{
    const sg_tensor *t = &model->params.layout.tensor[tensor];
    char name[64];
    snprintf(name, sizeof name, "/layers/%s/vars/%d", layer, place);
    return sg_h5_write(file, name, H5T_NATIVE_FLOAT, t->rank, t->dims, false,
                       sg_params_at(&model->params, tensor));
}

/* Keras writes one for every object, and versions before 3.6 need them. */
static sg_status make_empty_groups(sg_h5 *file, const sg_spec *spec)
{
    SG_TRY(sg_h5_make_group(file, "/vars"));
    for (int l = 0; l < spec->layers; l++)
        SG_TRY(sg_h5_make_group(file, l ? "/layers/lstm_1/vars" : "/layers/lstm/vars"));
    if (spec->padding == SG_PADDING_MASK) {
        SG_TRY(sg_h5_make_group(file, "/layers/masking"));
        SG_TRY(sg_h5_make_group(file, "/layers/masking/vars"));
    }
    if (spec->dropout > 0) {
        SG_TRY(sg_h5_make_group(file, "/layers/dropout"));
        SG_TRY(sg_h5_make_group(file, "/layers/dropout/vars"));
    }
    return SG_OK;
}

static sg_status write_weights(sg_h5 *file, const sg_model *model)
{
    static const char *const cells[SG_LAYERS_MAX] = {"lstm/cell", "lstm_1/cell"};
    const sg_layout *layout = &model->params.layout;
    for (int l = 0; l < model->spec.layers; l++) {
        SG_TRY(write_tensor(file, model, layout->kernel[l], cells[l], 0));
        SG_TRY(write_tensor(file, model, layout->recurrent[l], cells[l], 1));
        SG_TRY(write_tensor(file, model, layout->bias[l], cells[l], 2));
    }
    SG_TRY(write_tensor(file, model, layout->dense_kernel, "dense", 0));
    SG_TRY(write_tensor(file, model, layout->dense_bias, "dense", 1));
    return make_empty_groups(file, &model->spec);
}

static sg_status make_weights(sg_h5 *file, const sg_model *model, const char *path)
{
    SG_TRY(sg_h5_create(file, path));
    sg_status status = write_weights(file, model);
    if (status != SG_OK)
        sg_h5_close(file);
    return status;
}

/* ---- the files ---- */

/* Makes both texts, to be released with cJSON_free: the layers, and the description.  `pair`: the latter is
 * part of the former. */
static sg_status make_texts(const sg_model *model, bool pair, char **config, char **metadata)
{
    cJSON *description, *layers = make_config(&model->spec), *about = cJSON_CreateObject();
    *config = *metadata = NULL;
    sg_status status = sg_description_make(model, &description);
    if (status == SG_OK) {
        cJSON_AddStringToObject(about, "keras_version", KERAS_VERSION);
        cJSON_AddItemToObject(pair ? layers : about, "sipgpu", description);
        *config = cJSON_PrintUnformatted(layers);
        *metadata = cJSON_PrintUnformatted(about);
        if (!*config || !*metadata)
            status = sg_fail(SG_E_MEMORY, "Keras configuration: out of memory");
    }
    cJSON_Delete(layers);
    cJSON_Delete(about);
    return status;
}

static sg_status write_archive(const sg_model *model, const char *config, const char *metadata,
                               const char *path)
{
    sg_h5 file;
    void *image;
    size_t bytes;
    SG_TRY(make_weights(&file, model, path));
    SG_TRY(sg_h5_take_image(&file, &image, &bytes));
    const sg_archive_member members[] = {{"metadata.json", metadata, strlen(metadata)},
                                         {"config.json", config, strlen(config)},
                                         {"model.weights.h5", image, bytes}};
    sg_status status = sg_archive_write(path, members, 3);
    free(image);
    return status;
}

/* The text is complete under its temporary name before the weights are. */
static sg_status write_pair(const sg_model *model, const char *config, const char *path)
{
    char text_path[SG_PATH_MAX];
    sg_atomic_file text;
    FILE *stream;
    sg_h5 file;
    SG_TRY(sg_keras_text_path(path, text_path));
    SG_TRY(sg_text_open(&text, &stream, text_path));
    fprintf(stream, "%s\n", config);
    sg_status status = fflush(stream) == 0 ? make_weights(&file, model, path) : SG_OK;
    if (status == SG_OK && !ferror(stream))
        status = sg_h5_commit(&file);
    return sg_text_finish(&text, stream, status);
}

bool sg_keras_is_pair(const char *path)
{
    const size_t length = strlen(path), ending = strlen(SG_KERAS_WEIGHTS_ENDING);
    return length > ending && strcmp(path + length - ending, SG_KERAS_WEIGHTS_ENDING) == 0;
}

sg_status sg_keras_text_path(const char *path, char *text_path)
{
    const size_t stem = strlen(path) - strlen(SG_KERAS_WEIGHTS_ENDING);
    if (stem + sizeof ".json" > SG_PATH_MAX)
        return sg_fail(SG_E_CONFIG, "the path %.80s... is too long", path);
    snprintf(text_path, SG_PATH_MAX, "%.*s.json", (int)stem, path);
    return SG_OK;
}

sg_status sg_export_keras(const sg_model *model, const char *path)
{
    char *config, *metadata;
    const bool pair = sg_keras_is_pair(path);
    sg_status status = make_texts(model, pair, &config, &metadata);
    if (status == SG_OK)
        status = pair ? write_pair(model, config, path) : write_archive(model, config, metadata, path);
    cJSON_free(config);
    cJSON_free(metadata);
    return status;
}
