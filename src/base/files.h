/* files.h: folders, whole files, and files that appear complete or not at all. */
#ifndef SG_BASE_FILES_H
#define SG_BASE_FILES_H

#include "base/status.h"
#include <stdint.h>
#include <stdio.h>

#define SG_PATH_MAX 1024

/* Joins with '/', into out[SG_PATH_MAX]; SG_E_CONFIG if it does not fit. */
sg_status sg_path_join(char *out, const char *folder, const char *name);

bool sg_path_exists(const char *path);

/* SG_OK if `path` is a readable regular file; otherwise an error that says why (missing, a folder, no
 * permission). */
sg_status sg_file_check_readable(const char *path);

/* SG_E_CONFIG if `path` exists and `force` is not set; names --force. */
sg_status sg_file_check_writable(const char *path, bool force);

/* mkdir -p. */
sg_status sg_folder_make(const char *path);

/* Removes temporary files (see sg_atomic_open) that killed processes left in a folder.  Best effort. */
void sg_folder_remove_temporaries(const char *path);

/* Reads a whole file of at most `limit` bytes; *text is NUL-terminated, release it with free(). */
sg_status sg_file_read(const char *path, size_t limit, char **text, size_t *length);

/* A file written under a temporary name in the same folder.  sg_atomic_open gives the temporary name in
 * file->temporary (for libraries that open by name); sg_atomic_commit fsyncs it, renames it over file->path
 * and fsyncs the folder; sg_atomic_abort removes it.  Until commit, the old file is untouched. */
typedef struct {
    char path[SG_PATH_MAX];
    char temporary[SG_PATH_MAX + 32];
} sg_atomic_file;

sg_status sg_atomic_open(sg_atomic_file *file, const char *path);
sg_status sg_atomic_commit(sg_atomic_file *file);
void sg_atomic_abort(sg_atomic_file *file);

/* The same for text written through stdio: open, fprintf to *stream, then finish.  `status` is the result of
 * writing: SG_OK commits, unless the stream has an error (this is where a full disk is reported); anything
 * else aborts and is returned.  The stream is always closed. */
sg_status sg_text_open(sg_atomic_file *file, FILE **stream, const char *path);
sg_status sg_text_finish(sg_atomic_file *file, FILE *stream, sg_status status);

#endif
