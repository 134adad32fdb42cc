/* cmd_export.c: `sipgpu export`: a model in the format of other programs. */
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/cli.h"
#include "export/export.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef enum { FORMAT_AUTO, FORMAT_ONNX, FORMAT_KERAS, FORMAT_SIPM } format;

#define FORMAT_CHOICES "auto|onnx|keras|sipm"

typedef struct {
    sg_common_options common;
    char model[SG_TEXT_MAX], out[SG_TEXT_MAX], device[SG_TEXT_MAX];
    int format, weights;
    int64_t threads;
    bool json, force;
} export_options;

#define AT(member) SG_KEY(export_options, member)

static const sg_option table[] = {
    SG_TEXT(AT(model), "MODEL", "model file that `train` wrote", .letter = 'm', .required = true),
    SG_ENUM(AT(format), "auto", FORMAT_CHOICES, "what to write; auto: what the ending of --out says",
            .letter = 'f'),
    SG_TEXT(AT(out), "FILE", "the file to write", .letter = 'o', .required = true),
    SG_ENUM(AT(weights), "fp32", SG_WEIGHTS_CHOICES, "what the weights of a .sipm are stored in"),
    SG_TEXT(AT(device), "DEVICE", "what computes the scores of a .sipm: auto, cpu, cuda[:N] or cudnn[:N]",
            .fallback = "auto"),
    SG_INT(AT(threads), NULL, 1, 1024, "threads to compute with; all cores if left out"),
    SG_FLAG(AT(json), "print one JSON object"),
    SG_FLAG(AT(force), "overwrite"),
    SG_COMMON_OPTIONS(export_options),
};

static const char about[] =
    "Writes a trained model for other programs.  onnx: one graph from message types to\n"
    "probabilities, class, skewness, kurtosis and verdict.  keras: a .keras archive, or the pair of\n"
    ".weights.h5 and .json if FILE ends in .weights.h5.\n"
    "sipm: one file for libsipdetect, with the scores of all known beginnings (docs/sipdetect.md).\n"
    "What inputs and outputs stand for goes along as metadata (docs/export.md).";

static bool ends_in(const char *text, const char *ending)
{
    const size_t length = strlen(text), n = strlen(ending);
    return length > n && strcmp(text + length - n, ending) == 0;
}

/* What is asked for, by name or by the ending of --out. */
static sg_status choose_format(const export_options *o, format *chosen)
{
    const bool keras = ends_in(o->out, ".keras") || sg_keras_is_pair(o->out);
    *chosen = (format)o->format;
    if (*chosen == FORMAT_AUTO)
        *chosen = keras                      ? FORMAT_KERAS
                  : ends_in(o->out, ".onnx") ? FORMAT_ONNX
                  : ends_in(o->out, ".sipm") ? FORMAT_SIPM
                                             : FORMAT_AUTO;
    if (*chosen == FORMAT_AUTO)
        return sg_fail(SG_E_USAGE, "%s: its ending is of no known format; --format %s says which", o->out,
                       FORMAT_CHOICES);
    if (*chosen == FORMAT_KERAS && !keras)
        return sg_fail(SG_E_USAGE, "%s: Keras opens files that end in .keras or " SG_KERAS_WEIGHTS_ENDING,
                       o->out);
    if (*chosen != FORMAT_SIPM && o->weights != SG_WEIGHTS_FP32)
        return sg_fail(SG_E_USAGE, "--weights is for --format sipm; the others hold fp32");
    return SG_OK;
}

static sg_status check_outputs(const export_options *o)
{
    char text_path[SG_PATH_MAX];
    SG_TRY(sg_file_check_writable(o->out, o->force));
    if (!sg_keras_is_pair(o->out))
        return SG_OK;
    SG_TRY(sg_keras_text_path(o->out, text_path));
    return sg_file_check_writable(text_path, o->force);
}

