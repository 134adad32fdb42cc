#include "decoding.h"

#define A "10.0.0.1"
#define B "10.0.0.2"

static pw_packet p;

static void make_segment(uint32_t sequence, unsigned flags, const void *data, size_t size)
{
    pw_payload(&p, data, size);
    pw_tcp(&p, 40000, 5060, sequence, flags);
    pw_ip4(&p, A, B, 6);
}

static void send_bytes(decoding *d, uint32_t sequence, unsigned flags, const void *data, size_t size)
{
    make_segment(sequence, flags, data, size);
    decode(d, &p, SG_LINK_RAW);
}

static void send_text(decoding *d, uint32_t sequence, const char *text)
{
    send_bytes(d, sequence, PW_ACK, text, strlen(text));
}

static void send_syn(decoding *d, uint32_t sequence)
{
    send_bytes(d, sequence, PW_SYN, "", 0);
}

/* A message with a body of `size` bytes; its Call-ID is `id`. */
static const char *message(int id, size_t size)
{
    static char texts[8][20000];
    static int turn;
    char *text = texts[turn++ % 8];
    int head = snprintf(text, 1000, "MESSAGE sip:a@b SIP/2.0\r\nCall-ID: %d\r\nContent-Length: %zu\r\n\r\n",
                        id, size);
    memset(text + head, 'b', size);
    text[(size_t)head + size] = '\0';
    return text;
}

/* The messages so far have these Call-IDs, in order. */
static void assert_ids(const decoding *d, const char *wanted)
{
    char got[512] = "";
    for (int i = 0; i < d->messages && i < KEPT; i++) {
        const char *at = strstr(d->text[i], "Call-ID: ");
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%d", i ? " " : "", at ? atoi(at + 9) : -1);
    }
    if (strcmp(got, wanted) != 0) {
        print_counts(d);
        fail_msg("messages '%s', wanted '%s'", got, wanted);
    }
}

static void frames_by_content_length(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    char all[4000] = "";
    send_syn(d, 1000);
    for (int i = 1; i <= 3; i++)
        strcat(all, message(i, (size_t)i * 100));
    size_t size = strlen(all), at = 0;
    for (size_t step = 50; at < size; at += step) /* over many segments */
        send_bytes(d, 1001 + (uint32_t)at, PW_ACK, all + at, size - at < step ? size - at : step);
    assert_ids(d, "1 2 3");
    assert_int_equal(d->item[0].flow.transport, SG_TRANSPORT_TCP);
    assert_int_equal(d->item[0].flow.source.port, 40000);
    assert_int_equal(d->item[2].length, strlen(message(3, 300)));
    assert_false(d->item[2].frame_whole);
    send_text(d, 1001 + (uint32_t)size, all); /* all in one segment */
    assert_ids(d, "1 2 3 1 2 3");
    send_text(d, 1001 + 2 * (uint32_t)size, message(4, 0));
    assert_true(d->item[6].frame_whole);
    assert_int_equal(COUNTED(d, TCP_REPEATED) + COUNTED(d, TCP_REORDERED) + COUNTED(d, TCP_SKIPPED_BYTES), 0);
    decoding_close(d);
}

static void takes_twenty_messages_a_segment(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    char all[8000] = "", wanted[200] = "";
    for (int i = 1; i <= 20; i++) {
        strcat(all, message(i, 10));
        sprintf(wanted + strlen(wanted), "%s%d", i > 1 ? " " : "", i);
    }
    send_text(d, 77, all);
    assert_ids(d, wanted);
    decoding_close(d);
}

static void takes_single_bytes(void **state)
{
    (void)state;
    for (int syn = 0; syn < 2; syn++) {
        decoding *d = decoding_open(NULL);
        char all[1000] = "";
        strcat(all, message(1, 20));
        strcat(all, "\r\n\r\n");
        strcat(all, message(2, 0));
        if (syn)
            send_syn(d, 0xfffffff0); /* the sequence wraps */
        for (size_t i = 0; all[i]; i++)
            send_bytes(d, 0xfffffff1 + (uint32_t)i, PW_ACK, all + i, 1);
        assert_ids(d, "1 2");
        decoding_close(d);
    }
}

