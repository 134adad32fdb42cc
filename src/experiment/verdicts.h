/* verdicts.h: a detector's verdict on every class of a corpus, and the resulting shares: the row of every
 * table of detectors (Table VI, comparison, runs together, early detection).
 *
 * "New", "known", P_D and P_FA are as in detection.h.
 */
#ifndef SG_EXPERIMENT_VERDICTS_H
#define SG_EXPERIMENT_VERDICTS_H

#include "base/rates.h"
#include "base/text_table.h"

/* How several runs are combined (ensemble.h): nothing (one run), the run with the largest output, or their
 * outputs pooled. */
typedef enum { SG_COMBINED_NOT, SG_COMBINED_MAX, SG_COMBINED_MEAN, SG_COMBINED_ENVELOPE } sg_combined;

const char *sg_combined_name(sg_combined combined); /* "", "max", "mean", "envelope" */

typedef struct {
    char detector[32]; /* "threshold_both" */
    char model[16];    /* "1.0"; "all": runs of several models; "-": no network */
    char rule[48];     /* what sets the limit: "leave-one-out" */
    int runs;          /* that answer; 0 without a network */
    sg_combined combined;
    int messages;                    /* of each dialog that are seen; 0: all */
    double limit;                    /* a lower score is flagged; NaN where the rule is not one limit */
    bool *abnormal;                  /* [N] verdict on each class, whatever its split; NULL: not kept */
    sg_rate p_d, p_fa;               /* over dialogs of the test split */
    sg_rate p_d_unique, p_fa_unique; /* each class of the test split counted once */
} sg_verdicts;

typedef struct {
    int count;
    size_t capacity;
    sg_verdicts *row;
} sg_verdict_table;

/* Counts what abnormal[classes] comes to: class j has test[j] dialogs in the test split and is known if
 * known[j]. */
void sg_verdicts_count(sg_verdicts *row, const bool *abnormal, const bool *known, const int64_t *test,
                       int classes);

/* Adds a copy of *row, which keeps a copy of abnormal[classes], or nothing of NULL. */
sg_status sg_verdict_table_add(sg_verdict_table *table, const sg_verdicts *row, const bool *abnormal,
                               int classes);
void sg_verdict_table_free(sg_verdict_table *table);

/* The first row of a detector; NULL if there is none.  `rule` NULL: any. */
const sg_verdicts *sg_verdict_table_find(const sg_verdict_table *table, const char *detector,
                                         const char *model, const char *rule, sg_combined combined);

/* CSV: detector, model, runs, combined, rule, k (empty: all messages), p_d, p_d_low, p_d_high, detections,
 * new, p_fa, p_fa_low, p_fa_high, false_alarms, known, sequences_detected, sequences_new, sequences_alarmed,
 * sequences_known, limit. */
sg_status sg_report_verdicts(const sg_verdicts *row, int count, FILE *out);

#endif
