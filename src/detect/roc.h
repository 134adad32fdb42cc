/* roc.h: every operating point of a score, and the area under them. */
#ifndef SG_DETECT_ROC_H
#define SG_DETECT_ROC_H

#include "base/status.h"
#include <stdint.h>

/* The effect of a limit just above `score`: dialogs with at most this score are flagged. */
typedef struct {
    double score; /* -infinity in the first point: nothing is flagged */
    int64_t detections, false_alarms;
    double p_d, p_fa; /* NaN where there is nothing to detect, or nothing to raise a false alarm on */
} sg_roc_point;

typedef struct {
    int count; /* points: one, and one for each distinct score */
    sg_roc_point *points;
    int64_t new_dialogs, known_dialogs;
    /* P(score of a new dialog < that of a known one) + half the probability of a tie; NaN if either kind is
     * missing. */
    double auc;
} sg_roc;

/* Low scores mean abnormal.  Entry i has score[i] (finite), and represents new_weight[i] dialogs that should
 * be flagged and known_weight[i] that should not; entries with neither are skipped.  SG_E_NUMERIC: a score is
 * NaN. */
sg_status sg_roc_make(sg_roc *roc, const double *score, const int64_t *new_weight,
                      const int64_t *known_weight, int count);
void sg_roc_free(sg_roc *roc);

/* The limit that best separates new from known: entries with a lower score are flagged.  Of the limits with
 * the largest P_D - P_FA the lowest, halfway between the scores on either side of it.  Without both kinds of
 * dialogs: the lowest score itself, so that none is flagged; NaN without any. */
double sg_roc_best_limit(const sg_roc *roc);

#endif
