/* cmd_experiment.c: `sipgpu experiment`: models x seeds, ending in Tables V and VI.
 *
 * On the CPU each run is a process of its own.  Processes do not share a GPU well: each takes memory for a
 * context, and their kernels take turns.  There the runs are threads, each with an engine, and so a stream,
 * of its own.  A run gives the same bits either way.
 *
 * The state of an experiment is its folder: the same command goes on where the last one stopped.
 */
#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/signals.h"
#include "cli/cli.h"
#include "corpus/corpus_json.h"
#include "experiment/experiment.h"
#include "experiment/record.h"
#include "experiment/workers.h"
#include <sched.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    sg_common_options common;
    char config[SG_TEXT_MAX], corpus[SG_TEXT_MAX], out[SG_TEXT_MAX], models[SG_TEXT_MAX];
    char seeds[SG_TEXT_MAX], seed[SG_TEXT_MAX], jobs[SG_TEXT_MAX];
    char device[SG_TEXT_MAX], precision[SG_TEXT_MAX];
    int64_t threads;
    int run_as; /* run_kind */
    sg_text_list set;
    bool force, json, tables;
} experiment_options;

typedef enum { RUN_AS_AUTO, RUN_AS_THREADS, RUN_AS_PROCESSES } run_kind;
#define RUN_AS_CHOICES "auto|threads|processes"

