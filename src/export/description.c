#include "export/description.h"

#include "base/memory.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, NAME_MAX_BYTES = 64, ID_DIGITS = 6 };

/* ---- making ---- */

/* Length of the UTF-8 sequence at s (RFC 3629), 0 if it is not one. */
static int utf8_length(const unsigned char *s)
{
    const int n = s[0] < 0x80                   ? 1
                  : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                  : (s[0] & 0xf0) == 0xe0       ? 3
                  : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                                : 0;
    for (int k = 1; k < n; k++)
        if ((s[k] & 0xc0) != 0x80)
            return 0;
    const bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    const bool surrogate = s[0] == 0xed && s[1] >= 0xa0, beyond = s[0] == 0xf4 && s[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : n;
}

static bool is_utf8(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    while (*s) {
        const int n = utf8_length(s);
        if (n == 0)
            return false;
        s += n;
    }
    return true;
}

static sg_status add_alphabet(cJSON *object, const sg_model *model)
{
    cJSON *array = cJSON_AddArrayToObject(object, "alphabet");
    for (int m = 0; m < model->spec.message_types; m++) {
        if (!is_utf8(model->alphabet[m]))
            return sg_fail(SG_E_CONFIG, "the name of message type %d is not valid UTF-8", m + 1);
        cJSON_AddItemToArray(array, cJSON_CreateString(model->alphabet[m]));
    }
    return SG_OK;
}

static sg_status add_classes(cJSON *object, const sg_model *model)
{
    const size_t steps = (size_t)model->spec.max_length;
    char *text;
    SG_TRY(sg_alloc(&text, steps * ID_DIGITS + 1, "classes"));
    cJSON *classes = cJSON_AddArrayToObject(object, "classes");
    cJSON *counts = cJSON_AddArrayToObject(object, "train_count");
    for (int c = 0; c < model->spec.classes; c++) {
        const uint16_t *sequence = model->class_sequence + (size_t)c * steps;
        char *end = text;
        *end = '\0';
        for (int t = 0; t < model->class_length[c]; t++)
            end += sprintf(end, "%s%u", t ? " " : "", (unsigned)sequence[t]);
        cJSON_AddItemToArray(classes, cJSON_CreateString(text));
        cJSON_AddItemToArray(counts, cJSON_CreateNumber((double)model->class_train[c]));
    }
    free(text);
    return SG_OK;
}

/* A number that reads back to the same bits; cJSON's own conversion may lose the last one. */
static cJSON *exact(double x)
{
    char text[40];
    snprintf(text, sizeof text, "%.17g", x);
    return isfinite(x) ? cJSON_CreateRaw(text) : cJSON_CreateNull();
}

static void add_pair(cJSON *array, double first, double second)
{
    cJSON *pair = cJSON_CreateArray();
    cJSON_AddItemToArray(pair, exact(first));
    cJSON_AddItemToArray(pair, exact(second));
    cJSON_AddItemToArray(array, pair);
}

static void add_detectors(cJSON *object, const sg_model *model)
{
    if (model->has_thresholds) {
        cJSON *thresholds = cJSON_AddObjectToObject(object, "thresholds");
        cJSON_AddStringToObject(thresholds, "rule", "both");
        cJSON_AddItemToObject(thresholds, "skewness", exact(model->lambda_skewness));
        cJSON_AddItemToObject(thresholds, "kurtosis", exact(model->lambda_kurtosis));
    }
    if (model->prefix_limit) {
        cJSON *limits = cJSON_AddArrayToObject(object, "prefix_thresholds");
        for (int k = 0; k < model->spec.max_length; k++)
            add_pair(limits, model->prefix_limit[k].skewness, model->prefix_limit[k].kurtosis);
    }
    if (model->has_kmeans) {
        cJSON *centroids = cJSON_AddArrayToObject(object, "kmeans");
        for (int k = 0; k < 2; k++)
            add_pair(centroids, model->centroid[k][0], model->centroid[k][1]);
    }
}

static void add_training(cJSON *object, const sg_model *model)
{
    char seed[24];
    snprintf(seed, sizeof seed, "%" PRIu64, model->seed);
    cJSON *training = cJSON_AddObjectToObject(object, "training");
    cJSON_AddStringToObject(training, "config", model->config ? model->config : "");
    cJSON_AddStringToObject(training, "seed", seed); /* a JSON number cannot hold 64 bits */
    cJSON_AddNumberToObject(training, "epoch", (double)model->epoch);
    cJSON_AddNumberToObject(training, "update", (double)model->update);
    cJSON_AddStringToObject(training, "corpus_digest", model->corpus_digest);
    cJSON_AddStringToObject(training, "tool", model->tool);
    cJSON_AddStringToObject(training, "precision", model->precision);
    cJSON_AddStringToObject(training, "device", model->device);
}

sg_status sg_description_make(const sg_model *model, cJSON **out)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "version", VERSION);
    sg_status status = add_alphabet(object, model);
    cJSON_AddStringToObject(object, "type_rule", model->type_rule[0] ? model->type_rule : "paper/1");
    cJSON_AddStringToObject(object, "retransmissions", model->collapsed ? "collapse" : "keep");
    cJSON_AddStringToObject(object, "padding", sg_padding_name(model->spec.padding));
    cJSON_AddNumberToObject(object, "max_length", model->spec.max_length);
    if (status == SG_OK)
        status = add_classes(object, model);
    add_detectors(object, model);
    add_training(object, model);
    if (status == SG_OK && !cJSON_HasObjectItem(object, "training"))
        status = sg_fail(SG_E_MEMORY, "description of the model: out of memory");
    if (status != SG_OK)
        cJSON_Delete(object);
    *out = status == SG_OK ? object : NULL;
    return status;
}

