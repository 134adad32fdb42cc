#include "model/model.h"

#include "base/log.h"
#include "base/memory.h"
#include "corpus/conventions.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char FORMAT[] = "sipgpu-model";
enum { VERSION = 1, TYPE_NAME_MAX = 64, CONFIG_MAX = 1 << 16 };

/* ---- making ---- */

static sg_status copy_alphabet(sg_model *model, char *const *names)
{
    SG_TRY(sg_alloc(&model->alphabet, model->spec.message_types, "alphabet"));
    for (int m = 0; m < model->spec.message_types; m++) {
        model->alphabet[m] = strdup(names[m]);
        if (!model->alphabet[m])
            return sg_fail(SG_E_MEMORY, "alphabet: out of memory");
    }
    return SG_OK;
}

static sg_status alloc_classes(sg_model *model)
{
    int64_t n = model->spec.classes;
    SG_TRY(sg_alloc(&model->class_sequence, n * model->spec.max_length, "classes"));
    SG_TRY(sg_alloc(&model->class_length, n, "classes"));
    return sg_alloc(&model->class_train, n, "classes");
}

static sg_status fill_from_corpus(sg_model *model, const sg_corpus *corpus)
{
    size_t n = (size_t)corpus->classes;
    SG_TRY(copy_alphabet(model, corpus->alphabet));
    SG_TRY(alloc_classes(model));
    memcpy(model->class_sequence, corpus->class_sequence,
           n * (size_t)corpus->max_length * sizeof *model->class_sequence);
    memcpy(model->class_length, corpus->class_length, n * sizeof *model->class_length);
    for (int64_t d = 0; d < corpus->dialogs; d++)
        if (corpus->split[d] == SG_SPLIT_TRAIN)
            model->class_train[corpus->label[d]]++;
    memcpy(model->corpus_digest, corpus->digest, sizeof model->corpus_digest);
    memcpy(model->type_rule, corpus->type_rule, sizeof model->type_rule);
    model->collapsed = corpus->collapsed;
    return sg_params_alloc(&model->params, &model->spec);
}

sg_status sg_model_make(sg_model *model, const sg_spec *spec, const sg_corpus *corpus)
{
    *model = (sg_model){.spec = *spec, .best_pd = -1};
    SG_TRY(sg_spec_check(spec));
    if (spec->message_types != corpus->message_types || spec->max_length != corpus->max_length ||
        spec->classes != corpus->classes)
        return sg_fail(SG_E_CONFIG, "a network of M %d, L %d, N %d does not fit a corpus of M %d, L %d, N %d",
                       spec->message_types, spec->max_length, spec->classes, corpus->message_types,
                       corpus->max_length, corpus->classes);
    sg_status status = fill_from_corpus(model, corpus);
    if (status != SG_OK)
        sg_model_free(model);
    return status;
}

void sg_model_free(sg_model *model)
{
    sg_h5_free_texts(model->alphabet, model->spec.message_types);
    free(model->class_sequence);
    free(model->class_length);
    free(model->class_train);
    free(model->config);
    free(model->prefix_limit);
    sg_params_free(&model->params);
    *model = (sg_model){0};
}

void sg_optimizer_state_free(sg_optimizer_state *state)
{
    sg_params_free(&state->m);
    sg_params_free(&state->v);
}

/* ---- writing ---- */

static sg_status write_tensors(sg_h5 *file, const char *group, const sg_params *params)
{
    for (int k = 0; k < params->layout.tensors; k++) {
        const sg_tensor *t = &params->layout.tensor[k];
        char name[96];
        snprintf(name, sizeof name, "%s/%s", group, t->name);
        SG_TRY(sg_h5_write(file, name, H5T_NATIVE_FLOAT, t->rank, t->dims, false, params->data + t->offset));
    }
    return SG_OK;
}

