/* calibrate.h: the last step of `train` and `import`: fits the detectors' limits to the outputs of the
 * finished network.
 */
#ifndef SG_EXPERIMENT_CALIBRATE_H
#define SG_EXPERIMENT_CALIBRATE_H

#include "corpus/class_counts.h"
#include "engine/engine.h"
#include "experiment/evaluate.h"
#include "model/model.h"

typedef struct {
    sg_class_counts counts; /* of the corpus */
    sg_outputs outputs;     /* one for each class of the corpus */
    char device[256];       /* description of the engine */
} sg_calibration;

/* Runs the model over all classes of its corpus and stores in it the thresholds of the train split, the
 * centroids of the test split and, with `prefixes`, the limits for unfinished dialogs.  The model's classes
 * are the corpus'.  Release with sg_calibration_free, also after a failure. */
sg_status sg_calibrate(sg_calibration *calibration, sg_model *model, const sg_corpus *corpus,
                       const sg_engine_options *engine, bool prefixes);
void sg_calibration_free(sg_calibration *calibration);

/* P_D of each split. */
sg_status sg_calibration_evaluate(const sg_calibration *calibration, sg_evaluation evaluation[SG_SPLITS]);

#endif
