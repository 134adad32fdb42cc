/* cmd_experiment.c: `sipgpu experiment`: models x seeds, ending in Tables V and VI.
 *
 * The state of an experiment is its folder: the same command continues where the last one stopped.
 */
#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/signals.h"
#include "cli/run_settings.h"
#include "corpus/corpus_json.h"
#include "experiment/record.h"
#include "experiment/runner.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    sg_common_options common;
    sg_run_settings run;
    char models[SG_TEXT_MAX], seeds[SG_TEXT_MAX], jobs[SG_TEXT_MAX];
    bool tables;
} experiment_options;

#define AT(member) SG_KEY(experiment_options, member)

static const sg_option table[] = {
    SG_TEXT(AT(models), "LIST", "models of the paper, such as 1.0,2.1", .setting = "experiment.models"),
    SG_TEXT(AT(seeds), "K", "runs of each model", .setting = "experiment.seeds"),
    SG_TEXT(AT(jobs), "J", "runs at the same time", .setting = "experiment.jobs", .letter = 'j'),
    SG_RUN_SETTINGS(experiment_options, run),
    SG_TEXT(SG_AT("out", experiment_options, run.out), "DIR",
            "folder of the experiment [results/<experiment.name>]", .letter = 'o'),
    SG_FLAG(SG_AT("force", experiment_options, run.force),
            "train anew the runs in the folder that have other settings"),
    SG_FLAG(AT(tables), "train nothing: make the tables of the runs that are complete"),
    SG_COMMON_OPTIONS(experiment_options),
};

static const char about[] =
    "Trains each model with several seeds (the paper's \"Multiple Run\"), evaluates all runs and\n"
    "writes Tables V and VI with the paper's figures beside them.  Runs that are complete are\n"
    "kept, interrupted ones are resumed: the same command continues an experiment.  Runs are threads\n"
    "of this process: if it crashes, all stop, and each resumes from its last checkpoint.  In the folder:\n"
    "runs.csv, table5.csv, table6.csv, comparison.csv, paired.csv, together.csv, early.csv,\n"
    "early_position.csv, history.csv, moments.csv, roc.csv, corpus.json, provenance.json,\n"
    "runs/<model>_<seed>/ with each run's log.txt, and records/<model>_<seed>.h5, the outputs of each\n"
    "run's network; if a run's folder is missing, its record is used.\n"
    "scripts/make_report DIR makes Markdown, figures and a page of them.";

static sg_status choose_folder(const experiment_options *o, const sg_config *config, char folder[SG_TEXT_MAX])
{
    if (o->run.out[0]) {
        strcpy(folder, o->run.out);
        return SG_OK;
    }
    if (strchr(config->experiment_name, '/') || config->experiment_name[0] == '.')
        return sg_fail(SG_E_CONFIG, "experiment.name = %s cannot name a folder", config->experiment_name);
    return sg_path_join(folder, "results", config->experiment_name);
}

/* ---- results ---- */

static sg_status print_results(const sg_experiment_results *r, const char *folder, bool json)
{
    if (!json) {
        puts("Table V: P_D\n");
        SG_TRY(sg_report_table5(r->run, r->runs, r->ensemble, r->models, SG_STYLE_TEXT, stdout));
        puts("\nTable VI: new dialogs of the test split\n");
        return sg_report_table6(r->run, r->runs, r->ensemble, r->models, SG_STYLE_TEXT, stdout);
    }
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "command", "experiment");
    cJSON_AddStringToObject(object, "folder", folder);
    cJSON_AddStringToObject(object, "device", r->engine);
    cJSON *runs = cJSON_AddArrayToObject(object, "runs");
    for (int i = 0; i < r->runs; i++)
        cJSON_AddItemToArray(runs, sg_json_run(&r->run[i]));
    cJSON *ensembles = cJSON_AddArrayToObject(object, "ensembles");
    for (int i = 0; i < r->models; i++)
        cJSON_AddItemToArray(ensembles, sg_json_run(&r->ensemble[i]));
    return sg_json_print(object, stdout);
}

/* corpus.json: what the figures are of; batches as the runs had them. */
static sg_status write_corpus(const sg_experiment *e, const sg_corpus *corpus)
{
    char path[SG_PATH_MAX];
    sg_corpus_statistics statistics;
    sg_atomic_file file;
    FILE *out;
    SG_TRY(sg_path_join(path, e->folder, "corpus.json"));
    SG_TRY(sg_corpus_statistics_make(&statistics, corpus, e->config->batch_size));
    sg_status status = sg_text_open(&file, &out, path);
    if (status == SG_OK)
        status = sg_text_finish(&file, out,
                                sg_json_print(sg_corpus_json(e->config->corpus, corpus, &statistics), out));
    sg_corpus_statistics_free(&statistics);
    return status;
}

static sg_status read_origin(const sg_experiment_run *run, char **origin)
{
    sg_record record;
    if (!run->recorded)
        return sg_run_origin(run->folder, origin);
    sg_status status = sg_record_read(&record, run->record);
    *origin = record.origin;
    record.origin = NULL;
    sg_record_free(&record);
    return status;
}

