#include "train/trainer.h"

#include "base/log.h"
#include "base/memory.h"
#include "train/batches.h"
#include "train/history.h"
#include "train/writer.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a run carries from update to update; model.epoch and model.update say how far it is. */
typedef struct {
    const sg_training *training;
    const sg_config *config;
    const sg_corpus *corpus;
    sg_run_paths paths;
    sg_engine *engine;
    sg_sequences set;
    sg_plan plan;
    sg_model model;
    sg_optimizer_state state;
    int64_t *rows; /* dialogs of the train split */
    int64_t row_count;
    int32_t *order;        /* [row_count] the order of this epoch */
    int32_t *classes;      /* [batch_size] classes of a batch */
    int64_t batches;       /* in an epoch */
    sg_outputs outputs;    /* of the last evaluation, by class */
    double seconds_before; /* of earlier sittings */
    double start;          /* of this one */
    double norm;           /* of the last gradient */
    sg_writer *writer;
    bool checkpoint_due;     /* by epochs */
    double checkpoint_clock; /* when the last one was tried, or training began */
    int64_t saved_epoch;     /* of the last checkpoint handed over or gone on from; -1: there is none */
    bool write_fails[SG_WRITER_FILES]; /* and it has been said */
    int64_t waits;                     /* for the writer */
} run;

void sg_split_pd(const sg_corpus *corpus, const int32_t *argmax, double pd[SG_SPLITS])
{
    int64_t all[SG_SPLITS] = {0}, right[SG_SPLITS] = {0};
    for (int64_t d = 0; d < corpus->dialogs; d++) {
        all[corpus->split[d]]++;
        right[corpus->split[d]] += argmax[corpus->label[d]] == corpus->label[d];
    }
    for (int s = 0; s < SG_SPLITS; s++)
        pd[s] = all[s] ? (double)right[s] / (double)all[s] : NAN;
}

static bool is_finished(const run *r)
{
    return r->model.goal_reached || r->model.epoch >= r->config->epochs;
}

static double seconds_so_far(const run *r)
{
    return r->seconds_before + sg_seconds() - r->start;
}

/* ---- beginning ---- */

/* Keys that may change between the sittings of a run. */
static bool may_change(const sg_option *o)
{
    static const char *const keys[] = {"data.corpus",
                                       "engine.threads",
                                       "engine.graphs",
                                       "train.checkpoint_every",
                                       "train.checkpoint_seconds",
                                       "train.prefix_limits"};
    char name[128];
    snprintf(name, sizeof name, "%s.%s", o->section, o->key);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(name, keys[i]) == 0)
            return true;
    return strcmp(o->section, "experiment") == 0;
}

/* A longer run is the same run so far, unless the learning rate follows the number of epochs. */
static bool may_change_or_extend(const sg_option *o)
{
    return may_change(o) || (strcmp(o->section, "train") == 0 && strcmp(o->key, "epochs") == 0);
}

/* Whether the model or checkpoint in `path` belongs to a run with these settings on this corpus. */
static sg_status check_same_run(const sg_model *model, const char *path, const sg_config *config,
                                const sg_corpus *corpus, bool (*ignore)(const sg_option *))
{
    sg_config old;
    char names[SG_TEXT_MAX];
    SG_TRY(sg_config_defaults(&old));
    SG_TRY(sg_options_read_ini_text(sg_config_table, &old, model->config, path));
    if (ignore == may_change_or_extend &&
        (old.lr_schedule != SG_SCHEDULE_CONSTANT || config->epochs < model->epoch))
        ignore = may_change;
    if (sg_options_differences(sg_config_table, &old, config, ignore, names, sizeof names) > 0)
        return sg_fail(
            SG_E_CONFIG,
            "%s was made with other settings (%s); resume with the same, or train into another folder", path,
            names);
    if (strcmp(model->corpus_digest, corpus->digest) != 0)
        return sg_fail(SG_E_CONFIG, "%s was made with another corpus (digest %s, this one has %s)", path,
                       model->corpus_digest, corpus->digest);
    return SG_OK;
}

sg_status sg_training_check_complete(const sg_config *config, const sg_corpus *corpus, const char *folder)
{
    sg_run_paths paths;
    sg_model model;
    SG_TRY(sg_run_paths_make(&paths, folder));
    SG_TRY(sg_model_read(&model, NULL, paths.model));
    sg_status status = check_same_run(&model, paths.model, config, corpus, may_change);
    sg_model_free(&model);
    return status;
}

