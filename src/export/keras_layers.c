#include "export/keras_layers.h"

#include "corpus/corpus.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LAYERS_MAX = 32 };

typedef struct {
    const char *class_name, *name;
    const cJSON *config;
} layer_entry;

typedef struct {
    const char *path;
    sg_keras_layers *out;
    layer_entry chain[LAYERS_MAX]; /* from input to output */
    int count;
    bool mask_given; /* a layer takes a mask that no Masking layer of Keras 2 computes */
} reader;

static const cJSON *get(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* An absent text is "?". */
static const char *get_name(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(get(object, key));
    return text ? text : "?";
}

static bool is_given(const cJSON *item)
{
    return item && !cJSON_IsNull(item);
}

/* ---- settings of a layer ---- */

/* SG_E_CONFIG with both values, unless the setting is `wanted` (JSON) or absent. */
static sg_status want(const reader *r, const layer_entry *layer, const char *key, const char *wanted)
{
    const cJSON *item = get(layer->config, key);
    cJSON *value = cJSON_Parse(wanted);
    const bool same = !item || (value && cJSON_Compare(item, value, true));
    cJSON_Delete(value);
    if (same)
        return SG_OK;
    char *text = cJSON_PrintUnformatted(item);
    sg_status status = sg_fail(SG_E_CONFIG, "%s: layer %.60s: %s is %.80s; only %s can be represented",
                               r->path, layer->name, key, text ? text : "?", wanted);
    cJSON_free(text);
    return status;
}

/* "float32", or a policy that keeps weights in float32. */
static sg_status want_float32(const reader *r, const layer_entry *layer)
{
    const cJSON *dtype = get(layer->config, "dtype");
    const cJSON *name = cJSON_IsObject(dtype) ? get(get(dtype, "config"), "name") : dtype;
    const char *text = cJSON_GetStringValue(name);
    if (!is_given(dtype))
        return SG_OK;
    if (text && (strcmp(text, "float32") == 0 || strcmp(text, "mixed_float16") == 0 ||
                 strcmp(text, "mixed_bfloat16") == 0))
        return SG_OK;
    return sg_fail(SG_E_CONFIG, "%s: layer %.60s: dtype is %.40s; only weights in float32 can be represented",
                   r->path, layer->name, text ? text : "no known policy");
}

static sg_status get_size(const reader *r, const layer_entry *layer, const char *key, int max, int *value)
{
    const cJSON *item = get(layer->config, key);
    if (!cJSON_IsNumber(item) || item->valuedouble < 1 || item->valuedouble > max ||
        floor(item->valuedouble) != item->valuedouble)
        return sg_fail(SG_E_FORMAT, "%s: layer %.60s: %s is not a whole number from 1 to %d", r->path,
                       layer->name, key, max);
    *value = item->valueint;
    return SG_OK;
}

/* A share of 0 or more and less than 1; 0 if absent. */
static sg_status get_rate(const reader *r, const layer_entry *layer, const char *key, double *rate)
{
    const cJSON *item = get(layer->config, key);
    *rate = cJSON_IsNumber(item) ? item->valuedouble : 0;
    if ((is_given(item) && !cJSON_IsNumber(item)) || !(*rate >= 0 && *rate < 1))
        return sg_fail(SG_E_FORMAT, "%s: layer %.60s: %s is not a number from 0 to less than 1", r->path,
                       layer->name, key);
    return SG_OK;
}

static void leave_out(const reader *r, const layer_entry *layer, const char *key, double rate)
{
    char *text = r->out->left_out;
    const size_t used = strlen(text), room = sizeof r->out->left_out - used;
    if (rate > 0)
        snprintf(text + used, room, "%s%.40s.%s %g", used ? ", " : "", layer->name, key, rate);
}

/* ---- layers ---- */

/* [batch, L, M]; null where it is open. */
static sg_status read_shape(const reader *r, const layer_entry *layer, const cJSON *shape)
{
    int *const size[2] = {&r->out->max_length, &r->out->message_types};
    const int max[2] = {SG_LENGTH_MAX, SG_MESSAGE_TYPES_MAX - 1};
    if (!is_given(shape))
        return SG_OK;
    if (cJSON_GetArraySize(shape) != 3)
        return sg_fail(
            SG_E_CONFIG,
            "%s: layer %.60s: the input has %d dimensions, expected [batch, length, message types]", r->path,
            layer->name, cJSON_GetArraySize(shape));
    for (int k = 0; k < 2; k++) {
        const cJSON *item = cJSON_GetArrayItem(shape, k + 1);
        if (!is_given(item))
            continue;
        if (!cJSON_IsNumber(item) || !(item->valuedouble >= 1 && item->valuedouble <= max[k]))
            return sg_fail(SG_E_CONFIG, "%s: layer %.60s: size %d of the input is not from 1 to %d", r->path,
                           layer->name, k + 1, max[k]);
        *size[k] = item->valueint;
    }
    return SG_OK;
}

static sg_status read_input(const reader *r, const layer_entry *layer)
{
    SG_TRY(want(r, layer, "sparse", "false"));
    SG_TRY(want(r, layer, "ragged", "false"));
    SG_TRY(read_shape(r, layer, get(layer->config, "batch_shape")));
    return read_shape(r, layer, get(layer->config, "batch_input_shape"));
}

static sg_status read_lstm(const reader *r, const layer_entry *layer, bool last)
{
    sg_keras_layers *out = r->out;
    double rate;
    int units = 0;
    SG_TRY(want_float32(r, layer));
    SG_TRY(get_size(r, layer, "units", SG_UNITS_MAX, &units));
    if (out->layers && units != out->units)
        return sg_fail(SG_E_CONFIG, "%s: layer %.60s: units is %d; only the %d of %.60s can be represented",
                       r->path, layer->name, units, out->units, out->lstm[0]);
    SG_TRY(want(r, layer, "activation", "\"tanh\""));
    SG_TRY(want(r, layer, "recurrent_activation", "\"sigmoid\""));
    SG_TRY(want(r, layer, "use_bias", "true"));
    SG_TRY(want(r, layer, "return_state", "false"));
    SG_TRY(want(r, layer, "go_backwards", "false"));
    SG_TRY(want(r, layer, "stateful", "false"));
    SG_TRY(want(r, layer, "time_major", "false"));
    SG_TRY(want(r, layer, "return_sequences", last ? "false" : "true"));
    if (!last && !get(layer->config, "return_sequences"))
        return sg_fail(SG_E_CONFIG, "%s: layer %.60s: return_sequences is missing, but another LSTM follows",
                       r->path, layer->name);
    SG_TRY(get_rate(r, layer, "dropout", &rate));
    leave_out(r, layer, "dropout", rate);
    SG_TRY(get_rate(r, layer, "recurrent_dropout", &rate));
    leave_out(r, layer, "recurrent_dropout", rate);
    out->units = units;
    out->lstm[out->layers++] = layer->name;
    return SG_OK;
}

static sg_status read_dense(const reader *r, const layer_entry *layer)
{
    SG_TRY(want_float32(r, layer));
    SG_TRY(want(r, layer, "activation", "\"softmax\""));
    if (!get(layer->config, "activation"))
        return sg_fail(SG_E_CONFIG, "%s: layer %.60s has no activation; only \"softmax\" can be represented",
                       r->path, layer->name);
    SG_TRY(want(r, layer, "use_bias", "true"));
    SG_TRY(want(r, layer, "quantization_config", "null"));
    r->out->dense = layer->name;
    return get_size(r, layer, "units", SG_CLASSES_MAX, &r->out->classes);
}

static bool is_class(const layer_entry *layer, const char *class_name)
{
    return strcmp(layer->class_name, class_name) == 0;
}

static int count_class(const reader *r, const char *class_name)
{
    int count = 0;
    for (int i = 0; i < r->count; i++)
        count += is_class(&r->chain[i], class_name);
    return count;
}

/* Where in the chain a layer may be. */
typedef enum { AT_START, AFTER_INPUT, AFTER_MASKING, AFTER_LSTM, AFTER_DENSE } place;

static sg_status read_dropout(const reader *r, const layer_entry *layer, place where, bool last)
{
    double rate;
    SG_TRY(get_rate(r, layer, "rate", &rate));
    if (where == AFTER_LSTM && last && r->out->dropout == 0)
        r->out->dropout = rate;
    else
        leave_out(r, layer, "rate", rate);
    return SG_OK;
}

static sg_status read_layer(const reader *r, const layer_entry *layer, int lstm_count, place *where)
{
    const place before = *where;
    const bool last = r->out->layers == lstm_count;
    if (is_class(layer, "InputLayer") && before == AT_START) {
        *where = AFTER_INPUT;
        return read_input(r, layer);
    }
    if (before == AT_START) /* Keras 2 leaves the input to the first layer */
        SG_TRY(read_shape(r, layer, get(layer->config, "batch_input_shape")));
    if (is_class(layer, "Masking") && before < AFTER_MASKING) {
        *where = AFTER_MASKING;
        r->out->masking = true;
        return want(r, layer, "mask_value", "0");
    }
    if (is_class(layer, "LSTM") && before < AFTER_DENSE) {
        *where = AFTER_LSTM;
        return read_lstm(r, layer, r->out->layers == lstm_count - 1);
    }
    if (is_class(layer, "Dropout") && before < AFTER_DENSE)
        return read_dropout(r, layer, before, last);
    if (is_class(layer, "Dense") && before == AFTER_LSTM && last) {
        *where = AFTER_DENSE;
        return read_dense(r, layer);
    }
    return sg_fail(SG_E_CONFIG,
                   "%s: layer %.60s, a %.60s, cannot be represented there; expected [InputLayer], [Masking], "
                   "LSTM once or twice, [Dropout], Dense",
                   r->path, layer->name, layer->class_name);
}

static sg_status read_chain(const reader *r)
{
    const int lstm_count = count_class(r, "LSTM");
    place where = AT_START;
    if (lstm_count > SG_LAYERS_MAX)
        return sg_fail(SG_E_CONFIG, "%s: %d LSTM layers; at most %d can be represented", r->path, lstm_count,
                       SG_LAYERS_MAX);
    for (int i = 0; i < r->count; i++)
        SG_TRY(read_layer(r, &r->chain[i], lstm_count, &where));
    if (where != AFTER_DENSE)
        return sg_fail(SG_E_CONFIG, "%s: the model ends without an LSTM and a Dense layer after it", r->path);
    if (r->mask_given && !r->out->masking)
        return sg_fail(SG_E_CONFIG, "%s: layer %.60s: a mask that does not come from a Masking layer",
                       r->path, r->out->lstm[0]);
    return SG_OK;
}

/* ---- from JSON to the chain ---- */

/* Layers of Keras' own modules, under the names of all versions. */
static sg_status check_module(const reader *r, const cJSON *object, const char *name)
{
    static const char *const known[] = {"keras.", "tf_keras.", "tensorflow.python.keras.", "keras_core."};
    const char *module = cJSON_GetStringValue(get(object, "module"));
    for (size_t i = 0; module && i < sizeof known / sizeof *known; i++)
        if (strncmp(module, known[i], strlen(known[i])) == 0)
            return SG_OK;
    if (!module)
        return SG_OK;
    return sg_fail(SG_E_CONFIG,
                   "%s: layer %.60s is from the module %.60s; only Keras' own can be represented", r->path,
                   name, module);
}

static sg_status append(reader *r, const cJSON *object)
{
    layer_entry *layer = &r->chain[r->count];
    if (r->count == LAYERS_MAX)
        return sg_fail(SG_E_CONFIG, "%s: more than %d layers", r->path, LAYERS_MAX);
    layer->class_name = get_name(object, "class_name");
    layer->config = get(object, "config");
    layer->name = get_name(layer->config, "name");
    SG_TRY(check_module(r, object, layer->name));
    r->count++;
    return SG_OK;
}

static sg_status chain_sequential(reader *r, const cJSON *layers)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, layers) SG_TRY(append(r, item));
    return SG_OK;
}

