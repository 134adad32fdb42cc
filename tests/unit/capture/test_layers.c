#include "decoding.h"

#define A "10.0.0.1"
#define B "10.0.0.2"

static pw_packet p;

static void udp_in_ip4(const char *text)
{
    pw_text(&p, text);
    pw_udp(&p, 5060, 5070);
    pw_ip4(&p, A, B, 17);
}

static void udp_in_ip6(const char *text)
{
    pw_text(&p, text);
    pw_udp(&p, 5060, 5070);
}

/* One packet through a fresh decoder: how many messages, and how often it was counted under NAME. */
#define ONE(link, messages_wanted, NAME, times)                                              \
    do {                                                                                     \
        decoding *one = decoding_open(NULL);                                                 \
        decode(one, &p, link);                                                               \
        if (one->messages != (messages_wanted) || COUNTED(one, NAME) != (uint64_t)(times)) { \
            print_counts(one);                                                               \
            fail_msg("line %d: %d messages, %s %llu", __LINE__, one->messages, #NAME,        \
                     (unsigned long long)COUNTED(one, NAME));                                \
        }                                                                                    \
        decoding_close(one);                                                                 \
    } while (0)

static void reads_a_datagram(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    udp_in_ip4(OPTIONS);
    pw_ethernet(&p, 0x0800);
    decode(d, &p, SG_LINK_ETHERNET);
    assert_int_equal(d->messages, 1);
    const sg_capture_item *item = &d->item[0];
    assert_int_equal(item->length, strlen(OPTIONS));
    assert_int_equal(item->flow.source.family, 4);
    assert_memory_equal(item->flow.source.address, "\x0a\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    assert_int_equal(item->flow.source.port, 5060);
    assert_int_equal(item->flow.destination.address[3], 2);
    assert_int_equal(item->flow.destination.port, 5070);
    assert_int_equal(item->flow.transport, SG_TRANSPORT_UDP);
    assert_int_equal(item->flow.time_us, d->time_us);
    assert_int_equal(item->packet, 1);
    assert_int_equal(item->frame_captured, p.size);
    assert_int_equal(item->frame_link, SG_LINK_ETHERNET);
    assert_true(item->frame_whole);
    assert_false(item->hep || item->truncated);
    assert_string_equal(d->text[0], OPTIONS);
    decoding_close(d);
}

static void reads_every_link(void **state)
{
    (void)state;
    udp_in_ip4(OPTIONS);
    ONE(SG_LINK_RAW, 1, NOT_IP, 0);
    ONE(SG_LINK_IPV4, 1, NOT_IP, 0);
    pw_push(&p, 4)[0] = 2;
    ONE(SG_LINK_NULL, 1, NOT_IP, 0);
    ONE(SG_LINK_LOOP, 1, NOT_IP, 0);
    udp_in_ip4(OPTIONS);
    pw_put16(pw_push(&p, 16) + 14, 0x0800);
    ONE(SG_LINK_SLL, 1, NOT_IP, 0);
    udp_in_ip4(OPTIONS);
    pw_put16(pw_push(&p, 20), 0x0800);
    ONE(SG_LINK_SLL2, 1, NOT_IP, 0);
    udp_in_ip4(OPTIONS);
    memcpy(pw_push(&p, 4), "\xff\x03\x00\x21", 4);
    ONE(SG_LINK_PPP, 1, NOT_IP, 0);
    udp_in_ip4(OPTIONS);
    memcpy(pw_push(&p, 1), "\x21", 1);
    ONE(SG_LINK_PPP, 1, NOT_IP, 0);
    udp_in_ip6(OPTIONS);
    pw_ip6(&p, "2001:db8::1", "2001:db8::2", 17);
    ONE(SG_LINK_IPV6, 1, NOT_IP, 0);
    ONE(147, 0, LINK_UNKNOWN, 1);
    ONE(-1, 0, LINK_UNKNOWN, 1);
}

static void reads_tags_and_pppoe(void **state)
{
    (void)state;
    for (int tags = 1; tags <= 5; tags++) {
        for (int qinq = 0; qinq < 2; qinq++) {
            udp_in_ip4(OPTIONS);
            for (int i = 0; i < tags; i++)
                pw_vlan(&p, i == 0 ? 0x0800 : 0x8100);
            pw_ethernet(&p, qinq ? 0x88a8 : 0x8100);
            ONE(SG_LINK_ETHERNET, 1, NOT_IP, 0);
        }
    }
    for (size_t cut = 1; cut <= 4; cut++) { /* the frame ends within a tag */
        pw_payload(&p, "", 0);
        pw_vlan(&p, 0x0800);
        pw_ethernet(&p, 0x8100);
        p.size -= cut;
        ONE(SG_LINK_ETHERNET, 0, LINK_TRUNCATED, 1);
    }
    udp_in_ip4(OPTIONS);
    memcpy(pw_push(&p, 8), "\x11\x00\x00\x01\x00\x00\x00\x21", 8);
    pw_ethernet(&p, 0x8864);
    ONE(SG_LINK_ETHERNET, 1, NOT_IP, 0);
    p.at[21] = 0x57; /* says IPv6, holds IPv4: the version decides */
    ONE(SG_LINK_ETHERNET, 1, NOT_IP, 0);
    p.at[20] = 0xc0; /* LCP */
    ONE(SG_LINK_ETHERNET, 0, NOT_IP, 1);
    pw_text(&p, "arp");
    pw_ethernet(&p, 0x0806);
    ONE(SG_LINK_ETHERNET, 0, NOT_IP, 1);
}

/* Every prefix of every kind of packet: no byte beyond it is read, and it gives at most one message. */
static void reads_no_byte_beyond_the_packet(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    int links[] = {SG_LINK_ETHERNET, SG_LINK_SLL, SG_LINK_SLL2, SG_LINK_NULL, SG_LINK_RAW, SG_LINK_PPP};
    for (int kind = 0; kind < 5; kind++) {
        pw_text(&p, OPTIONS);
        if (kind == 2)
            pw_tcp(&p, 5060, 5070, 1, PW_ACK);
        else
            pw_udp(&p, 5060, 5070);
        if (kind == 1) {
            pw_fragment6(&p, 17, 7, 0);
            pw_extension(&p, 44, 2);
            pw_ip6(&p, "::1", "::2", 0);
        } else {
            pw_ip4(&p, A, B, kind == 2 ? 6 : 17);
        }
        if (kind == 3) {
            memcpy(pw_push(&p, 16), "\xb0\x00\x08\x00", 4);
            pw_ip4(&p, A, B, 47);
        }
        if (kind == 4) {
            memcpy(pw_push(&p, 8), "\x30\xff\x00\x00\x00\x00\x00\x01", 8);
            pw_put16(p.at + 2, p.size - 8);
            pw_udp(&p, 2152, 2152);
            pw_ip4(&p, A, B, 17);
        }
        pw_vlan(&p, kind == 1 ? 0x86dd : 0x0800);
        pw_ethernet(&p, 0x8100);
        for (size_t size = 0; size <= p.size; size++)
            for (size_t l = 0; l < sizeof links / sizeof *links; l++)
                decode_bytes(d, p.at, size, p.size, links[l]);
    }
    assert_true(d->messages >= 4);
    decoding_close(d);
}

static void refuses_wrong_ip4_headers(void **state)
{
    (void)state;
    pw_payload(&p, "", 0);
    ONE(SG_LINK_RAW, 0, LINK_TRUNCATED, 1); /* captured length 0 */
    udp_in_ip4(OPTIONS);
    p.at[0] = 0x44; /* IHL 4 */
    ONE(SG_LINK_RAW, 0, IP_MALFORMED, 1);
    p.at[0] = 0x4f; /* options of 40 bytes: the UDP header is found in the text */
    ONE(SG_LINK_RAW, 0, UDP_MALFORMED, 1);
    p.at[0] = 0x55;
    ONE(SG_LINK_RAW, 0, IP_MALFORMED, 1);
    udp_in_ip4(OPTIONS);
    pw_put16(p.at + 2, 19); /* total length below the header */
    ONE(SG_LINK_RAW, 0, IP_MALFORMED, 1);
    pw_put16(p.at + 2, 0);
    ONE(SG_LINK_RAW, 0, IP_MALFORMED, 1);
    pw_put16(p.at + 2, 20);
    ONE(SG_LINK_RAW, 0, UDP_MALFORMED, 1);
    pw_put16(p.at + 2, 65535); /* beyond the capture: what is there is used */
    decoding *d = decoding_open(NULL);
    decode(d, &p, SG_LINK_RAW);
    assert_int_equal(COUNTED(d, IP_TRUNCATED), 1);
    assert_int_equal(d->messages, 1);
    decoding_close(d);
    udp_in_ip4(OPTIONS);
    p.size = 19;
    ONE(SG_LINK_RAW, 0, IP_TRUNCATED, 1);
    udp_in_ip4(OPTIONS); /* padding of short frames is not part of the datagram */
    pw_ethernet(&p, 0x0800);
    memcpy(p.at + p.size, "trailer", 7);
    p.size += 7;
    d = decoding_open(NULL);
    decode(d, &p, SG_LINK_ETHERNET);
    assert_int_equal(d->item[0].length, strlen(OPTIONS));
    decoding_close(d);
}

static void refuses_wrong_udp_lengths(void **state)
{
    (void)state;
    const unsigned lengths[] = {0, 1, 7, 65535, (unsigned)strlen(OPTIONS) + 9};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        udp_in_ip4(OPTIONS);
        pw_put16(p.at + 24, lengths[i]);
        ONE(SG_LINK_RAW, 0, UDP_MALFORMED, 1);
    }
    udp_in_ip4(OPTIONS);
    pw_put16(p.at + 24, 8);
    ONE(SG_LINK_RAW, 0, UDP_EMPTY, 1);
    udp_in_ip4(OPTIONS);
    pw_put16(p.at + 24, 8 + 4);
    ONE(SG_LINK_RAW, 0, KEEP_ALIVES, 1);
    udp_in_ip4(OPTIONS "some bytes more"); /* a shorter UDP length counts */
    pw_put16(p.at + 24, 8 + strlen(OPTIONS));
    decoding *d = decoding_open(NULL);
    decode(d, &p, SG_LINK_RAW);
    assert_int_equal(d->item[0].length, strlen(OPTIONS));
    decoding_close(d);
}

