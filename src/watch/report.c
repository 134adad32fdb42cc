#include "watch/report.h"

#include "base/json.h"
#include <inttypes.h>

/* Groups of reasons whose detection is reported apart, where there are labels. */
static const struct {
    const char *name, *title;
    unsigned reasons;
} groups[] = {
    {"all", "all detectors", SG_REASONS_ALL},
    {"network", "network", 1u << SG_REASON_SEQUENCE},
    {"prefixes", "exact prefixes", 1u << SG_REASON_PREFIX | 1u << SG_REASON_TYPE},
    {"protocol", "protocol",
     1u << SG_REASON_STRAY | 1u << SG_REASON_SOURCE_CHANGE | 1u << SG_REASON_TAG_CHANGE},
    {"sources", "sources",
     1u << SG_REASON_FLOOD | 1u << SG_REASON_SCAN | 1u << SG_REASON_ENUMERATION | 1u << SG_REASON_GUESSING |
         1u << SG_REASON_HALF_OPEN},
};
enum { GROUPS = sizeof groups / sizeof *groups };

/* ---- metrics ---- */

static sg_status add(sg_metrics *metrics, const char *name, const char *help, sg_metric_type type,
                     const char *label, const char *value, const uint64_t *count)
{
    sg_metric m = {.name = name, .help = help, .type = type, .count = count};
    m.label[0].name = label;
    m.label[0].value = value;
    return sg_metrics_add(metrics, &m);
}

sg_status sg_watch_register(sg_metrics *metrics, const sg_watch_snapshot *s)
{
    const sg_follow_counts *f = &s->follow;
    const struct {
        const char *name, *help;
        sg_metric_type type;
        const uint64_t *count;
    } plain[] = {
        {"sipgpu_messages_total", "SIP messages followed.", SG_METRIC_COUNTER, &f->messages},
        {"sipgpu_retransmissions_total", "Copies of messages.", SG_METRIC_COUNTER, &f->tracker.repeats},
        {"sipgpu_messages_without_call_id_total", "Messages without a Call-ID.", SG_METRIC_COUNTER,
         &f->without_call_id},
        {"sipgpu_unknown_types_total", "Messages the alphabet cannot express.", SG_METRIC_COUNTER,
         &f->folds.unknown},
        {"sipgpu_dialogs", "Dialogs followed now.", SG_METRIC_GAUGE, &f->tracker.dialogs},
        {"sipgpu_tracker_bytes", "Memory of the dialogs.", SG_METRIC_GAUGE, &f->tracker.bytes},
        {"sipgpu_sources", "Source addresses followed now.", SG_METRIC_GAUGE, &f->sources.sources},
        {"sipgpu_prefix_hits_total", "Messages within a known beginning.", SG_METRIC_COUNTER,
         &f->prefix_hits},
        {"sipgpu_cache_hits_total", "Other beginnings scored before.", SG_METRIC_COUNTER, &f->cache_hits},
        {"sipgpu_scored_total", "Beginnings that the network scored.", SG_METRIC_COUNTER, &f->scored},
        {"sipgpu_shed_total", "Beginnings dropped from a full queue.", SG_METRIC_COUNTER, &f->shed},
        {"sipgpu_alerts_lost_total", "Lines of alerts that could not be delivered.", SG_METRIC_COUNTER,
         &s->alerts_lost},
        {"sipgpu_waiting", "Beginnings that wait for the network.", SG_METRIC_GAUGE, &f->waiting},
    };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        SG_TRY(add(metrics, plain[i].name, plain[i].help, plain[i].type, NULL, NULL, plain[i].count));
    for (int v = 0; v < SG_OUTCOMES; v++)
        SG_TRY(add(metrics, "sipgpu_dialogs_total", "Dialogs that are over, by verdict.", SG_METRIC_COUNTER,
                   "verdict", sg_outcome_name((sg_outcome)v), &f->outcome[v]));
    for (int e = 0; e < SG_ENDS; e++)
        SG_TRY(add(metrics, "sipgpu_dialog_ends_total", "Dialogs that are over, by how they ended.",
                   SG_METRIC_COUNTER, "end", sg_end_text((sg_end)e), &f->tracker.ended[e]));
    for (int r = 0; r < SG_REASONS; r++)
        SG_TRY(add(metrics, "sipgpu_alerts_total", "Alerts, by reason.", SG_METRIC_COUNTER, "reason",
                   sg_reason_name((sg_reason)r), &f->alerts[r]));
    for (int c = 0; c < SG_COUNT_NUMBER; c++)
        SG_TRY(add(metrics, "sipgpu_capture_total", "What was read, and what was skipped and why.",
                   SG_METRIC_COUNTER, "what", sg_count_name((sg_count)c), &s->capture.count[c]));
    return SG_OK;
}

/* ---- the summary ---- */

static double rate(uint64_t count, double seconds)
{
    return seconds > 0 ? (double)count / seconds : 0;
}

static sg_status print_labels(sg_labels *labels, FILE *out)
{
    for (int g = 0; g < GROUPS; g++) {
        sg_label_report report;
        SG_TRY(sg_labels_report(labels, groups[g].reasons, &report));
        fprintf(out, "\nDetection by %s\n\n", groups[g].title);
        sg_status status = sg_label_report_table(&report, out);
        sg_label_report_free(&report);
        SG_TRY(status);
    }
    return SG_OK;
}

