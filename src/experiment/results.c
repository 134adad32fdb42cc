#include "experiment/experiment.h"

#include "base/log.h"
#include "base/memory.h"
#include "experiment/compare_models.h"
#include "experiment/ensemble.h"
#include "experiment/report.h"
#include "experiment/session.h"
#include <stdlib.h>
#include <string.h>

/* CSV files that hold the lines of all runs. */
typedef enum { LINES_HISTORY, LINES_MOMENTS, LINES_ROC, LINES_FILES } lines_file;

typedef struct {
    const sg_experiment *experiment;
    sg_experiment_results *results;
    sg_ensemble ensemble; /* of the model at hand */
    sg_experiment_compare compare;
    sg_session_options session; /* of the run at hand */
    sg_record record;           /* of the run at hand; what its session holds is not here */
    bool frozen;                /* only the tables of runs are made, no lines and no comparison */
    bool probabilities;         /* the model's sessions are to keep all outputs */
    FILE *stream[LINES_FILES];
    sg_atomic_file file[LINES_FILES];
    int opened, runs_done;
    bool first; /* the next run is the first of its model */
} evaluation_state;

static sg_status open_lines(evaluation_state *s)
{
    static const char *const names[] = {"history.csv", "moments.csv", "roc.csv"};
    char path[SG_PATH_MAX];
    for (s->opened = 0; s->opened < LINES_FILES; s->opened++) {
        SG_TRY(sg_path_join(path, s->experiment->folder, names[s->opened]));
        SG_TRY(sg_text_open(&s->file[s->opened], &s->stream[s->opened], path));
    }
    sg_report_moments_head(s->stream[LINES_MOMENTS]);
    sg_report_roc_head(s->stream[LINES_ROC]);
    return SG_OK;
}

static sg_status close_lines(evaluation_state *s, sg_status status)
{
    for (int i = 0; i < s->opened; i++) {
        sg_status closed = sg_text_finish(&s->file[i], s->stream[i], status);
        status = status == SG_OK ? closed : status;
    }
    s->opened = 0;
    return status;
}

/* A history with model and seed in front; the head only from the first run. */
static void put_history(FILE *out, const char *model, int64_t seed, const char *text, bool with_head)
{
    bool head = true;
    while (*text) {
        const size_t n = strcspn(text, "\n");
        if (head && with_head)
            fprintf(out, "model,seed,%.*s\n", (int)n, text);
        else if (!head)
            fprintf(out, "%s,%lld,%.*s\n", model, (long long)seed, (int)n, text);
        head = false;
        text += n + (text[n] == '\n');
    }
}

/* Figures of one set of outputs, of a run or of an ensemble; the detection is left for the caller to free. */
static sg_status take_figures(sg_run_result *result, const char *model, int64_t seed,
                              const sg_session *session, const sg_outputs *outputs, sg_detection *detection)
{
    const sg_detection_options options = SG_DETECTION_DEFAULTS;
    sg_evaluation evaluation[SG_SPLITS];
    sg_evaluate(&session->counts, outputs->argmax, session->class_of, session->known, evaluation);
    SG_TRY(sg_detection_run(detection, &session->corpus, outputs, &options));
    sg_run_result_make(result, model, seed, session->model->epoch, evaluation, detection);
    return SG_OK;
}

/* The run by itself, with its lines, into `detection`. */
static sg_status evaluate_alone(evaluation_state *s, const sg_experiment_run *run, const sg_session *session,
                                sg_detection *detection)
{
    const char *model = s->experiment->model[run->model];
    SG_TRY(take_figures(&s->results->run[s->results->runs], model, run->seed, session, &session->outputs,
                        detection));
    s->results->runs++;
    if (s->frozen)
        return SG_OK;
    put_history(s->stream[LINES_HISTORY], model, run->seed, s->record.history, s->results->runs == 1);
    sg_report_moments(detection, &session->corpus, &session->counts, &session->outputs, model, run->seed,
                      s->stream[LINES_MOMENTS]);
    for (int i = 0; i < SG_NETWORK_SCORES; i++) {
        const sg_roc_source source = {model, 1, SG_COMBINED_NOT, run->seed, sg_score_name((sg_score)i)};
        sg_report_roc(&detection->roc[i], &source, s->stream[LINES_ROC]);
    }
    return SG_OK;
}

