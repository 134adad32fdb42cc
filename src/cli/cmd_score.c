/* cmd_score.c: `sipgpu score`: reads dialogs and prints the model's verdict on each, one line each, in
 * order. */
#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "experiment/session.h"
#include "score/answers.h"
#include "score/dialog_source.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* Scores are kept for equal dialogs, up to this many; then they are forgotten. */
    KEPT_SEQUENCES = 1 << 16,
    KEPT_TOKENS = 1 << 23
};

typedef struct {
    sg_common_options common;
    sg_session_options session;
    int rule, separator;
    char columns[SG_TEXT_MAX], simd[SG_TEXT_MAX];
    int64_t batch;
    bool partial, names, json, strict, recompute, fail_on_abnormal;
} score_options;

#define AT(member) SG_KEY(score_options, member)

static const sg_option score_table[] = {
    SG_TEXT(SG_AT("model", score_options, session.model), "MODEL",
            "model file that `train` wrote (.h5), or an exported .sipm", .letter = 'm', .required = true),
    SG_FLAG(AT(partial), "treat dialogs as unfinished: use the limits for beginnings of their length"),
    SG_ENUM(AT(rule), "both", SG_RULE_CHOICES,
            "moments that must be below their limit for an abnormal dialog"),
    SG_FLAG(AT(names), "also the messages of the class' dialog"),
    SG_FLAG(AT(json), "one JSON object per line instead of CSV"),
    SG_FLAG(AT(strict), "stop at the first dialog that cannot be scored"),
    SG_FLAG(AT(fail_on_abnormal), "exit with 1 if a dialog is abnormal"),
    SG_ENUM(AT(separator), "auto", "auto|tab|comma|semicolon", "separator of cells"),
    SG_TEXT(AT(columns), "A,B,...",
            "one message per line without header: call_id, time, message, method, status, from, to, -"),
    SG_INT(AT(batch), "1024", 1, 65536, "most dialogs scored at once"),
    SG_SESSION_DEVICE_OPTIONS(score_options, session),
    SG_TEXT(AT(simd), "LEVEL", ".sipm: instruction set: auto, generic, avx2, avx512, ...",
            .fallback = "auto"),
    SG_FLAG(AT(recompute), ".sipm: run the network even for known beginnings, whose scores the file holds"),
    SG_COMMON_OPTIONS(score_options)};

static const char about[] =
    "Judges dialogs: one line each, in order, as CSV with a header or (--json) as one object per\n"
    "line.  FILE (standard input if none, or -) holds one dialog per line, its message names in cells\n"
    "(INVITE,100,180,200,ACK), or one message per line, as for `corpus import`, or is a corpus.\n"
    "Lines are answered as they arrive.  If a dialog cannot be scored, the column note says why.\n"
    "Columns: file, id (line, number in the corpus, or Call-ID), length, class, class_dialog\n"
    "(--names), probability, skewness, kurtosis, known (it is a train dialog), known_prefix\n"
    "(a train dialog begins like this), abnormal, low_cluster (K-means), note.";

typedef struct {
    const score_options *options;
    sg_detector *detector;
    sg_answer_cache kept;
    sg_answer_writer writer;
    sg_dialog_answer *batch; /* [options->batch] */
    int count;               /* of the batch */
    uint16_t *types;         /* [L] of the dialog at hand */
    int64_t dialogs, not_scored, abnormal;
    double last_progress;
    bool show_progress;
} score_state;

/* ---- a batch ---- */

static void show_progress(score_state *s)
{
    double now = sg_seconds();
    if (!s->show_progress || now - s->last_progress < 0.25)
        return;
    s->last_progress = now;
    sg_progress(false, "%" PRId64 " dialogs, %" PRId64 " abnormal", s->dialogs, s->abnormal);
}