/* provenance.json: this command, and where each run that the tables hold was trained. */
static sg_status write_provenance(const sg_experiment *e, sg_provenance provenance)
{
    char path[SG_PATH_MAX];
    sg_provenance_run *runs;
    SG_TRY(sg_path_join(path, e->folder, "provenance.json"));
    SG_TRY(sg_alloc(&runs, e->count, "runs"));
    provenance.runs = runs;
    sg_status status = SG_OK;
    for (int i = 0; i < e->count && status == SG_OK; i++) {
        if (!e->run[i].complete)
            continue;
        sg_provenance_run *run = &runs[provenance.run_count++];
        snprintf(run->name, sizeof run->name, "%s", e->run[i].name);
        status = read_origin(&e->run[i], &run->origin);
    }
    if (status == SG_OK)
        status = sg_provenance_write(&provenance, path);
    for (int i = 0; i < provenance.run_count; i++)
        free(runs[i].origin);
    free(runs);
    return status;
}

/* Runs that the tables do not hold: failed, or, where none was to be trained, not complete yet. */
static sg_status say_what_lacks(const sg_experiment *e, int runs, bool tables)
{
    if (runs == e->count)
        return SG_OK;
    if (!tables)
        return sg_fail(SG_E_CONFIG,
                       "%d of %d runs failed; the tables hold the others (their log.txt says more)",
                       e->count - runs, e->count);
    sg_note("%d of %d runs are complete; the same command without --tables trains the others", runs,
            e->count);
    return SG_OK;
}

static sg_status conclude(const sg_experiment *e, const sg_corpus *corpus, const sg_call *call, double start)
{
    const experiment_options *o = call->options;
    sg_experiment_results results;
    sg_status status = sg_experiment_evaluate(e, &results);
    if (status == SG_OK)
        status = write_corpus(e, corpus);
    if (status == SG_OK && !e->frozen.runs) /* theirs stays as it is */
        status = write_provenance(e, (sg_provenance){.command = "experiment",
                                                     .argc = call->argc,
                                                     .argv = call->argv,
                                                     .engine = results.engine,
                                                     .corpus = e->config->corpus,
                                                     .corpus_digest = corpus->digest,
                                                     .seconds = sg_seconds() - start});
    if (status == SG_OK)
        status = print_results(&results, e->folder, o->run.json);
    if (status == SG_OK)
        status = say_what_lacks(e, results.runs, o->tables);
    sg_experiment_results_free(&results);
    return status;
}

/* ---- the command ---- */

static sg_status check_folder(const char *folder, bool force)
{
    char path[SG_PATH_MAX], records[SG_PATH_MAX], frozen[SG_PATH_MAX];
    SG_TRY(sg_path_join(path, folder, "runs"));
    SG_TRY(sg_path_join(records, folder, "records"));
    SG_TRY(sg_path_join(frozen, folder, "moments.csv.gz"));
    if (!sg_path_exists(path) && !sg_path_exists(records) &&
        !sg_path_exists(frozen)) { /* tables of something else */
        SG_TRY(sg_path_join(path, folder, "table5.csv"));
        SG_TRY(sg_file_check_writable(path, force));
    }
    return sg_folder_make(folder);
}

/* What would make every run fail is found before the first one starts. */
static sg_status check_corpus(const sg_config *config, const sg_corpus *corpus)
{
    int64_t dialogs[SG_SPLITS] = {0};
    sg_spec spec;
    for (int64_t d = 0; d < corpus->dialogs; d++)
        dialogs[corpus->split[d]]++;
    if (dialogs[SG_SPLIT_TRAIN] == 0 || dialogs[SG_SPLIT_TEST] == 0)
        return sg_fail(SG_E_CONFIG, "%s has no %s dialogs; see `sipgpu corpus split`", config->corpus,
                       dialogs[SG_SPLIT_TRAIN] ? "test" : "train");
    return sg_config_spec(config, corpus, &spec);
}

static sg_status run(const sg_call *call)
{
    const experiment_options *o = call->options;
    const double start = sg_seconds();
    sg_config config;
    sg_corpus corpus;
    sg_experiment experiment = {0};
    char folder[SG_TEXT_MAX];
    SG_TRY(sg_run_settings_read(&o->run, table, o, NULL, "", &config));
    SG_TRY(sg_run_settings_need_corpus(&config, "experiment"));
    SG_TRY(choose_folder(o, &config, folder));
    SG_TRY(sg_corpus_read(&corpus, config.corpus));
    const sg_runner_options runner = {&corpus, call->argc, call->argv, sg_signals_install()};
    sg_status status = check_corpus(&config, &corpus);
    if (status == SG_OK)
        status = sg_experiment_make(&experiment, &config, &corpus, folder, o->run.force);
    if (status == SG_OK)
        status = check_folder(folder, o->run.force);
    if (status == SG_OK)
        status = o->tables ? sg_experiment_write_settings(&experiment, false)
                           : sg_experiment_train(&experiment, &runner);
    if (status == SG_OK)
        status = conclude(&experiment, &corpus, call, start);
    sg_experiment_free(&experiment);
    sg_corpus_free(&corpus);
    return status;
}

SG_COMMAND(experiment, "experiment", "models x seeds, ending in Tables V and VI", about, table,
           experiment_options, run, .settings = sg_config_table);
