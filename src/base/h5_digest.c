#include "base/h5_digest.h"

#include "base/files.h"
#include "base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { SIGNATURE = SG_H5_START, LENGTH_AT = 8, DIGEST_AT = 16 };

static const uint8_t magic[SIGNATURE] = {0x89, 'S', 'I', 'P', 'H', '\r', '\n', 0x1a};
static const uint8_t hdf5[SIGNATURE] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

bool sg_h5_is_start(const void *start)
{
    return memcmp(start, hdf5, SIGNATURE) == 0 || memcmp(start, magic, SIGNATURE) == 0;
}

void sg_h5_digest_make(uint8_t block[SG_H5_DIGEST_BLOCK], const void *data, size_t bytes)
{
    XXH128_canonical_t digest;
    memset(block, 0, SG_H5_DIGEST_BLOCK);
    memcpy(block, magic, SIGNATURE);
    for (int i = 0; i < 8; i++)
        block[LENGTH_AT + i] = (uint8_t)((uint64_t)bytes >> 8 * i);
    XXH128_canonicalFromHash(&digest, XXH3_128bits(data, bytes));
    memcpy(block + DIGEST_AT, digest.digest, sizeof digest.digest);
}

static uint64_t length_in(const uint8_t *block)
{
    uint64_t length = 0;
    for (int i = 0; i < 8; i++)
        length |= (uint64_t)block[LENGTH_AT + i] << 8 * i;
    return length;
}

/* Reads `bytes` bytes from `offset` on; fewer only at the end of the file. */
static sg_status read_at(int fd, const char *path, size_t offset, void *out, size_t bytes, size_t *done)
{
    for (*done = 0; *done < bytes;) {
        ssize_t n = pread(fd, (char *)out + *done, bytes - *done, (off_t)(offset + *done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sg_fail(SG_E_IO, "cannot read %s: %s", path, strerror(errno));
        if (n == 0)
            break;
        *done += (size_t)n;
    }
    return SG_OK;
}

/* Whether a file that begins so, `bytes` bytes of it, had a digest when it was written.  One damaged byte
 * does not hide that: either the magic is there, or the HDF5 signature behind the block. */
static bool had_digest(const uint8_t *head, size_t bytes)
{
    size_t known = bytes < SIGNATURE ? bytes : SIGNATURE;
    if (known > 0 && memcmp(head, magic, known) == 0)
        return true;
    return bytes == SG_H5_DIGEST_BLOCK + SIGNATURE && memcmp(head, hdf5, SIGNATURE) != 0 &&
           memcmp(head + SG_H5_DIGEST_BLOCK, hdf5, SIGNATURE) == 0;
}

static sg_status check_length(const char *path, const uint8_t *head, size_t head_bytes, off_t size)
{
    if (head_bytes < SG_H5_DIGEST_BLOCK)
        return sg_fail(SG_E_FORMAT, "%s: damaged or truncated: it ends after %zu bytes", path, head_bytes);
    uint64_t wanted = length_in(head), got = (uint64_t)size - SG_H5_DIGEST_BLOCK;
    if (memcmp(head, magic, SIGNATURE) != 0)
        return sg_fail(SG_E_FORMAT, "%s: damaged: the digest in its first bytes cannot be read", path);
    if (got != wanted)
        return sg_fail(SG_E_FORMAT, "%s: damaged%s: it has %llu bytes, expected %llu", path,
                       got < wanted ? " or truncated" : "", (unsigned long long)size,
                       (unsigned long long)wanted + SG_H5_DIGEST_BLOCK);
    return SG_OK;
}

/* Reads and checks a file of the right length. */
static sg_status read_whole(int fd, const char *path, size_t size, void **image)
{
    uint8_t block[SG_H5_DIGEST_BLOCK];
    size_t done;
    SG_TRY(sg_alloc_bytes(image, size, 1, path));
    sg_status status = read_at(fd, path, 0, *image, size, &done);
    if (status == SG_OK && done == size)
        sg_h5_digest_make(block, (const char *)*image + sizeof block, size - sizeof block);
    if (status == SG_OK && (done < size || memcmp(*image, block, sizeof block) != 0))
        status = sg_fail(SG_E_FORMAT, "%s: damaged: its bytes do not match their digest", path);
    if (status != SG_OK) {
        free(*image);
        *image = NULL;
    }
    return status;
}

static sg_status read_open_file(int fd, const char *path, void **image, size_t *bytes)
{
    uint8_t head[SG_H5_DIGEST_BLOCK + SIGNATURE];
    size_t head_bytes;
    struct stat s;
    if (fstat(fd, &s) != 0)
        return sg_fail(SG_E_IO, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISREG(s.st_mode))
        return SG_OK;
    SG_TRY(read_at(fd, path, 0, head, sizeof head, &head_bytes));
    if (!had_digest(head, head_bytes))
        return SG_OK;
    SG_TRY(check_length(path, head, head_bytes, s.st_size));
    *bytes = (size_t)s.st_size;
    return read_whole(fd, path, *bytes, image);
}

sg_status sg_h5_digest_read(const char *path, void **image, size_t *bytes)
{
    *image = NULL;
    *bytes = 0;
    SG_TRY(sg_file_check_readable(path));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return sg_fail(SG_E_IO, "cannot read %s: %s", path, strerror(errno));
    sg_status status = read_open_file(fd, path, image, bytes);
    close(fd);
    return status;
}
