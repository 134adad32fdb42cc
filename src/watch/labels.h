/* labels.h: the true labels of the dialogs of a capture, for comparison with the alerts (`watch -r
 * --labels`).
 *
 * The file is a table (corpus/table_reader.h) with a header that holds call_id and label; other columns are
 * ignored, except `scenario`, which names the class of whatever is not normal.  The label "normal" (in any
 * case) is normal, any other one is an attack.  The unit is the Call-ID, all dialogs that bear it taken
 * together; of longer ones the first SG_CALL_ID_KEPT bytes count.
 *
 * A Call-ID is detected by an alert of its own, or by one about its source: an alert by source covers the
 * Call-IDs begun by that address which went on within SG_LABELS_NEAR_S seconds of it, since one probe of a
 * scan is detected as part of the scan.  The report keeps both apart.
 */
#ifndef SG_WATCH_LABELS_H
#define SG_WATCH_LABELS_H

#include "base/rates.h"
#include "base/status.h"
#include "base/text_table.h"
#include "watch/alert.h"
#include <cjson/cJSON.h>

enum { SG_LABELS_NEAR_S = 60, SG_LABEL_MAX = 64, SG_LABEL_CLASSES_MAX = 256 };

#define SG_REASONS_ALL ((1u << SG_REASONS) - 1)

typedef struct sg_labels sg_labels;

/* Reads the table.  SG_E_IO, SG_E_FORMAT "path:line: ...": no such columns, an empty cell, a Call-ID with two
 * labels, too many classes, no labels at all. */
sg_status sg_labels_open(sg_labels **labels, const char *path);
void sg_labels_close(sg_labels *labels); /* NULL is fine */

/* Takes note of a dialog: at its end, with the address that began it and the times of its first and last
 * message. */
void sg_labels_dialog(sg_labels *labels, sg_text call_id, const sg_endpoint *source, int64_t start_us,
                      int64_t last_us);

/* Takes note of an alert, before or after its dialog is noted.  SG_E_MEMORY. */
sg_status sg_labels_alert(sg_labels *labels, const sg_alert *alert);

/* SG_E_FORMAT, in one line, if labels name Call-IDs of which no dialog was noted. */
sg_status sg_labels_check(const sg_labels *labels);

/* How one class fared.  Medians are NaN where nothing was detected. */
typedef struct {
    const char *name;              /* as long as the labels */
    sg_rate detected;              /* of its Call-IDs; of normal ones these are false alarms */
    int64_t own, by_source;        /* of those detected: by an alert of their own; by their source alone */
    double median_message;         /* at which message the first own alert came, from 1 */
    double median_seconds;         /* from the first message to the first alert, 0 if that was before */
    int64_t by_reason[SG_REASONS]; /* Call-IDs with each reason */
} sg_label_result;

typedef struct {
    int count; /* attack classes, by name */
    sg_label_result *attack;
    sg_label_result all;    /* attacks together */
    sg_label_result normal; /* */
    int64_t unlabelled;     /* dialogs without a label; in no figure */
} sg_label_report;

/* The figures for alerts of some reasons, bits 1 << sg_reason; so one run compares detectors.  Only Call-IDs
 * that were noted count.  SG_E_MEMORY. */
sg_status sg_labels_report(sg_labels *labels, unsigned reasons, sg_label_report *report);
void sg_label_report_free(sg_label_report *report);

/* For a terminal: one row a class, then all attacks, then normal. */
sg_status sg_label_report_table(const sg_label_report *report, FILE *out);

/* {"attacks": {class: {...}}, "all_attacks": {...}, "normal": {...}, "unlabelled": n}; NULL if out of memory.
 */
cJSON *sg_label_report_json(const sg_label_report *report);

#endif