static void orders_segments(void **state)
{
    (void)state;
    static const int orders[][4] = {{3, 2, 1, 0}, {1, 0, 3, 2}, {0, 3, 1, 2}, {2, 3, 0, 1}};
    char all[1000] = "";
    strcat(all, message(1, 100));
    strcat(all, message(2, 100));
    size_t size = strlen(all), piece = (size + 3) / 4;
    for (int o = 0; o < 4; o++) {
        decoding *d = decoding_open(NULL);
        send_syn(d, 0xffffff80);
        for (int i = 0; i < 4; i++) {
            size_t from = (size_t)orders[o][i] * piece, to = from + piece < size ? from + piece : size;
            send_bytes(d, 0xffffff81 + (uint32_t)from, PW_ACK, all + from, to - from);
        }
        assert_ids(d, "1 2");
        assert_true(COUNTED(d, TCP_REORDERED) > 0);
        assert_int_equal(COUNTED(d, TCP_GAPS), 0);
        decoding_close(d);
    }
}

static void leaves_out_repeated_segments(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    const char *one = message(1, 50), *two = message(2, 50);
    uint32_t n = (uint32_t)strlen(one);
    send_syn(d, 9);
    send_text(d, 10, one);
    send_text(d, 10, one);
    send_syn(d, 9); /* a repeated SYN */
    send_text(d, 10, one);
    send_bytes(d, 10 + n - 1, PW_ACK, "\0", 1); /* TCP keep-alive */
    send_text(d, 10 + n, two);
    assert_ids(d, "1 2");
    assert_int_equal(COUNTED(d, TCP_REPEATED), 3);
    send_bytes(d, 10 + 2 * n, PW_FIN | PW_ACK, "", 0);
    send_text(d, 10 + n, two); /* after the end, and still known */
    assert_ids(d, "1 2");
    send_syn(d, 5000); /* the same ports, another connection */
    send_text(d, 5001, message(3, 0));
    assert_ids(d, "1 2 3");
    decoding_close(d);
}

/* Of bytes that come twice, the first stay. */
static void first_bytes_win(void **state)
{
    (void)state;
    const char *text = message(1, 40), *other = message(9, 40);
    uint32_t n = (uint32_t)strlen(text);
    decoding *d = decoding_open(NULL);
    send_syn(d, 0);
    send_bytes(d, 1, PW_ACK, text, 50);
    send_text(d, 1, other); /* repeats with another Call-ID, and goes on */
    assert_ids(d, "1");
    decoding_close(d);
    /* An early segment was captured first, though bytes before it come later. */
    d = decoding_open(NULL);
    send_syn(d, 0);
    send_bytes(d, 1 + 25, PW_ACK, text + 25, 30);
    send_text(d, 1, other);
    assert_ids(d, "1");
    assert_int_equal(COUNTED(d, TCP_REORDERED), 1);
    decoding_close(d);
    /* Early segments that overlap each other on both sides. */
    d = decoding_open(NULL);
    send_syn(d, 0);
    send_bytes(d, 1 + 30, PW_ACK, text + 30, 10);
    send_bytes(d, 1 + 50, PW_ACK, text + 50, 10);
    send_bytes(d, 1 + 20, PW_ACK, text + 20, n - 20);
    send_bytes(d, 1 + 10, PW_ACK, text + 10, n - 10);
    send_bytes(d, 1, PW_ACK, text, 10);
    assert_ids(d, "1");
    decoding_close(d);
}

static void takes_data_on_syn(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    const char *text = message(1, 30);
    send_bytes(d, 100, PW_SYN, text, 40);
    send_text(d, 101 + 40, text + 40);
    assert_ids(d, "1");
    decoding_close(d);
}

