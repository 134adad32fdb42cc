/* cmd_detect.c: `sipgpu detect`: flags the new dialogs of the test split (Table VI). */
#include "base/files.h"
#include "base/log.h"
#include "cli/cli.h"
#include "experiment/comparison.h"
#include "experiment/early.h"
#include "experiment/report.h"
#include "experiment/report_json.h"
#include "experiment/session.h"
#include <stdlib.h>

typedef struct {
    sg_common_options common;
    sg_session_options session;
    int rule; /* sg_rule */
    char out[SG_TEXT_MAX], dialogs[SG_TEXT_MAX];
    int64_t seed, restarts;
    double alpha;
    bool early, json, force;
} detect_options;

static const sg_option detect_table[] = {
    SG_SESSION_OPTIONS(detect_options, session),
    SG_SESSION_POOL_OPTIONS(detect_options, session),
    SG_ENUM(SG_KEY(detect_options, rule), "both", SG_RULE_CHOICES,
            "moments that must be below their limit for the verdict in --dialogs"),
    SG_TEXT(SG_KEY(detect_options, out), "DIR", "write tables, moments and ROC curves there", .letter = 'o'),
    SG_TEXT(SG_KEY(detect_options, dialogs), "FILE", "write one CSV line for each test dialog"),
    SG_INT(SG_KEY(detect_options, seed), "1", 0, (double)INT64_MAX, "seed of K-means", .argument = "S",
           .letter = 's'),
    SG_INT(SG_AT("kmeans_restarts", detect_options, restarts), "50", 1, 100000,
           "restarts of K-means; the best is kept"),
    SG_REAL(SG_AT("markov_alpha", detect_options, alpha), "0.01", 1e-9, 1e6,
            "additive smoothing of the Markov baselines"),
    SG_FLAG(SG_KEY(detect_options, early),
            "with --out: run all beginnings of test dialogs too, for early.csv"),
    SG_FLAG(SG_KEY(detect_options, json), "print one JSON object instead of tables"),
    SG_FLAG(SG_KEY(detect_options, force), "overwrite files that exist"),
    SG_COMMON_OPTIONS(detect_options)};

static const char about[] =
    "Flags the dialogs of the test split that do not occur in the train split (Table VI of\n"
    "the paper): thresholds on skewness and kurtosis of the outputs, computed anew from the\n"
    "train split; K-means on the test split's; and baselines without a network.  P_D is the\n"
    "share of new dialogs that are flagged, P_FA that of known ones.  --out DIR gets\n"
    "limits.csv, auc.csv, moments.csv, roc.csv; comparison.csv and paired.csv with every detector\n"
    "beside every other one; with --early also early.csv and early_position.csv: detection after\n"
    "each message of a dialog.\n"
    "--with adds models of the same corpus: the outputs of all are pooled before all else.";

/* What is at hand while files are written. */
typedef struct {
    const detect_options *options;
    sg_session session;
    char model[16];
    sg_detection detection;
    sg_comparison comparison; /* with --out */
    sg_early beginnings;      /* with --out and --early */
} detect_state;

static sg_status put_auc(const detect_state *s, FILE *out)
{
    return sg_report_auc(&s->detection, SG_STYLE_CSV, out);
}

static sg_status put_limits(const detect_state *s, FILE *out)
{
    return sg_report_limits(&s->detection, SG_STYLE_CSV, out);
}

static sg_status put_moments(const detect_state *s, FILE *out)
{
    sg_report_moments_head(out);
    sg_report_moments(&s->detection, &s->session.corpus, &s->session.counts, &s->session.outputs, s->model,
                      s->session.model->seed, out);
    return SG_OK;
}

static sg_combined combined_of(const detect_state *s)
{
    return s->session.models == 1 ? SG_COMBINED_NOT : sg_combined_of((sg_pool_rule)s->options->session.pool);
}

static sg_status put_roc(const detect_state *s, FILE *out)
{
    sg_roc_source source = {s->model, s->session.models, combined_of(s), s->session.model->seed, NULL};
    if (source.runs > 1)
        source.seed = -1;
    sg_report_roc_head(out);
    for (int i = 0; i < SG_NETWORK_SCORES; i++) {
        source.score = sg_score_name((sg_score)i);
        sg_report_roc(&s->detection.roc[i], &source, out);
    }
    sg_report_baseline_rocs(&s->comparison, out);
    return SG_OK;
}

static sg_status put_comparison(const detect_state *s, FILE *out)
{
    return sg_report_verdicts(s->comparison.table.row, s->comparison.table.count, out);
}

static sg_status put_paired(const detect_state *s, FILE *out)
{
    return sg_report_paired(&s->comparison, out);
}

static sg_status put_early(const detect_state *s, FILE *out)
{
    return sg_report_early(&s->beginnings, out);
}

static sg_status put_positions(const detect_state *s, FILE *out)
{
    return sg_report_early_positions(&s->beginnings, out);
}

static sg_status put_dialogs(const detect_state *s, FILE *out)
{
    sg_report_dialogs(&s->detection, &s->session.corpus, &s->session.outputs, (sg_rule)s->options->rule, out);
    return SG_OK;
}

typedef sg_status (*file_writer)(const detect_state *, FILE *);

/* What goes into the folder of --out; the last two with --early. */
static const struct {
    const char *name;
    file_writer write;
} in_folder[] = {{"limits.csv", put_limits},         {"auc.csv", put_auc},
                 {"moments.csv", put_moments},       {"roc.csv", put_roc},
                 {"comparison.csv", put_comparison}, {"paired.csv", put_paired},
                 {"early.csv", put_early},           {"early_position.csv", put_positions}};

