#include "detect/ensemble.h"

#include "base/memory.h"
#include "engine/cell.h"
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
        return sg_fail(SG_E_CONFIG, "runs over %d and %d sequences cannot answer together", best->count,
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

double sg_mean_ensemble_bytes(int count, int classes)
{
    return (double)count * (double)classes * (double)sizeof(double);
}

sg_status sg_mean_ensemble_init(sg_mean_ensemble *ensemble, int count, int classes)
{
    *ensemble = (sg_mean_ensemble){.count = count, .classes = classes};
    return sg_alloc(&ensemble->sum, (size_t)count * (size_t)classes, "outputs of all runs");
}

void sg_mean_ensemble_free(sg_mean_ensemble *ensemble)
{
    free(ensemble->sum);
    *ensemble = (sg_mean_ensemble){0};
}

sg_status sg_mean_ensemble_add(sg_mean_ensemble *ensemble, const sg_outputs *outputs)
{
    if (outputs->count != ensemble->count || !outputs->probabilities)
        return sg_fail(SG_E_CONFIG, "runs over %d and %d sequences cannot answer together", ensemble->count,
                       outputs->probabilities ? outputs->count : 0);
    const size_t all = (size_t)ensemble->count * (size_t)ensemble->classes;
    for (size_t i = 0; i < all; i++)
        ensemble->sum[i] += (double)outputs->probabilities[i];
    ensemble->runs++;
    return SG_OK;
}

sg_status sg_mean_ensemble_outputs(const sg_mean_ensemble *ensemble, sg_outputs *outputs)
{
    if (ensemble->runs == 0 || outputs->count != ensemble->count)
        return sg_fail(SG_E_INTERNAL, "the mean of %d runs over %d sequences", ensemble->runs,
                       outputs->count);
    for (int i = 0; i < ensemble->count; i++) {
        const double *sum = ensemble->sum + (size_t)i * (size_t)ensemble->classes;
        double total = 0;
        sg_moment_sums sums = {0};
        int best = 0;
        for (int n = 0; n < ensemble->classes; n++) {
            total += sum[n];
            best = sum[n] > sum[best] ? n : best;
        }
        for (int n = 0; n < ensemble->classes; n++)
            sg_moments_add(&sums, sum[n], total / ensemble->classes);
        sg_moments_finish(&sums, ensemble->classes, &outputs->skewness[i], &outputs->kurtosis[i]);
        outputs->argmax[i] = best;
        outputs->p_max[i] = (float)(sum[best] / ensemble->runs);
    }
    return SG_OK;
}