static void begins_in_the_middle(void **state)
{
    (void)state;
    char text[2000];
    decoding *d = decoding_open(NULL);
    send_text(d, 500, message(2, 30)); /* at a message */
    assert_ids(d, "2");
    decoding_close(d);
    d = decoding_open(NULL); /* in the middle of one, the next begins in the segment */
    snprintf(text, sizeof text, "s of the body\r\n%s%.20s", message(3, 30), message(4, 0));
    send_text(d, 500, text);
    send_text(d, 500 + (uint32_t)strlen(text), message(4, 0) + 20);
    assert_ids(d, "3 4");
    assert_int_equal(COUNTED(d, TCP_SKIPPED_BYTES), 15);
    decoding_close(d);
    d = decoding_open(NULL); /* in the middle of one, the next begins in another segment */
    send_text(d, 500, "Via: SIP/2.0/TCP a\r\nCSeq: 1 BYE\r\n\r\n");
    send_text(d, 536, message(5, 0));
    assert_ids(d, "5");
    assert_int_equal(COUNTED(d, TCP_NOT_SIP), 1);
    decoding_close(d);
}

static void gives_up_gaps(void **state)
{
    (void)state;
    const char *one = message(1, 100), *two = message(2, 100), *three = message(3, 10);
    uint32_t n = (uint32_t)strlen(one);
    for (int how = 0; how < 4; how++) {
        decoding *d = decoding_open(NULL);
        send_syn(d, 0);
        send_bytes(d, 1, PW_ACK, one, 60); /* the rest is lost */
        send_bytes(d, 1 + n, PW_ACK, two + 0, 30);
        send_bytes(d, 1 + n + 30, PW_ACK, two + 30, n - 30);
        assert_ids(d, "");
        if (how == 0) { /* another packet, four seconds later */
            d->time_us += 4000000;
            send_text(d, 1 + 2 * n, three);
            assert_ids(d, "2 3");
        } else if (how == 1) { /* nothing comes any more */
            sg_decoder_idle(d->decoder, d->time_us + 2000000);
            take_messages(d);
            assert_ids(d, "");
            sg_decoder_idle(d->decoder, d->time_us + 4000000);
            take_messages(d);
            assert_ids(d, "2");
            assert_null(d->item[0].frame);
            assert_int_equal(d->item[0].flow.time_us, d->time_us);
        } else if (how == 2) { /* the end of the file */
            sg_decoder_finish(d->decoder);
            take_messages(d);
            assert_ids(d, "2");
        } else { /* the connection is reset */
            send_bytes(d, 1 + 2 * n, PW_RST, "", 0);
            assert_ids(d, "2");
        }
        assert_int_equal(COUNTED(d, TCP_GAPS), 1);
        assert_int_equal(COUNTED(d, TCP_LOST_BYTES), n - 60);
        assert_int_equal(COUNTED(d, TCP_INCOMPLETE), 1);
        decoding_close(d);
    }
}

static void resynchronises_within_a_segment(void **state)
{
    (void)state;
    char text[2000];
    const char *one = message(1, 200);
    decoding *d = decoding_open(NULL);
    send_syn(d, 0);
    send_bytes(d, 1, PW_ACK, one, 100);
    snprintf(text, sizeof text, "a=rtpmap:0 PCMU/8000\r\n%s", message(2, 5));
    send_text(d, 1 + 150, text);
    sg_decoder_finish(d->decoder);
    take_messages(d);
    assert_ids(d, "2");
    assert_int_equal(COUNTED(d, TCP_SKIPPED_BYTES), 100 + 22);
    decoding_close(d);
}

static void counts_keep_alives_and_unfinished_messages(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    send_syn(d, 0);
    static const char unfinished[] = "\r\n\r\nOPTIONS sip:a@b SIP/2.0\r\n";
    uint32_t n = (uint32_t)strlen(message(1, 0));
    send_text(d, 1, "\r\n\r\n");
    send_text(d, 5, message(1, 0));
    send_text(d, 5 + n, unfinished);
    send_bytes(d, 5 + n + (uint32_t)strlen(unfinished), PW_FIN | PW_ACK, "", 0);
    assert_ids(d, "1");
    assert_int_equal(COUNTED(d, KEEP_ALIVES), 2);
    assert_int_equal(COUNTED(d, TCP_INCOMPLETE), 1);
    decoding_close(d);
}