static void uses_what_a_short_capture_has(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    udp_in_ip4(OPTIONS);
    decode_bytes(d, p.at, p.size - 4, p.size, SG_LINK_RAW);
    assert_int_equal(d->messages, 1);
    assert_true(d->item[0].truncated);
    assert_int_equal(d->item[0].length, strlen(OPTIONS) - 4);
    assert_int_equal(COUNTED(d, MESSAGES_TRUNCATED), 1);
    decoding_close(d);
}

static void passes_over_ip6_extensions(void **state)
{
    (void)state;
    udp_in_ip6(OPTIONS);
    pw_extension(&p, 17, 1);
    pw_extension(&p, 60, 3);
    memcpy(pw_push(&p, 16), "\x3c\x02", 2); /* authentication header: units of four bytes, less two */
    pw_extension(&p, 51, 2);
    pw_ip6(&p, "2001:db8::1", "2001:db8::2", 0);
    decoding *d = decoding_open(NULL);
    decode(d, &p, SG_LINK_RAW);
    assert_int_equal(d->messages, 1);
    assert_int_equal(d->item[0].flow.source.family, 6);
    assert_memory_equal(d->item[0].flow.destination.address, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2", 16);
    decoding_close(d);

    udp_in_ip6(OPTIONS); /* as many headers as fit: the walk ends */
    for (int i = 0; i < 200; i++)
        pw_extension(&p, i ? 60 : 17, 1);
    pw_ip6(&p, "::1", "::2", 60);
    ONE(SG_LINK_RAW, 0, TOO_NESTED, 1);
    udp_in_ip6(OPTIONS); /* longer than the packet */
    pw_extension(&p, 17, 1);
    p.at[1] = 255;
    pw_ip6(&p, "::1", "::2", 60);
    ONE(SG_LINK_RAW, 0, IP_MALFORMED, 1);
    pw_payload(&p, "\x11\0\0\0\0\0\0", 7); /* ends within an extension */
    pw_ip6(&p, "::1", "::2", 60);
    ONE(SG_LINK_RAW, 0, IP_MALFORMED, 1);
    pw_text(&p, OPTIONS);
    pw_ip6(&p, "::1", "::2", 59);
    ONE(SG_LINK_RAW, 0, NOT_UDP_TCP, 1);
    udp_in_ip6(OPTIONS);
    pw_ip6(&p, "::1", "::2", 17);
    pw_put16(p.at + 4, 0); /* a jumbogram, or wrong */
    ONE(SG_LINK_RAW, 0, UDP_MALFORMED, 1);
}

static void follows_tunnels(void **state)
{
    (void)state;
    udp_in_ip4(OPTIONS);
    pw_ip4(&p, "192.0.2.1", "192.0.2.2", 4);
    decoding *d = decoding_open(NULL);
    decode(d, &p, SG_LINK_RAW);
    assert_int_equal(d->messages, 1);
    assert_int_equal(d->item[0].flow.source.address[0], 10); /* the inner address */
    decoding_close(d);
    udp_in_ip4(OPTIONS);
    pw_ip6(&p, "::1", "::2", 4);
    ONE(SG_LINK_RAW, 1, NOT_IP, 0);
    udp_in_ip6(OPTIONS);
    pw_ip6(&p, "::1", "::2", 17);
    pw_ip4(&p, A, B, 41);
    ONE(SG_LINK_RAW, 1, NOT_IP, 0);
    udp_in_ip4(OPTIONS);
    memcpy(pw_push(&p, 4), "\0\0\x08\0", 4);
    pw_ip4(&p, A, B, 47);
    ONE(SG_LINK_RAW, 1, NOT_IP, 0);
    udp_in_ip4(OPTIONS); /* GRE with checksum, key and sequence, Ethernet inside */
    pw_ethernet(&p, 0x0800);
    memcpy(pw_push(&p, 16), "\xb0\0\x65\x58", 4);
    pw_ip4(&p, A, B, 47);
    ONE(SG_LINK_RAW, 1, NOT_IP, 0);
    p.at[20 + 1] = 1; /* PPTP */
    ONE(SG_LINK_RAW, 0, NOT_UDP_TCP, 1);
    udp_in_ip4(OPTIONS);
    for (int i = 0; i < 100; i++)
        pw_ip4(&p, A, B, 4);
    ONE(SG_LINK_RAW, 0, TOO_NESTED, 1);
    udp_in_ip4(OPTIONS);
    for (int i = 0; i < 60; i++) { /* GTP in GTP in ... */
        memcpy(pw_push(&p, 8), "\x30\xff\0\0\0\0\0\1", 8);
        pw_put16(p.at + 2, p.size - 8);
        pw_udp(&p, 2152, 2152);
        pw_ip4(&p, A, B, 17);
    }
    ONE(SG_LINK_RAW, 0, TOO_NESTED, 1);
}

static void leaves_out_what_is_not_sip(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size; /* 0: of the text */
    } other[] = {
        {"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n", 0}, /* SSDP */
        {"hello", 0},
        {"\x80\x08\x12\x34\x00\x00\x00\xa0\xde\xad\xbe\xef\xd5\xd5\xd5", 15}, /* RTP */
        {"\x00\x01\x00\x00\x21\x12\xa4\x42\x01\x02\x03\x04\x05\x06", 14},     /* STUN */
        {"INVITE sip:a@b SIP/3.0\r\n\r\n", 0},
        {"INVITE sip:a@b\r\n\r\n", 0},
        {"SIP/2.0\r\n", 0},
        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11}, /* DTLS, more or less */
        {"GET / HTTP/1.1\r\nSIP/2.0 200 OK\r\n", 0},
        {"\x01\x02\x03\x04INVITE sip:a@b SIP/2.0\r\n\r\n", 0},
    };
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        pw_payload(&p, other[i].text, other[i].size ? other[i].size : strlen(other[i].text));
        pw_udp(&p, 5060, 5060);
        pw_ip4(&p, A, B, 17);
        ONE(SG_LINK_RAW, 0, UDP_NOT_SIP, 1);
    }
    static const char *const alive[] = {"\r\n", "\r\n\r\n", "jaK", "\n", "\r\n\r\n\r\n\r\n"};
    for (size_t i = 0; i < sizeof alive / sizeof *alive; i++) {
        udp_in_ip4(alive[i]);
        ONE(SG_LINK_RAW, 0, KEEP_ALIVES, 1);
    }
    pw_payload(&p, "\0\0\0\0", 4);
    pw_udp(&p, 5060, 5060);
    pw_ip4(&p, A, B, 17);
    ONE(SG_LINK_RAW, 0, KEEP_ALIVES, 1);
    udp_in_ip4(OPTIONS); /* quoted by ICMP */
    memcpy(pw_push(&p, 8), "\x03\x03", 2);
    pw_ip4(&p, B, A, 1);
    ONE(SG_LINK_RAW, 0, ICMP, 1);
    udp_in_ip6(OPTIONS);
    pw_ip6(&p, "::1", "::2", 17);
    pw_push(&p, 8)[0] = 1;
    pw_ip6(&p, "::2", "::1", 58);
    ONE(SG_LINK_RAW, 0, ICMP, 1);
}

