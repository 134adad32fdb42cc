#include "cli/experiment_compare.h"

#include "base/files.h"
#include "base/log.h"
#include "cli/comparison_files.h"

/* Bytes of summed outputs beyond which the mean of runs is left out. */
#define MEAN_BYTES_MAX 4e9

/* ... up to which a single run's outputs are kept for its record, so that others may join it later. */
#define RECORDED_BYTES_MAX 1e9

void sg_experiment_compare_begin(sg_experiment_compare *compare, const char *model, int expected, int classes,
                                 bool *probabilities)
{
    compare->expected = expected;
    compare->runs = 0;
    compare->mean_wanted = expected > 1 && sg_mean_ensemble_bytes(classes, classes) <= MEAN_BYTES_MAX;
    if (expected > 1 && !compare->mean_wanted)
        sg_note("model %s: the mean of the runs' outputs is left out: %d classes are too many to keep them",
                model, classes);
    *probabilities = sg_mean_ensemble_bytes(classes, classes) <= RECORDED_BYTES_MAX || compare->mean_wanted;
}

/* The detectors without a network, with the first run of all. */
static sg_status open_tables(sg_experiment_compare *c, const sg_session *session,
                             const sg_detection *detection)
{
    if (c->opened)
        return SG_OK;
    c->opened = true;
    SG_TRY(sg_comparison_open(&c->comparison, &session->corpus, detection));
    return c->early ? sg_early_open(&c->beginnings, &session->corpus, detection) : SG_OK;
}

/* Runs the network over the beginnings. */
static sg_status run_beginnings(const sg_experiment_compare *c, const char *model, const sg_session *session,
                                const sg_session_options *options, sg_outputs *beginnings)
{
    sg_engine *engine;
    SG_TRY(sg_session_engine(session, options, &engine));
    sg_status status =
        sg_early_run(&c->beginnings, model, &session->model, engine, &session->corpus, beginnings);
    sg_engine_close(engine);
    return status;
}

static sg_status add_first_run(sg_experiment_compare *c, const char *model, const sg_session *session,
                               const sg_session_options *options, const sg_detection *detection,
                               sg_outputs *beginnings)
{
    SG_TRY(sg_comparison_add(&c->comparison, model, 1, SG_COMBINED_NOT, detection));
    if (c->mean_wanted)
        SG_TRY(sg_mean_ensemble_init(&c->mean, session->corpus.classes, session->model.spec.classes));
    if (!c->early)
        return SG_OK;
    if (options)
        SG_TRY(run_beginnings(c, model, session, options, beginnings));
    else if (beginnings->count == 0)
        sg_note("model %s: its first run is a record without beginnings: it has no part in early detection",
                model);
    return sg_early_add_outputs(&c->beginnings, model, &session->model, &session->corpus, beginnings,
                                detection);
}

/* The mean of all runs of a model, which its last session helps to judge. */
static sg_status add_mean(sg_experiment_compare *c, const char *model, const sg_session *session)
{
    const sg_detection_options options = SG_DETECTION_DEFAULTS;
    sg_outputs outputs = {0};
    sg_detection detection = {0};
    sg_status status;
    SG_TRY_GOTO(status, done,
                sg_outputs_alloc(&outputs, session->corpus.classes, session->model.spec.classes, false));
    SG_TRY_GOTO(status, done, sg_mean_ensemble_outputs(&c->mean, &outputs));
    SG_TRY_GOTO(status, done, sg_detection_run(&detection, &session->corpus, &outputs, &options));
    SG_TRY_GOTO(status, done,
                sg_comparison_add(&c->comparison, model, c->runs, SG_COMBINED_MEAN, &detection));
done:
    sg_detection_free(&detection);
    sg_outputs_free(&outputs);
    sg_mean_ensemble_free(&c->mean);
    return status;
}

sg_status sg_experiment_compare_add(sg_experiment_compare *compare, const char *model,
                                    const sg_session *session, const sg_session_options *options,
                                    const sg_detection *detection, const sg_detection *best,
                                    sg_outputs *beginnings)
{
    SG_TRY(open_tables(compare, session, detection));
    if (compare->runs++ == 0)
        SG_TRY(add_first_run(compare, model, session, options, detection, beginnings));
    if (compare->mean_wanted && !session->outputs.probabilities) {
        sg_note("model %s: the mean of the runs' outputs is left out: a record does not hold them", model);
        compare->mean_wanted = false;
    }
    if (compare->mean_wanted)
        SG_TRY(sg_mean_ensemble_add(&compare->mean, &session->outputs));
    if (compare->runs < compare->expected || compare->expected == 1)
        return SG_OK;
    SG_TRY(sg_comparison_add(&compare->comparison, model, compare->runs, SG_COMBINED_MAX, best));
    return compare->mean_wanted ? add_mean(compare, model, session) : SG_OK;
}

static sg_status open_file(const char *folder, const char *name, sg_atomic_file *file, FILE **out)
{
    char path[SG_PATH_MAX];
    SG_TRY(sg_path_join(path, folder, name));
    return sg_text_open(file, out, path);
}

sg_status sg_experiment_compare_write(const sg_experiment_compare *compare, const char *folder)
{
    char name[64];
    sg_atomic_file file;
    FILE *out;
    for (int i = 0; i < SG_COMPARISON_FILES; i++) {
        sg_comparison_file_name(i, name);
        SG_TRY(open_file(folder, name, &file, &out));
        SG_TRY(sg_text_finish(&file, out, sg_comparison_file_write(&compare->comparison, i, out)));
    }
    for (int i = 0; compare->early && i < SG_EARLY_FILES; i++) {
        sg_early_file_name(i, name);
        SG_TRY(open_file(folder, name, &file, &out));
        SG_TRY(sg_text_finish(&file, out, sg_early_file_write(&compare->beginnings, i, out)));
    }
    return SG_OK;
}

void sg_experiment_compare_free(sg_experiment_compare *compare)
{
    sg_comparison_free(&compare->comparison);
    sg_early_free(&compare->beginnings);
    sg_mean_ensemble_free(&compare->mean);
}
