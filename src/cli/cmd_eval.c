/* cmd_eval.c: `sipgpu eval`: P_D of a model on the splits of a corpus (Table V). */
#include "base/files.h"
#include "base/log.h"
#include "cli/cli.h"
#include "experiment/report.h"
#include "experiment/report_json.h"
#include "experiment/session.h"
#include <stdlib.h>

typedef struct {
    sg_common_options common;
    sg_session_options session;
    int split; /* sg_split, or SG_SPLITS for all */
    char csv[SG_TEXT_MAX];
    bool json, force;
} eval_options;

static const sg_option eval_table[] = {SG_SESSION_OPTIONS(eval_options, session),
                                       SG_SESSION_POOL_OPTIONS(eval_options, session),
                                       {NULL, "split", SG_OPT_ENUM, offsetof(eval_options, split), "all", 0,
                                        0, "train|validation|test|all", NULL, "which dialogs", 0},
                                       {NULL, "csv", SG_OPT_TEXT, offsetof(eval_options, csv), NULL, 0, 0,
                                        NULL, "FILE", "also write one line for each class", 0},
                                       {NULL, "json", SG_OPT_FLAG, offsetof(eval_options, json), NULL, 0, 0,
                                        NULL, NULL, "print one JSON object instead of a table", 0},
                                       {NULL, "force", SG_OPT_FLAG, offsetof(eval_options, force), NULL, 0, 0,
                                        NULL, NULL, "overwrite the file of --csv", 0},
                                       SG_COMMON_OPTIONS(eval_options)};

static const char about[] =
    "Shows the share of dialogs whose class the model names right (P_D, Table V of the\n"
    "paper) on train, validation and test, with 95% intervals.  A dialog whose class was\n"
    "not trained on cannot be named right; the ceiling is the share of the others.\n"
    "--with adds models of the same corpus: the outputs of all are pooled.";

static sg_status write_classes(const sg_session *s, const char *path)
{
    sg_atomic_file file;
    FILE *out;
    SG_TRY(sg_text_open(&file, &out, path));
    sg_report_classes(&s->corpus, &s->counts, &s->outputs, s->class_of, s->known, out);
    return sg_text_finish(&file, out, SG_OK);
}

static sg_status print_results(const sg_session *s, const eval_options *o)
{
    const unsigned splits = o->split == SG_SPLITS ? 7u : 1u << o->split;
    sg_evaluation evaluation[SG_SPLITS];
    if (s->corpus.dialogs == 0 || (o->split != SG_SPLITS && s->counts.dialogs[o->split] == 0))
        return sg_fail(SG_E_CONFIG, "%s has no %s%sdialogs", o->session.corpus,
                       o->split == SG_SPLITS ? "" : sg_split_name((sg_split)o->split),
                       o->split == SG_SPLITS ? "" : " ");
    sg_evaluate(&s->counts, s->outputs.argmax, s->class_of, s->known, evaluation);
    if (o->json) {
        cJSON *object = sg_session_json(s, "eval", &o->session);
        cJSON_AddItemToObject(object, "splits", sg_json_evaluation(evaluation, splits));
        return sg_json_print(object, stdout);
    }
    return sg_report_evaluation(evaluation, splits, stdout);
}

static sg_status evaluate(const eval_options *o, sg_session *s)
{
    if (o->csv[0])
        SG_TRY(sg_file_check_writable(o->csv, o->force));
    SG_TRY(sg_session_open(s, "eval", &o->session));
    if (!s->same_corpus)
        sg_note("the model was trained on another corpus or split; 'train' is that of %s, 'known' what the "
                "model was trained on",
                o->session.corpus);
    SG_TRY(print_results(s, o));
    return o->csv[0] ? write_classes(s, o->csv) : SG_OK;
}

sg_status sg_run_eval(const char *name, int argc, char **argv)
{
    eval_options options = {0};
    sg_text_list words = {0};
    bool done;
    sg_status status = sg_command_parse(name, eval_table, about, &options, argc, argv, &words, 0, &done);
    sg_session session = {0};
    free(words.items);
    if (status == SG_OK && !done)
        status = evaluate(&options, &session);
    sg_session_close(&session);
    free(options.session.with.items);
    return status;
}
