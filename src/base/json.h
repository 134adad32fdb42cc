/* json.h: printing JSON objects.  Undefined shares (nothing to count) are null.
 */
#ifndef SG_BASE_JSON_H
#define SG_BASE_JSON_H

#include "base/rates.h"
#include "base/status.h"
#include <cjson/cJSON.h>
#include <stdio.h>

/* {"value", "hits", "total", "low", "high"}; NULL when out of memory, released with cJSON_Delete. */
cJSON *sg_json_rate(const sg_rate *rate);

/* Writes `object` and a newline, and deletes it.  SG_E_MEMORY if it is NULL or cannot be printed. */
sg_status sg_json_print(cJSON *object, FILE *out);

#endif