static sg_status export_sipm(const export_options *o, const sg_model *model, sg_export_accuracy *accuracy)
{
    sg_engine *engine;
    sg_engine_options options = {
        .precision = SG_PRECISION_FP32, .threads = (int)o->threads, .announce = true};
    SG_TRY(sg_device_parse(o->device, &options.device, &options.device_index));
    SG_TRY(sg_engine_open(&engine, &model->spec, &options));
    sg_status status = sg_engine_load(engine, &model->params);
    if (status == SG_OK)
        status = sg_export_sipm(model, engine, (sg_weights)o->weights, o->out, accuracy);
    sg_engine_close(engine);
    return status;
}

static const char *const format_names[] = {"auto", "onnx", "keras", "sipm"};

static sg_status print_json(const export_options *o, const sg_model *model, format which, double bytes,
                            const sg_export_accuracy *accuracy)
{
    const sg_spec *spec = &model->spec;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "command", "export");
    cJSON_AddStringToObject(object, "model", o->model);
    cJSON_AddStringToObject(object, "format", format_names[which]);
    cJSON_AddStringToObject(object, "out", o->out);
    cJSON_AddNumberToObject(object, "bytes", bytes);
    cJSON_AddNumberToObject(object, "message_types", spec->message_types);
    cJSON_AddNumberToObject(object, "max_length", spec->max_length);
    cJSON_AddNumberToObject(object, "classes", spec->classes);
    cJSON_AddStringToObject(object, "padding", sg_padding_name(spec->padding));
    cJSON_AddBoolToObject(object, "thresholds", model->has_thresholds);
    if (which == FORMAT_SIPM) {
        cJSON *item = cJSON_AddObjectToObject(object, "accuracy");
        cJSON_AddNumberToObject(item, "beginnings", (double)accuracy->beginnings);
        cJSON_AddNumberToObject(item, "probability_max", accuracy->probability_max);
        cJSON_AddNumberToObject(item, "agreement", accuracy->agreement);
        cJSON_AddNumberToObject(item, "class_agreement", accuracy->class_agreement);
    }
    return sg_json_print(object, stdout);
}

static void report_accuracy(const sg_export_accuracy *a)
{
    printf("against the engine, over %lld beginnings of train dialogs: probability off by at most %.3g, "
           "classes equal %.4f%%, ",
           (long long)a->beginnings, a->probability_max, 100 * a->class_agreement);
    if (isnan(a->agreement))
        printf("no limits to compare verdicts by\n");
    else
        printf("verdicts equal %.4f%%\n", 100 * a->agreement);
}

static sg_status report(const export_options *o, const sg_model *model, format which,
                        const sg_export_accuracy *accuracy)
{
    struct stat s;
    const double bytes = stat(o->out, &s) == 0 ? (double)s.st_size : 0;
    if (!model->has_thresholds && which == FORMAT_ONNX)
        sg_warn("%s has no thresholds, so there are no outputs abnormal and abnormal_either", o->model);
    if (o->json)
        return print_json(o, model, which, bytes, accuracy);
    sg_note("%s: %.1f MB, %d message types, at most %d messages, %d classes, padding %s", o->out, bytes / 1e6,
            model->spec.message_types, model->spec.max_length, model->spec.classes,
            sg_padding_name(model->spec.padding));
    if (which == FORMAT_SIPM)
        report_accuracy(accuracy);
    return SG_OK;
}

static sg_status run(const sg_call *call)
{
    const export_options *o = call->options;
    sg_model model;
    format which;
    sg_export_accuracy accuracy = {0};
    SG_TRY(choose_format(o, &which));
    SG_TRY(check_outputs(o));
    SG_TRY(sg_model_read(&model, NULL, o->model));
    sg_status status = which == FORMAT_ONNX    ? sg_export_onnx(&model, o->out)
                       : which == FORMAT_KERAS ? sg_export_keras(&model, o->out)
                                               : export_sipm(o, &model, &accuracy);
    if (status == SG_OK)
        status = report(o, &model, which, &accuracy);
    sg_model_free(&model);
    return status;
}

SG_COMMAND(export, "export", "a model in the format of other programs", about, table, export_options, run);