/* A checkpoint lies within the epoch that it says comes next. */
static sg_status check_position(const run *r)
{
    int64_t epoch = r->model.epoch, update = r->model.update;
    if (epoch > update / r->batches || update - epoch * r->batches > r->batches)
        return sg_fail(SG_E_FORMAT, "%s: epoch %lld and update %lld do not go together", r->paths.checkpoint,
                       (long long)epoch, (long long)update);
    return SG_OK;
}

static sg_status begin_resumed(run *r)
{
    SG_TRY(sg_model_read(&r->model, &r->state, r->paths.checkpoint));
    SG_TRY(check_same_run(&r->model, r->paths.checkpoint, r->config, r->corpus, may_change_or_extend));
    SG_TRY(check_position(r));
    if (strcmp(r->model.precision, sg_engine_precision_name(r->engine)) != 0)
        sg_warn("the run began in %s and goes on in %s", r->model.precision,
                sg_engine_precision_name(r->engine));
    SG_TRY(sg_engine_load_optimizer(r->engine, &r->state.m, &r->state.v));
    SG_TRY(sg_history_rewind(r->paths.history, r->model.epoch, &r->seconds_before));
    r->saved_epoch = r->model.epoch;
    sg_note("resuming after epoch %lld, update %lld", (long long)r->model.epoch, (long long)r->model.update);
    return SG_OK;
}

static sg_status begin_fresh(run *r, const sg_spec *spec)
{
    sg_init_options init = {.seed = (uint64_t)r->config->seed,
                            .forget_bias = r->config->forget_bias,
                            .chrono = r->config->chrono_bias,
                            .recurrent = (sg_recurrent_init)r->config->recurrent_init};
    SG_TRY(sg_model_make(&r->model, spec, r->corpus));
    SG_TRY(sg_params_init(&r->model.params, spec, &init));
    SG_TRY(sg_params_alloc(&r->state.m, spec));
    SG_TRY(sg_params_alloc(&r->state.v, spec));
    return sg_history_create(r->paths.history);
}

/* What the model file says of the run, set anew at each sitting. */
static sg_status describe_run(run *r)
{
    free(r->model.config);
    r->model.config = NULL;
    SG_TRY(sg_config_text(r->config, &r->model.config));
    r->model.seed = (uint64_t)r->config->seed;
    snprintf(r->model.tool, sizeof r->model.tool, "%s", sg_tool_name());
    snprintf(r->model.precision, sizeof r->model.precision, "%s", sg_engine_precision_name(r->engine));
    snprintf(r->model.device, sizeof r->model.device, "%s", sg_engine_description(r->engine));
    sg_atomic_file file;
    FILE *stream;
    SG_TRY(sg_text_open(&file, &stream, r->paths.config));
    fputs(r->model.config, stream);
    return sg_text_finish(&file, stream, SG_OK);
}

static sg_status check_rows(const sg_config *config, int64_t count)
{
    if (count == 0)
        return sg_fail(SG_E_CONFIG, "the train split of the corpus is empty");
    if (config->batch_size > count)
        return sg_fail(SG_E_CONFIG, "train.batch_size = %lld is larger than the train split (%lld dialogs)",
                       (long long)config->batch_size, (long long)count);
    if (count > INT32_MAX)
        return sg_fail(SG_E_CONFIG, "a train split of %lld dialogs is too large", (long long)count);
    return SG_OK;
}

sg_status sg_training_check(const sg_config *config, const sg_corpus *corpus)
{
    const sg_spec tiny = {.message_types = 1, .max_length = 1, .units = 1, .classes = 3, .layers = 1};
    sg_spec spec;
    sg_engine_options options;
    sg_engine *engine;
    int64_t count = 0;
    for (int64_t d = 0; d < corpus->dialogs; d++)
        count += corpus->split[d] == SG_SPLIT_TRAIN;
    SG_TRY(sg_config_spec(config, corpus, &spec));
    SG_TRY(check_rows(config, count));
    SG_TRY(sg_config_engine(config, &options));
    options.announce = false;
    SG_TRY(sg_engine_open(&engine, &tiny, &options));
    sg_engine_close(engine);
    return SG_OK;
}

