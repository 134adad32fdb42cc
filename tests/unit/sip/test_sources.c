#include "sip/sources.h"
#include "tracker_case.h"

static sg_sources *sources;

static sg_source_options options(void)
{
    sg_source_options o;
    sg_source_defaults(&o);
    o.any_seed = true;
    return o;
}

static int set_up(void **state)
{
    (void)state;
    sg_source_options o = options();
    assert_ok(sg_sources_open(&sources, &o));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sg_sources_close(sources);
    return 0;
}

static uint32_t add_line(double seconds, bool repeated, line l)
{
    char text[8192];
    sg_sip_message message;
    write_line(text, sizeof text, l);
    assert_true(sg_sip_read(&message, text, strlen(text)));
    sg_flow flow = flow_at(seconds, l.from ? l.from : 1, l.to ? l.to : 2);
    return sg_sources_add(sources, &message, &flow, repeated, NULL);
}

#define add(seconds, ...) add_line((seconds), false, (line){.what = __VA_ARGS__})
#define bit(rule)         (1u << (rule))

static sg_source at(unsigned number, double seconds)
{
    sg_source source;
    sg_endpoint endpoint = host(number, 0);
    assert_true(sg_sources_find(sources, &endpoint, (int64_t)(seconds * 1e6), &source));
    return source;
}

/* One of many texts. */
static const char *nth(const char *format, int n)
{
    static char text[4][128];
    static int next;
    next = (next + 1) % 4;
    snprintf(text[next], sizeof text[next], format, n);
    return text[next];
}

static void a_flood_is_told_once_an_interval(void **state)
{
    (void)state;
    int told = 0;
    for (int n = 0; n < 6000; n++) { /* 50 a second for two minutes, in one dialog */
        uint32_t rules = add(n * 0.02, "OPTIONS", .call_id = "one");
        assert_int_equal(rules & ~bit(SG_SOURCE_FLOOD), 0);
        assert_false(rules && n < 29);
        told += rules != 0;
    }
    assert_int_equal(told, 2);
    assert_in_range(at(1, 119.98).rate, 95, 105);
    assert_int_equal(at(1, 119.98).call_ids, 1);
    sg_source_counts counts;
    sg_sources_counts_now(sources, &counts);
    assert_int_equal(counts.raised[SG_SOURCE_FLOOD], 2);
    /* It is over. */
    assert_int_equal(at(1, 125).rate, 0);
    assert_int_equal(at(1, 125).requests, 6000);
    /* Copies are traffic as well, and 10 a second are none. */
    for (int n = 0; n < 1000; n++)
        assert_int_equal(add_line(n * 0.1, true, (line){.what = "OPTIONS", .from = 7}), 0);
    for (int n = 0; n < 29; n++)
        assert_int_equal(add_line(200, true, (line){.what = "OPTIONS", .from = 8}), 0);
    assert_int_equal(add_line(200, true, (line){.what = "OPTIONS", .from = 8}), bit(SG_SOURCE_FLOOD));
}

static void scans(void **state)
{
    (void)state;
    uint32_t rules = 0;
    int first = 0;
    for (int n = 0; n < 60 && !rules; n++, first = n) /* svmap: an OPTIONS each, some answered */
        rules = add(n * 0.5, "OPTIONS", .call_id = nth("scan%d", n)) |
                (n % 5 ? 0 : add(n * 0.5, "200 OPTIONS", .call_id = nth("scan%d", n), .from = 2, .to = 1));
    assert_int_equal(rules, bit(SG_SOURCE_SCAN));
    assert_in_range(first, 27, 33);
    rules = 0;
    for (int n = 0; n < 40 && !rules; n++, first = n)
        rules = add(n * 0.5, "OPTIONS", .call_id = "same", .from = 3, .to = 100 + (unsigned)n);
    assert_int_equal(rules, bit(SG_SOURCE_SCAN));
    assert_in_range(first, 18, 22);
    /* A busy client whose requests are served is no scanner. */
    for (int n = 0; n < 100; n++) {
        assert_int_equal(add(n * 0.5, "OPTIONS", .call_id = nth("busy%d", n), .from = 4), 0);
        assert_int_equal(add(n * 0.5, "200 OPTIONS", .call_id = nth("busy%d", n), .from = 2, .to = 4), 0);
    }
    assert_in_range(at(4, 49.5).call_ids, 90, 110);
    assert_int_equal(at(4, 49.5).successes, 100);
}

