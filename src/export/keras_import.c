/* keras_import.c: models that Keras saved, in any of its three containers. */
#include "base/files.h"
#include "base/h5.h"
#include "base/memory.h"
#include "export/archive.h"
#include "export/description.h"
#include "export/export.h"
#include "export/keras_layers.h"
#include "train/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names of layers and of classes; a description grows with the classes. */
#define TEXT_LIMIT    ((size_t)1 << 30)
#define WEIGHTS_LIMIT ((size_t)1 << 40)
/* An attribute of HDF5 that Keras puts the layers of a whole model into. */
enum { ATTRIBUTE_LIMIT = 1 << 22 };

typedef struct {
    const char *path;
    cJSON *model;             /* the layers */
    cJSON *metadata;          /* of an archive */
    const cJSON *description; /* in either, or NULL */
    sg_h5 weights;            /* open */
    bool whole;               /* HDF5 of a whole model: weights by layer names */
    char keras_version[32];
} keras_file;

static void close_file(keras_file *f)
{
    sg_h5_close(&f->weights);
    cJSON_Delete(f->model);
    cJSON_Delete(f->metadata);
}

/* ---- containers ---- */

static sg_status parse(const keras_file *f, const char *text, const char *what, cJSON **json)
{
    *json = cJSON_ParseWithOpts(text, NULL, true);
    if (!*json || !cJSON_IsObject(*json))
        return sg_fail(SG_E_FORMAT, "%s: %s is no JSON object", f->path, what);
    return SG_OK;
}

static sg_status read_json(const keras_file *f, sg_archive *archive, const char *name, cJSON **json)
{
    void *text;
    size_t bytes;
    SG_TRY(sg_archive_read(archive, f->path, name, TEXT_LIMIT, &text, &bytes));
    sg_status status = parse(f, text, name, json);
    free(text);
    return status;
}

static sg_status read_members(keras_file *f, sg_archive *archive)
{
    void *image;
    size_t bytes;
    SG_TRY(read_json(f, archive, "config.json", &f->model));
    if (sg_archive_has(archive, "metadata.json"))
        SG_TRY(read_json(f, archive, "metadata.json", &f->metadata));
    SG_TRY(sg_archive_read(archive, f->path, "model.weights.h5", WEIGHTS_LIMIT, &image, &bytes));
    return sg_h5_open_image(&f->weights, f->path, image, bytes);
}

static sg_status open_archive(keras_file *f)
{
    sg_archive *archive;
    SG_TRY(sg_archive_open(&archive, f->path));
    sg_status status = read_members(f, archive);
    sg_archive_close(archive);
    SG_TRY(status);
    const char *version =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(f->metadata, "keras_version"));
    snprintf(f->keras_version, sizeof f->keras_version, "%.30s", version ? version : "");
    f->description = cJSON_GetObjectItemCaseSensitive(f->metadata, "sipgpu");
    return SG_OK;
}

static sg_status open_pair(keras_file *f)
{
    char path[SG_PATH_MAX], *text;
    size_t length;
    SG_TRY(sg_file_check_readable(f->path));
    SG_TRY(sg_keras_text_path(f->path, path));
    sg_status status = sg_file_read(path, TEXT_LIMIT, &text, &length);
    if (status != SG_OK)
        return sg_fail_prefix(status, "%s wants its layers in a .json beside it", f->path);
    status = parse(f, text, path, &f->model);
    free(text);
    SG_TRY(status);
    f->description = cJSON_GetObjectItemCaseSensitive(f->model, "sipgpu");
    return sg_h5_open(&f->weights, f->path);
}

static sg_status open_whole(keras_file *f)
{
    char *text;
    SG_TRY(sg_h5_open(&f->weights, f->path));
    f->whole = true;
    if (!sg_h5_has_attribute(&f->weights, "/", "model_config"))
        return sg_fail(SG_E_FORMAT, "%s: no whole Keras model (the root attribute model_config is missing)",
                       f->path);
    SG_TRY(sg_alloc(&text, ATTRIBUTE_LIMIT, "model_config"));
    sg_status status = sg_h5_get_text(&f->weights, "/", "model_config", text, ATTRIBUTE_LIMIT);
    if (status == SG_OK)
        status = parse(f, text, "model_config", &f->model);
    free(text);
    SG_TRY(status);
    if (sg_h5_has_attribute(&f->weights, "/", "keras_version"))
        SG_TRY(sg_h5_get_text(&f->weights, "/", "keras_version", f->keras_version, sizeof f->keras_version));
    return SG_OK;
}

