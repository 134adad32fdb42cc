#include "base/rates.h"

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

double sg_mcnemar_exact(int64_t first, int64_t second)
{
    const double n = (double)(first + second), least = (double)(first < second ? first : second);
    /* The largest term of the tail, then each from the one before: C(n, i - 1) = C(n, i) i / (n - i + 1). */
    double term = exp(lgamma(n + 1) - lgamma(least + 1) - lgamma(n - least + 1) - n * log(2.0)), tail = 0;
    for (double i = least; i >= 0 && term > 1e-17 * tail; i--) {
        tail += term;
        term *= i / (n - i + 1);
    }
    return fmin(1.0, 2.0 * tail);
}
