#include "decoding.h"

#define A "10.0.0.1"
#define B "10.0.0.2"

static pw_packet p;
static uint8_t whole[70000]; /* a UDP datagram with a long OPTIONS */
static size_t whole_size;

static void make_whole(size_t size)
{
    char *text = (char *)whole + 8;
    memset(text, 'x', size - 8);
    memcpy(text, "OPTIONS sip:a@b SIP/2.0\r\nX: ", 28);
    memcpy(text + size - 8 - 4, "\r\n\r\n", 4);
    memcpy(whole, "\x13\xc4\x13\xc4", 4);
    pw_put16(whole + 4, size);
    whole_size = size;
}

/* Bytes [from, to) of the datagram as a fragment. */
static void part(size_t from, size_t to, uint16_t id)
{
    pw_payload(&p, whole + from, to - from);
    pw_ip4_part(&p, A, B, 17, id, from | (to < whole_size));
}

static void send_part(decoding *d, size_t from, size_t to, uint16_t id)
{
    part(from, to, id);
    decode(d, &p, SG_LINK_RAW);
}

static void joins_fragments_in_any_order(void **state)
{
    (void)state;
    static const int orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {2, 0, 1}};
    decoding *d = decoding_open(NULL);
    make_whole(4000);
    for (int o = 0; o < 4; o++)
        for (int i = 0; i < 3; i++) {
            size_t from = (size_t)orders[o][i] * 1480;
            send_part(d, from, from + 1480 < 4000 ? from + 1480 : 4000, (uint16_t)o);
        }
    assert_int_equal(d->messages, 4);
    assert_int_equal(d->item[3].length, 3992);
    assert_false(d->item[3].frame_whole);
    assert_int_equal(COUNTED(d, FRAGMENTS), 12);
    assert_int_equal(COUNTED(d, FRAGMENTS_JOINED), 4);
    decoding_close(d);
}

static void joins_ip6_fragments(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    make_whole(2000);
    for (int i = 0; i < 2; i++) {
        pw_payload(&p, whole + i * 1000, 1000);
        pw_fragment6(&p, 17, 99, (size_t)i * 1000 | (i == 0));
        pw_extension(&p, 44, 1);
        pw_ip6(&p, "::1", "::2", 0);
        decode(d, &p, SG_LINK_RAW);
    }
    assert_int_equal(d->messages, 1);
    pw_payload(&p, whole, 2000); /* an atomic fragment is whole */
    pw_fragment6(&p, 17, 100, 0);
    pw_ip6(&p, "::1", "::2", 44);
    decode(d, &p, SG_LINK_RAW);
    assert_int_equal(d->messages, 2);
    decoding_close(d);
}

static void accepts_copies_and_refuses_contradictions(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    make_whole(4000);
    send_part(d, 0, 1480, 1);
    send_part(d, 0, 1480, 1);   /* the same again */
    send_part(d, 800, 2400, 1); /* overlaps, and says the same */
    send_part(d, 1480, 4000, 1);
    assert_int_equal(d->messages, 1);
    send_part(d, 0, 1480, 2);
    whole[1000] ^= 1; /* overlaps, and says something else */
    send_part(d, 800, 2400, 2);
    whole[1000] ^= 1;
    send_part(d, 1480, 4000, 2); /* what still comes of it is no new datagram */
    send_part(d, 0, 1480, 2);
    assert_int_equal(d->messages, 1);
    assert_int_equal(COUNTED(d, FRAGMENTS_OVERLAP), 1);
    send_part(d, 1480, 4000, 3); /* two different ends */
    part(2400, 3200, 3);
    p.at[6] &= 0x1f;
    decode(d, &p, SG_LINK_RAW);
    assert_int_equal(COUNTED(d, FRAGMENTS_OVERLAP), 2);
    send_part(d, 1600, 4000, 4); /* bytes beyond the end */
    part(0, 800, 4);
    p.at[6] = 0;
    pw_put16(p.at + 6, 1600 / 8);
    decode(d, &p, SG_LINK_RAW);
    assert_int_equal(COUNTED(d, FRAGMENTS_OVERLAP), 3);
    decoding_close(d);
}

