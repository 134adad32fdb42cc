#include "detect/rates.h"

#include <math.h>

#define NORMAL_975 1.959963984540054 /* 97.5% point of the normal distribution */

sg_rate sg_rate_make(int64_t hits, int64_t total)
{
    sg_rate rate = {hits, total, NAN, 0.0, 1.0};
    if (total <= 0)
        return rate;
    const double n = (double)total, p = (double)hits / n, z2 = NORMAL_975 * NORMAL_975;
    const double center = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    const double half = NORMAL_975 * sqrt(p * (1.0 - p) / n + z2 / (4.0 * n * n)) / (1.0 + z2 / n);
    rate.value = p;
    /* At the ends the bound is exactly 0 or 1; rounding must not move it. */
    rate.low = hits == 0 ? 0.0 : center - half;
    rate.high = hits == total ? 1.0 : center + half;
    return rate;
}