static const cJSON *find_layer(const cJSON *layers, const char *name)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, layers)
    {
        const char *own = cJSON_GetStringValue(get(item, "name"));
        if (strcmp(own ? own : get_name(get(item, "config"), "name"), name) == 0)
            return item;
    }
    return NULL;
}

/* The layer that [name, 0, 0, ...] names: its first output in its first use; NULL for anything else. */
static const char *read_reference(const cJSON *reference)
{
    const char *name = cJSON_GetStringValue(cJSON_GetArrayItem(reference, 0));
    const cJSON *node = cJSON_GetArrayItem(reference, 1), *tensor = cJSON_GetArrayItem(reference, 2);
    if (!name || !cJSON_IsNumber(node) || !cJSON_IsNumber(tensor) || node->valueint || tensor->valueint)
        return NULL;
    return name;
}

/* A tensor of Keras 3: {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}. */
static const char *read_tensor(const cJSON *tensor)
{
    return read_reference(get(get(tensor, "config"), "keras_history"));
}

/* Arguments of a layer besides its input: only those that do not change its output. */
static sg_status check_arguments(reader *r, const char *name, const cJSON *arguments)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, arguments)
    {
        const bool training = strcmp(item->string, "training") == 0, mask = strcmp(item->string, "mask") == 0;
        if (!is_given(item) || (training && cJSON_IsFalse(item)))
            continue;
        if (mask && read_tensor(item))
            r->mask_given = true;
        else
            return sg_fail(SG_E_CONFIG, "%s: layer %.60s is called with %.60s, which cannot be represented",
                           r->path, name, item->string);
    }
    return SG_OK;
}

