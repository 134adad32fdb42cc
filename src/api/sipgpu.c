/* sipgpu.c: the public interface, over model, engine and detectors. */
#include "sipgpu/sipgpu.h"

#include "base/memory.h"
#include "corpus/sequence_set.h"
#include "detect/threshold.h"
#include "engine/engine.h"
#include "model/model.h"
#include <stdlib.h>
#include <string.h>

struct sipgpu_model {
    sg_model model;
    sg_engine *engine;
    sg_sequence_set classes; /* numbered as the model's classes */
};

static sipgpu_status public_status(sg_status status)
{
    switch (status) {
    case SG_OK:
        return SIPGPU_OK;
    case SG_E_USAGE:
    case SG_E_CONFIG:
        return SIPGPU_E_ARGUMENT;
    case SG_E_IO:
        return SIPGPU_E_IO;
    case SG_E_FORMAT:
    case SG_E_NUMERIC:
        return SIPGPU_E_FORMAT;
    case SG_E_MEMORY:
        return SIPGPU_E_MEMORY;
    case SG_E_DEVICE:
        return SIPGPU_E_DEVICE;
    default:
        return SIPGPU_E_OTHER;
    }
}

const char *sipgpu_version(void)
{
    return SG_VERSION;
}

const char *sipgpu_error(void)
{
    return sg_error_text();
}

/* ---- opening ---- */

static sg_status list_classes(sipgpu_model *m)
{
    const sg_model *model = &m->model;
    SG_TRY(sg_sequence_set_open(&m->classes));
    for (int c = 0; c < model->spec.classes; c++) {
        int32_t number;
        SG_TRY(sg_sequence_set_add(&m->classes,
                                   model->class_sequence + (size_t)c * (size_t)model->spec.max_length,
                                   model->class_length[c], &number));
        if (number != c)
            return sg_fail(SG_E_FORMAT, "classes %d and %d are the same dialog", (int)number, c);
    }
    return SG_OK;
}

static sg_status parse_options(const sipgpu_options *given, sg_engine_options *options)
{
    static const char *const precisions[] = {"auto", "fp32", "tf32", "bf16"};
    const int count = sizeof precisions / sizeof *precisions;
    *options = (sg_engine_options){0};
    if (!given)
        return SG_OK;
    if (given->threads < 0 || given->threads > 1024)
        return sg_fail(SG_E_USAGE, "threads = %d: must be from 0 to 1024", given->threads);
    options->threads = given->threads;
    int precision = given->precision ? -1 : 0;
    for (int i = 0; i < count && precision < 0; i++)
        if (strcmp(given->precision, precisions[i]) == 0)
            precision = i;
    if (precision < 0)
        return sg_fail(SG_E_USAGE, "unknown precision '%s': %s is wanted", given->precision,
                       SG_PRECISION_CHOICES);
    options->precision = (sg_precision)precision;
    return given->device ? sg_device_parse(given->device, &options->device, &options->device_index) : SG_OK;
}

static sg_status open_model(sipgpu_model *m, const char *path, const sipgpu_options *given)
{
    sg_engine_options options;
    bool digest; /* a library prints nothing */
    SG_TRY(parse_options(given, &options));
    SG_TRY(sg_model_read_digest(&m->model, path, &digest));
    sg_status status = list_classes(m);
    if (status != SG_OK)
        return sg_fail_prefix(status, "%s", path);
    SG_TRY(sg_engine_open(&m->engine, &m->model.spec, &options));
    return sg_engine_load(m->engine, &m->model.params);
}

sipgpu_status sipgpu_open(sipgpu_model **model, const char *path, const sipgpu_options *options)
{
    *model = NULL;
    sipgpu_model *m = calloc(1, sizeof *m);
    if (!m)
        return public_status(sg_fail(SG_E_MEMORY, "%s: out of memory", path));
    sg_status status = open_model(m, path, options);
    if (status != SG_OK)
        sipgpu_close(m);
    else
        *model = m;
    return public_status(status);
}

void sipgpu_close(sipgpu_model *m)
{
    if (!m)
        return;
    sg_engine_close(m->engine);
    sg_sequence_set_free(&m->classes);
    sg_model_free(&m->model);
    free(m);
}

/* ---- what the model is ---- */

int sipgpu_message_types(const sipgpu_model *m)
{
    return m->model.spec.message_types;
}

int sipgpu_max_length(const sipgpu_model *m)
{
    return m->model.spec.max_length;
}

int sipgpu_classes(const sipgpu_model *m)
{
    return m->model.spec.classes;
}

const char *sipgpu_type_name(const sipgpu_model *m, int id)
{
    return id >= 1 && id <= m->model.spec.message_types ? m->model.alphabet[id - 1] : NULL;
}

uint16_t sipgpu_type_id(const sipgpu_model *m, const char *name)
{
    for (int i = 0; i < m->model.spec.message_types; i++)
        if (strcmp(m->model.alphabet[i], name) == 0)
            return (uint16_t)(i + 1);
    return 0;
}