sg_status sg_watch_report_text(const sg_watch_summary *s, FILE *out)
{
    const sg_follow_counts *f = &s->snapshot->follow;
    const uint64_t *c = s->snapshot->capture.count;
    fprintf(out,
            "read      %" PRIu64 " packets, %.1f MB, %" PRIu64
            " SIP messages in %.2f s: %.0f packets/s, %.1f MB/s, "
            "%.0f messages/s\n",
            c[SG_COUNT_PACKETS], (double)c[SG_COUNT_BYTES] * 1e-6, f->messages, s->seconds,
            rate(c[SG_COUNT_PACKETS], s->seconds), rate(c[SG_COUNT_BYTES], s->seconds) * 1e-6,
            rate(f->messages, s->seconds));
    for (int k = SG_COUNT_MESSAGES + 1; k < SG_COUNT_NUMBER; k++)
        if (c[k] && k != SG_COUNT_MESSAGE_BYTES)
            fprintf(out, "          %" PRIu64 " %s\n", c[k], sg_count_text((sg_count)k));
    fprintf(out, "dialogs   %" PRIu64 ": ", f->tracker.begun);
    for (int v = 0; v < SG_OUTCOMES; v++)
        fprintf(out, "%s%" PRIu64 " %s", v ? ", " : "", f->outcome[v], sg_outcome_name((sg_outcome)v));
    fprintf(out,
            "\nmessages  %" PRIu64 " on known beginnings, %" PRIu64 " scored before, %" PRIu64
            " scored in %" PRIu64 " batches (%.2f s), %" PRIu64 " shed\n",
            f->prefix_hits, f->cache_hits, f->scored, f->batches, f->scoring_seconds, f->shed);
    fprintf(out, "alerts    ");
    uint64_t all = 0;
    for (int r = 0; r < SG_REASONS; r++) {
        if (f->alerts[r])
            fprintf(out, "%s%" PRIu64 " %s", all ? ", " : "", f->alerts[r], sg_reason_name((sg_reason)r));
        all += f->alerts[r];
    }
    fprintf(out, "%s\n", all ? "" : "none");
    return s->labels ? print_labels(s->labels, stdout) : SG_OK;
}

sg_status sg_watch_report_json(const sg_watch_summary *s, FILE *out)
{
    const sg_follow_counts *f = &s->snapshot->follow;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "command", "watch");
    cJSON_AddStringToObject(o, "model", s->model);
    cJSON_AddStringToObject(o, "engine", s->engine);
    cJSON_AddNumberToObject(o, "seconds", s->seconds);
    cJSON_AddNumberToObject(o, "messages", (double)f->messages);
    cJSON_AddNumberToObject(o, "messages_per_second", rate(f->messages, s->seconds));
    cJSON_AddNumberToObject(o, "dialogs", (double)f->tracker.begun);
    cJSON_AddNumberToObject(o, "dialogs_peak", (double)f->tracker.dialogs_peak);
    cJSON_AddNumberToObject(o, "tracker_bytes_peak", (double)f->tracker.bytes_peak);
    cJSON_AddNumberToObject(o, "retransmissions", (double)f->tracker.repeats);
    cJSON_AddNumberToObject(o, "unknown_types", (double)f->folds.unknown);
    cJSON_AddNumberToObject(o, "prefix_hits", (double)f->prefix_hits);
    cJSON_AddNumberToObject(o, "cache_hits", (double)f->cache_hits);
    cJSON_AddNumberToObject(o, "scored", (double)f->scored);
    cJSON_AddNumberToObject(o, "scoring_seconds", f->scoring_seconds);
    cJSON_AddNumberToObject(o, "shed", (double)f->shed);
    cJSON_AddNumberToObject(o, "alerts_lost", (double)s->snapshot->alerts_lost);
    cJSON *part = cJSON_AddObjectToObject(o, "verdicts");
    for (int v = 0; v < SG_OUTCOMES; v++)
        cJSON_AddNumberToObject(part, sg_outcome_name((sg_outcome)v), (double)f->outcome[v]);
    part = cJSON_AddObjectToObject(o, "ends");
    for (int e = 0; e < SG_ENDS; e++)
        cJSON_AddNumberToObject(part, sg_end_text((sg_end)e), (double)f->tracker.ended[e]);
    part = cJSON_AddObjectToObject(o, "alerts");
    for (int r = 0; r < SG_REASONS; r++)
        cJSON_AddNumberToObject(part, sg_reason_name((sg_reason)r), (double)f->alerts[r]);
    part = cJSON_AddObjectToObject(o, "capture");
    for (int c = 0; c < SG_COUNT_NUMBER; c++)
        cJSON_AddNumberToObject(part, sg_count_name((sg_count)c), (double)s->snapshot->capture.count[c]);
    part = s->labels ? cJSON_AddObjectToObject(o, "labels") : NULL;
    for (int g = 0; part && g < GROUPS; g++) {
        sg_label_report report;
        sg_status status = sg_labels_report(s->labels, groups[g].reasons, &report);
        if (status != SG_OK) {
            cJSON_Delete(o);
            return status;
        }
        cJSON_AddItemToObject(part, groups[g].name, sg_label_report_json(&report));
        sg_label_report_free(&report);
    }
    return sg_json_print(o, out);
}
