/* scorer_library.c: an exported model (.sipm), on libsipdetect. */
#include "base/memory.h"
#include "detect/threshold.h"
#include "score/scorer.h"
#include "sipgpu/sipdetect.h"
#include <math.h>
#include <stdlib.h>

enum { LIBRARY_BATCH_MAX = 4096 };

typedef struct {
    sipdetect_model *model;
    sipdetect_worker *worker;
    sipdetect_verdict *verdicts; /* [batch] */
    bool partial;
} scorer;

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

static void close_scorer(void *self)
{
    scorer *s = self;
    sipdetect_worker_close(s->worker);
    sipdetect_close(s->model);
    free(s->verdicts);
    free(s);
}

static sg_status open_scorer(void **self, const sg_scorer_options *o)
{
    const sipdetect_worker_options options = {
        .batch = o->batch < LIBRARY_BATCH_MAX ? o->batch : LIBRARY_BATCH_MAX, .recompute = o->recompute};
    scorer *s;
    SG_TRY(sg_alloc(&s, 1, "model"));
    *self = s;
    s->partial = o->partial;
    SG_TRY(checked(sipdetect_open(&s->model, o->path, o->simd)));
    SG_TRY(checked(sipdetect_worker_open(&s->worker, s->model, &options)));
    return sg_alloc(&s->verdicts, o->batch, "verdicts");
}

static int max_length(const void *self)
{
    return sipdetect_max_length(((const scorer *)self)->model);
}

static uint16_t type_id(const void *self, const char *name)
{
    return sipdetect_type_id(((const scorer *)self)->model, name);
}

static const char *type_name(const void *self, int id)
{
    return sipdetect_type_name(((const scorer *)self)->model, id);
}

static int class_dialog(const void *self, int32_t number, uint16_t *types)
{
    return sipdetect_class_dialog(((const scorer *)self)->model, number, types, max_length(self));
}

/* After one message of a dialog that goes on, or of a whole dialog: a model has limits for all or none. */
static bool has_limits(const void *self, bool partial)
{
    double skewness, kurtosis;
    sipdetect_limits(((const scorer *)self)->model, partial ? 1 : 0, &skewness, &kurtosis);
    return !isnan(skewness) && !isnan(kurtosis);
}

/* The library's verdict on a dialog that goes on is that of the rule `both`. */
static int either_below(const scorer *s, const sipdetect_verdict *v)
{
    double skewness, kurtosis;
    sipdetect_limits(s->model, v->position, &skewness, &kurtosis);
    return v->abnormal_beginning < 0 ? -1
                                     : !v->known_prefix && (v->skewness < skewness || v->kurtosis < kurtosis);
}

static sg_status run(void *self, const uint16_t *types, const uint16_t *lengths, int count,
                     sg_answer *answers)
{
    scorer *s = self;
    SG_TRY(checked(sipdetect_score(s->worker, types, lengths, count, (size_t)max_length(self), s->verdicts)));
    for (int i = 0; i < count; i++) {
        const sipdetect_verdict *v = &s->verdicts[i];
        answers[i] = (sg_answer){
            .best_class = v->best_class,
            .probability = v->probability,
            .skewness = v->skewness,
            .kurtosis = v->kurtosis,
            .known_prefix = v->known_prefix == 1,
            .known = v->known_dialog == 1,
            .abnormal = {[SG_RULE_BOTH] = s->partial ? v->abnormal_beginning : v->abnormal,
                         [SG_RULE_EITHER] = s->partial ? (int8_t)either_below(s, v) : v->abnormal_either},
            .low_cluster = s->partial ? -1 : v->low_cluster};
    }
    return SG_OK;
}

const sg_scorer_kind sg_scorer_library = {open_scorer, close_scorer, max_length, type_id,
                                          type_name,   class_dialog, has_limits, run};
