#include "base/json.h"
#include "base/memory.h"
#include "watch/labels_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NEAR_US ((int64_t)SG_LABELS_NEAR_S * 1000000)

/* How one Call-ID fared. */
typedef struct {
    bool own, by_source;
    unsigned reasons; /* bits */
    double message;   /* of the first alert of its own */
    double seconds;   /* to the first alert of either kind */
} outcome;

static int compare_addresses(const sg_endpoint *a, const sg_endpoint *b)
{
    return a->family != b->family ? a->family - b->family : memcmp(a->address, b->address, sizeof a->address);
}

static int compare_source_alerts(const void *a, const void *b)
{
    const sg_source_alert *x = a, *y = b;
    int order = compare_addresses(&x->address, &y->address);
    return order ? order : (x->time_us > y->time_us) - (x->time_us < y->time_us);
}

/* The first alert, in the sorted list, about this address at or after `time_us`. */
static size_t find_source_alert(const sg_labels *labels, const sg_endpoint *address, int64_t time_us)
{
    const sg_source_alert key = {.address = *address, .time_us = time_us};
    size_t low = 0, high = labels->source_alerts;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_source_alerts(&labels->source_alert[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The earliest alert about the entry's source that covers it, or SG_NO_TIME. */
static int64_t first_source_alert(const sg_labels *labels, const sg_label_entry *e, unsigned reasons,
                                  outcome *o)
{
    int64_t first = SG_NO_TIME;
    for (size_t i = find_source_alert(labels, &e->source, e->start_us - NEAR_US); i < labels->source_alerts;
         i++) {
        const sg_source_alert *a = &labels->source_alert[i];
        if (compare_addresses(&a->address, &e->source) != 0 || a->time_us > e->last_us + NEAR_US)
            break;
        if (!(reasons >> a->reason & 1))
            continue;
        o->reasons |= 1u << a->reason;
        first = a->time_us < first ? a->time_us : first;
    }
    return first;
}

static int64_t first_own_alert(const sg_label_entry *e, unsigned reasons, outcome *o)
{
    int64_t first = SG_NO_TIME;
    for (int i = 0; i < SG_REASONS; i++) {
        if (!(reasons >> i & 1) || e->time_us[i] == SG_NO_TIME)
            continue;
        o->reasons |= 1u << i;
        if (e->time_us[i] < first) {
            first = e->time_us[i];
            o->message = e->position[i] > 0 ? e->position[i] : NAN;
        }
    }
    return first;
}

static outcome judge(const sg_labels *labels, const sg_label_entry *e, unsigned reasons)
{
    outcome o = {.message = NAN, .seconds = NAN};
    int64_t own = first_own_alert(e, reasons, &o);
    int64_t by_source = e->source.family ? first_source_alert(labels, e, reasons, &o) : SG_NO_TIME;
    int64_t first = own < by_source ? own : by_source;
    o.own = own != SG_NO_TIME;
    o.by_source = by_source != SG_NO_TIME;
    if (first != SG_NO_TIME)
        o.seconds = first > e->start_us ? 1e-6 * (double)(first - e->start_us) : 0;
    return o;
}

static int compare_numbers(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int32_t count)
{
    if (count == 0)
        return NAN;
    qsort(values, (size_t)count, sizeof *values, compare_numbers);
    return 0.5 * (values[count / 2] + values[(count - 1) / 2]);
}

typedef enum { WHICH_NORMAL, WHICH_ALL, WHICH_CLASS } selection;

static bool is_selected(const sg_label_entry *e, selection which, int32_t class)
{
    bool fits = which == WHICH_NORMAL ? e->class == SG_NORMAL_CLASS
                : which == WHICH_ALL  ? e->class != SG_NORMAL_CLASS
                                      : e->class == class;
    return e->seen && fits;
}

/* `values` has room for all entries twice. */
static void sum_up(const sg_labels *labels, const outcome *outcomes, selection which, int32_t class,
                   double *values, sg_label_result *result)
{
    int64_t total = 0, detected = 0;
    int32_t messages = 0, times = 0;
    double *message = values, *seconds = values + labels->count;
    for (int32_t n = 0; n < labels->count; n++) {
        const outcome *o = &outcomes[n];
        if (!is_selected(&labels->entry[n], which, class))
            continue;
        total++;
        detected += o->own || o->by_source;
        result->own += o->own;
        result->by_source += o->by_source && !o->own;
        if (!isnan(o->message))
            message[messages++] = o->message;
        if (!isnan(o->seconds))
            seconds[times++] = o->seconds;
        for (int i = 0; i < SG_REASONS; i++)
            result->by_reason[i] += o->reasons >> i & 1;
    }
    result->detected = sg_rate_make(detected, total);
    result->median_message = median(message, messages);
    result->median_seconds = median(seconds, times);
}

static int compare_results(const void *a, const void *b)
{
    return strcmp(((const sg_label_result *)a)->name, ((const sg_label_result *)b)->name);
}

static void fill_report(const sg_labels *labels, const outcome *outcomes, double *values,
                        sg_label_report *report)
{
    for (int32_t c = 0; c < labels->classes.count; c++) {
        report->attack[c].name = sg_text_set_text(&labels->classes, c);
        sum_up(labels, outcomes, WHICH_CLASS, c, values, &report->attack[c]);
    }
    report->count = labels->classes.count;
    qsort(report->attack, (size_t)report->count, sizeof *report->attack, compare_results);
    report->all.name = "all attacks";
    sum_up(labels, outcomes, WHICH_ALL, 0, values, &report->all);
    report->normal.name = "normal";
    sum_up(labels, outcomes, WHICH_NORMAL, 0, values, &report->normal);
    report->unlabelled = labels->unlabelled;
}

sg_status sg_labels_report(sg_labels *labels, unsigned reasons, sg_label_report *report)
{
    outcome *outcomes = NULL;
    double *values = NULL;
    sg_status status;
    memset(report, 0, sizeof *report);
    if (labels->source_alerts)
        qsort(labels->source_alert, labels->source_alerts, sizeof *labels->source_alert,
              compare_source_alerts);
    SG_TRY_GOTO(status, out, sg_alloc(&outcomes, labels->count, "label outcomes"));
    SG_TRY_GOTO(status, out, sg_alloc(&values, 2 * (size_t)labels->count, "label figures"));
    SG_TRY_GOTO(status, out, sg_alloc(&report->attack, labels->classes.count, "label figures"));
    for (int32_t n = 0; n < labels->count; n++)
        outcomes[n] = judge(labels, &labels->entry[n], reasons);
    fill_report(labels, outcomes, values, report);
out:
    free(outcomes);
    free(values);
    return status;
}

void sg_label_report_free(sg_label_report *report)
{
    free(report->attack);
    *report = (sg_label_report){0};
}

/* ---- Writing ---- */

static void put_result(sg_text_table *t, const sg_label_result *r)
{
    sg_text_table_cell(t, "%s", r->name);
    sg_text_table_rate(t, &r->detected);
    sg_text_table_cell(t, "%lld", (long long)r->own);
    sg_text_table_cell(t, "%lld", (long long)r->by_source);
    sg_text_table_value(t, r->median_message, 1);
    sg_text_table_value(t, r->median_seconds, 3);
}

sg_status sg_label_report_table(const sg_label_report *report, FILE *out)
{
    sg_text_table t;
    sg_text_table_open(&t, SG_STYLE_TEXT);
    sg_text_table_heads(&t, "class");
    sg_text_table_head_rate(&t, "alerted");
    sg_text_table_heads(&t, "by dialog,by source alone,at message,after s");
    for (int i = 0; i < report->count; i++)
        put_result(&t, &report->attack[i]);
    put_result(&t, &report->all);
    put_result(&t, &report->normal);
    return sg_text_table_finish(&t, out);
}

static cJSON *result_json(const sg_label_result *r, const char *rate)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddItemToObject(o, rate, sg_json_rate(&r->detected));
    cJSON_AddNumberToObject(o, "by_dialog", (double)r->own);
    cJSON_AddNumberToObject(o, "by_source_alone", (double)r->by_source);
    cJSON_AddNumberToObject(o, "median_message", r->median_message);
    cJSON_AddNumberToObject(o, "median_seconds", r->median_seconds);
    cJSON *reasons = cJSON_AddObjectToObject(o, "reasons");
    for (int i = 0; i < SG_REASONS; i++)
        cJSON_AddNumberToObject(reasons, sg_reason_name((sg_reason)i), (double)r->by_reason[i]);
    return o;
}

cJSON *sg_label_report_json(const sg_label_report *report)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *attacks = cJSON_AddObjectToObject(o, "attacks");
    for (int i = 0; i < report->count; i++)
        cJSON_AddItemToObject(attacks, report->attack[i].name, result_json(&report->attack[i], "detected"));
    cJSON_AddItemToObject(o, "all_attacks", result_json(&report->all, "detected"));
    cJSON_AddItemToObject(o, "normal", result_json(&report->normal, "false_alarms"));
    cJSON_AddNumberToObject(o, "unlabelled", (double)report->unlabelled);
    return o;
}
