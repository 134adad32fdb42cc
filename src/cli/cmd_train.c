/* cmd_train.c: `sipgpu train`: one network on one corpus, into a folder of its own. */
#include "base/files.h"
#include "base/h5.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/signals.h"
#include "experiment/calibrate.h"
#include "experiment/report.h"
#include "experiment/report_json.h"
#include "train/trainer.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    sg_common_options common;
    char config[SG_TEXT_MAX], corpus[SG_TEXT_MAX], out[SG_TEXT_MAX];
    char seed[SG_TEXT_MAX], device[SG_TEXT_MAX], precision[SG_TEXT_MAX];
    int64_t threads;
    sg_text_list set;
    bool resume, force, json, dump_config;
} train_options;

#define TEXT(key, letter, argument, help)                                                               \
    {                                                                                                   \
        NULL, #key, SG_OPT_TEXT, offsetof(train_options, key), NULL, 0, 0, NULL, argument, help, letter \
    }
#define FLAG(key, help)                                                                        \
    {                                                                                          \
        NULL, #key, SG_OPT_FLAG, offsetof(train_options, key), NULL, 0, 0, NULL, NULL, help, 0 \
    }

static const sg_option train_table[] = {
    TEXT(config, 'c', "FILE", "settings, an INI file such as configs/model1.0.ini"),
    TEXT(corpus, 0, "FILE", "the corpus; stands for --set data.corpus=FILE"),
    {NULL, "set", SG_OPT_APPEND, offsetof(train_options, set), NULL, 0, 0, NULL, "SECTION.KEY=VALUE",
     "change one setting; may be given several times", 's'},
    TEXT(out, 'o', "DIR", "folder of the run [runs/<config>_seed<seed>]"),
    TEXT(seed, 0, "S", "stands for --set train.seed=S"),
    TEXT(device, 0, "DEVICE", "auto, cpu, cuda[:N] or cudnn[:N]"),
    TEXT(precision, 0, SG_PRECISION_CHOICES, "what products are computed in"),
    {NULL, "threads", SG_OPT_INT, offsetof(train_options, threads), NULL, 1, 1024, NULL, "N",
     "threads to compute with; all cores if left out", 0},
    FLAG(resume, "go on from the folder's checkpoint; start if there is none; done if it is complete"),
    FLAG(force, "drop what an earlier run left in the folder"),
    FLAG(dump_config, "print all settings with their meaning, and stop"),
    FLAG(json, "print one JSON object at the end instead of tables"),
    SG_COMMON_OPTIONS(train_options),
};

static const char about[] =
    "Trains an LSTM network to name SIP dialogs.  The folder receives config.ini, history.csv,\n"
    "provenance.json and, last, model.h5.  A checkpoint is written every minute while training goes\n"
    "on (train.checkpoint_seconds, train.checkpoint_every) and on Ctrl-C; the same command with\n"
    "--resume goes on from it, bit for bit.";

/* ---- settings ---- */

static sg_status set_from_option(sg_config *config, const char *section, const char *key, const char *value)
{
    return value[0] ? sg_options_set(sg_config_table, config, section, key, value, SG_E_USAGE) : SG_OK;
}

/* The device is the one setting that the table cannot check. */
static sg_status check_device(const sg_config *config, sg_status wrong)
{
    sg_engine_options options;
    return sg_config_engine(config, &options) == SG_OK ? SG_OK : sg_fail_prefix(wrong, "engine.device");
}

static sg_status read_settings(const train_options *o, sg_config *config)
{
    char path[SG_PATH_MAX];
    SG_TRY(sg_config_defaults(config));
    if (o->config[0]) {
        SG_TRY(sg_options_read_ini(sg_config_table, config, o->config));
    } else if (o->resume && o->out[0]) {
        SG_TRY(sg_path_join(path, o->out, "config.ini"));
        if (sg_path_exists(path))
            SG_TRY(sg_options_read_ini(sg_config_table, config, path));
    }
    SG_TRY(check_device(config, SG_E_CONFIG));
    for (size_t i = 0; i < o->set.count; i++)
        SG_TRY(sg_options_assign(sg_config_table, config, o->set.items[i]));
    SG_TRY(set_from_option(config, "data", "corpus", o->corpus));
    SG_TRY(set_from_option(config, "train", "seed", o->seed));
    SG_TRY(set_from_option(config, "engine", "device", o->device));
    SG_TRY(set_from_option(config, "engine", "precision", o->precision));
    if (o->threads)
        config->threads = o->threads;
    SG_TRY(check_device(config, SG_E_USAGE));
    if (!config->corpus[0] && !o->dump_config)
        return sg_fail(SG_E_USAGE,
                       "train wants a corpus: --corpus FILE, or data.corpus in the configuration");
    return SG_OK;
}

