#include "experiment/comparison.h"

#include "base/memory.h"
#include "experiment/report.h"
#include <math.h>
#include <string.h>

/* ---- tables ---- */

static void put_csv_heads(sg_text_table *t)
{
    static const char *const heads[] = {"detector",
                                        "model",
                                        "runs",
                                        "combined",
                                        "rule",
                                        "p_d",
                                        "p_d_low",
                                        "p_d_high",
                                        "detections",
                                        "new",
                                        "p_fa",
                                        "p_fa_low",
                                        "p_fa_high",
                                        "false_alarms",
                                        "known",
                                        "sequences_detected",
                                        "sequences_new",
                                        "sequences_alarmed",
                                        "sequences_known",
                                        "limit"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        sg_text_table_head(t, heads[i], heads[i]);
}

static void put_csv_row(sg_text_table *t, const sg_compared *r)
{
    const sg_rate *unique[2] = {&r->p_d_unique, &r->p_fa_unique};
    sg_text_table_cell(t, "%s", r->detector);
    sg_text_table_cell(t, "%s", r->model);
    sg_text_table_cell(t, "%d", r->runs);
    sg_text_table_cell(t, "%s", sg_combined_name(r->combined));
    sg_text_table_cell(t, "%s", r->rule);
    sg_text_table_interval(t, &r->p_d);
    sg_text_table_interval(t, &r->p_fa);
    for (int i = 0; i < 2; i++) {
        sg_text_table_cell(t, "%lld", (long long)unique[i]->hits);
        sg_text_table_cell(t, "%lld", (long long)unique[i]->total);
    }
    sg_text_table_value(t, r->limit, 0);
}

static void put_heads(sg_text_table *t)
{
    sg_text_table_head(t, "detector", "detector");
    sg_text_table_head(t, "model", "model");
    sg_text_table_head(t, "runs", "runs");
    sg_text_table_head(t, "limit from", "rule");
    sg_text_table_head_rate(t, "P_D", "p_d");
    sg_text_table_head_rate(t, "P_FA", "p_fa");
}

static void put_row(sg_text_table *t, const sg_compared *r)
{
    sg_text_table_cell(t, "%s", r->detector);
    sg_text_table_cell(t, "%s", r->model);
    if (r->runs == 0)
        sg_text_table_cell(t, "-");
    else
        sg_text_table_cell(t, "%d%s%s", r->runs, r->combined ? ", " : "", sg_combined_name(r->combined));
    sg_text_table_cell(t, "%s", r->rule);
    sg_text_table_rate(t, &r->p_d);
    sg_text_table_rate(t, &r->p_fa);
}

/* Limits on one moment, of which people see the better one as best_single. */
static bool is_moment(const sg_compared *r)
{
    return strcmp(r->detector, "skewness") == 0 || strcmp(r->detector, "kurtosis") == 0;
}

sg_status sg_report_comparison(const sg_comparison *comparison, sg_table_style style, FILE *out)
{
    sg_text_table t;
    sg_text_table_open(&t, style);
    (style == SG_STYLE_CSV ? put_csv_heads : put_heads)(&t);
    for (int i = 0; i < comparison->rows; i++)
        if (style == SG_STYLE_CSV || !is_moment(&comparison->row[i]))
            (style == SG_STYLE_CSV ? put_csv_row : put_row)(&t, &comparison->row[i]);
    sg_status status = sg_text_table_write(&t, out);
    sg_text_table_free(&t);
    return status;
}

static bool is_validated(const sg_compared *r)
{
    return strncmp(r->rule, "validation", strlen("validation")) == 0;
}

static void put_pair(sg_text_table *t, const sg_comparison *c, const sg_compared *a, const sg_compared *b)
{
    const sg_paired p = sg_comparison_pair(c, a, b);
    sg_text_table_cell(t, "%s", a->detector);
    sg_text_table_cell(t, "%s", a->model);
    sg_text_table_cell(t, "%d", a->runs);
    sg_text_table_cell(t, "%s", sg_combined_name(a->combined));
    sg_text_table_cell(t, "%s", a->rule);
    sg_text_table_cell(t, "%s", b->detector);
    sg_text_table_cell(t, "%s", b->rule);
    sg_text_table_cell(t, "%lld", (long long)p.first);
    sg_text_table_cell(t, "%lld", (long long)p.second);
    sg_text_table_cell(t, "%d", p.unique_first);
    sg_text_table_cell(t, "%d", p.unique_second);
    sg_text_table_cell(t, "%.6g", p.p_value);
}

sg_status sg_report_paired(const sg_comparison *comparison, FILE *out)
{
    static const char *const heads[] = {"detector",
                                        "model",
                                        "runs",
                                        "combined",
                                        "rule",
                                        "baseline",
                                        "baseline_rule",
                                        "dialogs_detector",
                                        "dialogs_baseline",
                                        "sequences_detector",
                                        "sequences_baseline",
                                        "p_value"};
    sg_text_table t;
    sg_text_table_open(&t, SG_STYLE_CSV);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        sg_text_table_head(&t, heads[i], heads[i]);
    for (int i = 0; i < comparison->rows; i++)
        for (int j = 0; j < comparison->rows; j++) {
            const sg_compared *a = &comparison->row[i], *b = &comparison->row[j];
            if (a->runs > 0 && b->runs == 0 && !is_validated(b))
                put_pair(&t, comparison, a, b);
        }
    sg_status status = sg_text_table_write(&t, out);
    sg_text_table_free(&t);
    return status;
}

void sg_report_combined_rocs(const sg_comparison *comparison, FILE *out)
{
    fputs("model,runs,combined,score_name,score,detections,false_alarms,p_d,p_fa\n", out);
    for (int i = 0; i < comparison->curves; i++) {
        const sg_combined_roc *c = &comparison->curve[i];
        for (int j = 0; j < c->roc.count; j++) {
            fprintf(out, "%s,%d,%s,%s,", c->model, c->runs, sg_combined_name(c->combined),
                    sg_score_name(c->score));
            sg_report_roc_point(&c->roc.points[j], out);
        }
    }
}

/* ---- words ---- */

static void say_what_sets_do(const sg_comparison *c, FILE *out)
{
    const sg_compared *set = sg_comparison_find(c, "exact_set", "-", NULL, SG_COMBINED_NOT);
    const sg_compared *trie = sg_comparison_find(c, "prefix_trie", "-", NULL, SG_COMBINED_NOT);
    const long long fresh = (long long)set->p_d.total, all = fresh + (long long)set->p_fa.total;
    fprintf(out,
            "The test split has %lld dialogs. %lld of them (%.2f%%; %lld of its %lld sequences) do "
            "not occur in train and are to be flagged.\n\n",
            all, fresh, 100.0 * (double)fresh / (double)all, (long long)set->p_d_unique.total,
            (long long)(set->p_d_unique.total + set->p_fa_unique.total));
    fprintf(out,
            "- The **set of train dialogs** flags %lld of %lld and raises %lld false alarms. \"New\" "
            "means \"not in this set\", so on whole dialogs nothing can do better.\n",
            (long long)set->p_d.hits, fresh, (long long)set->p_fa.hits);
    fprintf(out,
            "- The **prefix trie** flags %lld of %lld, with %lld false alarms. The others of the new "
            "dialogs, %lld, go like the beginning of a train dialog and are new only in that they "
            "end there.\n",
            (long long)trie->p_d.hits, fresh, (long long)trie->p_fa.hits, fresh - (long long)trie->p_d.hits);
}

/* The rule of the paper beside the baselines. */
static void say_what_network_does(const sg_comparison *c, const sg_compared *r, FILE *out)
{
    static const char *const said[] = {[SG_COMBINED_NOT] = "",
                                       [SG_COMBINED_MAX] = " (the run with the largest output)",
                                       [SG_COMBINED_MEAN] = " (mean of all runs)",
                                       [SG_COMBINED_ENVELOPE] = " (each output's largest of all runs)"};
    static const char *const beside[] = {"exact_set", "prefix_trie", "ngram_3", "markov_2",
                                         "cross_correlation_mean"};
    const long long missed = (long long)(r->p_d.total - r->p_d.hits), alarms = (long long)r->p_fa.hits;
    fprintf(out,
            "- **%s%s**%s, limits mean - variance, both moments below: misses %lld of %lld new "
            "dialogs and raises %lld false alarms on %lld known ones: wrong on %lld dialogs.",
            strcmp(r->model, "all") == 0 ? "" : "Model ",
            strcmp(r->model, "all") == 0 ? "All models" : r->model, said[r->combined], missed,
            (long long)r->p_d.total, alarms, (long long)r->p_fa.total, missed + alarms);
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        const sg_compared *b = sg_comparison_find(c, beside[i], "-", NULL, SG_COMBINED_NOT);
        if (!b)
            continue;
        const sg_paired p = sg_comparison_pair(c, r, b);
        fprintf(out, "%s %s: %d / %d (p = %.2g)",
                i ? ";" : " Sequences that only it gets right / only the other:", b->detector, p.unique_first,
                p.unique_second, p.p_value);
    }
    fputs(".\n", out);
}

