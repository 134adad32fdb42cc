/* cmd_import.c: `sipgpu import`: a model that another program trained. */
#include "base/files.h"
#include "base/log.h"
#include "base/subprocess.h"
#include "cli/cli.h"
#include "experiment/calibrate.h"
#include "experiment/report.h"
#include "experiment/report_json.h"
#include "experiment/session.h"
#include "export/export.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    sg_common_options common;
    sg_session_options session; /* the corpus and the device */
    char out[SG_TEXT_MAX];
    int format, padding;
    bool json, force;
} import_options;

#define AT(member) SG_KEY(import_options, member)

static const sg_option table[] = {
    SG_ENUM(AT(format), "keras", "keras", "format of FILE", .letter = 'f'),
    SG_TEXT(AT(out), "MODEL", "the model file to write", .letter = 'o', .required = true),
    SG_TEXT(SG_AT("corpus", import_options, session.corpus), "CORPUS",
            "the corpus it was trained on: message types, classes, and the train split for the limits",
            .letter = 'c'),
    SG_ENUM(
        AT(padding), "auto", "auto|" SG_PADDING_CHOICES,
        "where its training data had zeros; auto: mask with a Masking layer, else as in the file, else post"),
    SG_SESSION_DEVICE_OPTIONS(import_options, session),
    SG_FLAG(AT(json), "print one JSON object"),
    SG_FLAG(AT(force), "overwrite"),
    SG_COMMON_OPTIONS(import_options),
};

static const char about[] =
    "Makes a model file from a network that Keras trained: a .keras archive, a whole-model HDF5 file\n"
    "(.h5), or weights (.weights.h5) with their layers in a .json beside them.  The network must be\n"
    "the paper's: [Input], [Masking], LSTM once or twice, [Dropout], Dense with softmax.  Its inputs\n"
    "are one-hot message types in the order of the corpus' alphabet, its outputs the corpus' classes\n"
    "in their order; thresholds are fitted to the train split.  A file that `sipgpu export` wrote\n"
    "contains all this and needs no corpus.";

/* Below this P_D on its own training data a network was hardly trained on them. */
#define PLAUSIBLE_P_D 0.5

typedef struct {
    const import_options *options;
    const char *file;
    sg_corpus corpus; /* if there is one */
    sg_model model;
    sg_keras_report report;
    sg_calibration calibration;
} import_state;

static sg_status calibrate(import_state *s)
{
    const sg_session_options *o = &s->options->session;
    sg_engine_options engine = {
        .precision = (sg_precision)o->precision, .threads = (int)o->threads, .announce = true};
    SG_TRY(sg_device_parse(o->device, &engine.device, &engine.device_index));
    return sg_calibrate(&s->calibration, &s->model, &s->corpus, &engine, true);
}

static sg_status print_json(const import_state *s, const sg_evaluation *evaluation)
{
    const sg_spec *spec = &s->model.spec;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "command", "import");
    cJSON_AddStringToObject(object, "file", s->file);
    cJSON_AddStringToObject(object, "model", s->options->out);
    cJSON_AddStringToObject(object, "keras_version", s->report.keras_version);
    cJSON_AddNumberToObject(object, "message_types", spec->message_types);
    cJSON_AddNumberToObject(object, "max_length", spec->max_length);
    cJSON_AddNumberToObject(object, "units", spec->units);
    cJSON_AddNumberToObject(object, "layers", spec->layers);
    cJSON_AddNumberToObject(object, "classes", spec->classes);
    cJSON_AddNumberToObject(object, "dropout", spec->dropout);
    cJSON_AddStringToObject(object, "padding", sg_padding_name(spec->padding));
    cJSON_AddStringToObject(object, "left_out", s->report.left_out);
    if (evaluation) {
        cJSON_AddStringToObject(object, "device", s->calibration.device);
        cJSON_AddItemToObject(object, "splits", sg_json_evaluation(evaluation, 7u));
    }
    return sg_json_print(object, stdout);
}

static sg_status print_report(const import_state *s)
{
    const sg_spec *spec = &s->model.spec;
    const bool has_corpus = !s->report.described;
    sg_evaluation evaluation[SG_SPLITS];
    if (s->report.left_out[0])
        sg_note("left out, because it affects only training: %s", s->report.left_out);
    if (has_corpus)
        SG_TRY(sg_calibration_evaluate(&s->calibration, evaluation));
    if (has_corpus && evaluation[SG_SPLIT_TRAIN].p_d.value < PLAUSIBLE_P_D)
        sg_warn("it names few of the train dialogs: message types or classes may be in another order than in "
                "%s, or the padding not %s",
                s->options->session.corpus, sg_padding_name(spec->padding));
    if (s->options->json)
        return print_json(s, has_corpus ? evaluation : NULL);
    sg_note("%s: %d LSTM layer%s of %d units, %d message types, at most %d messages, %d classes, padding %s",
            s->options->out, spec->layers, spec->layers == 1 ? "" : "s", spec->units, spec->message_types,
            spec->max_length, spec->classes, sg_padding_name(spec->padding));
    return has_corpus ? sg_report_evaluation(evaluation, 7u, stdout) : SG_OK;
}

static sg_status import(void *context)
{
    import_state *s = context;
    const import_options *o = s->options;
    const char *corpus = o->session.corpus;
    SG_TRY(sg_file_check_writable(o->out, o->force));
    if (corpus[0])
        SG_TRY(sg_corpus_read(&s->corpus, corpus));
    SG_TRY(sg_import_keras(&s->model, s->file, corpus[0] ? &s->corpus : NULL, o->padding - 1, &s->report));
    if (corpus[0])
        SG_TRY(calibrate(s));
    SG_TRY(sg_model_write(&s->model, NULL, o->out));
    return print_report(s);
}

static sg_status import_and_free(void *context)
{
    import_state *s = context;
    sg_status status = import(s);
    sg_calibration_free(&s->calibration);
    sg_model_free(&s->model);
    sg_corpus_free(&s->corpus);
    return status;
}

static sg_status run(const sg_call *call)
{
    import_state state = {.options = call->options, .file = call->words->items[0]};
    char crashed[SG_TEXT_MAX + 64];
    snprintf(crashed, sizeof crashed, "%.1000s: damaged; the HDF5 library crashed while reading it",
             state.file);
    return sg_subprocess_run(import_and_free, &state, crashed);
}

SG_COMMAND(import, "import", "read a model from Keras", about, table, import_options, run, .words = "FILE",
           .words_min = 1, .words_max = 1);