static sg_status write_spec(sg_h5 *file, const char *format, int64_t version, const sg_spec *spec)
{
    SG_TRY(sg_h5_set_text(file, "/", "format", format));
    SG_TRY(sg_h5_set_int(file, "/", "version", version));
    SG_TRY(sg_h5_set_int(file, "/", "message_types", spec->message_types));
    SG_TRY(sg_h5_set_int(file, "/", "max_length", spec->max_length));
    SG_TRY(sg_h5_set_int(file, "/", "units", spec->units));
    SG_TRY(sg_h5_set_int(file, "/", "classes", spec->classes));
    SG_TRY(sg_h5_set_int(file, "/", "layers", spec->layers));
    SG_TRY(sg_h5_set_real(file, "/", "dropout", spec->dropout));
    return sg_h5_set_text(file, "/", "padding", sg_padding_name(spec->padding));
}

static sg_status write_classes(sg_h5 *file, const sg_model *model)
{
    int64_t dims[2] = {model->spec.classes, model->spec.max_length};
    SG_TRY(sg_h5_write_texts(file, "/alphabet", model->alphabet, model->spec.message_types));
    SG_TRY(sg_h5_write(file, "/classes/sequence", H5T_NATIVE_UINT16, 2, dims, true, model->class_sequence));
    SG_TRY(sg_h5_write(file, "/classes/length", H5T_NATIVE_UINT16, 1, dims, true, model->class_length));
    return sg_h5_write(file, "/classes/train_count", H5T_NATIVE_INT64, 1, dims, true, model->class_train);
}

static sg_status write_detectors(sg_h5 *file, const sg_model *model)
{
    static const int64_t two[2] = {2, 2};
    if (model->has_thresholds) {
        SG_TRY(sg_h5_make_group(file, "/thresholds"));
        SG_TRY(sg_h5_set_real(file, "/thresholds", "skewness", model->lambda_skewness));
        SG_TRY(sg_h5_set_real(file, "/thresholds", "kurtosis", model->lambda_kurtosis));
    }
    const int64_t limits[2] = {model->spec.max_length, 2};
    if (model->prefix_limit)
        SG_TRY(sg_h5_write(file, "/prefix_thresholds", H5T_NATIVE_DOUBLE, 2, limits, false,
                           model->prefix_limit));
    if (model->has_kmeans)
        SG_TRY(sg_h5_write(file, "/kmeans/centroids", H5T_NATIVE_DOUBLE, 2, two, false, model->centroid));
    return SG_OK;
}

static sg_status write_training(sg_h5 *file, const sg_model *model)
{
    SG_TRY(sg_h5_make_group(file, "/training"));
    SG_TRY(sg_h5_set_text(file, "/training", "config", model->config ? model->config : ""));
    SG_TRY(sg_h5_set_int(file, "/training", "seed", (int64_t)model->seed));
    SG_TRY(sg_h5_set_int(file, "/training", "epoch", model->epoch));
    SG_TRY(sg_h5_set_int(file, "/training", "update", model->update));
    SG_TRY(sg_h5_set_int(file, "/training", "goal_reached", model->goal_reached));
    SG_TRY(sg_h5_set_real(file, "/training", "partial_loss", model->partial_loss));
    SG_TRY(sg_h5_set_int(file, "/training", "partial_right", model->partial_right));
    SG_TRY(sg_h5_set_real(file, "/training", "best_pd", model->best_pd));
    SG_TRY(sg_h5_set_real(file, "/training", "best_loss", model->best_loss));
    SG_TRY(sg_h5_set_text(file, "/training", "corpus_digest", model->corpus_digest));
    SG_TRY(sg_h5_set_text(file, "/training", "tool", model->tool));
    SG_TRY(sg_h5_set_text(file, "/training", "precision", model->precision));
    return sg_h5_set_text(file, "/training", "device", model->device);
}

sg_status sg_model_put_description(sg_h5 *file, const char *format, int64_t version, const sg_model *model)
{
    SG_TRY(write_spec(file, format, version, &model->spec));
    SG_TRY(sg_conventions_write(file, model->type_rule, model->collapsed));
    SG_TRY(write_classes(file, model));
    SG_TRY(write_detectors(file, model));
    return write_training(file, model);
}

static sg_status write_all(sg_h5 *file, const sg_model *model, const sg_optimizer_state *state)
{
    SG_TRY(sg_model_put_description(file, FORMAT, VERSION, model));
    SG_TRY(write_tensors(file, "/params", &model->params));
    if (!state)
        return SG_OK;
    SG_TRY(write_tensors(file, "/optimizer/m", &state->m));
    return write_tensors(file, "/optimizer/v", &state->v);
}

