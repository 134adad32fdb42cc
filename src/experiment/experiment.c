#include "experiment/experiment.h"

#include "base/memory.h"
#include "experiment/record.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static sg_status add_model(sg_experiment *e, const char *name)
{
    sg_config config = *e->config;
    SG_TRY(sg_config_set_model(&config, name));
    for (int m = 0; m < e->models; m++)
        if (strcmp(e->model[m], name) == 0)
            return sg_fail(SG_E_CONFIG, "experiment.models names %s twice", name);
    if (e->models == SG_MODELS_MAX)
        return sg_fail(SG_E_CONFIG, "experiment.models names more than %d models", SG_MODELS_MAX);
    char file[64];
    snprintf(file, sizeof file, "model%s.ini", name);
    SG_TRY(sg_path_join(e->model_ini[e->models], e->folder, file));
    snprintf(e->model[e->models], sizeof e->model[0], "%s", name);
    e->model_config[e->models++] = config;
    return SG_OK;
}

/* "1.0, 2.0" */
static sg_status list_models(sg_experiment *e)
{
    char names[SG_TEXT_MAX], *rest = NULL;
    snprintf(names, sizeof names, "%s", e->config->models);
    for (char *name = strtok_r(names, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest))
        SG_TRY(add_model(e, name));
    return e->models ? SG_OK : sg_fail(SG_E_CONFIG, "experiment.models names no model");
}

static sg_status list_runs(sg_experiment *e)
{
    char runs[SG_PATH_MAX], records[SG_PATH_MAX], file[80];
    SG_TRY(sg_path_join(runs, e->folder, "runs"));
    SG_TRY(sg_path_join(records, e->folder, "records"));
    SG_TRY(sg_alloc(&e->run, e->models * e->config->seeds, "runs"));
    for (int m = 0; m < e->models; m++)
        for (int64_t s = 0; s < e->config->seeds; s++) {
            sg_experiment_run *run = &e->run[e->count++];
            run->model = m;
            run->seed = e->config->seed + s;
            snprintf(run->name, sizeof run->name, "model%s_seed%lld", e->model[m], (long long)run->seed);
            SG_TRY(sg_path_join(run->folder, runs, run->name));
            snprintf(file, sizeof file, "%s.h5", run->name);
            SG_TRY(sg_path_join(run->record, records, file));
        }
    return SG_OK;
}

/* ---- what is there already ---- */

/* Keys on which the outcome of a run does not depend. */
static bool is_no_matter(const sg_option *o)
{
    return strcmp(o->section, "experiment") == 0 || strcmp(o->section, "data") == 0 ||
           (strcmp(o->section, "engine") == 0 && strcmp(o->key, "precision") != 0) ||
           (strcmp(o->section, "train") == 0 && strncmp(o->key, "checkpoint_", strlen("checkpoint_")) == 0);
}

/* Whether a finished run's provenance names the corpus at hand; no provenance counts as no. */
static bool is_of_corpus(const char *path, const sg_corpus *corpus)
{
    char *text;
    size_t length;
    if (sg_file_read(path, 1 << 20, &text, &length) != SG_OK)
        return false;
    cJSON *root = cJSON_ParseWithLength(text, length);
    const char *digest = cJSON_GetStringValue(cJSON_GetObjectItem(root, "corpus_digest"));
    const bool same = digest && strcmp(digest, corpus->digest) == 0;
    cJSON_Delete(root);
    free(text);
    return same;
}

/* What makes the run in this folder another one than is wanted now, into `what`; "" if nothing does. */
static sg_status find_differences(const sg_experiment *e, const sg_experiment_run *run,
                                  const sg_corpus *corpus, char what[SG_TEXT_MAX])
{
    sg_run_paths paths;
    sg_config wanted = e->model_config[run->model], there;
    what[0] = '\0';
    wanted.seed = run->seed;
    SG_TRY(sg_run_paths_make(&paths, run->folder));
    if (!sg_path_exists(paths.config))
        return SG_OK;
    SG_TRY(sg_config_defaults(&there));
    SG_TRY(sg_options_read_ini(sg_config_table, &there, paths.config));
    if (sg_options_differences(sg_config_table, &there, &wanted, is_no_matter, what, SG_TEXT_MAX) == 0 &&
        run->complete && !is_of_corpus(paths.provenance, corpus))
        snprintf(what, SG_TEXT_MAX, "the corpus");
    return SG_OK;
}

