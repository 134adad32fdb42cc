#include "experiment/early.h"

#include "base/log.h"
#include "base/memory.h"
#include "detect/markov.h"
#include "detect/outputs.h"
#include "detect/prefix_limits.h"
#include "detect/quantile.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint16_t *sequence_of(const sg_corpus *corpus, int j)
{
    return corpus->class_sequence + (size_t)j * (size_t)corpus->max_length;
}

/* A row that has flagged nothing yet; the pointer holds until the next one is added. */
static sg_status add_row(sg_early *e, const char *detector, const char *model, sg_early_row **row)
{
    SG_TRY(sg_grow(&e->row, &e->capacity, e->rows + 1, "early detection"));
    sg_early_row *r = &e->row[e->rows];
    *r = (sg_early_row){0};
    snprintf(r->detector, sizeof r->detector, "%s", detector);
    snprintf(r->model, sizeof r->model, "%s", model);
    SG_TRY(sg_alloc(&r->first, e->classes, "positions"));
    e->rows++;
    *row = r;
    return SG_OK;
}

/* Dialogs that were not flagged on their way and are abnormal as a whole are flagged at their last message.
 */
static void flag_at_end(const sg_early *e, sg_early_row *r, const bool *abnormal)
{
    for (int j = 0; j < e->classes; j++)
        if (r->first[j] == 0 && abnormal[j])
            r->first[j] = e->length[j];
}

/* ---- without a network ---- */

static sg_status add_tries(sg_early *e, const sg_corpus *corpus, const sg_detection *d)
{
    const bool *not_in_set = d->detector[SG_DETECTOR_EXACT_SET].abnormal;
    sg_prefixes *prefixes;
    sg_early_row *r;
    SG_TRY(add_row(e, "exact_set", "-", &r));
    flag_at_end(e, r, not_in_set);
    SG_TRY(sg_prefixes_open(&prefixes, corpus->class_sequence, corpus->class_length,
                            e->counts.count[SG_SPLIT_TRAIN], e->classes, e->steps));
    sg_status status = SG_OK;
    for (int with_end = 0; with_end <= 1 && status == SG_OK; with_end++) {
        status = add_row(e, with_end ? "prefix_trie_exact_set" : "prefix_trie", "-", &r);
        for (int j = 0; j < e->classes && status == SG_OK; j++) {
            int32_t at = 0;
            for (int t = 0; t < e->length[j] && r->first[j] == 0; t++)
                if ((at = sg_prefixes_next(prefixes, at, sequence_of(corpus, j)[t])) < 0)
                    r->first[j] = t + 1;
        }
        if (status == SG_OK && with_end)
            flag_at_end(e, r, not_in_set);
    }
    sg_prefixes_close(prefixes);
    return status;
}

static sg_status add_ngrams(sg_early *e, const sg_corpus *corpus, int n)
{
    char name[32];
    sg_markov chain;
    sg_early_row *r;
    snprintf(name, sizeof name, "ngram_%d", n);
    SG_TRY(add_row(e, name, "-", &r));
    SG_TRY(sg_markov_fit(&chain, n - 1, 1.0, corpus->message_types, e->steps, corpus->class_sequence,
                         corpus->class_length, e->counts.count[SG_SPLIT_TRAIN], e->classes));
    for (int j = 0; j < e->classes; j++) {
        const int first = sg_markov_first_unseen(&chain, sequence_of(corpus, j), e->length[j]);
        r->first[j] = first > e->length[j] ? e->length[j] : first;
    }
    sg_markov_free(&chain);
    return SG_OK;
}

/* score[j * steps + k - 1]: that of the first k messages of class j. */
static sg_status score_beginnings(const sg_early *e, const sg_corpus *corpus, int order, double alpha,
                                  double *score)
{
    sg_markov chain;
    SG_TRY(sg_markov_fit(&chain, order, alpha, corpus->message_types, e->steps, corpus->class_sequence,
                         corpus->class_length, e->counts.count[SG_SPLIT_TRAIN], e->classes));
    for (int j = 0; j < e->classes; j++)
        sg_markov_beginnings(&chain, sequence_of(corpus, j), e->length[j],
                             score + (size_t)j * (size_t)e->steps);
    sg_markov_free(&chain);
    return SG_OK;
}

