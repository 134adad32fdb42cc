/* rates.h: a share with its counts and its 95% interval. */
#ifndef SG_BASE_RATES_H
#define SG_BASE_RATES_H

#include <stdint.h>

typedef struct {
    int64_t hits, total;
    double value;     /* hits / total; NaN if total is 0 */
    double low, high; /* 95% Wilson score interval; [0, 1] if total is 0 */
} sg_rate;

/* The share hits / total, 0 <= hits <= total.  Interval: E. B. Wilson, "Probable inference, the law of
 * succession, and statistical inference", JASA 22 (1927); unlike the normal approximation it stays inside [0,
 * 1] and is not empty at 0 and 1, where most figures here lie. */
sg_rate sg_rate_make(int64_t hits, int64_t total);

/* McNemar's exact test of two detectors on the same dialogs: only the first detector got `first` of them
 * right, only the second got `second` right.  Returns the two-sided p-value under the hypothesis that both
 * cases are equally likely; 1 if the detectors never differ.  Q. McNemar, "Note on the sampling error of the
 * difference between correlated proportions or percentages", Psychometrika 12 (1947), with the binomial
 * distribution instead of its approximation. */
double sg_mcnemar_exact(int64_t first, int64_t second);

#endif