/* The same for a frozen run, by the settings of its model where they are known. */
static sg_status find_frozen_differences(const sg_experiment *e, const sg_experiment_run *run,
                                         const sg_corpus *corpus, char what[SG_TEXT_MAX])
{
    const char *settings = sg_frozen_settings(&e->frozen, e->model[run->model]);
    sg_config wanted = e->model_config[run->model], there = wanted;
    what[0] = '\0';
    if (settings[0]) {
        SG_TRY(sg_config_defaults(&there));
        SG_TRY(sg_options_read_ini_text(sg_config_table, &there, settings, "provenance.json"));
        there.seed = wanted.seed; /* of the first run */
    }
    if (sg_options_differences(sg_config_table, &there, &wanted, is_no_matter, what, SG_TEXT_MAX) == 0 &&
        !sg_frozen_is_of(&e->frozen, corpus))
        snprintf(what, SG_TEXT_MAX, "the corpus");
    return SG_OK;
}

/* A frozen experiment has the runs that its files hold, and no others. */
static sg_status look_at_frozen(const sg_experiment *e, sg_experiment_run *run, const sg_corpus *corpus)
{
    char what[SG_TEXT_MAX];
    run->complete = sg_frozen_has(&e->frozen, e->model[run->model], run->seed);
    if (!run->complete)
        return SG_OK;
    SG_TRY(find_frozen_differences(e, run, corpus, what));
    return what[0] ? sg_fail(SG_E_CONFIG, "%s in %s was trained with other settings (%s)", run->name,
                             e->folder, what)
                   : SG_OK;
}

/* What find_differences says, of a run of which there is only a record. */
static sg_status find_recorded_differences(const sg_experiment *e, const sg_experiment_run *run,
                                           const sg_corpus *corpus, char what[SG_TEXT_MAX])
{
    sg_record record;
    sg_config wanted = e->model_config[run->model], there;
    wanted.seed = run->seed;
    sg_status status;
    what[0] = '\0';
    SG_TRY_GOTO(status, done, sg_record_read(&record, run->record));
    SG_TRY_GOTO(status, done, sg_config_defaults(&there));
    SG_TRY_GOTO(status, done,
                sg_options_read_ini_text(sg_config_table, &there, record.model.config, run->record));
    if (sg_options_differences(sg_config_table, &there, &wanted, is_no_matter, what, SG_TEXT_MAX) == 0 &&
        strcmp(record.model.corpus_digest, corpus->digest) != 0)
        snprintf(what, SG_TEXT_MAX, "the corpus");
done:
    sg_record_free(&record);
    return status;
}

/* Whether an unfinished run can be gone on with is for `train --resume` to judge. */
static sg_status look_at_run(const sg_experiment *e, sg_experiment_run *run, const sg_corpus *corpus,
                             bool force)
{
    char what[SG_TEXT_MAX];
    run->complete = sg_run_is_complete(run->folder);
    run->recorded = !run->complete && sg_path_exists(run->record);
    SG_TRY(run->recorded ? find_recorded_differences(e, run, corpus, what)
                         : find_differences(e, run, corpus, what));
    run->complete = run->complete || run->recorded;
    run->anew = what[0] && force;
    if (what[0] && run->complete && !force)
        return sg_fail(SG_E_CONFIG,
                       "%s was trained with other settings (%s); --out another folder, or --force to train "
                       "it anew",
                       run->recorded ? run->record : run->folder, what);
    run->complete = run->complete && !run->anew;
    run->recorded = run->recorded && !run->anew;
    return SG_OK;
}

sg_status sg_experiment_make(sg_experiment *experiment, const sg_config *config, const sg_corpus *corpus,
                             const char *folder, bool force)
{
    *experiment = (sg_experiment){.config = config, .folder = folder, .classes = corpus->classes};
    SG_TRY(list_models(experiment));
    SG_TRY(list_runs(experiment));
    SG_TRY(sg_frozen_read(&experiment->frozen, folder));
    for (int i = 0; i < experiment->count; i++)
        SG_TRY(experiment->frozen.runs ? look_at_frozen(experiment, &experiment->run[i], corpus)
                                       : look_at_run(experiment, &experiment->run[i], corpus, force));
    return SG_OK;
}

int sg_experiment_complete(const sg_experiment *experiment, int model)
{
    int complete = 0;
    for (int i = 0; i < experiment->count; i++)
        complete += experiment->run[i].model == model && experiment->run[i].complete;
    return complete;
}

void sg_experiment_free(sg_experiment *experiment)
{
    free(experiment->run);
    sg_frozen_free(&experiment->frozen);
    *experiment = (sg_experiment){0};
}
