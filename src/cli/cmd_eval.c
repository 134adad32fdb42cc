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

static const sg_option eval_table[] = {
    SG_SESSION_OPTIONS(eval_options, session),
    SG_SESSION_POOL_OPTIONS(eval_options, session),
    SG_ENUM(SG_KEY(eval_options, split), "all", "train|validation|test|all", "which dialogs"),
    SG_TEXT(SG_KEY(eval_options, csv), "FILE", "also write one line for each class"),
    SG_FLAG(SG_KEY(eval_options, json), "print one JSON object instead of a table"),
    SG_FLAG(SG_KEY(eval_options, force), "overwrite the file of --csv"),
    SG_COMMON_OPTIONS(eval_options)};

static const char about[] =
    "Shows the share of dialogs whose class the model names right (P_D, Table V of the\n"
    "paper) on train, validation and test, with 95% intervals.  A dialog whose class was\n"
    "not trained on cannot be named right; the ceiling is the share of the others.\n"
    "--with adds models of the same corpus: their outputs are pooled.";

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
    SG_TRY(sg_session_open(s, &o->session));
    if (!s->same_corpus)
        sg_note("the model was trained on another corpus or split; 'train' is that of %s, 'known' what the "
                "model was trained on",
                o->session.corpus);
    SG_TRY(print_results(s, o));
    return o->csv[0] ? write_classes(s, o->csv) : SG_OK;
}

static sg_status run(const sg_call *call)
{
    sg_session session = {0};
    sg_status status = evaluate(call->options, &session);
    sg_session_close(&session);
    return status;
}

SG_COMMAND(eval, "eval", "P_D of a model on train, validation and test", about, eval_table, eval_options,
           run);