sg_status sg_model_write(const sg_model *model, const sg_optimizer_state *state, const char *path)
{
    sg_h5 file;
    SG_TRY(sg_h5_create_digest(&file, path));
    sg_status status = write_all(&file, model, state);
    if (status != SG_OK) {
        sg_h5_close(&file);
        return status;
    }
    return sg_h5_commit(&file);
}

/* ---- reading ---- */

static sg_status read_int(const sg_h5 *file, const char *name, int64_t max, int *value)
{
    int64_t wide;
    SG_TRY(sg_h5_get_int(file, "/", name, 1, max, &wide));
    *value = (int)wide;
    return SG_OK;
}

static sg_status read_spec(const sg_h5 *file, sg_spec *spec)
{
    char padding[16];
    SG_TRY(read_int(file, "message_types", SG_MESSAGE_TYPES_MAX - 1, &spec->message_types));
    SG_TRY(read_int(file, "max_length", SG_LENGTH_MAX, &spec->max_length));
    SG_TRY(read_int(file, "units", SG_UNITS_MAX, &spec->units));
    SG_TRY(read_int(file, "classes", SG_CLASSES_MAX, &spec->classes));
    SG_TRY(read_int(file, "layers", SG_LAYERS_MAX, &spec->layers));
    SG_TRY(sg_h5_get_real(file, "/", "dropout", &spec->dropout));
    SG_TRY(sg_h5_get_text(file, "/", "padding", padding, sizeof padding));
    int index = sg_padding_from_name(padding);
    if (index < 0)
        return sg_fail(SG_E_FORMAT, "%s: padding is '%s'; %s is wanted", file->path, padding,
                       SG_PADDING_CHOICES);
    spec->padding = (sg_padding)index;
    sg_status status = sg_spec_check(spec);
    return status == SG_OK ? SG_OK : sg_fail_prefix(SG_E_FORMAT, "%s", file->path);
}

/* Reads tensors of exactly the sizes that the spec demands; sizes are checked before memory is taken. */
static sg_status read_tensors(const sg_h5 *file, const char *group, const sg_spec *spec, sg_params *params)
{
    sg_layout layout;
    sg_layout_make(&layout, spec);
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            SG_TRY(sg_params_alloc(params, spec));
        for (int k = 0; k < layout.tensors; k++) {
            const sg_tensor *t = &layout.tensor[k];
            char name[96];
            hid_t dataset;
            snprintf(name, sizeof name, "%s/%s", group, t->name);
            SG_TRY(sg_h5_dataset(file, name, H5T_NATIVE_FLOAT, t->rank, t->dims, NULL, &dataset));
            sg_status status = pass == 0 ? SG_OK
                                         : sg_h5_read_rows(file, dataset, name, H5T_NATIVE_FLOAT, 0,
                                                           t->dims[0], params->data + t->offset);
            H5Dclose(dataset);
            SG_TRY(status);
        }
    }
    sg_status status = sg_params_check_finite(params);
    return status == SG_OK ? SG_OK : sg_fail_prefix(status, "%s: %s", file->path, group);
}

static sg_status check_class(const sg_h5 *file, const sg_model *model, int c)
{
    const uint16_t *sequence = model->class_sequence + (size_t)c * (size_t)model->spec.max_length;
    int length = model->class_length[c];
    if (length < 1 || length > model->spec.max_length || model->class_train[c] < 0)
        return sg_fail(SG_E_FORMAT, "%s: class %d has a length or count out of range", file->path, c);
    for (int t = 0; t < model->spec.max_length; t++)
        if (sequence[t] > model->spec.message_types || (sequence[t] == 0) != (t >= length))
            return sg_fail(SG_E_FORMAT, "%s: class %d has a wrong message type at step %d", file->path, c, t);
    return SG_OK;
}

