/* Requests come back scored and in order; what finds no room is handed back; a failing engine is told of. */
#include "watch/score_queue.h"

#include "network_case.h"
#include <unistd.h>

typedef struct {
    sg_detector *detector;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    sg_model model;
    make_model(&model, LONGEST, 0, 0);
    assert_ok(open_detector(&f->detector, &model));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    memory_is_short = false;
    sg_detector_close(f->detector);
    free(f);
    return 0;
}

static sg_score_queue *open_queue(const fixture *f, int batch, int waiting_max, bool live)
{
    sg_score_queue *queue;
    assert_ok(sg_score_queue_open(&queue, f->detector, batch, waiting_max, live));
    return queue;
}

/* Request number `serial`: its messages follow from the number. */
static sg_score_request make_request(uint64_t serial)
{
    sg_score_request c = {.serial = serial, .length = 1 + (int)(serial % LONGEST)};
    c.call_id = strdup("call");
    c.call_id_length = 4;
    c.types = calloc((size_t)c.length, sizeof *c.types);
    for (int i = 0; i < c.length; i++)
        c.types[i] = (uint16_t)(1 + (serial + (uint64_t)i) % TYPES);
    return c;
}

static void add(sg_score_queue *queue, uint64_t serial)
{
    sg_score_request c = make_request(serial);
    assert_ok(sg_score_queue_add(queue, &c));
    assert_null(c.call_id);
}

/* The next request, which must be that one, with the score that it has by itself.  No batch is running: the
 * detector is asked here. */
static void expect(const fixture *f, sg_score_queue *queue, uint64_t serial)
{
    sg_score_request c;
    sg_verdict alone;
    assert_true(sg_score_queue_next(queue, &c));
    assert_int_equal(c.serial, serial);
    const sg_dialog_types types = {c.types, c.length};
    assert_ok(sg_detector_judge(f->detector, &types, 1, &alone));
    assert_true(fabs(alone.skewness - c.verdict.skewness) < 1e-5);
    assert_true(fabs(alone.kurtosis - c.verdict.kurtosis) < 1e-5);
    sg_score_request_free(&c);
}

static sg_score_queue_counts counts_of(sg_score_queue *queue)
{
    sg_score_queue_counts counts;
    sg_score_queue_counts_now(queue, &counts);
    return counts;
}

static void offline_a_full_batch_is_scored_in_place(void **state)
{
    fixture *f = *state;
    sg_score_request c;
    sg_score_queue *queue = open_queue(f, 3, 10, false);
    add(queue, 1);
    add(queue, 2);
    assert_false(sg_score_queue_next(queue, &c));
    assert_int_equal(counts_of(queue).waiting, 2);
    add(queue, 3);
    add(queue, 4);
    for (uint64_t serial = 1; serial <= 3; serial++)
        expect(f, queue, serial);
    assert_false(sg_score_queue_next(queue, &c));
    assert_ok(sg_score_queue_finish(queue));
    expect(f, queue, 4);
    sg_score_queue_counts counts = counts_of(queue);
    assert_true(counts.scored == 4 && counts.batches == 2 && counts.shed == 0 && counts.waiting == 0);
    assert_true(counts.seconds >= 0);
    sg_score_queue_close(queue);
}

static void live_all_come_back_in_order(void **state)
{
    enum { COUNT = 300 };
    fixture *f = *state;
    sg_score_queue *queue = open_queue(f, 8, COUNT, true);
    for (uint64_t serial = 1; serial <= COUNT; serial++)
        add(queue, serial);
    assert_ok(sg_score_queue_finish(queue));
    for (uint64_t serial = 1; serial <= COUNT; serial++)
        expect(f, queue, serial);
    assert_int_equal(counts_of(queue).scored, COUNT);
    sg_score_queue_close(queue);
}

/* Nobody takes what is scored: the thread stops when there is no room, the queue fills up, and the oldest
 * that waits gives way. */
