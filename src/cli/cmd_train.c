/* cmd_train.c: `sipgpu train`: one network on one corpus, into a folder of its own. */
#include "base/log.h"
#include "base/signals.h"
#include "cli/run_settings.h"
#include "experiment/report.h"
#include "experiment/report_json.h"
#include "experiment/whole_run.h"
#include <string.h>

typedef struct {
    sg_common_options common;
    sg_run_settings run;
    char model[SG_TEXT_MAX];
    bool resume, dump_config;
} train_options;

#define AT(member) SG_KEY(train_options, member)

static const sg_option table[] = {
    SG_TEXT(AT(model), "X.Y", "model of the paper: sets layers and dropout; 1.0-mask: also padding",
            .choices = "1.0|1.1|2.0|2.1", .letter = 'm'),
    SG_RUN_SETTINGS(train_options, run),
    SG_TEXT(SG_AT("out", train_options, run.out), "DIR", "folder of the run [runs/<config>_seed<seed>]",
            .letter = 'o'),
    SG_FLAG(AT(resume), "continue from the folder's checkpoint; start if there is none"),
    SG_FLAG(SG_AT("force", train_options, run.force), "delete what an earlier run left in the folder"),
    SG_FLAG(AT(dump_config), "print all settings with their meaning, and stop"),
    SG_COMMON_OPTIONS(train_options),
};

static const char about[] =
    "Trains an LSTM network to name SIP dialogs.  The folder receives config.ini, history.csv,\n"
    "provenance.json and, last, model.h5.  A checkpoint is written every minute while training\n"
    "continues (train.checkpoint_seconds, train.checkpoint_every) and on Ctrl-C; the same command\n"
    "with --resume continues from it, bit for bit.  Settings come from --config, --model and --set,\n"
    "in this order; --dump-config shows them all.";

static sg_status read_settings(const train_options *o, sg_config *config)
{
    char path[SG_PATH_MAX] = "";
    if (o->resume && o->run.out[0]) /* with the settings that the run was begun with */
        SG_TRY(sg_path_join(path, o->run.out, "config.ini"));
    return sg_run_settings_read(&o->run, table, o, sg_path_exists(path) ? path : NULL, o->model, config);
}

/* Adds "-name" without folder and ending. */
static void add_name(char folder[SG_TEXT_MAX], const char *path)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    size_t length = strlen(base), at = strlen(folder);
    if (length > 4 && strcmp(base + length - 4, ".ini") == 0)
        length -= 4;
    snprintf(folder + at, SG_TEXT_MAX - at, "%s%.*s", strcmp(folder, "runs/") == 0 ? "" : "-", (int)length,
             base);
}

/* runs/<names of the configurations and the model>_seed<seed> unless --out says otherwise. */
static void choose_folder(const train_options *o, const sg_config *config, char folder[SG_TEXT_MAX])
{
    char model[SG_TEXT_MAX + 8];
    snprintf(folder, SG_TEXT_MAX, "%s", o->run.out[0] ? o->run.out : "runs/");
    if (o->run.out[0])
        return;
    for (size_t i = 0; i < o->run.config.count; i++)
        add_name(folder, o->run.config.items[i]);
    snprintf(model, sizeof model, "model%s", o->model);
    if (o->model[0] || o->run.config.count == 0)
        add_name(folder, o->model[0] ? model : "run");
    const size_t at = strlen(folder);
    snprintf(folder + at, SG_TEXT_MAX - at, "_seed%lld", (long long)config->seed);
}

static sg_status print_results(const sg_run_outcome *r, const char *folder, bool json)
{
    if (!json)
        return sg_report_evaluation(r->evaluation, 7u, stdout);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "command", "train");
    cJSON_AddStringToObject(object, "folder", folder);
    cJSON_AddStringToObject(object, "device", r->engine);
    cJSON_AddNumberToObject(object, "epochs", (double)r->epochs);
    cJSON_AddNumberToObject(object, "updates", (double)r->updates);
    cJSON_AddNumberToObject(object, "seconds", r->seconds);
    cJSON_AddItemToObject(object, "splits", sg_json_evaluation(r->evaluation, 7u));
    return sg_json_print(object, stdout);
}

static sg_status run(const sg_call *call)
{
    const train_options *o = call->options;
    sg_config config;
    sg_corpus corpus;
    sg_run_outcome outcome;
    char folder[SG_TEXT_MAX];
    SG_TRY(read_settings(o, &config));
    if (o->dump_config) {
        sg_options_write_ini(sg_config_table, &config, stdout, true);
        return SG_OK;
    }
    SG_TRY(sg_run_settings_need_corpus(&config, "train"));
    choose_folder(o, &config, folder);
    SG_TRY(sg_corpus_read(&corpus, config.corpus));
    const sg_whole_run whole = {.training = {.config = &config,
                                             .corpus = &corpus,
                                             .folder = folder,
                                             .resume = o->resume,
                                             .stop = sg_signals_install()},
                                .force = o->run.force,
                                .command = "train",
                                .argc = call->argc,
                                .argv = call->argv};
    sg_status status = sg_whole_run_train(&whole, &outcome);
    sg_corpus_free(&corpus);
    if (status != SG_OK || outcome.was_complete)
        return status;
    SG_TRY(print_results(&outcome, folder, o->run.json));
    fflush(stdout); /* both may go to one file: results before what comes next */
    sg_note("next: sipgpu detect --model %s --corpus %s", outcome.model, config.corpus);
    return SG_OK;
}

SG_COMMAND(train, "train", "train a model on a corpus", about, table, train_options, run,
           .settings = sg_config_table);