static sg_status evaluate_session(evaluation_state *s, const sg_experiment_run *run, sg_session *session)
{
    const char *model = s->experiment->model[run->model];
    sg_detection alone = {0}, together = {0};
    sg_status status;
    if (!session->same_corpus)
        return sg_fail(SG_E_CONFIG, "%s was trained on another corpus or split", run->folder);
    snprintf(s->results->engine, sizeof s->results->engine, "%s", session->device);
    sg_record_trim(&session->outputs, session->model->spec.classes);
    if (s->first)
        SG_TRY(sg_ensemble_init(&s->ensemble, session->corpus.classes, session->model->spec.classes));
    SG_TRY(sg_ensemble_add(&s->ensemble, &session->outputs));
    SG_TRY_GOTO(status, done, evaluate_alone(s, run, session, &alone));
    /* After each run, so that the last one's session need not be kept. */
    SG_TRY_GOTO(status, done,
                take_figures(&s->results->ensemble[s->results->models], model, -1, session, &s->ensemble.best,
                             &together));
    if (!s->frozen)
        SG_TRY_GOTO(
            status, done,
            sg_experiment_compare_add(&s->compare, model, session, &alone, &together, &s->record.beginnings));
    s->first = false;
done:
    sg_detection_free(&alone);
    sg_detection_free(&together);
    return status;
}

/* What a record holds that the session does not. */
static sg_status read_run(evaluation_state *s, const sg_experiment_run *run)
{
    sg_run_paths paths;
    size_t length;
    SG_TRY(sg_run_paths_make(&paths, run->folder));
    SG_TRY(sg_file_read(paths.history, (size_t)1 << 28, &s->record.history, &length));
    return sg_run_origin(run->folder, &s->record.origin);
}

static sg_status write_record(evaluation_state *s, const sg_experiment_run *run, const sg_session *session)
{
    char folder[SG_PATH_MAX];
    sg_record record = s->record;
    record.model = *session->model;
    record.outputs = session->outputs;
    snprintf(record.inference, sizeof record.inference, "%s", session->device);
    SG_TRY(sg_path_join(folder, s->experiment->folder, "records"));
    SG_TRY(sg_folder_make(folder));
    return sg_record_write(&record, run->record);
}

static sg_status evaluate_trained(evaluation_state *s, const sg_experiment_run *run, sg_session *session)
{
    const sg_config *config = s->experiment->config;
    sg_run_paths paths;
    s->session = (sg_session_options){
        .precision = config->precision, .threads = config->threads, .probabilities = s->probabilities};
    SG_TRY(sg_run_paths_make(&paths, run->folder));
    snprintf(s->session.model, sizeof s->session.model, "%s", paths.model);
    snprintf(s->session.corpus, sizeof s->session.corpus, "%s", config->corpus);
    snprintf(s->session.device, sizeof s->session.device, "%s", config->device);
    SG_TRY(sg_session_open(session, &s->session));
    SG_TRY(read_run(s, run));
    SG_TRY(evaluate_session(s, run, session));
    return write_record(s, run, session);
}

static sg_status evaluate_recorded(evaluation_state *s, const sg_experiment_run *run, sg_session *session)
{
    SG_TRY(sg_session_open_record(session, run->record, s->experiment->config->corpus, &s->record));
    return evaluate_session(s, run, session);
}

static sg_status evaluate_frozen(evaluation_state *s, const sg_experiment_run *run, sg_session *session)
{
    const sg_experiment *e = s->experiment;
    SG_TRY(sg_session_open_frozen(session, &e->frozen, e->model[run->model], run->seed, e->config->corpus));
    return evaluate_session(s, run, session);
}

static sg_status evaluate_run(evaluation_state *s, const sg_experiment_run *run)
{
    sg_session session = {0};
    s->record = (sg_record){0};
    sg_status status = s->frozen       ? evaluate_frozen(s, run, &session)
                       : run->recorded ? evaluate_recorded(s, run, &session)
                                       : evaluate_trained(s, run, &session);
    sg_session_close(&session);
    sg_record_free(&s->record);
    return status;
}