/* Scores and writes what is waiting. */
static sg_status flush(score_state *s)
{
    sg_status status = sg_answer_cache_fill(&s->kept, s->detector);
    for (int i = 0; i < s->count; i++) {
        sg_dialog_answer *d = &s->batch[i];
        const sg_verdict *verdict = d->number >= 0 ? &s->kept.verdicts[d->number] : NULL;
        if (status == SG_OK) {
            s->dialogs++;
            s->not_scored += !verdict;
            s->abnormal += verdict && sg_verdict_abnormal(verdict, !s->options->partial, s->writer.rule) == 1;
            status = sg_answer_write(&s->writer, d, verdict);
        }
        free(d->id);
        d->id = NULL;
    }
    if (s->count && status == SG_OK && (fflush(stdout) != 0 || ferror(stdout)))
        status = sg_fail(SG_E_IO, "cannot write the results to standard output");
    s->count = 0;
    show_progress(s);
    return status;
}

/* A dialog that cannot be scored: its note, which may hold text from outside, says why. */
static sg_status refuse(score_state *s, sg_dialog_answer *d)
{
    d->number = -1;
    for (char *c = d->note; *c; c++)
        *c = *c < ' ' || *c > '~' ? '?' : *c;
    if (!s->options->strict)
        return SG_OK;
    const sg_dialog_answer refused = *d;
    s->count--;
    sg_status status = flush(s); /* those before it are answered */
    if (status == SG_OK)
        status = sg_fail(SG_E_FORMAT, "%s, dialog %s: %s (--strict)", refused.file, refused.id, refused.note);
    free(refused.id);
    return status;
}

/* The messages of a dialog as types, and their number among the kept answers. */
static sg_status read_types(score_state *s, sg_dialog_answer *d, const sg_source_dialog *dialog)
{
    const int longest = sg_detector_max_length(s->detector);
    if (dialog->fault)
        snprintf(d->note, sizeof d->note, "cannot be read: %s", dialog->fault);
    else if (dialog->length == 0)
        snprintf(d->note, sizeof d->note, "no messages");
    for (int t = 0; t < dialog->length && !d->note[0]; t++) {
        const uint16_t type = sg_dialog_source_type(sg_detector_alphabet(s->detector), dialog->name[t]);
        if (type == 0)
            snprintf(d->note, sizeof d->note, "unknown message '%.40s', number %d", dialog->name[t], t + 1);
        else if (t < longest)
            s->types[t] = type;
    }
    if (dialog->length > longest && !d->note[0])
        snprintf(d->note, sizeof d->note, "longer than the model's %d messages", longest);
    return d->note[0] ? refuse(s, d) : sg_answer_cache_find(&s->kept, s->types, dialog->length, &d->number);
}

static sg_status take_dialog(void *context, const sg_source_dialog *dialog)
{
    score_state *s = context;
    sg_dialog_answer *d = &s->batch[s->count];
    if (s->count == 0 &&
        (s->kept.set.count > KEPT_SEQUENCES || sg_answer_cache_tokens(&s->kept) > KEPT_TOKENS))
        SG_TRY(sg_answer_cache_clear(&s->kept));
    *d = (sg_dialog_answer){.file = dialog->file, .id = strdup(dialog->id), .length = dialog->length};
    if (!d->id)
        return sg_fail(SG_E_MEMORY, "a dialog's id: out of memory");
    s->count++;
    SG_TRY(read_types(s, d, dialog));
    return s->count == s->options->batch ? flush(s) : SG_OK;
}

static sg_status take_pause(void *context)
{
    return flush(context);
}

/* ---- the command ---- */

static sg_dialog_source_options source_options(const score_options *o)
{
    static const char separators[] = {'\0', '\t', ',', ';'};
    return (sg_dialog_source_options){separators[o->separator], o->columns[0] ? o->columns : NULL};
}

static sg_status read_all(score_state *s, const sg_text_list *files)
{
    const sg_dialog_source_options source = source_options(s->options);
    const sg_dialog_sink sink = {take_dialog, take_pause, s};
    sg_status status = SG_OK;
    sg_answer_write_header(&s->writer);
    for (size_t i = 0; i < files->count && status == SG_OK; i++)
        status = sg_dialogs_read(files->items[i], &source, &sink);
    if (files->count == 0)
        status = sg_dialogs_read("-", &source, &sink);
    if (status == SG_OK)
        return flush(s);
    (void)flush(s); /* what was read before the failure is answered all the same */
    return status;
}

