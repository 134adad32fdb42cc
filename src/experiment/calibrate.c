#include "experiment/calibrate.h"

#include "base/memory.h"
#include "detect/kmeans.h"
#include "detect/outputs.h"
#include "detect/prefix_limits.h"
#include "detect/threshold.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The outputs for all classes, and the limits for dialogs that go on. */
static sg_status infer_classes(sg_calibration *c, sg_model *model, const sg_corpus *corpus,
                               const sg_engine_options *options, bool prefixes)
{
    sg_engine *engine;
    SG_TRY(sg_engine_open(&engine, &model->spec, options));
    snprintf(c->device, sizeof c->device, "%s", sg_engine_description(engine));
    sg_status status = sg_engine_load(engine, &model->params);
    if (status == SG_OK)
        status = sg_outputs_run_classes(engine, &model->spec, corpus, false, &c->outputs);
    if (status == SG_OK && prefixes)
        status = sg_prefix_limits_fit(model, engine);
    sg_engine_close(engine);
    return status;
}

/* Thresholds from the train split, centroids from the test split. */
static sg_status fit_detectors(sg_model *model, const sg_class_counts *counts, const sg_outputs *outputs)
{
    sg_threshold threshold;
    SG_TRY(sg_threshold_fit(&threshold, outputs->skewness, outputs->kurtosis, counts->count[SG_SPLIT_TRAIN],
                            outputs->count));
    model->has_thresholds = true;
    model->lambda_skewness = threshold.skewness.lambda;
    model->lambda_kurtosis = threshold.kurtosis.lambda;
    model->has_kmeans = counts->dialogs[SG_SPLIT_TEST] > 0;
    if (!model->has_kmeans)
        return SG_OK;
    sg_kmeans_options options = SG_KMEANS_DEFAULTS;
    sg_kmeans kmeans;
    SG_TRY(sg_kmeans_fit(&kmeans, outputs->skewness, outputs->kurtosis, counts->count[SG_SPLIT_TEST],
                         outputs->count, &options));
    memcpy(model->centroid, kmeans.centroid, sizeof model->centroid);
    return SG_OK;
}

sg_status sg_calibrate(sg_calibration *calibration, sg_model *model, const sg_corpus *corpus,
                       const sg_engine_options *engine, bool prefixes)
{
    *calibration = (sg_calibration){0};
    SG_TRY(infer_classes(calibration, model, corpus, engine, prefixes));
    SG_TRY(sg_class_counts_make(&calibration->counts, corpus));
    return fit_detectors(model, &calibration->counts, &calibration->outputs);
}

void sg_calibration_free(sg_calibration *calibration)
{
    sg_class_counts_free(&calibration->counts);
    sg_outputs_free(&calibration->outputs);
}

sg_status sg_calibration_evaluate(const sg_calibration *calibration, sg_evaluation evaluation[SG_SPLITS])
{
    const sg_class_counts *counts = &calibration->counts;
    bool *known;
    SG_TRY(sg_alloc(&known, counts->classes, "evaluation"));
    for (int j = 0; j < counts->classes; j++)
        known[j] = counts->count[SG_SPLIT_TRAIN][j] > 0;
    sg_evaluate(counts, calibration->outputs.argmax, NULL, known, evaluation);
    free(known);
    return SG_OK;
}
