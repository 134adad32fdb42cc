/* scorer_engine.c: a model file of `train`, on an engine. */
#include "base/memory.h"
#include "detect/kmeans.h"
#include "detect/prefixes.h"
#include "detect/threshold.h"
#include "score/scorer.h"
#include "sip/alphabet.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    sg_model model; /* without its weights: the engine has them */
    sg_alphabet *alphabet;
    sg_prefixes *known;
    sg_engine *engine;
    sg_kmeans kmeans;
    bool partial;
} scorer;

static void close_scorer(void *self)
{
    scorer *s = self;
    sg_engine_close(s->engine);
    sg_prefixes_close(s->known);
    sg_alphabet_close(s->alphabet);
    sg_model_free(&s->model);
    free(s);
}

static sg_status open_engine(scorer *s, const sg_session_options *session)
{
    sg_engine_options o = {
        .precision = (sg_precision)session->precision, .threads = (int)session->threads, .announce = true};
    SG_TRY(sg_device_parse(session->device, &o.device, &o.device_index));
    SG_TRY(sg_engine_open(&s->engine, &s->model.spec, &o));
    SG_TRY(sg_engine_load(s->engine, &s->model.params));
    sg_params_free(&s->model.params);
    return SG_OK;
}

static sg_status open_parts(scorer *s, const sg_scorer_options *options)
{
    const sg_model *m = &s->model;
    sg_type_rule rule;
    SG_TRY(sg_model_read(&s->model, NULL, options->path));
    if (!sg_type_rule_parse(m->type_rule, &rule))
        return sg_fail(SG_E_FORMAT, "%s: its type_rule is '%s'; paper/1 or cseq/1 is wanted", options->path,
                       m->type_rule);
    SG_TRY(sg_alphabet_open(&s->alphabet, rule, (const char *const *)m->alphabet, m->spec.message_types));
    SG_TRY(sg_prefixes_open(&s->known, m->class_sequence, m->class_length, m->class_train, m->spec.classes,
                            m->spec.max_length));
    s->partial = options->partial;
    s->kmeans.clusters = 2;
    memcpy(s->kmeans.centroid, m->centroid, sizeof m->centroid);
    s->kmeans.degenerate = memcmp(m->centroid[0], m->centroid[1], sizeof m->centroid[0]) == 0;
    return open_engine(s, options->session);
}

static sg_status open_scorer(void **self, const sg_scorer_options *options)
{
    scorer *s;
    SG_TRY(sg_alloc(&s, 1, "model"));
    *self = s;
    return open_parts(s, options);
}

static int max_length(const void *self)
{
    return ((const scorer *)self)->model.spec.max_length;
}

static uint16_t type_id(const void *self, const char *name)
{
    return sg_alphabet_id_of_name(((const scorer *)self)->alphabet, name);
}

static const char *type_name(const void *self, int id)
{
    return sg_alphabet_name(((const scorer *)self)->alphabet, id);
}

static int class_dialog(const void *self, int32_t number, uint16_t *types)
{
    const sg_model *m = &((const scorer *)self)->model;
    const size_t steps = (size_t)m->spec.max_length;
    memcpy(types, m->class_sequence + (size_t)number * steps, m->class_length[number] * sizeof *types);
    return m->class_length[number];
}

static bool has_limits(const void *self, bool partial)
{
    const sg_model *m = &((const scorer *)self)->model;
    return m->has_thresholds && (!partial || m->prefix_limit);
}

/* The limits for a dialog of `length` messages. */
static sg_threshold limits_of(const scorer *s, int length)
{
    const sg_model *m = &s->model;
    sg_threshold t = {.skewness.lambda = m->lambda_skewness, .kurtosis.lambda = m->lambda_kurtosis};
    if (s->partial && length < m->spec.max_length) {
        t.skewness.lambda = m->prefix_limit[length - 1].skewness;
        t.kurtosis.lambda = m->prefix_limit[length - 1].kurtosis;
    }
    return t;
}

static void judge(const scorer *s, int length, sg_answer *a)
{
    a->abnormal[SG_RULE_BOTH] = a->abnormal[SG_RULE_EITHER] = a->low_cluster = -1;
    if (has_limits(s, s->partial)) {
        const sg_threshold limits = limits_of(s, length);
        const bool asked = !s->partial || !a->known_prefix;
        for (int rule = SG_RULE_BOTH; rule <= SG_RULE_EITHER; rule++)
            a->abnormal[rule] =
                asked && sg_threshold_is_abnormal(&limits, (sg_rule)rule, a->skewness, a->kurtosis);
    }
    if (s->model.has_kmeans && !s->partial)
        a->low_cluster = sg_kmeans_assign(&s->kmeans, a->skewness, a->kurtosis) == 0;
}

static sg_status run(void *self, const uint16_t *types, const uint16_t *lengths, int count,
                     sg_answer *answers)
{
    scorer *s = self;
    const size_t steps = (size_t)s->model.spec.max_length;
    sg_sequences set = {0};
    sg_outputs outputs = {0};
    sg_status status;
    SG_TRY_GOTO(status, done, sg_sequences_make(&set, &s->model.spec, types, lengths, count));
    SG_TRY_GOTO(status, done, sg_outputs_alloc(&outputs, count, s->model.spec.classes, false));
    SG_TRY_GOTO(status, done, sg_engine_infer_all(s->engine, &set, &outputs));
    for (int i = 0; i < count; i++) {
        const int32_t node = sg_prefixes_find(s->known, types + (size_t)i * steps, lengths[i]);
        answers[i] = (sg_answer){.best_class = outputs.argmax[i],
                                 .probability = outputs.p_max[i],
                                 .skewness = outputs.skewness[i],
                                 .kurtosis = outputs.kurtosis[i],
                                 .known_prefix = node >= 0,
                                 .known = node >= 0 && sg_prefixes_ending(s->known, node) > 0};
        judge(s, lengths[i], &answers[i]);
    }
done:
    sg_outputs_free(&outputs);
    sg_sequences_free(&set);
    return status;
}

const sg_scorer_kind sg_scorer_engine = {open_scorer, close_scorer, max_length, type_id,
                                         type_name,   class_dialog, has_limits, run};
