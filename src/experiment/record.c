#include "experiment/record.h"

#include "base/memory.h"
#include "train/config.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char FORMAT[] = "sipgpu-record";
enum { VERSION = 1, ORIGIN_MAX = 4096, LINE_MAX_BYTES = 4096, LINES_MAX = 1 << 24, BEGINNINGS_MAX = 1 << 28 };

void sg_record_trim(sg_outputs *outputs, int classes)
{
    const size_t all = outputs->probabilities ? (size_t)outputs->count * (size_t)classes : 0;
    for (size_t i = 0; i < all; i++)
        if (outputs->probabilities[i] < SG_RECORD_LEAST)
            outputs->probabilities[i] = 0;
}

void sg_record_free(sg_record *record)
{
    sg_model_free(&record->model);
    sg_outputs_free(&record->outputs);
    sg_outputs_free(&record->beginnings);
    free(record->history);
    free(record->origin);
    *record = (sg_record){0};
}

/* ---- writing ---- */

static sg_status write_answers(sg_h5 *file, const sg_record *record)
{
    const sg_outputs *o = &record->outputs, *b = &record->beginnings;
    const int64_t n = o->count, beginnings = b->count;
    SG_TRY(sg_h5_write(file, "/answers/argmax", H5T_NATIVE_INT32, 1, &n, true, o->argmax));
    SG_TRY(sg_h5_write(file, "/answers/p_max", H5T_NATIVE_FLOAT, 1, &n, true, o->p_max));
    SG_TRY(sg_h5_write(file, "/answers/skewness", H5T_NATIVE_DOUBLE, 1, &n, true, o->skewness));
    SG_TRY(sg_h5_write(file, "/answers/kurtosis", H5T_NATIVE_DOUBLE, 1, &n, true, o->kurtosis));
    if (beginnings == 0)
        return SG_OK;
    SG_TRY(sg_h5_write(file, "/beginnings/skewness", H5T_NATIVE_DOUBLE, 1, &beginnings, true, b->skewness));
    return sg_h5_write(file, "/beginnings/kurtosis", H5T_NATIVE_DOUBLE, 1, &beginnings, true, b->kurtosis);
}

/* One string a line. */
static sg_status write_history(sg_h5 *file, const char *history)
{
    char **lines, *text = strdup(history), *rest = NULL;
    int64_t count = 0, most = 1;
    if (!text)
        return sg_fail(SG_E_MEMORY, "record: out of memory");
    for (const char *c = text; *c; c++)
        most += *c == '\n';
    sg_status status = sg_alloc(&lines, most, "record");
    if (status == SG_OK) {
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
            lines[count++] = line;
        status = sg_h5_write_texts(file, "/history", lines, count);
        free(lines);
    }
    free(text);
    return status;
}

/* The configuration without what depends on the machine. */
static sg_status portable_config(const char *text, char **portable)
{
    sg_config config;
    SG_TRY(sg_config_defaults(&config));
    SG_TRY(sg_options_read_ini_text(sg_config_table, &config, text, "configuration"));
    config.corpus[0] = '\0';
    return sg_config_text(&config, portable);
}

static sg_status write_all(sg_h5 *file, const sg_record *record, const sg_model *described)
{
    SG_TRY(sg_model_put_description(file, FORMAT, VERSION, described));
    SG_TRY(write_answers(file, record));
    SG_TRY(write_history(file, record->history));
    SG_TRY(sg_h5_set_text(file, "/training", "origin", record->origin));
    return sg_h5_set_text(file, "/training", "inference", record->inference);
}

sg_status sg_record_write(const sg_record *record, const char *path)
{
    sg_h5 file;
    sg_model described = record->model;
    SG_TRY(portable_config(record->model.config ? record->model.config : "", &described.config));
    sg_status status = sg_h5_create(&file, path);
    if (status == SG_OK) {
        status = write_all(&file, record, &described);
        if (status == SG_OK)
            status = sg_h5_commit(&file);
        else
            sg_h5_close(&file);
    }
    free(described.config);
    return status;
}

/* ---- reading ---- */

static sg_status read_probabilities(const sg_h5 *file, sg_outputs *outputs, int classes)
{
    const int64_t edges = outputs->count + 1, any = -1;
    int64_t *first = NULL, kept = 0;
    int32_t *class = NULL;
    float *probability = NULL;
    hid_t dataset;
    sg_status status;
    SG_TRY(sg_h5_dataset(file, "/answers/class", H5T_NATIVE_INT32, 1, &any, &kept, &dataset));
    H5Dclose(dataset);
    SG_TRY_GOTO(status, done, sg_alloc(&first, edges, "record"));
    SG_TRY_GOTO(status, done, sg_alloc(&class, kept, "record"));
    SG_TRY_GOTO(status, done, sg_alloc(&probability, kept, "record"));
    SG_TRY_GOTO(status, done, sg_h5_read(file, "/answers/first", H5T_NATIVE_INT64, 1, &edges, first));
    SG_TRY_GOTO(status, done, sg_h5_read(file, "/answers/class", H5T_NATIVE_INT32, 1, &kept, class));
    SG_TRY_GOTO(status, done,
                sg_h5_read(file, "/answers/probability", H5T_NATIVE_FLOAT, 1, &kept, probability));
    for (int64_t j = 0; j < outputs->count; j++) {
        bool holds = first[j] >= 0 && first[j] <= first[j + 1] && first[j + 1] <= kept;
        for (int64_t i = first[j]; holds && i < first[j + 1]; i++) {
            holds = class[i] >= 0 && class[i] < classes && probability[i] >= 0 && probability[i] <= 1;
            if (holds)
                outputs->probabilities[j * classes + class[i]] = probability[i];
        }
        if (!holds) {
            status = sg_fail(SG_E_FORMAT, "%s: /answers: wrong outputs of class %d", file->path, (int)j);
            break;
        }
    }
done:
    free(first);
    free(class);
    free(probability);
    return status;
}

