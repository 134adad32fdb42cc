#include "detect/outputs.h"

#include "base/log.h"
#include "base/memory.h"
#include <stdlib.h>
#include <string.h>

/* Row i of sequence [count, steps] is dialog i, of length[i] types. */
static sg_status make_dialogs(sg_dialog_types **dialogs, const uint16_t *sequence, const uint16_t *length,
                              int count, int steps)
{
    SG_TRY(sg_alloc(dialogs, count, "dialogs"));
    for (int i = 0; i < count; i++)
        (*dialogs)[i] = (sg_dialog_types){sequence + (size_t)i * (size_t)steps, length[i]};
    return SG_OK;
}

/* The dialogs with as many zeros after them as the network wants. */
static sg_status pad(const sg_dialog_types *dialogs, int count, int steps, uint16_t *padded, uint16_t *length)
{
    for (int i = 0; i < count; i++) {
        const sg_dialog_types *d = &dialogs[i];
        if (d->length < 1 || d->length > steps)
            return sg_fail(SG_E_CONFIG, "dialog %d has %d messages; the model takes 1 to %d", i, d->length,
                           steps);
        memcpy(padded + (size_t)i * (size_t)steps, d->types, (size_t)d->length * sizeof *padded);
        length[i] = (uint16_t)d->length;
    }
    return SG_OK;
}

sg_status sg_outputs_run(sg_engine *engine, const sg_spec *spec, const sg_dialog_types *dialogs, int count,
                         bool probabilities, sg_outputs *outputs)
{
    uint16_t *padded = NULL, *length = NULL;
    sg_sequences set = {0};
    sg_status status;
    *outputs = (sg_outputs){0};
    SG_TRY_GOTO(status, done, sg_alloc(&padded, (int64_t)count * spec->max_length, "padded dialogs"));
    SG_TRY_GOTO(status, done, sg_alloc(&length, count, "padded dialogs"));
    SG_TRY_GOTO(status, done, pad(dialogs, count, spec->max_length, padded, length));
    SG_TRY_GOTO(status, done, sg_sequences_make(&set, spec, padded, length, count));
    SG_TRY_GOTO(status, done, sg_outputs_alloc(outputs, count, spec->classes, probabilities));
    status = sg_engine_infer_all(engine, &set, outputs);
done:
    sg_sequences_free(&set);
    free(length);
    free(padded);
    return status;
}

sg_status sg_outputs_run_classes(sg_engine *engine, const sg_spec *spec, const sg_corpus *corpus,
                                 bool probabilities, sg_outputs *outputs)
{
    sg_dialog_types *dialogs;
    *outputs = (sg_outputs){0};
    SG_TRY(make_dialogs(&dialogs, corpus->class_sequence, corpus->class_length, corpus->classes,
                        corpus->max_length));
    sg_status status = sg_outputs_run(engine, spec, dialogs, corpus->classes, probabilities, outputs);
    free(dialogs);
    return status;
}

/* ---- the beginnings of a trie ---- */

enum {
    BLOCK = 4096
}; /* beginnings run at once; with post padding each has a tail of zero steps of its own */

void sg_prefixes_list(const sg_prefixes *prefixes, int steps, uint16_t *sequence, uint16_t *length)
{
    for (int32_t n = 1; n < sg_prefixes_count(prefixes); n++) {
        uint16_t *to = sequence + (size_t)(n - 1) * (size_t)steps;
        length[n - 1] = (uint16_t)sg_prefixes_depth(prefixes, n);
        for (int32_t at = n; at > 0; at = sg_prefixes_parent(prefixes, at))
            to[sg_prefixes_depth(prefixes, at) - 1] = sg_prefixes_type(prefixes, at);
    }
}

/* Beginnings number[0] .. number[count - 1] of `all`. */
static sg_status run_block(sg_engine *engine, const sg_spec *spec, const sg_dialog_types *all,
                           const int32_t *number, int count, sg_outputs *outputs)
{
    sg_dialog_types dialogs[BLOCK];
    sg_outputs block;
    for (int i = 0; i < count; i++)
        dialogs[i] = all[number[i]];
    sg_status status = sg_outputs_run(engine, spec, dialogs, count, false, &block);
    for (int i = 0; status == SG_OK && i < count; i++) {
        outputs->argmax[number[i]] = block.argmax[i];
        outputs->p_max[number[i]] = block.p_max[i];
        outputs->skewness[number[i]] = block.skewness[i];
        outputs->kurtosis[number[i]] = block.kurtosis[i];
    }
    sg_outputs_free(&block);
    return status;
}

static sg_status run_blocks(sg_engine *engine, const sg_spec *spec, const sg_dialog_types *all,
                            const sg_sequences *set, const char *what, sg_outputs *outputs)
{
    for (int first = 0; first < set->count; first += BLOCK) {
        const int count = set->count - first < BLOCK ? set->count - first : BLOCK;
        if (what)
            sg_progress(false, "%s: %d of %d beginnings", what, first, set->count);
        SG_TRY(run_block(engine, spec, all, set->sorted + first, count, outputs));
    }
    return SG_OK;
}

sg_status sg_outputs_run_prefixes(sg_engine *engine, const sg_spec *spec, const sg_prefixes *prefixes,
                                  const char *what, sg_outputs *outputs)
{
    const int count = sg_prefixes_count(prefixes) - 1, steps = spec->max_length;
    uint16_t *sequence = NULL, *length = NULL;
    sg_dialog_types *all = NULL;
    sg_sequences set = {0};
    sg_status status;
    *outputs = (sg_outputs){0};
    if (count == 0)
        return sg_fail(SG_E_CONFIG, "the model has no train dialogs, so no beginnings of them");
    SG_TRY_GOTO(status, done, sg_alloc(&sequence, (int64_t)count * steps, "prefixes"));
    SG_TRY_GOTO(status, done, sg_alloc(&length, count, "prefixes"));
    sg_prefixes_list(prefixes, steps, sequence, length);
    SG_TRY_GOTO(status, done, make_dialogs(&all, sequence, length, count, steps));
    SG_TRY_GOTO(status, done, sg_outputs_alloc(outputs, count, spec->classes, false));
    /* In sorted order, so that neighbours in a block share prefixes. */
    SG_TRY_GOTO(status, done, sg_sequences_make(&set, spec, sequence, length, count));
    status = run_blocks(engine, spec, all, &set, what, outputs);
done:
    sg_sequences_free(&set);
    free(all);
    free(length);
    free(sequence);
    return status;
}
