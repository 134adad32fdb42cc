#include "experiment/tables.h"

#include "base/memory.h"
#include "experiment/paper.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void sg_run_result_make(sg_run_result *result, const char *model, int64_t seed, int64_t epochs,
                        const sg_evaluation evaluation[SG_SPLITS], const sg_detection *detection)
{
    *result = (sg_run_result){.seed = seed, .epochs = epochs};
    snprintf(result->model, sizeof result->model, "%s", model);
    for (int s = 0; s < SG_SPLITS; s++) {
        result->p_d[s] = evaluation[s].p_d.value;
        result->ceiling[s] = evaluation[s].ceiling.value;
    }
    result->lambda_skewness = detection->threshold.skewness.lambda;
    result->lambda_kurtosis = detection->threshold.kurtosis.lambda;
    for (int i = 0; i < SG_DETECTORS; i++) {
        result->detector[i] = detection->detector[i];
        result->detector[i].abnormal = NULL;
    }
    for (int i = 0; i < SG_SCORES; i++)
        result->auc[i] = detection->roc[i].auc;
}

sg_spread sg_spread_of(const double *value, int count)
{
    sg_spread s = {0, NAN, NAN, NAN, NAN};
    double sum = 0, squares = 0;
    for (int i = 0; i < count; i++) {
        if (isnan(value[i]))
            continue;
        s.count++;
        sum += value[i];
        s.min = fmin(s.min, value[i]); /* fmin and fmax pass over NaN */
        s.max = fmax(s.max, value[i]);
    }
    if (s.count == 0)
        return s;
    s.mean = sum / s.count;
    for (int i = 0; i < count; i++)
        squares += isnan(value[i]) ? 0 : (value[i] - s.mean) * (value[i] - s.mean);
    if (s.count > 1)
        s.std = sqrt(squares / (s.count - 1));
    return s;
}

/* ---- runs.csv ---- */

static void runs_heads(sg_text_table *t)
{
    char name[64];
    sg_text_table_head(t, "model", "model");
    sg_text_table_head(t, "seed", "seed");
    sg_text_table_head(t, "epochs", "epochs");
    for (int s = 0; s < SG_SPLITS; s++) {
        snprintf(name, sizeof name, "p_d_%s", sg_split_name((sg_split)s));
        sg_text_table_head(t, name, name);
    }
    for (int s = 0; s < SG_SPLITS; s++) {
        snprintf(name, sizeof name, "ceiling_%s", sg_split_name((sg_split)s));
        sg_text_table_head(t, name, name);
    }
    sg_text_table_head(t, "lambda_skewness", "lambda_skewness");
    sg_text_table_head(t, "lambda_kurtosis", "lambda_kurtosis");
    for (int i = 0; i < SG_DETECTORS; i++) {
        snprintf(name, sizeof name, "%s_p_d", sg_detector_name((sg_decider)i));
        sg_text_table_head(t, name, name);
        snprintf(name, sizeof name, "%s_p_fa", sg_detector_name((sg_decider)i));
        sg_text_table_head(t, name, name);
    }
    for (int i = 0; i < SG_SCORES; i++) {
        snprintf(name, sizeof name, "auc_%s", sg_score_name((sg_score)i));
        sg_text_table_head(t, name, name);
    }
}

static void runs_row(sg_text_table *t, const sg_run_result *r)
{
    sg_text_table_cell(t, "%s", r->model);
    sg_text_table_cell(t, "%lld", (long long)r->seed);
    sg_text_table_cell(t, "%lld", (long long)r->epochs);
    for (int s = 0; s < SG_SPLITS; s++)
        sg_text_table_value(t, r->p_d[s], 0);
    for (int s = 0; s < SG_SPLITS; s++)
        sg_text_table_value(t, r->ceiling[s], 0);
    sg_text_table_value(t, r->lambda_skewness, 0);
    sg_text_table_value(t, r->lambda_kurtosis, 0);
    for (int i = 0; i < SG_DETECTORS; i++) {
        sg_text_table_value(t, r->detector[i].p_d.value, 0);
        sg_text_table_value(t, r->detector[i].p_fa.value, 0);
    }
    for (int i = 0; i < SG_SCORES; i++)
        sg_text_table_value(t, r->auc[i], 0);
}

sg_status sg_report_runs(const sg_run_result *runs, int count, FILE *out)
{
    sg_text_table t;
    sg_text_table_open(&t, SG_STYLE_CSV);
    runs_heads(&t);
    for (int i = 0; i < count; i++)
        runs_row(&t, &runs[i]);
    return sg_text_table_finish(&t, out);
}

/* ---- Tables V and VI ---- */

/* A figure of a run: the number `offset` bytes into sg_run_result. */
static double figure_of(const sg_run_result *run, size_t offset)
{
    return *(const double *)((const char *)run + offset);
}

static void spread_heads(sg_text_table *t)
{
    sg_text_table_head(t, "paper", "paper");
    sg_text_table_head(t, "runs", "runs");
    sg_text_table_head(t, "mean", "mean");
    sg_text_table_head(t, "std", "std");
    sg_text_table_head(t, "min", "min");
    sg_text_table_head(t, "max", "max");
    sg_text_table_head(t, "all runs together", "ensemble");
}

