/* new_corpus.h: what `corpus import` and `corpus merge` end with: a split, a file, a line about it. */
#ifndef SG_CLI_NEW_CORPUS_H
#define SG_CLI_NEW_CORPUS_H

#include "base/options.h"
#include "corpus/import.h"
#include "corpus/split.h"

typedef struct {
    char out[SG_TEXT_MAX];
    double share[SG_SPLITS];
    int64_t seed;
    bool force;
} sg_new_corpus_options;

/* Entries of a command's option table; `field` is the sg_new_corpus_options in struct `type`. */
/* clang-format off */
#define SG_NEW_CORPUS_OUT(type, field)                                                                     \
    {NULL, "out", SG_OPT_TEXT, offsetof(type, field.out), "", 0, 0, NULL, "FILE", "the corpus to write", 'o'}

#define SG_NEW_CORPUS_OPTIONS(type, field)                                                                 \
    {NULL, "train", SG_OPT_REAL, offsetof(type, field.share[0]), "0.5", 0, 1, NULL, "SHARE",               \
     "share of train", 0},                                                                                 \
    {NULL, "validation", SG_OPT_REAL, offsetof(type, field.share[1]), "0.2", 0, 1, NULL, "SHARE",          \
     "share of validation", 0},                                                                            \
    {NULL, "test", SG_OPT_REAL, offsetof(type, field.share[2]), "0.3", 0, 1, NULL, "SHARE",                \
     "share of test", 0},                                                                                  \
    {NULL, "seed", SG_OPT_INT, offsetof(type, field.seed), "1", 0, (double)INT64_MAX, NULL, "S",           \
     "seed of the split", 0},                                                                              \
    {NULL, "force", SG_OPT_FLAG, offsetof(type, field.force), NULL, 0, 0, NULL, NULL, "overwrite", 0}
/* clang-format on */

/* Before a long read: SG_E_USAGE without --out, SG_E_CONFIG for a file that is there or shares that are
 * wrong.
 */
sg_status sg_new_corpus_check(const char *command, const sg_new_corpus_options *options);

/* Draws the split and writes the file. */
sg_status sg_new_corpus_write(sg_corpus *corpus, const sg_new_corpus_options *options);

/* Notes of what was folded and cut, and of the corpus and its split. */
sg_status sg_new_corpus_report(const sg_corpus *corpus, const sg_new_corpus_options *options,
                               const sg_import_report *report);

#endif
