/* Workers: their memory, and threads that share a model. */
#include "sipm_case.h"

#include <pthread.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* ---- every allocation of the process, counted ---- */

static _Atomic long allocations;

#if !SANITIZED
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}
void *realloc(void *old, size_t size)
{
    allocations++;
    return __libc_realloc(old, size);
}
void *aligned_alloc(size_t alignment, size_t size)
{
    allocations++;
    return __libc_memalign(alignment, size);
}
int posix_memalign(void **out, size_t alignment, size_t size)
{
    allocations++;
    *out = __libc_memalign(alignment, size);
    return *out == NULL;
}
#endif

static void nothing_is_allocated_after_setting_up(void **state)
{
    (void)state;
    static const char text[] = "INVITE sip:b@h SIP/2.0\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n";
    sipm_case c;
    sipdetect_model *model;
    sipdetect_worker *worker;
    sipdetect_dialog *dialog;
    sipdetect_verdict v[3];
    static float p[CASE_CLASSES];
    const uint16_t types[] = {5, 6, 5}, length = 3;
    const sg_spec spec = case_spec(2, SG_PADDING_POST);
    if (SANITIZED)
        skip();
    case_open(&c, SG_WEIGHTS_INT8, &spec, 3);
    const long before = allocations;
    assert_sd(sipdetect_open_memory(&model, c.image, c.bytes, NULL));
    assert_sd(sipdetect_worker_open(&worker, model, NULL));
    assert_sd(sipdetect_dialog_open(&dialog, model));
    const long after = allocations;
    assert_true(after > before); /* they are counted */
    for (int round = 0; round < 50; round++) {
        sipdetect_dialog_reset(dialog);
        sipdetect_push_sip(worker, dialog, text, sizeof text - 1, &v[0]);
        for (int t = 0; t < CASE_LONGEST + 1; t++)
            sipdetect_push(worker, dialog, (uint16_t)((round + t) % (CASE_TYPES + 1)), &v[0]);
        sipdetect_push_name(worker, dialog, "ACK", &v[0]);
        sipdetect_end(worker, dialog, &v[0]);
        sipdetect_score_dialogs(worker, &dialog, 1, v);
        sipdetect_score(worker, types, &length, 1, 3, v);
        sipdetect_probabilities(worker, types, &length, 1, 3, p);
    }
    assert_int_equal(allocations, after);
    sipdetect_dialog_close(dialog);
    sipdetect_worker_close(worker);
    sipdetect_close(model);
    case_close(&c);
}

/* ---- limits and callbacks ---- */

typedef struct {
    size_t bytes;
    int calls;
} noted;

static void note(void *user, size_t bytes)
{
    noted *n = user;
    n->bytes = bytes;
    n->calls++;
}

static void memory_is_bounded_and_told(void **state)
{
    (void)state;
    sipm_case c;
    sipdetect_model *model;
    sipdetect_worker *worker;
    noted n = {0};
    const sg_spec spec = case_spec(1, SG_PADDING_POST);
    sipdetect_worker_options options = {.batch = 16, .on_memory = note, .user = &n};
    case_open(&c, SG_WEIGHTS_FP32, &spec, 3);
    assert_sd(sipdetect_open_memory(&model, c.image, c.bytes, NULL));
    assert_sd(sipdetect_worker_open(&worker, model, &options));
    const size_t needed = sipdetect_worker_bytes(worker);
    assert_true(needed > 0);
    assert_int_equal(n.calls, 1);
    assert_int_equal(n.bytes, needed);
    sipdetect_worker_close(worker);
    assert_int_equal(n.calls, 2);
    assert_int_equal(n.bytes, 0);
    options.memory_limit = needed - 1;
    assert_sd_fails(SIPDETECT_E_MEMORY, "the limit is", sipdetect_worker_open(&worker, model, &options));
    assert_null(worker);
    assert_int_equal(n.calls, 2);
    options.memory_limit = needed;
    assert_sd(sipdetect_worker_open(&worker, model, &options));
    sipdetect_worker_close(worker);
    sipdetect_close(model);
    case_close(&c);
}

