#include "experiment/session.h"

#include "base/log.h"
#include "base/memory.h"
#include <stdlib.h>
#include <string.h>

sg_status sg_session_engine_options(const sg_session_options *options, sg_engine_options *engine)
{
    *engine = (sg_engine_options){
        .precision = (sg_precision)options->precision, .threads = (int)options->threads, .announce = true};
    return sg_device_parse(options->device, &engine->device, &engine->device_index);
}

/* Further models must have the first one's classes; checked before an engine is opened. */
static sg_status check_models(const sg_model *first, const sg_session_options *options)
{
    for (size_t i = 0; i < options->with.count; i++) {
        sg_model other;
        sg_status status = sg_model_read(&other, NULL, options->with.items[i]);
        if (status == SG_OK && strcmp(other.corpus_digest, first->corpus_digest) != 0)
            status = sg_fail(
                SG_E_CONFIG,
                "%s and %s were trained on different corpora: their outputs belong to different dialogs",
                options->model, options->with.items[i]);
        sg_model_free(&other);
        SG_TRY(status);
    }
    return SG_OK;
}

/* Mistakes in the files are reported before an engine is opened. */
static sg_status read_files(sg_session *s, const sg_session_options *options, sg_model *model)
{
    SG_TRY(sg_model_read(model, NULL, options->model));
    sg_status status = sg_corpus_read(&s->corpus, options->corpus);
    if (status == SG_OK && (status = sg_model_check_alphabet(model, &s->corpus)) != SG_OK)
        sg_fail_prefix(status, "%s and %s do not fit", options->model, options->corpus);
    if (status == SG_OK)
        status = check_models(model, options);
    if (status != SG_OK)
        sg_model_free(model);
    return status;
}

static sg_status open_detector(sg_session *s, const sg_session_options *options)
{
    sg_detector_options detector = {0};
    sg_model model;
    SG_TRY(sg_session_engine_options(options, &detector.engine));
    SG_TRY(read_files(s, options, &model));
    SG_TRY(sg_detector_open_model(&s->detector, &model, &detector));
    s->model = sg_detector_model(s->detector);
    s->same_corpus = strcmp(s->model->corpus_digest, s->corpus.digest) == 0;
    return SG_OK;
}

static sg_status match_classes(sg_session *s)
{
    SG_TRY(sg_model_match_classes(s->model, &s->corpus, &s->class_of));
    SG_TRY(sg_alloc(&s->known, s->corpus.classes, "known classes"));
    for (int j = 0; j < s->corpus.classes; j++)
        s->known[j] = s->class_of[j] >= 0 && s->model->class_train[s->class_of[j]] > 0;
    return sg_class_counts_make(&s->counts, &s->corpus);
}

/* Runs the model on all classes. */
static sg_status run_classes(sg_session *s, const sg_session_options *options)
{
    sg_engine *engine = sg_detector_engine(s->detector);
    snprintf(s->device, sizeof s->device, "%s", sg_engine_description(engine));
    snprintf(s->precision, sizeof s->precision, "%s", sg_engine_precision_name(engine));
    const double start = sg_seconds();
    SG_TRY(sg_outputs_run_classes(engine, &s->model->spec, &s->corpus,
                                  options->probabilities || options->with.count > 0, &s->outputs));
    s->seconds = sg_seconds() - start;
    return SG_OK;
}

void sg_session_model_name(const sg_session *session, char name[16])
{
    static const char *const suffix[] = {
        [SG_PADDING_POST] = "", [SG_PADDING_MASK] = "-mask", [SG_PADDING_PRE] = "-pre"};
    const sg_spec *spec = &session->model->spec;
    if (session->mixed)
        snprintf(name, 16, "all");
    else
        snprintf(name, 16, "%d.%d%s", spec->layers % 100, spec->dropout > 0, suffix[spec->padding]);
}

/* One further model, for the pool. */
static sg_status add_model(sg_session *s, const char *path, const sg_session_options *options,
                           sg_pooled *pooled)
{
    sg_session_options own = *options;
    sg_session other;
    char names[2][16];
    own.with = (sg_text_list){0};
    own.probabilities = true;
    snprintf(own.model, sizeof own.model, "%s", path);
    sg_status status = sg_session_open(&other, &own);
    if (status == SG_OK) {
        sg_record_trim(&other.outputs, other.model->spec.classes);
        status = sg_pooled_add(pooled, &other.outputs);
        sg_session_model_name(s, names[0]);
        sg_session_model_name(&other, names[1]);
        s->mixed |= strcmp(names[0], names[1]) != 0;
    }
    s->seconds += other.seconds;
    s->models++;
    sg_session_close(&other);
    return status;
}