static sg_status check_answers(const sg_h5 *file, const sg_outputs *o, int classes)
{
    for (int j = 0; j < o->count; j++)
        if (o->argmax[j] < 0 || o->argmax[j] >= classes || !(o->p_max[j] >= 0 && o->p_max[j] <= 1) ||
            !isfinite(o->skewness[j]) || !isfinite(o->kurtosis[j]))
            return sg_fail(SG_E_FORMAT, "%s: /answers: wrong answer for class %d", file->path, j);
    return SG_OK;
}

static sg_status read_answers(const sg_h5 *file, sg_record *record)
{
    const int classes = record->model.spec.classes;
    const int64_t n = classes;
    const bool probabilities = sg_h5_has(file, "/answers/first");
    sg_outputs *o = &record->outputs;
    hid_t dataset;
    SG_TRY(sg_h5_dataset(file, "/answers/argmax", H5T_NATIVE_INT32, 1, &n, NULL, &dataset));
    H5Dclose(dataset);
    SG_TRY(sg_outputs_alloc(o, classes, classes, probabilities));
    SG_TRY(sg_h5_read(file, "/answers/argmax", H5T_NATIVE_INT32, 1, &n, o->argmax));
    SG_TRY(sg_h5_read(file, "/answers/p_max", H5T_NATIVE_FLOAT, 1, &n, o->p_max));
    SG_TRY(sg_h5_read(file, "/answers/skewness", H5T_NATIVE_DOUBLE, 1, &n, o->skewness));
    SG_TRY(sg_h5_read(file, "/answers/kurtosis", H5T_NATIVE_DOUBLE, 1, &n, o->kurtosis));
    SG_TRY(check_answers(file, o, classes));
    return probabilities ? read_probabilities(file, o, classes) : SG_OK;
}

static sg_status read_beginnings(const sg_h5 *file, sg_record *record)
{
    int64_t any = -1, count;
    hid_t dataset;
    sg_outputs *b = &record->beginnings;
    if (!sg_h5_has(file, "/beginnings"))
        return SG_OK;
    SG_TRY(sg_h5_dataset(file, "/beginnings/skewness", H5T_NATIVE_DOUBLE, 1, &any, &count, &dataset));
    H5Dclose(dataset);
    if (count > BEGINNINGS_MAX)
        return sg_fail(SG_E_FORMAT, "%s: /beginnings: too many", file->path);
    SG_TRY(sg_outputs_alloc(b, (int)count, record->model.spec.classes, false));
    SG_TRY(sg_h5_read(file, "/beginnings/skewness", H5T_NATIVE_DOUBLE, 1, &count, b->skewness));
    SG_TRY(sg_h5_read(file, "/beginnings/kurtosis", H5T_NATIVE_DOUBLE, 1, &count, b->kurtosis));
    for (int i = 0; i < b->count; i++)
        if (!isfinite(b->skewness[i]) || !isfinite(b->kurtosis[i]))
            return sg_fail(SG_E_FORMAT, "%s: /beginnings: row %d is not finite", file->path, i);
    return SG_OK;
}

static sg_status read_history(const sg_h5 *file, sg_record *record)
{
    char **lines;
    int64_t count;
    size_t size = 0;
    SG_TRY(sg_h5_read_texts(file, "/history", -1, LINES_MAX, LINE_MAX_BYTES, &lines, &count));
    FILE *memory = open_memstream(&record->history, &size);
    for (int64_t i = 0; memory && i < count; i++)
        fprintf(memory, "%s\n", lines[i]);
    sg_h5_free_texts(lines, count);
    return memory && fclose(memory) == 0 ? SG_OK : sg_fail(SG_E_MEMORY, "%s: out of memory", file->path);
}

static sg_status read_all(const sg_h5 *file, sg_record *record)
{
    SG_TRY(sg_model_get_description(file, FORMAT, VERSION, &record->model));
    SG_TRY(read_answers(file, record));
    SG_TRY(read_beginnings(file, record));
    SG_TRY(read_history(file, record));
    SG_TRY(sg_alloc(&record->origin, ORIGIN_MAX, "record"));
    SG_TRY(sg_h5_get_text(file, "/training", "origin", record->origin, ORIGIN_MAX));
    return sg_h5_get_text(file, "/training", "inference", record->inference, sizeof record->inference);
}

sg_status sg_record_read(sg_record *record, const char *path)
{
    sg_h5 file;
    *record = (sg_record){0};
    SG_TRY(sg_h5_open(&file, path));
    sg_status status = read_all(&file, record);
    sg_h5_close(&file);
    return status;
}
