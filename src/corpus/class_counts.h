/* class_counts.h: how many dialogs of each class each split holds.
 *
 * All dialogs of a class have the same sequence, so a network or detector gives the same answer for each.
 * Results for a corpus follow from results for its classes and these counts.
 */
#ifndef SG_CORPUS_CLASS_COUNTS_H
#define SG_CORPUS_CLASS_COUNTS_H

#include "corpus/corpus.h"

typedef struct {
    int classes;                /* N */
    int64_t *count[SG_SPLITS];  /* [N] dialogs of the class in the split */
    int64_t dialogs[SG_SPLITS]; /* sum of count */
    int unique[SG_SPLITS];      /* classes with count > 0 */
} sg_class_counts;

/* Counts the dialogs of `corpus`.  SG_E_MEMORY. */
sg_status sg_class_counts_make(sg_class_counts *counts, const sg_corpus *corpus);
void sg_class_counts_free(sg_class_counts *counts);

#endif
