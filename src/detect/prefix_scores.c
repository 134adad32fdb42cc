#include "detect/prefix_scores.h"

#include "base/memory.h"
#include <stdlib.h>

void sg_prefixes_list(const sg_prefixes *prefixes, int steps, uint16_t *sequence, uint16_t *length)
{
    for (int32_t n = 1; n < sg_prefixes_count(prefixes); n++) {
        uint16_t *to = sequence + (size_t)(n - 1) * (size_t)steps;
        length[n - 1] = (uint16_t)sg_prefixes_depth(prefixes, n);
        for (int32_t at = n; at > 0; at = sg_prefixes_parent(prefixes, at))
            to[sg_prefixes_depth(prefixes, at) - 1] = sg_prefixes_type(prefixes, at);
    }
}

sg_status sg_prefix_scores(sg_engine *engine, const sg_spec *spec, const sg_prefixes *prefixes,
                           sg_outputs *outputs)
{
    const int steps = spec->max_length, count = (int)sg_prefixes_count(prefixes) - 1;
    uint16_t *sequence = NULL, *length = NULL;
    sg_sequences set = {0};
    sg_status status;
    *outputs = (sg_outputs){0};
    if (count == 0)
        return sg_fail(SG_E_CONFIG, "the model has no train dialogs, so no beginnings of them");
    SG_TRY_GOTO(status, done, sg_alloc(&sequence, (int64_t)count * steps, "prefixes"));
    SG_TRY_GOTO(status, done, sg_alloc(&length, count, "prefixes"));
    sg_prefixes_list(prefixes, steps, sequence, length);
    SG_TRY_GOTO(status, done, sg_sequences_make(&set, spec, sequence, length, count));
    SG_TRY_GOTO(status, done, sg_outputs_alloc(outputs, count, spec->classes, false));
    status = sg_engine_infer_all(engine, &set, outputs);
done:
    sg_sequences_free(&set);
    free(sequence);
    free(length);
    return status;
}