static void enumerations_and_guesses(void **state)
{
    (void)state;
    uint32_t rules = 0;
    for (int n = 0; n < 20; n++) { /* svwar */
        char text[512];
        sg_sip_message message;
        snprintf(text, sizeof text,
                 "REGISTER sip:h SIP/2.0\r\nTo: <sip:%d@h>\r\nCall-ID: c%d\r\nCSeq: 1 REGISTER\r\n\r\n",
                 100 + n, n);
        assert_true(sg_sip_read(&message, text, strlen(text)));
        sg_flow flow = flow_at(n, 1, 2);
        rules |= sg_sources_add(sources, &message, &flow, false, NULL);
        rules |= add(n + 0.1, "404 REGISTER", .call_id = nth("c%d", n), .from = 2, .to = 1);
    }
    assert_int_equal(rules, bit(SG_SOURCE_ENUMERATION));
    rules = 0;
    for (int n = 0; n < 20; n++) /* svcrack */
        rules |= add(n, "REGISTER", .call_id = "crack", .from = 3) |
                 add(n + 0.1, "401 REGISTER", .call_id = "crack", .from = 2, .to = 3);
    assert_int_equal(rules, bit(SG_SOURCE_GUESSING));
    /* A house full of phones: each is challenged and then let in. */
    for (int n = 0; n < 50; n++) {
        rules = add(n, "REGISTER", .call_id = nth("p%d", n), .from = 4) |
                add(n, "401 REGISTER", .call_id = nth("p%d", n), .from = 2, .to = 4) |
                add(n, "REGISTER", .call_id = nth("p%d", n), .from = 4, .cseq = 2) |
                add(n, "200 REGISTER", .call_id = nth("p%d", n), .from = 2, .to = 4, .cseq = 2);
        assert_int_equal(rules, 0);
    }
}

static void half_open_calls(void **state)
{
    (void)state;
    uint32_t rules = 0;
    int n = 0;
    for (; n < 60 && !rules; n++)
        rules = add(n, "INVITE", .call_id = "a01");
    assert_int_equal(rules, bit(SG_SOURCE_HALF_OPEN));
    assert_int_equal(n, 20);
    for (n = 0; n < 100; n++)
        assert_int_equal(add(n * 0.5, "INVITE", .call_id = "same", .from = 3) |
                             add(n * 0.5 + 0.1, "ACK", .call_id = "same", .from = 3),
                         0);
    /* Slides out. */
    assert_int_equal(at(1, 200).invites, 0);
    assert_int_equal(at(1, 200).requests, 20);
}

static void rules_can_be_off(void **state)
{
    (void)state;
    sg_source_options o = options();
    o.flood_requests = o.scan_call_ids = o.scan_targets = o.enumerated_users = o.failures = o.half_open = 0;
    tear_down(NULL);
    assert_ok(sg_sources_open(&sources, &o));
    for (int n = 0; n < 500; n++)
        assert_int_equal(add(n * 0.001, "INVITE", .call_id = nth("x%d", n), .to = 100 + (unsigned)n) |
                             add(n * 0.001, "403 INVITE", .from = 2, .to = 1),
                         0);
}