/* ---- reading ---- */

static sg_status wrong(const char *entry)
{
    return sg_fail(SG_E_FORMAT, "sipgpu.%s is missing or wrong", entry);
}

static sg_status get_text(const cJSON *object, const char *entry, char *text, size_t size)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, entry));
    if (!value || strlen(value) >= size)
        return wrong(entry);
    strcpy(text, value);
    return SG_OK;
}

/* A whole number from `min` to `max`, which a double holds exactly. */
static bool is_whole(const cJSON *item, double min, double max)
{
    return cJSON_IsNumber(item) && item->valuedouble >= min && item->valuedouble <= max &&
           floor(item->valuedouble) == item->valuedouble;
}

static sg_status get_count(const cJSON *object, const char *entry, int64_t *value)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, entry);
    if (!is_whole(item, 0, 9e15))
        return wrong(entry);
    *value = (int64_t)item->valuedouble;
    return SG_OK;
}

/* An array of exactly `count` items. */
static sg_status get_array(const cJSON *object, const char *entry, int count, const cJSON **array)
{
    *array = cJSON_GetObjectItemCaseSensitive(object, entry);
    if (!cJSON_IsArray(*array))
        return wrong(entry);
    const int have = cJSON_GetArraySize(*array);
    if (have != count)
        return sg_fail(SG_E_FORMAT, "sipgpu.%s has %d entries, the network needs %d", entry, have, count);
    return SG_OK;
}

sg_status sg_description_shape(const cJSON *object, int *max_length, sg_padding *padding)
{
    char name[16];
    const cJSON *version = cJSON_GetObjectItemCaseSensitive(object, "version");
    const cJSON *length = cJSON_GetObjectItemCaseSensitive(object, "max_length");
    if (!is_whole(version, 1, VERSION))
        return sg_fail(SG_E_FORMAT, "sipgpu.version is not one that this program reads (1 to %d)", VERSION);
    if (!is_whole(length, 1, SG_LENGTH_MAX))
        return wrong("max_length");
    SG_TRY(get_text(object, "padding", name, sizeof name));
    const int index = sg_padding_from_name(name);
    if (index < 0)
        return wrong("padding");
    *max_length = length->valueint;
    *padding = (sg_padding)index;
    return SG_OK;
}

