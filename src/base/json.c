#include "base/json.h"

#include <stdlib.h>

/* cJSON prints NaN as null, which is what an undefined share should read. */
cJSON *sg_json_rate(const sg_rate *rate)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "value", rate->value);
    cJSON_AddNumberToObject(o, "hits", (double)rate->hits);
    cJSON_AddNumberToObject(o, "total", (double)rate->total);
    cJSON_AddNumberToObject(o, "low", rate->low);
    cJSON_AddNumberToObject(o, "high", rate->high);
    return o;
}

sg_status sg_json_print(cJSON *object, FILE *out)
{
    char *text = cJSON_Print(object);
    cJSON_Delete(object);
    if (!text)
        return sg_fail(SG_E_MEMORY, "out of memory while writing JSON");
    fprintf(out, "%s\n", text);
    cJSON_free(text);
    return SG_OK;
}
