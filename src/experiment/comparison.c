#include "experiment/comparison.h"

#include "base/log.h"
#include "base/memory.h"
#include "detect/markov.h"
#include "detect/prefixes.h"
#include "experiment/report.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Pairs of messages beyond which cross-correlation is left out: minutes of one core. */
#define CORRELATION_WORK_MAX 2e11

static const char *const roc_names[SG_BASELINE_ROCS] = {"markov_2", "markov_3", "cross_correlation_largest",
                                                        "cross_correlation_mean"};

sg_combined sg_combined_of(sg_pool_rule rule)
{
    return rule == SG_POOL_MEAN ? SG_COMBINED_MEAN : SG_COMBINED_ENVELOPE;
}

/* ---- rows ---- */

/* A row of these verdicts. */
static sg_status add_verdicts(sg_comparison *c, const sg_verdicts *what, const char *detector,
                              const char *rule, double limit, const bool *abnormal)
{
    sg_verdicts row = *what;
    snprintf(row.detector, sizeof row.detector, "%s", detector);
    snprintf(row.rule, sizeof row.rule, "%s", rule);
    row.limit = limit;
    sg_verdicts_count(&row, abnormal, c->known, c->counts.count[SG_SPLIT_TEST], c->classes);
    return sg_verdict_table_add(&c->table, &row, abnormal, c->classes);
}

/* One of detection.h, under another model's name. */
static sg_status add_detected(sg_comparison *c, const sg_verdicts *what, const sg_verdicts *detected)
{
    return add_verdicts(c, what, detected->detector, detected->rule, detected->limit, detected->abnormal);
}

static sg_status add_limited(sg_comparison *c, const sg_verdicts *what, const char *detector,
                             const char *rule, double limit, const double *score)
{
    for (int j = 0; j < c->classes; j++)
        c->flagged[j] = score[j] < limit;
    return add_verdicts(c, what, detector, rule, limit, c->flagged);
}

/* The curve of a score over one split. */
static sg_status trace(const sg_comparison *c, const double *score, sg_split split, sg_roc *roc)
{
    int64_t *fresh = NULL, *known = NULL;
    sg_status status;
    SG_TRY_GOTO(status, done, sg_alloc(&fresh, c->classes, "new dialogs"));
    SG_TRY_GOTO(status, done, sg_alloc(&known, c->classes, "known dialogs"));
    for (int j = 0; j < c->classes; j++)
        *(c->known[j] ? &known[j] : &fresh[j]) = c->counts.count[split][j];
    SG_TRY_GOTO(status, done, sg_roc_make(roc, score, fresh, known, c->classes));
done:
    free(fresh);
    free(known);
    return status;
}

/* The best limit on the validation split and its P_D - P_FA there; NaN, -1 if it lacks new or known dialogs.
 */
static sg_status validate(const sg_comparison *c, const double *score, double *limit, double *gain)
{
    sg_roc roc = {0};
    *limit = NAN;
    *gain = -1;
    sg_status status = trace(c, score, SG_SPLIT_VALIDATION, &roc);
    if (status == SG_OK && !isnan(roc.auc)) {
        *limit = sg_roc_best_limit(&roc);
        for (int i = 0; i < roc.count; i++)
            *gain = fmax(*gain, roc.points[i].p_d - roc.points[i].p_fa);
    }
    sg_roc_free(&roc);
    return status;
}

static sg_status add_validated(sg_comparison *c, const sg_verdicts *what, const char *detector,
                               const double *score)
{
    double limit, gain;
    SG_TRY(validate(c, score, &limit, &gain));
    return isnan(limit) ? SG_OK : add_limited(c, what, detector, "validation", limit, score);
}

/* ---- without a network ---- */

static const sg_verdicts no_network = {.model = "-"};

static sg_status add_prefixes(sg_comparison *c, const sg_corpus *corpus)
{
    const size_t steps = (size_t)corpus->max_length;
    sg_prefixes *prefixes;
    SG_TRY(sg_prefixes_open(&prefixes, corpus->class_sequence, corpus->class_length,
                            c->counts.count[SG_SPLIT_TRAIN], c->classes, corpus->max_length));
    for (int j = 0; j < c->classes; j++)
        c->flagged[j] = sg_prefixes_find(prefixes, corpus->class_sequence + (size_t)j * steps,
                                         corpus->class_length[j]) < 0;
    sg_prefixes_close(prefixes);
    return add_verdicts(c, &no_network, "prefix_trie", "beginnings of train dialogs", NAN, c->flagged);
}

