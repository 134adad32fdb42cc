#include "base/files.h"
#include "testing.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[128], path[SG_PATH_MAX];

static int enter_folder(void **state)
{
    (void)state;
    make_test_folder(folder);
    return sg_path_join(path, folder, "file");
}

static int leave_folder(void **state)
{
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(name, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int files_in_folder(void)
{
    int n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void joins_paths(void **state)
{
    (void)state;
    char out[SG_PATH_MAX], longest[SG_PATH_MAX + 8];
    assert_ok(sg_path_join(out, "a", "b"));
    assert_string_equal(out, "a/b");
    assert_ok(sg_path_join(out, "a/", "b"));
    assert_string_equal(out, "a/b");
    assert_ok(sg_path_join(out, "", "b"));
    assert_string_equal(out, "b");
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_fails(SG_E_CONFIG, "too long", sg_path_join(out, "a", longest));
}

static void says_why_a_file_cannot_be_read(void **state)
{
    (void)state;
    char *text;
    size_t n;
    assert_fails(SG_E_IO, "No such file", sg_file_check_readable(path));
    assert_fails(SG_E_IO, "is a folder", sg_file_check_readable(folder));
    assert_fails(SG_E_IO, "No such file", sg_file_read(path, 100, &text, &n));
    assert_null(text);
}

static void asks_for_force(void **state)
{
    (void)state;
    assert_ok(sg_file_check_writable(path, false));
    put(path, "x");
    assert_fails(SG_E_CONFIG, "--force", sg_file_check_writable(path, false));
    assert_ok(sg_file_check_writable(path, true));
    assert_fails(SG_E_CONFIG, "is a folder", sg_file_check_writable(folder, true));
}

static void reads_whole_files_up_to_a_limit(void **state)
{
    (void)state;
    char *text;
    size_t n;
    put(path, "hello\nworld");
    assert_ok(sg_file_read(path, 11, &text, &n));
    assert_int_equal(n, 11);
    assert_string_equal(text, "hello\nworld");
    free(text);
    assert_fails(SG_E_FORMAT, "larger than 10 bytes", sg_file_read(path, 10, &text, &n));
    FILE *f = fopen(path, "wb");
    for (int i = 0; i < 100000; i++)
        fputc('a' + i % 26, f);
    fclose(f);
    assert_ok(sg_file_read(path, 1 << 20, &text, &n));
    assert_int_equal(n, 100000);
    assert_int_equal(text[99999], 'a' + 99999 % 26);
    free(text);
}

static void makes_folders(void **state)
{
    (void)state;
    char deep[SG_PATH_MAX];
    assert_ok(sg_path_join(deep, folder, "a/b/c"));
    assert_ok(sg_folder_make(deep));
    assert_ok(sg_folder_make(deep));
    assert_true(sg_path_exists(deep));
    put(path, "x");
    assert_fails(SG_E_IO, "is a file", sg_folder_make(path));
    char below[SG_PATH_MAX];
    assert_ok(sg_path_join(below, path, "d"));
    assert_fails(SG_E_IO, "cannot make", sg_folder_make(below));
}

static void replaces_a_file_only_on_commit(void **state)
{
    (void)state;
    sg_atomic_file file;
    char *text;
    size_t n;
    put(path, "old");
    assert_ok(sg_atomic_open(&file, path));
    put(file.temporary, "new");
    assert_ok(sg_file_read(path, 100, &text, &n));
    assert_string_equal(text, "old");
    free(text);
    assert_ok(sg_atomic_commit(&file));
    assert_ok(sg_file_read(path, 100, &text, &n));
    assert_string_equal(text, "new");
    free(text);
    assert_int_equal(files_in_folder(), 1);
}

static void leaves_nothing_after_an_abort(void **state)
{
    (void)state;
    sg_atomic_file file;
    FILE *stream;
    assert_ok(sg_atomic_open(&file, path));
    sg_atomic_abort(&file);
    assert_int_equal(files_in_folder(), 0);
    assert_ok(sg_text_open(&file, &stream, path));
    fputs("half", stream);
    assert_int_equal(sg_text_finish(&file, stream, SG_E_NUMERIC), SG_E_NUMERIC);
    assert_int_equal(files_in_folder(), 0);
    assert_ok(sg_text_open(&file, &stream, path));
    fputs("whole", stream);
    assert_ok(sg_text_finish(&file, stream, SG_OK));
    assert_int_equal(files_in_folder(), 1);
}

static void reports_folders_that_are_not_there(void **state)
{
    (void)state;
    sg_atomic_file file;
    char absent[SG_PATH_MAX];
    assert_ok(sg_path_join(absent, folder, "no/such/file"));
    assert_fails(SG_E_IO, "cannot write", sg_atomic_open(&file, absent));
}

static void reports_a_full_disk(void **state)
{
    (void)state;
    if (!sg_path_exists("/dev/full"))
        skip();
    sg_atomic_file file;
    FILE *stream;
    assert_ok(sg_text_open(&file, &stream, path));
    assert_non_null(freopen("/dev/full", "w", stream));
    for (int i = 0; i < 100000; i++)
        fputs("text ", stream);
    assert_fails(SG_E_IO, "No space left", sg_text_finish(&file, stream, SG_OK));
    assert_int_equal(files_in_folder(), 0);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_paths),
        IN_FOLDER(says_why_a_file_cannot_be_read),
        IN_FOLDER(asks_for_force),
        IN_FOLDER(reads_whole_files_up_to_a_limit),
        IN_FOLDER(makes_folders),
        IN_FOLDER(replaces_a_file_only_on_commit),
        IN_FOLDER(leaves_nothing_after_an_abort),
        IN_FOLDER(reports_folders_that_are_not_there),
        IN_FOLDER(reports_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
