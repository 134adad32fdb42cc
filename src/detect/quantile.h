/* quantile.h: quantiles of weighted values. */
#ifndef SG_DETECT_QUANTILE_H
#define SG_DETECT_QUANTILE_H

#include <stdint.h>

typedef struct {
    double value;
    int64_t weight;
} sg_weighted;

/* The largest value with at most `share` of the weight strictly below it.  count >= 1; sorts `values`. */
double sg_quantile(sg_weighted *values, int count, double share);

#endif
