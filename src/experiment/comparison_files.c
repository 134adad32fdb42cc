#include "experiment/comparison_files.h"

#include "experiment/report.h"

void sg_comparison_file_name(int i, char name[64])
{
    static const char *const names[] = {"comparison.csv", "comparison.md", "paired.csv"};
    if (i < 3)
        snprintf(name, 64, "%s", names[i]);
    else
        snprintf(name, 64, "roc_%s.csv", sg_baseline_roc_name(i - 3));
}

sg_status sg_comparison_file_write(const sg_comparison *comparison, int i, FILE *out)
{
    switch (i) {
    case 0:
        return sg_report_comparison(comparison, SG_STYLE_CSV, out);
    case 1:
        return sg_report_comparison_text(comparison, out);
    case 2:
        return sg_report_paired(comparison, out);
    default:
        sg_report_roc(&comparison->roc[i - 3], out);
        return SG_OK;
    }
}

void sg_early_file_name(int i, char name[64])
{
    static const char *const names[] = {"early.csv", "early.md", "early_position.csv"};
    snprintf(name, 64, "%s", names[i]);
}

sg_status sg_early_file_write(const sg_early *early, int i, FILE *out)
{
    return i == 0   ? sg_report_early(early, out)
           : i == 1 ? sg_report_early_text(early, out)
                    : sg_report_early_positions(early, out);
}
