#include "base/log.h"
#include "testing.h"

#include <pthread.h>

/* A sink in memory. */
typedef struct {
    char *text;
    size_t size;
    FILE *stream;
} sink;

static void open_sink(sink *s)
{
    s->stream = open_memstream(&s->text, &s->size);
    assert_non_null(s->stream);
    sg_log_set_sink(s->stream);
}

/* Closes the sink; it must hold `wanted`. */
static void close_sink(sink *s, const char *wanted)
{
    sg_log_set_sink(NULL);
    assert_int_equal(fclose(s->stream), 0);
    assert_string_equal(s->text, wanted);
    free(s->text);
}

static void a_sink_takes_plain_lines(void **state)
{
    (void)state;
    sink s;
    open_sink(&s);
    sg_note("%d runs", 3);
    sg_warn("odd");
    sg_detail("not shown");
    sg_progress_end();
    (void)sg_fail(SG_E_IO, "the disk is full");
    sg_log_error();
    close_sink(&s, "3 runs\nwarning: odd\nsipgpu: the disk is full\n");
}

static void progress_is_a_line_now_and_then(void **state)
{
    (void)state;
    sink s;
    open_sink(&s);
    sg_progress(false, "epoch %d", 1); /* the first one */
    sg_progress(false, "epoch %d", 2); /* within the interval */
    sg_progress(true, "epoch %d", 3);
    sg_note("between");
    sg_progress_end();
    close_sink(&s, "epoch 1\nepoch 3\nbetween\n");
    open_sink(&s); /* another sink has a first line of its own */
    sg_progress(false, "epoch %d", 4);
    close_sink(&s, "epoch 4\n");
}

static void a_sink_has_a_level_of_its_own(void **state)
{
    (void)state;
    sink s;
    sg_log_set_level(SG_LOG_QUIET);
    open_sink(&s);
    assert_int_equal(sg_log_get_level(), SG_LOG_NORMAL);
    sg_note("shown");
    sg_log_set_level(SG_LOG_VERBOSE);
    sg_detail("shown as well");
    sg_log_set_level(SG_LOG_QUIET);
    sg_note("hidden");
    sg_progress(true, "hidden");
    sg_log_set_level(SG_LOG_NORMAL);
    close_sink(&s, "shown\n  shown as well\n");
    assert_int_equal(sg_log_get_level(), SG_LOG_QUIET);
    sg_log_set_level(SG_LOG_NORMAL);
}

enum { THREADS = 8, LINES = 2000 };

/* Writes LINES lines that hold the thread's number; leaves the text for the test to check. */
static void *write_lines(void *argument)
{
    sink *s = argument;
    s->stream = open_memstream(&s->text, &s->size);
    sg_log_set_sink(s->stream);
    for (int i = 0; i < LINES; i++) {
        sg_note("note %p %d", argument, i);
        sg_progress(true, "progress %p %d", argument, i);
    }
    (void)sg_fail(SG_E_IO, "error %p", argument);
    sg_log_error();
    sg_log_set_sink(NULL);
    fclose(s->stream);
    return NULL;
}

static void check_lines(const sink *s)
{
    const char *at = s->text;
    char wanted[256];
    for (int i = 0; i < LINES; i++) {
        const int n = snprintf(wanted, sizeof wanted, "note %p %d\nprogress %p %d\n", (const void *)s, i,
                               (const void *)s, i);
        assert_memory_equal(at, wanted, n);
        at += n;
    }
    snprintf(wanted, sizeof wanted, "sipgpu: error %p\n", (const void *)s);
    assert_string_equal(at, wanted);
}

static void threads_do_not_mix(void **state)
{
    (void)state;
    pthread_t thread[THREADS];
    sink s[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, write_lines, &s[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        check_lines(&s[i]);
        free(s[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sink_takes_plain_lines),
        cmocka_unit_test(progress_is_a_line_now_and_then),
        cmocka_unit_test(a_sink_has_a_level_of_its_own),
        cmocka_unit_test(threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
