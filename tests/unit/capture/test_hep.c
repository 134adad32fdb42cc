#include "capture/hep.h"
#include "decoding.h"

#include <zlib.h>

static pw_packet p;

/* Gives the bytes of `p` to a decoder as what a listener received. */
static void receive(decoding *d, const char *key)
{
    guarded g = guarded_copy(p.at, p.size);
    sg_decoder_hep(d->decoder, g.data, p.size, key, d->time_us);
    take_messages(d);
    guarded_free(&g);
}

/* One packet to a fresh listener: how many messages, and how often it was counted under NAME. */
#define ONE(messages_wanted, NAME, times)                                                    \
    do {                                                                                     \
        decoding *one = decoding_open(NULL);                                                 \
        receive(one, NULL);                                                                  \
        if (one->messages != (messages_wanted) || COUNTED(one, NAME) != (uint64_t)(times)) { \
            print_counts(one);                                                               \
            fail_msg("line %d: %d messages, %s %llu", __LINE__, one->messages, #NAME,        \
                     (unsigned long long)COUNTED(one, NAME));                                \
        }                                                                                    \
        decoding_close(one);                                                                 \
    } while (0)

static void put_payload(void)
{
    pw_hep_chunk(&p, 0, 15, OPTIONS, strlen(OPTIONS));
}

static void good_packet(void)
{
    pw_hep(&p);
    put_payload();
}

/* The example of the specification (HEP/EEP revision 37): a packet of 113 bytes. */
static void reads_the_example_of_the_specification(void **state)
{
    (void)state;
    pw_payload(&p, "HEP3\0\6", 6);
    pw_hep_number(&p, 1, 2, 1);
    pw_hep_number(&p, 2, 17, 1);
    pw_hep_number(&p, 3, 0xd4ca0001, 4);
    pw_hep_number(&p, 4, 0x527400d3, 4);
    pw_hep_number(&p, 7, 12010, 2);
    pw_hep_number(&p, 8, 5060, 2);
    pw_hep_number(&p, 9, 1313440459, 4);
    pw_hep_number(&p, 10, 120000, 4);
    pw_hep_number(&p, 11, 1, 1);
    pw_hep_number(&p, 12, 228, 4);
    pw_hep_chunk(&p, 0, 15, "INVITE sip:bob", 14);
    assert_int_equal(p.size, 113);
    sg_hep hep;
    sg_count why;
    assert_true(sg_hep_parse(p.at, p.size, 0, &hep, &why));
    assert_int_equal(hep.size, 113);
    assert_int_equal(hep.version, 3);
    assert_memory_equal(hep.flow.source.address, "\xd4\xca\x00\x01", 4);
    assert_memory_equal(hep.flow.destination.address, "\x52\x74\x00\xd3", 4);
    assert_int_equal(hep.flow.source.port, 12010);
    assert_int_equal(hep.flow.destination.port, 5060);
    assert_int_equal(hep.flow.time_us, 1313440459120000);
    assert_int_equal(hep.capture_id, 228);
    assert_int_equal(hep.payload_size, 14);
    assert_int_equal(hep.type, SG_HEP_TYPE_SIP);
    assert_int_equal(hep.flow.transport, SG_TRANSPORT_UDP);
}

static void gives_the_message_with_its_own_flow(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    good_packet();
    receive(d, NULL);
    assert_int_equal(d->messages, 1);
    assert_string_equal(d->text[0], OPTIONS);
    assert_true(d->item[0].hep);
    assert_null(d->item[0].frame);
    assert_int_equal(d->item[0].flow.time_us, 1700000000250000);
    assert_int_equal(d->item[0].flow.source.address[3], 1);
    assert_int_equal(d->item[0].flow.destination.port, 5070);
    assert_int_equal(COUNTED(d, HEP_MESSAGES), 1);
    decoding_close(d);
}

static void reads_ip6_transports_and_any_order(void **state)
{
    (void)state;
    static const struct {
        uint8_t protocol;
        sg_transport transport;
    } transports[] = {
        {6, SG_TRANSPORT_TCP}, {17, SG_TRANSPORT_UDP}, {22, SG_TRANSPORT_TLS}, {132, SG_TRANSPORT_SCTP}};
    uint8_t from[16] = {0x20, 1, [15] = 1}, to[16] = {0x20, 1, [15] = 2};
    for (size_t i = 0; i < 4; i++) {
        decoding *d = decoding_open(NULL);
        pw_payload(&p, "HEP3\0\6", 6);
        put_payload();
        pw_hep_number(&p, 11, 1, 1);
        pw_hep_chunk(&p, 0, 6, to, 16);
        pw_hep_number(&p, 2, 99, 1);
        pw_hep_chunk(&p, 0x1234, 15, "vendor", 6); /* chunks of vendors are passed over */
        pw_hep_chunk(&p, 0, 0x11, "correlation", 11);
        pw_hep_chunk(&p, 0, 0x13, "", 0);
        pw_hep_chunk(&p, 0, 0x7777, "unknown", 7);
        pw_hep_number(&p, 1, 2, 1); /* says IPv4: the addresses decide */
        pw_hep_chunk(&p, 0, 5, from, 16);
        pw_hep_number(&p, 2, transports[i].protocol, 1); /* the last one wins */
        receive(d, NULL);
        assert_int_equal(d->messages, 1);
        assert_int_equal(d->item[0].flow.source.family, 6);
        assert_memory_equal(d->item[0].flow.destination.address, to, 16);
        assert_int_equal(d->item[0].flow.transport, transports[i].transport);
        assert_int_equal(d->item[0].flow.time_us, d->time_us); /* no time: that of the arrival */
        decoding_close(d);
    }
}

