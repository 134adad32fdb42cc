#include "detect/prefix_outputs.h"

#include "base/log.h"
#include "base/memory.h"
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 4096
}; /* beginnings run at once; with post padding each has a tail of zero steps of its own */

/* Beginnings by number (node - 1), and the block of them at hand. */
typedef struct {
    int steps, count;
    uint16_t *sequence, *length;             /* [count, steps], [count] */
    uint16_t *block_sequence, *block_length; /* [BLOCK, steps], [BLOCK] */
} beginnings;

static void beginnings_free(beginnings *b)
{
    free(b->sequence);
    free(b->length);
    free(b->block_sequence);
    free(b->block_length);
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

static sg_status list_beginnings(beginnings *b, const sg_prefixes *prefixes, int steps)
{
    const size_t count = (size_t)sg_prefixes_count(prefixes) - 1;
    *b = (beginnings){.steps = steps, .count = (int)count};
    SG_TRY(sg_alloc(&b->sequence, count * (size_t)steps, "prefixes"));
    SG_TRY(sg_alloc(&b->length, count, "prefixes"));
    SG_TRY(sg_alloc(&b->block_sequence, (size_t)BLOCK * (size_t)steps, "prefixes"));
    SG_TRY(sg_alloc(&b->block_length, BLOCK, "prefixes"));
    sg_prefixes_list(prefixes, steps, b->sequence, b->length);
    return SG_OK;
}

static sg_status run_block(sg_engine *engine, const sg_spec *spec, beginnings *b, const int32_t *number,
                           int count, sg_outputs *outputs)
{
    const size_t steps = (size_t)b->steps;
    sg_sequences set = {0};
    sg_outputs block = {0};
    sg_status status;
    for (int i = 0; i < count; i++) {
        memcpy(b->block_sequence + (size_t)i * steps, b->sequence + (size_t)number[i] * steps,
               steps * sizeof *b->sequence);
        b->block_length[i] = b->length[number[i]];
    }
    SG_TRY_GOTO(status, done, sg_sequences_make(&set, spec, b->block_sequence, b->block_length, count));
    SG_TRY_GOTO(status, done, sg_outputs_alloc(&block, count, spec->classes, false));
    SG_TRY_GOTO(status, done, sg_engine_infer_all(engine, &set, &block));
    for (int i = 0; i < count; i++) {
        outputs->argmax[number[i]] = block.argmax[i];
        outputs->p_max[number[i]] = block.p_max[i];
        outputs->skewness[number[i]] = block.skewness[i];
        outputs->kurtosis[number[i]] = block.kurtosis[i];
    }
done:
    sg_outputs_free(&block);
    sg_sequences_free(&set);
    return status;
}

sg_status sg_prefix_outputs_run(sg_engine *engine, const sg_spec *spec, const sg_prefixes *prefixes,
                                const char *what, sg_outputs *outputs)
{
    beginnings b = {0};
    sg_sequences all = {0};
    sg_status status;
    *outputs = (sg_outputs){0};
    if (sg_prefixes_count(prefixes) == 1)
        return sg_fail(SG_E_CONFIG, "the model has no train dialogs, so no beginnings of them");
    SG_TRY_GOTO(status, done, list_beginnings(&b, prefixes, spec->max_length));
    SG_TRY_GOTO(status, done, sg_outputs_alloc(outputs, b.count, spec->classes, false));
    /* In sorted order, so that neighbours in a block share prefixes. */
    SG_TRY_GOTO(status, done, sg_sequences_make(&all, spec, b.sequence, b.length, b.count));
    for (int first = 0; first < b.count; first += BLOCK) {
        const int count = b.count - first < BLOCK ? b.count - first : BLOCK;
        if (what)
            sg_progress(false, "%s: %d of %d beginnings", what, first, b.count);
        SG_TRY_GOTO(status, done, run_block(engine, spec, &b, all.sorted + first, count, outputs));
    }
done:
    sg_sequences_free(&all);
    beginnings_free(&b);
    return status;
}
