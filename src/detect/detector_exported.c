/* detector_exported.c: an exported model (.sipm) on libsipdetect, with the library's own verdicts, so that
 * `score` shows what a program that embeds it will see. */
#include "detect/detector_internal.h"

#include "base/memory.h"
#include "sipgpu/sipdetect.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LIBRARY_BATCH_MAX = 4096 };

typedef struct {
    sipdetect_model *model;
    sipdetect_worker *worker;
    char description[64];
    const char **alphabet;
    uint16_t *class_sequence, *class_length;
    int64_t *class_train;
} exported;

static sg_status checked(sipdetect_status status)
{
    static const sg_status meaning[] = {SG_OK,       SG_E_CONFIG, SG_E_IO,    SG_E_FORMAT,
                                        SG_E_MEMORY, SG_E_DEVICE, SG_E_FORMAT};
    char text[1024];
    if (status == SIPDETECT_OK)
        return SG_OK;
    snprintf(text, sizeof text, "%s", sipdetect_error());
    return sg_fail(meaning[status], "%s", text);
}

static void close_exported(void *self)
{
    exported *e = self;
    sipdetect_worker_close(e->worker);
    sipdetect_close(e->model);
    free(e->alphabet);
    free(e->class_sequence);
    free(e->class_length);
    free(e->class_train);
    free(e);
}

static const char *description(const void *self)
{
    return ((const exported *)self)->description;
}

static bool limits_of(const void *self, int length, bool over, sg_prefix_limit *limits)
{
    sipdetect_limits(((const exported *)self)->model, over ? 0 : length, &limits->skewness,
                     &limits->kurtosis);
    return !isnan(limits->skewness) && !isnan(limits->kurtosis);
}

/* The library's verdict on a dialog that goes on is that of the rule `both`. */
static int8_t either_below(const exported *e, const sipdetect_verdict *v)
{
    double skewness, kurtosis;
    sipdetect_limits(e->model, v->position, &skewness, &kurtosis);
    if (v->abnormal_beginning < 0)
        return -1;
    return !v->known_prefix && (v->skewness < skewness || v->kurtosis < kurtosis);
}

static sg_verdict verdict_of(const exported *e, const sipdetect_verdict *v)
{
    return (sg_verdict){
        .scored = true,
        .best_class = v->best_class,
        .probability = v->probability,
        .skewness = v->skewness,
        .kurtosis = v->kurtosis,
        .below = {{v->abnormal_beginning, either_below(e, v)}, {v->abnormal, v->abnormal_either}},
        .low_cluster = v->low_cluster};
}

static sg_status judge(void *self, const sg_dialog_types *dialogs, int count, sg_verdict *verdicts)
{
    exported *e = self;
    const size_t steps = (size_t)sipdetect_max_length(e->model);
    uint16_t *types = NULL, *length = NULL;
    sipdetect_verdict *said = NULL;
    sg_status status;
    SG_TRY_GOTO(status, done, sg_alloc(&types, (size_t)count * steps, "dialogs"));
    SG_TRY_GOTO(status, done, sg_alloc(&length, count, "dialogs"));
    SG_TRY_GOTO(status, done, sg_alloc(&said, count, "verdicts"));
    for (int i = 0; i < count; i++) {
        length[i] = (uint16_t)dialogs[i].length;
        memcpy(types + (size_t)i * steps, dialogs[i].types, length[i] * sizeof *types);
    }
    SG_TRY_GOTO(status, done, checked(sipdetect_score(e->worker, types, length, count, steps, said)));
    for (int i = 0; i < count; i++)
        verdicts[i] = verdict_of(e, &said[i]);
done:
    free(said);
    free(length);
    free(types);
    return status;
}

/* ---- opening ---- */

static sg_status list_classes(exported *e, sg_detector_parts *parts)
{
    const int classes = sipdetect_classes(e->model), steps = sipdetect_max_length(e->model);
    SG_TRY(sg_alloc(&e->class_sequence, (int64_t)classes * steps, "classes"));
    SG_TRY(sg_alloc(&e->class_length, classes, "classes"));
    SG_TRY(sg_alloc(&e->class_train, classes, "classes"));
    for (int32_t c = 0; c < classes; c++) {
        uint16_t *types = e->class_sequence + (size_t)c * (size_t)steps;
        e->class_length[c] = (uint16_t)sipdetect_class_dialog(e->model, c, types, steps);
        e->class_train[c] = sipdetect_class_train(e->model, c);
    }
    parts->classes = classes;
    parts->max_length = steps;
    parts->class_sequence = e->class_sequence;
    parts->class_length = e->class_length;
    parts->class_train = e->class_train;
    return SG_OK;
}

static sg_status list_types(exported *e, sg_detector_parts *parts)
{
    const int count = sipdetect_message_types(e->model);
    SG_TRY(sg_alloc(&e->alphabet, count, "alphabet"));
    for (int m = 0; m < count; m++)
        e->alphabet[m] = sipdetect_type_name(e->model, m + 1);
    parts->alphabet = e->alphabet;
    parts->message_types = count;
    parts->type_rule = sipdetect_type_rule(e->model);
    parts->collapsed = strcmp(sipdetect_retransmissions(e->model), "collapse") == 0;
    return SG_OK;
}

static const sg_detector_kind kind = {close_exported, description, limits_of, judge};

sg_status sg_detector_open_exported(sg_detector_parts *parts, const char *path,
                                    const sg_detector_options *options)
{
    const sipdetect_worker_options worker = {.batch = options->batch < LIBRARY_BATCH_MAX ? options->batch
                                                                                         : LIBRARY_BATCH_MAX,
                                             .recompute = options->recompute};
    exported *e;
    SG_TRY(sg_alloc(&e, 1, "model"));
    *parts = (sg_detector_parts){.kind = &kind, .self = e};
    SG_TRY(checked(sipdetect_open(&e->model, path, options->simd)));
    SG_TRY(checked(sipdetect_worker_open(&e->worker, e->model, &worker)));
    snprintf(e->description, sizeof e->description, "libsipdetect, precision=%s, %s",
             sipdetect_precision(e->model), sipdetect_simd(e->model));
    SG_TRY(list_types(e, parts));
    return list_classes(e, parts);
}
