/* threshold.h: the semi-supervised classifier of section IV-C: limits on skewness and kurtosis from the train
 * split.
 *
 *   lambda = mean - variance       of each moment over all dialogs of the train split
 *
 * The paper prints lambda = mu - sigma^2: the variance, not the deviation.  Means and variances are the
 * population's (division by the number of dialogs).
 */
#ifndef SG_DETECT_THRESHOLD_H
#define SG_DETECT_THRESHOLD_H

#include "base/status.h"
#include <stdint.h>

typedef struct {
    double mean, variance, lambda;
} sg_moment_limit;

typedef struct {
    sg_moment_limit skewness, kurtosis;
} sg_threshold;

/* Which moments must lie below their limit for H1 (new, abnormal).  The paper states H0 for both at or above
 * and H1 for both below and leaves the mixed case open. */
typedef enum { SG_RULE_BOTH, SG_RULE_EITHER } sg_rule;
#define SG_RULE_CHOICES "both|either"

/* Fits the limits to normalised moments skewness[count], kurtosis[count], entry i standing for weight[i] >= 0
 * dialogs (NULL: one each).  SG_E_CONFIG if the weights sum to 0. */
sg_status sg_threshold_fit(sg_threshold *threshold, const double *skewness, const double *kurtosis,
                           const int64_t *weight, int count);

/* True for H1, new or abnormal. */
bool sg_threshold_is_abnormal(const sg_threshold *threshold, sg_rule rule, double skewness, double kurtosis);

/* "both", "either". */
const char *sg_rule_name(sg_rule rule);

#endif
