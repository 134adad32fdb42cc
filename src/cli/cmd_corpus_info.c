#include "base/json.h"
#include "base/log.h"
#include "cli/cli.h"
#include "corpus/corpus_json.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    sg_common_options common;
    int64_t batch;
    bool json, paper;
} info_options;

#define AT(member) SG_KEY(info_options, member)

static const sg_option table[] = {
    SG_FLAG(AT(json), "one JSON object on standard output"),
    SG_FLAG(AT(paper), "the paper's figures beside the corpus'"),
    SG_INT(AT(batch), "933", 1, 1e9, "rows of the batches whose prefix trie is measured"),
    SG_COMMON_OPTIONS(info_options),
};

static const char about[] =
    "Describes a corpus as section IV-A of the paper does: how many dialogs, classes and message\n"
    "types, how long and how common they are, and what of each split is not in train.";

/* ---- as text ---- */

/* One line of the table; `paper` is left out unless asked for. */
static void line(const info_options *o, const char *name, const char *paper, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void line(const info_options *o, const char *name, const char *paper, const char *format, ...)
{
    char value[160];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    if (o->paper)
        printf("%-34s %-28s %s\n", name, value, paper);
    else
        printf("%-34s %s\n", name, value);
}

static double percent(int64_t part, int64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_bins(const char *title, const char *what, const sg_histogram_bin *bins, int count,
                       int64_t dialogs)
{
    enum { WIDTH = 40 };
    static const char bar[WIDTH + 1] = "########################################";
    int64_t most = 1;
    for (int b = 0; b < count; b++)
        most = bins[b].dialogs > most ? bins[b].dialogs : most;
    printf("\n%s\n  %-13s %9s %10s %7s\n", title, what, "classes", "dialogs", "share");
    for (int b = 0; b < count; b++) {
        char range[48];
        if (bins[b].from == bins[b].to)
            snprintf(range, sizeof range, "%" PRId64, bins[b].from);
        else
            snprintf(range, sizeof range, "%" PRId64 "-%" PRId64, bins[b].from, bins[b].to);
        int n = (int)((bins[b].dialogs * WIDTH + most - 1) / most);
        printf("  %-13s %9" PRId64 " %10" PRId64 " %6.2f%%%s%.*s\n", range, bins[b].classes, bins[b].dialogs,
               percent(bins[b].dialogs, dialogs), n ? " " : "", n, bar);
    }
}

static void print_counts(const info_options *o, const sg_corpus *corpus, const sg_corpus_statistics *s)
{
    line(o, "dialogs", "18782", "%" PRId64, corpus->dialogs);
    line(o, "user agents", "249", "%" PRId64, s->user_agents);
    line(o, "unique dialogs (classes, N)", "1492", "%d", corpus->classes);
    line(o, "unique dialogs that occur once", "66.23%", "%" PRId64 " (%.2f%%)", s->once,
         percent(s->once, corpus->classes));
    line(o, "message types (M)", "18", "%d (%d used)", corpus->message_types, s->types_used);
    line(o, "longest dialog, pad length (L_N)", "56, 56", "%d, %d", s->longest, corpus->max_length);
    line(o, "length: shortest, median, mean", "", "%d, %g, %.2f", s->shortest, s->median_length,
         s->mean_length);
    line(o, "messages", "", "%" PRId64, s->messages);
}

static void print_split(const info_options *o, const sg_corpus *corpus, const sg_corpus_statistics *s)
{
    static const char *const unseen_of_paper[SG_SPLITS] = {"", "277 (7.20%)", "362 (6.46%)"};
    static const char *const size_of_paper[SG_SPLITS] = {"50%", "20%", "30%"};
    static const char *const ceiling_of_paper[SG_SPLITS] = {"100.00%", "92.80%", "93.54%"};
    char name[64];
    printf("\nsplit (seed %" PRIu64 ")\n", corpus->split_seed);
    for (int k = 0; k < SG_SPLITS; k++) {
        const sg_split_statistics *p = &s->split[k];
        snprintf(name, sizeof name, "  %s: dialogs, classes", sg_split_name(k));
        line(o, name, size_of_paper[k], "%" PRId64 " (%.2f%%), %" PRId64, p->dialogs,
             percent(p->dialogs, corpus->dialogs), p->classes);
        if (k == SG_SPLIT_TRAIN)
            continue;
        line(o, "    class not in train", unseen_of_paper[k], "%" PRId64 " (%.2f%%)", p->unseen,
             percent(p->unseen, p->dialogs));
        line(o, "    ceiling of P_D", ceiling_of_paper[k], "%.2f%%", 100 - percent(p->unseen, p->dialogs));
    }
}

static void print_text(const info_options *o, const char *path, const sg_corpus *corpus,
                       const sg_corpus_statistics *s)
{
    printf("%s\n  %s\n  digest %s\n\n", path, corpus->source, corpus->digest);
    if (o->paper)
        printf("%-34s %-28s %s\n", "", "corpus", "paper");
    print_counts(o, corpus, s);
    print_split(o, corpus, s);
    printf("\nbatches of %" PRId64 " train dialogs\n", s->batch.rows);
    line(o, "  row-steps (rows x L)", s->batch.rows == 933 ? "52248" : "", "%" PRId64, s->batch.row_steps);
    line(o, "  unique sequences", "", "%.1f", s->batch.unique);
    line(o, "  unique prefixes (trie nodes)", "", "%.1f", s->batch.nodes);
    line(o, "  row-steps per node", "", "%.2f", s->batch.factor);
    print_bins("lengths", "messages", s->length, s->length_bins, corpus->dialogs);
    print_bins("multiplicities", "occurrences", s->multiplicity, s->multiplicity_bins, corpus->dialogs);
    printf("\nmessage types\n  %4s %-20s %12s %7s\n", "id", "name", "messages", "share");
    for (int m = 0; m < corpus->message_types; m++)
        printf("  %4d %-20s %12" PRId64 " %6.2f%%\n", m + 1, corpus->alphabet[m], s->type_messages[m],
               percent(s->type_messages[m], s->messages));
}

static sg_status info(const info_options *o, const char *path)
{
    sg_corpus corpus;
    sg_corpus_statistics s;
    SG_TRY(sg_corpus_read(&corpus, path));
    sg_status status = sg_corpus_statistics_make(&s, &corpus, o->batch);
    if (status == SG_OK) {
        if (o->json)
            status = sg_json_print(sg_corpus_json(path, &corpus, &s), stdout);
        else
            print_text(o, path, &corpus, &s);
        sg_corpus_statistics_free(&s);
    }
    sg_corpus_free(&corpus);
    return status;
}

static sg_status run(const sg_call *call)
{
    return info(call->options, call->words->items[0]);
}

SG_COMMAND(corpus_info, "corpus info", "describe a corpus (section IV-A)", about, table, info_options, run,
           .words = "CORPUS", .words_min = 1, .words_max = 1);
