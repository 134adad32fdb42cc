#include "base/files.h"
#include "base/log.h"
#include "cli/cli.h"
#include "corpus/split.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    sg_common_options common;
    char out[SG_TEXT_MAX], sizes[SG_TEXT_MAX], unseen[SG_TEXT_MAX];
    double share[SG_SPLITS];
    int64_t seed, tries;
    bool force;
} split_options;

#define AT(member) SG_KEY(split_options, member)

static const sg_option table[] = {
    SG_TEXT(AT(out), "FILE", "the corpus to write", .letter = 'o', .required = true),
    SG_REAL(SG_AT("train", split_options, share[0]), "0.5", 0, 1, "share of train", .argument = "SHARE"),
    SG_REAL(SG_AT("validation", split_options, share[1]), "0.2", 0, 1, "share of validation",
            .argument = "SHARE"),
    SG_REAL(SG_AT("test", split_options, share[2]), "0.3", 0, 1, "share of test", .argument = "SHARE"),
    SG_TEXT(AT(sizes), "A,B,C", "dialogs of train, validation and test instead of shares"),
    SG_INT(AT(seed), "1", 0, (double)INT64_MAX, "seed of the shuffle", .argument = "S"),
    SG_TEXT(AT(unseen), "V,T",
            "take the first seed from S on with V validation and T test dialogs whose class is not in train"),
    SG_INT(AT(tries), "0", 0, 1e12, "seeds to look at for --unseen; 0: about ten seconds' worth"),
    SG_FLAG(AT(force), "overwrite"),
    SG_COMMON_OPTIONS(split_options),
};

static const char about[] =
    "Draws train, validation and test anew and writes the corpus to another file.  A split is a\n"
    "function of the seed, the sizes and the number of dialogs alone.";

/* "1,2,3" as exactly `count` whole numbers from 0. */
static sg_status parse_numbers(const char *option, const char *text, int64_t *numbers, int count)
{
    const char *p = text;
    char *end;
    for (int i = 0; i < count; i++) {
        errno = 0;
        numbers[i] = strtoll(p, &end, 10);
        if (end == p || errno || numbers[i] < 0 || *end != (i + 1 < count ? ',' : '\0'))
            return sg_fail(SG_E_USAGE, "%s %s: expected %d whole numbers with commas between", option, text,
                           count);
        p = end + 1;
    }
    return SG_OK;
}

static sg_status draw(const split_options *o, sg_corpus *corpus, int64_t *tries)
{
    int64_t size[SG_SPLITS], unseen[2] = {0};
    uint64_t seed = (uint64_t)o->seed;
    if (o->sizes[0])
        SG_TRY(parse_numbers("--sizes", o->sizes, size, SG_SPLITS));
    else
        SG_TRY(sg_split_sizes(corpus->dialogs, o->share, size));
    if (!o->unseen[0])
        return sg_split_draw(corpus, size, seed);
    SG_TRY(parse_numbers("--unseen", o->unseen, unseen, 2));
    return sg_split_search(corpus, size, seed, unseen[0], unseen[1],
                           o->tries ? o->tries : sg_split_tries(corpus->dialogs), tries);
}

static sg_status report(const split_options *o, const sg_corpus *corpus, int64_t tries)
{
    int64_t size[SG_SPLITS], unseen[SG_SPLITS];
    SG_TRY(sg_split_count(corpus, size, unseen));
    sg_note("%s: split %" PRId64 "/%" PRId64 "/%" PRId64 ", unseen %" PRId64 " and %" PRId64
            ", split seed %" PRIu64,
            o->out, size[0], size[1], size[2], unseen[SG_SPLIT_VALIDATION], unseen[SG_SPLIT_TEST],
            corpus->split_seed);
    if (tries)
        sg_detail("%" PRId64 " split seeds looked at", tries);
    return SG_OK;
}

static sg_status run(const sg_call *call)
{
    const split_options *o = call->options;
    sg_corpus corpus;
    int64_t tries = 0;
    SG_TRY(sg_file_check_writable(o->out, o->force));
    SG_TRY(sg_corpus_read(&corpus, call->words->items[0]));
    sg_status status = draw(o, &corpus, &tries);
    if (status == SG_OK)
        status = sg_corpus_write(&corpus, o->out, "sipgpu " SG_VERSION);
    if (status == SG_OK)
        status = report(o, &corpus, tries);
    sg_corpus_free(&corpus);
    return status;
}

SG_COMMAND(corpus_split, "corpus split", "draw train, validation and test anew", about, table, split_options,
           run, .words = "CORPUS", .words_min = 1, .words_max = 1);