/* runs/<name of the configuration>_seed<seed> unless --out says otherwise. */
static void choose_folder(const train_options *o, const sg_config *config, char folder[SG_TEXT_MAX])
{
    if (o->out[0]) {
        strcpy(folder, o->out);
        return;
    }
    const char *base = strrchr(o->config, '/');
    base = base ? base + 1 : o->config[0] ? o->config : "run";
    size_t length = strlen(base);
    if (length > 4 && strcmp(base + length - 4, ".ini") == 0)
        length -= 4;
    snprintf(folder, SG_TEXT_MAX, "runs/%.*s_seed%lld", (int)length, base, (long long)config->seed);
}

/* ---- the folder ---- */

/* Sees to it that nothing of an earlier run is lost by accident; *complete if there is nothing left to do. */
static sg_status prepare_folder(const train_options *o, const char *folder, bool *complete)
{
    sg_run_paths paths;
    SG_TRY(sg_run_paths_make(&paths, folder));
    SG_TRY(sg_folder_make(folder));
    *complete = sg_run_is_complete(folder) && o->resume;
    if (*complete)
        return SG_OK;
    bool used =
        sg_path_exists(paths.model) || sg_path_exists(paths.checkpoint) || sg_path_exists(paths.history);
    if (!used || o->resume)
        return SG_OK;
    if (!o->force)
        return sg_fail(SG_E_CONFIG, "%s holds %s run; --resume goes on with it, --force drops it", folder,
                       sg_path_exists(paths.model) ? "a complete" : "an unfinished");
    const char *const old[] = {paths.model, paths.checkpoint, paths.best, paths.history, paths.provenance};
    for (size_t i = 0; i < sizeof old / sizeof *old; i++)
        unlink(old[i]);
    return SG_OK;
}

static void show_settings(const sg_config *config, const sg_corpus *corpus, const char *folder)
{
    sg_note("corpus    %s: %lld dialogs, %d classes, %d message types, longest %d", config->corpus,
            (long long)corpus->dialogs, corpus->classes, corpus->message_types, corpus->max_length);
    sg_note("network   %lld LSTM layer%s of %lld units, dropout %g, padding %s, forget bias %g%s",
            (long long)config->layers, config->layers == 1 ? "" : "s",
            (long long)(config->units ? config->units : corpus->classes), config->dropout,
            sg_padding_name((sg_padding)config->padding), config->forget_bias,
            config->chrono_bias ? " (chrono)" : "");
    sg_note("training  %lld epochs, batch %lld, Adam %g%s, clip_norm %g, seed %lld",
            (long long)config->epochs, (long long)config->batch_size, config->learning_rate,
            config->lr_schedule == SG_SCHEDULE_COSINE ? " falling by a cosine" : "", config->clip_norm,
            (long long)config->seed);
    sg_note("folder    %s", folder);
}

/* ---- what the trained network says ---- */

static sg_status print_results(const train_options *o, const sg_trained *trained,
                               const sg_calibration *calibration, const char *folder)
{
    sg_evaluation evaluation[SG_SPLITS];
    SG_TRY(sg_calibration_evaluate(calibration, evaluation));
    if (o->json) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "command", "train");
        cJSON_AddStringToObject(object, "folder", folder);
        cJSON_AddStringToObject(object, "device", trained->engine);
        cJSON_AddNumberToObject(object, "epochs", (double)trained->epochs);
        cJSON_AddNumberToObject(object, "updates", (double)trained->model.update);
        cJSON_AddNumberToObject(object, "seconds", trained->seconds);
        cJSON_AddItemToObject(object, "splits", sg_json_evaluation(evaluation, 7u));
        return sg_json_print(object, sg_results());
    }
    return sg_report_evaluation(evaluation, 7u, sg_results());
}

