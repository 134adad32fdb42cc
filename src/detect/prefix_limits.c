#include "detect/prefix_limits.h"

#include "base/memory.h"
#include "detect/outputs.h"
#include "detect/quantile.h"
#include <stdlib.h>

/* Limits of every length from the moments of all prefixes; beyond the longest dialog, those of the longest.
 */
static sg_status set_limits(sg_model *model, const sg_prefixes *prefixes, const sg_outputs *outputs)
{
    int steps = model->spec.max_length;
    sg_weighted *values;
    SG_TRY(sg_alloc(&model->prefix_limit, steps, "limits of prefixes"));
    SG_TRY(sg_alloc(&values, outputs->count, "limits of prefixes"));
    for (int k = 1; k <= steps; k++) {
        const double *const moments[2] = {outputs->skewness, outputs->kurtosis};
        sg_prefix_limit *limit = &model->prefix_limit[k - 1];
        for (int m = 0; m < 2; m++) {
            int count = 0;
            for (int32_t n = 1; n < sg_prefixes_count(prefixes); n++)
                if (sg_prefixes_depth(prefixes, n) == k)
                    values[count++] = (sg_weighted){moments[m][n - 1], sg_prefixes_passing(prefixes, n)};
            double *to = m == 0 ? &limit->skewness : &limit->kurtosis;
            if (count > 0)
                *to = sg_quantile(values, count, SG_PREFIX_QUANTILE);
            else
                *to = m == 0 ? limit[-1].skewness : limit[-1].kurtosis;
        }
    }
    free(values);
    return SG_OK;
}

static sg_status run_prefixes(sg_model *model, sg_engine *engine, const sg_prefixes *prefixes)
{
    sg_outputs outputs = {0};
    sg_status status = sg_outputs_run_prefixes(engine, &model->spec, prefixes, NULL, &outputs);
    if (status == SG_OK)
        status = set_limits(model, prefixes, &outputs);
    sg_outputs_free(&outputs);
    return status;
}

sg_status sg_prefix_limits_fit(sg_model *model, sg_engine *engine)
{
    sg_prefixes *prefixes;
    free(model->prefix_limit);
    model->prefix_limit = NULL;
    SG_TRY(sg_prefixes_open(&prefixes, model->class_sequence, model->class_length, model->class_train,
                            model->spec.classes, model->spec.max_length));
    sg_status status = run_prefixes(model, engine, prefixes);
    sg_prefixes_close(prefixes);
    if (status != SG_OK) {
        free(model->prefix_limit);
        model->prefix_limit = NULL;
    }
    return status;
}
