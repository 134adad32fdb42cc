#include "experiment/early.h"

#include <string.h>

/* ---- CSV ---- */

static sg_status finish(sg_text_table *table, FILE *out)
{
    sg_status status = sg_text_table_write(table, out);
    sg_text_table_free(table);
    return status;
}

sg_status sg_report_early(const sg_early *early, FILE *out)
{
    static const char *const heads[] = {"detector",  "model",        "k",    "p_d",  "p_d_low",
                                        "p_d_high",  "detections",   "new",  "p_fa", "p_fa_low",
                                        "p_fa_high", "false_alarms", "known"};
    sg_text_table t;
    sg_text_table_open(&t, SG_STYLE_CSV);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        sg_text_table_head(&t, heads[i], heads[i]);
    for (int i = 0; i < early->rows; i++)
        for (int k = 1; k <= early->steps; k++) {
            sg_rate p_d, p_fa;
            sg_early_rates(early, &early->row[i], k, &p_d, &p_fa);
            sg_text_table_cell(&t, "%s", early->row[i].detector);
            sg_text_table_cell(&t, "%s", early->row[i].model);
            sg_text_table_cell(&t, "%d", k);
            sg_text_table_interval(&t, &p_d);
            sg_text_table_interval(&t, &p_fa);
        }
    return finish(&t, out);
}

static sg_status report_positions(const sg_early *early, sg_table_style style, FILE *out)
{
    const sg_early_row *trie = sg_early_find(early, "prefix_trie_exact_set", "-");
    sg_text_table t;
    sg_text_table_open(&t, style);
    sg_text_table_head(&t, "detector", "detector");
    sg_text_table_head(&t, "model", "model");
    sg_text_table_head(&t, "flagged", "detections");
    sg_text_table_head(&t, "of new", "new");
    sg_text_table_head(&t, "median message", "median_message");
    sg_text_table_head(&t, "of the dialog", "median_share");
    sg_text_table_head(&t, "before trie + set", "earlier_than_trie");
    sg_text_table_head(&t, "after it or never", "later_than_trie");
    sg_text_table_head(&t, "false alarms", "false_alarms");
    for (int i = 0; i < early->rows; i++) {
        sg_early_position p;
        sg_status status = sg_early_position_of(early, &early->row[i], trie, &p);
        if (status != SG_OK) {
            sg_text_table_free(&t);
            return status;
        }
        sg_text_table_cell(&t, "%s", early->row[i].detector);
        sg_text_table_cell(&t, "%s", early->row[i].model);
        sg_text_table_cell(&t, "%lld", (long long)p.detections);
        sg_text_table_cell(&t, "%lld", (long long)p.new_dialogs);
        sg_text_table_value(&t, p.median_message, 0);
        sg_text_table_share(&t, p.median_share);
        sg_text_table_cell(&t, "%lld", (long long)p.earlier);
        sg_text_table_cell(&t, "%lld", (long long)p.later);
        sg_text_table_cell(&t, "%lld", (long long)p.false_alarms);
    }
    return finish(&t, out);
}

sg_status sg_report_early_positions(const sg_early *early, FILE *out)
{
    return report_positions(early, SG_STYLE_CSV, out);
}

/* ---- Markdown ---- */

/* P_D and P_FA at some k; always the last one. */
static sg_status report_curves(const sg_early *early, FILE *out)
{
    static const int at[] = {1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48};
    char head[32];
    sg_text_table t;
    sg_text_table_open(&t, SG_STYLE_MARKDOWN);
    sg_text_table_head(&t, "P_D / P_FA in %", "detector");
    sg_text_table_head(&t, "model", "model");
    size_t columns = 0;
    while (columns < sizeof at / sizeof *at && at[columns] < early->steps)
        columns++;
    for (size_t c = 0; c <= columns; c++) {
        snprintf(head, sizeof head, "%s%d", c ? "" : "k = ", c < columns ? at[c] : early->steps);
        sg_text_table_head(&t, head, head);
    }
    for (int i = 0; i < early->rows; i++) {
        sg_text_table_cell(&t, "%s", early->row[i].detector);
        sg_text_table_cell(&t, "%s", early->row[i].model);
        for (size_t c = 0; c <= columns; c++) {
            sg_rate p_d, p_fa;
            sg_early_rates(early, &early->row[i], c < columns ? at[c] : early->steps, &p_d, &p_fa);
            sg_text_table_cell(&t, "%.1f / %.1f", 100 * p_d.value, 100 * p_fa.value);
        }
    }
    return finish(&t, out);
}

static sg_status say_what_network_adds(const sg_early *early, const sg_early_row *r, FILE *out)
{
    sg_early_position p, trie;
    const sg_early_row *other = sg_early_find(early, "prefix_trie_exact_set", "-");
    SG_TRY(sg_early_position_of(early, r, other, &p));
    SG_TRY(sg_early_position_of(early, other, NULL, &trie));
    fprintf(out,
            "- **Model %s**, %s: flags %lld of %lld new dialogs, %lld of them before the trie and "
            "the set do, %lld after them or never; the price is %lld false alarms, where trie and "
            "set have %lld.\n",
            r->model,
            strcmp(r->detector, "threshold_both") == 0 ? "both moments below" : "either moment below",
            (long long)p.detections, (long long)p.new_dialogs, (long long)p.earlier, (long long)p.later,
            (long long)p.false_alarms, (long long)trie.false_alarms);
    return SG_OK;
}

sg_status sg_report_early_text(const sg_early *early, FILE *out)
{
    fputs("# Detection before a dialog is over\n\n", out);
    SG_TRY(report_curves(early, out));
    fputs("\nShares of the test split's new and known dialogs that are flagged at message k or "
          "earlier; dialogs of fewer messages are over by then. What each detector is: "
          "docs/detection.md.\n\n## When\n\n",
          out);
    SG_TRY(report_positions(early, SG_STYLE_MARKDOWN, out));
    fputs("\nMedian message, and median share of the dialog's own length, of the new dialogs that "
          "are flagged.\n\n## In words\n\nA trie of the train dialogs knows at each message "
          "whether a train dialog has ever begun so, and a set of them at the end whether it was "
          "one. Together they flag every new dialog at the first message that makes it new, and no "
          "known one: whatever flags a dialog before them does so on a beginning that known "
          "dialogs have, too.\n\n",
          out);
    for (int i = 0; i < early->rows; i++)
        if (strcmp(early->row[i].model, "-") != 0)
            SG_TRY(say_what_network_adds(early, &early->row[i], out));
    return SG_OK;
}
