/* report.h: the summary of `watch` and its metrics. */
#ifndef SG_WATCH_REPORT_H
#define SG_WATCH_REPORT_H

#include "capture/counts.h"
#include "watch/follow.h"
#include "watch/labels.h"
#include "watch/metrics.h"

/* Counts at one moment; metrics point into it. */
typedef struct {
    sg_follow_counts follow;
    sg_counts capture;
    uint64_t alerts_lost; /* lines that a place lost */
} sg_watch_snapshot;

typedef struct {
    const char *model, *engine;
    double seconds;
    const sg_watch_snapshot *snapshot;
    sg_labels *labels; /* NULL without */
} sg_watch_summary;

/* Adds all series to `metrics`; `snapshot` outlives them. */
sg_status sg_watch_register(sg_metrics *metrics, const sg_watch_snapshot *snapshot);

sg_status sg_watch_report_text(const sg_watch_summary *summary, FILE *out);
sg_status sg_watch_report_json(const sg_watch_summary *summary, FILE *out);

#endif
