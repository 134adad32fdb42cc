/* archive.h: zip archives, the format of .keras files. */
#ifndef SG_EXPORT_ARCHIVE_H
#define SG_EXPORT_ARCHIVE_H

#include "base/status.h"

typedef struct {
    const char *name;
    const void *data; /* not copied */
    size_t bytes;
} sg_archive_member;

/* Writes a zip file of these members, uncompressed, all or nothing.  Times are 1980-01-01, so the same
 * members give the same bytes. */
sg_status sg_archive_write(const char *path, const sg_archive_member *members, int count);

typedef struct zip sg_archive;

/* SG_E_IO: missing, a folder, unreadable.  SG_E_FORMAT: not a zip file, or cut off. */
sg_status sg_archive_open(sg_archive **archive, const char *path);
void sg_archive_close(sg_archive *archive);

bool sg_archive_has(sg_archive *archive, const char *name);

/* Reads a whole member of at most `limit` bytes and checks its checksum; a zero byte follows it.  Release
 * with free(). `path` is for messages. */
sg_status sg_archive_read(sg_archive *archive, const char *path, const char *name, size_t limit, void **data,
                          size_t *bytes);

#endif
