#include "sip/retransmission.h"
#include "sip_case.h"

static const char request[] =
    "REGISTER sip:home SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n"
    "Call-ID: c\r\nCSeq: 1 REGISTER\r\nFrom: <sip:a@h>;tag=f\r\nTo: <sip:a@h>\r\n\r\n";

static uint64_t key_of(const char *text, const sg_flow *flow)
{
    sg_sip_message message;
    assert_true(sg_sip_read(&message, text, strlen(text)));
    return sg_repeat_key(&message, flow, 7);
}

/* The key of the request with a word changed for another. */
static uint64_t changed(const char *word, const char *other)
{
    char text[512];
    const char *at = strstr(request, word);
    sg_flow flow = flow_at(0, 1, 2);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - request), request, other, at + strlen(word));
    return key_of(text, &flow);
}

static void what_makes_a_copy(void **state)
{
    (void)state;
    sg_flow flow = flow_at(0, 1, 2);
    uint64_t key = key_of(request, &flow);
    assert_int_equal(changed("Call-ID: c", "Call-ID: c"), key);
    assert_int_equal(changed("sip:home", "sip:elsewhere"), key);
    assert_int_equal(changed("tag=f", "tag=g"), key);
    flow.time_us = 1000000;
    assert_int_equal(key_of(request, &flow), key);
    /* A guesser's next attempt. */
    assert_int_not_equal(changed("branch=z9hG4bK1", "branch=z9hG4bK2"), key);
    assert_int_not_equal(changed("CSeq: 1", "CSeq: 2"), key);
    assert_int_not_equal(changed("UDP a", "UDP b"), key);
    assert_int_not_equal(changed("To: <sip:a@h>", "To: <sip:a@h>;tag=t"), key);
    assert_int_not_equal(changed("REGISTER sip", "OPTIONS sip"), key);
    assert_int_not_equal(changed("REGISTER sip", "FOO sip"), changed("REGISTER sip", "BAR sip"));
    assert_int_not_equal(changed("REGISTER sip:home SIP/2.0", "SIP/2.0 200 OK"), key);
    assert_int_not_equal(changed("REGISTER sip:home SIP/2.0", "SIP/2.0 200 OK"),
                         changed("REGISTER sip:home SIP/2.0", "SIP/2.0 100 Trying"));
    /* The other leg of a proxy, the other direction, another port. */
    sg_flow other = flow_at(0, 2, 3), back = flow_at(0, 2, 1), port = flow_at(0, 1, 2);
    port.source.port = 5062;
    assert_int_not_equal(key_of(request, &other), key);
    assert_int_not_equal(key_of(request, &back), key);
    assert_int_not_equal(key_of(request, &port), key);
}

static void remembers_for_32_seconds(void **state)
{
    (void)state;
    sg_repeat_ring ring = {0};
    const int64_t second = 1000000, start = 1700000000 * second;
    assert_false(sg_repeat_seen(&ring, 1, start));
    assert_true(sg_repeat_seen(&ring, 1, start));
    assert_true(sg_repeat_seen(&ring, 1, start + 32 * second));
    assert_false(sg_repeat_seen(&ring, 1, start + 33 * second));
    assert_true(sg_repeat_seen(&ring, 1, start + 2 * second)); /* late, of the first or the second */
    assert_false(sg_repeat_seen(&ring, 2, start));
    assert_true(sg_repeat_seen(&ring, 2, start - 1 * second));
    assert_false(sg_repeat_seen(&ring, 2, start - 33 * second));
}

static void forgets_the_oldest(void **state)
{
    (void)state;
    sg_repeat_ring ring = {0};
    for (uint64_t key = 0; key < SG_REPEAT_RING; key++)
        assert_false(sg_repeat_seen(&ring, key, 0));
    assert_true(sg_repeat_seen(&ring, 0, 0));
    assert_false(sg_repeat_seen(&ring, SG_REPEAT_RING, 0));
    assert_false(sg_repeat_seen(&ring, 0, 0));
    assert_true(sg_repeat_seen(&ring, 2, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_makes_a_copy),
        cmocka_unit_test(remembers_for_32_seconds),
        cmocka_unit_test(forgets_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