static void refuses_impossible_lengths(void **state)
{
    (void)state;
    good_packet();
    for (unsigned total = 0; total < 6; total++) {
        pw_put16(p.at + 4, total);
        ONE(0, HEP_TRUNCATED, 1);
    }
    pw_put16(p.at + 4, p.size + 1);
    ONE(0, HEP_TRUNCATED, 1);
    pw_put16(p.at + 4, 65535);
    ONE(0, HEP_TRUNCATED, 1);
    for (unsigned length = 0; length < 6; length++) { /* 0 would loop for ever */
        good_packet();
        pw_put16(p.at + 6 + 4, length);
        ONE(0, HEP_BAD_CHUNK, 1);
    }
    good_packet();
    pw_put16(p.at + 6 + 4, p.size); /* beyond the packet */
    ONE(0, HEP_BAD_CHUNK, 1);
    good_packet();
    p.size += 3; /* ends within the header of a chunk */
    pw_put16(p.at + 4, p.size);
    ONE(0, HEP_BAD_CHUNK, 1);
    static const uint8_t types[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    for (size_t i = 0; i < sizeof types; i++) /* known chunks have one size: empty, short, long */
        for (size_t size = 0; size < 20; size += 3) {
            good_packet();
            pw_hep_chunk(&p, 0, types[i], "12345678901234567890", size);
            bool right = size == (size_t[]){0, 1, 1, 4, 4, 16, 16, 2, 2, 4, 4, 1, 4}[types[i]];
            ONE(right ? 1 : 0, HEP_BAD_SIZE, right ? 0 : 1);
        }
}

/* Every prefix of a packet: no byte beyond it is read. */
static void reads_no_byte_beyond_the_packet(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    good_packet();
    size_t whole = p.size;
    for (p.size = 0; p.size < whole; p.size++)
        receive(d, "key");
    for (p.size = 6; p.size < whole; p.size++) { /* and with a total length that fits */
        pw_put16(p.at + 4, p.size);
        receive(d, NULL);
    }
    decoding_close(d);
}

static void wants_payload_and_addresses(void **state)
{
    (void)state;
    pw_hep(&p);
    ONE(0, HEP_NO_PAYLOAD, 1);
    pw_hep_chunk(&p, 0, 15, "", 0);
    ONE(0, HEP_NO_PAYLOAD, 1);
    pw_payload(&p, "HEP3\0\6", 6);
    pw_hep_number(&p, 3, 1, 4); /* one address of each family */
    pw_hep_chunk(&p, 0, 6, "0123456789abcdef", 16);
    put_payload();
    ONE(0, HEP_NO_ADDRESS, 1);
}

static void counts_what_is_not_sip(void **state)
{
    (void)state;
    pw_hep(&p);
    pw_hep_number(&p, 11, 5, 1); /* RTCP */
    put_payload();
    ONE(0, HEP_OTHER_TYPE, 1);
    pw_hep(&p);
    pw_hep_chunk(&p, 0, 15, "hello, world", 12);
    ONE(0, HEP_NOT_SIP, 1);
    pw_hep(&p);
    pw_hep_chunk(&p, 0, 15, "\r\n\r\n", 4);
    ONE(0, KEEP_ALIVES, 1);
    static pw_packet inner; /* HEP within HEP is not followed */
    good_packet();
    inner = p;
    pw_hep(&p);
    pw_hep_chunk(&p, 0, 15, inner.room + PW_HEADERS, inner.size);
    ONE(0, HEP_NOT_SIP, 1);
    pw_text(&p, OPTIONS);
    ONE(0, HEP_NOT_HEP, 1);
    pw_text(&p, "");
    ONE(0, HEP_NOT_HEP, 0);
}

static void takes_two_in_a_datagram(void **state)
{
    (void)state;
    good_packet();
    memcpy(p.at + p.size, p.at, p.size);
    p.size *= 2;
    ONE(2, HEP_TRAILING, 0);
    p.size--;
    ONE(1, HEP_TRUNCATED, 1);
    good_packet();
    memcpy(p.at + p.size, "\0\0\0", 3);
    p.size += 3;
    ONE(1, HEP_TRAILING, 1);
}

static void cuts_impossible_microseconds(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    pw_hep(&p);
    pw_hep_number(&p, 9, 0xffffffff, 4); /* the year 2106 */
    pw_hep_number(&p, 10, 4000000000, 4);
    put_payload();
    receive(d, NULL);
    assert_int_equal(d->item[0].flow.time_us, 4294967295999999);
    assert_int_equal(COUNTED(d, BAD_TIME), 1);
    decoding_close(d);
}

/* ---- compressed payloads ---- */

static size_t compress_text(uint8_t *to, size_t room, const void *data, size_t size, int window)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window, 9, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (uint8_t *)(uintptr_t)data, z.avail_in = (unsigned)size;
    z.next_out = to, z.avail_out = (unsigned)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

static void decompresses_payloads(void **state)
{
    (void)state;
    uint8_t packed[4096];
    for (int gzip = 0; gzip < 2; gzip++) {
        size_t size = compress_text(packed, sizeof packed, OPTIONS, strlen(OPTIONS), gzip ? 15 + 16 : 15);
        decoding *d = decoding_open(NULL);
        pw_hep(&p);
        pw_hep_chunk(&p, 0, 16, packed, size);
        receive(d, NULL);
        assert_int_equal(d->messages, 1);
        assert_string_equal(d->text[0], OPTIONS);
        decoding_close(d);
        pw_hep(&p);
        pw_hep_chunk(&p, 0, 16, packed, size - 5); /* cut */
        ONE(0, HEP_INFLATE, 1);
    }
    pw_hep(&p);
    pw_hep_chunk(&p, 0, 16, OPTIONS, strlen(OPTIONS)); /* not compressed at all */
    ONE(0, HEP_INFLATE, 1);
    size_t big = 50 << 20; /* a bomb: 50 MiB from 50 KiB */
    char *zeros = calloc(1, big);
    uint8_t *bomb = malloc(65000);
    memset(zeros, 'x', big);
    memcpy(zeros, OPTIONS, strlen(OPTIONS));
    size_t size = compress_text(bomb, 65000, zeros, big, 15);
    pw_hep(&p);
    pw_hep_chunk(&p, 0, 16, bomb, size);
    ONE(0, HEP_INFLATE, 1);
    free(zeros);
    free(bomb);
}

static void wants_the_key(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "s", "secre", "secrets", "Secret", "secret\0"};
    decoding *d = decoding_open(NULL);
    good_packet();
    receive(d, "secret");
    for (size_t i = 0; i < 6; i++) {
        good_packet();
        pw_hep_chunk(&p, 0, 14, wrong[i], i == 5 ? 7 : strlen(wrong[i]));
        receive(d, "secret");
    }
    assert_int_equal(d->messages, 0);
    assert_int_equal(COUNTED(d, HEP_WRONG_KEY), 7);
    good_packet();
    pw_hep_chunk(&p, 0, 14, "secret", 6);
    receive(d, "secret");
    assert_int_equal(d->messages, 1);
    decoding_close(d);
}

