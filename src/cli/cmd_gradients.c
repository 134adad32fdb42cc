/* cmd_gradients.c: `sipgpu gradients`: loss and gradients of one batch to HDF5, for checking against other
 * frameworks. */
#include "base/files.h"
#include "base/h5.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "experiment/session.h"
#include "train/run.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    sg_common_options common;
    sg_session_options session;
    char rows[SG_TEXT_MAX], mask[SG_TEXT_MAX], out[SG_TEXT_MAX];
    int batching; /* sg_batching */
    bool force;
} gradients_options;

#define AT(member) SG_KEY(gradients_options, member)

static const sg_option gradients_table[] = {
    SG_SESSION_OPTIONS(gradients_options, session),
    SG_TEXT(AT(rows), "A:B", "the batch is dialogs A to B-1 of the corpus", .required = true),
    SG_TEXT(AT(mask), "FILE.h5:NAME",
            "scaled dropout mask, float [B-A, units]; without it there is no dropout"),
    SG_ENUM(AT(batching), "trie", SG_BATCHING_CHOICES,
            "what is computed once: equal beginnings of dialogs, equal dialogs, or nothing"),
    SG_TEXT(AT(out), "FILE", "HDF5 file to write", .letter = 'o', .required = true),
    SG_FLAG(AT(force), "overwrite the file of --out"),
    SG_COMMON_OPTIONS(gradients_options),
};

static const char about[] = "Runs one batch forward and backward and writes /loss (mean cross-entropy) and\n"
                            "/grads/<parameter>, float32, with the names and shapes of the model file.";

/* What the command holds while it runs. */
typedef struct {
    sg_model model;
    sg_corpus corpus;
    int32_t *class_of, *rows;
    int64_t first, count;
    float *mask;
    sg_sequences set;
    sg_plan plan;
    sg_engine *engine;
    sg_params gradients;
} job;

static void free_job(job *j)
{
    sg_engine_close(j->engine);
    sg_params_free(&j->gradients);
    sg_plan_free(&j->plan);
    sg_sequences_free(&j->set);
    sg_corpus_free(&j->corpus);
    sg_model_free(&j->model);
    free(j->class_of);
    free(j->rows);
    free(j->mask);
}

static sg_status parse_rows(const char *text, int64_t dialogs, int64_t *first, int64_t *count)
{
    char *colon, *end;
    long long a = strtoll(text, &colon, 10), b = *colon == ':' ? strtoll(colon + 1, &end, 10) : 0;
    if (colon == text || *colon != ':' || end == colon + 1 || *end || a < 0 || b <= a)
        return sg_fail(SG_E_USAGE, "--rows %s: expected A:B with 0 <= A < B", text);
    if (b > dialogs)
        return sg_fail(SG_E_CONFIG, "--rows %s: the corpus has %lld dialogs", text, (long long)dialogs);
    if (b - a > 10000000)
        return sg_fail(SG_E_CONFIG, "--rows %s: at most 10000000 dialogs make a batch", text);
    *first = a;
    *count = b - a;
    return SG_OK;
}

/* Reads FILE.h5:NAME as [count, units]. */
static sg_status read_mask(const char *text, int64_t count, int units, float **mask)
{
    char path[SG_TEXT_MAX], name[SG_TEXT_MAX];
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text || !colon[1])
        return sg_fail(SG_E_USAGE, "--mask %s: expected FILE.h5:NAME", text);
    snprintf(path, sizeof path, "%.*s", (int)(colon - text), text);
    snprintf(name, sizeof name, "%s%s", colon[1] == '/' ? "" : "/", colon + 1);
    sg_h5 file;
    int64_t dims[2] = {count, units};
    SG_TRY(sg_h5_open(&file, path));
    sg_status status = sg_alloc(mask, count * units, "dropout mask");
    if (status == SG_OK)
        status = sg_h5_read(&file, name, H5T_NATIVE_FLOAT, 2, dims, *mask);
    sg_h5_close(&file);
    return status;
}

