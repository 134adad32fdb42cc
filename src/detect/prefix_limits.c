#include "detect/prefix_limits.h"

#include "base/memory.h"
#include <stdlib.h>
#include <string.h>

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

/* Every node but the root as a padded sequence; entry n - 1 is node n. */
static void list_prefixes(const sg_prefixes *prefixes, int steps, uint16_t *sequence, uint16_t *length)
{
    for (int32_t n = 1; n < sg_prefixes_count(prefixes); n++) {
        uint16_t *to = sequence + (size_t)(n - 1) * (size_t)steps;
        length[n - 1] = (uint16_t)sg_prefixes_depth(prefixes, n);
        for (int32_t at = n; at > 0; at = sg_prefixes_parent(prefixes, at))
            to[sg_prefixes_depth(prefixes, at) - 1] = sg_prefixes_type(prefixes, at);
    }
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

static sg_status run_prefixes(sg_model *model, sg_engine *engine, const sg_prefixes *prefixes)
{
    int steps = model->spec.max_length, count = (int)sg_prefixes_count(prefixes) - 1;
    uint16_t *sequence = NULL, *length = NULL;
    sg_sequences set = {0};
    sg_outputs outputs = {0};
    sg_status status;
    if (count == 0)
        return sg_fail(SG_E_CONFIG, "no train dialogs to take limits from");
    SG_TRY_GOTO(status, done, sg_alloc(&sequence, (int64_t)count * steps, "prefixes"));
    SG_TRY_GOTO(status, done, sg_alloc(&length, count, "prefixes"));
    list_prefixes(prefixes, steps, sequence, length);
    SG_TRY_GOTO(status, done, sg_sequences_make(&set, &model->spec, sequence, length, count));
    SG_TRY_GOTO(status, done, sg_outputs_alloc(&outputs, count, model->spec.classes, false));
    SG_TRY_GOTO(status, done, sg_engine_infer_all(engine, &set, &outputs));
    SG_TRY_GOTO(status, done, set_limits(model, prefixes, &outputs));
done:
    sg_outputs_free(&outputs);
    sg_sequences_free(&set);
    free(sequence);
    free(length);
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
