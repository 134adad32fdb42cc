/* HDF5 files written and read by several threads at once. */
#include "base/files.h"
#include "base/h5.h"
#include "testing.h"

#include <pthread.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 25, ROWS = 64, COLUMNS = 48, NAMES = 18 };

typedef struct {
    char path[SG_PATH_MAX], other[SG_PATH_MAX], damaged[SG_PATH_MAX];
    int number;
    char fault[1024]; /* "" if all went well; cmocka's asserts are for the main thread */
    float weights[ROWS][COLUMNS], copy[ROWS][COLUMNS];
} job;

static float weight(int number, int round, int i)
{
    return (float)(number * 1000003 + round * 1009 + i) * 0.5f;
}

/* Something like a model: attributes, names, a packed and a plain dataset. */
static sg_status write_all(sg_h5 *file, job *j, int round)
{
    char *names[NAMES];
    const int64_t dims[2] = {ROWS, COLUMNS};
    for (int i = 0; i < NAMES; i++)
        names[i] = i % 2 ? "INVITE" : "ACK";
    for (int i = 0; i < ROWS * COLUMNS; i++)
        j->weights[i / COLUMNS][i % COLUMNS] = weight(j->number, round, i);
    SG_TRY(sg_h5_set_text(file, "/", "format", "example"));
    SG_TRY(sg_h5_set_int(file, "/", "version", 1));
    SG_TRY(sg_h5_write_texts(file, "/names", names, NAMES));
    SG_TRY(sg_h5_write(file, "/params/kernel", H5T_NATIVE_FLOAT, 2, dims, false, j->weights));
    SG_TRY(sg_h5_write(file, "/packed", H5T_NATIVE_FLOAT, 2, dims, true, j->weights));
    return sg_h5_set_real(file, "/params/kernel", "scale", j->number);
}

static sg_status write_file(job *j, int round)
{
    sg_h5 file;
    SG_TRY(sg_h5_create(&file, j->path));
    sg_status status = write_all(&file, j, round);
    if (status != SG_OK) {
        sg_h5_close(&file);
        return status;
    }
    return sg_h5_commit(&file);
}

static sg_status read_all(const sg_h5 *file, job *j)
{
    const int64_t dims[2] = {ROWS, COLUMNS};
    char **names;
    int64_t count;
    double scale;
    SG_TRY(sg_h5_check_format(file, "example", 1));
    SG_TRY(sg_h5_get_real(file, "/params/kernel", "scale", &scale));
    SG_TRY(sg_h5_read_texts(file, "/names", NAMES, NAMES, 16, &names, &count));
    sg_h5_free_texts(names, count);
    for (int k = 0; k < 2; k++) {
        memset(j->copy, 0, sizeof j->copy);
        SG_TRY(sg_h5_read(file, k ? "/packed" : "/params/kernel", H5T_NATIVE_FLOAT, 2, dims, j->copy));
        if (memcmp(j->copy, j->weights, sizeof j->copy) != 0 || (int)scale != j->number)
            return sg_fail(SG_E_INTERNAL, "%s holds something else", file->path);
    }
    return SG_OK;
}

/* Reads the file while another one is open, which is dropped. */
static sg_status read_file(job *j)
{
    sg_h5 file, dropped;
    SG_TRY(sg_h5_create(&dropped, j->other));
    sg_status status = sg_h5_open(&file, j->path);
    if (status == SG_OK) {
        status = read_all(&file, j);
        sg_h5_close(&file);
    }
    sg_h5_close(&dropped);
    sg_h5_close(&dropped); /* closing again is nothing */
    return status;
}

/* A file that cannot be opened leaves nothing locked. */
static sg_status open_damaged(const job *j)
{
    sg_h5 file;
    if (sg_h5_open(&file, j->damaged) != SG_E_FORMAT || !strstr(sg_error_text(), j->damaged))
        return sg_fail(SG_E_INTERNAL, "%s was opened", j->damaged);
    if (sg_h5_open(&file, j->other) != SG_E_IO || !strstr(sg_error_text(), j->other))
        return sg_fail(SG_E_INTERNAL, "%s was opened", j->other);
    sg_h5_close(&file);
    return SG_OK;
}

static void *work(void *argument)
{
    job *j = argument;
    unsigned major, minor, patch;
    for (int round = 0; round < ROUNDS && !j->fault[0]; round++) {
        sg_status status = write_file(j, round);
        if (status == SG_OK)
            status = read_file(j);
        if (status == SG_OK)
            status = open_damaged(j);
        sg_h5_lock();
        H5get_libversion(&major, &minor, &patch);
        sg_h5_unlock();
        if (status != SG_OK)
            snprintf(j->fault, sizeof j->fault, "%s", sg_error_text());
    }
    return NULL;
}

static void threads_write_and_read_at_once(void **state)
{
    (void)state;
    static job jobs[THREADS];
    pthread_t thread[THREADS];
    char folder[128], name[64], command[256];
    make_test_folder(folder);
    for (int i = 0; i < THREADS; i++) {
        job *j = &jobs[i];
        j->number = i;
        snprintf(name, sizeof name, "file%d.h5", i);
        assert_ok(sg_path_join(j->path, folder, name));
        snprintf(name, sizeof name, "other%d.h5", i);
        assert_ok(sg_path_join(j->other, folder, name));
        assert_ok(sg_path_join(j->damaged, folder, "damaged.h5"));
    }
    FILE *f = fopen(jobs[0].damaged, "wb");
    assert_non_null(f);
    fputs("text", f);
    fclose(f);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, work, &jobs[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < THREADS; i++)
        if (jobs[i].fault[0])
            fail_msg("thread %d: %s", i, jobs[i].fault);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_write_and_read_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
