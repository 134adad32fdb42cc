#include "score/scorer.h"

#include "base/files.h"
#include "base/h5_digest.h"
#include "base/memory.h"
#include "corpus/import.h"
#include <stdlib.h>
#include <string.h>

struct sg_scorer {
    const sg_scorer_kind *kind;
    void *self;
    bool partial;
};

/* What a file is, by its first bytes; one that is neither, by its name: that reader complains. */
static sg_status find_kind(const sg_scorer_kind **kind, const char *path)
{
    const size_t n = strlen(path);
    char start[SG_H5_START] = {0};
    SG_TRY(sg_file_check_readable(path));
    FILE *in = fopen(path, "rb");
    size_t got = in ? fread(start, 1, sizeof start, in) : 0;
    if (in)
        fclose(in);
    bool is_hdf5 = got == sizeof start && sg_h5_is_start(start);
    bool named = n > 5 && strcmp(path + n - 5, ".sipm") == 0;
    *kind = !is_hdf5 && (named || memcmp(start, "\x89SIPM", 5) == 0) ? &sg_scorer_library : &sg_scorer_engine;
    return SG_OK;
}

/* An option that the model at hand has no use for is a mistake. */
static sg_status check_options(const sg_scorer_kind *kind, const sg_scorer_options *o)
{
    const sg_session_options *s = o->session;
    const char *wrong = NULL;
    if (kind == &sg_scorer_library) {
        wrong = strcmp(s->device, "auto") != 0      ? "--device"
                : s->precision != SG_PRECISION_AUTO ? "--precision"
                : s->threads                        ? "--threads"
                                                    : NULL;
        if (wrong)
            return sg_fail(SG_E_USAGE, "%s is for .h5 models; %s has its precision, and runs on one core",
                           wrong, o->path);
        return SG_OK;
    }
    wrong = strcmp(o->simd, "auto") != 0 ? "--simd" : o->recompute ? "--recompute" : NULL;
    return wrong ? sg_fail(SG_E_USAGE, "%s is for .sipm models, not for %s", wrong, o->path) : SG_OK;
}

sg_status sg_scorer_open(sg_scorer **out, const sg_scorer_options *options)
{
    sg_scorer *scorer;
    const sg_scorer_kind *kind;
    *out = NULL;
    SG_TRY(find_kind(&kind, options->path));
    SG_TRY(check_options(kind, options));
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
