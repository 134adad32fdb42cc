#include "experiment/compare_models.h"

#include "base/files.h"
#include "base/log.h"
#include "experiment/comparison_files.h"
#include <errno.h>
#include <string.h>

/* Bytes of outputs beyond which runs are not pooled. */
#define POOLED_BYTES_MAX 8e9

/* ... up to which a single run's outputs are kept for its record, so that others may join it later. */
#define RECORDED_BYTES_MAX 1e9

/* Both pools, of one model and of all. */
static bool pools_fit(int classes)
{
    return 2 * SG_POOL_RULES * sg_pooled_bytes(classes, classes) <= POOLED_BYTES_MAX;
}

static void free_pools(sg_run_pools *pools)
{
    for (int i = 0; i < SG_POOL_RULES; i++)
        sg_pooled_free(&pools->by[i]);
}

void sg_experiment_compare_open(sg_experiment_compare *compare, bool early, int models, int classes)
{
    *compare = (sg_experiment_compare){.early = early, .all.wanted = models > 1 && pools_fit(classes)};
}

void sg_experiment_compare_begin(sg_experiment_compare *compare, const char *model, int expected, int classes,
                                 bool *probabilities)
{
    compare->expected = expected;
    compare->runs = 0;
    free_pools(&compare->one);
    compare->one.wanted = expected > 1 && pools_fit(classes);
    if (expected > 1 && !compare->one.wanted)
        sg_note("model %s: mean and envelope of the runs' outputs are left out: %d classes are too many to "
                "keep them",
                model, classes);
    *probabilities =
        sg_pooled_bytes(classes, classes) <= RECORDED_BYTES_MAX || compare->one.wanted || compare->all.wanted;
}

static sg_status pool_run(sg_run_pools *pools, const sg_session *session)
{
    for (int i = 0; pools->wanted && i < SG_POOL_RULES; i++) {
        sg_pooled *pooled = &pools->by[i];
        if (!pooled->value)
            SG_TRY(sg_pooled_init(pooled, (sg_pool_rule)i, session->corpus.classes,
                                  session->model->spec.classes));
        SG_TRY(sg_pooled_add(pooled, &session->outputs));
    }
    return SG_OK;
}

/* What pooled runs come to, as detectors: with those that were added before them, or beside all others. */
static sg_status add_pooled(sg_growth *growth, sg_comparison *comparison, const char *model,
                            const sg_corpus *corpus, const sg_pooled *pooled)
{
    const sg_combined combined = sg_combined_of(pooled->rule);
    const sg_detection_options options = SG_DETECTION_DEFAULTS;
    sg_outputs outputs = {0};
    sg_detection detection = {0};
    sg_status status;
    SG_TRY_GOTO(status, done, sg_outputs_alloc(&outputs, pooled->count, pooled->classes, false));
    SG_TRY_GOTO(status, done, sg_pooled_outputs(pooled, &outputs));
    SG_TRY_GOTO(status, done, sg_detection_run(&detection, corpus, &outputs, &options));
    if (growth)
        SG_TRY_GOTO(status, done, sg_growth_add(growth, model, pooled->runs, combined, &detection));
    if (comparison)
        SG_TRY_GOTO(status, done, sg_comparison_add(comparison, model, pooled->runs, combined, &detection));
done:
    sg_detection_free(&detection);
    sg_outputs_free(&outputs);
    return status;
}

static sg_status add_pools(sg_growth *growth, sg_comparison *comparison, const char *model,
                           const sg_corpus *corpus, const sg_run_pools *pools)
{
    for (int i = 0; pools->wanted && i < SG_POOL_RULES; i++)
        SG_TRY(add_pooled(growth, comparison, model, corpus, &pools->by[i]));
    return SG_OK;
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

static sg_status add_first_run(sg_experiment_compare *c, const char *model, const sg_session *session,
                               const sg_detection *detection, sg_outputs *beginnings)
{
    SG_TRY(sg_comparison_add(&c->comparison, model, 1, SG_COMBINED_NOT, detection));
    if (!c->early)
        return SG_OK;
    if (session->detector)
        SG_TRY(sg_early_run(&c->beginnings, model, session->model, sg_detector_engine(session->detector),
                            &session->corpus, beginnings));
    else if (beginnings->count == 0)
        sg_note("model %s: its first run is a record without beginnings: it has no part in early detection",
                model);
    return sg_early_add_outputs(&c->beginnings, model, session->model, &session->corpus, beginnings,
                                detection);
}

/* The runs of a model so far together, of which there will be several. */
static sg_status add_together(sg_experiment_compare *c, const char *model, const sg_session *session,
                              const sg_detection *detection, const sg_detection *best)
{
    const bool last = c->runs == c->expected;
    if (c->runs == 1)
        return sg_growth_add(&c->growth, model, 1, SG_COMBINED_NOT, detection);
    SG_TRY(sg_growth_add(&c->growth, model, c->runs, SG_COMBINED_MAX, best));
    if (last)
        SG_TRY(sg_comparison_add(&c->comparison, model, c->runs, SG_COMBINED_MAX, best));
    return add_pools(&c->growth, last ? &c->comparison : NULL, model, &session->corpus, &c->one);
}

sg_status sg_experiment_compare_add(sg_experiment_compare *compare, const char *model,
                                    const sg_session *session, const sg_detection *detection,
                                    const sg_detection *best, sg_outputs *beginnings)
{
    SG_TRY(open_tables(compare, session, detection));
    if (compare->runs++ == 0)
        SG_TRY(add_first_run(compare, model, session, detection, beginnings));
    if ((compare->one.wanted || compare->all.wanted) && !session->outputs.probabilities) {
        sg_note("model %s: mean and envelope of the runs' outputs are left out: a record does not hold them",
                model);
        compare->one.wanted = compare->all.wanted = false;
    }
    SG_TRY(pool_run(&compare->one, session));
    SG_TRY(pool_run(&compare->all, session));
    return compare->expected > 1 ? add_together(compare, model, session, detection, best) : SG_OK;
}

sg_status sg_experiment_compare_all(sg_experiment_compare *compare, const sg_corpus *corpus)
{
    return add_pools(NULL, &compare->comparison, "all", corpus, &compare->all);
}

static sg_status open_file(const char *folder, const char *name, sg_atomic_file *file, FILE **out)
{
    char path[SG_PATH_MAX];
    SG_TRY(sg_path_join(path, folder, name));
    return sg_text_open(file, out, path);
}

/* What an experiment of more runs left there is not of this one. */
static sg_status remove_file(const char *folder, const char *name)
{
    char path[SG_PATH_MAX];
    SG_TRY(sg_path_join(path, folder, name));
    return remove(path) == 0 || errno == ENOENT
               ? SG_OK
               : sg_fail(SG_E_IO, "cannot remove %s: %s", path, strerror(errno));
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
    SG_TRY(remove_file(folder, "roc_combined.csv"));
    if (compare->comparison.curves > 0) {
        SG_TRY(open_file(folder, "roc_combined.csv", &file, &out));
        sg_report_combined_rocs(&compare->comparison, out);
        SG_TRY(sg_text_finish(&file, out, SG_OK));
    }
    SG_TRY(remove_file(folder, "together.csv"));
    if (compare->growth.rows > 0) {
        SG_TRY(open_file(folder, "together.csv", &file, &out));
        SG_TRY(sg_text_finish(&file, out, sg_report_growth(&compare->growth, out)));
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
    sg_growth_free(&compare->growth);
    free_pools(&compare->one);
    free_pools(&compare->all);
}
