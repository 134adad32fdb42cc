/* Files with a digest: no bit of them can change, no byte come or go, without notice. */
#include "base/files.h"
#include "base/h5.h"
#include "base/h5_digest.h"
#include "testing.h"

#include <fcntl.h>
#include <unistd.h>

enum { NUMBERS = 5000, LIMIT = 1 << 20 };

static char folder[128], path[SG_PATH_MAX];
static char *good; /* the bytes of the example */
static size_t size;

static void write_bytes(const void *bytes, size_t count)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0666); /* truncating it first would wait for the disk each time */
    assert_int_equal(write(fd, bytes, count), count);
    assert_int_equal(ftruncate(fd, (off_t)count), 0);
    close(fd);
}

static void fill(sg_h5 *file)
{
    int32_t numbers[NUMBERS];
    const int64_t dims[1] = {NUMBERS};
    for (int i = 0; i < NUMBERS; i++)
        numbers[i] = i * 7919;
    assert_ok(sg_h5_set_text(file, "/", "format", "example"));
    assert_ok(sg_h5_write(file, "/plain", H5T_NATIVE_INT32, 1, dims, false, numbers));
    assert_ok(sg_h5_write(file, "/packed", H5T_NATIVE_INT32, 1, dims, true, numbers));
}

static int set_up(void **state)
{
    (void)state;
    sg_h5 file;
    make_test_folder(folder);
    assert_ok(sg_path_join(path, folder, "x.h5"));
    assert_ok(sg_h5_create_digest(&file, path));
    fill(&file);
    assert_ok(sg_h5_commit(&file));
    assert_ok(sg_file_read(path, LIMIT, &good, &size));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(good);
    unlink(path);
    return rmdir(folder);
}

static void assert_example(const sg_h5 *file)
{
    int32_t numbers[NUMBERS];
    const int64_t dims[1] = {NUMBERS};
    assert_ok(sg_h5_read(file, "/packed", H5T_NATIVE_INT32, 1, dims, numbers));
    assert_int_equal(numbers[NUMBERS - 1], (NUMBERS - 1) * 7919);
    assert_ok(sg_h5_read(file, "/plain", H5T_NATIVE_INT32, 1, dims, numbers));
    assert_int_equal(numbers[NUMBERS - 2], (NUMBERS - 2) * 7919);
}

static void assert_damaged(void)
{
    sg_h5 file;
    bool digest;
    assert_fails(SG_E_FORMAT, "damaged", sg_h5_open_digest(&file, path, &digest));
    assert_non_null(strstr(sg_error_text(), path));
}

/* With and without looking at the digest. */
static void reads_what_it_writes(void **state)
{
    (void)state;
    sg_h5 file;
    bool digest = false;
    assert_ok(sg_h5_open_digest(&file, path, &digest));
    assert_true(digest);
    assert_example(&file);
    sg_h5_close(&file);
    assert_ok(sg_h5_open(&file, path));
    assert_example(&file);
    sg_h5_close(&file);
}

/* Two files at once, one of them closed before the other is read. */
static void reads_several_at_once(void **state)
{
    (void)state;
    sg_h5 a, b;
    bool digest;
    assert_ok(sg_h5_open_digest(&a, path, &digest));
    assert_ok(sg_h5_open_digest(&b, path, &digest));
    sg_h5_close(&a);
    assert_example(&b);
    sg_h5_close(&b);
}

/* What was checked is what is read, even if the file changes in between. */
static void reads_what_was_checked(void **state)
{
    (void)state;
    sg_h5 file;
    bool digest;
    assert_ok(sg_h5_open_digest(&file, path, &digest));
    memset(good + SG_H5_DIGEST_BLOCK, 0xff, size - SG_H5_DIGEST_BLOCK);
    write_bytes(good, size);
    assert_example(&file);
    sg_h5_close(&file);
    assert_damaged();
}

static void sees_every_bit(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < 8 * size; bit += bit < 8 * (SG_H5_DIGEST_BLOCK + 96) ? 1 : 1009) {
        good[bit / 8] ^= (char)(1 << bit % 8);
        write_bytes(good, size);
        assert_damaged();
        good[bit / 8] ^= (char)(1 << bit % 8);
    }
}

static void sees_bytes_that_are_missing(void **state)
{
    (void)state;
    for (size_t keep = 1; keep < size; keep += keep < 1100 ? 1 : 997) {
        write_bytes(good, keep);
        assert_damaged();
    }
    write_bytes(good, size - 1);
    assert_damaged();
}

static void sees_bytes_that_are_too_many(void **state)
{
    (void)state;
    char *longer = calloc(2 * size, 1);
    memcpy(longer, good, size);
    memcpy(longer + size, good, size);
    for (size_t more = 1; more <= size; more *= 3) {
        write_bytes(longer, size + more);
        assert_damaged();
    }
    free(longer);
}

/* Older files, files that other programs wrote, and files that are not HDF5. */
static void reads_files_without_a_digest(void **state)
{
    (void)state;
    sg_h5 file;
    bool digest = true;
    write_bytes(good + SG_H5_DIGEST_BLOCK, size - SG_H5_DIGEST_BLOCK);
    assert_ok(sg_h5_open_digest(&file, path, &digest));
    assert_false(digest);
    assert_example(&file);
    sg_h5_close(&file);
    assert_ok(sg_h5_create(&file, path));
    fill(&file);
    assert_ok(sg_h5_commit(&file));
    assert_ok(sg_h5_open_digest(&file, path, &digest));
    assert_false(digest);
    assert_example(&file);
    sg_h5_close(&file);
    write_bytes("text", 4);
    assert_fails(SG_E_FORMAT, "not an HDF5 file", sg_h5_open_digest(&file, path, &digest));
    write_bytes("", 0);
    assert_fails(SG_E_FORMAT, "not an HDF5 file", sg_h5_open_digest(&file, path, &digest));
    assert_fails(SG_E_IO, "is a folder", sg_h5_open_digest(&file, folder, &digest));
    unlink(path);
    assert_fails(SG_E_IO, "No such file", sg_h5_open_digest(&file, path, &digest));
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(reads_what_it_writes),         WITH_FILE(reads_several_at_once),
        WITH_FILE(reads_what_was_checked),       WITH_FILE(sees_every_bit),
        WITH_FILE(sees_bytes_that_are_missing),  WITH_FILE(sees_bytes_that_are_too_many),
        WITH_FILE(reads_files_without_a_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