/* Zip files begin with a local header, empty ones with the end of the directory. */
static bool begins_like_zip(const char *path)
{
    char start[2] = {0};
    FILE *file = fopen(path, "rb");
    const bool read = file && fread(start, 1, sizeof start, file) == sizeof start;
    if (file)
        fclose(file);
    return read && memcmp(start, "PK", 2) == 0;
}

static sg_status open_file(keras_file *f, const char *path)
{
    const size_t length = strlen(path);
    *f = (keras_file){.path = path, .weights.id = H5I_INVALID_HID};
    if (sg_keras_is_pair(path))
        return open_pair(f);
    SG_TRY(sg_file_check_readable(path));
    if (begins_like_zip(path) || (length > 6 && strcmp(path + length - 6, ".keras") == 0))
        return open_archive(f);
    return open_whole(f);
}

/* ---- weights ---- */

/* Looks below a layer's group for the one dataset whose name ends in `wanted`, with or without ":0". */
typedef struct {
    const char *wanted;
    char found[256];
    int count;
} tensor_search;

static herr_t visit_link(hid_t group, const char *name, const H5L_info_t *info, void *data)
{
    (void)group;
    tensor_search *search = data;
    const char *slash = strrchr(name, '/'), *last = slash ? slash + 1 : name;
    const size_t length = strcspn(last, ":");
    if (info->type != H5L_TYPE_HARD || length != strlen(search->wanted) ||
        strncmp(last, search->wanted, length) != 0)
        return 0;
    snprintf(search->found, sizeof search->found, "%s", name);
    search->count++;
    return 0;
}

static sg_status find_tensor(const keras_file *f, const char *layer, const char *tensor, char name[512])
{
    char group[256];
    tensor_search search = {.wanted = tensor};
    if (snprintf(group, sizeof group, "/model_weights/%s", layer) >= (int)sizeof group ||
        !sg_h5_has(&f->weights, group))
        return sg_fail(SG_E_FORMAT, "%s: there are no weights of layer %.60s", f->path, layer);
    if (H5Lvisit_by_name(f->weights.id, group, H5_INDEX_NAME, H5_ITER_INC, visit_link, &search, H5P_DEFAULT) <
            0 ||
        search.count != 1)
        return sg_fail(SG_E_FORMAT, "%s: layer %.60s has %d tensors named %s, one is wanted", f->path, layer,
                       search.count, tensor);
    snprintf(name, 512, "%s/%s", group, search.found);
    return SG_OK;
}

/* Where a tensor of ours lies in the file. */
static sg_status locate(const keras_file *f, const sg_keras_layers *layers, const sg_layout *layout,
                        int tensor, char name[512])
{
    static const char *const kinds[] = {"kernel", "recurrent_kernel", "bias"};
    static const char *const cells[SG_LAYERS_MAX] = {"lstm/cell", "lstm_1/cell"};
    const bool dense = tensor == layout->dense_kernel || tensor == layout->dense_bias;
    int layer = 0, kind = tensor == layout->dense_bias ? 2 : 0;
    for (int l = 0; l < layers->layers && !dense; l++) {
        const int own[] = {layout->kernel[l], layout->recurrent[l], layout->bias[l]};
        for (int k = 0; k < 3; k++)
            if (own[k] == tensor) {
                layer = l;
                kind = k;
            }
    }
    if (f->whole)
        return find_tensor(f, dense ? layers->dense : layers->lstm[layer], kinds[kind], name);
    snprintf(name, 512, "/layers/%s/vars/%d", dense ? "dense" : cells[layer], dense && kind ? 1 : kind);
    return SG_OK;
}

/* Checks all sizes; reads into params unless that is NULL. */
static sg_status read_weights(const keras_file *f, const sg_keras_layers *layers, const sg_spec *spec,
                              sg_params *params)
{
    sg_layout layout;
    sg_layout_make(&layout, spec);
    for (int k = 0; k < layout.tensors; k++) {
        const sg_tensor *t = &layout.tensor[k];
        char name[512];
        hid_t dataset;
        SG_TRY(locate(f, layers, &layout, k, name));
        SG_TRY(sg_h5_dataset(&f->weights, name, H5T_NATIVE_FLOAT, t->rank, t->dims, NULL, &dataset));
        sg_status status = params ? sg_h5_read_rows(&f->weights, dataset, name, H5T_NATIVE_FLOAT, 0,
                                                    t->dims[0], params->data + t->offset)
                                  : SG_OK;
        H5Dclose(dataset);
        SG_TRY(status);
    }
    sg_status status = params ? sg_params_check_finite(params) : SG_OK;
    return status == SG_OK ? SG_OK : sg_fail_prefix(status, "%s", f->path);
}