static void dialogs_in_memory_of_the_caller(void **state)
{
    (void)state;
    sipm_case c;
    sipdetect_model *model;
    sipdetect_worker *worker;
    sipdetect_verdict v;
    const sg_spec spec = case_spec(1, SG_PADDING_POST);
    case_open(&c, SG_WEIGHTS_FP32, &spec, 3);
    assert_sd(sipdetect_open_memory(&model, c.image, c.bytes, NULL));
    assert_sd(sipdetect_worker_open(&worker, model, NULL));
    const size_t bytes = sipdetect_dialog_bytes(model);
    assert_int_equal(bytes % 8, 0);
    unsigned char *memory = malloc(2 * bytes + 8);
    memset(memory, 0xa5, 2 * bytes + 8);
    sipdetect_dialog *one = sipdetect_dialog_place(model, memory);
    sipdetect_dialog *two = sipdetect_dialog_place(model, memory + bytes);
    for (int t = 0; t < CASE_LONGEST + 2; t++)
        assert_sd(sipdetect_push(worker, two, 1, NULL));
    for (int t = 0; t < CASE_LONGEST + 2; t++)
        assert_sd(sipdetect_push(worker, one, 2, t == 1 ? &v : NULL));
    assert_int_equal(v.position, 2);
    assert_sd(sipdetect_end(worker, two, &v));
    assert_int_equal(v.position, CASE_LONGEST + 2);
    for (int i = 0; i < 8; i++)
        assert_int_equal(memory[2 * bytes + (size_t)i], 0xa5);
    free(memory);
    sipdetect_worker_close(worker);
    sipdetect_close(model);
    case_close(&c);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 40 };

typedef struct {
    const sipm_case *c;
    const sipdetect_model *model;
    uint64_t sum;
    bool failed;
} job;

static uint64_t mix(uint64_t sum, const sipdetect_verdict *v)
{
    uint64_t bits;
    memcpy(&bits, &v->skewness, sizeof bits);
    return (sum ^ bits ^ (uint64_t)v->best_class) * 0x9E3779B97F4A7C15u;
}

static void *work(void *argument)
{
    job *j = argument;
    sipdetect_worker *worker;
    sipdetect_dialog *dialog;
    sipdetect_verdict v;
    sg_random random = sg_random_open(15, SG_RANDOM_BENCH, 0);
    j->failed = sipdetect_worker_open(&worker, j->model, NULL) != SIPDETECT_OK ||
                sipdetect_dialog_open(&dialog, j->model) != SIPDETECT_OK;
    for (int i = 0; i < ROUNDS && !j->failed; i++) {
        uint16_t types[CASE_LONGEST];
        const int length = case_walk(j->c, &random, types);
        sipdetect_dialog_reset(dialog);
        for (int t = 0; t < length; t++) {
            j->failed |= sipdetect_push(worker, dialog, types[t], &v) != SIPDETECT_OK;
            j->sum = mix(j->sum, &v);
        }
        sipdetect_push(worker, dialog, 99, &v); /* an error text of its own */
        j->failed |= !strstr(sipdetect_error(), "message type is 99");
    }
    sipdetect_dialog_close(dialog);
    sipdetect_worker_close(worker);
    return NULL;
}

static void threads_share_a_model(void **state)
{
    (void)state;
    sipm_case c;
    sipdetect_model *model;
    pthread_t thread[THREADS];
    job jobs[THREADS];
    const sg_spec spec = case_spec(1, SG_PADDING_POST);
    case_open(&c, SG_WEIGHTS_BF16, &spec, 3);
    assert_sd(sipdetect_open_memory(&model, c.image, c.bytes, NULL));
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (job){&c, model, 0, false};
        assert_int_equal(pthread_create(&thread[i], NULL, work, &jobs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        assert_false(jobs[i].failed);
        assert_true(jobs[i].sum == jobs[0].sum && jobs[i].sum != 0);
    }
    sipdetect_close(model);
    case_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_allocated_after_setting_up),
        cmocka_unit_test(memory_is_bounded_and_told),
        cmocka_unit_test(dialogs_in_memory_of_the_caller),
        cmocka_unit_test(threads_share_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
