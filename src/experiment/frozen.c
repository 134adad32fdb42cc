#include "experiment/frozen.h"

#include "base/files.h"
#include "base/memory.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { LINE_BYTES = 4096, FIELDS_MAX = 32, PROVENANCE_MAX = 1 << 22 };

/* ---- CSV files without quoted fields ---- */

/* Takes the fields of a line that `wanted` names, in that order. */
typedef sg_status (*line_taker)(sg_frozen *frozen, char *const *field);

/* Splits a line at its commas; returns the number of fields, at most FIELDS_MAX. */
static int split_line(char *line, char *field[FIELDS_MAX])
{
    int count = 0;
    line[strcspn(line, "\r\n")] = '\0';
    for (char *next = line; next && count < FIELDS_MAX; count++) {
        field[count] = next;
        next = strchr(next, ',');
        if (next)
            *next++ = '\0';
    }
    return count;
}

static sg_status find_columns(char *line, const char *const *wanted, int *column, int *columns)
{
    char *head[FIELDS_MAX];
    *columns = split_line(line, head);
    for (int i = 0; wanted[i]; i++) {
        column[i] = 0;
        while (column[i] < *columns && strcmp(head[column[i]], wanted[i]) != 0)
            column[i]++;
        if (column[i] == *columns)
            return sg_fail(SG_E_FORMAT, "no column %s", wanted[i]);
    }
    return SG_OK;
}

static sg_status read_lines(sg_frozen *frozen, gzFile file, const char *const *wanted, line_taker take,
                            int *number)
{
    char line[LINE_BYTES], *field[FIELDS_MAX], *taken[FIELDS_MAX];
    int column[FIELDS_MAX], columns, code = Z_OK;
    if (!gzgets(file, line, sizeof line))
        return sg_fail(SG_E_FORMAT, "empty, or not gzip");
    SG_TRY(find_columns(line, wanted, column, &columns));
    while (gzgets(file, line, sizeof line)) {
        ++*number;
        if (!strchr(line, '\n') || split_line(line, field) != columns)
            return sg_fail(SG_E_FORMAT, "the head has %d fields, this line has not", columns);
        for (int i = 0; wanted[i]; i++)
            taken[i] = field[column[i]];
        SG_TRY(take(frozen, taken));
    }
    gzerror(file, &code);
    return code == Z_OK || code == Z_STREAM_END ? SG_OK : sg_fail(SG_E_FORMAT, "not a whole gzip file");
}

static sg_status read_csv(sg_frozen *frozen, const char *path, const char *const *wanted, line_taker take)
{
    int number = 1;
    gzFile file = gzopen(path, "rb");
    if (!file)
        return sg_fail(SG_E_IO, "cannot read %s", path);
    sg_status status = read_lines(frozen, file, wanted, take, &number);
    gzclose(file);
    return status == SG_OK ? SG_OK : sg_fail_prefix(status, "%s:%d", path, number);
}

/* ---- fields ---- */

static sg_status to_whole(const char *text, int64_t least, int64_t most, int64_t *value)
{
    char *end;
    *value = strtoll(text, &end, 10);
    return end != text && !*end && *value >= least && *value <= most
               ? SG_OK
               : sg_fail(SG_E_FORMAT, "expected a number from %lld to %lld, not '%s'", (long long)least,
                         (long long)most, text);
}

static sg_status to_real(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && !*end && isfinite(*value)
               ? SG_OK
               : sg_fail(SG_E_FORMAT, "expected a number, not '%s'", text);
}

static const char *const answer_columns[] = {"model", "seed",     "class",    "argmax",
                                             "p_max", "skewness", "kurtosis", NULL};

static sg_status take_answer(sg_frozen *frozen, char *const *field)
{
    int64_t class, argmax;
    double p_max;
    SG_TRY(sg_grow(&frozen->answer, &frozen->answer_capacity, frozen->answers + 1, "frozen runs"));
    sg_frozen_answer *a = &frozen->answer[frozen->answers];
    snprintf(a->model, sizeof a->model, "%s", field[0]);
    SG_TRY(to_whole(field[1], 0, INT64_MAX, &a->seed));
    SG_TRY(to_whole(field[2], 0, INT32_MAX, &class));
    SG_TRY(to_whole(field[3], 0, INT32_MAX, &argmax));
    SG_TRY(to_real(field[4], &p_max));
    SG_TRY(to_real(field[5], &a->skewness));
    SG_TRY(to_real(field[6], &a->kurtosis));
    a->class = (int32_t) class;
    a->argmax = (int32_t)argmax;
    a->p_max = (float)p_max;
    frozen->answers++;
    return SG_OK;
}

static const char *const epoch_columns[] = {"model", "seed", "epoch", NULL};

/* The lines of a run stand together, its last epoch last. */
static sg_status take_epoch(sg_frozen *frozen, char *const *field)
{
    int64_t seed, epoch;
    SG_TRY(to_whole(field[1], 0, INT64_MAX, &seed));
    SG_TRY(to_whole(field[2], 0, INT64_MAX, &epoch));
    sg_frozen_run *last = frozen->runs ? &frozen->run[frozen->runs - 1] : NULL;
    if (!last || last->seed != seed || strcmp(last->model, field[0]) != 0) {
        SG_TRY(sg_grow(&frozen->run, &frozen->run_capacity, frozen->runs + 1, "frozen runs"));
        last = &frozen->run[frozen->runs++];
        snprintf(last->model, sizeof last->model, "%s", field[0]);
        last->seed = seed;
    }
    last->epochs = epoch;
    return SG_OK;
}

