#include "export/archive.h"

#include "base/files.h"
#include "base/memory.h"
#include <stdlib.h>
#include <zip.h>

/* The first day that zip files can express: year - 1980 in bits 9-15, month in 5-8, day in 0-4. */
enum { FIRST_DAY = 1 << 5 | 1 };

/* Deflate packs at most about 1032 : 1. */
enum { PACKING_MAX = 1100 };

/* ---- writing ---- */

static int add_member(zip_t *zip, const sg_archive_member *m)
{
    zip_source_t *source = zip_source_buffer(zip, m->data, m->bytes, 0);
    if (!source)
        return -1;
    const zip_int64_t index = zip_file_add(zip, m->name, source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
        zip_source_free(source);
        return -1;
    }
    if (zip_set_file_compression(zip, (zip_uint64_t)index, ZIP_CM_STORE, 0) < 0)
        return -1;
    return zip_file_set_dostime(zip, (zip_uint64_t)index, 0, FIRST_DAY, 0);
}

sg_status sg_archive_write(const char *path, const sg_archive_member *members, int count)
{
    sg_atomic_file file;
    int error = 0;
    SG_TRY(sg_atomic_open(&file, path));
    zip_t *zip = zip_open(file.temporary, ZIP_CREATE | ZIP_TRUNCATE, &error);
    int result = zip ? 0 : -1;
    for (int i = 0; i < count && result == 0; i++)
        result = add_member(zip, &members[i]);
    if (result == 0)
        result = zip_close(zip);
    if (result == 0)
        return sg_atomic_commit(&file);
    sg_status status = sg_fail(SG_E_IO, "cannot write %s: %s", path, zip ? zip_strerror(zip) : "no archive");
    if (zip)
        zip_discard(zip);
    sg_atomic_abort(&file);
    return status;
}

/* ---- reading ---- */

sg_status sg_archive_open(sg_archive **archive, const char *path)
{
    int error = 0;
    SG_TRY(sg_file_check_readable(path));
    *archive = zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, &error);
    if (*archive)
        return SG_OK;
    zip_error_t text;
    zip_error_init_with_code(&text, error);
    sg_status status = sg_fail(SG_E_FORMAT, "%s: not a .keras archive, or a damaged one (%s)", path,
                               zip_error_strerror(&text));
    zip_error_fini(&text);
    return status;
}

void sg_archive_close(sg_archive *archive)
{
    if (archive)
        zip_discard(archive);
}

bool sg_archive_has(sg_archive *archive, const char *name)
{
    return zip_name_locate(archive, name, 0) >= 0;
}

/* Reads to the end, where libzip compares the checksum. */
static sg_status read_member(zip_file_t *in, const char *path, const char *name, char *data, size_t bytes)
{
    size_t done = 0;
    zip_int64_t n;
    while ((n = zip_fread(in, data + done, bytes - done + 1)) > 0) {
        done += (size_t)n;
        if (done > bytes)
            break;
    }
    if (n != 0 || done != bytes)
        return sg_fail(SG_E_FORMAT, "%s: the member %s is damaged or cut off (%s)", path, name,
                       n < 0 ? zip_error_strerror(zip_file_get_error(in)) : "wrong size");
    data[bytes] = '\0';
    return SG_OK;
}

sg_status sg_archive_read(sg_archive *archive, const char *path, const char *name, size_t limit, void **data,
                          size_t *bytes)
{
    zip_stat_t about;
    const zip_uint64_t wanted = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
    *data = NULL;
    if (zip_stat(archive, name, 0, &about) < 0)
        return sg_fail(SG_E_FORMAT, "%s: the member %s is missing", path, name);
    if ((about.valid & wanted) != wanted || about.size > limit ||
        about.size / PACKING_MAX > about.comp_size + 4096)
        return sg_fail(SG_E_FORMAT, "%s: the member %s is too large", path, name);
    SG_TRY(sg_alloc_bytes(data, (size_t)about.size + 1, 1, name));
    zip_file_t *in = zip_fopen(archive, name, 0);
    sg_status status =
        in ? read_member(in, path, name, *data, (size_t)about.size)
           : sg_fail(SG_E_FORMAT, "%s: the member %s cannot be read (%s)", path, name, zip_strerror(archive));
    if (in)
        zip_fclose(in);
    *bytes = (size_t)about.size;
    if (status != SG_OK) {
        free(*data);
        *data = NULL;
    }
    return status;
}
