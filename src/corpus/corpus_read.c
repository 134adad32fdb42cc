#include "base/h5.h"
#include "base/memory.h"
#include "corpus/conventions.h"
#include "corpus/corpus.h"
#include "corpus/sequence_set.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_LENGTH_MAX = 64, CALL_ID_LENGTH_MAX = 65535 };

#define BLOCK_BYTES ((int64_t)1 << 20)

/* Allocates and reads a whole dataset of known shape. */
static sg_status read_whole(const sg_h5 *file, const char *name, hid_t type, int rank, const int64_t *want,
                            size_t size, void **out)
{
    hid_t dataset;
    SG_TRY(sg_h5_dataset(file, name, type, rank, want, NULL, &dataset));
    sg_status status = sg_alloc_bytes(out, (size_t)want[0] * (size_t)(rank > 1 ? want[1] : 1), size, name);
    if (status == SG_OK)
        status = sg_h5_read_rows(file, dataset, name, type, 0, want[0], *out);
    H5Dclose(dataset);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names are unique and printable without spaces, so that a sequence can be shown as one line. */
static sg_status check_alphabet(const sg_h5 *file, const sg_corpus *corpus)
{
    for (int m = 0; m < corpus->message_types; m++)
        for (const char *p = corpus->alphabet[m]; *p; p++)
            if (*p <= ' ' || *p > '~')
                return sg_fail(SG_E_FORMAT, "%s: /alphabet row %d is not a printable name", file->path, m);
    char **sorted;
    SG_TRY(sg_alloc(&sorted, corpus->message_types, "alphabet"));
    memcpy(sorted, corpus->alphabet, (size_t)corpus->message_types * sizeof *sorted);
    qsort(sorted, (size_t)corpus->message_types, sizeof *sorted, compare_names);
    sg_status status = SG_OK;
    for (int m = 1; m < corpus->message_types && status == SG_OK; m++)
        if (strcmp(sorted[m - 1], sorted[m]) == 0)
            status = sg_fail(SG_E_FORMAT, "%s: /alphabet holds %s twice", file->path, sorted[m]);
    free(sorted);
    return status;
}

static sg_status read_head(const sg_h5 *file, sg_corpus *corpus)
{
    int64_t L, N, M;
    SG_TRY(sg_h5_check_format(file, "sipgpu-corpus", 1));
    SG_TRY(sg_h5_get_int(file, "/", "max_length", 1, SG_LENGTH_MAX, &L));
    SG_TRY(sg_h5_get_int(file, "/", "num_classes", 1, SG_CLASSES_MAX, &N));
    if (sg_h5_has_attribute(file, "/", "source"))
        SG_TRY(sg_h5_get_text(file, "/", "source", corpus->source, sizeof corpus->source));
    SG_TRY(sg_conventions_read(file, corpus->type_rule, &corpus->collapsed));
    SG_TRY(sg_h5_read_texts(file, "/alphabet", -1, SG_MESSAGE_TYPES_MAX, NAME_LENGTH_MAX, &corpus->alphabet,
                            &M));
    corpus->message_types = (int)M;
    corpus->max_length = (int)L;
    corpus->classes = (int)N;
    if (M == 0)
        return sg_fail(SG_E_FORMAT, "%s: /alphabet is empty", file->path);
    return check_alphabet(file, corpus);
}

/* One padded row of `dataset` against the alphabet and its length. */
static sg_status check_row(const sg_h5 *file, const sg_corpus *corpus, const char *group, int64_t row,
                           const uint16_t *tokens, int length)
{
    if (length < 1 || length > corpus->max_length)
        return sg_fail(SG_E_FORMAT, "%s: %s/length row %lld is %d, must be from 1 to %d", file->path, group,
                       (long long)row, length, corpus->max_length);
    for (int t = 0; t < corpus->max_length; t++) {
        if (tokens[t] > corpus->message_types)
            return sg_fail(SG_E_FORMAT, "%s: %s/sequence row %lld holds type %d, the alphabet has %d",
                           file->path, group, (long long)row, tokens[t], corpus->message_types);
        if ((tokens[t] != 0) != (t < length))
            return sg_fail(SG_E_FORMAT, "%s: %s/sequence row %lld: the padding disagrees with the length %d",
                           file->path, group, (long long)row, length);
    }
    return SG_OK;
}

/* Classes are unique sequences. */
static sg_status check_unique(const sg_h5 *file, const sg_corpus *corpus)
{
    sg_sequence_set set;
    SG_TRY(sg_sequence_set_open(&set));
    sg_status status = SG_OK;
    for (int c = 0; c < corpus->classes && status == SG_OK; c++) {
        const uint16_t *tokens = corpus->class_sequence + (size_t)c * (size_t)corpus->max_length;
        int32_t number;
        status = sg_sequence_set_add(&set, tokens, corpus->class_length[c], &number);
        if (status == SG_OK && number != c)
            status =
                sg_fail(SG_E_FORMAT, "%s: /classes/sequence rows %d and %d are equal", file->path, number, c);
    }
    sg_sequence_set_free(&set);
    return status;
}

static sg_status read_classes(const sg_h5 *file, sg_corpus *corpus)
{
    int64_t dims[2] = {corpus->classes, corpus->max_length};
    SG_TRY(read_whole(file, "/classes/sequence", H5T_NATIVE_UINT16, 2, dims, sizeof(uint16_t),
                      (void **)&corpus->class_sequence));
    SG_TRY(read_whole(file, "/classes/length", H5T_NATIVE_UINT16, 1, dims, sizeof(uint16_t),
                      (void **)&corpus->class_length));
    SG_TRY(read_whole(file, "/classes/count", H5T_NATIVE_INT64, 1, dims, sizeof(int64_t),
                      (void **)&corpus->class_count));
    for (int c = 0; c < corpus->classes; c++)
        SG_TRY(check_row(file, corpus, "/classes", c,
                         corpus->class_sequence + (size_t)c * (size_t)corpus->max_length,
                         corpus->class_length[c]));
    return check_unique(file, corpus);
}

/* Labels are read before the sequences, so they give the number of dialogs of each class. */
static sg_status check_labels(const sg_h5 *file, const sg_corpus *corpus)
{
    int64_t *count;
    SG_TRY(sg_alloc(&count, corpus->classes, "class counts"));
    sg_status status = SG_OK;
    for (int64_t d = 0; d < corpus->dialogs && status == SG_OK; d++) {
        int32_t c = corpus->label[d];
        if (c < 0 || c >= corpus->classes)
            status = sg_fail(SG_E_FORMAT, "%s: /dialogs/label row %lld is %d, must be from 0 to %d",
                             file->path, (long long)d, c, corpus->classes - 1);
        else
            count[c]++;
    }
    for (int c = 0; c < corpus->classes && status == SG_OK; c++) {
        if (count[c] != corpus->class_count[c])
            status = sg_fail(SG_E_FORMAT, "%s: /classes/count row %d is %lld, the labels say %lld",
                             file->path, c, (long long)corpus->class_count[c], (long long)count[c]);
        else if (count[c] == 0)
            status = sg_fail(SG_E_FORMAT, "%s: /classes/count row %d is 0: a class has at least one dialog",
                             file->path, c);
    }
    free(count);
    return status;
}

static sg_status check_columns(const sg_h5 *file, const sg_corpus *corpus)
{
    for (int64_t d = 0; d < corpus->dialogs; d++) {
        if (corpus->user_agent[d] < 0)
            return sg_fail(SG_E_FORMAT, "%s: /dialogs/user_agent row %lld is negative", file->path,
                           (long long)d);
        if (!isfinite(corpus->start_time[d]))
            return sg_fail(SG_E_FORMAT, "%s: /dialogs/start_time row %lld is not finite", file->path,
                           (long long)d);
        if (corpus->split[d] >= SG_SPLITS)
            return sg_fail(SG_E_FORMAT, "%s: /split row %lld is %d, must be from 0 to %d", file->path,
                           (long long)d, corpus->split[d], SG_SPLITS - 1);
    }
    return SG_OK;
}

/* Rows [first, first + n) of /dialogs/sequence and /dialogs/length against the classes of their labels. */
static sg_status check_block(const sg_h5 *file, const sg_corpus *corpus, int64_t first, int64_t n,
                             const uint16_t *tokens, const uint16_t *lengths)
{
    size_t L = (size_t)corpus->max_length;
    for (int64_t i = 0; i < n; i++) {
        int32_t c = corpus->label[first + i];
        const uint16_t *row = tokens + (size_t)i * L;
        if (lengths[i] == corpus->class_length[c] &&
            memcmp(row, corpus->class_sequence + (size_t)c * L, L * sizeof *row) == 0)
            continue;
        SG_TRY(check_row(file, corpus, "/dialogs", first + i, row, lengths[i]));
        return sg_fail(SG_E_FORMAT, "%s: /dialogs/sequence row %lld differs from its class %d", file->path,
                       (long long)(first + i), c);
    }
    return SG_OK;
}

static sg_status check_sequences(const sg_h5 *file, const sg_corpus *corpus)
{
    int64_t dims[2] = {corpus->dialogs, corpus->max_length}, rows = BLOCK_BYTES / corpus->max_length;
    hid_t sequence = H5I_INVALID_HID, length = H5I_INVALID_HID;
    uint16_t *tokens = NULL, *lengths = NULL;
    sg_status status;
    rows = rows > dims[0] ? dims[0] : rows < 1 ? 1 : rows;
    SG_TRY_GOTO(status, done,
                sg_h5_dataset(file, "/dialogs/sequence", H5T_NATIVE_UINT16, 2, dims, NULL, &sequence));
    SG_TRY_GOTO(status, done,
                sg_h5_dataset(file, "/dialogs/length", H5T_NATIVE_UINT16, 1, dims, NULL, &length));
    SG_TRY_GOTO(status, done, sg_alloc(&tokens, rows * corpus->max_length, "dialog sequences"));
    SG_TRY_GOTO(status, done, sg_alloc(&lengths, rows, "dialog lengths"));
    for (int64_t first = 0; first < dims[0]; first += rows) {
        int64_t n = dims[0] - first < rows ? dims[0] - first : rows;
        SG_TRY_GOTO(
            status, done,
            sg_h5_read_rows(file, sequence, "/dialogs/sequence", H5T_NATIVE_UINT16, first, n, tokens));
        SG_TRY_GOTO(status, done,
                    sg_h5_read_rows(file, length, "/dialogs/length", H5T_NATIVE_UINT16, first, n, lengths));
        SG_TRY_GOTO(status, done, check_block(file, corpus, first, n, tokens, lengths));
    }
done:
    if (sequence >= 0)
        H5Dclose(sequence);
    if (length >= 0)
        H5Dclose(length);
    free(tokens);
    free(lengths);
    return status;
}

/* /dialogs/label says how many dialogs there are; everything else must agree. */
static sg_status read_count(const sg_h5 *file, sg_corpus *corpus)
{
    hid_t dataset;
    int64_t any = -1, count = 0;
    SG_TRY(sg_h5_dataset(file, "/dialogs/label", H5T_NATIVE_INT32, 1, &any, &count, &dataset));
    H5Dclose(dataset);
    if (count < 1 || count > INT32_MAX)
        return sg_fail(SG_E_FORMAT, "%s: %lld dialogs; 1 to %d are possible", file->path, (long long)count,
                       INT32_MAX);
    corpus->dialogs = count;
    return SG_OK;
}

static sg_status read_dialogs(const sg_h5 *file, sg_corpus *corpus)
{
    SG_TRY(read_count(file, corpus));
    const int64_t *D = &corpus->dialogs;
    int64_t seed = 0, count;
    SG_TRY(
        read_whole(file, "/dialogs/label", H5T_NATIVE_INT32, 1, D, sizeof(int32_t), (void **)&corpus->label));
    SG_TRY(check_labels(file, corpus));
    SG_TRY(read_whole(file, "/dialogs/user_agent", H5T_NATIVE_INT32, 1, D, sizeof(int32_t),
                      (void **)&corpus->user_agent));
    SG_TRY(read_whole(file, "/dialogs/start_time", H5T_NATIVE_DOUBLE, 1, D, sizeof(double),
                      (void **)&corpus->start_time));
    SG_TRY(read_whole(file, "/split", H5T_NATIVE_UINT8, 1, D, sizeof(uint8_t), (void **)&corpus->split));
    SG_TRY(sg_h5_get_int(file, "/split", "seed", INT64_MIN, INT64_MAX, &seed));
    corpus->split_seed = (uint64_t)seed;
    SG_TRY(check_columns(file, corpus));
    SG_TRY(check_sequences(file, corpus));
    if (sg_h5_has(file, "/dialogs/call_id"))
        SG_TRY(
            sg_h5_read_texts(file, "/dialogs/call_id", *D, *D, CALL_ID_LENGTH_MAX, &corpus->call_id, &count));
    return SG_OK;
}

sg_status sg_corpus_read(sg_corpus *corpus, const char *path)
{
    sg_h5 file;
    memset(corpus, 0, sizeof *corpus);
    SG_TRY(sg_h5_open(&file, path));
    sg_status status = read_head(&file, corpus);
    if (status == SG_OK)
        status = read_classes(&file, corpus);
    if (status == SG_OK)
        status = read_dialogs(&file, corpus);
    sg_h5_close(&file);
    if (status != SG_OK)
        sg_corpus_free(corpus);
    else
        sg_corpus_digest(corpus);
    return status;
}
