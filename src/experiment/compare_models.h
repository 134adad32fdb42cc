/* compare_models.h: an experiment's runs beside the detectors without a network (comparison.csv), and on
 * dialogs that are not over (early.csv); used by results.c, run by run.
 *
 * A run of one seed stands in the tables for the first seed of each model; with more than one, so do all runs
 * of a model together; with more than one model, so do the runs of all models, under the name "all".
 * together.csv has what the first runs of a model say, for each number of them.
 */
#ifndef SG_EXPERIMENT_COMPARE_MODELS_H
#define SG_EXPERIMENT_COMPARE_MODELS_H

#include "experiment/comparison.h"
#include "experiment/early.h"
#include "experiment/session.h"

/* Runs that answer together, by each rule. */
typedef struct {
    bool wanted; /* they are several, and their outputs fit into memory */
    sg_pooled by[SG_POOL_RULES];
} sg_run_pools;

typedef struct {
    bool early;         /* wanted */
    bool opened;        /* the detectors without a network are in */
    int expected, runs; /* of the model at hand: runs that will be added, and those that were */
    sg_comparison comparison;
    sg_early beginnings;
    sg_verdict_table growth; /* of models with several runs; without verdicts */
    sg_run_pools one, all;   /* of the model at hand; of all models */
} sg_experiment_compare;

/* For an experiment of `models` models that have runs. */
void sg_experiment_compare_open(sg_experiment_compare *compare, bool early, int models, int classes);

/* A model of `expected` complete runs begins; says into *probabilities whether its sessions are to keep all
 * outputs. */
void sg_experiment_compare_begin(sg_experiment_compare *compare, const char *model, int expected, int classes,
                                 bool *probabilities);

/* One run; `best` is the detection of what all runs so far say together.  *beginnings is what is known of
 * them: given with a session that is from a record (count 0: nothing); otherwise received, for the run of a
 * model that stands in early.csv. */
sg_status sg_experiment_compare_add(sg_experiment_compare *compare, const char *model,
                                    const sg_session *session, const sg_detection *detection,
                                    const sg_detection *best, sg_outputs *beginnings);

/* Adds what the runs of all models say together; after the last run. */
sg_status sg_experiment_compare_all(sg_experiment_compare *compare, const sg_corpus *corpus);

/* Writes all files into the folder, and the curves as rows of roc.csv. */
sg_status sg_experiment_compare_write(const sg_experiment_compare *compare, const char *folder, FILE *roc);
void sg_experiment_compare_free(sg_experiment_compare *compare);

#endif