/* An option that does not apply to the model is an error. */
static sg_status check_model_options(const score_options *o, bool exported)
{
    const sg_session_options *s = &o->session;
    const char *wrong = NULL;
    if (exported) {
        wrong = strcmp(s->device, "auto") != 0      ? "--device"
                : s->precision != SG_PRECISION_AUTO ? "--precision"
                : s->threads                        ? "--threads"
                                                    : NULL;
        if (wrong)
            return sg_fail(SG_E_USAGE, "%s is for .h5 models; %s has its precision, and runs on one core",
                           wrong, s->model);
        return SG_OK;
    }
    wrong = strcmp(o->simd, "auto") != 0 ? "--simd" : o->recompute ? "--recompute" : NULL;
    return wrong ? sg_fail(SG_E_USAGE, "%s is for .sipm models, not for %s", wrong, s->model) : SG_OK;
}

static sg_status check_limits(const score_state *s)
{
    const score_options *o = s->options;
    const char *model = o->session.model;
    sg_prefix_limit limits;
    if (sg_detector_limits(s->detector, 1, !o->partial, &limits))
        return SG_OK;
    if (o->partial)
        return sg_fail(
            SG_E_CONFIG,
            "%s has no limits for unfinished dialogs (--partial); train it with train.prefix_limits = true",
            model);
    if (o->fail_on_abnormal)
        return sg_fail(SG_E_CONFIG, "%s has no limits for abnormal dialogs (--fail-on-abnormal)", model);
    sg_warn("%s has no limits for abnormal dialogs: the column abnormal is empty", model);
    return SG_OK;
}

static sg_status open_state(score_state *s)
{
    const score_options *o = s->options;
    sg_detector_options options = {.simd = o->simd, .recompute = o->recompute, .batch = (int)o->batch};
    bool exported;
    SG_TRY(sg_detector_is_exported(o->session.model, &exported));
    SG_TRY(check_model_options(o, exported));
    SG_TRY(sg_session_engine_options(&o->session, &options.engine));
    SG_TRY(sg_detector_open(&s->detector, o->session.model, &options));
    SG_TRY(check_limits(s));
    SG_TRY(sg_answer_cache_open(&s->kept, (int)o->batch));
    SG_TRY(sg_alloc(&s->batch, o->batch, "dialogs"));
    SG_TRY(sg_alloc(&s->types, sg_detector_max_length(s->detector), "a dialog"));
    s->show_progress = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
    s->writer = (sg_answer_writer){.detector = s->detector,
                                   .rule = (sg_rule)o->rule,
                                   .partial = o->partial,
                                   .names = o->names,
                                   .json = o->json};
    return sg_answer_writer_open(&s->writer);
}

static sg_status score(score_state *s, const sg_text_list *files)
{
    const sg_dialog_source_options source = source_options(s->options);
    SG_TRY(sg_dialog_source_check(&source));
    for (size_t i = 0; i < files->count; i++) /* before the work begins */
        if (strcmp(files->items[i], "-") != 0)
            SG_TRY(sg_file_check_readable(files->items[i]));
    SG_TRY(open_state(s));
    SG_TRY(read_all(s, files));
    sg_progress_end();
    sg_note("%" PRId64 " dialogs, %" PRId64 " abnormal, %" PRId64 " not scored", s->dialogs, s->abnormal,
            s->not_scored);
    if (s->options->fail_on_abnormal && s->abnormal)
        return sg_fail(SG_E_CONFIG, "%" PRId64 " of %" PRId64 " dialogs are abnormal (--fail-on-abnormal)",
                       s->abnormal, s->dialogs);
    return SG_OK;
}

static void close_state(score_state *s)
{
    for (int i = 0; i < s->count; i++)
        free(s->batch[i].id);
    free(s->batch);
    free(s->types);
    sg_answer_writer_close(&s->writer);
    sg_answer_cache_close(&s->kept);
    sg_detector_close(s->detector);
}

static sg_status run(const sg_call *call)
{
    score_state state = {.options = call->options};
    sg_status status = score(&state, call->words);
    close_state(&state);
    return status;
}

SG_COMMAND(score, "score", "judge dialogs by a model, one line each", about, score_table, score_options, run,
           .words = "[FILE...]", .words_max = SG_TEXT_LIST_MAX);