static sg_status prepare_rows(run *r)
{
    const sg_config *config = r->config;
    SG_TRY(sg_corpus_rows(r->corpus, SG_SPLIT_TRAIN, &r->rows, &r->row_count));
    SG_TRY(check_rows(config, r->row_count));
    r->batches =
        sg_batches_per_epoch(r->row_count, config->batch_size, config->last_batch == SG_LAST_BATCH_KEEP);
    SG_TRY(sg_alloc(&r->order, r->row_count, "order of the dialogs"));
    return sg_alloc(&r->classes, config->batch_size, "order of the dialogs");
}

static sg_status begin(run *r)
{
    sg_spec spec;
    sg_engine_options options;
    SG_TRY(sg_run_paths_make(&r->paths, r->training->folder));
    sg_folder_remove_temporaries(r->training->folder);
    SG_TRY(sg_config_spec(r->config, r->corpus, &spec));
    SG_TRY(sg_config_engine(r->config, &options));
    SG_TRY(prepare_rows(r));
    SG_TRY(
        sg_sequences_make(&r->set, &spec, r->corpus->class_sequence, r->corpus->class_length, spec.classes));
    SG_TRY(sg_outputs_alloc(&r->outputs, spec.classes, spec.classes, false));
    SG_TRY(sg_engine_open(&r->engine, &spec, &options));
    if (r->training->resume && sg_path_exists(r->paths.checkpoint))
        SG_TRY(begin_resumed(r));
    else
        SG_TRY(begin_fresh(r, &spec));
    SG_TRY(sg_engine_load(r->engine, &r->model.params));
    SG_TRY(describe_run(r));
    r->checkpoint_clock = sg_seconds();
    return sg_writer_open(&r->writer, &r->model, &r->state, r->paths.checkpoint,
                          r->config->keep_best ? r->paths.best : NULL);
}

static void end(run *r)
{
    sg_progress_end();
    sg_writer_close(r->writer);
    sg_engine_close(r->engine);
    sg_plan_free(&r->plan);
    sg_sequences_free(&r->set);
    sg_optimizer_state_free(&r->state);
    sg_outputs_free(&r->outputs);
    sg_model_free(&r->model);
    free(r->rows);
    free(r->order);
    free(r->classes);
}

/* ---- one update ---- */

static double learning_rate_at(const run *r, int64_t update)
{
    const sg_config *c = r->config;
    if (c->lr_schedule == SG_SCHEDULE_CONSTANT)
        return c->learning_rate;
    double share = (double)(update - 1) / (double)(c->epochs * r->batches);
    return c->lr_floor + (c->learning_rate - c->lr_floor) * 0.5 * (1 + cos(M_PI * share));
}

/* Says where training broke down, and what helps. */
static sg_status explain_divergence(const run *r, sg_status status)
{
    if (status != SG_E_NUMERIC)
        return status;
    return sg_fail(
        status, "%s at epoch %lld, step %lld; lower train.learning_rate or set train.clip_norm = 1 (%s)",
        "loss or gradient is not finite", (long long)r->model.epoch + 1,
        (long long)(r->model.update - r->model.epoch * r->batches) + 1,
        sg_path_exists(r->paths.checkpoint) ? "the last checkpoint is intact" : "no checkpoint was written");
}

/* Dialogs in the batch of update `update`. */
static int64_t batch_rows(const run *r, int64_t update)
{
    int64_t first = (update - 1) % r->batches * r->config->batch_size, left = r->row_count - first;
    return left < r->config->batch_size ? left : r->config->batch_size;
}

/* Begins the next update; the one before may still be running. */
static sg_status begin_update(run *r)
{
    const sg_config *c = r->config;
    int64_t update = r->model.update + sg_engine_steps_begun(r->engine) + 1;
    int64_t first = (update - 1) % r->batches * c->batch_size, count = batch_rows(r, update);
    for (int64_t b = 0; b < count; b++)
        r->classes[b] = r->corpus->label[r->rows[r->order[first + b]]];
    SG_TRY(sg_plan_build(&r->plan, &r->set, r->classes, r->classes, (int)count, (sg_batching)c->batching,
                         c->dropout > 0));
    sg_batch step = {.plan = &r->plan, .dropout_seed = (uint64_t)c->seed, .update = (uint32_t)update};
    sg_adam adam = {.learning_rate = learning_rate_at(r, update),
                    .beta1 = c->beta1,
                    .beta2 = c->beta2,
                    .epsilon = c->epsilon,
                    .clip_norm = c->clip_norm,
                    .update = update};
    return sg_engine_begin_step(r->engine, &step, &adam);
}

