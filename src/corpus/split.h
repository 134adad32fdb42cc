/* split.h: which dialogs are for training, validation and test.
 *
 * A split is a function of (seed, sizes, number of dialogs) alone: the dialogs are shuffled (Fisher-Yates)
 * with the Philox stream (seed, SG_RANDOM_SPLIT, 0); the first go to train, the next to validation, the rest
 * to test.  A dialog of validation or test is unseen when no dialog of its class is in train (section IV-B of
 * the paper).
 */
#ifndef SG_CORPUS_SPLIT_H
#define SG_CORPUS_SPLIT_H

#include "corpus/corpus.h"

/* Sizes from shares of the whole that sum to 1 (within 1e-6): train and validation are rounded, test is the
 * rest.  SG_E_CONFIG if they are not such shares. */
sg_status sg_split_sizes(int64_t dialogs, const double share[SG_SPLITS], int64_t size[SG_SPLITS]);

/* Sets corpus->split and split_seed; the sizes must sum to the number of dialogs, and train must not be
 * empty. */
sg_status sg_split_draw(sg_corpus *corpus, const int64_t size[SG_SPLITS], uint64_t seed);

/* Sets the split of the first seed at or after `seed` with exactly `unseen_validation` and `unseen_test`
 * unseen dialogs; *tries is the number of seeds tried.  SG_E_CONFIG after tries_max of them; the message
 * names the nearest. */
sg_status sg_split_search(sg_corpus *corpus, const int64_t size[SG_SPLITS], uint64_t seed,
                          int64_t unseen_validation, int64_t unseen_test, int64_t tries_max, int64_t *tries);

/* A bound on tries that keeps a search within about ten seconds. */
int64_t sg_split_tries(int64_t dialogs);

/* Counts the dialogs of each split, and those whose class is not in train (0 for train itself). */
sg_status sg_split_count(const sg_corpus *corpus, int64_t size[SG_SPLITS], int64_t unseen[SG_SPLITS]);

/* The expected number of unseen dialogs outside train, over all splits of these sizes, for classes of
 * count[0..classes-1] dialogs. */
double sg_split_expected_unseen(const int64_t *count, int64_t classes, const int64_t size[SG_SPLITS]);

#endif