static sg_status read_classes(const sg_h5 *file, sg_model *model)
{
    int64_t count, dims[2] = {model->spec.classes, model->spec.max_length};
    SG_TRY(sg_h5_read_texts(file, "/alphabet", model->spec.message_types, SG_MESSAGE_TYPES_MAX, TYPE_NAME_MAX,
                            &model->alphabet, &count));
    hid_t dataset;
    SG_TRY(sg_h5_dataset(file, "/classes/sequence", H5T_NATIVE_UINT16, 2, dims, NULL, &dataset));
    H5Dclose(dataset);
    SG_TRY(alloc_classes(model));
    SG_TRY(sg_h5_read(file, "/classes/sequence", H5T_NATIVE_UINT16, 2, dims, model->class_sequence));
    SG_TRY(sg_h5_read(file, "/classes/length", H5T_NATIVE_UINT16, 1, dims, model->class_length));
    SG_TRY(sg_h5_read(file, "/classes/train_count", H5T_NATIVE_INT64, 1, dims, model->class_train));
    for (int c = 0; c < model->spec.classes; c++)
        SG_TRY(check_class(file, model, c));
    return SG_OK;
}

static sg_status read_detectors(const sg_h5 *file, sg_model *model)
{
    static const int64_t two[2] = {2, 2};
    model->has_thresholds = sg_h5_has(file, "/thresholds");
    if (model->has_thresholds) {
        SG_TRY(sg_h5_get_real(file, "/thresholds", "skewness", &model->lambda_skewness));
        SG_TRY(sg_h5_get_real(file, "/thresholds", "kurtosis", &model->lambda_kurtosis));
    }
    if (sg_h5_has(file, "/prefix_thresholds")) {
        const int64_t limits[2] = {model->spec.max_length, 2};
        SG_TRY(sg_alloc(&model->prefix_limit, limits[0], "limits of prefixes"));
        SG_TRY(sg_h5_read(file, "/prefix_thresholds", H5T_NATIVE_DOUBLE, 2, limits, model->prefix_limit));
        for (int k = 0; k < model->spec.max_length; k++)
            if (!isfinite(model->prefix_limit[k].skewness) || !isfinite(model->prefix_limit[k].kurtosis))
                return sg_fail(SG_E_FORMAT, "%s: /prefix_thresholds row %d is not finite", file->path, k);
    }
    model->has_kmeans = sg_h5_has(file, "/kmeans/centroids");
    return model->has_kmeans
               ? sg_h5_read(file, "/kmeans/centroids", H5T_NATIVE_DOUBLE, 2, two, model->centroid)
               : SG_OK;
}

static sg_status read_training(const sg_h5 *file, sg_model *model)
{
    int64_t seed, goal_reached;
    SG_TRY(sg_alloc(&model->config, CONFIG_MAX, "configuration"));
    SG_TRY(sg_h5_get_text(file, "/training", "config", model->config, CONFIG_MAX));
    SG_TRY(sg_h5_get_int(file, "/training", "seed", INT64_MIN, INT64_MAX, &seed));
    model->seed = (uint64_t)seed;
    SG_TRY(sg_h5_get_int(file, "/training", "epoch", 0, INT64_MAX, &model->epoch));
    SG_TRY(sg_h5_get_int(file, "/training", "update", 0, INT64_MAX, &model->update));
    SG_TRY(sg_h5_get_int(file, "/training", "goal_reached", 0, 1, &goal_reached));
    model->goal_reached = goal_reached != 0;
    SG_TRY(sg_h5_get_real(file, "/training", "partial_loss", &model->partial_loss));
    SG_TRY(sg_h5_get_int(file, "/training", "partial_right", 0, INT64_MAX, &model->partial_right));
    SG_TRY(sg_h5_get_real(file, "/training", "best_pd", &model->best_pd));
    SG_TRY(sg_h5_get_real(file, "/training", "best_loss", &model->best_loss));
    SG_TRY(sg_h5_get_text(file, "/training", "corpus_digest", model->corpus_digest,
                          sizeof model->corpus_digest));
    SG_TRY(sg_h5_get_text(file, "/training", "tool", model->tool, sizeof model->tool));
    SG_TRY(sg_h5_get_text(file, "/training", "precision", model->precision, sizeof model->precision));
    return sg_h5_get_text(file, "/training", "device", model->device, sizeof model->device);
}