static void passes_over_other_protocols(void **state)
{
    (void)state;
    static const char *const other[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                                        "HTTP/1.1 200 OK\r\n\r\nbody\r\n",
                                        "\x16\x03\x01\x02\x01\x01\x01\xfc\n\x03", "SSH-2.0-OpenSSH_9.2\r\n",
                                        "INVITE sip:a@b SIP/3.0\r\n\r\n"};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        for (int syn = 0; syn < 2; syn++) {
            decoding *d = decoding_open(NULL);
            if (syn)
                send_syn(d, 0);
            send_text(d, 1, other[i]);
            assert_ids(d, "");
            assert_true(COUNTED(d, TCP_NOT_SIP) == 1);
            send_text(d, 1 + (uint32_t)strlen(other[i]), message(1, 0)); /* and if SIP follows, it is found */
            assert_ids(d, "1");
            decoding_close(d);
        }
}

/* A long stream of something else is not followed, nor kept. */
static void forgets_other_traffic(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    sg_capture_gauges gauges;
    char noise[1460];
    memset(noise, 'A', sizeof noise);
    send_syn(d, 0);
    for (uint32_t i = 0; i < 200; i++)
        send_bytes(d, 1 + i * 1460, PW_ACK, noise, sizeof noise);
    sg_decoder_gauges(d->decoder, &gauges);
    assert_true(gauges.tcp_bytes <= 16384);
    assert_true(gauges.tcp_streams <= 1);
    assert_int_equal(d->messages, 0);
    decoding_close(d);
}

