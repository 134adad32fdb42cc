/* Frozen results: what a session of them holds, and what is refused. */
#include "base/files.h"
#include "experiment/frozen.h"
#include "experiment/small_corpus.h"

#include <unistd.h>
#include <zlib.h>

typedef struct {
    char folder[128], corpus_path[192];
    small_corpus small;
    char digest[64];
} frozen_case;

static void put(const frozen_case *c, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", c->folder, name);
    gzFile file = gzopen(path, strstr(name, ".gz") ? "wb" : "wT");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, text, (unsigned)strlen(text)), (int)strlen(text));
    assert_int_equal(gzclose(file), Z_OK);
}

/* Moments of every class of the train and test splits but `without`; p_max tells seed and class. */
static void put_moments(const frozen_case *c, int without, const char *more)
{
    static char text[8192];
    int n = snprintf(text, sizeof text, "split,model,seed,class,argmax,p_max,kurtosis,skewness\n");
    for (int seed = 1; seed <= 2; seed++)
        for (int j = 0; j < SMALL_CLASSES; j++)
            if (j != without)
                n += snprintf(text + n, sizeof text - (size_t)n, "test,1.0,%d,%d,%d,0.%d%d,0.25,0.5\n", seed,
                              j, SMALL_CLASSES - 1 - j, seed, j);
    snprintf(text + n, sizeof text - (size_t)n, "%s", more);
    put(c, "moments.csv.gz", text);
}

static int set_up(void **state)
{
    static frozen_case c;
    char text[256];
    sg_corpus read;
    make_test_folder(c.folder);
    make_small_corpus(&c.small);
    c.small.alphabet[2] = (char *)"BYE";
    snprintf(c.corpus_path, sizeof c.corpus_path, "%s/corpus.h5", c.folder);
    assert_ok(sg_corpus_write(&c.small.corpus, c.corpus_path, "test"));
    assert_ok(sg_corpus_read(&read, c.corpus_path));
    snprintf(c.digest, sizeof c.digest, "%s", read.digest);
    sg_corpus_free(&read);
    put_moments(&c, -1, "");
    put(&c, "history.csv.gz", "model,seed,epoch,loss\n1.0,1,1,2\n1.0,1,2,1\n1.0,2,1,2\n");
    snprintf(text, sizeof text,
             "{\"engine\":\"cpu\",\"corpus_digest\":\"%s\",\"settings\":{\"1.0\":\"[train]\"}}", c.digest);
    put(&c, "provenance.json", text);
    *state = &c;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"corpus.h5", "moments.csv.gz", "history.csv.gz", "provenance.json"};
    const frozen_case *c = *state;
    char path[256];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", c->folder, names[i]);
        unlink(path);
    }
    return rmdir(c->folder);
}

static void sessions_hold_what_the_files_say(void **state)
{
    const frozen_case *c = *state;
    sg_frozen frozen;
    sg_session s;
    assert_ok(sg_frozen_read(&frozen, c->folder));
    assert_true(sg_frozen_has(&frozen, "1.0", 1) && sg_frozen_has(&frozen, "1.0", 2));
    assert_false(sg_frozen_has(&frozen, "1.0", 3) || sg_frozen_has(&frozen, "1.1", 1));
    assert_ok(sg_session_open_frozen(&s, &frozen, "1.0", 2, c->corpus_path));
    assert_true(sg_frozen_is_of(&frozen, &s.corpus));
    assert_int_equal(s.model->epoch, 1);
    assert_string_equal(s.device, "cpu");
    for (int j = 0; j < SMALL_CLASSES; j++) {
        assert_int_equal(s.outputs.argmax[j], SMALL_CLASSES - 1 - j);
        assert_true(s.outputs.p_max[j] == (float)(0.2 + 0.01 * j));
        assert_true(s.outputs.skewness[j] == 0.5 && s.outputs.kurtosis[j] == 0.25);
        assert_true(s.class_of[j] == j && s.known[j] == (s.counts.count[SG_SPLIT_TRAIN][j] > 0));
    }
    sg_session_close(&s);
    sg_frozen_free(&frozen);
}

