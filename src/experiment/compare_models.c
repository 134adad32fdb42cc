#include "experiment/compare_models.h"

#include "base/files.h"
#include "base/log.h"
#include "experiment/report.h"
#include <errno.h>
#include <string.h>

/* Bytes of outputs beyond which runs are not pooled. */
#define POOLED_BYTES_MAX 8e9

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
    *probabilities = compare->one.wanted || compare->all.wanted;
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

/* What the first `runs` of a model say together, as rows of together.csv. */
static sg_status add_growth(sg_verdict_table *growth, const char *model, int runs, sg_combined combined,
                            const sg_detection *detection)
{
    for (int i = 0; i < SG_NETWORK_DETECTORS; i++) {
        sg_verdicts row = detection->detector[i];
        row.runs = runs;
        row.combined = combined;
        snprintf(row.model, sizeof row.model, "%s", model);
        SG_TRY(sg_verdict_table_add(growth, &row, NULL, 0));
    }
    return SG_OK;
}

/* What pooled runs come to, as detectors: with those that were added before them, or beside all others. */
static sg_status add_pooled(sg_verdict_table *growth, sg_comparison *comparison, const char *model,
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
        SG_TRY_GOTO(status, done, add_growth(growth, model, pooled->runs, combined, &detection));
    if (comparison)
        SG_TRY_GOTO(status, done, sg_comparison_add(comparison, model, pooled->runs, combined, &detection));
done:
    sg_detection_free(&detection);
    sg_outputs_free(&outputs);
    return status;
}

static sg_status add_pools(sg_verdict_table *growth, sg_comparison *comparison, const char *model,
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
        return add_growth(&c->growth, model, 1, SG_COMBINED_NOT, detection);
    SG_TRY(add_growth(&c->growth, model, c->runs, SG_COMBINED_MAX, best));
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

/* ---- files ---- */

typedef sg_status (*file_writer)(const sg_experiment_compare *, FILE *);

static sg_status put_comparison(const sg_experiment_compare *c, FILE *out)
{
    return sg_report_verdicts(c->comparison.table.row, c->comparison.table.count, out);
}

static sg_status put_paired(const sg_experiment_compare *c, FILE *out)
{
    return sg_report_paired(&c->comparison, out);
}

static sg_status put_growth(const sg_experiment_compare *c, FILE *out)
{
    return sg_report_verdicts(c->growth.row, c->growth.count, out);
}

static sg_status put_early(const sg_experiment_compare *c, FILE *out)
{
    return sg_report_early(&c->beginnings, out);
}

static sg_status put_positions(const sg_experiment_compare *c, FILE *out)
{
    return sg_report_early_positions(&c->beginnings, out);
}

/* A file that this experiment does not have is removed: another one, of more runs, left it there. */
static sg_status write_file(const sg_experiment_compare *c, const char *folder, const char *name, bool has,
                            file_writer write)
{
    char path[SG_PATH_MAX];
    sg_atomic_file file;
    FILE *out;
    SG_TRY(sg_path_join(path, folder, name));
    if (!has)
        return remove(path) == 0 || errno == ENOENT
                   ? SG_OK
                   : sg_fail(SG_E_IO, "cannot remove %s: %s", path, strerror(errno));
    SG_TRY(sg_text_open(&file, &out, path));
    return sg_text_finish(&file, out, write(c, out));
}

sg_status sg_experiment_compare_write(const sg_experiment_compare *compare, const char *folder, FILE *roc)
{
    sg_report_baseline_rocs(&compare->comparison, roc);
    sg_report_combined_rocs(&compare->comparison, roc);
    SG_TRY(write_file(compare, folder, "comparison.csv", true, put_comparison));
    SG_TRY(write_file(compare, folder, "paired.csv", true, put_paired));
    SG_TRY(write_file(compare, folder, "together.csv", compare->growth.count > 0, put_growth));
    SG_TRY(write_file(compare, folder, "early.csv", compare->early, put_early));
    return write_file(compare, folder, "early_position.csv", compare->early, put_positions);
}

void sg_experiment_compare_free(sg_experiment_compare *compare)
{
    sg_comparison_free(&compare->comparison);
    sg_early_free(&compare->beginnings);
    sg_verdict_table_free(&compare->growth);
    free_pools(&compare->one);
    free_pools(&compare->all);
}