/* 10^6 forged addresses: the table stays small, and whoever keeps sending stays in it. */
static void a_flood_of_addresses(void **state)
{
    (void)state;
    sg_source_options o = options();
    sg_source_counts counts;
    o.sources_max = 1000;
    tear_down(NULL);
    assert_ok(sg_sources_open(&sources, &o));
    uint64_t told = 0;
    for (uint32_t n = 0; n < 1000000; n++) {
        sg_sip_message message = {.method = SG_METHOD_OPTIONS, .call_id = {"c", 1}};
        sg_flow flow = flow_at(n * 1e-5, 0, 2);
        if (n % 100)
            memcpy(flow.source.address + 1, &n, 3);
        told += sg_sources_add(sources, &message, &flow, false, NULL) != 0;
    }
    assert_int_equal(told, 1);
    sg_sources_counts_now(sources, &counts);
    assert_int_equal(counts.sources, 1000);
    assert_in_range(counts.evicted, 985000, 990000);
    assert_true(counts.bytes < 1 << 20);
    assert_int_equal(at(0, 10).requests, 10000);
    sg_endpoint unknown = host(77, 0);
    sg_source source;
    assert_false(sg_sources_find(sources, &unknown, 0, &source));
}

/* Addresses of both families that share bytes are not one. */
static void families_differ(void **state)
{
    (void)state;
    sg_source source;
    sg_sip_message message = {.method = SG_METHOD_OPTIONS};
    sg_flow flow = flow_at(0, 1, 2);
    sg_sources_add(sources, &message, &flow, false, &source);
    assert_int_equal(source.requests, 1);
    flow.source.family = 6;
    sg_sources_add(sources, &message, &flow, false, &source);
    assert_int_equal(source.requests, 1);
    flow.source.port = 9; /* the port does not matter */
    sg_sources_add(sources, &message, &flow, false, &source);
    assert_int_equal(source.requests, 2);
    assert_int_equal(source.address.port, 0);
}

/* Estimates of different things against their number. */
static void estimates_are_near(void **state)
{
    (void)state;
    for (int many = 1; many <= 1000; many = many * 3 / 2 + 1) {
        unsigned from = 1000 + (unsigned)many;
        for (int twice = 0; twice < 2; twice++)
            for (int n = 0; n < many; n++)
                add(0, "OPTIONS", .call_id = nth("id%d", n), .from = from);
        double error = fabs((double)at(from, 0).call_ids - many);
        if (error > 2 + 0.12 * many)
            fail_msg("%u instead of %d", at(from, 0).call_ids, many);
    }
}

static void times_that_cannot_be(void **state)
{
    (void)state;
    static const int64_t times[] = {INT64_MAX, INT64_MIN, 0, -1, 4291747200000000, 1000000};
    for (int n = 0; n < 3000; n++) {
        sg_sip_message message = {.method = SG_METHOD_INVITE, .call_id = {"c", 1}};
        sg_flow flow = flow_at(0, 1, 2);
        flow.time_us = times[n % 6];
        sg_sources_add(sources, &message, &flow, false, NULL);
    }
    for (int n = 0; n < 20; n++) /* after all that, an ordinary minute is one */
        assert_int_equal(add(1e9 + n, "OPTIONS"), 0);
    assert_in_range(at(1, 1e9 + 19).rate, 1, 4);
}

static void refuses_numbers_out_of_range(void **state)
{
    (void)state;
    sg_sources *none;
    sg_source_options o = options();
    o.sources_max = 0;
    assert_fails(SG_E_CONFIG, "number of sources", sg_sources_open(&none, &o));
    o = options();
    o.window_ms = 0;
    assert_fails(SG_E_CONFIG, "window", sg_sources_open(&none, &o));
    o = options();
    o.scan_call_ids = 100000;
    assert_fails(SG_E_CONFIG, "Call-ID threshold", sg_sources_open(&none, &o));
    assert_null(none);
    for (int rule = 0; rule < SG_SOURCE_RULES; rule++)
        assert_string_not_equal(sg_source_rule_text(rule), "?");
    assert_string_equal(sg_source_rule_text(SG_SOURCE_RULES), "?");
}

#define WITH_SOURCES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SOURCES(a_flood_is_told_once_an_interval),
        WITH_SOURCES(scans),
        WITH_SOURCES(enumerations_and_guesses),
        WITH_SOURCES(half_open_calls),
        WITH_SOURCES(rules_can_be_off),
        WITH_SOURCES(a_flood_of_addresses),
        WITH_SOURCES(families_differ),
        WITH_SOURCES(estimates_are_near),
        WITH_SOURCES(times_that_cannot_be),
        WITH_SOURCES(refuses_numbers_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