static void settings_are_those_of_the_model(void **state)
{
    const frozen_case *c = *state;
    sg_frozen frozen;
    assert_ok(sg_frozen_read(&frozen, c->folder));
    assert_string_equal(sg_frozen_settings(&frozen, "1.0"), "[train]");
    assert_string_equal(sg_frozen_settings(&frozen, "2.1"), "");
    sg_frozen_free(&frozen);
}

static void other_folders_have_no_runs(void **state)
{
    (void)state;
    sg_frozen frozen;
    assert_ok(sg_frozen_read(&frozen, "/nowhere"));
    assert_int_equal(frozen.runs, 0);
    sg_frozen_free(&frozen);
}

static void refuse(const frozen_case *c, const char *text)
{
    sg_frozen frozen;
    assert_fails(SG_E_FORMAT, text, sg_frozen_read(&frozen, c->folder));
    sg_frozen_free(&frozen);
}

static void wrong_lines_are_named(void **state)
{
    const frozen_case *c = *state;
    put_moments(c, -1, "test,1.0,1,0,x,0.5,0.25,0.5\n");
    refuse(c, "moments.csv.gz:14");
    put_moments(c, -1, "test,1.0,1,0,0,0.5,nan,0.5\n");
    refuse(c, "moments.csv.gz:14");
    put_moments(c, -1, "test,1.0,1,0,0,0.5,0.5\n");
    refuse(c, "moments.csv.gz:14");
    put_moments(c, -1, "test,1.0,1,-1,0,0.5,0.5,0.5\n");
    refuse(c, "expected a number from 0");
    put(c, "moments.csv.gz", "model,seed,class,argmax,p_max,skewness\n");
    refuse(c, "no column kurtosis");
    put(c, "moments.csv.gz", "");
    refuse(c, "empty");
}

/* Cut off at every byte: never taken for whole. */
static void torn_files_are_refused(void **state)
{
    const frozen_case *c = *state;
    char path[256], *data;
    size_t size;
    sg_frozen frozen;
    put_moments(c, -1, "");
    snprintf(path, sizeof path, "%s/moments.csv.gz", c->folder);
    assert_ok(sg_file_read(path, 1 << 20, &data, &size));
    for (size_t length = 0; length < size; length++) {
        FILE *out = fopen(path, "wb");
        fwrite(data, 1, length, out);
        fclose(out);
        assert_int_equal(sg_frozen_read(&frozen, c->folder), SG_E_FORMAT);
        sg_frozen_free(&frozen);
    }
    free(data);
}

static void classes_must_be_there(void **state)
{
    const frozen_case *c = *state;
    sg_frozen frozen;
    sg_session s;
    put_moments(c, 0, "");
    assert_ok(sg_frozen_read(&frozen, c->folder));
    assert_fails(SG_E_FORMAT, "no class 0", sg_session_open_frozen(&s, &frozen, "1.0", 1, c->corpus_path));
    sg_session_close(&s);
    sg_frozen_free(&frozen);
    put_moments(c, -1, "test,1.0,1,99,0,0.5,0.5,0.5\n");
    assert_ok(sg_frozen_read(&frozen, c->folder));
    assert_fails(SG_E_FORMAT, "no class 99", sg_session_open_frozen(&s, &frozen, "1.0", 1, c->corpus_path));
    sg_session_close(&s);
    sg_frozen_free(&frozen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sessions_hold_what_the_files_say, set_up, tear_down),
        cmocka_unit_test_setup_teardown(settings_are_those_of_the_model, set_up, tear_down),
        cmocka_unit_test(other_folders_have_no_runs),
        cmocka_unit_test_setup_teardown(wrong_lines_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(torn_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(classes_must_be_there, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