/* ---- folders ---- */

static sg_status read_provenance(sg_frozen *frozen, const char *folder)
{
    char path[SG_PATH_MAX], *text;
    size_t length;
    SG_TRY(sg_path_join(path, folder, "provenance.json"));
    SG_TRY(sg_file_read(path, PROVENANCE_MAX, &text, &length));
    frozen->provenance = cJSON_ParseWithLength(text, length);
    free(text);
    return frozen->provenance ? SG_OK : sg_fail(SG_E_FORMAT, "%s: not JSON", path);
}

sg_status sg_frozen_read(sg_frozen *frozen, const char *folder)
{
    char moments[SG_PATH_MAX], history[SG_PATH_MAX];
    *frozen = (sg_frozen){0};
    SG_TRY(sg_path_join(moments, folder, "moments.csv.gz"));
    SG_TRY(sg_path_join(history, folder, "history.csv.gz"));
    if (!sg_path_exists(moments))
        return SG_OK;
    SG_TRY(read_csv(frozen, moments, answer_columns, take_answer));
    SG_TRY(read_csv(frozen, history, epoch_columns, take_epoch));
    return read_provenance(frozen, folder);
}

void sg_frozen_free(sg_frozen *frozen)
{
    free(frozen->answer);
    free(frozen->run);
    cJSON_Delete(frozen->provenance);
    *frozen = (sg_frozen){0};
}

static const sg_frozen_run *find_run(const sg_frozen *frozen, const char *model, int64_t seed)
{
    for (size_t i = 0; i < frozen->runs; i++)
        if (frozen->run[i].seed == seed && strcmp(frozen->run[i].model, model) == 0)
            return &frozen->run[i];
    return NULL;
}

bool sg_frozen_has(const sg_frozen *frozen, const char *model, int64_t seed)
{
    return find_run(frozen, model, seed) != NULL;
}

static const char *text_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(object, name));
    return text ? text : "";
}

bool sg_frozen_is_of(const sg_frozen *frozen, const sg_corpus *corpus)
{
    return strcmp(text_of(frozen->provenance, "corpus_digest"), corpus->digest) == 0;
}

const char *sg_frozen_settings(const sg_frozen *frozen, const char *model)
{
    return text_of(cJSON_GetObjectItem(frozen->provenance, "settings"), model);
}

/* ---- sessions ---- */

/* Every class of the train and test splits must have its answer. */
static sg_status fill_outputs(sg_session *s, const sg_frozen *frozen, const char *model, int64_t seed)
{
    sg_outputs *o = &s->outputs;
    const int classes = s->corpus.classes;
    for (int j = 0; j < classes; j++)
        o->argmax[j] = -1;
    for (size_t i = 0; i < frozen->answers; i++) {
        const sg_frozen_answer *a = &frozen->answer[i];
        if (a->seed != seed || strcmp(a->model, model) != 0)
            continue;
        if (a->class >= classes || a->argmax >= classes)
            return sg_fail(SG_E_FORMAT, "moments.csv.gz: the corpus has no class %d", (int)a->class);
        o->argmax[a->class] = a->argmax;
        o->p_max[a->class] = a->p_max;
        o->skewness[a->class] = a->skewness;
        o->kurtosis[a->class] = a->kurtosis;
    }
    for (int j = 0; j < classes; j++)
        if (o->argmax[j] < 0 && s->counts.count[SG_SPLIT_TRAIN][j] + s->counts.count[SG_SPLIT_TEST][j] > 0)
            return sg_fail(SG_E_FORMAT, "moments.csv.gz: model %s, seed %lld: no class %d", model,
                           (long long)seed, j);
    return SG_OK;
}

sg_status sg_session_open_frozen(sg_session *session, const sg_frozen *frozen, const char *model,
                                 int64_t seed, const char *corpus)
{
    sg_session *s = session;
    *s = (sg_session){.models = 1, .same_corpus = true, .model = &session->recorded};
    SG_TRY(sg_corpus_read(&s->corpus, corpus));
    SG_TRY(sg_class_counts_make(&s->counts, &s->corpus));
    SG_TRY(sg_alloc(&s->known, s->corpus.classes, "known classes"));
    SG_TRY(sg_alloc(&s->class_of, s->corpus.classes, "classes"));
    for (int j = 0; j < s->corpus.classes; j++) {
        s->known[j] = s->counts.count[SG_SPLIT_TRAIN][j] > 0;
        s->class_of[j] = j;
    }
    s->recorded.spec.classes = s->corpus.classes;
    s->recorded.epoch = find_run(frozen, model, seed)->epochs;
    snprintf(s->device, sizeof s->device, "%s", text_of(frozen->provenance, "engine"));
    SG_TRY(sg_outputs_alloc(&s->outputs, s->corpus.classes, s->corpus.classes, false));
    return fill_outputs(s, frozen, model, seed);
}
