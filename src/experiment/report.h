/* report.h: evaluations and detections as tables (terminal, CSV) with the paper's figures beside them, and
 * the CSV files that figures are drawn from.  All functions write to an open stream; the caller checks for
 * write errors (sg_text_finish).
 */
#ifndef SG_EXPERIMENT_REPORT_H
#define SG_EXPERIMENT_REPORT_H

#include "base/text_table.h"
#include "experiment/detection.h"
#include "experiment/evaluate.h"

/* Table V for one model, for a terminal: a row for each split that has dialogs and is asked for by bit
 * 1 << split of `splits`. */
sg_status sg_report_evaluation(const sg_evaluation evaluation[SG_SPLITS], unsigned splits, FILE *out);

/* Table VI for a terminal: a row for each detector, with the paper's figures; with `unique` each class
 * counted once, without them.  verdicts.h has the CSV. */
sg_status sg_report_detection(const sg_detection *detection, bool unique, FILE *out);

/* The limits that were fitted: lambda of both moments beside the paper's, K-means centroids, Markov limits.
 */
sg_status sg_report_limits(const sg_detection *detection, sg_table_style style, FILE *out);

/* Area under the curve of each score, and P_D at the largest P_FA that is at most 0, 1% and 5%. */
sg_status sg_report_auc(const sg_detection *detection, sg_table_style style, FILE *out);

/* CSV, one row for each class of the train split, then of the test split: model, seed, split, class, length,
 * dialogs, known, argmax (number of an output of the network), p_max, skewness, kurtosis, and 0 or 1 from
 * each detector.  Figures 2 to 4 are drawn from these. */
void sg_report_moments_head(FILE *out);
void sg_report_moments(const sg_detection *detection, const sg_corpus *corpus, const sg_class_counts *counts,
                       const sg_outputs *outputs, const char *model, int64_t seed, FILE *out);

/* CSV, one row for each dialog of the test split; `rule` decides the column `abnormal`. */
void sg_report_dialogs(const sg_detection *detection, const sg_corpus *corpus, const sg_outputs *outputs,
                       sg_rule rule, FILE *out);

/* CSV, one row for each class of the corpus: dialogs in each split, the output of the class (class_of as for
 * sg_evaluate), what the network answers, its messages by name. */
void sg_report_classes(const sg_corpus *corpus, const sg_class_counts *counts, const sg_outputs *outputs,
                       const int32_t *class_of, const bool *known, FILE *out);

/* What a curve is of. */
typedef struct {
    const char *model; /* "-": no network */
    int runs;          /* 0: no network */
    sg_combined combined;
    int64_t seed; /* of the only run; -1: none or several */
    const char *score;
} sg_roc_source;

/* CSV, one row for each point: model, runs, combined, seed, score_name, score, detections, false_alarms.  The
 * last point of a curve flags everything, so its counts are those of all new and all known dialogs. */
void sg_report_roc_head(FILE *out);
void sg_report_roc(const sg_roc *roc, const sg_roc_source *source, FILE *out);

#endif