static void finds_sip_in_odd_dress(void **state)
{
    (void)state;
    static const char *const texts[] = {"INVITE sip:a@b SIP/2.0",
                                        "SIP/2.0 200",
                                        "\r\n\r\nSIP/2.0 200 OK\r\n\r\n",
                                        "invite sip:a@b SIP/2.0\n\n",
                                        "SIP/2.0  180  Ringing\r\n\r\n",
                                        "!interesting-Method0123456789_*+`.%indeed'~ sip:a SIP/2.0\r\n\r\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        udp_in_ip4(texts[i]);
        ONE(SG_LINK_RAW, 1, UDP_NOT_SIP, 0);
    }
    udp_in_ip4(OPTIONS); /* relayed by TURN, padded to four bytes */
    size_t size = strlen(OPTIONS);
    char channel[256] = "\x40\x01";
    pw_put16((uint8_t *)channel + 2, size);
    memcpy(channel + 4, OPTIONS, size);
    pw_payload(&p, channel, 4 + (size + 3) / 4 * 4);
    pw_udp(&p, 3478, 40000);
    pw_ip4(&p, A, B, 17);
    ONE(SG_LINK_RAW, 1, UDP_NOT_SIP, 0);
    /* One message a datagram. */
    udp_in_ip4(OPTIONS OPTIONS);
    ONE(SG_LINK_RAW, 1, UDP_NOT_SIP, 0);
}

