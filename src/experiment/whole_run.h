/* whole_run.h: one run from its settings to model.h5: training, then the detectors' limits, provenance and
 * model; in its own folder (train/run.h).
 */
#ifndef SG_EXPERIMENT_WHOLE_RUN_H
#define SG_EXPERIMENT_WHOLE_RUN_H

#include "experiment/evaluate.h"
#include "train/trainer.h"

typedef struct {
    sg_training training; /* the folder need not exist */
    bool force;           /* delete what an earlier run left in the folder */
    const char *command;  /* that asked for it, and its words, for provenance.json */
    int argc;
    char **argv;
} sg_whole_run;

typedef struct {
    bool was_complete; /* with training.resume: nothing was left to do, and nothing else is set */
    char model[SG_PATH_MAX];
    char engine[128];
    int64_t epochs, updates;
    double seconds;
    sg_evaluation evaluation[SG_SPLITS];
} sg_run_outcome;

/* Reports progress through base/log.h.  SG_E_CONFIG: the settings cannot be trained on this corpus here, or
 * the folder holds a run and neither `resume` nor `force` is set; otherwise as sg_train. */
sg_status sg_whole_run_train(const sg_whole_run *run, sg_run_outcome *outcome);

#endif