/* Takes in the results of updates until no more than `left` are under way. */
static sg_status end_updates(run *r, int left)
{
    while (sg_engine_steps_begun(r->engine) > left) {
        sg_step_result result;
        SG_TRY(sg_engine_end_step(r->engine, &result, &r->norm));
        r->model.update++;
        r->model.partial_loss += result.loss * (double)batch_rows(r, r->model.update);
        r->model.partial_right += result.right;
    }
    return SG_OK;
}

/* ---- checkpoints ---- */

/* Says what became of files that were handed over: that one cannot be written, once, until it can. */
static void hear_writer(run *r)
{
    for (int file = 0; file < SG_WRITER_FILES; file++) {
        sg_writer_news news;
        sg_writer_get_news(r->writer, (sg_writer_file)file, &news);
        if (news.status != SG_OK && !r->write_fails[file])
            sg_warn("%s; %s, and training goes on: it is tried again when the next is due", news.text,
                    sg_path_exists(r->paths.checkpoint) ? "the last checkpoint is intact"
                                                        : "there is no checkpoint yet");
        if (news.status == SG_OK && news.written > 0 && r->write_fails[file])
            sg_note("%s can be written again", file == SG_WRITER_BEST ? r->paths.best : r->paths.checkpoint);
        if (news.status != SG_OK || news.written > 0)
            r->write_fails[file] = news.status != SG_OK;
    }
}

/* Waits for the writer: only where training has stopped. */
static void drain_writer(run *r)
{
    r->waits++;
    sg_writer_drain(r->writer);
}

/* After a failure: what is said and done next does not depend on what is still being written. */
static void settle(run *r)
{
    drain_writer(r);
    hear_writer(r);
}

static bool is_due(const run *r)
{
    double seconds = r->config->checkpoint_seconds;
    return r->checkpoint_due || (seconds > 0 && sg_seconds() - r->checkpoint_clock >= seconds);
}

/* Copies the state and leaves it to the writer, which is free. */
static sg_status hand_over_checkpoint(run *r)
{
    SG_TRY(end_updates(r, 0));
    SG_TRY(sg_engine_store(r->engine, &r->model.params));
    SG_TRY(sg_engine_store_optimizer(r->engine, &r->state.m, &r->state.v));
    sg_writer_checkpoint(r->writer, &r->model);
    r->saved_epoch = r->model.epoch;
    r->checkpoint_due = false;
    r->checkpoint_clock = sg_seconds();
    return SG_OK;
}

/* Between two updates.  While the one before is being written, a checkpoint stays due. */
static sg_status checkpoint_if_due(run *r)
{
    hear_writer(r);
    return is_due(r) && sg_writer_takes_checkpoint(r->writer) ? hand_over_checkpoint(r) : SG_OK;
}

/* Saves the state as it is now and waits for it: training has stopped. */
static sg_status save_now(run *r)
{
    sg_writer_news news;
    drain_writer(r);
    sg_writer_get_news(r->writer, SG_WRITER_CHECKPOINT, &news); /* of what no longer matters */
    SG_TRY(hand_over_checkpoint(r));
    drain_writer(r);
    sg_writer_get_news(r->writer, SG_WRITER_CHECKPOINT, &news);
    if (news.written > 0)
        return SG_OK;
    if (news.status == SG_OK) /* it was not written because the best was not */
        sg_writer_get_news(r->writer, SG_WRITER_BEST, &news);
    return sg_fail(news.status, "the checkpoint of epoch %lld was not saved%s: %s", (long long)r->model.epoch,
                   sg_path_exists(r->paths.checkpoint) ? " (the one before is intact)" : "", news.text);
}

static sg_status interrupt(run *r)
{
    SG_TRY(save_now(r));
    return sg_fail(
        SG_E_INTERRUPTED, "stopped after update %lld of epoch %lld; the state is in %s: go on with --resume",
        (long long)r->model.update, (long long)(r->model.update - 1) / r->batches + 1, r->paths.checkpoint);
}