/* ---- versions 1 and 2 ---- */

/* version, IPv6 or not, bytes of time stamp, whether the header length counts them, little-endian time. */
static void old_packet(int version, bool six, size_t stamp, bool counted, bool little)
{
    size_t addresses = six ? 32 : 8;
    pw_text(&p, OPTIONS);
    if (stamp) {
        uint8_t *t = pw_push(&p, stamp);
        pw_put32(t, 1700000001);
        pw_put32(t + 4, 500000);
        for (int i = 0; little && i < 8; i += 4) {
            uint8_t swapped[4] = {t[i + 3], t[i + 2], t[i + 1], t[i]};
            memcpy(t + i, swapped, 4);
        }
    }
    uint8_t *a = pw_push(&p, addresses);
    a[0] = six ? 0x20 : 10;
    a[addresses / 2 - 1] = 1;
    a[addresses / 2] = six ? 0x20 : 10;
    a[addresses - 1] = 2;
    uint8_t *h = pw_push(&p, 8);
    h[0] = (uint8_t)version;
    h[1] = (uint8_t)(8 + addresses + (counted ? stamp : 0));
    h[2] = six ? 10 : 2;
    h[3] = 6;
    pw_put16(h + 4, 5060);
    pw_put16(h + 6, 5070);
}

static void reads_versions_1_and_2(void **state)
{
    (void)state;
    for (int six = 0; six < 2; six++)
        for (int stamp = 0; stamp <= 12; stamp += stamp ? 2 : 10)
            for (int counted = 0; counted < 2; counted++)
                for (int little = 0; little < 2; little++) {
                    decoding *d = decoding_open(NULL);
                    old_packet(stamp ? 2 : 1, six, (size_t)stamp, counted, little);
                    receive(d, NULL);
                    assert_int_equal(d->messages, 1);
                    assert_string_equal(d->text[0], OPTIONS);
                    assert_int_equal(d->item[0].flow.source.family, six ? 6 : 4);
                    assert_int_equal(d->item[0].flow.destination.address[six ? 15 : 3], 2);
                    assert_int_equal(d->item[0].flow.destination.port, 5070);
                    assert_int_equal(d->item[0].flow.transport, SG_TRANSPORT_TCP);
                    assert_int_equal(d->item[0].flow.time_us, stamp ? 1700000001500000 : d->time_us);
                    decoding_close(d);
                }
    old_packet(2, false, 0, false, false); /* version 2 without a stamp */
    ONE(1, HEP_BAD_HEADER, 0);
}