static sg_status add_ngrams(sg_comparison *c, const sg_corpus *corpus, int n)
{
    char name[32];
    sg_markov chain;
    snprintf(name, sizeof name, "ngram_%d", n);
    SG_TRY(sg_markov_fit(&chain, n - 1, 1.0, corpus->message_types, corpus->max_length,
                         corpus->class_sequence, corpus->class_length, c->counts.count[SG_SPLIT_TRAIN],
                         c->classes));
    for (int j = 0; j < c->classes; j++)
        c->flagged[j] =
            sg_markov_first_unseen(&chain, corpus->class_sequence + (size_t)j * (size_t)corpus->max_length,
                                   corpus->class_length[j]) > 0;
    sg_markov_free(&chain);
    return add_verdicts(c, &no_network, name, "n-grams of train dialogs", NAN, c->flagged);
}

static sg_status add_markov(sg_comparison *c, const sg_detection *d)
{
    static const sg_score scores[2] = {SG_SCORE_MARKOV_2, SG_SCORE_MARKOV_3};
    for (int i = 0; i < 2; i++) {
        const double *score = d->score[scores[i]];
        SG_TRY(add_detected(c, &no_network, &d->detector[SG_DETECTOR_MARKOV_2 + i]));
        SG_TRY(add_validated(c, &no_network, roc_names[i], score));
        SG_TRY(trace(c, score, SG_SPLIT_TEST, &c->roc[i]));
    }
    return SG_OK;
}

static sg_status add_correlation_rows(sg_comparison *c, const sg_correlation *correlation)
{
    const double *const score[2] = {correlation->largest, correlation->mean};
    const double limit[2] = {correlation->limit_largest, correlation->limit_mean};
    for (int i = 0; i < 2; i++) {
        const char *name = roc_names[2 + i];
        SG_TRY(add_limited(c, &no_network, name, "leave-one-out", limit[i], score[i]));
        SG_TRY(add_validated(c, &no_network, name, score[i]));
        SG_TRY(trace(c, score[i], SG_SPLIT_TEST, &c->roc[2 + i]));
    }
    return SG_OK;
}

static sg_status add_correlation(sg_comparison *c, const sg_corpus *corpus)
{
    const int64_t *train = c->counts.count[SG_SPLIT_TRAIN];
    sg_correlation correlation = {0};
    c->has_correlation = c->counts.dialogs[SG_SPLIT_TRAIN] > 1 &&
                         sg_correlation_work(corpus->class_length, train, c->classes) <= CORRELATION_WORK_MAX;
    if (!c->has_correlation) {
        sg_note("cross-correlation is left out of the comparison: the corpus is too %s for it",
                c->counts.dialogs[SG_SPLIT_TRAIN] > 1 ? "large" : "small");
        return SG_OK;
    }
    sg_status status = sg_correlation_make(&correlation, corpus->class_sequence, corpus->class_length, train,
                                           c->classes, corpus->max_length, corpus->message_types);
    if (status == SG_OK)
        status = add_correlation_rows(c, &correlation);
    sg_correlation_free(&correlation);
    return status;
}

sg_status sg_comparison_open(sg_comparison *comparison, const sg_corpus *corpus,
                             const sg_detection *detection)
{
    sg_comparison *c = comparison;
    *c = (sg_comparison){.classes = corpus->classes};
    SG_TRY(sg_class_counts_make(&c->counts, corpus));
    SG_TRY(sg_alloc(&c->known, c->classes, "known classes"));
    SG_TRY(sg_alloc(&c->flagged, c->classes, "verdicts"));
    for (int j = 0; j < c->classes; j++)
        c->known[j] = c->counts.count[SG_SPLIT_TRAIN][j] > 0;
    SG_TRY(add_detected(c, &no_network, &detection->detector[SG_DETECTOR_EXACT_SET]));
    SG_TRY(add_prefixes(c, corpus));
    for (int n = 2; n <= SG_MARKOV_ORDER_MAX + 1; n++)
        SG_TRY(add_ngrams(c, corpus, n));
    SG_TRY(add_markov(c, detection));
    return add_correlation(c, corpus);
}

void sg_comparison_free(sg_comparison *comparison)
{
    sg_verdict_table_free(&comparison->table);
    for (int i = 0; i < SG_BASELINE_ROCS; i++)
        sg_roc_free(&comparison->roc[i]);
    for (int i = 0; i < comparison->curves; i++)
        sg_roc_free(&comparison->curve[i].roc);
    free(comparison->curve);
    free(comparison->known);
    free(comparison->flagged);
    sg_class_counts_free(&comparison->counts);
    *comparison = (sg_comparison){0};
}

/* ---- with a network ---- */