static void drops_copies_on_request(void **state)
{
    (void)state;
    sg_capture_options options;
    sg_capture_defaults(&options);
    options.duplicate_window_us = 10000;
    decoding *d = decoding_open(&options);
    udp_in_ip4(OPTIONS);
    decode(d, &p, SG_LINK_RAW);
    d->time_us += 9000;
    pw_ethernet(&p, 0x0800); /* another link, another time to live: the same datagram */
    p.at[14 + 8]--;
    decode(d, &p, SG_LINK_ETHERNET);
    assert_int_equal(d->messages, 1);
    assert_int_equal(COUNTED(d, DUPLICATES), 1);
    p.at[14 + 5]++; /* another identification: sent again */
    decode(d, &p, SG_LINK_ETHERNET);
    assert_int_equal(d->messages, 2);
    d->time_us += 11000; /* a retransmission */
    decode(d, &p, SG_LINK_ETHERNET);
    assert_int_equal(d->messages, 3);
    d->time_us -= 500000; /* time may run backwards */
    decode(d, &p, SG_LINK_ETHERNET);
    assert_int_equal(d->messages, 4);
    decoding_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_datagram),
        cmocka_unit_test(reads_every_link),
        cmocka_unit_test(reads_tags_and_pppoe),
        cmocka_unit_test(reads_no_byte_beyond_the_packet),
        cmocka_unit_test(refuses_wrong_ip4_headers),
        cmocka_unit_test(refuses_wrong_udp_lengths),
        cmocka_unit_test(uses_what_a_short_capture_has),
        cmocka_unit_test(passes_over_ip6_extensions),
        cmocka_unit_test(follows_tunnels),
        cmocka_unit_test(leaves_out_what_is_not_sip),
        cmocka_unit_test(finds_sip_in_odd_dress),
        cmocka_unit_test(drops_copies_on_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