/* The device failed, or ran out of memory: saves what can still be had from it. */
static sg_status rescue(run *r, sg_status status)
{
    char reason[512];
    if ((status != SG_E_DEVICE && status != SG_E_MEMORY) || r->model.update == 0)
        return status;
    snprintf(reason, sizeof reason, "%s", sg_error_text());
    if (end_updates(r, 0) == SG_OK && save_now(r) == SG_OK)
        return sg_fail(status, "%s; the state after update %lld is in %s: go on with --resume", reason,
                       (long long)r->model.update, r->paths.checkpoint);
    if (!sg_path_exists(r->paths.checkpoint))
        return sg_fail(status, "%s; nothing could be saved, and there was no checkpoint yet", reason);
    return sg_fail(status, "%s; the last checkpoint, %s, is intact: go on with --resume", reason,
                   r->paths.checkpoint);
}

/* ---- one epoch ---- */

static void show_progress(const run *r, double epoch_seconds, const sg_history_line *line)
{
    sg_timing timing;
    char left[32];
    double flops = 0;
    sg_engine_timing(r->engine, &timing);
    for (int p = 0; p < SG_PHASES; p++)
        flops += timing.flops[p];
    sg_progress(line->evaluated,
                "epoch %lld/%lld  loss %.4f  P_D %.2f%%  %.0f dialogs/s  %.0f GFLOP/s  %s left",
                (long long)line->epoch, (long long)r->config->epochs, line->loss, 100 * line->running_pd,
                (double)r->row_count / epoch_seconds, flops / epoch_seconds * 1e-9,
                sg_duration_text((double)(r->config->epochs - line->epoch) * epoch_seconds, left));
}

static bool is_better(const run *r, const sg_history_line *line)
{
    double pd =
        isfinite(line->pd[SG_SPLIT_VALIDATION]) ? line->pd[SG_SPLIT_VALIDATION] : line->pd[SG_SPLIT_TRAIN];
    return pd > r->model.best_pd || (pd == r->model.best_pd && line->loss < r->model.best_loss);
}

/* The weights are in r->model; evaluate() has seen to that. */
static void keep_best(run *r, const sg_history_line *line)
{
    bool validated = isfinite(line->pd[SG_SPLIT_VALIDATION]);
    if (!r->config->keep_best || !is_better(r, line))
        return;
    r->model.best_pd = line->pd[validated ? SG_SPLIT_VALIDATION : SG_SPLIT_TRAIN];
    r->model.best_loss = line->loss;
    sg_writer_best(r->writer, &r->model);
}

/* Appends to history.csv; says where the run can be taken up if that fails.  A file that is being written may
 * have taken the last room on the disk for the moment. */
static sg_status record(run *r, const sg_history_line *line)
{
    if (sg_history_append(r->paths.history, line) == SG_OK)
        return SG_OK;
    settle(r);
    sg_status status = sg_history_append(r->paths.history, line);
    if (status != SG_OK && sg_path_exists(r->paths.checkpoint))
        return sg_fail_prefix(status, "epoch %lld was not recorded (the last checkpoint is intact)",
                              (long long)line->epoch);
    return status;
}

/* Evaluates all splits, and takes the weights over if they are the best; until it is done, the epoch is not
 * closed and the run can be saved as it stands. */
static sg_status evaluate(run *r, sg_history_line *line)
{
    if (!line->evaluated)
        return SG_OK;
    SG_TRY(sg_engine_infer_all(r->engine, &r->set, &r->outputs));
    sg_split_pd(r->corpus, r->outputs.argmax, line->pd);
    bool best = r->config->keep_best && is_better(r, line);
    return best ? sg_engine_store(r->engine, &r->model.params) : SG_OK;
}

