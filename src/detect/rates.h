/* rates.h: a share with its counts and its 95% interval. */
#ifndef SG_DETECT_RATES_H
#define SG_DETECT_RATES_H

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

#endif