sg_status sg_report_comparison_text(const sg_comparison *comparison, FILE *out)
{
    fputs("# Detectors beside each other\n\n", out);
    SG_TRY(sg_report_comparison(comparison, SG_STYLE_MARKDOWN, out));
    fputs("\nP_D: share of the test split's new dialogs that are flagged; P_FA: of its known ones; "
          "with 95% Wilson intervals. A network's row of 1 run is that of its first seed "
          "(table6.csv has the spread); `max`, `mean`, `envelope`: all its runs together, the run "
          "with the largest output, or of each output the mean or the largest; `all`: the runs of "
          "all models. What each detector is: docs/detection.md.\n\n## In words\n\n",
          out);
    say_what_sets_do(comparison, out);
    for (int i = 0; i < comparison->rows; i++)
        if (strcmp(comparison->row[i].detector, "threshold_both") == 0)
            say_what_network_does(comparison, &comparison->row[i], out);
    fputs("\np: McNemar's exact test, each sequence of the test split counted once.\n\nNo network "
          "can be more right on whole dialogs than the set. What it can add is a score: the set "
          "gives a dialog that differs from a train dialog by one provisional response the same "
          "verdict as one like no other, and where the traffic is as trustworthy as the train "
          "split, every new dialog is an alarm of the set that nobody needs. The curves in "
          "roc_*.csv say whether a network's score ranks new dialogs before known ones better than "
          "counting messages does; early.md has the dialogs that are not over.\n",
          out);
    return SG_OK;
}
