#include "detect/ensemble.h"

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