/* clang-format off */
#define TEXT(key, letter, argument, help) \
    {NULL, #key, SG_OPT_TEXT, offsetof(experiment_options, key), NULL, 0, 0, NULL, argument, help, letter}
#define FLAG(key, help) \
    {NULL, #key, SG_OPT_FLAG, offsetof(experiment_options, key), NULL, 0, 0, NULL, NULL, help, 0}
/* clang-format on */

static const sg_option experiment_table[] = {
    TEXT(config, 'c', "FILE", "settings, an INI file"),
    TEXT(corpus, 0, "FILE", "the corpus; stands for --set data.corpus=FILE"),
    {NULL, "set", SG_OPT_APPEND, offsetof(experiment_options, set), NULL, 0, 0, NULL, "SECTION.KEY=VALUE",
     "change one setting; may be given several times", 's'},
    TEXT(out, 'o', "DIR", "folder of the experiment [results/<experiment.name>]"),
    TEXT(models, 0, "LIST", "stands for --set experiment.models=LIST, such as 1.0,2.1"),
    TEXT(seeds, 0, "K", "runs of each model"),
    TEXT(seed, 0, "S", "seed of the first run; the others follow it"),
    TEXT(jobs, 'j', "J", "runs at the same time"),
    TEXT(device, 0, "DEVICE", "auto, cpu, cuda[:N] or cudnn[:N]"),
    TEXT(precision, 0, SG_PRECISION_CHOICES, "what products are computed in"),
    {NULL, "threads", SG_OPT_INT, offsetof(experiment_options, threads), NULL, 1, 1024, NULL, "N",
     "threads of each run; if left out, all cores shared among the runs", 0},
    {NULL, "run_as", SG_OPT_ENUM, offsetof(experiment_options, run_as), "auto", 0, 0, RUN_AS_CHOICES, NULL,
     "what each run is; auto: threads of this process on a GPU, processes on the CPU", 0},
    FLAG(force, "train anew the runs in the folder that have other settings"),
    FLAG(tables, "train nothing: make the tables of the runs that are complete"),
    FLAG(json, "print one JSON object at the end instead of tables"),
    SG_COMMON_OPTIONS(experiment_options),
};

static const char about[] =
    "Trains each model with several seeds (the paper's \"Multiple Run\"), evaluates all runs and\n"
    "writes Tables V and VI with the paper's figures beside them.  Runs that are complete are\n"
    "kept, interrupted ones go on: the same command continues an experiment.  In the folder:\n"
    "runs.csv, table5.csv, table6.csv, comparison.csv, paired.csv, together.csv, early.csv,\n"
    "early_position.csv, history.csv, moments.csv, roc.csv, corpus.json, provenance.json,\n"
    "runs/<model>_<seed>/ with each run's log.txt, and records/<model>_<seed>.h5: what each run's\n"
    "network said.  If a run's folder is missing, its record is used.\n"
    "--tables makes the tables of what is there, whatever is still to be trained.\n"
    "scripts/make_report DIR makes Markdown, figures and a page of them.";

/* ---- settings ---- */

static sg_status read_settings(const experiment_options *o, sg_config *config)
{
    const struct {
        const char *section, *key, *value;
    } stands_for[] = {
        {"data", "corpus", o->corpus},
        {"experiment", "models", o->models},
        {"experiment", "seeds", o->seeds},
        {"experiment", "jobs", o->jobs},
        {"train", "seed", o->seed},
        {"engine", "device", o->device},
        {"engine", "precision", o->precision},
    };
    SG_TRY(sg_config_defaults(config));
    if (o->config[0])
        SG_TRY(sg_options_read_ini(sg_config_table, config, o->config));
    for (size_t i = 0; i < o->set.count; i++)
        SG_TRY(sg_options_assign(sg_config_table, config, o->set.items[i]));
    for (size_t i = 0; i < sizeof stands_for / sizeof *stands_for; i++)
        if (stands_for[i].value[0])
            SG_TRY(sg_options_set(sg_config_table, config, stands_for[i].section, stands_for[i].key,
                                  stands_for[i].value, SG_E_USAGE));
    if (o->threads)
        config->threads = o->threads;
    sg_engine_options engine;
    SG_TRY(sg_config_engine(config, &engine));
    return config->corpus[0] ? SG_OK
                             : sg_fail(SG_E_USAGE, "experiment wants a corpus: --corpus FILE, or data.corpus "
                                                   "in the configuration");
}

static sg_status choose_folder(const experiment_options *o, const sg_config *config, char folder[SG_TEXT_MAX])
{
    if (o->out[0]) {
        strcpy(folder, o->out);
        return SG_OK;
    }
    if (strchr(config->experiment_name, '/') || config->experiment_name[0] == '.')
        return sg_fail(SG_E_CONFIG, "experiment.name = %s cannot name a folder", config->experiment_name);
    return sg_path_join(folder, "results", config->experiment_name);
}

/* Threads of one run: what was asked for, or its share of the cores. */
static int64_t threads_of_run(const sg_config *config, int at_once)
{
    cpu_set_t set;
    if (config->threads || at_once <= 1)
        return config->threads;
    const int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return cores > at_once ? cores / at_once : 1;
}

/* ---- training ---- */

enum { TRAIN_WORDS = 10 };

typedef struct {
    const sg_experiment *experiment;
    run_kind kind;    /* not RUN_AS_AUTO */
    sg_worker *child; /* one for each run */
    char **words;
    char (*seed)[24];
    bool *reported;
    int64_t *before; /* epochs of each run when this command began */
    double start;
    volatile sig_atomic_t *stop;
} training_state;

/* The last epoch in the run's history, at most `most`; 0 if there is none. */
static int64_t epochs_done(const sg_experiment_run *run, int64_t most)
{
    sg_run_paths paths;
    char tail[1024];
    if (sg_run_paths_make(&paths, run->folder) != SG_OK)
        return 0;
    FILE *f = fopen(paths.history, "rb");
    if (!f)
        return 0;
    if (fseek(f, -(long)(sizeof tail - 1), SEEK_END) != 0)
        rewind(f);
    size_t n = fread(tail, 1, sizeof tail - 1, f);
    fclose(f);
    while (n > 0 && tail[n - 1] == '\n')
        n--;
    tail[n] = '\0';
    const char *line = strrchr(tail, '\n');
    const int64_t epoch = line ? strtoll(line + 1, NULL, 10) : 0;
    return epoch < most ? epoch : most;
}

/* A child that was asked to stop has not failed. */
static void report_failures(training_state *t, const sg_worker *child, int count)
{
    char line[512];
    for (int i = 0; i < count && !*t->stop; i++) {
        if (child[i].state != SG_WORKER_FAILED || t->reported[i])
            continue;
        t->reported[i] = true;
        sg_worker_last_line(&child[i], line, sizeof line);
        const char *text = strncmp(line, "sipgpu: ", 8) == 0 ? line + 8 : line;
        sg_warn("%s: %s", child[i].folder, text[0] ? text : "exited without a message");
    }
}

/* "2 of 40 runs done, 2 running (model1.0_seed3 at epoch 120), 4.1%, 3 h 10 min left" */
static void show_progress(const training_state *t, const sg_worker *child, int count)
{
    const sg_experiment *e = t->experiment;
    const int64_t epochs = e->config->epochs;
    int number[SG_WORKER_FAILED + 1] = {0}, shown = -1;
    int64_t now = 0, before = 0, shown_at = 0;
    for (int i = 0; i < count; i++) {
        number[child[i].state]++;
        if (child[i].state == SG_WORKER_FAILED)
            continue;
        const int64_t at = child[i].state == SG_WORKER_RUNNING ? epochs_done(&e->run[i], epochs)
                           : child[i].state == SG_WORKER_DONE  ? epochs
                                                               : t->before[i];
        if (child[i].state == SG_WORKER_RUNNING && shown < 0) {
            shown = i;
            shown_at = at;
        }
        now += at;
        before += t->before[i];
    }
    if (shown < 0)
        return;
    const int64_t all = epochs * (count - number[SG_WORKER_FAILED]);
    char left[32] = "?", failed[32] = "";
    if (now > before)
        sg_duration_text((sg_seconds() - t->start) / (double)(now - before) * (double)(all - now), left);
    if (number[SG_WORKER_FAILED])
        snprintf(failed, sizeof failed, ", %d failed", number[SG_WORKER_FAILED]);
    sg_progress(false, "%d of %d runs done%s, %d running (%s at epoch %lld), %.1f%%, %s left",
                number[SG_WORKER_DONE], count, failed, number[SG_WORKER_RUNNING], e->run[shown].name,
                (long long)shown_at, 100.0 * (double)now / (double)all, left);
}

static void on_progress(const sg_worker *child, int count, void *context)
{
    report_failures(context, child, count);
    show_progress(context, child, count);
}

static sg_status alloc_training(training_state *t, int count)
{
    SG_TRY(sg_alloc(&t->child, count, "runs"));
    SG_TRY(sg_alloc(&t->words, (size_t)count * TRAIN_WORDS, "runs"));
    SG_TRY(sg_alloc(&t->seed, count, "runs"));
    SG_TRY(sg_alloc(&t->before, count, "runs"));
    return sg_alloc(&t->reported, count, "runs");
}

static void free_training(training_state *t)
{
    free(t->child);
    free(t->words);
    free(t->seed);
    free(t->before);
    free(t->reported);
}

/* A run that is a thread: what main() does for `sipgpu train ...`. */
static int train_in_thread(int argc, char **argv)
{
    sg_status status = sg_run_train("train", argc - 2, argv + 2);
    if (status != SG_OK)
        sg_log_error();
    return sg_exit_code(status);
}

/* `train --config DIR/model1.0.ini --seed S --out DIR/runs/... --resume` for each run that is not complete.
 */
static sg_status prepare_children(training_state *t, const char *program)
{
    const sg_experiment *e = t->experiment;
    for (int i = 0; i < e->count; i++) {
        const sg_experiment_run *run = &e->run[i];
        snprintf(t->seed[i], sizeof t->seed[i], "%lld", (long long)run->seed);
        const char *words[TRAIN_WORDS] = {
            program,    "train", "--config",  e->model_ini[run->model],           "--seed",
            t->seed[i], "--out", run->folder, run->anew ? "--force" : "--resume", NULL};
        memcpy(t->words + (size_t)i * TRAIN_WORDS, words, sizeof words);
        if (!run->complete)
            SG_TRY(sg_folder_make(run->folder));
        t->child[i] = (sg_worker){.folder = run->folder,
                                  .argv = t->words + (size_t)i * TRAIN_WORDS,
                                  .run = t->kind == RUN_AS_THREADS ? train_in_thread : NULL,
                                  .state = run->complete ? SG_WORKER_DONE : SG_WORKER_WAITING};
        t->before[i] = run->complete ? e->config->epochs
                       : run->anew   ? 0
                                     : epochs_done(run, e->config->epochs);
    }
    return SG_OK;
}

/* The settings of each model, or of those that have complete runs. */
static sg_status write_model_settings(const sg_experiment *e, int at_once, bool all)
{
    for (int m = 0; m < e->models; m++) {
        if (!all && sg_experiment_complete(e, m) == 0)
            continue;
        sg_config config = e->model_config[m];
        config.threads = threads_of_run(e->config, at_once);
        sg_atomic_file file;
        FILE *out;
        SG_TRY(sg_text_open(&file, &out, e->model_ini[m]));
        sg_options_write_ini(sg_config_table, &config, out, false);
        SG_TRY(sg_text_finish(&file, out, SG_OK));
    }
    return SG_OK;
}

/* Where nothing is left to make tables of, the reason of the first run stands for all. */
static sg_status check_any_complete(const training_state *t, const sg_experiment *e)
{
    char line[512] = "";
    for (int i = 0; i < e->count; i++)
        if (e->run[i].complete)
            return SG_OK;
    for (int i = 0; i < e->count && !line[0]; i++)
        sg_worker_last_line(&t->child[i], line, sizeof line);
    const char *text = strncmp(line, "sipgpu: ", 8) == 0 ? line + 8 : line;
    return sg_fail(SG_E_CONFIG, "all %d runs failed: %s", e->count, text);
}

static sg_status run_children(training_state *t, sg_experiment *e, int at_once)
{
    char program[SG_PATH_MAX];
    SG_TRY(sg_own_program(program));
    SG_TRY(alloc_training(t, e->count));
    SG_TRY(prepare_children(t, program));
    t->start = sg_seconds();
    t->stop = sg_signals_install();
    sg_status status = sg_workers_run(t->child, e->count, at_once, t->stop, on_progress, t);
    sg_progress_end();
    for (int i = 0; i < e->count; i++)
        e->run[i].complete = t->child[i].state == SG_WORKER_DONE &&
                             (e->run[i].recorded || sg_run_is_complete(e->run[i].folder));
    if (status == SG_E_INTERRUPTED)
        return sg_fail(status,
                       "interrupted; the runs have saved their checkpoints: the same command goes on");
    return status == SG_OK ? check_any_complete(t, e) : status;
}

static bool runs_on_cpu(const sg_engine *engine)
{
    return strcmp(sg_engine_device_name(engine), "cpu") == 0;
}

/* "cpu", or "cuda:0 (what it is)": the description begins with the name of the engine. */
static void name_device(const sg_engine *engine, char text[512])
{
    const char *details = strstr(sg_engine_description(engine), ", ");
    if (runs_on_cpu(engine) || !details)
        snprintf(text, 512, "%s", sg_engine_device_name(engine));
    else
        snprintf(text, 512, "%s (%s)", sg_engine_device_name(engine), details + 2);
}

/* Opens a tiny network on the device, to see what the runs had best be, and to find what would keep all of
 * them from starting. */
static sg_status choose_kind(const sg_config *config, run_kind wanted, run_kind *kind, char device[512])
{
    const sg_spec tiny = {.message_types = 1, .max_length = 1, .units = 1, .classes = 3, .layers = 1};
    sg_engine_options options;
    sg_engine *engine;
    SG_TRY(sg_config_engine(config, &options));
    SG_TRY(sg_engine_open(&engine, &tiny, &options));
    *kind = wanted != RUN_AS_AUTO ? wanted : runs_on_cpu(engine) ? RUN_AS_PROCESSES : RUN_AS_THREADS;
    name_device(engine, device);
    sg_engine_close(engine);
    return SG_OK;
}

/* Trains what is missing. */
static sg_status train_runs(sg_experiment *e, run_kind wanted)
{
    char device[512];
    int missing = 0;
    for (int i = 0; i < e->count; i++)
        missing += !e->run[i].complete;
    const int at_once = missing > 0 && e->config->jobs > missing ? missing : (int)e->config->jobs;
    if (missing > 0 && e->frozen.runs)
        return sg_fail(SG_E_CONFIG, "%s holds frozen results, which no run can join; --out another folder",
                       e->folder);
    SG_TRY(write_model_settings(e, at_once, true));
    if (missing == 0)
        return SG_OK;
    training_state t = {.experiment = e};
    SG_TRY(choose_kind(e->config, wanted, &t.kind, device));
    sg_note("%d of %d runs to train, %d at a time, as %s on %s, in %s", missing, e->count, at_once,
            t.kind == RUN_AS_THREADS ? "threads" : "processes", device, e->folder);
    sg_status status = run_children(&t, e, at_once);
    free_training(&t);
    return status;
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

static sg_status conclude(const sg_experiment *e, const sg_corpus *corpus, const experiment_options *o,
                          double start, int argc, char **argv)
{
    sg_experiment_results results;
    sg_status status = sg_experiment_evaluate(e, &results);
    if (status == SG_OK)
        status = write_corpus(e, corpus);
    if (status == SG_OK && !e->frozen.runs) /* theirs stays as it is */
        status = write_provenance(e, (sg_provenance){.command = "experiment",
                                                     .argc = argc,
                                                     .argv = argv,
                                                     .engine = results.engine,
                                                     .corpus = e->config->corpus,
                                                     .corpus_digest = corpus->digest,
                                                     .seconds = sg_seconds() - start});
    if (status == SG_OK)
        status = print_results(&results, e->folder, o->json);
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

static sg_status run_experiment(const experiment_options *o, int argc, char **argv)
{
    const double start = sg_seconds();
    sg_config config;
    sg_corpus corpus;
    sg_experiment experiment = {0};
    char folder[SG_TEXT_MAX];
    SG_TRY(read_settings(o, &config));
    SG_TRY(choose_folder(o, &config, folder));
    SG_TRY(sg_corpus_read(&corpus, config.corpus));
    sg_status status = check_corpus(&config, &corpus);
    if (status == SG_OK)
        status = sg_experiment_make(&experiment, &config, &corpus, folder, o->force);
    if (status == SG_OK)
        status = check_folder(folder, o->force);
    if (status == SG_OK)
        status = o->tables ? write_model_settings(&experiment, (int)config.jobs, false)
                           : train_runs(&experiment, (run_kind)o->run_as);
    if (status == SG_OK)
        status = conclude(&experiment, &corpus, o, start, argc, argv);
    sg_experiment_free(&experiment);
    sg_corpus_free(&corpus);
    return status;
}

sg_status sg_run_experiment(const char *name, int argc, char **argv)
{
    experiment_options options = {0};
    sg_text_list words = {0};
    bool done;
    sg_status status =
        sg_command_parse(name, experiment_table, about, &options, argc, argv, &words, 0, &done);
    if (status == SG_OK && !done)
        status = run_experiment(&options, argc, argv);
    free(words.items);
    free(options.set.items);
    return status;
}
