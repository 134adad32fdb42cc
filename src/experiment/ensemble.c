#include "experiment/ensemble.h"

#include "base/memory.h"
#include "engine/cell.h"
#include <math.h>
#include <stdlib.h>

sg_status sg_ensemble_init(sg_ensemble *ensemble, int count, int classes)
{
    *ensemble = (sg_ensemble){0};
    return sg_outputs_alloc(&ensemble->best, count, classes, false);
}

void sg_ensemble_free(sg_ensemble *ensemble)
{
    sg_outputs_free(&ensemble->best);
    ensemble->runs = 0;
}

sg_status sg_ensemble_add(sg_ensemble *ensemble, const sg_outputs *outputs)
{
    sg_outputs *best = &ensemble->best;
    if (outputs->count != best->count)
        return sg_fail(SG_E_CONFIG, "runs over %d and %d sequences cannot be combined", best->count,
                       outputs->count);
    for (int i = 0; i < outputs->count; i++) {
        if (ensemble->runs > 0 && !(outputs->p_max[i] > best->p_max[i]))
            continue;
        best->argmax[i] = outputs->argmax[i];
        best->p_max[i] = outputs->p_max[i];
        best->skewness[i] = outputs->skewness[i];
        best->kurtosis[i] = outputs->kurtosis[i];
    }
    ensemble->runs++;
    return SG_OK;
}

const char *sg_pool_rule_name(sg_pool_rule rule)
{
    return rule == SG_POOL_MEAN ? "mean" : "envelope";
}

double sg_pooled_bytes(int count, int classes)
{
    return (double)count * (double)classes * (double)sizeof(double);
}

sg_status sg_pooled_init(sg_pooled *pooled, sg_pool_rule rule, int count, int classes)
{
    *pooled = (sg_pooled){.rule = rule, .count = count, .classes = classes};
    return sg_alloc(&pooled->value, (size_t)count * (size_t)classes, "outputs of all runs");
}

void sg_pooled_free(sg_pooled *pooled)
{
    free(pooled->value);
    *pooled = (sg_pooled){0};
}

sg_status sg_pooled_add(sg_pooled *pooled, const sg_outputs *outputs)
{
    if (outputs->count != pooled->count || !outputs->probabilities)
        return sg_fail(SG_E_CONFIG, "runs over %d and %d sequences cannot be combined", pooled->count,
                       outputs->probabilities ? outputs->count : 0);
    const size_t all = (size_t)pooled->count * (size_t)pooled->classes;
    const float *p = outputs->probabilities;
    double *value = pooled->value;
    for (size_t i = 0; i < all; i++)
        value[i] = pooled->rule == SG_POOL_MEAN ? value[i] + (double)p[i] : fmax(value[i], (double)p[i]);
    pooled->runs++;
    return SG_OK;
}

sg_status sg_pooled_outputs(const sg_pooled *pooled, sg_outputs *outputs)
{
    if (pooled->runs == 0 || outputs->count != pooled->count)
        return sg_fail(SG_E_INTERNAL, "%d runs over %d sequences cannot be combined", pooled->runs,
                       outputs->count);
    for (int i = 0; i < pooled->count; i++) {
        const double *value = pooled->value + (size_t)i * (size_t)pooled->classes;
        double total = 0;
        sg_moment_sums sums = {0};
        int best = 0;
        for (int n = 0; n < pooled->classes; n++) {
            total += value[n];
            best = value[n] > value[best] ? n : best;
        }
        for (int n = 0; n < pooled->classes; n++)
            sg_moments_add(&sums, value[n], total / pooled->classes);
        sg_moments_finish(&sums, pooled->classes, &outputs->skewness[i], &outputs->kurtosis[i]);
        outputs->argmax[i] = best;
        outputs->p_max[i] = (float)(value[best] / (pooled->rule == SG_POOL_MEAN ? pooled->runs : total));
    }
    return SG_OK;
}