/* All complete runs of one model; a model without any is left out of the tables. */
static sg_status evaluate_model(evaluation_state *s, int model)
{
    const sg_experiment *e = s->experiment;
    const int complete = sg_experiment_complete(e, model);
    if (complete == 0)
        return SG_OK;
    sg_status status = SG_OK;
    s->first = true;
    if (!s->frozen)
        sg_experiment_compare_begin(&s->compare, e->model[model], complete, e->classes, &s->probabilities);
    for (int i = 0; status == SG_OK && i < e->count; i++) {
        if (e->run[i].model != model || !e->run[i].complete)
            continue;
        sg_progress(false, "evaluating %s (%d done)", e->run[i].name, s->runs_done++);
        status = evaluate_run(s, &e->run[i]);
    }
    sg_ensemble_free(&s->ensemble);
    s->results->models += status == SG_OK;
    return status;
}

/* ---- tables ---- */

typedef sg_status (*table_writer)(const sg_run_result *, int, const sg_run_result *, int, sg_table_style,
                                  FILE *);

static sg_status write_table(const sg_experiment *e, const sg_experiment_results *r, const char *name,
                             table_writer writer)
{
    char path[SG_PATH_MAX];
    sg_atomic_file file;
    FILE *out;
    SG_TRY(sg_path_join(path, e->folder, name));
    SG_TRY(sg_text_open(&file, &out, path));
    return sg_text_finish(&file, out, writer(r->run, r->runs, r->ensemble, r->models, SG_STYLE_CSV, out));
}

static sg_status runs_writer(const sg_run_result *runs, int count, const sg_run_result *ensembles, int models,
                             sg_table_style style, FILE *out)
{
    (void)ensembles, (void)models, (void)style;
    return sg_report_runs(runs, count, out);
}

/* The runs of all models together. */
static sg_status compare_all(evaluation_state *s)
{
    sg_corpus corpus = {0};
    if (!s->compare.all.wanted)
        return SG_OK;
    sg_status status = sg_corpus_read(&corpus, s->experiment->config->corpus);
    if (status == SG_OK)
        status = sg_experiment_compare_all(&s->compare, &corpus);
    sg_corpus_free(&corpus);
    return status;
}

static sg_status evaluate_models(evaluation_state *s)
{
    const sg_experiment *e = s->experiment;
    if (!s->frozen)
        SG_TRY(open_lines(s));
    for (int m = 0; m < e->models; m++)
        SG_TRY(evaluate_model(s, m));
    SG_TRY(compare_all(s));
    sg_progress_end();
    if (s->results->runs == 0)
        return sg_fail(SG_E_CONFIG, "no run is complete, so there are no tables to make");
    if (s->frozen)
        return SG_OK;
    return sg_experiment_compare_write(&s->compare, e->folder, s->stream[LINES_ROC]);
}

static sg_status evaluate_all(evaluation_state *s)
{
    const sg_experiment *e = s->experiment;
    const sg_experiment_results *r = s->results;
    SG_TRY(close_lines(s, evaluate_models(s)));
    SG_TRY(write_table(e, r, "runs.csv", runs_writer));
    SG_TRY(write_table(e, r, "table5.csv", sg_report_table5));
    SG_TRY(write_table(e, r, "table6.csv", sg_report_table6));
    if (s->frozen)
        sg_note("the runs of %s are frozen: only Tables V and VI are made again", e->folder);
    return SG_OK;
}

sg_status sg_experiment_evaluate(const sg_experiment *experiment, sg_experiment_results *results)
{
    *results = (sg_experiment_results){0};
    SG_TRY(sg_alloc(&results->run, experiment->count, "results"));
    SG_TRY(sg_alloc(&results->ensemble, experiment->models, "results"));
    evaluation_state state = {
        .experiment = experiment, .results = results, .frozen = experiment->frozen.runs > 0};
    int models = 0;
    for (int m = 0; m < experiment->models; m++)
        models += sg_experiment_complete(experiment, m) > 0;
    if (!state.frozen)
        sg_experiment_compare_open(&state.compare, experiment->config->early, models, experiment->classes);
    sg_status status = evaluate_all(&state);
    sg_experiment_compare_free(&state.compare);
    return status;
}

void sg_experiment_results_free(sg_experiment_results *results)
{
    free(results->run);
    free(results->ensemble);
    *results = (sg_experiment_results){0};
}
