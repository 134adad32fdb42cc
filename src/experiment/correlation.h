/* correlation.h: a baseline by cross-correlation: how far a dialog, shifted against a train dialog, coincides
 * with it.
 *
 * A dialog x of length n is the signal of its one-hot messages (Definition 5), one vector a step, none
 * outside. The cross-correlation of x and y at lag l is the number of steps at which both have the same
 * message,
 *
 *   r_xy(l) = sum over t of <x(t), y(t + l)>,      c(x, y) = max over l of r_xy(l) / sqrt(n_x n_y)
 *
 * and c is normalised by the energies of both: it lies in [0, 1], and is 1 only for equal sequences.  Two
 * scores come from it, low for abnormal:
 *
 *   largest   max of c(x, y) over the train dialogs y
 *   mean      mean of c(x, y) over the train dialogs y
 *
 * The limits are chosen from the train split alone, by leave-one-out as for the Markov chain (markov.h): each
 * train dialog is scored by all others; one whose sequence occurs again is known to the rest, one that occurs
 * once is new to it, and the limit parts these two best.  By `largest` every known dialog has exactly 1 and
 * every new one less, so that its limit makes an exact set of it: it is the score below 1 that tells near
 * misses from strangers.
 *
 * This is our reading: C. Feio, D. Pereira, R. Oliveira, P. Amaral, "Correlation-Based Abnormal SIP Dialog
 * Identification", IEEE Access 2025 (doi 10.1109/ACCESS.2025.3593367) is described publicly by its abstract:
 * cross-correlation scores the similarity of dialogs, and statistical metrics classify the anomalous ones,
 * from prior knowledge of both correct and anomalous ones.  The abstract does not say how messages become
 * signals, which statistic and which limit.
 */
#ifndef SG_EXPERIMENT_CORRELATION_H
#define SG_EXPERIMENT_CORRELATION_H

#include "base/status.h"
#include <stdint.h>

typedef struct {
    int classes;
    double *largest, *mean; /* [N] scores of each class by all train dialogs */
    /* [N] of a train class: one of its dialogs by all others; NaN for the other classes */
    double *others_largest, *others_mean;
    double limit_largest, limit_mean; /* a lower score is flagged */
} sg_correlation;

/* What sg_correlation_make would count at the most: pairs of messages. */
double sg_correlation_work(const uint16_t *length, const int64_t *train, int classes);

/* Scores row j of sequence[classes, steps], of length[j] messages 1..message_types, against those with
 * train[j] > 0 dialogs, for every j.  SG_E_CONFIG: no train dialogs, or a single one.  Release with
 * sg_correlation_free, also after a failure. */
sg_status sg_correlation_make(sg_correlation *correlation, const uint16_t *sequence, const uint16_t *length,
                              const int64_t *train, int classes, int steps, int message_types);
void sg_correlation_free(sg_correlation *correlation);

#endif
