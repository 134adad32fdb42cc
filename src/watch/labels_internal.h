/* labels_internal.h: shared by labels.c and label_report.c. */
#ifndef SG_WATCH_LABELS_INTERNAL_H
#define SG_WATCH_LABELS_INTERNAL_H

#include "corpus/text_set.h"
#include "watch/labels.h"

#define SG_NO_TIME INT64_MAX

enum { SG_NORMAL_CLASS = -1 };

/* One labelled Call-ID. */
typedef struct {
    int32_t class; /* in sg_labels.classes, or SG_NORMAL_CLASS */
    int64_t line;  /* of the file */
    bool seen;     /* a dialog bears it; else the next three are zero */
    int64_t start_us, last_us;
    sg_endpoint source;          /* port 0 */
    int position[SG_REASONS];    /* of its own first alert for each reason */
    int64_t time_us[SG_REASONS]; /* SG_NO_TIME: none */
} sg_label_entry;

typedef struct {
    sg_endpoint address; /* port 0 */
    sg_reason reason;
    int64_t time_us;
} sg_source_alert;

struct sg_labels {
    char *path;
    sg_text_set call_ids; /* [count] numbered as entries */
    sg_text_set classes;
    int32_t count;
    sg_label_entry *entry;
    size_t capacity;
    sg_source_alert *source_alert;
    size_t source_alerts, source_capacity;
    int64_t unlabelled;
};

#endif