/* The one layer that feeds `object`; *source is NULL for an input. */
static sg_status find_source(reader *r, const cJSON *object, const char *name, const char **source)
{
    const cJSON *nodes = get(object, "inbound_nodes"), *node = cJSON_GetArrayItem(nodes, 0);
    const cJSON *arguments = get(node, "kwargs"), *inputs = get(node, "args");
    *source = NULL;
    if (strcmp(get_name(object, "class_name"), "InputLayer") == 0 && cJSON_GetArraySize(nodes) == 0)
        return SG_OK;
    if (cJSON_IsObject(node)) { /* Keras 3 */
        *source = read_tensor(cJSON_GetArrayItem(inputs, 0));
    } else { /* Keras 2: [[name, 0, 0, {arguments}]] */
        inputs = node;
        *source = read_reference(cJSON_GetArrayItem(node, 0));
        arguments = cJSON_GetArrayItem(cJSON_GetArrayItem(node, 0), 3);
    }
    if (cJSON_GetArraySize(nodes) != 1 || cJSON_GetArraySize(inputs) != 1 || !*source)
        return sg_fail(SG_E_CONFIG,
                       "%s: layer %.60s: only a layer with one input, used once, can be represented", r->path,
                       name);
    return check_arguments(r, name, arguments);
}

