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
    SG_TEXT(SG_AT("out", type, field.out), "FILE", "the corpus to write", .letter = 'o', .required = true)

#define SG_NEW_CORPUS_OPTIONS(type, field)                                                                 \
    SG_REAL(SG_AT("train", type, field.share[0]), "0.5", 0, 1,  "share of train", .argument = "SHARE"),                                                                                 \
    SG_REAL(SG_AT("validation", type, field.share[1]), "0.2", 0, 1,  "share of validation", .argument = "SHARE"),                                                                            \
    SG_REAL(SG_AT("test", type, field.share[2]), "0.3", 0, 1,  "share of test", .argument = "SHARE"),                                                                                  \
    SG_INT(SG_AT("seed", type, field.seed), "1", 0, (double)INT64_MAX,  "seed of the split", .argument = "S"),                                                                              \
    SG_FLAG(SG_AT("force", type, field.force), "overwrite")
/* clang-format on */

/* Before a long read: SG_E_CONFIG for a file that is there or shares that are wrong. */
sg_status sg_new_corpus_check(const sg_new_corpus_options *options);

/* Draws the split and writes the file. */
sg_status sg_new_corpus_write(sg_corpus *corpus, const sg_new_corpus_options *options);

/* Notes of what was folded and cut, and of the corpus and its split. */
sg_status sg_new_corpus_report(const sg_corpus *corpus, const sg_new_corpus_options *options,
                               const sg_import_report *report);

#endif
