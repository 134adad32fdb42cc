#include "base/h5.h"
#include "base/memory.h"
#include "corpus/conventions.h"
#include "corpus/corpus.h"

#include <stdlib.h>
#include <string.h>

/* The chunk size of sg_h5_create_dataset: blocks that match chunks are compressed only once. */
#define BLOCK_BYTES ((int64_t)1 << 20)

static sg_status write_attributes(sg_h5 *file, const sg_corpus *corpus, const char *tool)
{
    SG_TRY(sg_h5_set_text(file, "/", "format", "sipgpu-corpus"));
    SG_TRY(sg_h5_set_int(file, "/", "version", 1));
    SG_TRY(sg_h5_set_int(file, "/", "max_length", corpus->max_length));
    SG_TRY(sg_h5_set_int(file, "/", "num_classes", corpus->classes));
    SG_TRY(sg_h5_set_text(file, "/", "source", corpus->source));
    SG_TRY(sg_conventions_write(file, corpus->type_rule, corpus->collapsed));
    return sg_h5_set_text(file, "/", "tool", tool);
}

/* The class table in the stored width: u8 when every id fits, else u16. */
static sg_status pack_classes(const sg_corpus *corpus, size_t width, void **packed)
{
    size_t n = (size_t)corpus->classes * (size_t)corpus->max_length;
    SG_TRY(sg_alloc_bytes(packed, n, width, "class sequences"));
    if (width == 2)
        memcpy(*packed, corpus->class_sequence, n * 2);
    else
        for (size_t i = 0; i < n; i++)
            ((uint8_t *)*packed)[i] = (uint8_t)corpus->class_sequence[i];
    return SG_OK;
}

/* Writes /dialogs/sequence or /dialogs/length: row d is row label[d] of a table with one row for each class,
 * gathered block by block. */
static sg_status write_gathered(sg_h5 *file, const char *name, const sg_corpus *corpus, const void *table,
                                hid_t type, int rank, size_t row_bytes)
{
    hid_t dataset;
    int64_t dims[2] = {corpus->dialogs, corpus->max_length};
    SG_TRY(sg_h5_create_dataset(file, name, type, rank, dims, true, &dataset));
    int64_t rows = BLOCK_BYTES / (int64_t)row_bytes;
    rows = rows < 1 ? 1 : rows;
    char *block;
    sg_status status = sg_alloc_bytes((void **)&block, (size_t)rows, row_bytes, name);
    for (int64_t first = 0; status == SG_OK && first < corpus->dialogs; first += rows) {
        int64_t n = corpus->dialogs - first < rows ? corpus->dialogs - first : rows;
        for (int64_t i = 0; i < n; i++)
            memcpy(block + (size_t)i * row_bytes,
                   (const char *)table + (size_t)corpus->label[first + i] * row_bytes, row_bytes);
        status = sg_h5_write_rows(file, dataset, name, type, first, n, block);
    }
    free(block);
    H5Dclose(dataset);
    return status;
}

static sg_status write_sequences(sg_h5 *file, const sg_corpus *corpus)
{
    size_t width = corpus->message_types > 255 ? 2 : 1;
    hid_t type = width == 2 ? H5T_NATIVE_UINT16 : H5T_NATIVE_UINT8;
    int64_t dims[2] = {corpus->classes, corpus->max_length};
    void *packed;
    SG_TRY(pack_classes(corpus, width, &packed));
    sg_status status = write_gathered(file, "/dialogs/sequence", corpus, packed, type, 2,
                                      width * (size_t)corpus->max_length);
    if (status == SG_OK)
        status = sg_h5_write(file, "/classes/sequence", type, 2, dims, true, packed);
    free(packed);
    return status;
}

static sg_status write_all(sg_h5 *file, const sg_corpus *corpus, const char *tool)
{
    int64_t D = corpus->dialogs, N = corpus->classes;
    SG_TRY(write_attributes(file, corpus, tool));
    SG_TRY(sg_h5_write_texts(file, "/alphabet", corpus->alphabet, corpus->message_types));
    SG_TRY(write_sequences(file, corpus));
    SG_TRY(write_gathered(file, "/dialogs/length", corpus, corpus->class_length, H5T_NATIVE_UINT16, 1,
                          sizeof *corpus->class_length));
    SG_TRY(sg_h5_write(file, "/dialogs/label", H5T_NATIVE_INT32, 1, &D, true, corpus->label));
    SG_TRY(sg_h5_write(file, "/dialogs/user_agent", H5T_NATIVE_INT32, 1, &D, true, corpus->user_agent));
    SG_TRY(sg_h5_write(file, "/dialogs/start_time", H5T_NATIVE_DOUBLE, 1, &D, true, corpus->start_time));
    if (corpus->call_id)
        SG_TRY(sg_h5_write_texts(file, "/dialogs/call_id", corpus->call_id, D));
    SG_TRY(sg_h5_write(file, "/classes/length", H5T_NATIVE_UINT16, 1, &N, true, corpus->class_length));
    SG_TRY(sg_h5_write(file, "/classes/count", H5T_NATIVE_INT64, 1, &N, true, corpus->class_count));
    SG_TRY(sg_h5_write(file, "/split", H5T_NATIVE_UINT8, 1, &D, true, corpus->split));
    return sg_h5_set_int(file, "/split", "seed", (int64_t)corpus->split_seed);
}

sg_status sg_corpus_write(const sg_corpus *corpus, const char *path, const char *tool)
{
    sg_h5 file;
    SG_TRY(sg_h5_create(&file, path));
    sg_status status = write_all(&file, corpus, tool);
    if (status != SG_OK) {
        sg_h5_close(&file);
        return status;
    }
    return sg_h5_commit(&file);
}
