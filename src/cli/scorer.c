#include "cli/scorer.h"

#include "base/memory.h"
#include "corpus/import.h"
#include <stdlib.h>
#include <string.h>

struct sg_scorer {
    const sg_scorer_kind *kind;
    void *self;
    bool partial;
};

sg_status sg_scorer_open(sg_scorer **out, const sg_scorer_options *options)
{
    sg_scorer *scorer;
    const sg_scorer_kind *kind = &sg_scorer_engine;
    *out = NULL;
    SG_TRY(sg_alloc(&scorer, 1, "model"));
    scorer->kind = kind;
    scorer->partial = options->partial;
    sg_status status = kind->open(&scorer->self, options);
    if (status == SG_OK && options->partial && !sg_scorer_has_limits(scorer))
        status = sg_fail(SG_E_CONFIG,
                         "%s has no limits for dialogs that go on (--partial); train it with "
                         "train.prefix_limits = true",
                         options->path);
    if (status != SG_OK) {
        sg_scorer_close(scorer);
        return status;
    }
    *out = scorer;
    return SG_OK;
}

void sg_scorer_close(sg_scorer *scorer)
{
    if (!scorer)
        return;
    if (scorer->self)
        scorer->kind->close(scorer->self);
    free(scorer);
}

int sg_scorer_max_length(const sg_scorer *scorer)
{
    return scorer->kind->max_length(scorer->self);
}

bool sg_scorer_has_limits(const sg_scorer *scorer)
{
    return scorer->kind->has_limits(scorer->self, scorer->partial);
}

uint16_t sg_scorer_type(const sg_scorer *scorer, const char *cell)
{
    char plain[33];
    uint16_t id = scorer->kind->type_id(scorer->self, cell);
    if (id && strcmp(scorer->kind->type_name(scorer->self, id), cell) == 0)
        return id;
    return sg_parse_message(cell, plain) ? scorer->kind->type_id(scorer->self, plain) : id;
}

const char *sg_scorer_type_name(const sg_scorer *scorer, int id)
{
    return scorer->kind->type_name(scorer->self, id);
}

int sg_scorer_class_dialog(const sg_scorer *scorer, int32_t number, uint16_t *types)
{
    return scorer->kind->class_dialog(scorer->self, number, types);
}

sg_status sg_scorer_run(sg_scorer *scorer, const uint16_t *types, const uint16_t *lengths, int count,
                        sg_answer *answers)
{
    return count ? scorer->kind->run(scorer->self, types, lengths, count, answers) : SG_OK;
}
