/* detector_network.c: a network of `train`, an output for each train dialog, on an engine: its moments
 * against the limits of section IV-C. */
#include "detect/detector_internal.h"

#include "base/memory.h"
#include "detect/kmeans.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    sg_model model; /* without its weights: the engine has them */
    sg_engine *engine;
    sg_kmeans kmeans;
} network;

static void close_network(void *self)
{
    network *n = self;
    sg_engine_close(n->engine);
    sg_model_free(&n->model);
    free(n);
}

static const char *description(const void *self)
{
    return sg_engine_description(((const network *)self)->engine);
}

static bool limits_of(const void *self, int length, bool over, sg_prefix_limit *limits)
{
    const sg_model *m = &((const network *)self)->model;
    if (!m->has_thresholds || (!over && !m->prefix_limit))
        return false;
    *limits = over ? (sg_prefix_limit){m->lambda_skewness, m->lambda_kurtosis} : m->prefix_limit[length - 1];
    return true;
}

static void compare(const network *n, int length, sg_verdict *v)
{
    for (int over = 0; over <= 1; over++) {
        sg_prefix_limit limits;
        const bool any = limits_of(n, length, over || length >= n->model.spec.max_length, &limits);
        const sg_threshold t = {{.lambda = any ? limits.skewness : 0}, {.lambda = any ? limits.kurtosis : 0}};
        for (int rule = SG_RULE_BOTH; rule <= SG_RULE_EITHER; rule++)
            v->below[over][rule] =
                (int8_t)(any ? sg_threshold_is_abnormal(&t, (sg_rule)rule, v->skewness, v->kurtosis) : -1);
    }
    v->low_cluster = -1;
    if (n->model.has_kmeans)
        v->low_cluster = sg_kmeans_assign(&n->kmeans, v->skewness, v->kurtosis) == 0;
}

static sg_status judge(void *self, const sg_dialog_types *dialogs, int count, sg_verdict *verdicts)
{
    const network *n = self;
    sg_outputs outputs;
    sg_status status = sg_outputs_run(n->engine, &n->model.spec, dialogs, count, false, &outputs);
    for (int i = 0; status == SG_OK && i < count; i++) {
        verdicts[i] = (sg_verdict){.scored = true,
                                   .best_class = outputs.argmax[i],
                                   .probability = outputs.p_max[i],
                                   .skewness = outputs.skewness[i],
                                   .kurtosis = outputs.kurtosis[i]};
        compare(n, dialogs[i].length, &verdicts[i]);
    }
    sg_outputs_free(&outputs);
    return status;
}

static const sg_detector_kind kind = {close_network, description, limits_of, judge};

sg_status sg_detector_open_network(sg_detector_parts *parts, sg_model *model,
                                   const sg_detector_options *options)
{
    network *n;
    sg_status status = sg_alloc(&n, 1, "model");
    if (status != SG_OK) {
        sg_model_free(model);
        return status;
    }
    n->model = *model;
    *model = (sg_model){0};
    const sg_model *m = &n->model;
    *parts = (sg_detector_parts){.kind = &kind,
                                 .self = n,
                                 .type_rule = m->type_rule,
                                 .alphabet = (const char *const *)m->alphabet,
                                 .message_types = m->spec.message_types,
                                 .max_length = m->spec.max_length,
                                 .classes = m->spec.classes,
                                 .collapsed = m->collapsed,
                                 .class_sequence = m->class_sequence,
                                 .class_length = m->class_length,
                                 .class_train = m->class_train,
                                 .model = m};
    n->kmeans.clusters = 2;
    memcpy(n->kmeans.centroid, m->centroid, sizeof m->centroid);
    n->kmeans.degenerate = memcmp(m->centroid[0], m->centroid[1], sizeof m->centroid[0]) == 0;
    SG_TRY(sg_engine_open(&n->engine, &m->spec, &options->engine));
    SG_TRY(sg_engine_load(n->engine, &m->params));
    sg_params_free(&n->model.params);
    parts->engine = n->engine;
    return SG_OK;
}