/* The session's outputs become the combined outputs of all models. */
static sg_status pool_models(sg_session *s, const sg_session_options *options)
{
    const int classes = s->model->spec.classes;
    sg_pooled pooled = {0};
    sg_status status;
    sg_record_trim(&s->outputs, classes);
    SG_TRY_GOTO(status, done,
                sg_pooled_init(&pooled, (sg_pool_rule)options->pool, s->corpus.classes, classes));
    SG_TRY_GOTO(status, done, sg_pooled_add(&pooled, &s->outputs));
    for (size_t i = 0; i < options->with.count; i++)
        SG_TRY_GOTO(status, done, add_model(s, options->with.items[i], options, &pooled));
    sg_outputs_free(&s->outputs);
    SG_TRY_GOTO(status, done, sg_outputs_alloc(&s->outputs, s->corpus.classes, classes, false));
    SG_TRY_GOTO(status, done, sg_pooled_outputs(&pooled, &s->outputs));
done:
    sg_pooled_free(&pooled);
    return status;
}

sg_status sg_session_open(sg_session *session, const sg_session_options *options)
{
    *session = (sg_session){.models = 1};
    SG_TRY(open_detector(session, options));
    SG_TRY(match_classes(session));
    SG_TRY(run_classes(session, options));
    if (options->with.count > 0)
        SG_TRY(pool_models(session, options));
    char time[32];
    sg_detail("%d classes through the network in %s (%s)", session->corpus.classes,
              sg_duration_text(session->seconds, time), session->device);
    return SG_OK;
}

sg_status sg_session_open_record(sg_session *session, const char *path, const char *corpus, sg_record *record)
{
    *session = (sg_session){.models = 1};
    SG_TRY(sg_record_read(record, path));
    SG_TRY(sg_corpus_read(&session->corpus, corpus));
    if (strcmp(record->model.corpus_digest, session->corpus.digest) != 0)
        return sg_fail(SG_E_CONFIG, "%s belongs to another corpus or split than %s", path, corpus);
    session->recorded = record->model;
    session->model = &session->recorded;
    session->outputs = record->outputs;
    record->model = (sg_model){0};
    record->outputs = (sg_outputs){0};
    session->same_corpus = true;
    snprintf(session->device, sizeof session->device, "%s", record->inference);
    snprintf(session->precision, sizeof session->precision, "%s", session->model->precision);
    return match_classes(session);
}

void sg_session_close(sg_session *session)
{
    sg_outputs_free(&session->outputs);
    sg_class_counts_free(&session->counts);
    free(session->known);
    free(session->class_of);
    sg_corpus_free(&session->corpus);
    sg_model_free(&session->recorded);
    sg_detector_close(session->detector);
    *session = (sg_session){0};
}

cJSON *sg_session_json(const sg_session *session, const char *command, const sg_session_options *options)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "command", command);
    cJSON_AddStringToObject(o, "version", SG_VERSION);
    cJSON_AddStringToObject(o, "model", options->model);
    if (options->with.count > 0) {
        cJSON_AddItemToObject(o, "with",
                              cJSON_CreateStringArray(options->with.items, (int)options->with.count));
        cJSON_AddStringToObject(o, "pool", sg_pool_rule_name((sg_pool_rule)options->pool));
    }
    cJSON_AddStringToObject(o, "corpus", options->corpus);
    cJSON_AddStringToObject(o, "corpus_digest", session->corpus.digest);
    cJSON_AddBoolToObject(o, "trained_on_this_corpus", session->same_corpus);
    cJSON_AddNumberToObject(o, "model_seed", (double)session->model->seed);
    cJSON_AddNumberToObject(o, "model_epoch", (double)session->model->epoch);
    cJSON_AddStringToObject(o, "device", session->device);
    cJSON_AddStringToObject(o, "precision", session->precision);
    cJSON_AddNumberToObject(o, "inference_seconds", session->seconds);
    return o;
}
