/* h5.h: HDF5 files, read with distrust and written all or nothing.
 *
 * Reading refuses soft and external links, external storage and virtual datasets, and checks rank, size and
 * type before any byte is read.  Writing builds the file in memory and puts it in place by sg_atomic_file, so
 * that a full disk or a crash leaves the old file.  HDF5's own error printing is switched off; every failure
 * is one sentence that starts with the file's path.
 *
 * Threads: libhdf5 may have been built without thread safety, and even its type names (H5T_NATIVE_INT32) are
 * calls.  So one lock of the process is around all use of it: an open file holds it, from sg_h5_open or
 * sg_h5_create until sg_h5_close or sg_h5_commit.  The lock counts, so that one thread can have several files
 * open; others wait until all of them are closed.  Keep files open no longer than reading and writing takes,
 * wait for no other thread meanwhile, and close a file in the thread that opened it.
 */
#ifndef SG_BASE_H5_H
#define SG_BASE_H5_H

#include "base/status.h"
#include <hdf5.h>
#include <stdint.h>

enum { SG_H5_RANK_MAX = 4 };

typedef struct {
    hid_t id;
    char path[1024];
    bool digest; /* of a file that is built: a digest goes before it */
    void *image; /* of a file that is read from memory */
} sg_h5;

/* For calls of libhdf5 while no file is open, such as H5get_libversion. */
void sg_h5_lock(void);
void sg_h5_unlock(void);

/* How often this thread has found the lock taken by another. */
int64_t sg_h5_waits(void);

/* ---- reading ---- */

/* SG_E_IO: missing, a folder, unreadable.  SG_E_FORMAT: not HDF5, or cut off. */
sg_status sg_h5_open(sg_h5 *file, const char *path);

/* The same for a whole file in memory, from malloc, that is released with free() when the file is closed or
 * cannot be opened; `name` stands for its path in messages. */
sg_status sg_h5_open_image(sg_h5 *file, const char *name, void *image, size_t bytes);

/* The same for files that may have a digest (h5_digest.h): it is checked before libhdf5 sees a byte, and what
 * was checked is what is read.  *digest: there is one, and it is right.  Without one the file is opened as it
 * is. */
sg_status sg_h5_open_digest(sg_h5 *file, const char *path, bool *digest);

/* Also for files from sg_h5_create that are to be dropped. */
void sg_h5_close(sg_h5 *file);

/* Checks root attributes format == `format` and 1 <= version <= `version_max`. */
sg_status sg_h5_check_format(const sg_h5 *file, const char *format, int64_t version_max);

/* Attributes of the object at `object` ("/" for the root).  Integers must lie in [min, max]; texts must fit.
 */
sg_status sg_h5_get_int(const sg_h5 *file, const char *object, const char *name, int64_t min, int64_t max,
                        int64_t *value);
sg_status sg_h5_get_real(const sg_h5 *file, const char *object, const char *name, double *value);
sg_status sg_h5_get_text(const sg_h5 *file, const char *object, const char *name, char *text, size_t size);
bool sg_h5_has_attribute(const sg_h5 *file, const char *object, const char *name);

/* Whether an object stands at `name` ("/a/b"), by hard links only. */
bool sg_h5_has(const sg_h5 *file, const char *name);

/* Opens dataset `name`: hard links only, stored in this file, of exactly `rank` dimensions (0: scalar), each
 * equal to want[k] unless want[k] is negative; dims[k] receives the sizes.  The stored type must convert to
 * `memory_type` without loss of range (same class; integers no wider and of a sign that fits), and the file
 * must be large enough to hold what is declared.  Close with H5Dclose. */
sg_status sg_h5_dataset(const sg_h5 *file, const char *name, hid_t memory_type, int rank, const int64_t *want,
                        int64_t *dims, hid_t *dataset);

/* Reads rows [first, first + count) of an open dataset (the whole of it if its rank is 0) into `out`. */
sg_status sg_h5_read_rows(const sg_h5 *file, hid_t dataset, const char *name, hid_t memory_type,
                          int64_t first, int64_t count, void *out);

/* sg_h5_dataset with all sizes known, read whole. */
sg_status sg_h5_read(const sg_h5 *file, const char *name, hid_t memory_type, int rank, const int64_t *want,
                     void *out);

/* Reads a rank-1 dataset of strings, each of 1..longest bytes; (*texts)[i] and *texts are released by
 * sg_h5_free_texts. `want` < 0: any count up to `count_max`. */
sg_status sg_h5_read_texts(const sg_h5 *file, const char *name, int64_t want, int64_t count_max,
                           size_t longest, char ***texts, int64_t *count);
void sg_h5_free_texts(char **texts, int64_t count);

/* ---- writing ---- */

/* Starts a file in memory; `path` is for messages and sg_h5_commit. */
sg_status sg_h5_create(sg_h5 *file, const char *path);

/* The same for a file that begins with a digest of the rest, 512 bytes in all (h5_digest.h). */
sg_status sg_h5_create_digest(sg_h5 *file, const char *path);

/* Puts the file in place under its path, and closes it, also on failure.  The disk is waited for after the
 * lock is given back. */
sg_status sg_h5_commit(sg_h5 *file);

/* Closes the file, also on failure, and gives its bytes instead of writing them; release with free(). */
sg_status sg_h5_take_image(sg_h5 *file, void **image, size_t *bytes);

sg_status sg_h5_set_int(sg_h5 *file, const char *object, const char *name, int64_t value);
sg_status sg_h5_set_real(sg_h5 *file, const char *object, const char *name, double value);
sg_status sg_h5_set_text(sg_h5 *file, const char *object, const char *name, const char *text);

sg_status sg_h5_make_group(sg_h5 *file, const char *name);

/* Creates dataset `name` (and the groups above it).  `compress`: chunked with shuffle + deflate + fletcher32.
 * Close with H5Dclose. */
sg_status sg_h5_create_dataset(sg_h5 *file, const char *name, hid_t file_type, int rank, const int64_t *dims,
                               bool compress, hid_t *dataset);

/* Writes rows [first, first + count) (the whole if its rank is 0). */
sg_status sg_h5_write_rows(sg_h5 *file, hid_t dataset, const char *name, hid_t memory_type, int64_t first,
                           int64_t count, const void *data);

/* Creates and writes a whole dataset; the stored type is the little-endian form of `memory_type`. */
sg_status sg_h5_write(sg_h5 *file, const char *name, hid_t memory_type, int rank, const int64_t *dims,
                      bool compress, const void *data);

/* Writes a rank-1 dataset of UTF-8 strings, stored with the width of the longest (at most 65536 bytes) and
 * padded with zeros. */
sg_status sg_h5_write_texts(sg_h5 *file, const char *name, char *const *texts, int64_t count);

#endif
