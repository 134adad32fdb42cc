#include "experiment/whole_run.h"

#include "base/h5.h"
#include "base/log.h"
#include "experiment/calibrate.h"
#include <unistd.h>

/* Makes sure that no earlier run is lost by accident. */
static sg_status prepare_folder(const sg_whole_run *run, const sg_run_paths *paths, bool *complete)
{
    const bool resume = run->training.resume, trained = sg_run_is_complete(paths->folder);
    SG_TRY(sg_folder_make(paths->folder));
    *complete = trained && resume;
    if (resume || !(trained || sg_path_exists(paths->checkpoint) || sg_path_exists(paths->history)))
        return SG_OK;
    if (!run->force)
        return sg_fail(SG_E_CONFIG, "%s holds %s run; --resume continues it, --force deletes it",
                       paths->folder, trained ? "a complete" : "an unfinished");
    const char *const old[] = {paths->model, paths->checkpoint, paths->best, paths->history,
                               paths->provenance};
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

static sg_status write_provenance(const sg_whole_run *run, const sg_trained *trained, const char *path)
{
    const sg_provenance provenance = {.command = run->command,
                                      .argc = run->argc,
                                      .argv = run->argv,
                                      .engine = trained->engine,
                                      .corpus = run->training.config->corpus,
                                      .corpus_digest = run->training.corpus->digest,
                                      .seconds = trained->seconds};
    sg_h5_lock(); /* it asks libhdf5 for its version */
    sg_status status = sg_provenance_write(&provenance, path);
    sg_h5_unlock();
    return status;
}

static sg_status finish(const sg_whole_run *run, const sg_run_paths *paths, sg_trained *trained,
                        sg_evaluation evaluation[SG_SPLITS])
{
    const sg_config *config = run->training.config;
    sg_engine_options engine;
    sg_calibration calibration = {0};
    sg_status status = sg_config_engine(config, &engine);
    if (status == SG_OK)
        status =
            sg_calibrate(&calibration, &trained->model, run->training.corpus, &engine, config->prefix_limits);
    if (status == SG_OK)
        status = write_provenance(run, trained, paths->provenance);
    if (status == SG_OK)
        status = sg_model_write(&trained->model, NULL, paths->model);
    if (status == SG_OK && config->checkpoint_every == 0)
        unlink(paths->checkpoint); /* of the way here; the model is in place */
    if (status == SG_OK)
        status = sg_calibration_evaluate(&calibration, evaluation);
    sg_calibration_free(&calibration);
    return status;
}

sg_status sg_whole_run_train(const sg_whole_run *run, sg_run_outcome *outcome)
{
    const sg_training *training = &run->training;
    sg_run_paths paths;
    sg_trained trained;
    char duration[32];
    *outcome = (sg_run_outcome){0};
    SG_TRY(sg_run_paths_make(&paths, training->folder));
    SG_TRY(sg_training_check(training->config, training->corpus));
    SG_TRY(prepare_folder(run, &paths, &outcome->was_complete));
    if (outcome->was_complete) {
        SG_TRY(sg_training_check_complete(training->config, training->corpus, training->folder));
        sg_note("%s is complete", training->folder);
        return SG_OK;
    }
    show_settings(training->config, training->corpus, training->folder);
    SG_TRY(sg_train(training, &trained));
    sg_note("trained   %lld epochs%s, %lld updates in %s on %s", (long long)trained.epochs,
            trained.stopped_early ? " (stop_when_train_pd reached)" : "", (long long)trained.model.update,
            sg_duration_text(trained.seconds, duration), trained.engine);
    snprintf(outcome->model, sizeof outcome->model, "%s", paths.model);
    snprintf(outcome->engine, sizeof outcome->engine, "%s", trained.engine);
    outcome->epochs = trained.epochs;
    outcome->updates = trained.model.update;
    outcome->seconds = trained.seconds;
    sg_status status = finish(run, &paths, &trained, outcome->evaluation);
    sg_model_free(&trained.model);
    return status;
}
