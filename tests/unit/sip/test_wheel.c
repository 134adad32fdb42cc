#include "sip/wheel.h"
#include "sip_case.h"

enum { TIMERS = 200 };

/* Against a list that is searched whole: the same timers expire by every tick, and none before. */
static void expires_like_a_list(void **state)
{
    (void)state;
    static sg_wheel wheel;
    static sg_timer timers[TIMERS];
    static const uint64_t reaches[] = {1, 3, 64, 65, 300, 4096, 5000, 300000, 20000000, 40000000};
    bool set[TIMERS] = {false};
    uint64_t seed = 3, now = 12345;
    memset(timers, 0, sizeof timers);
    sg_wheel_open(&wheel, now);
    for (int round = 0; round < 60000; round++) {
        int n = (int)(dice(&seed) % TIMERS);
        if (dice(&seed) % 8 == 0) {
            sg_wheel_unset(&wheel, &timers[n]);
            set[n] = false;
        } else {
            sg_wheel_set(&wheel, &timers[n], now + dice(&seed) % reaches[dice(&seed) % 10]);
            set[n] = true;
        }
        if (dice(&seed) % 4)
            continue;
        now += dice(&seed) % reaches[dice(&seed) % 10];
        uint64_t last = 0;
        for (sg_timer *timer; (timer = sg_wheel_expire(&wheel, now)); last = timer->due) {
            n = (int)(timer - timers);
            assert_true(set[n] && timer->due <= now);
            assert_true(timer->due >= last || timer->due <= wheel.now);
            set[n] = false;
        }
        assert_int_equal(wheel.now, now);
        for (n = 0; n < TIMERS; n++)
            assert_true(!set[n] || timers[n].due > now);
    }
}

/* Put off, a timer stays where it is until then; brought forward by a tick, it does not. */
static void moves_either_way(void **state)
{
    (void)state;
    static sg_wheel wheel;
    sg_timer timer = {0};
    for (uint64_t due = 10; due < 1000000; due = due * 3 + 1) {
        sg_wheel_open(&wheel, due / 7);
        timer = (sg_timer){0};
        sg_wheel_set(&wheel, &timer, due);
        sg_wheel_set(&wheel, &timer, due + 5);
        sg_wheel_set(&wheel, &timer, due - 1);
        assert_null(sg_wheel_expire(&wheel, due - 2));
        assert_ptr_equal(sg_wheel_expire(&wheel, due - 1), &timer);
        sg_wheel_set(&wheel, &timer, due);
        sg_wheel_set(&wheel, &timer, due + 5);
        assert_null(sg_wheel_expire(&wheel, due + 4));
        assert_ptr_equal(sg_wheel_expire(&wheel, due + 5), &timer);
    }
}

static void jumps_over_empty_ages(void **state)
{
    (void)state;
    static sg_wheel wheel;
    sg_timer timer = {0};
    sg_wheel_open(&wheel, 0);
    assert_null(sg_wheel_expire(&wheel, UINT64_C(1) << 50));
    sg_wheel_set(&wheel, &timer, (UINT64_C(1) << 50) + 5);
    assert_null(sg_wheel_expire(&wheel, (UINT64_C(1) << 50) + 4));
    assert_ptr_equal(sg_wheel_expire(&wheel, UINT64_C(1) << 51), &timer);
    assert_null(sg_wheel_expire(&wheel, UINT64_C(1) << 51));
    sg_wheel_unset(&wheel, &timer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expires_like_a_list),
        cmocka_unit_test(moves_either_way),
        cmocka_unit_test(jumps_over_empty_ages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
