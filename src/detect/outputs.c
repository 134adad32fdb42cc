#include "detect/outputs.h"

#include "base/log.h"
#include "base/memory.h"
#include <stdlib.h>
#include <string.h>

/* The dialogs, padded with zeros to the length of the network's. */
static sg_status pad(const sg_dialog_types *dialogs, int count, int steps, uint16_t *padded, uint16_t *length)
{
    for (int i = 0; i < count; i++) {
        const sg_dialog_types *d = &dialogs[i];
        if (d->length < 1 || d->length > steps)
            return sg_fail(SG_E_CONFIG, "dialog %d has %d messages, must be from 1 to %d", i, d->length,
                           steps);
        memcpy(padded + (size_t)i * (size_t)steps, d->types, (size_t)d->length * sizeof *padded);
        length[i] = (uint16_t)d->length;
    }
    return SG_OK;
}

static sg_status run_blocks(sg_engine *engine, const sg_sequences *set, const char *what, sg_outputs *outputs)
{
    for (int first = 0; first < set->count; first += SG_INFER_BLOCK) {
        const int left = set->count - first;
        if (what)
            sg_progress(false, "%s: %d of %d beginnings", what, first, set->count);
        SG_TRY(sg_engine_infer_sorted(engine, set, first, left < SG_INFER_BLOCK ? left : SG_INFER_BLOCK,
                                      outputs));
    }
    return SG_OK;
}

/* Sequences padded[count, L] as the network's are. */
static sg_status run_padded(sg_engine *engine, const sg_spec *spec, const uint16_t *padded,
                            const uint16_t *length, int count, bool probabilities, const char *what,
                            sg_outputs *outputs)
{
    sg_sequences set;
    SG_TRY(sg_sequences_make(&set, spec, padded, length, count));
    sg_status status = sg_outputs_alloc(outputs, count, spec->classes, probabilities);
    if (status == SG_OK)
        status = run_blocks(engine, &set, what, outputs);
    sg_sequences_free(&set);
    return status;
}

sg_status sg_outputs_run(sg_engine *engine, const sg_spec *spec, const sg_dialog_types *dialogs, int count,
                         bool probabilities, sg_outputs *outputs)
{
    uint16_t *padded = NULL, *length = NULL;
    sg_status status;
    *outputs = (sg_outputs){0};
    SG_TRY_GOTO(status, done, sg_alloc(&padded, (int64_t)count * spec->max_length, "padded dialogs"));
    SG_TRY_GOTO(status, done, sg_alloc(&length, count, "padded dialogs"));
    SG_TRY_GOTO(status, done, pad(dialogs, count, spec->max_length, padded, length));
    status = run_padded(engine, spec, padded, length, count, probabilities, NULL, outputs);
done:
    free(length);
    free(padded);
    return status;
}

sg_status sg_outputs_run_classes(sg_engine *engine, const sg_spec *spec, const sg_corpus *corpus,
                                 bool probabilities, sg_outputs *outputs)
{
    sg_dialog_types *dialogs;
    *outputs = (sg_outputs){0};
    SG_TRY(sg_alloc(&dialogs, corpus->classes, "dialogs"));
    for (int j = 0; j < corpus->classes; j++)
        dialogs[j] = (sg_dialog_types){corpus->class_sequence + (size_t)j * (size_t)corpus->max_length,
                                       corpus->class_length[j]};
    sg_status status = sg_outputs_run(engine, spec, dialogs, corpus->classes, probabilities, outputs);
    free(dialogs);
    return status;
}

void sg_prefixes_list(const sg_prefixes *prefixes, int steps, uint16_t *sequence, uint16_t *length)
{
    for (int32_t n = 1; n < sg_prefixes_count(prefixes); n++) {
        uint16_t *to = sequence + (size_t)(n - 1) * (size_t)steps;
        length[n - 1] = (uint16_t)sg_prefixes_depth(prefixes, n);
        for (int32_t at = n; at > 0; at = sg_prefixes_parent(prefixes, at))
            to[sg_prefixes_depth(prefixes, at) - 1] = sg_prefixes_type(prefixes, at);
    }
}

sg_status sg_outputs_run_prefixes(sg_engine *engine, const sg_spec *spec, const sg_prefixes *prefixes,
                                  const char *what, sg_outputs *outputs)
{
    const int count = sg_prefixes_count(prefixes) - 1;
    uint16_t *sequence = NULL, *length = NULL;
    sg_status status;
    *outputs = (sg_outputs){0};
    if (count == 0)
        return sg_fail(SG_E_CONFIG, "the model has no train dialogs, so it has no known beginnings");
    SG_TRY_GOTO(status, done, sg_alloc(&sequence, (int64_t)count * spec->max_length, "prefixes"));
    SG_TRY_GOTO(status, done, sg_alloc(&length, count, "prefixes"));
    sg_prefixes_list(prefixes, spec->max_length, sequence, length);
    status = run_padded(engine, spec, sequence, length, count, false, what, outputs);
done:
    free(length);
    free(sequence);
    return status;
}
