/* statistics.h: the figures that section IV-A of the paper gives for its data set, for any corpus. */
#ifndef SG_CORPUS_STATISTICS_H
#define SG_CORPUS_STATISTICS_H

#include "corpus/corpus.h"

enum { SG_HISTOGRAM_BINS = 14, SG_MULTIPLICITY_BINS = 32 };

typedef struct {
    int64_t from, to; /* both inclusive */
    int64_t classes, dialogs;
} sg_histogram_bin;

typedef struct {
    int64_t dialogs, classes; /* classes: different ones within the split */
    int64_t unseen;           /* dialogs whose class is not in train */
} sg_split_statistics;

/* Means over batches of train dialogs drawn at random without replacement (at most 32 batches). */
typedef struct {
    int64_t rows, row_steps; /* a batch, and rows * L */
    double unique;           /* different sequences */
    double nodes;            /* different prefixes, over all L steps of the padded sequences */
    double factor;           /* row_steps / nodes: what a prefix trie saves */
} sg_batch_statistics;

typedef struct {
    int64_t once;           /* classes of one dialog */
    int64_t user_agents;    /* different ones */
    int64_t messages;       /* of all dialogs */
    int64_t *type_messages; /* [M] messages of each type */
    int types_used;
    int shortest, longest;
    double mean_length, median_length; /* over dialogs */
    int length_bins, multiplicity_bins;
    sg_histogram_bin length[SG_HISTOGRAM_BINS];          /* by messages of a dialog */
    sg_histogram_bin multiplicity[SG_MULTIPLICITY_BINS]; /* by dialogs of a class: 1, 2, 3-4, 5-8, ... */
    sg_split_statistics split[SG_SPLITS];
    sg_batch_statistics batch;
} sg_corpus_statistics;

/* `batch` is limited to the size of train.  Release with sg_corpus_statistics_free. */
sg_status sg_corpus_statistics_make(sg_corpus_statistics *statistics, const sg_corpus *corpus, int64_t batch);
void sg_corpus_statistics_free(sg_corpus_statistics *statistics);

#endif