/* The limit of each length; beyond the longest train dialog that of the longest. */
static sg_status limit_beginnings(const sg_early *e, const double *score, double *limit)
{
    const int64_t *train = e->counts.count[SG_SPLIT_TRAIN];
    sg_weighted *values;
    SG_TRY(sg_alloc(&values, e->classes, "limits of beginnings"));
    for (int k = 1; k <= e->steps; k++) {
        int count = 0;
        for (int j = 0; j < e->classes; j++)
            if (train[j] > 0 && e->length[j] >= k)
                values[count++] =
                    (sg_weighted){score[(size_t)j * (size_t)e->steps + (size_t)k - 1], train[j]};
        limit[k - 1] = count ? sg_quantile(values, count, SG_PREFIX_QUANTILE) : limit[k - 2];
    }
    free(values);
    return SG_OK;
}

static sg_status add_markov(sg_early *e, const sg_corpus *corpus, const sg_detection *d, int order)
{
    const sg_decider detector = order == 2 ? SG_DETECTOR_MARKOV_2 : SG_DETECTOR_MARKOV_3;
    double *score = NULL, *limit = NULL;
    sg_early_row *r;
    sg_status status;
    SG_TRY_GOTO(status, done,
                sg_alloc(&score, (size_t)e->classes * (size_t)e->steps, "scores of beginnings"));
    SG_TRY_GOTO(status, done, sg_alloc(&limit, e->steps, "limits of beginnings"));
    SG_TRY_GOTO(status, done, score_beginnings(e, corpus, order, d->markov_alpha, score));
    SG_TRY_GOTO(status, done, limit_beginnings(e, score, limit));
    SG_TRY_GOTO(status, done, add_row(e, sg_detector_name(detector), "-", &r));
    for (int j = 0; j < e->classes; j++)
        for (int k = 1; k <= e->length[j] && r->first[j] == 0; k++)
            if (score[(size_t)j * (size_t)e->steps + (size_t)k - 1] < limit[k - 1])
                r->first[j] = k;
    flag_at_end(e, r, d->detector[detector].abnormal);
done:
    free(score);
    free(limit);
    return status;
}

sg_status sg_early_open(sg_early *early, const sg_corpus *corpus, const sg_detection *detection)
{
    sg_early *e = early;
    *e = (sg_early){.classes = corpus->classes, .steps = corpus->max_length};
    SG_TRY(sg_class_counts_make(&e->counts, corpus));
    SG_TRY(sg_alloc(&e->known, e->classes, "known classes"));
    SG_TRY(sg_alloc(&e->flagged, e->classes, "verdicts"));
    SG_TRY(sg_alloc(&e->length, e->classes, "lengths"));
    memcpy(e->length, corpus->class_length, (size_t)e->classes * sizeof *e->length);
    for (int j = 0; j < e->classes; j++)
        e->known[j] = e->counts.count[SG_SPLIT_TRAIN][j] > 0;
    SG_TRY(add_tries(e, corpus, detection));
    for (int n = 2; n <= SG_MARKOV_ORDER_MAX + 1; n++)
        SG_TRY(add_ngrams(e, corpus, n));
    SG_TRY(add_markov(e, corpus, detection, 2));
    return add_markov(e, corpus, detection, 3);
}

void sg_early_free(sg_early *early)
{
    for (int i = 0; i < early->rows; i++)
        free(early->row[i].first);
    free(early->row);
    free(early->known);
    free(early->flagged);
    free(early->length);
    sg_class_counts_free(&early->counts);
    *early = (sg_early){0};
}

/* ---- with a network ---- */