sg_status sg_model_get_description(const sg_h5 *file, const char *format, int64_t version_max,
                                   sg_model *model)
{
    *model = (sg_model){0};
    SG_TRY(sg_h5_check_format(file, format, version_max));
    SG_TRY(read_spec(file, &model->spec));
    SG_TRY(sg_conventions_read(file, model->type_rule, &model->collapsed));
    SG_TRY(read_classes(file, model));
    SG_TRY(read_detectors(file, model));
    return read_training(file, model);
}

static sg_status read_all(const sg_h5 *file, sg_model *model, sg_optimizer_state *state)
{
    SG_TRY(sg_model_get_description(file, FORMAT, VERSION, model));
    SG_TRY(read_tensors(file, "/params", &model->spec, &model->params));
    if (!state)
        return SG_OK;
    if (!sg_h5_has(file, "/optimizer"))
        return sg_fail(SG_E_FORMAT, "%s: a model without optimizer state, not a checkpoint", file->path);
    SG_TRY(read_tensors(file, "/optimizer/m", &model->spec, &state->m));
    return read_tensors(file, "/optimizer/v", &model->spec, &state->v);
}

static sg_status read_model(sg_model *model, sg_optimizer_state *state, const char *path, bool *digest)
{
    sg_h5 file;
    *model = (sg_model){0};
    if (state)
        *state = (sg_optimizer_state){0};
    SG_TRY(sg_h5_open_digest(&file, path, digest));
    sg_status status = read_all(&file, model, state);
    sg_h5_close(&file);
    if (status != SG_OK) {
        sg_model_free(model);
        if (state)
            sg_optimizer_state_free(state);
    }
    return status;
}

sg_status sg_model_read(sg_model *model, sg_optimizer_state *state, const char *path)
{
    bool digest;
    SG_TRY(read_model(model, state, path, &digest));
    if (!digest)
        sg_note("%s has no digest: damage to it would go unnoticed", path);
    return SG_OK;
}

sg_status sg_model_read_digest(sg_model *model, const char *path, bool *digest)
{
    return read_model(model, NULL, path, digest);
}

/* ---- model against corpus ---- */

sg_status sg_model_check_alphabet(const sg_model *model, const sg_corpus *corpus)
{
    if (model->spec.message_types != corpus->message_types)
        return sg_fail(SG_E_CONFIG, "the model knows %d message types, the corpus has %d",
                       model->spec.message_types, corpus->message_types);
    for (int m = 0; m < corpus->message_types; m++)
        if (strcmp(model->alphabet[m], corpus->alphabet[m]) != 0)
            return sg_fail(SG_E_CONFIG,
                           "alphabets differ: message type %d is %s in the model, %s in the corpus", m + 1,
                           model->alphabet[m], corpus->alphabet[m]);
    return SG_OK;
}

/* A class sequence without its padding, for comparison. */
typedef struct {
    const uint16_t *sequence;
    int length;
    int32_t number;
} class_key;

static int compare_keys(const void *x, const void *y)
{
    const class_key *a = x, *b = y;
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    return memcmp(a->sequence, b->sequence, (size_t)a->length * sizeof *a->sequence);
}

sg_status sg_model_match_classes(const sg_model *model, const sg_corpus *corpus, int32_t **class_of)
{
    class_key *keys = NULL;
    *class_of = NULL;
    sg_status status = sg_alloc(&keys, model->spec.classes, "classes");
    if (status == SG_OK)
        status = sg_alloc(class_of, corpus->classes, "classes");
    if (status != SG_OK) {
        free(keys);
        return status;
    }
    for (int32_t c = 0; c < model->spec.classes; c++)
        keys[c] = (class_key){model->class_sequence + (size_t)c * (size_t)model->spec.max_length,
                              model->class_length[c], c};
    qsort(keys, (size_t)model->spec.classes, sizeof *keys, compare_keys);
    for (int32_t j = 0; j < corpus->classes; j++) {
        class_key wanted = {corpus->class_sequence + (size_t)j * (size_t)corpus->max_length,
                            corpus->class_length[j], j};
        const class_key *found =
            bsearch(&wanted, keys, (size_t)model->spec.classes, sizeof *keys, compare_keys);
        (*class_of)[j] = found ? found->number : -1;
    }
    free(keys);
    return SG_OK;
}