static sg_status read_alphabet(const cJSON *object, sg_model *model)
{
    const cJSON *array, *item;
    int m = 0;
    SG_TRY(get_array(object, "alphabet", model->spec.message_types, &array));
    SG_TRY(sg_alloc(&model->alphabet, model->spec.message_types, "alphabet"));
    cJSON_ArrayForEach(item, array)
    {
        const char *name = cJSON_GetStringValue(item);
        if (!name || !name[0] || strlen(name) > NAME_MAX_BYTES)
            return wrong("alphabet");
        model->alphabet[m] = strdup(name);
        if (!model->alphabet[m++])
            return sg_fail(SG_E_MEMORY, "alphabet: out of memory");
    }
    return SG_OK;
}

/* "1 9 12 2" into sequence[L]. */
static sg_status read_class(const char *text, const sg_spec *spec, uint16_t *sequence, uint16_t *length)
{
    int n = 0;
    while (text && *text) {
        char *end;
        const long id = strtol(text, &end, 10);
        if (end == text || id < 1 || id > spec->message_types || n >= spec->max_length ||
            (*end != '\0' && *end != ' '))
            return wrong("classes");
        sequence[n++] = (uint16_t)id;
        text = *end ? end + 1 : end;
    }
    *length = (uint16_t)n;
    return n ? SG_OK : wrong("classes");
}

static sg_status read_classes(const cJSON *object, sg_model *model)
{
    const cJSON *classes, *counts;
    const size_t n = (size_t)model->spec.classes, steps = (size_t)model->spec.max_length;
    SG_TRY(get_array(object, "classes", model->spec.classes, &classes));
    SG_TRY(get_array(object, "train_count", model->spec.classes, &counts));
    SG_TRY(sg_alloc(&model->class_sequence, n * steps, "classes"));
    SG_TRY(sg_alloc(&model->class_length, n, "classes"));
    SG_TRY(sg_alloc(&model->class_train, n, "classes"));
    const cJSON *item = classes->child, *count = counts->child;
    for (size_t c = 0; c < n; c++, item = item->next, count = count->next) {
        SG_TRY(read_class(cJSON_GetStringValue(item), &model->spec, model->class_sequence + c * steps,
                          &model->class_length[c]));
        if (!is_whole(count, 0, 9e15))
            return wrong("train_count");
        model->class_train[c] = (int64_t)count->valuedouble;
    }
    return SG_OK;
}

static bool read_pair(const cJSON *item, double *first, double *second)
{
    const cJSON *a = cJSON_GetArrayItem(item, 0), *b = cJSON_GetArrayItem(item, 1);
    if (!cJSON_IsNumber(a) || !cJSON_IsNumber(b) || !isfinite(a->valuedouble) || !isfinite(b->valuedouble))
        return false;
    *first = a->valuedouble;
    *second = b->valuedouble;
    return true;
}

static sg_status read_detectors(const cJSON *object, sg_model *model)
{
    const cJSON *thresholds = cJSON_GetObjectItemCaseSensitive(object, "thresholds"), *array, *item;
    if (thresholds) {
        const cJSON *s = cJSON_GetObjectItemCaseSensitive(thresholds, "skewness");
        const cJSON *k = cJSON_GetObjectItemCaseSensitive(thresholds, "kurtosis");
        if (!cJSON_IsNumber(s) || !cJSON_IsNumber(k) || !isfinite(s->valuedouble) ||
            !isfinite(k->valuedouble))
            return wrong("thresholds");
        model->has_thresholds = true;
        model->lambda_skewness = s->valuedouble;
        model->lambda_kurtosis = k->valuedouble;
    }
    if (cJSON_HasObjectItem(object, "prefix_thresholds")) {
        SG_TRY(get_array(object, "prefix_thresholds", model->spec.max_length, &array));
        SG_TRY(sg_alloc(&model->prefix_limit, model->spec.max_length, "limits of prefixes"));
        sg_prefix_limit *limit = model->prefix_limit;
        cJSON_ArrayForEach(item, array)
        {
            if (!read_pair(item, &limit->skewness, &limit->kurtosis))
                return wrong("prefix_thresholds");
            limit++;
        }
    }
    if (cJSON_HasObjectItem(object, "kmeans")) {
        SG_TRY(get_array(object, "kmeans", 2, &array));
        for (int k = 0; k < 2; k++)
            if (!read_pair(cJSON_GetArrayItem(array, k), &model->centroid[k][0], &model->centroid[k][1]))
                return wrong("kmeans");
        model->has_kmeans = true;
    }
    return SG_OK;
}