static void refuses_impossible_fragments(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    make_whole(4000);
    part(0, 1479, 1); /* in the middle, and no multiple of eight */
    decode(d, &p, SG_LINK_RAW);
    part(0, 1480, 2); /* empty */
    p.size = 20;
    pw_put16(p.at + 2, 20);
    decode(d, &p, SG_LINK_RAW);
    part(0, 1480, 3); /* beyond the longest datagram */
    pw_put16(p.at + 6, 0x1fff);
    decode(d, &p, SG_LINK_RAW);
    assert_int_equal(COUNTED(d, FRAGMENTS_MALFORMED), 3);
    assert_int_equal(d->messages, 0);
    part(0, 1480, 4); /* cut by the capture: a hole */
    decode_bytes(d, p.at, p.size - 8, p.size, SG_LINK_RAW);
    send_part(d, 1480, 4000, 4);
    assert_int_equal(d->messages, 0);
    decoding_close(d);
}

static void joins_the_smallest_and_the_largest(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    make_whole(400);
    for (size_t at = 0; at < 400; at += 8)
        send_part(d, at, at + 8, 1);
    assert_int_equal(d->messages, 1);
    for (size_t at = 0; at < 400; at += 16) /* every second one, then the rest */
        send_part(d, at, at + 8, 2);
    for (size_t at = 8; at < 400; at += 16)
        send_part(d, at, at + 8, 2);
    assert_int_equal(d->messages, 2);
    make_whole(65515);
    for (size_t at = 0; at < 65515; at += 1480)
        send_part(d, at, at + 1480 < 65515 ? at + 1480 : 65515, 3);
    assert_int_equal(d->messages, 3);
    assert_int_equal(d->item[2].length, 65507);
    make_whole(4000);
    for (size_t at = 0; at < 3200; at += 16) /* more holes than are worth remembering */
        send_part(d, at, at + 8, 4);
    assert_int_equal(COUNTED(d, FRAGMENTS_OVERLAP), 1);
    decoding_close(d);
}

static void forgets_what_is_never_completed(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    make_whole(4000);
    send_part(d, 0, 1480, 1);
    d->time_us += 31000000;
    send_part(d, 1480, 4000, 1); /* the identification comes round again */
    assert_int_equal(d->messages, 0);
    assert_int_equal(COUNTED(d, FRAGMENTS_EXPIRED), 1);
    d->time_us -= 3600000000; /* time runs backwards */
    send_part(d, 0, 1480, 1);
    assert_int_equal(d->messages, 0);
    send_part(d, 1480, 4000, 1);
    assert_int_equal(d->messages, 1);
    decoding_close(d);
}

/* 10^6 datagrams of which one fragment comes: the table stays bounded. */
static void a_flood_stays_bounded(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    sg_capture_gauges gauges;
    make_whole(4000);
    part(0, 1480, 0);
    sg_packet packet = {
        .data = p.at, .captured = (uint32_t)p.size, .length = (uint32_t)p.size, .link = SG_LINK_RAW};
    for (uint32_t i = 0; i < 1000000; i++) {
        pw_put16(p.at + 4, i & 0xffff);
        p.at[14] = (uint8_t)(i >> 16);
        packet.time_us = d->time_us + i;
        sg_decoder_packet(d->decoder, &packet);
    }
    sg_decoder_gauges(d->decoder, &gauges);
    assert_int_equal(gauges.fragmented_datagrams, 1024);
    assert_int_equal(COUNTED(d, FRAGMENTS_EVICTED), 1000000 - 1024);
    send_part(d, 0, 1480, 7);
    send_part(d, 1480, 4000, 7);
    assert_int_equal(d->messages, 1);
    decoding_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_fragments_in_any_order),
        cmocka_unit_test(joins_ip6_fragments),
        cmocka_unit_test(accepts_copies_and_refuses_contradictions),
        cmocka_unit_test(refuses_impossible_fragments),
        cmocka_unit_test(joins_the_smallest_and_the_largest),
        cmocka_unit_test(forgets_what_is_never_completed),
        cmocka_unit_test(a_flood_stays_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
