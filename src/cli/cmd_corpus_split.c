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

#define AT(field) offsetof(split_options, field)

static const sg_option table[] = {
    {NULL, "out", SG_OPT_TEXT, AT(out), "", 0, 0, NULL, "FILE", "the corpus to write", 'o'},
    {NULL, "train", SG_OPT_REAL, AT(share[0]), "0.5", 0, 1, NULL, "SHARE", "share of train", 0},
    {NULL, "validation", SG_OPT_REAL, AT(share[1]), "0.2", 0, 1, NULL, "SHARE", "share of validation", 0},
    {NULL, "test", SG_OPT_REAL, AT(share[2]), "0.3", 0, 1, NULL, "SHARE", "share of test", 0},
    {NULL, "sizes", SG_OPT_TEXT, AT(sizes), "", 0, 0, NULL, "A,B,C",
     "dialogs of train, validation and test instead of shares", 0},
    {NULL, "seed", SG_OPT_INT, AT(seed), "1", 0, (double)INT64_MAX, NULL, "S", "seed of the shuffle", 0},
    {NULL, "unseen", SG_OPT_TEXT, AT(unseen), "", 0, 0, NULL, "V,T",
     "take the first seed from S on with V validation and T test dialogs whose class is not in train", 0},
    {NULL, "tries", SG_OPT_INT, AT(tries), "0", 0, 1e12, NULL, "N",
     "seeds to look at for --unseen; 0: about ten seconds' worth", 0},
    {NULL, "force", SG_OPT_FLAG, AT(force), NULL, 0, 0, NULL, NULL, "overwrite", 0},
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
            return sg_fail(SG_E_USAGE, "%s %s: %d whole numbers with commas between are wanted", option, text,
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

static sg_status split(const char *name, const split_options *o, const char *path)
{
    sg_corpus corpus;
    int64_t tries = 0;
    SG_TRY(sg_require_option(name, o->out, "--out FILE"));
    SG_TRY(sg_file_check_writable(o->out, o->force));
    SG_TRY(sg_corpus_read(&corpus, path));
    sg_status status = draw(o, &corpus, &tries);
    if (status == SG_OK)
        status = sg_corpus_write(&corpus, o->out, "sipgpu " SG_VERSION);
    if (status == SG_OK)
        status = report(o, &corpus, tries);
    sg_corpus_free(&corpus);
    return status;
}

sg_status sg_run_corpus_split(const char *name, int argc, char **argv)
{
    split_options o = {0};
    sg_text_list words = {0};
    bool done;
    sg_status status = sg_command_parse(name, table, about, &o, argc, argv, &words, 1, &done);
    if (status == SG_OK && !done)
        status = words.count ? split(name, &o, words.items[0])
                             : sg_fail(SG_E_USAGE, "%s wants a corpus file", name);
    free(words.items);
    return status;
}