enum { IN_FOLDER = sizeof in_folder / sizeof *in_folder, EARLY_FILES = 2 };

typedef struct {
    char path[SG_PATH_MAX];
    file_writer write;
} output_file;

typedef struct {
    int count;
    output_file file[IN_FOLDER + 1];
} file_list;

static sg_status add_file(file_list *list, const char *folder, const char *name, file_writer write)
{
    output_file *f = &list->file[list->count++];
    f->write = write;
    return sg_path_join(f->path, folder, name);
}

/* All files that are to be written.  Names are checked before the network is run; the folder is made when
 * there is something to put there. */
static sg_status list_files(const detect_options *o, file_list *list)
{
    list->count = 0;
    if (o->early && !o->out[0])
        return sg_fail(SG_E_USAGE, "--early needs --out DIR, for the files that it writes");
    if (o->early && o->session.with.count > 0)
        return sg_fail(SG_E_USAGE, "--early is of one model: it goes without --with");
    if (o->dialogs[0])
        SG_TRY(add_file(list, "", o->dialogs, put_dialogs));
    for (int i = 0; o->out[0] && i < IN_FOLDER - (o->early ? 0 : EARLY_FILES); i++)
        SG_TRY(add_file(list, o->out, in_folder[i].name, in_folder[i].write));
    for (int i = 0; i < list->count; i++)
        SG_TRY(sg_file_check_writable(list->file[i].path, o->force));
    return SG_OK;
}

static sg_status write_files(const detect_state *s, const file_list *list)
{
    for (int i = 0; i < list->count; i++) {
        const output_file *f = &list->file[i];
        sg_atomic_file file;
        FILE *out;
        SG_TRY(sg_text_open(&file, &out, f->path));
        SG_TRY(sg_text_finish(&file, out, f->write(s, out)));
    }
    return SG_OK;
}

static sg_status print_results(const detect_state *s)
{
    const sg_detection *d = &s->detection;
    if (s->options->json) {
        cJSON *object = sg_session_json(&s->session, "detect", &s->options->session);
        cJSON_AddStringToObject(object, "rule", sg_rule_name((sg_rule)s->options->rule));
        cJSON_AddItemToObject(object, "detection", sg_json_detection(d));
        return sg_json_print(object, stdout);
    }
    printf(
        "test split: %lld dialogs of %d classes, of which %lld dialogs of %d classes do not occur in train\n",
        (long long)d->test_dialogs, d->test_unique, (long long)d->test_new, d->test_unique_new);
    puts("(the paper: 5604 dialogs, 362 not in train)\n");
    SG_TRY(sg_report_detection(d, false, stdout));
    puts("\neach class counted once:\n");
    SG_TRY(sg_report_detection(d, true, stdout));
    putchar('\n');
    SG_TRY(sg_report_limits(d, SG_STYLE_TEXT, stdout));
    putchar('\n');
    return sg_report_auc(d, SG_STYLE_TEXT, stdout);
}

static void say_what_is_special(const detect_state *s)
{
    if (s->session.model->has_thresholds)
        sg_note(
            "the thresholds are computed anew from the train split; those in the model file are not used");
    if (!s->session.same_corpus)
        sg_warn("the model was trained on another corpus or split; 'new' means not in the train split of %s",
                s->options->session.corpus);
    if (s->detection.kmeans.degenerate)
        sg_warn("all moments of the test split are equal: K-means flags nothing");
}

/* What --out needs beyond the tables. */
static sg_status compare(detect_state *s)
{
    const detect_options *o = s->options;
    if (!o->out[0])
        return SG_OK;
    sg_session_model_name(&s->session, s->model);
    SG_TRY(sg_comparison_open(&s->comparison, &s->session.corpus, &s->detection));
    SG_TRY(sg_comparison_add(&s->comparison, s->model, s->session.models, combined_of(s), &s->detection));
    if (!o->early)
        return SG_OK;
    SG_TRY(sg_early_open(&s->beginnings, &s->session.corpus, &s->detection));
    sg_status status =
        sg_early_add(&s->beginnings, s->model, s->session.model, sg_detector_engine(s->session.detector),
                     &s->session.corpus, &s->detection);
    sg_progress_end();
    return status;
}

static sg_status detect(detect_state *s, file_list *files)
{
    const detect_options *o = s->options;
    const sg_detection_options options = {(uint64_t)o->seed, (int)o->restarts, o->alpha};
    SG_TRY(list_files(o, files));
    SG_TRY(sg_session_open(&s->session, &o->session));
    sg_status status = sg_detection_run(&s->detection, &s->session.corpus, &s->session.outputs, &options);
    if (status != SG_OK)
        return sg_fail_prefix(status, "%s", o->session.corpus);
    SG_TRY(compare(s));
    if (o->out[0])
        SG_TRY(sg_folder_make(o->out));
    say_what_is_special(s);
    SG_TRY(print_results(s));
    SG_TRY(write_files(s, files));
    if (files->count)
        sg_note("wrote %d files%s%s", files->count, o->out[0] ? " into " : "", o->out);
    return SG_OK;
}

static sg_status run(const sg_call *call)
{
    detect_state state = {.options = call->options};
    file_list files;
    sg_status status = detect(&state, &files);
    sg_comparison_free(&state.comparison);
    sg_early_free(&state.beginnings);
    sg_detection_free(&state.detection);
    sg_session_close(&state.session);
    return status;
}

SG_COMMAND(detect, "detect", "flag abnormal dialogs of the test split (Table VI)", about, detect_table,
           detect_options, run);