static sg_status read_inputs(const gradients_options *o, job *j)
{
    SG_TRY(sg_model_read(&j->model, NULL, o->session.model));
    SG_TRY(sg_corpus_read(&j->corpus, o->session.corpus));
    SG_TRY(sg_model_check_alphabet(&j->model, &j->corpus));
    if (j->model.spec.max_length != j->corpus.max_length)
        return sg_fail(SG_E_CONFIG, "the model takes %d steps, the corpus has %d", j->model.spec.max_length,
                       j->corpus.max_length);
    SG_TRY(sg_model_match_classes(&j->model, &j->corpus, &j->class_of));
    SG_TRY(parse_rows(o->rows, j->corpus.dialogs, &j->first, &j->count));
    SG_TRY(sg_alloc(&j->rows, j->count, "rows"));
    for (int64_t b = 0; b < j->count; b++) {
        j->rows[b] = j->class_of[j->corpus.label[j->first + b]];
        if (j->rows[b] < 0)
            return sg_fail(SG_E_CONFIG, "dialog %lld has a sequence that is none of the model's classes",
                           (long long)(j->first + b));
    }
    return o->mask[0] ? read_mask(o->mask, j->count, j->model.spec.units, &j->mask) : SG_OK;
}

static sg_status compute(const gradients_options *o, job *j, sg_step_result *result)
{
    sg_spec spec = j->model.spec;
    spec.dropout = 0; /* the only mask is the one that is given */
    sg_engine_options options = {.precision = (sg_precision)o->session.precision,
                                 .threads = (int)o->session.threads};
    SG_TRY(sg_device_parse(o->session.device, &options.device, &options.device_index));
    SG_TRY(sg_sequences_make(&j->set, &spec, j->model.class_sequence, j->model.class_length, spec.classes));
    SG_TRY(sg_plan_build(&j->plan, &j->set, j->rows, j->rows, (int)j->count, (sg_batching)o->batching,
                         j->mask != NULL));
    SG_TRY(sg_engine_open(&j->engine, &spec, &options));
    SG_TRY(sg_engine_load(j->engine, &j->model.params));
    sg_batch batch = {.plan = &j->plan, .mask = j->mask, .update = 1};
    SG_TRY(sg_engine_gradients(j->engine, &batch, result));
    SG_TRY(sg_params_alloc(&j->gradients, &spec));
    return sg_engine_store_gradients(j->engine, &j->gradients);
}

static sg_status write_all(sg_h5 *file, const job *j, double loss)
{
    float single = (float)loss;
    SG_TRY(sg_h5_set_text(file, "/", "format", "sipgpu-gradients"));
    SG_TRY(sg_h5_set_int(file, "/", "version", 1));
    SG_TRY(sg_h5_set_text(file, "/", "tool", sg_tool_name()));
    SG_TRY(sg_h5_set_text(file, "/", "engine", sg_engine_description(j->engine)));
    SG_TRY(sg_h5_write(file, "/loss", H5T_NATIVE_FLOAT, 0, NULL, false, &single));
    for (int k = 0; k < j->gradients.layout.tensors; k++) {
        const sg_tensor *t = &j->gradients.layout.tensor[k];
        char name[64];
        snprintf(name, sizeof name, "/grads/%s", t->name);
        SG_TRY(sg_h5_write(file, name, H5T_NATIVE_FLOAT, t->rank, t->dims, false,
                           j->gradients.data + t->offset));
    }
    return SG_OK;
}

static sg_status run_gradients(const gradients_options *o, job *j)
{
    sg_step_result result;
    sg_h5 file;
    SG_TRY(sg_file_check_writable(o->out, o->force));
    SG_TRY(read_inputs(o, j));
    SG_TRY(compute(o, j, &result));
    SG_TRY(sg_h5_create(&file, o->out));
    sg_status status = write_all(&file, j, result.loss);
    if (status != SG_OK) {
        sg_h5_close(&file);
        return status;
    }
    SG_TRY(sg_h5_commit(&file));
    sg_note("loss %.6f, %lld of %lld right; gradients in %s (%s)", result.loss, (long long)result.right,
            (long long)j->count, o->out, sg_engine_description(j->engine));
    return SG_OK;
}

static sg_status run(const sg_call *call)
{
    job j = {0};
    sg_status status = run_gradients(call->options, &j);
    free_job(&j);
    return status;
}

SG_COMMAND(gradients, "gradients", "loss and gradients of one batch, for other frameworks", about,
           gradients_table, gradients_options, run);
