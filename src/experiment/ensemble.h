/* ensemble.h: the paper's "Multiple Run" (section IV-B): several networks, trained from different seeds,
 * answer together; the class of the largest output over all of them wins.
 */
#ifndef SG_EXPERIMENT_ENSEMBLE_H
#define SG_EXPERIMENT_ENSEMBLE_H

#include "engine/engine.h"

/* Of each class of a corpus, the outputs of the run whose largest output is the largest so far; with its
 * argmax go its moments. */
typedef struct {
    int runs;
    sg_outputs best;
} sg_ensemble;

/* For outputs of `count` sequences from networks of `classes` outputs. */
sg_status sg_ensemble_init(sg_ensemble *ensemble, int count, int classes);
void sg_ensemble_free(sg_ensemble *ensemble);

/* Adds one run; the earlier run stays on ties.  SG_E_CONFIG if the counts differ. */
sg_status sg_ensemble_add(sg_ensemble *ensemble, const sg_outputs *outputs);

/* How the outputs of several runs become those of one network, each output by itself. */
typedef enum {
    SG_POOL_MEAN,     /* their mean; not of the paper */
    SG_POOL_ENVELOPE, /* the largest over the runs: another reading of the paper's "LSTM output achieving the
                       * maximum value during the multiple run" */
    SG_POOL_RULES
} sg_pool_rule;
#define SG_POOL_CHOICES "mean|envelope"

const char *sg_pool_rule_name(sg_pool_rule rule); /* "mean", "envelope" */

typedef struct {
    sg_pool_rule rule;
    int runs, count, classes;
    double *value; /* [count, classes] sum or largest of the runs so far */
} sg_pooled;

/* Bytes that the values take. */
double sg_pooled_bytes(int count, int classes);

sg_status sg_pooled_init(sg_pooled *pooled, sg_pool_rule rule, int count, int classes);
void sg_pooled_free(sg_pooled *pooled);

/* Adds one run, whose outputs hold all probabilities.  SG_E_CONFIG if they do not, or the counts differ. */
sg_status sg_pooled_add(sg_pooled *pooled, const sg_outputs *outputs);

/* The combined outputs of the runs so far, into `outputs`, allocated for count and classes: argmax, moments,
 * and the largest output, of the envelope divided by the sum of its outputs (one run's have the sum 1). */
sg_status sg_pooled_outputs(const sg_pooled *pooled, sg_outputs *outputs);

#endif