/* Layers beside the chain: only those with which a Masking layer of Keras 3 computes its mask. */
static sg_status check_others(const reader *r, const cJSON *layers)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, layers)
    {
        bool found = false;
        const char *class_name = get_name(item, "class_name");
        for (int i = 0; i < r->count; i++)
            found = found || r->chain[i].config == get(item, "config");
        if (!found && strcmp(class_name, "NotEqual") != 0 && strcmp(class_name, "Any") != 0)
            return sg_fail(SG_E_CONFIG, "%s: layer %.60s, a %.60s, is not on the way from input to output",
                           r->path, get_name(get(item, "config"), "name"), class_name);
    }
    return SG_OK;
}

static sg_status chain_functional(reader *r, const cJSON *config)
{
    const cJSON *layers = get(config, "layers"), *outputs = get(config, "output_layers");
    const cJSON *first = cJSON_GetArrayItem(outputs, 0);
    if (cJSON_IsArray(first) && cJSON_GetArraySize(outputs) != 1)
        return sg_fail(SG_E_CONFIG, "%s: %d outputs; only one can be represented", r->path,
                       cJSON_GetArraySize(outputs));
    const char *name = read_reference(cJSON_IsArray(first) ? first : outputs);
    while (name) { /* backwards; a circle meets LAYERS_MAX */
        const cJSON *object = find_layer(layers, name);
        if (!object)
            return sg_fail(SG_E_FORMAT, "%s: layer %.60s is missing", r->path, name);
        SG_TRY(append(r, object));
        SG_TRY(find_source(r, object, name, &name));
    }
    for (int i = 0; i < r->count / 2; i++) {
        const layer_entry swap = r->chain[i];
        r->chain[i] = r->chain[r->count - 1 - i];
        r->chain[r->count - 1 - i] = swap;
    }
    return check_others(r, layers);
}

sg_status sg_keras_layers_read(sg_keras_layers *layers, const cJSON *model, const char *path)
{
    reader r = {.path = path, .out = layers};
    const cJSON *config = get(model, "config");
    const char *kind = get_name(model, "class_name");
    *layers = (sg_keras_layers){0};
    if (strcmp(kind, "Sequential") == 0)
        SG_TRY(chain_sequential(&r, cJSON_IsArray(config) ? config : get(config, "layers")));
    else if (strcmp(kind, "Functional") == 0 || strcmp(kind, "Model") == 0)
        SG_TRY(chain_functional(&r, config));
    else
        return sg_fail(SG_E_CONFIG,
                       "%s: a model of the class %.60s; only Sequential and Functional can be read", path,
                       kind);
    SG_TRY(read_chain(&r));
    if (layers->max_length == 0 && layers->message_types == 0) {
        const layer_entry whole = {kind, get_name(config, "name"), config};
        SG_TRY(read_shape(&r, &whole, get(config, "build_input_shape")));
    }
    return SG_OK;
}
