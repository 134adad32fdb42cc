#include "detect/quantile.h"

#include <stdlib.h>

static int compare_values(const void *x, const void *y)
{
    double a = ((const sg_weighted *)x)->value, b = ((const sg_weighted *)y)->value;
    return (a > b) - (a < b);
}

double sg_quantile(sg_weighted *values, int count, double share)
{
    int64_t all = 0, below = 0;
    qsort(values, (size_t)count, sizeof *values, compare_values);
    for (int i = 0; i < count; i++)
        all += values[i].weight;
    int i = 0;
    while (i < count - 1 && (double)(below + values[i].weight) <= share * (double)all)
        below += values[i++].weight;
    return values[i].value;
}
