/* ensemble.h: the paper's "Multiple Run" (section IV-B): several networks, trained from different seeds,
 * answer together; the class of the largest output over all of them wins.
 */
#ifndef SG_DETECT_ENSEMBLE_H
#define SG_DETECT_ENSEMBLE_H

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

/* Adds one run; the earlier run stays on ties.  SG_E_CONFIG if the counts differ. */
sg_status sg_ensemble_add(sg_ensemble *ensemble, const sg_outputs *outputs);

/* Not of the paper: the mean of the runs' outputs, and the moments of that mean. */
typedef struct {
    int runs, count, classes;
    double *sum; /* [count, classes] */
} sg_mean_ensemble;

/* Bytes that the sums take. */
double sg_mean_ensemble_bytes(int count, int classes);

sg_status sg_mean_ensemble_init(sg_mean_ensemble *ensemble, int count, int classes);
void sg_mean_ensemble_free(sg_mean_ensemble *ensemble);

/* Adds one run, whose outputs hold all probabilities.  SG_E_CONFIG if they do not, or the counts differ. */
sg_status sg_mean_ensemble_add(sg_mean_ensemble *ensemble, const sg_outputs *outputs);

/* What the mean of the runs so far says, into `outputs`, allocated for count and classes. */
sg_status sg_mean_ensemble_outputs(const sg_mean_ensemble *ensemble, sg_outputs *outputs);

#endif
