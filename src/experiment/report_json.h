/* report_json.h: evaluations and detections as JSON objects.  Shares that are not defined (nothing to count)
 * are null.  The functions return NULL when out of memory; release with cJSON_Delete.
 */
#ifndef SG_EXPERIMENT_REPORT_JSON_H
#define SG_EXPERIMENT_REPORT_JSON_H

#include "base/json.h"
#include "experiment/detection.h"
#include "experiment/evaluate.h"

/* {"train": {"paper_p_d", "p_d", "ceiling", "p_d_known", ...}, "validation": ..., "test": ...} for the splits
 * in the bits of `splits` that have dialogs. */
cJSON *sg_json_evaluation(const sg_evaluation evaluation[SG_SPLITS], unsigned splits);

/* {"test_dialogs", ..., "limits": {...}, "detectors": {name: {...}}, "auc": {name: number}} */
cJSON *sg_json_detection(const sg_detection *detection);

#endif
