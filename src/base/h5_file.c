/* h5_file.c: HDF5 files as wholes: the lock, opening and closing, with and without a digest. */
#include "base/files.h"
#include "base/h5.h"
#include "base/h5_digest.h"
#include "base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IMAGE_INCREMENT ((size_t)1 << 22)

/* ---- the lock ---- */

/* An sg_h5 whose id is valid holds it once. */
static pthread_mutex_t library = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static _Thread_local int64_t waits;

void sg_h5_lock(void)
{
    if (pthread_mutex_trylock(&library) == 0)
        return;
    waits++;
    pthread_mutex_lock(&library);
}

void sg_h5_unlock(void)
{
    pthread_mutex_unlock(&library);
}

int64_t sg_h5_waits(void)
{
    return waits;
}

/* ---- opening and closing ---- */

static sg_status open_locked(sg_h5 *file, const char *path)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    if (H5Fis_hdf5(path) <= 0)
        return sg_fail(SG_E_FORMAT, "%s: not an HDF5 file", path);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    file->id = H5Fopen(path, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    if (file->id < 0)
        return sg_fail(SG_E_FORMAT, "%s: a damaged or truncated HDF5 file", path);
    return SG_OK;
}

sg_status sg_h5_open(sg_h5 *file, const char *path)
{
    *file = (sg_h5){.id = H5I_INVALID_HID};
    SG_TRY(sg_file_check_readable(path));
    snprintf(file->path, sizeof file->path, "%s", path);
    sg_h5_lock();
    sg_status status = open_locked(file, path);
    if (status != SG_OK)
        sg_h5_unlock();
    return status;
}

/* ---- images: libhdf5 is lent one buffer, of which it would make three copies ---- */

static void *lend(size_t bytes, H5FD_file_image_op_t operation, void *image)
{
    (void)bytes;
    (void)operation;
    return image;
}

static void *leave(void *to, const void *from, size_t bytes, H5FD_file_image_op_t operation, void *image)
{
    (void)from;
    (void)bytes;
    (void)operation;
    return to == image ? to : NULL;
}

static void *refuse_growth(void *buffer, size_t bytes, H5FD_file_image_op_t operation, void *image)
{
    (void)buffer;
    (void)bytes;
    (void)operation;
    (void)image;
    return NULL; /* files are opened to be read */
}

static herr_t keep_buffer(void *buffer, H5FD_file_image_op_t operation, void *image)
{
    (void)buffer;
    (void)operation;
    (void)image;
    return 0;
}

static void *same_image(void *image)
{
    return image;
}

static herr_t keep_image(void *image)
{
    (void)image;
    return 0;
}

static hid_t open_image_locked(void *image, size_t bytes)
{
    static unsigned long opened; /* libhdf5 takes two images of one name for one file */
    char name[48];
    H5FD_file_image_callbacks_t lent = {.image_malloc = lend,
                                        .image_memcpy = leave,
                                        .image_realloc = refuse_growth,
                                        .image_free = keep_buffer,
                                        .udata_copy = same_image,
                                        .udata_free = keep_image,
                                        .udata = image};
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), id = H5I_INVALID_HID;
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    H5Pset_fapl_core(access, IMAGE_INCREMENT, 0);
    snprintf(name, sizeof name, "/dev/null/%lu", opened++); /* no file can have that name */
    if (bytes > 0 && H5Pset_file_image_callbacks(access, &lent) >= 0 &&
        H5Pset_file_image(access, image, bytes) >= 0)
        id = H5Fopen(name, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    return id;
}

sg_status sg_h5_open_image(sg_h5 *file, const char *name, void *image, size_t bytes)
{
    *file = (sg_h5){.image = image};
    snprintf(file->path, sizeof file->path, "%s", name);
    sg_h5_lock();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    file->id = open_image_locked(image, bytes);
    if (file->id >= 0)
        return SG_OK;
    sg_h5_unlock();
    free(image);
    file->image = NULL;
    return sg_fail(SG_E_FORMAT, "%s: no HDF5 file, or a damaged one", name);
}

sg_status sg_h5_open_digest(sg_h5 *file, const char *path, bool *digest)
{
    void *image;
    size_t bytes;
    file->id = H5I_INVALID_HID;
    SG_TRY(sg_h5_digest_read(path, &image, &bytes));
    *digest = image != NULL;
    return image ? sg_h5_open_image(file, path, image, bytes) : sg_h5_open(file, path);
}

void sg_h5_close(sg_h5 *file)
{
    if (file->id < 0)
        return;
    H5Fclose(file->id);
    file->id = H5I_INVALID_HID;
    free(file->image);
    file->image = NULL;
    sg_h5_unlock();
}

/* ---- writing ---- */

static sg_status create(sg_h5 *file, const char *path, bool digest)
{
    *file = (sg_h5){.digest = digest};
    snprintf(file->path, sizeof file->path, "%s", path);
    sg_h5_lock();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), creation = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_fapl_core(access, IMAGE_INCREMENT, 0);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    H5Pset_userblock(creation, digest ? SG_H5_DIGEST_BLOCK : 0);
    file->id = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
    H5Pclose(creation);
    H5Pclose(access);
    if (file->id >= 0)
        return SG_OK;
    sg_h5_unlock();
    return sg_fail(SG_E_MEMORY, "%s: cannot build the file in memory", path);
}

sg_status sg_h5_create(sg_h5 *file, const char *path)
{
    return create(file, path, false);
}

sg_status sg_h5_create_digest(sg_h5 *file, const char *path)
{
    return create(file, path, true);
}

static sg_status write_image(const char *path, const char *image, size_t bytes)
{
    sg_atomic_file out;
    SG_TRY(sg_atomic_open(&out, path));
    int fd = open(out.temporary, O_WRONLY | O_CLOEXEC);
    size_t done = 0;
    while (fd >= 0 && done < bytes) {
        ssize_t n = write(fd, image + done, bytes - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    int saved = errno;
    bool closed = fd >= 0 && close(fd) == 0;
    if (done < bytes || !closed) {
        sg_atomic_abort(&out);
        return sg_fail(SG_E_IO, "cannot write %s: %s", path, strerror(done < bytes ? saved : errno));
    }
    return sg_atomic_commit(&out);
}

/* What libhdf5 gives is without the user block. */
sg_status sg_h5_take_image(sg_h5 *file, void **image, size_t *bytes)
{
    size_t block = file->digest ? SG_H5_DIGEST_BLOCK : 0;
    ssize_t size = H5Fflush(file->id, H5F_SCOPE_GLOBAL) < 0 ? -1 : H5Fget_file_image(file->id, NULL, 0);
    *image = size < 0 ? NULL : malloc(block + (size_t)size);
    *bytes = block + (size_t)size;
    if (*image && H5Fget_file_image(file->id, (char *)*image + block, (size_t)size) != size) {
        free(*image);
        *image = NULL;
    }
    sg_h5_close(file);
    if (!*image)
        return sg_fail(SG_E_MEMORY, "%s: cannot build the file in memory", file->path);
    if (block)
        sg_h5_digest_make(*image, (char *)*image + block, (size_t)size);
    return SG_OK;
}

sg_status sg_h5_commit(sg_h5 *file)
{
    void *image;
    size_t bytes;
    SG_TRY(sg_h5_take_image(file, &image, &bytes));
    sg_status status = write_image(file->path, image, bytes);
    free(image);
    return status;
}