/* Walks each test dialog through the trie of their beginnings, whose nodes have the network's moments. */
static sg_status flag_beginnings(sg_early *e, const char *name, const sg_model *model,
                                 const sg_corpus *corpus, const sg_prefixes *prefixes,
                                 const sg_outputs *outputs, const sg_detection *d)
{
    for (int rule = SG_RULE_BOTH; rule <= SG_RULE_EITHER; rule++) {
        const sg_decider detector =
            rule == SG_RULE_BOTH ? SG_DETECTOR_THRESHOLD_BOTH : SG_DETECTOR_THRESHOLD_EITHER;
        sg_early_row *r;
        SG_TRY(add_row(e, sg_detector_name(detector), name, &r));
        for (int j = 0; j < e->classes; j++) {
            if (e->counts.count[SG_SPLIT_TEST][j] == 0)
                continue;
            int32_t at = 0;
            for (int k = 1; k <= e->length[j] && r->first[j] == 0; k++) {
                at = sg_prefixes_next(prefixes, at, sequence_of(corpus, j)[k - 1]);
                const sg_prefix_limit limit = model->prefix_limit[k - 1];
                const sg_threshold threshold = {{.lambda = limit.skewness}, {.lambda = limit.kurtosis}};
                if (sg_threshold_is_abnormal(&threshold, (sg_rule)rule, outputs->skewness[at - 1],
                                             outputs->kurtosis[at - 1]))
                    r->first[j] = k;
            }
        }
        flag_at_end(e, r, d->detector[detector].abnormal);
    }
    return SG_OK;
}

static sg_status open_test_prefixes(const sg_early *e, const sg_corpus *corpus, sg_prefixes **prefixes)
{
    return sg_prefixes_open(prefixes, corpus->class_sequence, corpus->class_length,
                            e->counts.count[SG_SPLIT_TEST], e->classes, e->steps);
}

sg_status sg_early_run(const sg_early *early, const char *name, const sg_model *model, sg_engine *engine,
                       const sg_corpus *corpus, sg_outputs *outputs)
{
    char what[64];
    sg_prefixes *prefixes;
    *outputs = (sg_outputs){0};
    if (!model->prefix_limit) {
        sg_note(
            "model %s has no limits for beginnings (train.prefix_limits = false): it has no part in early "
            "detection",
            name);
        return SG_OK;
    }
    SG_TRY(open_test_prefixes(early, corpus, &prefixes));
    snprintf(what, sizeof what, "model %s, early detection", name);
    sg_status status = sg_outputs_run_prefixes(engine, &model->spec, prefixes, what, outputs);
    sg_prefixes_close(prefixes);
    return status;
}

sg_status sg_early_add_outputs(sg_early *early, const char *name, const sg_model *model,
                               const sg_corpus *corpus, const sg_outputs *outputs,
                               const sg_detection *detection)
{
    sg_prefixes *prefixes;
    if (outputs->count == 0)
        return SG_OK;
    SG_TRY(open_test_prefixes(early, corpus, &prefixes));
    sg_status status = SG_OK;
    if (outputs->count != sg_prefixes_count(prefixes) - 1 || !model->prefix_limit)
        status = sg_fail(SG_E_CONFIG, "model %s: %d beginnings were recorded, the test split has %d", name,
                         outputs->count, sg_prefixes_count(prefixes) - 1);
    if (status == SG_OK)
        status = flag_beginnings(early, name, model, corpus, prefixes, outputs, detection);
    sg_prefixes_close(prefixes);
    return status;
}

sg_status sg_early_add(sg_early *early, const char *name, const sg_model *model, sg_engine *engine,
                       const sg_corpus *corpus, const sg_detection *detection)
{
    sg_outputs outputs;
    sg_status status = sg_early_run(early, name, model, engine, corpus, &outputs);
    if (status == SG_OK)
        status = sg_early_add_outputs(early, name, model, corpus, &outputs, detection);
    sg_outputs_free(&outputs);
    return status;
}

/* ---- what came out ---- */

void sg_early_count(const sg_early *early, const sg_early_row *row, int k, sg_verdicts *counted)
{
    *counted = (sg_verdicts){.runs = strcmp(row->model, "-") != 0, .messages = k, .limit = NAN};
    snprintf(counted->detector, sizeof counted->detector, "%s", row->detector);
    snprintf(counted->model, sizeof counted->model, "%s", row->model);
    for (int j = 0; j < early->classes; j++)
        early->flagged[j] = row->first[j] > 0 && row->first[j] <= k;
    sg_verdicts_count(counted, early->flagged, early->known, early->counts.count[SG_SPLIT_TEST],
                      early->classes);
}