/* The cells of one figure of one model; `values` has room for `count`. */
static void spread_cells(sg_text_table *t, const sg_run_result *runs, int count,
                         const sg_run_result *ensemble, size_t offset, double paper, double *values)
{
    int used = 0;
    for (int i = 0; i < count; i++)
        if (strcmp(runs[i].model, ensemble->model) == 0)
            values[used++] = figure_of(&runs[i], offset);
    const sg_spread s = sg_spread_of(values, used);
    sg_text_table_share(t, paper);
    sg_text_table_cell(t, "%d", s.count);
    sg_text_table_share(t, s.mean);
    sg_text_table_share(t, s.std);
    sg_text_table_share(t, s.min);
    sg_text_table_share(t, s.max);
    sg_text_table_share(t, figure_of(ensemble, offset));
}

sg_status sg_report_table5(const sg_run_result *runs, int count, const sg_run_result *ensembles, int models,
                           sg_table_style style, FILE *out)
{
    static const double paper[SG_SPLITS] = {SG_PAPER_PD_TRAIN, SG_PAPER_PD_VALIDATION, SG_PAPER_PD_TEST};
    double *values;
    SG_TRY(sg_alloc(&values, count, "figures of runs"));
    sg_text_table t;
    sg_text_table_open(&t, style);
    sg_text_table_head(&t, "P_D", "split");
    sg_text_table_head(&t, "model", "model");
    spread_heads(&t);
    sg_text_table_head(&t, "ceiling", "ceiling");
    for (int s = 0; s < SG_SPLITS; s++)
        for (int m = 0; m < models; m++) {
            sg_text_table_cell(&t, "%s", sg_split_name((sg_split)s));
            sg_text_table_cell(&t, "%s", ensembles[m].model);
            /* A name with a padding of its own ("1.0-mask") is none of the paper's. */
            spread_cells(&t, runs, count, &ensembles[m],
                         offsetof(sg_run_result, p_d) + (size_t)s * sizeof(double),
                         strchr(ensembles[m].model, '-') ? NAN : paper[s], values);
            sg_text_table_share(&t, ensembles[m].ceiling[s]);
        }
    sg_status status = sg_text_table_finish(&t, out);
    free(values);
    return status;
}

/* Baselines know no network: one row stands for all models. */
static bool is_baseline(int detector)
{
    return detector >= SG_DETECTOR_EXACT_SET;
}

sg_status sg_report_table6(const sg_run_result *runs, int count, const sg_run_result *ensembles, int models,
                           sg_table_style style, FILE *out)
{
    static const size_t offset[2] = {offsetof(sg_run_result, detector) + offsetof(sg_verdicts, p_d.value),
                                     offsetof(sg_run_result, detector) + offsetof(sg_verdicts, p_fa.value)};
    const bool csv = style == SG_STYLE_CSV;
    double *values;
    SG_TRY(sg_alloc(&values, count, "figures of runs"));
    sg_text_table t;
    sg_text_table_open(&t, style);
    sg_text_table_head(&t, "detector", "detector");
    sg_text_table_head(&t, "model", "model");
    sg_text_table_head(&t, "share", "metric");
    spread_heads(&t);
    for (int d = 0; d < SG_DETECTORS; d++)
        for (int m = 0; m < (is_baseline(d) ? 1 : models); m++)
            for (int k = 0; k < 2; k++) {
                double paper[2] = {NAN, NAN};
                if (strcmp(ensembles[m].model, "1.0") == 0)
                    sg_detector_paper((sg_decider)d, &paper[0], &paper[1]);
                sg_text_table_cell(&t, "%s",
                                   csv ? sg_detector_name((sg_decider)d) : sg_detector_title((sg_decider)d));
                sg_text_table_cell(&t, "%s", is_baseline(d) ? "-" : ensembles[m].model);
                sg_text_table_cell(&t, "%s", csv ? (k ? "p_fa" : "p_d") : (k ? "P_FA" : "P_D"));
                spread_cells(&t, runs, count, &ensembles[m], offset[k] + (size_t)d * sizeof(sg_verdicts),
                             paper[k], values);
            }
    sg_status status = sg_text_table_finish(&t, out);
    free(values);
    return status;
}

cJSON *sg_json_run(const sg_run_result *run)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "model", run->model);
    cJSON_AddNumberToObject(o, "seed", run->seed < 0 ? NAN : (double)run->seed);
    cJSON_AddNumberToObject(o, "epochs", (double)run->epochs);
    cJSON *p_d = cJSON_AddObjectToObject(o, "p_d");
    for (int s = 0; s < SG_SPLITS; s++)
        cJSON_AddNumberToObject(p_d, sg_split_name((sg_split)s), run->p_d[s]);
    cJSON *detectors = cJSON_AddObjectToObject(o, "detectors");
    for (int i = 0; i < SG_DETECTORS; i++) {
        cJSON *d = cJSON_AddObjectToObject(detectors, sg_detector_name((sg_decider)i));
        cJSON_AddNumberToObject(d, "p_d", run->detector[i].p_d.value);
        cJSON_AddNumberToObject(d, "p_fa", run->detector[i].p_fa.value);
    }
    cJSON *auc = cJSON_AddObjectToObject(o, "auc");
    for (int i = 0; i < SG_SCORES; i++)
        cJSON_AddNumberToObject(auc, sg_score_name((sg_score)i), run->auc[i]);
    return o;
}
