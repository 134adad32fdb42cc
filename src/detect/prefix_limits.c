#include "detect/prefix_limits.h"

#include "base/memory.h"
#include "detect/prefix_scores.h"
#include <stdlib.h>

typedef struct {
    double value;
    int64_t weight;
} weighted;

static int compare_values(const void *x, const void *y)
{
    double a = ((const weighted *)x)->value, b = ((const weighted *)y)->value;
    return (a > b) - (a < b);
}

/* The value with at most `share` of the weight strictly below it. */
static double quantile(weighted *values, int count, double share)
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

/* Limits of every length from the moments of all prefixes; beyond the longest dialog, those of the longest.
 */
static sg_status set_limits(sg_model *model, const sg_prefixes *prefixes, const sg_outputs *outputs)
{
    int steps = model->spec.max_length;
    weighted *values;
    SG_TRY(sg_alloc(&model->prefix_limit, steps, "limits of prefixes"));
    SG_TRY(sg_alloc(&values, outputs->count, "limits of prefixes"));
    for (int k = 1; k <= steps; k++) {
        const double *const moments[2] = {outputs->skewness, outputs->kurtosis};
        sg_prefix_limit *limit = &model->prefix_limit[k - 1];
        for (int m = 0; m < 2; m++) {
            int count = 0;
            for (int32_t n = 1; n < sg_prefixes_count(prefixes); n++)
                if (sg_prefixes_depth(prefixes, n) == k)
                    values[count++] = (weighted){moments[m][n - 1], sg_prefixes_passing(prefixes, n)};
            double *to = m == 0 ? &limit->skewness : &limit->kurtosis;
            if (count > 0)
                *to = quantile(values, count, SG_PREFIX_QUANTILE);
            else
                *to = m == 0 ? limit[-1].skewness : limit[-1].kurtosis;
        }
    }
    free(values);
    return SG_OK;
}

sg_status sg_prefix_limits_fit(sg_model *model, sg_engine *engine)
{
    sg_prefixes *prefixes;
    sg_outputs outputs = {0};
    free(model->prefix_limit);
    model->prefix_limit = NULL;
    SG_TRY(sg_prefixes_open(&prefixes, model->class_sequence, model->class_length, model->class_train,
                            model->spec.classes, model->spec.max_length));
    sg_status status = sg_prefix_scores(engine, &model->spec, prefixes, &outputs);
    if (status == SG_OK)
        status = set_limits(model, prefixes, &outputs);
    sg_outputs_free(&outputs);
    sg_prefixes_close(prefixes);
    if (status != SG_OK) {
        free(model->prefix_limit);
        model->prefix_limit = NULL;
    }
    return status;
}