static void count_earlier(const sg_early_row *row, const sg_early_row *other, int j, int64_t dialogs,
                          sg_early_position *p)
{
    const int mine = row->first[j] ? row->first[j] : INT32_MAX;
    const int theirs = other->first[j] ? other->first[j] : INT32_MAX;
    p->earlier += mine < theirs ? dialogs : 0;
    p->later += mine > theirs ? dialogs : 0;
}

sg_status sg_early_position_of(const sg_early *early, const sg_early_row *row, const sg_early_row *other,
                               sg_early_position *position)
{
    const int64_t *test = early->counts.count[SG_SPLIT_TEST];
    sg_early_position p = {.median_message = NAN, .median_share = NAN};
    sg_weighted *message = NULL, *share = NULL;
    int count = 0;
    sg_status status;
    SG_TRY_GOTO(status, done, sg_alloc(&message, early->classes, "positions"));
    SG_TRY_GOTO(status, done, sg_alloc(&share, early->classes, "positions"));
    for (int j = 0; j < early->classes; j++) {
        if (test[j] == 0)
            continue;
        p.false_alarms += early->known[j] && row->first[j] ? test[j] : 0;
        if (early->known[j])
            continue;
        p.new_dialogs += test[j];
        if (other)
            count_earlier(row, other, j, test[j], &p);
        if (row->first[j] == 0)
            continue;
        p.detections += test[j];
        message[count] = (sg_weighted){row->first[j], test[j]};
        share[count++] = (sg_weighted){(double)row->first[j] / early->length[j], test[j]};
    }
    if (count) {
        p.median_message = sg_quantile(message, count, 0.5);
        p.median_share = sg_quantile(share, count, 0.5);
    }
    *position = p;
done:
    free(message);
    free(share);
    return status;
}

const sg_early_row *sg_early_find(const sg_early *early, const char *detector, const char *model)
{
    for (int i = 0; i < early->rows; i++)
        if (strcmp(early->row[i].detector, detector) == 0 && strcmp(early->row[i].model, model) == 0)
            return &early->row[i];
    return NULL;
}

/* ---- CSV ---- */

sg_status sg_report_early(const sg_early *early, FILE *out)
{
    const int count = early->rows * early->steps;
    sg_verdicts *rows;
    SG_TRY(sg_alloc(&rows, count, "early detection"));
    for (int i = 0; i < count; i++)
        sg_early_count(early, &early->row[i / early->steps], i % early->steps + 1, &rows[i]);
    sg_status status = sg_report_verdicts(rows, count, out);
    free(rows);
    return status;
}

static void put_position(sg_text_table *t, const sg_early_row *row, const sg_early_position *p)
{
    sg_text_table_cell(t, "%s", row->detector);
    sg_text_table_cell(t, "%s", row->model);
    sg_text_table_cell(t, "%lld", (long long)p->detections);
    sg_text_table_cell(t, "%lld", (long long)p->new_dialogs);
    sg_text_table_value(t, p->median_message, 0);
    sg_text_table_share(t, p->median_share);
    sg_text_table_cell(t, "%lld", (long long)p->earlier);
    sg_text_table_cell(t, "%lld", (long long)p->later);
    sg_text_table_cell(t, "%lld", (long long)p->false_alarms);
}

sg_status sg_report_early_positions(const sg_early *early, FILE *out)
{
    const sg_early_row *trie = sg_early_find(early, "prefix_trie_exact_set", "-");
    sg_status status = SG_OK;
    sg_text_table t;
    sg_text_table_open(&t, SG_STYLE_CSV);
    sg_text_table_heads(&t, "detector,model,detections,new,median_message,median_share,earlier_than_trie,"
                            "later_than_trie,false_alarms");
    for (int i = 0; i < early->rows && status == SG_OK; i++) {
        sg_early_position p;
        status = sg_early_position_of(early, &early->row[i], trie, &p);
        if (status == SG_OK)
            put_position(&t, &early->row[i], &p);
    }
    if (status == SG_OK)
        status = sg_text_table_write(&t, out);
    sg_text_table_free(&t);
    return status;
}
