#include "experiment/verdicts.h"

#include "base/memory.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *sg_combined_name(sg_combined combined)
{
    static const char *const names[] = {"", "max", "mean", "envelope"};
    return names[combined];
}

void sg_verdicts_count(sg_verdicts *row, const bool *abnormal, const bool *known, const int64_t *test,
                       int classes)
{
    int64_t hits[2] = {0}, total[2] = {0}, unique_hits[2] = {0}, unique_total[2] = {0};
    for (int j = 0; j < classes; j++) {
        total[known[j]] += test[j];
        hits[known[j]] += abnormal[j] ? test[j] : 0;
        unique_total[known[j]] += test[j] > 0;
        unique_hits[known[j]] += abnormal[j] && test[j] > 0;
    }
    row->p_d = sg_rate_make(hits[0], total[0]);
    row->p_fa = sg_rate_make(hits[1], total[1]);
    row->p_d_unique = sg_rate_make(unique_hits[0], unique_total[0]);
    row->p_fa_unique = sg_rate_make(unique_hits[1], unique_total[1]);
}

sg_status sg_verdict_table_add(sg_verdict_table *table, const sg_verdicts *row, const bool *abnormal,
                               int classes)
{
    sg_verdicts added = *row;
    added.abnormal = NULL;
    SG_TRY(sg_grow(&table->row, &table->capacity, table->count + 1, "verdicts"));
    if (abnormal) {
        SG_TRY(sg_alloc(&added.abnormal, classes, "verdicts"));
        memcpy(added.abnormal, abnormal, (size_t)classes * sizeof *abnormal);
    }
    table->row[table->count++] = added;
    return SG_OK;
}

void sg_verdict_table_free(sg_verdict_table *table)
{
    for (int i = 0; i < table->count; i++)
        free(table->row[i].abnormal);
    free(table->row);
    *table = (sg_verdict_table){0};
}

const sg_verdicts *sg_verdict_table_find(const sg_verdict_table *table, const char *detector,
                                         const char *model, const char *rule, sg_combined combined)
{
    for (int i = 0; i < table->count; i++) {
        const sg_verdicts *r = &table->row[i];
        if (strcmp(r->detector, detector) == 0 && strcmp(r->model, model) == 0 && r->combined == combined &&
            (!rule || strcmp(r->rule, rule) == 0))
            return r;
    }
    return NULL;
}

static void put_csv_row(sg_text_table *t, const sg_verdicts *r)
{
    const sg_rate *unique[2] = {&r->p_d_unique, &r->p_fa_unique};
    sg_text_table_cell(t, "%s", r->detector);
    sg_text_table_cell(t, "%s", r->model);
    sg_text_table_cell(t, "%d", r->runs);
    sg_text_table_cell(t, "%s", sg_combined_name(r->combined));
    sg_text_table_cell(t, "%s", r->rule);
    sg_text_table_value(t, r->messages ? r->messages : NAN, 0);
    sg_text_table_interval(t, &r->p_d);
    sg_text_table_interval(t, &r->p_fa);
    for (int i = 0; i < 2; i++) {
        sg_text_table_cell(t, "%lld", (long long)unique[i]->hits);
        sg_text_table_cell(t, "%lld", (long long)unique[i]->total);
    }
    sg_text_table_value(t, r->limit, 0);
}

sg_status sg_report_verdicts(const sg_verdicts *row, int count, FILE *out)
{
    static const char heads[] =
        "detector,model,runs,combined,rule,k,p_d,p_d_low,p_d_high,detections,new,p_fa,p_fa_low,p_fa_high,"
        "false_alarms,known,sequences_detected,sequences_new,sequences_alarmed,sequences_known,limit";
    sg_text_table t;
    sg_text_table_open(&t, SG_STYLE_CSV);
    sg_text_table_heads(&t, heads);
    for (int i = 0; i < count; i++)
        put_csv_row(&t, &row[i]);
    return sg_text_table_finish(&t, out);
}