static void the_oldest_is_shed(void **state)
{
    enum { QUEUE = 6, BATCH = 2 };
    fixture *f = *state;
    sg_score_request c = {0};
    uint64_t serial = 0, shed = 0, next = 1;
    sg_score_queue *queue = open_queue(f, BATCH, QUEUE, true);
    while (!shed && serial < 100) {
        c = make_request(++serial);
        assert_ok(sg_score_queue_add(queue, &c));
        shed = c.call_id ? c.serial : 0;
        assert_ok(sg_score_queue_finish(queue)); /* as far as there is room */
    }
    assert_int_equal(shed, serial - QUEUE); /* QUEUE wait behind it */
    assert_in_range(shed, QUEUE, QUEUE + BATCH + 1);
    assert_int_equal(counts_of(queue).shed, 1);
    sg_score_request_free(&c);
    while (next <= serial) {
        sg_score_request done;
        assert_ok(sg_score_queue_finish(queue));
        while (sg_score_queue_next(queue, &done)) {
            next += next == shed;
            assert_int_equal(done.serial, next++);
            sg_score_request_free(&done);
        }
    }
    assert_int_equal(counts_of(queue).scored, serial - 1);
    sg_score_queue_close(queue);
}

static void what_waits_can_be_withdrawn(void **state)
{
    fixture *f = *state;
    sg_score_request c;
    sg_score_queue *queue = open_queue(f, 4, 10, false);
    for (uint64_t serial = 1; serial <= 6; serial++)
        add(queue, serial);
    for (uint64_t serial = 5; serial <= 6; serial++) {
        assert_true(sg_score_queue_withdraw(queue, &c));
        assert_int_equal(c.serial, serial);
        sg_score_request_free(&c);
    }
    assert_false(sg_score_queue_withdraw(queue, &c));
    expect(f, queue, 1);
    sg_score_queue_close(queue); /* with requests 2 to 4 in it */
    sg_score_queue_close(NULL);
}

/* The thread takes nothing that waits behind what was taken out. */
static void withdrawing_keeps_the_order(void **state)
{
    enum { COUNT = 400, LEISURE_US = 20000 };
    sg_score_request c;
    sg_score_queue *queue = open_queue(*state, 4, COUNT, true);
    for (uint64_t serial = 1; serial <= COUNT; serial++)
        add(queue, serial);
    uint64_t first = COUNT + 1, withdrawn = 0, scored = 0;
    for (; sg_score_queue_withdraw(queue, &c); withdrawn++) {
        first = withdrawn == 0 ? c.serial : first;
        assert_int_equal(c.serial, first + withdrawn);
        sg_score_request_free(&c);
        if (withdrawn == 0)
            usleep(LEISURE_US);
    }
    assert_int_equal(first + withdrawn, COUNT + 1);
    assert_ok(sg_score_queue_finish(queue));
    while (sg_score_queue_next(queue, &c)) {
        assert_int_equal(c.serial, ++scored);
        sg_score_request_free(&c);
    }
    assert_int_equal(scored, first - 1);
    sg_score_queue_close(queue);
}

static void closing_drops_what_waits(void **state)
{
    for (int live = 0; live <= 1; live++) {
        sg_score_queue *queue = open_queue(*state, 16, 64, live);
        for (uint64_t serial = 1; serial <= 40; serial++)
            add(queue, serial);
        sg_score_queue_close(queue);
    }
}

static void a_failing_engine_is_told_of(void **state)
{
    fixture *f = *state;
    sg_score_request c = make_request(1);
    memory_is_short = true;
    sg_score_queue *queue = open_queue(f, 1, 4, false);
    assert_fails(SG_E_MEMORY, "sequences to score", sg_score_queue_add(queue, &c));
    assert_false(sg_score_queue_next(queue, &c));
    assert_int_equal(counts_of(queue).scored, 0);
    sg_score_queue_close(queue);

    queue = open_queue(f, 1, 4, true);
    assert_ok(sg_score_queue_check(queue));
    add(queue, 1);
    assert_fails(SG_E_MEMORY, "sequences to score", sg_score_queue_finish(queue));
    memory_is_short = false;
    assert_fails(SG_E_MEMORY, "sequences to score", sg_score_queue_check(queue)); /* it stays said */
    sg_score_queue_close(queue);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(offline_a_full_batch_is_scored_in_place),
        TEST(live_all_come_back_in_order),
        TEST(the_oldest_is_shed),
        TEST(what_waits_can_be_withdrawn),
        TEST(withdrawing_keeps_the_order),
        TEST(closing_drops_what_waits),
        TEST(a_failing_engine_is_told_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