static sg_status add_single_limits(sg_comparison *c, const sg_verdicts *what, const sg_detection *d)
{
    static const sg_score scores[] = {SG_SCORE_SKEWNESS, SG_SCORE_KURTOSIS, SG_SCORE_P_MAX};
    double limit, gain, best_limit = NAN, best_gain = -1;
    sg_score best = SG_SCORE_SKEWNESS;
    char rule[sizeof what->rule];
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++) {
        SG_TRY(validate(c, d->score[scores[i]], &limit, &gain));
        if (isnan(limit))
            return SG_OK;
        SG_TRY(add_limited(c, what, sg_score_name(scores[i]), "validation", limit, d->score[scores[i]]));
        if (gain > best_gain) {
            best = scores[i];
            best_gain = gain;
            best_limit = limit;
        }
    }
    snprintf(rule, sizeof rule, "validation: %s", sg_score_name(best));
    return add_limited(c, what, "best_single", rule, best_limit, d->score[best]);
}

static sg_status add_curves(sg_comparison *c, const sg_verdicts *what, const sg_detection *d)
{
    static const sg_score scores[] = {SG_SCORE_HIGHER_MOMENT, SG_SCORE_P_MAX};
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++) {
        SG_TRY(sg_grow(&c->curve, &c->curve_capacity, c->curves + 1, "curves"));
        sg_combined_roc *curve = &c->curve[c->curves];
        *curve = (sg_combined_roc){.runs = what->runs, .combined = what->combined, .score = scores[i]};
        snprintf(curve->model, sizeof curve->model, "%s", what->model);
        c->curves++;
        SG_TRY(trace(c, d->score[scores[i]], SG_SPLIT_TEST, &curve->roc));
    }
    return SG_OK;
}

sg_status sg_comparison_add(sg_comparison *comparison, const char *model, int runs, sg_combined combined,
                            const sg_detection *detection)
{
    sg_verdicts what = {.runs = runs, .combined = combined};
    if (detection->classes != comparison->classes)
        return sg_fail(SG_E_CONFIG, "detectors of %d and %d classes cannot be compared", comparison->classes,
                       detection->classes);
    snprintf(what.model, sizeof what.model, "%s", model);
    for (int i = 0; i < SG_NETWORK_DETECTORS; i++)
        SG_TRY(add_detected(comparison, &what, &detection->detector[i]));
    if (combined != SG_COMBINED_NOT)
        SG_TRY(add_curves(comparison, &what, detection));
    return add_single_limits(comparison, &what, detection);
}

/* ---- pairs ---- */

sg_paired sg_comparison_pair(const sg_comparison *comparison, const sg_verdicts *first,
                             const sg_verdicts *second)
{
    const int64_t *test = comparison->counts.count[SG_SPLIT_TEST];
    sg_paired p = {0};
    for (int j = 0; j < comparison->classes; j++) {
        if (test[j] == 0 || first->abnormal[j] == second->abnormal[j])
            continue;
        const bool first_is_right = first->abnormal[j] != comparison->known[j];
        *(first_is_right ? &p.first : &p.second) += test[j];
        *(first_is_right ? &p.unique_first : &p.unique_second) += 1;
    }
    p.p_value = sg_mcnemar_exact(p.unique_first, p.unique_second);
    return p;
}

static bool is_validated(const sg_verdicts *r)
{
    return strncmp(r->rule, "validation", strlen("validation")) == 0;
}

static void put_pair(sg_text_table *t, const sg_comparison *c, const sg_verdicts *a, const sg_verdicts *b)
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
    const sg_verdict_table *all = &comparison->table;
    sg_text_table t;
    sg_text_table_open(&t, SG_STYLE_CSV);
    sg_text_table_heads(&t, "detector,model,runs,combined,rule,baseline,baseline_rule,dialogs_detector,"
                            "dialogs_baseline,sequences_detector,sequences_baseline,p_value");
    for (int i = 0; i < all->count; i++)
        for (int j = 0; j < all->count; j++)
            if (all->row[i].runs > 0 && all->row[j].runs == 0 && !is_validated(&all->row[j]))
                put_pair(&t, comparison, &all->row[i], &all->row[j]);
    return sg_text_table_finish(&t, out);
}

void sg_report_baseline_rocs(const sg_comparison *comparison, FILE *out)
{
    for (int i = 0; i < SG_BASELINE_ROCS; i++) {
        const sg_roc_source source = {.model = "-", .seed = -1, .score = roc_names[i]};
        sg_report_roc(&comparison->roc[i], &source, out);
    }
}

void sg_report_combined_rocs(const sg_comparison *comparison, FILE *out)
{
    for (int i = 0; i < comparison->curves; i++) {
        const sg_combined_roc *c = &comparison->curve[i];
        const sg_roc_source source = {c->model, c->runs, c->combined, -1, sg_score_name(c->score)};
        sg_report_roc(&c->roc, &source, out);
    }
}
