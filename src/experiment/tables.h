/* tables.h: Tables V and VI over several runs of several models: figures of each run, their mean and spread
 * over the seeds, and the answer of all runs of a model together (ensemble.h).
 */
#ifndef SG_EXPERIMENT_TABLES_H
#define SG_EXPERIMENT_TABLES_H

#include "base/json.h"
#include "base/text_table.h"
#include "experiment/detection.h"
#include "experiment/evaluate.h"

/* The figures of one run, or of the ensemble of a model.  Shares that are not defined are NaN. */
typedef struct {
    char model[16]; /* "1.0" */
    int64_t seed;   /* -1 for an ensemble */
    int64_t epochs; /* trained */
    double p_d[SG_SPLITS], ceiling[SG_SPLITS];
    double lambda_skewness, lambda_kurtosis;
    sg_verdicts detector[SG_DETECTORS]; /* without the verdicts themselves */
    double auc[SG_SCORES];
} sg_run_result;

/* Takes the figures from what sg_evaluate and sg_detection_run found. */
void sg_run_result_make(sg_run_result *result, const char *model, int64_t seed, int64_t epochs,
                        const sg_evaluation evaluation[SG_SPLITS], const sg_detection *detection);

/* The spread of one figure over runs; NaN entries are left out. */
typedef struct {
    int count;
    double mean, std, min, max; /* std: of the sample (n - 1), NaN for fewer than two */
} sg_spread;

sg_spread sg_spread_of(const double *value, int count);

/* CSV, one row for each run. */
sg_status sg_report_runs(const sg_run_result *runs, int count, FILE *out);

/* Table V: a row for each split and model: the paper's figure, runs, mean, std, min, max over the runs, and
 * P_D of the ensemble.  `ensembles` has one entry for each model, in the order in which they are to stand.
 * Table VI likewise, for P_D and P_FA of each detector; the paper's stand beside model 1.0, which is the one
 * they were measured with. */
sg_status sg_report_table5(const sg_run_result *runs, int count, const sg_run_result *ensembles, int models,
                           sg_table_style style, FILE *out);
sg_status sg_report_table6(const sg_run_result *runs, int count, const sg_run_result *ensembles, int models,
                           sg_table_style style, FILE *out);

/* {"model", "seed", "epochs", "p_d": {...}, "detectors": {...}, "auc": {...}}; "seed" is null for an
 * ensemble. */
cJSON *sg_json_run(const sg_run_result *run);

#endif
