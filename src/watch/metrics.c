#include "watch/metrics.h"

#include "base/memory.h"
#include "watch/http.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct series series;

struct series {
    char *name, *help;
    char *head; /* name and labels, as they are written */
    sg_metric_type type;
    const uint64_t *count;
    double (*read)(const void *context);
    const void *context;
    series *next;
};

struct sg_metrics {
    sg_http *server; /* NULL: none */
    series *first;   /* series of a name stand together */
    int count;
};

static void answer_metrics(void *context, FILE *out)
{
    sg_metrics_write(context, out);
}

sg_status sg_metrics_open(sg_metrics **metrics, const char *address, double timeout_s)
{
    SG_TRY(sg_alloc(metrics, 1, "metrics"));
    if (!address)
        return SG_OK;
    sg_status status = sg_http_open(&(*metrics)->server, address, timeout_s, answer_metrics, *metrics);
    if (status != SG_OK) {
        free(*metrics);
        *metrics = NULL;
    }
    return status;
}

static void free_series(series *s)
{
    if (!s)
        return;
    free(s->name);
    free(s->help);
    free(s->head);
    free(s);
}

void sg_metrics_close(sg_metrics *metrics)
{
    if (!metrics)
        return;
    sg_http_close(metrics->server);
    for (series *s = metrics->first, *next; s; s = next) {
        next = s->next;
        free_series(s);
    }
    free(metrics);
}

/* [a-zA-Z_:][a-zA-Z0-9_:]*; a label has no colon. */
static bool is_name(const char *text, bool label)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789:";
    if (!text || !*text || (*text >= '0' && *text <= '9') || (label && strchr(text, ':')))
        return false;
    return text[strspn(text, letters)] == '\0';
}

static bool is_value(const char *text)
{
    size_t length = text ? strnlen(text, SG_METRIC_VALUE_MAX + 1) : SIZE_MAX;
    for (size_t i = 0; length <= SG_METRIC_VALUE_MAX && i < length; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return length <= SG_METRIC_VALUE_MAX;
}

static sg_status check_metric(const sg_metric *m)
{
    if (!is_name(m->name, false))
        return sg_fail(SG_E_INTERNAL, "'%s' cannot name a metric", m->name ? m->name : "");
    if (!m->help || strpbrk(m->help, "\\\n") || (!m->count == !m->read))
        return sg_fail(SG_E_INTERNAL, "the metric %s needs a help line and exactly one source of its value",
                       m->name);
    for (int i = 0; i < SG_METRIC_LABELS && m->label[i].name; i++)
        if (!is_name(m->label[i].name, true) || !is_value(m->label[i].value))
            return sg_fail(SG_E_INTERNAL, "label %d of the metric %s is not valid", i + 1, m->name);
    return SG_OK;
}

/* "name{a="b",c="d"}", with the escapes that the format knows. */
static sg_status make_head(const sg_metric *m, char **head)
{
    size_t size;
    FILE *out = open_memstream(head, &size);
    if (!out)
        return sg_fail(SG_E_MEMORY, "out of memory for metrics");
    fputs(m->name, out);
    for (int i = 0; i < SG_METRIC_LABELS && m->label[i].name; i++) {
        fprintf(out, "%s%s=\"", i ? "," : "{", m->label[i].name);
        for (const char *c = m->label[i].value; *c; c++)
            fprintf(out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
        fputc('"', out);
    }
    fputs(m->label[0].name ? "}" : "", out);
    return fclose(out) == 0 ? SG_OK : sg_fail(SG_E_MEMORY, "out of memory for metrics");
}

/* Where the series belongs: after the last one of its name, or at the end. */
static sg_status find_place(sg_metrics *metrics, const series *s, series ***place)
{
    series **end = &metrics->first, **after = NULL;
    for (; *end; end = &(*end)->next) {
        const series *other = *end;
        if (strcmp(other->name, s->name) != 0)
            continue;
        if (strcmp(other->head, s->head) == 0)
            return sg_fail(SG_E_INTERNAL, "the metric %s exists already", s->head);
        if (other->type != s->type || strcmp(other->help, s->help) != 0)
            return sg_fail(SG_E_INTERNAL, "the metric %s has another type or help line elsewhere", s->head);
        after = &(*end)->next;
    }
    *place = after ? after : end;
    return SG_OK;
}

static sg_status insert_series(sg_metrics *metrics, series *s)
{
    series **place = &metrics->first;
    if (!s->name || !s->help)
        return sg_fail(SG_E_MEMORY, "out of memory for metrics");
    if (metrics->count == SG_METRICS_MAX)
        return sg_fail(SG_E_INTERNAL, "more than %d metrics", SG_METRICS_MAX);
    SG_TRY(find_place(metrics, s, &place));
    s->next = *place;
    *place = s;
    metrics->count++;
    return SG_OK;
}

sg_status sg_metrics_add(sg_metrics *metrics, const sg_metric *metric)
{
    SG_TRY(check_metric(metric));
    series *s;
    SG_TRY(sg_alloc(&s, 1, "metrics"));
    s->type = metric->type;
    s->count = metric->count;
    s->read = metric->read;
    s->context = metric->context;
    s->name = strdup(metric->name);
    s->help = strdup(metric->help);
    sg_status status = make_head(metric, &s->head);
    if (status == SG_OK)
        status = insert_series(metrics, s);
    if (status != SG_OK)
        free_series(s);
    return status;
}

static void write_number(double value, FILE *out)
{
    if (isnan(value))
        fputs("NaN\n", out);
    else if (isinf(value))
        fputs(value > 0 ? "+Inf\n" : "-Inf\n", out);
    else
        fprintf(out, "%.15g\n", value);
}

void sg_metrics_write(const sg_metrics *metrics, FILE *out)
{
    const char *name = "";
    for (const series *s = metrics->first; s; s = s->next) {
        if (strcmp(s->name, name) != 0)
            fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", s->name, s->help, s->name,
                    s->type == SG_METRIC_COUNTER ? "counter" : "gauge");
        name = s->name;
        fprintf(out, "%s ", s->head);
        if (s->count)
            fprintf(out, "%" PRIu64 "\n", *s->count);
        else
            write_number(s->read(s->context), out);
    }
}

void sg_metrics_poll(sg_metrics *metrics)
{
    if (metrics && metrics->server)
        sg_http_poll(metrics->server);
}

uint16_t sg_metrics_port(const sg_metrics *metrics)
{
    return metrics->server ? sg_http_port(metrics->server) : 0;
}
