/* comparison.h: Table VI extended: every detector on the test split, with and without a network.
 *
 * "New" and "known", P_D and P_FA are as in detection.h.  All dialogs of a sequence get the same verdict, so
 * the intervals over dialogs are those of a sample of dialogs for this set of sequences; the counts of
 * sequences, and the tests of pairs, which count each sequence once, stand beside them.
 *
 * No limit comes from the test split, with one exception that the paper makes itself: K-means clusters its
 * moments.
 */
#ifndef SG_EXPERIMENT_COMPARISON_H
#define SG_EXPERIMENT_COMPARISON_H

#include "experiment/correlation.h"
#include "experiment/detection.h"
#include "experiment/ensemble.h"

enum { SG_BASELINE_ROCS = 4 };

/* The curve of a score of several runs together, over the test split. */
typedef struct {
    char model[16];
    int runs;
    sg_combined combined;
    sg_score score;
    sg_roc roc;
} sg_combined_roc;

typedef struct {
    int classes;
    sg_class_counts counts;
    bool *known;   /* [N] the train split holds the class */
    bool *flagged; /* [N] room for the verdicts of the row at hand */
    sg_verdict_table table;
    bool has_correlation;         /* false: the corpus is too large for it */
    sg_roc roc[SG_BASELINE_ROCS]; /* over the test split; those of the correlations are empty without them */
    int curves;
    size_t curve_capacity;
    sg_combined_roc *curve;
} sg_comparison;

sg_combined sg_combined_of(sg_pool_rule rule);

/* Starts with the detectors that need no network:
 *
 *   exact_set                   a dialog that is no train dialog
 *   prefix_trie                 a dialog as no train dialog begins: one that was cut short passes
 *   ngram_2, ngram_3, ngram_4   one with n messages in a row that no train dialog has
 *                               (markers of start and end included)
 *   markov_2, markov_3          as in `detection`, of this very corpus
 *   cross_correlation_largest, cross_correlation_mean
 *                               correlation.h
 *
 * Those with a score have a second row each, rule "validation": the limit that parts new and known dialogs of
 * the validation split best (sg_roc_best_limit), if that has both.  Release with sg_comparison_free, also
 * after a failure. */
sg_status sg_comparison_open(sg_comparison *comparison, const sg_corpus *corpus,
                             const sg_detection *detection);
void sg_comparison_free(sg_comparison *comparison);

/* Adds the detectors of a network, or of `runs` networks that were combined: threshold_both,
 * threshold_either, kmeans, and with rule "validation" a single limit on skewness, kurtosis or the largest
 * output (p_max), and best_single: of these three the one that did best on the validation split.  Of combined
 * networks also two curves: the higher of both moments, and the largest output. */
sg_status sg_comparison_add(sg_comparison *comparison, const char *model, int runs, sg_combined combined,
                            const sg_detection *detection);

/* On which dialogs and sequences of the test split just one of two detectors is right. */
typedef struct {
    int64_t first, second;           /* dialogs */
    int unique_first, unique_second; /* sequences */
    double p_value;                  /* McNemar's exact test over sequences */
} sg_paired;

sg_paired sg_comparison_pair(const sg_comparison *comparison, const sg_verdicts *first,
                             const sg_verdicts *second);

/* CSV: each detector with a network against each one without (the limits from `validation` left out). */
sg_status sg_report_paired(const sg_comparison *comparison, FILE *out);

/* The curves of the scores without a network, and those of combined runs, as rows of roc.csv (report.h). */
void sg_report_baseline_rocs(const sg_comparison *comparison, FILE *out);
void sg_report_combined_rocs(const sg_comparison *comparison, FILE *out);

#endif
