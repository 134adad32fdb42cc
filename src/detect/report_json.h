/* report_json.h: evaluations and detections as JSON objects.  Shares that are not defined (nothing to count)
 * are null.  The functions return NULL when out of memory; release with cJSON_Delete.
 */
#ifndef SG_DETECT_REPORT_JSON_H
#define SG_DETECT_REPORT_JSON_H

#include "detect/detection.h"
#include "detect/evaluate.h"
#include <cjson/cJSON.h>
#include <stdio.h>

/* {"value", "hits", "total", "low", "high"} */
cJSON *sg_json_rate(const sg_rate *rate);

/* {"train": {"paper_p_d", "p_d", "ceiling", "p_d_known", ...}, "validation": ..., "test": ...} for the splits
 * in the bits of `splits` that have dialogs. */
cJSON *sg_json_evaluation(const sg_evaluation evaluation[SG_SPLITS], unsigned splits);

/* {"test_dialogs", ..., "limits": {...}, "detectors": {name: {...}}, "auc": {name: number}} */
cJSON *sg_json_detection(const sg_detection *detection);

/* Writes `object` and a newline, and deletes it.  SG_E_MEMORY if it is NULL or cannot be printed. */
sg_status sg_json_print(cJSON *object, FILE *out);

#endif