/* The end of an epoch: evaluation, history, best weights, checkpoint. */
static sg_status close_epoch(run *r, double epoch_seconds)
{
    const sg_config *c = r->config;
    int64_t trained = r->batches * c->batch_size < r->row_count ? r->batches * c->batch_size : r->row_count;
    int64_t epoch = r->model.epoch + 1;
    sg_history_line line = {.epoch = epoch,
                            .update = r->model.update,
                            .loss = r->model.partial_loss / (double)trained,
                            .running_pd = (double)r->model.partial_right / (double)trained,
                            .evaluated = epoch % c->eval_every == 0 || epoch == c->epochs,
                            .learning_rate = learning_rate_at(r, r->model.update),
                            .gradient_norm = r->norm};
    show_progress(r, epoch_seconds, &line);
    SG_TRY(evaluate(r, &line));
    r->model.epoch = epoch;
    r->model.partial_loss = 0;
    r->model.partial_right = 0;
    if (line.evaluated) {
        keep_best(r, &line);
        r->model.goal_reached = c->stop_when_train_pd > 0 && line.pd[SG_SPLIT_TRAIN] >= c->stop_when_train_pd;
    }
    line.seconds = seconds_so_far(r);
    SG_TRY(record(r, &line));
    if (is_finished(r))
        return SG_OK;
    r->checkpoint_due |= c->checkpoint_every > 0 && epoch % c->checkpoint_every == 0;
    return checkpoint_if_due(r);
}

/* Updates of this epoch that are still to be done.  While the device works on one, the next is prepared. */
static sg_status run_updates(run *r)
{
    int64_t last = (r->model.epoch + 1) * r->batches;
    for (int64_t next = r->model.update; next < last; next++) {
        SG_TRY(begin_update(r));
        SG_TRY(end_updates(r, 1));
        if (next + 1 == last)
            break;
        if (*r->training->stop) {
            SG_TRY(end_updates(r, 0));
            return interrupt(r);
        }
        SG_TRY(checkpoint_if_due(r));
    }
    return end_updates(r, 0);
}

static sg_status run_epoch(run *r)
{
    double start = sg_seconds();
    sg_epoch_order(r->row_count, (uint64_t)r->config->seed, r->model.epoch + 1, r->order);
    sg_engine_reset_timing(r->engine);
    sg_status status = run_updates(r);
    if (status == SG_OK)
        status = close_epoch(r, sg_seconds() - start);
    if (status != SG_OK)
        settle(r);
    return rescue(r, explain_divergence(r, status));
}

/* After the last update: the best weights must be on the disk, and so should the last checkpoint if the run
 * was asked for one. */
static sg_status finish_files(run *r)
{
    sg_writer_news news;
    settle(r);
    sg_writer_retry(r->writer);
    drain_writer(r);
    sg_writer_get_news(r->writer, SG_WRITER_BEST, &news);
    if (!sg_writer_has_written_best(r->writer))
        return sg_fail(news.status, "%s", news.text);
    bool asked = r->config->checkpoint_every > 0 && r->saved_epoch != r->model.epoch;
    if (asked && save_now(r) != SG_OK && !r->write_fails[SG_WRITER_CHECKPOINT])
        sg_warn("%s", sg_error_text());
    return SG_OK;
}

static sg_status run_epochs(run *r, int64_t *waits)
{
    int64_t before = sg_h5_waits();
    sg_training_progress *progress = r->training->progress;
    if (progress)
        progress->before = progress->done = r->model.epoch;
    while (!is_finished(r)) {
        SG_TRY(run_epoch(r));
        if (progress)
            progress->done = r->model.epoch;
        if (*r->training->stop && !is_finished(r))
            return interrupt(r);
    }
    *waits = r->waits + sg_h5_waits() - before;
    return SG_OK;
}

static sg_status train(run *r, sg_trained *trained)
{
    SG_TRY(begin(r));
    SG_TRY(run_epochs(r, &trained->waits));
    SG_TRY(sg_engine_store(r->engine, &r->model.params));
    SG_TRY(sg_params_check_finite(&r->model.params));
    trained->seconds = seconds_so_far(r);
    trained->epochs = r->model.epoch;
    trained->stopped_early = r->model.epoch < r->config->epochs;
    snprintf(trained->engine, sizeof trained->engine, "%s", sg_engine_description(r->engine));
    SG_TRY(finish_files(r));
    if (r->config->keep_best)
        return sg_model_read(&trained->model, NULL, r->paths.best);
    trained->model = r->model;
    r->model = (sg_model){0};
    return SG_OK;
}

sg_status sg_train(const sg_training *training, sg_trained *trained)
{
    *trained = (sg_trained){0};
    run r = {.training = training,
             .config = training->config,
             .corpus = training->corpus,
             .start = sg_seconds(),
             .saved_epoch = -1};
    sg_status status = train(&r, trained);
    end(&r);
    return status;
}
