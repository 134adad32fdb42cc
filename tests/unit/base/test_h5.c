#include "base/files.h"
#include "base/h5.h"
#include "testing.h"

#include <unistd.h>

static char folder[128], path[SG_PATH_MAX];

static int enter_folder(void **state)
{
    (void)state;
    make_test_folder(folder);
    return sg_path_join(path, folder, "file.h5");
}

static int leave_folder(void **state)
{
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

enum { ROWS = 1000, COLUMNS = 3 };

/* A file with one of each kind. */
static void write_example(void)
{
    sg_h5 file;
    static int32_t numbers[ROWS][COLUMNS];
    int64_t dims[2] = {ROWS, COLUMNS}, ten = 10;
    double scalar = 2.5;
    uint8_t bytes[10] = {1, 2, 3};
    char *texts[100];
    for (int i = 0; i < ROWS * COLUMNS; i++)
        numbers[i / COLUMNS][i % COLUMNS] = i - 100;
    for (int i = 0; i < 100; i++)
        texts[i] = i % 2 ? "odd" : "even";
    assert_ok(sg_h5_create(&file, path));
    assert_ok(sg_h5_set_text(&file, "/", "format", "example"));
    assert_ok(sg_h5_set_int(&file, "/", "version", 2));
    assert_ok(sg_h5_write(&file, "/group/numbers", H5T_NATIVE_INT32, 2, dims, true, numbers));
    assert_ok(sg_h5_write(&file, "/scalar", H5T_NATIVE_DOUBLE, 0, NULL, false, &scalar));
    assert_ok(sg_h5_write(&file, "/bytes", H5T_NATIVE_UINT8, 1, &ten, false, bytes));
    assert_ok(sg_h5_write_texts(&file, "/few", texts, 3));
    assert_ok(sg_h5_write_texts(&file, "/many", texts, 100));
    assert_ok(sg_h5_set_real(&file, "/group/numbers", "scale", 0.5));
    assert_ok(sg_h5_commit(&file));
}

static void reads_what_it_writes(void **state)
{
    (void)state;
    sg_h5 file;
    int64_t dims[2] = {ROWS, COLUMNS}, value;
    static int32_t numbers[ROWS][COLUMNS];
    int32_t rows[2][COLUMNS];
    double real;
    char text[8];
    hid_t dataset;
    write_example();
    assert_ok(sg_h5_open(&file, path));
    assert_ok(sg_h5_check_format(&file, "example", 2));
    assert_ok(sg_h5_get_int(&file, "/", "version", 1, 3, &value));
    assert_int_equal(value, 2);
    assert_ok(sg_h5_get_text(&file, "/", "format", text, sizeof text));
    assert_string_equal(text, "example");
    assert_ok(sg_h5_get_real(&file, "/group/numbers", "scale", &real));
    assert_true(real == 0.5);
    assert_ok(sg_h5_read(&file, "/group/numbers", H5T_NATIVE_INT32, 2, dims, numbers));
    assert_int_equal(numbers[999][2], ROWS * COLUMNS - 1 - 100);
    int64_t any[2] = {-1, -1}, got[2];
    assert_ok(sg_h5_dataset(&file, "/group/numbers", H5T_NATIVE_INT32, 2, any, got, &dataset));
    assert_int_equal(got[0], ROWS);
    assert_ok(sg_h5_read_rows(&file, dataset, "/group/numbers", H5T_NATIVE_INT32, 500, 2, rows));
    assert_int_equal(rows[1][0], 501 * COLUMNS - 100);
    H5Dclose(dataset);
    assert_ok(sg_h5_read(&file, "/scalar", H5T_NATIVE_DOUBLE, 0, NULL, &real));
    assert_true(real == 2.5);
    sg_h5_close(&file);
}

static void reads_texts(void **state)
{
    (void)state;
    sg_h5 file;
    char **texts;
    int64_t count;
    write_example();
    assert_ok(sg_h5_open(&file, path));
    assert_ok(sg_h5_read_texts(&file, "/many", -1, 1000, 10, &texts, &count));
    assert_int_equal(count, 100);
    assert_string_equal(texts[99], "odd");
    sg_h5_free_texts(texts, count);
    assert_fails(SG_E_FORMAT, "too long", sg_h5_read_texts(&file, "/few", -1, 10, 3, &texts, &count));
    assert_null(texts);
    assert_fails(SG_E_FORMAT, "more than 2", sg_h5_read_texts(&file, "/few", -1, 2, 10, &texts, &count));
    assert_fails(SG_E_FORMAT, "size 3", sg_h5_read_texts(&file, "/few", 4, 10, 10, &texts, &count));
    assert_fails(SG_E_FORMAT, "wrong type", sg_h5_read_texts(&file, "/bytes", -1, 10, 10, &texts, &count));
    sg_h5_close(&file);
}

static void converts_only_without_loss(void **state)
{
    (void)state;
    sg_h5 file;
    int64_t ten = 10, dims[2] = {ROWS, COLUMNS};
    uint16_t wide[10];
    int16_t of_signed[10];
    static double reals[ROWS][COLUMNS];
    static uint32_t of_unsigned[ROWS][COLUMNS];
    static int16_t narrow[ROWS][COLUMNS];
    int8_t same_width[10];
    write_example();
    assert_ok(sg_h5_open(&file, path));
    assert_ok(sg_h5_read(&file, "/bytes", H5T_NATIVE_UINT16, 1, &ten, wide));
    assert_int_equal(wide[2], 3);
    assert_ok(sg_h5_read(&file, "/bytes", H5T_NATIVE_INT16, 1, &ten, of_signed));
    assert_int_equal(of_signed[2], 3);
    assert_fails(SG_E_FORMAT, "wrong type",
                 sg_h5_read(&file, "/bytes", H5T_NATIVE_INT8, 1, &ten, same_width));
    assert_fails(SG_E_FORMAT, "wrong type",
                 sg_h5_read(&file, "/group/numbers", H5T_NATIVE_INT16, 2, dims, narrow));
    assert_fails(SG_E_FORMAT, "wrong type",
                 sg_h5_read(&file, "/group/numbers", H5T_NATIVE_UINT32, 2, dims, of_unsigned));
    assert_fails(SG_E_FORMAT, "wrong type",
                 sg_h5_read(&file, "/group/numbers", H5T_NATIVE_DOUBLE, 2, dims, reals));
    sg_h5_close(&file);
}

static void checks_shapes_and_names(void **state)
{
    (void)state;
    sg_h5 file;
    static int32_t out[ROWS][COLUMNS + 1];
    int64_t wrong[2] = {ROWS, COLUMNS + 1}, one = ROWS, value;
    double real;
    char text[4];
    write_example();
    assert_ok(sg_h5_open(&file, path));
    assert_fails(SG_E_FORMAT, "size 3 in dimension 1, expected 4",
                 sg_h5_read(&file, "/group/numbers", H5T_NATIVE_INT32, 2, wrong, out));
    assert_fails(SG_E_FORMAT, "2 dimensions, expected 1",
                 sg_h5_read(&file, "/group/numbers", H5T_NATIVE_INT32, 1, &one, out));
    assert_fails(SG_E_FORMAT, "dataset /absent is missing",
                 sg_h5_read(&file, "/absent", H5T_NATIVE_INT32, 1, &one, out));
    assert_fails(SG_E_FORMAT, "is not a dataset",
                 sg_h5_read(&file, "/group", H5T_NATIVE_INT32, 1, &one, out));
    assert_fails(SG_E_FORMAT, "missing", sg_h5_get_int(&file, "/", "absent", 0, 1, &value));
    assert_fails(SG_E_FORMAT, "must be from 5 to 9", sg_h5_get_int(&file, "/", "version", 5, 9, &value));
    assert_fails(SG_E_FORMAT, "wrong type", sg_h5_get_int(&file, "/", "format", 0, 1, &value));
    assert_fails(SG_E_FORMAT, "wrong type", sg_h5_get_real(&file, "/", "version", &real));
    assert_fails(SG_E_FORMAT, "too long", sg_h5_get_text(&file, "/", "format", text, sizeof text));
    assert_fails(SG_E_FORMAT, "format is 'example'", sg_h5_check_format(&file, "other", 1));
    assert_fails(SG_E_FORMAT, "version 2; this program reads 1 to 1",
                 sg_h5_check_format(&file, "example", 1));
    sg_h5_close(&file);
}

static void refuses_links_out(void **state)
{
    (void)state;
    sg_h5 file;
    int64_t ten = 10;
    uint8_t out[10];
    write_example();
    hid_t id = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(id >= 0);
    H5Lcreate_soft("/bytes", id, "/soft", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/group", id, "/soft_group", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external("/etc/passwd", "/x", id, "/external", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_hard(id, "/bytes", id, "/hard", H5P_DEFAULT, H5P_DEFAULT);
    hsize_t size = 10;
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, &size, NULL);
    H5Pset_external(plist, "outside.bin", 0, 10);
    hid_t dataset = H5Dcreate2(id, "/stored_outside", H5T_STD_U8LE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    assert_true(dataset >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Pclose(plist);
    H5Fclose(id);
    assert_ok(sg_h5_open(&file, path));
    assert_ok(sg_h5_read(&file, "/hard", H5T_NATIVE_UINT8, 1, &ten, out));
    assert_false(sg_h5_has(&file, "/soft"));
    assert_false(sg_h5_has(&file, "/soft_group/numbers"));
    assert_true(sg_h5_has(&file, "/group/numbers"));
    assert_fails(SG_E_FORMAT, "links are not followed",
                 sg_h5_read(&file, "/soft", H5T_NATIVE_UINT8, 1, &ten, out));
    assert_fails(SG_E_FORMAT, "links are not followed",
                 sg_h5_read(&file, "/external", H5T_NATIVE_UINT8, 1, &ten, out));
    assert_fails(SG_E_FORMAT, "outside the file",
                 sg_h5_read(&file, "/stored_outside", H5T_NATIVE_UINT8, 1, &ten, out));
    sg_h5_close(&file);
}

static void refuses_what_is_not_hdf5(void **state)
{
    (void)state;
    sg_h5 file;
    assert_fails(SG_E_IO, "No such file", sg_h5_open(&file, path));
    assert_fails(SG_E_IO, "is a folder", sg_h5_open(&file, folder));
    FILE *f = fopen(path, "wb");
    fputs("text", f);
    fclose(f);
    assert_fails(SG_E_FORMAT, "not an HDF5 file", sg_h5_open(&file, path));
    assert_int_equal(unlink(path), 0);
    write_example();
    assert_int_equal(truncate(path, 3000), 0);
    assert_fails(SG_E_FORMAT, "truncated", sg_h5_open(&file, path));
}

static void writes_the_same_bytes_again(void **state)
{
    (void)state;
    char *a, *b;
    size_t n, m;
    write_example();
    assert_ok(sg_file_read(path, 1 << 24, &a, &n));
    write_example();
    assert_ok(sg_file_read(path, 1 << 24, &b, &m));
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    free(a);
    free(b);
}

static void leaves_no_file_without_commit(void **state)
{
    (void)state;
    sg_h5 file;
    assert_ok(sg_h5_create(&file, path));
    assert_ok(sg_h5_set_int(&file, "/", "version", 1));
    sg_h5_close(&file);
    assert_false(sg_path_exists(path));
    char absent[SG_PATH_MAX];
    assert_ok(sg_path_join(absent, folder, "no/such.h5"));
    assert_ok(sg_h5_create(&file, absent));
    assert_fails(SG_E_IO, "cannot write", sg_h5_commit(&file));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(reads_what_it_writes),        IN_FOLDER(reads_texts),
        IN_FOLDER(converts_only_without_loss),  IN_FOLDER(checks_shapes_and_names),
        IN_FOLDER(refuses_links_out),           IN_FOLDER(refuses_what_is_not_hdf5),
        IN_FOLDER(writes_the_same_bytes_again), IN_FOLDER(leaves_no_file_without_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