static sg_status write_provenance(const sg_trained *trained, const sg_config *config, const sg_corpus *corpus,
                                  const char *path, int argc, char **argv)
{
    const sg_provenance provenance = {.command = "train",
                                      .argc = argc,
                                      .argv = argv,
                                      .engine = trained->engine,
                                      .corpus = config->corpus,
                                      .corpus_digest = corpus->digest,
                                      .seconds = trained->seconds};
    sg_h5_lock(); /* it asks libhdf5 for its version */
    sg_status status = sg_provenance_write(&provenance, path);
    sg_h5_unlock();
    return status;
}

static sg_status finish(const train_options *o, const sg_config *config, const sg_corpus *corpus,
                        const sg_run_paths *paths, sg_trained *trained, int argc, char **argv)
{
    sg_engine_options engine;
    sg_calibration calibration = {0};
    sg_status status = sg_config_engine(config, &engine);
    if (status == SG_OK)
        status = sg_calibrate(&calibration, &trained->model, corpus, &engine, config->prefix_limits);
    if (status == SG_OK)
        status = write_provenance(trained, config, corpus, paths->provenance, argc, argv);
    if (status == SG_OK)
        status = sg_model_write(&trained->model, NULL, paths->model);
    if (status == SG_OK && config->checkpoint_every == 0)
        unlink(paths->checkpoint); /* of the way here; the model is in place */
    if (status == SG_OK)
        status = print_results(o, trained, &calibration, paths->folder);
    sg_calibration_free(&calibration);
    return status;
}

static sg_status train_on(const train_options *o, const sg_config *config, const char *folder,
                          const sg_corpus *corpus, int argc, char **argv)
{
    sg_run_paths paths;
    sg_trained trained;
    char duration[32];
    SG_TRY(sg_run_paths_make(&paths, folder));
    show_settings(config, corpus, folder);
    sg_training training = {config, corpus, folder, o->resume, sg_signals_install()};
    SG_TRY(sg_train(&training, &trained));
    sg_note("trained   %lld epochs%s, %lld updates in %s on %s", (long long)trained.epochs,
            trained.stopped_early ? " (stop_when_train_pd reached)" : "", (long long)trained.model.update,
            sg_duration_text(trained.seconds, duration), trained.engine);
    sg_status status = finish(o, config, corpus, &paths, &trained, argc, argv);
    sg_model_free(&trained.model);
    fflush(sg_results()); /* both may go to one file: results before what comes next */
    if (status == SG_OK)
        sg_note("next: sipgpu detect --model %s --corpus %s", paths.model, config->corpus);
    return status;
}

static sg_status run_train(const train_options *o, int argc, char **argv)
{
    sg_config config;
    char folder[SG_TEXT_MAX];
    bool complete;
    SG_TRY(read_settings(o, &config));
    if (o->dump_config) {
        sg_options_write_ini(sg_config_table, &config, sg_results(), true);
        return SG_OK;
    }
    choose_folder(o, &config, folder);
    sg_corpus corpus;
    SG_TRY(sg_corpus_read(&corpus, config.corpus));
    sg_status status = sg_training_check(&config, &corpus);
    if (status == SG_OK)
        status = prepare_folder(o, folder, &complete);
    if (status == SG_OK && complete)
        status = sg_training_check_complete(&config, &corpus, folder);
    if (status == SG_OK && complete)
        sg_note("%s is complete", folder);
    else if (status == SG_OK)
        status = train_on(o, &config, folder, &corpus, argc, argv);
    sg_corpus_free(&corpus);
    return status;
}

sg_status sg_run_train(const char *name, int argc, char **argv)
{
    train_options options = {0};
    sg_text_list words = {0};
    bool done;
    sg_status status = sg_command_parse(name, train_table, about, &options, argc, argv, &words, 0, &done);
    if (status == SG_OK && !done)
        status = run_train(&options, argc, argv);
    free(words.items);
    free(options.set.items);
    return status;
}