const char *sipgpu_description(const sipgpu_model *m)
{
    return sg_engine_description(m->engine);
}

/* ---- scoring ---- */

static sg_status check_dialog(const sipgpu_model *m, const uint16_t *dialog, int length, size_t stride,
                              int index)
{
    if (length < 1 || length > m->model.spec.max_length || (size_t)length > stride)
        return sg_fail(SG_E_USAGE, "dialog %d has %d messages; 1 to %d are wanted, at most the stride", index,
                       length, m->model.spec.max_length);
    for (int t = 0; t < length; t++)
        if (dialog[t] < 1 || dialog[t] > m->model.spec.message_types)
            return sg_fail(SG_E_USAGE, "dialog %d, message %d: type id %d is not from 1 to %d", index, t + 1,
                           dialog[t], m->model.spec.message_types);
    return SG_OK;
}

/* Numbers the unique dialogs: number[i] for each of the caller's. */
static sg_status collect_unique(const sipgpu_model *m, const uint16_t *dialogs, const uint16_t *lengths,
                                int count, size_t stride, sg_sequence_set *unique, int32_t *number)
{
    SG_TRY(sg_sequence_set_open(unique));
    for (int i = 0; i < count; i++) {
        const uint16_t *dialog = dialogs + (size_t)i * stride;
        SG_TRY(check_dialog(m, dialog, lengths[i], stride, i));
        SG_TRY(sg_sequence_set_add(unique, dialog, lengths[i], &number[i]));
    }
    return SG_OK;
}

static sg_status infer_unique(sipgpu_model *m, const sg_sequence_set *unique, sg_outputs *outputs)
{
    size_t steps = (size_t)m->model.spec.max_length;
    uint16_t *padded = NULL, *length = NULL;
    sg_sequences set = {0};
    sg_status status;
    SG_TRY_GOTO(status, done, sg_alloc(&padded, (size_t)unique->count * steps, "dialogs"));
    SG_TRY_GOTO(status, done, sg_alloc(&length, unique->count, "dialogs"));
    for (int32_t u = 0; u < unique->count; u++) {
        length[u] = (uint16_t)sg_sequence_set_length(unique, u);
        memcpy(padded + (size_t)u * steps, sg_sequence_set_tokens(unique, u), length[u] * sizeof *padded);
    }
    SG_TRY_GOTO(status, done, sg_sequences_make(&set, &m->model.spec, padded, length, unique->count));
    SG_TRY_GOTO(status, done, sg_outputs_alloc(outputs, unique->count, m->model.spec.classes, false));
    status = sg_engine_infer_all(m->engine, &set, outputs);
done:
    sg_sequences_free(&set);
    free(padded);
    free(length);
    return status;
}

static void fill_score(const sipgpu_model *m, const sg_sequence_set *unique, const sg_outputs *outputs,
                       int32_t u, sipgpu_score *score)
{
    int32_t class = sg_sequence_set_find(&m->classes, sg_sequence_set_tokens(unique, u),
                                         sg_sequence_set_length(unique, u));
    *score = (sipgpu_score){.best_class = outputs->argmax[u],
                            .probability = outputs->p_max[u],
                            .skewness = outputs->skewness[u],
                            .kurtosis = outputs->kurtosis[u],
                            .known = class >= 0 && m->model.class_train[class] > 0,
                            .below_both = -1,
                            .below_either = -1};
    if (!m->model.has_thresholds)
        return;
    sg_threshold limit = {.skewness.lambda = m->model.lambda_skewness,
                          .kurtosis.lambda = m->model.lambda_kurtosis};
    score->below_both = sg_threshold_is_abnormal(&limit, SG_RULE_BOTH, score->skewness, score->kurtosis);
    score->below_either = sg_threshold_is_abnormal(&limit, SG_RULE_EITHER, score->skewness, score->kurtosis);
}

sipgpu_status sipgpu_score_dialogs(sipgpu_model *m, const uint16_t *dialogs, const uint16_t *lengths,
                                   int count, size_t stride, sipgpu_score *scores)
{
    sg_sequence_set unique = {0};
    sg_outputs outputs = {0};
    int32_t *number = NULL;
    if (count < 0)
        return public_status(sg_fail(SG_E_USAGE, "%d dialogs", count));
    if (count == 0)
        return SIPGPU_OK;
    sg_status status;
    SG_TRY_GOTO(status, done, sg_alloc(&number, count, "dialogs"));
    SG_TRY_GOTO(status, done, collect_unique(m, dialogs, lengths, count, stride, &unique, number));
    SG_TRY_GOTO(status, done, infer_unique(m, &unique, &outputs));
    for (int i = 0; i < count; i++)
        fill_score(m, &unique, &outputs, number[i], &scores[i]);
done:
    sg_outputs_free(&outputs);
    sg_sequence_set_free(&unique);
    free(number);
    return public_status(status);
}
