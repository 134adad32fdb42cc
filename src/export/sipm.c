/* sipm.c: writes .sipm files and says what their weights cost. */
#include "export/sipm_image.h"

#include "base/files.h"
#include "base/memory.h"
#include "detect/outputs.h"
#include "sipgpu/sipdetect.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the file's network against the engine ---- */

typedef struct {
    double skewness, kurtosis;
} moments;

/* The answers on a beginning of k messages by the limits of k and of 0, two bits each.  *near: a moment is so
 * near its limit that the answer means nothing; limits are moments of beginnings themselves
 * (detect/prefix_limits.h). */
static int answers(const sipdetect_model *model, int k, moments m, bool *near)
{
    moments limit;
    int bits = 0;
    *near = false;
    for (int whole = 0; whole <= 1; whole++) {
        sipdetect_limits(model, whole ? 0 : k, &limit.skewness, &limit.kurtosis);
        bits = bits * 4 + 2 * (m.skewness < limit.skewness) + (m.kurtosis < limit.kurtosis);
        *near |= fabs(m.skewness - limit.skewness) <= SG_EXPORT_NEAR ||
                 fabs(m.kurtosis - limit.kurtosis) <= SG_EXPORT_NEAR;
    }
    return bits;
}

static void compare(const sipdetect_model *model, const uint16_t *length, const sipdetect_verdict *verdict,
                    const sg_outputs *outputs, sg_export_accuracy *a)
{
    moments limit;
    bool near, ignored;
    int64_t compared = 0, equal = 0, equal_class = 0;
    *a = (sg_export_accuracy){.beginnings = outputs->count};
    for (int i = 0; i < outputs->count; i++) {
        const sipdetect_verdict *v = &verdict[i];
        const moments engine = {outputs->skewness[i], outputs->kurtosis[i]};
        const int wanted = answers(model, length[i], engine, &near);
        const int got = answers(model, length[i], (moments){v->skewness, v->kurtosis}, &ignored);
        a->probability_max =
            fmax(a->probability_max, fabs((double)v->probability - (double)outputs->p_max[i]));
        equal_class += v->best_class == outputs->argmax[i];
        compared += !near;
        equal += !near && got == wanted;
    }
    sipdetect_limits(model, 0, &limit.skewness, &limit.kurtosis);
    a->agreement = isnan(limit.skewness) || compared == 0 ? NAN : (double)equal / (double)compared;
    a->class_agreement = (double)equal_class / outputs->count;
}

enum { SLICE = 256 }; /* beginnings that a thread takes at once */

/* Scores all beginnings, each thread with a worker of its own.  Errors are per thread: the first is kept in
 * `error`. */
static sg_status score(const sipdetect_model *model, const uint16_t *sequence, const uint16_t *length,
                       int count, sipdetect_verdict *verdict)
{
    const sipdetect_worker_options options = {.recompute = 1};
    const size_t steps = (size_t)sipdetect_max_length(model);
    char error[256] = "";
#pragma omp parallel
    {
        sipdetect_worker *worker;
        sipdetect_status status = sipdetect_worker_open(&worker, model, &options);
#pragma omp for schedule(dynamic)
        for (int first = 0; first < count; first += SLICE) {
            const int n = count - first < SLICE ? count - first : SLICE;
            if (status == SIPDETECT_OK)
                status = sipdetect_score(worker, sequence + (size_t)first * steps, length + first, n, steps,
                                         verdict + first);
        }
        if (status != SIPDETECT_OK) {
#pragma omp critical
            snprintf(error, sizeof error, "%s", sipdetect_error());
        }
        sipdetect_worker_close(worker);
    }
    return error[0] ? sg_fail(SG_E_INTERNAL, "the exported model cannot be run: %s", error) : SG_OK;
}

static sg_status run(const sipdetect_model *model, const sg_prefixes *prefixes, const sg_outputs *outputs,
                     sg_export_accuracy *accuracy)
{
    const int steps = sipdetect_max_length(model), count = outputs->count;
    uint16_t *sequence = NULL, *length = NULL;
    sipdetect_verdict *verdict = NULL;
    sg_status status;
    SG_TRY_GOTO(status, done, sg_alloc(&sequence, (int64_t)count * steps, "beginnings"));
    SG_TRY_GOTO(status, done, sg_alloc(&length, count, "beginnings"));
    SG_TRY_GOTO(status, done, sg_alloc(&verdict, count, "verdicts"));
    sg_prefixes_list(prefixes, steps, sequence, length);
    SG_TRY_GOTO(status, done, score(model, sequence, length, count, verdict));
    compare(model, length, verdict, outputs, accuracy);
done:
    free(sequence);
    free(length);
    free(verdict);
    return status;
}

static sg_status measure(const char *path, const sg_prefixes *prefixes, const sg_outputs *outputs,
                         sg_export_accuracy *accuracy)
{
    sipdetect_model *model;
    if (sipdetect_open(&model, path, NULL) != SIPDETECT_OK)
        return sg_fail(SG_E_INTERNAL, "the exported model cannot be opened: %s", sipdetect_error());
    sg_status status = run(model, prefixes, outputs, accuracy);
    sipdetect_close(model);
    return status;
}

/* ---- writing ---- */

static sg_status write_image(const char *path, const void *image, size_t bytes, const sg_prefixes *prefixes,
                             const sg_outputs *outputs, sg_export_accuracy *accuracy)
{
    sg_atomic_file file;
    FILE *stream;
    sg_status status = SG_OK;
    SG_TRY(sg_text_open(&file, &stream, path));
    if (fwrite(image, 1, bytes, stream) != bytes || fflush(stream) != 0)
        status = sg_fail(SG_E_IO, "cannot write %s: %s", path, strerror(errno));
    else if (accuracy)
        status = measure(file.temporary, prefixes, outputs, accuracy);
    return sg_text_finish(&file, stream, status);
}

static sg_status export_prefixes(const sg_model *model, sg_engine *engine, const sg_prefixes *prefixes,
                                 sg_weights weights, const char *path, sg_export_accuracy *accuracy)
{
    sg_outputs outputs;
    void *image = NULL;
    size_t bytes;
    sg_status status = sg_outputs_run_prefixes(engine, &model->spec, prefixes, "export", &outputs);
    if (status == SG_OK)
        status = sg_sipm_image(model, prefixes, &outputs, weights, &image, &bytes);
    if (status == SG_OK)
        status = write_image(path, image, bytes, prefixes, &outputs, accuracy);
    free(image);
    sg_outputs_free(&outputs);
    return status;
}

sg_status sg_export_sipm(const sg_model *model, sg_engine *engine, sg_weights weights, const char *path,
                         sg_export_accuracy *accuracy)
{
    sg_prefixes *prefixes;
    SG_TRY(sg_prefixes_open(&prefixes, model->class_sequence, model->class_length, model->class_train,
                            model->spec.classes, model->spec.max_length));
    sg_status status = export_prefixes(model, engine, prefixes, weights, path, accuracy);
    sg_prefixes_close(prefixes);
    return status;
}