/* ---- the model ---- */

static sg_status choose_padding(const keras_file *f, const sg_keras_layers *layers, int wanted,
                                sg_padding described, sg_padding *padding)
{
    if (layers->masking && wanted >= 0 && wanted != SG_PADDING_MASK)
        return sg_fail(SG_E_CONFIG, "%s: the model has a Masking layer, so its padding is mask, not %s",
                       f->path, sg_padding_name((sg_padding)wanted));
    if (!layers->masking && (wanted == SG_PADDING_MASK || (wanted < 0 && described == SG_PADDING_MASK)))
        return sg_fail(SG_E_CONFIG, "%s: the model has no Masking layer, so its padding is not mask",
                       f->path);
    *padding = layers->masking ? SG_PADDING_MASK : wanted >= 0 ? (sg_padding)wanted : described;
    return SG_OK;
}

/* The shape of the network; what the file leaves open is the corpus' or the description's. */
static sg_status make_spec(const keras_file *f, const sg_keras_layers *layers, const sg_corpus *corpus,
                           int padding, sg_spec *spec)
{
    int length = corpus ? corpus->max_length : 0, types = corpus ? corpus->message_types : 0;
    sg_padding described = layers->masking ? SG_PADDING_MASK : SG_PADDING_POST;
    if (f->description) {
        int own;
        sg_status status = sg_description_shape(f->description, &own, &described);
        if (status != SG_OK)
            return sg_fail_prefix(status, "%s", f->path);
        length = length ? length : own;
        types =
            types ? types : cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(f->description, "alphabet"));
    }
    *spec = (sg_spec){.message_types = layers->message_types ? layers->message_types : types,
                      .max_length = layers->max_length ? layers->max_length : length,
                      .units = layers->units,
                      .classes = layers->classes,
                      .layers = layers->layers,
                      .dropout = layers->dropout};
    SG_TRY(choose_padding(f, layers, padding, described, &spec->padding));
    sg_status status = sg_spec_check(spec);
    return status == SG_OK ? SG_OK : sg_fail_prefix(status, "%s", f->path);
}

/* Everything but the weights. */
static sg_status fill_from_corpus(const keras_file *f, const sg_spec *spec, const sg_corpus *corpus,
                                  sg_model *model)
{
    if (f->description)
        SG_TRY(sg_description_check_corpus(f->description, corpus));
    SG_TRY(sg_model_make(model, spec, corpus));
    snprintf(model->tool, sizeof model->tool, "%s", sg_tool_name());
    snprintf(model->device, sizeof model->device, "Keras%s%s", f->keras_version[0] ? " " : "",
             f->keras_version);
    return SG_OK;
}

static sg_status fill_from_description(const keras_file *f, const sg_spec *spec, sg_model *model)
{
    *model = (sg_model){.spec = *spec, .best_pd = -1};
    SG_TRY(sg_params_alloc(&model->params, spec));
    return sg_description_apply(f->description, model);
}

static sg_status import(const keras_file *f, const sg_corpus *corpus, int padding, sg_model *model,
                        sg_keras_report *report)
{
    sg_keras_layers layers;
    sg_spec spec;
    SG_TRY(sg_keras_layers_read(&layers, f->model, f->path));
    if (!corpus && !f->description)
        return sg_fail(
            SG_E_CONFIG,
            "%s does not say what its inputs and outputs stand for: --corpus CORPUS, the one that it "
            "was trained on, is wanted",
            f->path);
    SG_TRY(make_spec(f, &layers, corpus, padding, &spec));
    SG_TRY(read_weights(f, &layers, &spec, NULL));
    sg_status status =
        corpus ? fill_from_corpus(f, &spec, corpus, model) : fill_from_description(f, &spec, model);
    if (status != SG_OK)
        return sg_fail_prefix(status, "%s", f->path);
    snprintf(report->keras_version, sizeof report->keras_version, "%s", f->keras_version);
    snprintf(report->left_out, sizeof report->left_out, "%s", layers.left_out);
    report->described = !corpus;
    return read_weights(f, &layers, &spec, &model->params);
}

sg_status sg_import_keras(sg_model *model, const char *path, const sg_corpus *corpus, int padding,
                          sg_keras_report *report)
{
    keras_file f;
    *model = (sg_model){0};
    *report = (sg_keras_report){0};
    sg_status status = open_file(&f, path);
    if (status == SG_OK)
        status = import(&f, corpus, padding, model, report);
    close_file(&f);
    if (status != SG_OK)
        sg_model_free(model);
    return status;
}
