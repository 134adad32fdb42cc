#include "experiment/growth.h"

#include "base/memory.h"
#include <stdlib.h>

sg_status sg_growth_add(sg_growth *growth, const char *model, int runs, sg_combined combined,
                        const sg_detection *detection)
{
    for (int i = 0; i < SG_NETWORK_DETECTORS; i++) {
        const sg_detector_result *result = &detection->detector[i];
        SG_TRY(sg_grow(&growth->row, &growth->capacity, growth->rows + 1, "runs together"));
        sg_growth_row *row = &growth->row[growth->rows++];
        *row = (sg_growth_row){.runs = runs,
                               .combined = combined,
                               .detector = (sg_decider)i,
                               .p_d = result->p_d,
                               .p_fa = result->p_fa};
        snprintf(row->model, sizeof row->model, "%s", model);
    }
    return SG_OK;
}

void sg_growth_free(sg_growth *growth)
{
    free(growth->row);
    *growth = (sg_growth){0};
}

sg_status sg_report_growth(const sg_growth *growth, FILE *out)
{
    static const char *const heads[] = {"model",    "runs",      "combined",     "detector", "p_d",
                                        "p_d_low",  "p_d_high",  "detections",   "new",      "p_fa",
                                        "p_fa_low", "p_fa_high", "false_alarms", "known"};
    sg_text_table t;
    sg_text_table_open(&t, SG_STYLE_CSV);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        sg_text_table_head(&t, heads[i], heads[i]);
    for (int i = 0; i < growth->rows; i++) {
        const sg_growth_row *r = &growth->row[i];
        sg_text_table_cell(&t, "%s", r->model);
        sg_text_table_cell(&t, "%d", r->runs);
        sg_text_table_cell(&t, "%s", sg_combined_name(r->combined));
        sg_text_table_cell(&t, "%s", sg_detector_name(r->detector));
        sg_text_table_interval(&t, &r->p_d);
        sg_text_table_interval(&t, &r->p_fa);
    }
    sg_status status = sg_text_table_write(&t, out);
    sg_text_table_free(&t);
    return status;
}
