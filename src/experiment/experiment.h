/* experiment.h: the runs of an experiment and what becomes of them.
 *
 *   DIR/model1.0.ini ...          settings of each model's runs, complete
 *   DIR/runs/model1.0_seed1/ ...  folders of runs (train/run.h), with log.txt
 *   DIR/records/model1.0_seed1.h5 the outputs of each run's network (experiment/record.h), used if its folder
 *                                 is missing
 *   DIR/runs.csv table5.csv table6.csv comparison.csv paired.csv together.csv early.csv early_position.csv
 *   DIR/history.csv moments.csv roc.csv   lines of all runs, model and seed in front; or frozen (frozen.h)
 *   DIR/corpus.json provenance.json
 */
#ifndef SG_EXPERIMENT_EXPERIMENT_H
#define SG_EXPERIMENT_EXPERIMENT_H

#include "corpus/corpus.h"
#include "experiment/frozen.h"
#include "experiment/tables.h"
#include "train/config.h"
#include "train/run.h"

enum { SG_MODELS_MAX = 16 }; /* four of the paper, each with its own padding or one of three */

typedef struct {
    int model; /* position in sg_experiment.models */
    int64_t seed;
    char name[64];            /* "model1.0_seed1" */
    char folder[SG_PATH_MAX]; /* DIR/runs/<name> */
    char record[SG_PATH_MAX]; /* DIR/records/<name>.h5 */
    bool complete;            /* trained */
    bool recorded;            /* complete, but there is only its record */
    bool anew;                /* what lies there is of other settings and is to be dropped */
} sg_experiment_run;

typedef struct {
    const sg_config *config; /* as given; model and seed vary */
    const char *folder;
    int classes;       /* of the corpus */
    int models, count; /* count = models * seeds, by model, then by seed */
    char model[SG_MODELS_MAX][16];
    sg_config model_config[SG_MODELS_MAX];
    char model_ini[SG_MODELS_MAX][SG_PATH_MAX];
    sg_experiment_run *run;
    sg_frozen frozen; /* with runs: all there is of the experiment's */
} sg_experiment;

/* Lists the runs, and looks at what is there of them already.  SG_E_CONFIG: an unknown model, or a finished
 * run of other settings or another corpus without `force`. */
sg_status sg_experiment_make(sg_experiment *experiment, const sg_config *config, const sg_corpus *corpus,
                             const char *folder, bool force);
void sg_experiment_free(sg_experiment *experiment);

/* How many runs of a model are complete. */
int sg_experiment_complete(const sg_experiment *experiment, int model);

/* What came out: of each complete run, and of each model that has one. */
typedef struct {
    int runs, models;
    sg_run_result *run, *ensemble;
    char engine[256]; /* what it was computed on */
} sg_experiment_results;

/* Evaluates all complete runs and writes all files of DIR but the last two; the records of those that have a
 * model. */
sg_status sg_experiment_evaluate(const sg_experiment *experiment, sg_experiment_results *results);
void sg_experiment_results_free(sg_experiment_results *results);

#endif
