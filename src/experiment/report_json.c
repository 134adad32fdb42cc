#include "experiment/report_json.h"

#include "experiment/paper.h"

cJSON *sg_json_evaluation(const sg_evaluation evaluation[SG_SPLITS], unsigned splits)
{
    static const double paper[SG_SPLITS] = {SG_PAPER_PD_TRAIN, SG_PAPER_PD_VALIDATION, SG_PAPER_PD_TEST};
    cJSON *all = cJSON_CreateObject();
    for (int s = 0; s < SG_SPLITS; s++) {
        const sg_evaluation *e = &evaluation[s];
        if (!(splits >> s & 1) || e->p_d.total == 0)
            continue;
        cJSON *o = cJSON_AddObjectToObject(all, sg_split_name((sg_split)s));
        cJSON_AddNumberToObject(o, "paper_p_d", paper[s]);
        cJSON_AddItemToObject(o, "p_d", sg_json_rate(&e->p_d));
        cJSON_AddItemToObject(o, "ceiling", sg_json_rate(&e->ceiling));
        cJSON_AddItemToObject(o, "p_d_known", sg_json_rate(&e->p_d_known));
        cJSON_AddItemToObject(o, "p_d_classes", sg_json_rate(&e->p_d_unique));
        cJSON_AddNumberToObject(o, "classes", e->unique);
        cJSON_AddNumberToObject(o, "classes_known", e->unique_known);
        cJSON_AddNumberToObject(o, "dialogs_without_output", (double)e->no_output);
    }
    return all;
}

static void add_limit(cJSON *parent, const char *name, const sg_moment_limit *limit, double paper)
{
    cJSON *o = cJSON_AddObjectToObject(parent, name);
    cJSON_AddNumberToObject(o, "mean", limit->mean);
    cJSON_AddNumberToObject(o, "variance", limit->variance);
    cJSON_AddNumberToObject(o, "lambda", limit->lambda);
    cJSON_AddNumberToObject(o, "paper_lambda", paper);
}

static void add_limits(cJSON *parent, const sg_detection *d)
{
    cJSON *o = cJSON_AddObjectToObject(parent, "limits");
    add_limit(o, "skewness", &d->threshold.skewness, SG_PAPER_LAMBDA_SKEWNESS);
    add_limit(o, "kurtosis", &d->threshold.kurtosis, SG_PAPER_LAMBDA_KURTOSIS);
    cJSON *kmeans = cJSON_AddObjectToObject(o, "kmeans");
    cJSON_AddItemToObject(kmeans, "low", cJSON_CreateDoubleArray(d->kmeans.centroid[0], 2));
    cJSON_AddItemToObject(kmeans, "high", cJSON_CreateDoubleArray(d->kmeans.centroid[1], 2));
    cJSON_AddNumberToObject(kmeans, "inertia", d->kmeans.inertia);
    cJSON_AddBoolToObject(kmeans, "degenerate", d->kmeans.degenerate);
    cJSON_AddNumberToObject(o, "markov_2", d->markov_limit[0]);
    cJSON_AddNumberToObject(o, "markov_3", d->markov_limit[1]);
}

static void add_detectors(cJSON *parent, const sg_detection *d)
{
    cJSON *all = cJSON_AddObjectToObject(parent, "detectors");
    for (int i = 0; i < SG_DETECTORS; i++) {
        const sg_verdicts *r = &d->detector[i];
        cJSON *o = cJSON_AddObjectToObject(all, sg_detector_name((sg_decider)i));
        double p_d, p_fa;
        if (sg_detector_paper((sg_decider)i, &p_d, &p_fa)) {
            cJSON_AddNumberToObject(o, "paper_p_d", p_d);
            cJSON_AddNumberToObject(o, "paper_p_fa", p_fa);
        }
        cJSON_AddItemToObject(o, "p_d", sg_json_rate(&r->p_d));
        cJSON_AddItemToObject(o, "p_fa", sg_json_rate(&r->p_fa));
        cJSON_AddItemToObject(o, "p_d_classes", sg_json_rate(&r->p_d_unique));
        cJSON_AddItemToObject(o, "p_fa_classes", sg_json_rate(&r->p_fa_unique));
    }
}

cJSON *sg_json_detection(const sg_detection *detection)
{
    const sg_detection *d = detection;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "train_dialogs", (double)d->train_dialogs);
    cJSON_AddNumberToObject(o, "train_classes", d->train_unique);
    cJSON_AddNumberToObject(o, "test_dialogs", (double)d->test_dialogs);
    cJSON_AddNumberToObject(o, "test_dialogs_new", (double)d->test_new);
    cJSON_AddNumberToObject(o, "test_classes", d->test_unique);
    cJSON_AddNumberToObject(o, "test_classes_new", d->test_unique_new);
    add_limits(o, d);
    add_detectors(o, d);
    cJSON *auc = cJSON_AddObjectToObject(o, "auc");
    for (int i = 0; i < SG_SCORES; i++)
        cJSON_AddNumberToObject(auc, sg_score_name((sg_score)i), d->roc[i].auc);
    return o;
}