static void reads_every_content_length(void **state)
{
    (void)state;
    static const struct {
        const char *header, *ids;
    } cases[] = {
        {"", "1 2"},
        {"Content-Length: 0\r\n", "1 2"},
        {"Content-Length: -1\r\n", "1 2"},
        {"Content-Length: 4294967296\r\n", "2"},
        {"Content-Length: 100000000000000\r\n", "2"},
        {"Content-Length: 99999999999999999999999999\r\n", "2"},
        {"Content-Length: 0\r\nContent-Length: 9\r\n", "1 2"},
        {"l: 0\r\n", "1 2"},
        {"L : 0\r\n", "1 2"},
        {"Content-Length:\r\n 0\r\n", "1 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        decoding *d = decoding_open(NULL);
        char text[500];
        snprintf(text, sizeof text, "BYE sip:a@b SIP/2.0\r\nCall-ID: 1\r\n%s\r\n%s", cases[i].header,
                 message(2, 0));
        send_syn(d, 0);
        send_text(d, 1, text);
        assert_ids(d, cases[i].ids);
        decoding_close(d);
    }
}

static void refuses_wrong_headers(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    for (unsigned offset = 0; offset < 16; offset++) {
        make_segment(1, PW_ACK, "x", 1);
        p.at[20 + 12] = (uint8_t)(offset << 4);
        decode(d, &p, SG_LINK_RAW);
    }
    assert_int_equal(COUNTED(d, TCP_MALFORMED), 15);
    make_segment(1, PW_ACK, "", 0);
    p.size -= 1;
    pw_put16(p.at + 2, p.size);
    decode(d, &p, SG_LINK_RAW);
    assert_int_equal(COUNTED(d, TCP_MALFORMED), 16);
    decoding_close(d);
}

/* What the capture cut off is a gap. */
static void a_short_capture_is_a_gap(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    const char *one = message(1, 500);
    send_syn(d, 0);
    make_segment(1, PW_ACK, one, strlen(one));
    decode_bytes(d, p.at, 200, p.size, SG_LINK_RAW);
    send_text(d, 1 + (uint32_t)strlen(one), message(2, 0));
    sg_decoder_finish(d->decoder);
    take_messages(d);
    assert_ids(d, "2");
    assert_int_equal(COUNTED(d, IP_TRUNCATED), 1);
    assert_int_equal(COUNTED(d, TCP_GAPS), 1);
    decoding_close(d);
}

static void takes_long_messages_up_to_a_limit(void **state)
{
    (void)state;
    enum { BODY = 100000 };
    decoding *d = decoding_open(NULL);
    char *body = calloc(1, BODY), head[100];
    memset(body, 'x', BODY);
    send_syn(d, 0);
    snprintf(head, sizeof head, "MESSAGE sip:a@b SIP/2.0\r\nCall-ID: 1\r\nContent-Length: %d\r\n\r\n", BODY);
    uint32_t at = 1;
    send_text(d, at, head);
    at += (uint32_t)strlen(head);
    for (uint32_t sent = 0; sent < BODY; sent += 1000)
        send_bytes(d, at + sent, PW_ACK, body + sent, 1000);
    assert_ids(d, "1");
    at += BODY;
    snprintf(head, sizeof head, "MESSAGE sip:a@b SIP/2.0\r\nX: ");
    send_text(d, at, head); /* a header without end */
    at += (uint32_t)strlen(head);
    for (int i = 0; i < 300; i++, at += 1000)
        send_bytes(d, at, PW_ACK, body, 1000);
    send_text(d, at, "\r\n");
    send_text(d, at + 2, message(2, 0));
    assert_ids(d, "1 2");
    assert_int_equal(COUNTED(d, TCP_OVERSIZE), 1);
    free(body);
    decoding_close(d);
}

static void takes_hep_over_tcp(void **state)
{
    (void)state;
    decoding *d = decoding_open(NULL);
    static pw_packet hep;
    pw_hep(&hep);
    pw_hep_chunk(&hep, 0, 15, OPTIONS, strlen(OPTIONS));
    uint8_t twice[1000];
    memcpy(twice, hep.at, hep.size);
    memcpy(twice + hep.size, hep.at, hep.size);
    send_syn(d, 0);
    for (size_t i = 0; i < 2 * hep.size; i++)
        send_bytes(d, 1 + (uint32_t)i, PW_ACK, twice + i, 1);
    send_bytes(d, 1 + 2 * (uint32_t)hep.size, PW_ACK, twice, 2 * hep.size);
    assert_int_equal(d->messages, 4);
    assert_true(d->item[0].hep);
    assert_int_equal(d->item[0].flow.destination.port, 5070);
    assert_int_equal(d->item[0].flow.time_us, 1700000000250000);
    decoding_close(d);
}

/* 10^5 half-open connections, then one that speaks. */
static void half_open_streams_stay_bounded(void **state)
{
    (void)state;
    sg_capture_options options;
    sg_capture_gauges gauges;
    sg_capture_defaults(&options);
    options.tcp_streams_max = 1000;
    decoding *d = decoding_open(&options);
    send_syn(d, 0);
    send_bytes(d, 1, PW_ACK, message(1, 10), 60);
    send_text(d, 61, message(1, 10) + 60); /* this one has proved itself, and stays */
    send_bytes(d, 1 + (uint32_t)strlen(message(1, 10)), PW_ACK, message(2, 10), 60);
    make_segment(7, PW_SYN, "", 0);
    sg_packet one = {
        .data = p.at, .captured = (uint32_t)p.size, .length = (uint32_t)p.size, .link = SG_LINK_RAW};
    one.time_us = d->time_us;
    for (uint32_t i = 1; i <= 100000; i++) {
        pw_put32(p.at + 12, 0x0b000000 + i);
        sg_decoder_packet(d->decoder, &one);
        take_messages(d);
    }
    sg_decoder_gauges(d->decoder, &gauges);
    assert_int_equal(gauges.tcp_streams, 1000);
    assert_int_equal(COUNTED(d, TCP_EVICTED), 100000 - 999);
    send_text(d, 1 + (uint32_t)strlen(message(1, 10)) + 60, message(2, 10) + 60);
    assert_ids(d, "1 2");
    decoding_close(d);
}

/* Segments that leave a gap before them, on many connections: the bytes held stay bounded. */
static void held_bytes_stay_bounded(void **state)
{
    (void)state;
    sg_capture_options options;
    sg_capture_gauges gauges;
    sg_capture_defaults(&options);
    options.message_max = 65536;
    options.tcp_bytes_max = 1 << 20;
    decoding *d = decoding_open(&options);
    char noise[1000];
    memset(noise, 'x', sizeof noise);
    for (uint32_t i = 0; i < 2000; i++) {
        send_syn(d, 1000000 + i * 100000000);
        for (uint32_t k = 1; k <= 3; k++)
            send_bytes(d, 1000001 + i * 100000000 + k * 2000, PW_ACK, noise, sizeof noise);
        pw_packet *q = &p; /* the same bytes from other ports */
        for (uint16_t port = 0; port < 4; port++) {
            pw_put16(q->at + 20, 10000 + i * 4 + port);
            decode(d, q, SG_LINK_RAW);
            q->at[20 + 13] = PW_SYN;
        }
        sg_decoder_gauges(d->decoder, &gauges);
        assert_true(gauges.tcp_bytes <= 1 << 20);
    }
    for (uint32_t k = 0; k < 3000; k++) /* and on one */
        send_bytes(d, 5 + k * 10, PW_ACK, k ? "zz" : "OPTIONS sip:", k ? 2 : 12);
    sg_decoder_gauges(d->decoder, &gauges);
    assert_true(gauges.tcp_bytes <= 1 << 20);
    decoding_close(d);
}

/* Random cuts, orders and repeats of one stream always give its messages: a seeded walk. */
static void any_order_gives_the_same_messages(void **state)
{
    (void)state;
    char all[4000] = "";
    for (int i = 1; i <= 8; i++)
        strcat(all, message(i, (size_t)i * 7));
    uint32_t size = (uint32_t)strlen(all), random = 12345;
    for (int round = 0; round < 200; round++) {
        decoding *d = decoding_open(NULL);
        uint32_t first = 0u - 700u * (uint32_t)round;
        bool have[4000] = {false};
        send_syn(d, first - 1);
        for (uint32_t missing = size; missing > 0;) {
            random = random * 1664525 + 1013904223;
            uint32_t from = (random >> 8) % size, count = 1 + (random >> 24);
            if (from + count > size)
                count = size - from;
            send_bytes(d, first + from, PW_ACK, all + from, count);
            for (uint32_t i = from; i < from + count; i++)
                missing -= !have[i], have[i] = true;
        }
        assert_ids(d, "1 2 3 4 5 6 7 8");
        decoding_close(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_by_content_length),
        cmocka_unit_test(takes_twenty_messages_a_segment),
        cmocka_unit_test(takes_single_bytes),
        cmocka_unit_test(orders_segments),
        cmocka_unit_test(leaves_out_repeated_segments),
        cmocka_unit_test(first_bytes_win),
        cmocka_unit_test(takes_data_on_syn),
        cmocka_unit_test(begins_in_the_middle),
        cmocka_unit_test(gives_up_gaps),
        cmocka_unit_test(resynchronises_within_a_segment),
        cmocka_unit_test(counts_keep_alives_and_unfinished_messages),
        cmocka_unit_test(passes_over_other_protocols),
        cmocka_unit_test(forgets_other_traffic),
        cmocka_unit_test(reads_every_content_length),
        cmocka_unit_test(refuses_wrong_headers),
        cmocka_unit_test(a_short_capture_is_a_gap),
        cmocka_unit_test(takes_long_messages_up_to_a_limit),
        cmocka_unit_test(takes_hep_over_tcp),
        cmocka_unit_test(half_open_streams_stay_bounded),
        cmocka_unit_test(held_bytes_stay_bounded),
        cmocka_unit_test(any_order_gives_the_same_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
