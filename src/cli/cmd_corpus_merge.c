/* cmd_corpus_merge.c: `sipgpu corpus merge`: several corpora into one. */
#include "cli/cli.h"
#include "cli/new_corpus.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    sg_common_options common;
    sg_new_corpus_options target;
    int64_t types, max_length;
} merge_options;

#define AT(member) SG_KEY(merge_options, member)

static const sg_option table[] = {
    SG_NEW_CORPUS_OUT(merge_options, target),
    SG_INT(AT(types), "65535", 2, SG_MESSAGE_TYPES_MAX,
           "size of the alphabet: the commonest message types, and OTHER for the rest", .argument = "M"),
    SG_INT(AT(max_length), "0", 0, SG_LENGTH_MAX, "pad length; longer dialogs are cut; 0: the longest of all",
           .argument = "L"),
    SG_NEW_CORPUS_OPTIONS(merge_options, target),
    SG_COMMON_OPTIONS(merge_options),
};

static const char about[] =
    "Puts the dialogs of several corpora into one: alphabets are united by name, classes are found\n"
    "anew, and train, validation and test are drawn anew.  All must agree on what makes a message\n"
    "type and on retransmissions.  Dialogs keep their Call-IDs, with the number of the corpus behind\n"
    "them, or are named by their place.";

/* Dialog d of corpus number k, as one that was imported. */
static sg_status add_dialog(sg_import *import, const sg_corpus *corpus, int k, int64_t d)
{
    char name[4096], agent[64];
    const int32_t c = corpus->label[d];
    const uint16_t *types = corpus->class_sequence + (size_t)c * (size_t)corpus->max_length;
    if (corpus->call_id && corpus->call_id[d][0])
        snprintf(name, sizeof name, "%.4000s@@%d", corpus->call_id[d], k + 1);
    else
        snprintf(name, sizeof name, "dialog %" PRId64 "@@%d", d + 1, k + 1);
    snprintf(agent, sizeof agent, "%d:%d", k + 1, corpus->user_agent[d]);
    for (int t = 0; t < corpus->class_length[c]; t++)
        SG_TRY(sg_import_add(import, name, (int64_t)(corpus->start_time[d] * 1e9) + t,
                             corpus->alphabet[types[t] - 1], agent));
    return SG_OK;
}

/* Reads corpus number k and adds its dialogs; *first holds what the first one's conventions are. */
static sg_status add_corpus(sg_import *import, const char *path, int k, sg_corpus *first)
{
    sg_corpus corpus;
    SG_TRY(sg_corpus_read(&corpus, path));
    if (k == 0) {
        memcpy(first->type_rule, corpus.type_rule, sizeof first->type_rule);
        first->collapsed = corpus.collapsed;
    }
    sg_status status = SG_OK;
    if (strcmp(corpus.type_rule, first->type_rule) != 0)
        status = sg_fail(SG_E_CONFIG, "%s has types by %s, the first corpus by %s", path, corpus.type_rule,
                         first->type_rule);
    else if (corpus.collapsed != first->collapsed)
        status = sg_fail(SG_E_CONFIG, "%s is with%s retransmissions, the first corpus is with%s them", path,
                         corpus.collapsed ? "out" : "", first->collapsed ? "out" : "");
    for (int64_t d = 0; d < corpus.dialogs && status == SG_OK; d++)
        status = add_dialog(import, &corpus, k, d);
    sg_corpus_free(&corpus);
    return status;
}

static sg_status merge(const merge_options *o, const sg_text_list *files, sg_corpus *corpus,
                       sg_import_report *report)
{
    const sg_import_options options = {
        .types_max = o->types, .max_length = o->max_length, .min_length = 1, .file_order = true};
    sg_import *import;
    sg_corpus first = {0};
    SG_TRY(sg_import_open(&import, &options));
    sg_status status = SG_OK;
    for (size_t i = 0; i < files->count && status == SG_OK; i++)
        status = add_corpus(import, files->items[i], (int)i, &first);
    if (status == SG_OK)
        status = sg_import_finish(import, corpus, report);
    sg_import_close(import);
    SG_TRY(status);
    memcpy(corpus->type_rule, first.type_rule, sizeof corpus->type_rule);
    corpus->collapsed = first.collapsed;
    snprintf(corpus->source, sizeof corpus->source, "merged from %.160s and %zu more", files->items[0],
             files->count - 1);
    return SG_OK;
}

static sg_status run(const sg_call *call)
{
    const merge_options *o = call->options;
    sg_corpus corpus;
    sg_import_report report = {0};
    SG_TRY(sg_new_corpus_check(&o->target));
    SG_TRY(merge(o, call->words, &corpus, &report));
    sg_status status = sg_new_corpus_write(&corpus, &o->target);
    if (status == SG_OK)
        status = sg_new_corpus_report(&corpus, &o->target, &report);
    sg_corpus_free(&corpus);
    return status;
}

SG_COMMAND(corpus_merge, "corpus merge", "several corpora into one", about, table, merge_options, run,
           .words = "CORPUS CORPUS...", .words_min = 2, .words_max = SG_TEXT_LIST_MAX);
