/* h5_files.h: HDF5 files for the targets that read corpora and models.
 *
 * The bytes of an input are edits of a good file, made through libhdf5: other values, types, sizes, layouts,
 * links, attributes.  So every file is a well-formed container and its contents are anything.  Bytes of files
 * are not changed at random: libhdf5 1.10 itself reads and writes beyond its buffers in damaged containers.
 */
#ifndef SG_FUZZ_H5_FILES_H
#define SG_FUZZ_H5_FILES_H

#include "corpus/corpus.h"

typedef struct {
    char path[256]; /* a temporary file below $TMPDIR, removed when the process ends */
    void *image;    /* the good file */
    size_t size;
} fuzz_file;

/* Chooses the path. */
void fuzz_file_open(fuzz_file *file);

/* Takes the file that now stands at the path as the good one. */
void fuzz_file_keep(fuzz_file *file);

/* Writes the good file with edits to its path; its digest, if it has one, is right again.  `objects`: names
 * of groups and datasets, "/" first. */
void fuzz_file_edit(const fuzz_file *file, const char *const *objects, size_t count, const uint8_t *data,
                    size_t size);

/* Six dialogs of three classes; points at constant arrays, not to be freed. */
void fuzz_small_corpus(sg_corpus *corpus);

/* Whether this input is one of 1/n, for checks that take long; the same each time. */
bool fuzz_one_in(unsigned n, const uint8_t *data, size_t size);

/* Ends the process unless `what`. */
void fuzz_expect(bool what);

#endif