static sg_status read_training(const cJSON *object, sg_model *model)
{
    const cJSON *training = cJSON_GetObjectItemCaseSensitive(object, "training");
    const char *config = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(training, "config"));
    char seed[24];
    if (!config || strlen(config) >= 1 << 16)
        return wrong("training");
    model->config = strdup(config);
    if (!model->config)
        return sg_fail(SG_E_MEMORY, "training: out of memory");
    SG_TRY(get_text(training, "seed", seed, sizeof seed));
    model->seed = strtoull(seed, NULL, 10);
    SG_TRY(get_count(training, "epoch", &model->epoch));
    SG_TRY(get_count(training, "update", &model->update));
    SG_TRY(get_text(training, "corpus_digest", model->corpus_digest, sizeof model->corpus_digest));
    SG_TRY(get_text(training, "tool", model->tool, sizeof model->tool));
    SG_TRY(get_text(training, "precision", model->precision, sizeof model->precision));
    return get_text(training, "device", model->device, sizeof model->device);
}

static sg_status read_conventions(const cJSON *object, char rule[16], bool *collapsed)
{
    char repeats[16];
    SG_TRY(get_text(object, "type_rule", rule, 16));
    SG_TRY(get_text(object, "retransmissions", repeats, sizeof repeats));
    *collapsed = strcmp(repeats, "collapse") == 0;
    if (strcmp(rule, "paper/1") != 0 && strcmp(rule, "cseq/1") != 0)
        return wrong("type_rule");
    return *collapsed || strcmp(repeats, "keep") == 0 ? SG_OK : wrong("retransmissions");
}

sg_status sg_description_apply(const cJSON *object, sg_model *model)
{
    SG_TRY(read_conventions(object, model->type_rule, &model->collapsed));
    SG_TRY(read_alphabet(object, model));
    SG_TRY(read_classes(object, model));
    SG_TRY(read_detectors(object, model));
    return read_training(object, model);
}

sg_status sg_description_check_corpus(const cJSON *object, const sg_corpus *corpus)
{
    char rule[16];
    bool collapsed;
    const cJSON *alphabet, *item;
    const char *corpus_rule = corpus->type_rule[0] ? corpus->type_rule : "paper/1";
    SG_TRY(read_conventions(object, rule, &collapsed));
    SG_TRY(get_array(object, "alphabet", corpus->message_types, &alphabet));
    int m = 0;
    cJSON_ArrayForEach(item, alphabet)
    {
        const char *name = cJSON_GetStringValue(item);
        if (!name)
            return wrong("alphabet");
        if (strcmp(name, corpus->alphabet[m]) != 0)
            return sg_fail(SG_E_CONFIG,
                           "alphabets differ: message type %d is %s in the file, %s in the corpus", m + 1,
                           name, corpus->alphabet[m]);
        m++;
    }
    if (strcmp(rule, corpus_rule) != 0 || collapsed != corpus->collapsed)
        return sg_fail(SG_E_CONFIG,
                       "the file has types by %s and retransmissions %s, the corpus by %s and %s", rule,
                       collapsed ? "left out" : "kept", corpus_rule, corpus->collapsed ? "left out" : "kept");
    return SG_OK;
}