static void refuses_wrong_old_headers(void **state)
{
    (void)state;
    for (int at = 1; at < 3; at++) /* every header length and family but the right one */
        for (int value = 0; value < 256; value++) {
            old_packet(1, false, 0, false, false);
            if (value == p.at[at])
                continue;
            p.at[at] = (uint8_t)value;
            ONE(0, HEP_BAD_HEADER, 1);
        }
    for (size_t size = 1; size < 16; size++) {
        old_packet(1, false, 0, false, false);
        p.size = size;
        ONE(0, HEP_BAD_HEADER, 1);
    }
    old_packet(1, false, 0, false, false);
    p.size = 16;
    ONE(0, HEP_NO_PAYLOAD, 1);
    old_packet(2, true, 12, true, false);
    size_t whole = p.size;
    decoding *d = decoding_open(NULL);
    for (p.size = 1; p.size < whole; p.size++)
        receive(d, NULL);
    decoding_close(d);
}

/* ---- in captures ---- */

static void finds_hep_in_captures(void **state)
{
    (void)state;
    sg_capture_options options;
    sg_capture_defaults(&options);
    for (int take = 0; take < 2; take++) {
        options.hep_in_captures = take;
        decoding *d = decoding_open(&options);
        good_packet();
        pw_udp(&p, 50000, 9060);
        pw_ip4(&p, "192.0.2.1", "192.0.2.2", 17);
        decode(d, &p, SG_LINK_RAW);
        old_packet(1, false, 0, false, false);
        pw_udp(&p, 50000, 9060);
        pw_ip4(&p, "192.0.2.1", "192.0.2.2", 17);
        decode(d, &p, SG_LINK_RAW);
        assert_int_equal(d->messages, take ? 2 : 0);
        assert_int_equal(COUNTED(d, UDP_NOT_SIP), take ? 0 : 2);
        if (take) {
            assert_int_equal(d->item[0].flow.source.address[0], 10);
            assert_int_equal(d->item[0].flow.time_us, 1700000000250000);
            assert_non_null(d->item[0].frame);
            assert_true(d->item[0].frame_whole);
            assert_int_equal(d->item[1].flow.time_us, d->time_us);
        }
        decoding_close(d);
    }
}

static void frames_streams(void **state)
{
    (void)state;
    size_t length;
    good_packet();
    for (size_t size = 0; size < 6; size++) {
        assert_int_equal(sg_hep_frame(p.at, size, &length), 0);
        assert_int_equal(length, 6);
    }
    assert_int_equal(sg_hep_frame(p.at, 6, &length), 0);
    assert_int_equal(length, p.size);
    assert_int_equal(sg_hep_frame(p.at, p.size, &length), 1);
    assert_int_equal(sg_hep_frame((const uint8_t *)"HEP4", 4, &length), -1);
    assert_int_equal(sg_hep_frame((const uint8_t *)"X", 1, &length), -1);
    assert_int_equal(sg_hep_frame((const uint8_t *)"HEP3\0\5", 6, &length), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_example_of_the_specification),
        cmocka_unit_test(gives_the_message_with_its_own_flow),
        cmocka_unit_test(reads_ip6_transports_and_any_order),
        cmocka_unit_test(refuses_impossible_lengths),
        cmocka_unit_test(reads_no_byte_beyond_the_packet),
        cmocka_unit_test(wants_payload_and_addresses),
        cmocka_unit_test(counts_what_is_not_sip),
        cmocka_unit_test(takes_two_in_a_datagram),
        cmocka_unit_test(cuts_impossible_microseconds),
        cmocka_unit_test(decompresses_payloads),
        cmocka_unit_test(wants_the_key),
        cmocka_unit_test(reads_versions_1_and_2),
        cmocka_unit_test(refuses_wrong_old_headers),
        cmocka_unit_test(finds_hep_in_captures),
        cmocka_unit_test(frames_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
