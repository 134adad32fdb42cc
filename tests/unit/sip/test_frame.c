#include "sip/frame.h"
#include "sip_case.h"

static sg_frame datagram(const char *text, size_t *length)
{
    return sg_sip_frame_datagram(text, strlen(text), length);
}

static void start_lines(void **state)
{
    (void)state;
    static const char *const good[] = {
        "INVITE sip:bob@host SIP/2.0\r\n\r\n",
        "INVITE sip:bob@host SIP/2.0\n\n",
        "INVITE  sip:bob@host  SIP/2.0  \r\n\r\n", /* RFC 4475, 3.1.1.8 has one like it */
        "INVITE sip:bob@host; lr SIP/2.0\r\n\r\n",
        "OPTIONS * SIP/2.0\r\n\r\n",
        "!interesting-Method0123456789_*+`.%indeed'~ sip:x SIP/2.0\r\n\r\n",
        "invite sip:bob@host sip/2.0\r\n\r\n",
        "INVITE sip:bob@host SIP/2.0", /* cut */
        "SIP/2.0 200 OK\r\n\r\n",
        "SIP/2.0  200 OK\r\n\r\n", /* RFC 3665, 3.9 has one like it */
        "SIP/2.0 200\r\n\r\n",
        "SIP/2.0 100 \n\n",
        "SIP/2.0 9999 Too much\r\n\r\n",
        "SIP/2.0 20 Too little\r\n\r\n",
    };
    static const char *const bad[] = {
        "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "hello",
        "hello\r\n",
        "INVITE sip:bob@host SIP/3.0\r\n\r\n",
        "SIP/3.0 200 OK\r\n\r\n",
        "SIP/2.0",
        "SIP/2.0 ",
        "SIP/2.0 OK\r\n",
        "SIP/2.0 2x0 OK\r\n",
        "SIP/2.0200 OK\r\n",
        "INVITE SIP/2.0\r\n\r\n",
        "INVITE  SIP/2.0\r\n\r\n",
        " INVITE sip:bob@host SIP/2.0\r\n\r\n",
        "INVITE sip:bob@hostSIP/2.0\r\n\r\n",
        "IN(VITE sip:bob@host SIP/2.0\r\n\r\n",
        "INVITE\tsip:bob@host\r\n SIP/2.0\r\n\r\n",
        "\x40\x01\x00\x20INVITE sip:bob@host SIP/2.0\r\n\r\n", /* ChannelData (RFC 5766, 11.4) */
        "\x16\x03\x01\x02",
        "\xff\xfe\xfd",
        "x",
    };
    size_t length;
    for (size_t n = 0; n < sizeof good / sizeof *good; n++) {
        if (datagram(good[n], &length) != SG_FRAME_COMPLETE)
            fail_msg("refused: %s", good[n]);
        assert_int_equal(length, strlen(good[n]));
    }
    for (size_t n = 0; n < sizeof bad / sizeof *bad; n++)
        if (datagram(bad[n], &length) != SG_FRAME_NOT_SIP)
            fail_msg("taken: %s", bad[n]);
    assert_int_equal(sg_sip_frame_datagram("", 0, &length), SG_FRAME_NOT_SIP);
    assert_int_equal(sg_sip_frame_stream("", 0, 100, 100, &length), SG_FRAME_INCOMPLETE);
}

static void methods_of_any_length(void **state)
{
    (void)state;
    char text[2048];
    size_t length;
    memset(text, 'M', 1024);
    strcpy(text + 1024, " sip:x SIP/2.0\r\n\r\n");
    assert_int_equal(datagram(text, &length), SG_FRAME_COMPLETE);
    assert_int_equal(sg_sip_frame_stream(text, strlen(text), 4096, 4096, &length), SG_FRAME_COMPLETE);
    assert_int_equal(sg_sip_frame_stream(text, strlen(text), 512, 4096, &length), SG_FRAME_NOT_SIP);
}

static void keep_alives(void **state)
{
    (void)state;
    size_t length;
    assert_int_equal(datagram("\r\n\r\n", &length), SG_FRAME_KEEP_ALIVE);
    assert_int_equal(length, 4);
    assert_int_equal(sg_sip_frame_datagram("\0\0\0\0", 4, &length), SG_FRAME_KEEP_ALIVE);
    assert_int_equal(length, 4);
    assert_int_equal(datagram("\r\nOPTIONS sip:x SIP/2.0\r\n\r\n", &length), SG_FRAME_KEEP_ALIVE);
    assert_int_equal(length, 2);
    assert_int_equal(sg_sip_frame_stream("\r\n", 2, 100, 100, &length), SG_FRAME_KEEP_ALIVE);
    assert_int_equal(length, 2);
}

#define INVITE(headers) "INVITE sip:b@h SIP/2.0\r\nCall-ID: c\r\n" headers "\r\n"

static void assert_stream(const char *text, sg_frame want, size_t want_length)
{
    size_t length, size = strlen(text);
    sg_frame frame = sg_sip_frame_stream(text, size, 65536, 65536, &length);
    if (frame != want ||
        ((want == SG_FRAME_COMPLETE || want == SG_FRAME_INCOMPLETE) && length != want_length))
        fail_msg("frame %d of %zu instead of %d of %zu: %s", frame, length, want, want_length, text);
}

static void content_lengths(void **state)
{
    (void)state;
    const size_t bare = strlen(INVITE(""));
    assert_stream(INVITE(""), SG_FRAME_COMPLETE, bare);
    assert_stream(INVITE("") "rest", SG_FRAME_COMPLETE, bare);
    assert_stream(INVITE("Content-Length: 4\r\n") "body more", SG_FRAME_COMPLETE, bare + 19 + 4);
    assert_stream(INVITE("Content-Length: 4\r\n") "bod", SG_FRAME_INCOMPLETE, bare + 19 + 4);
    assert_stream(INVITE("l:4\r\n") "body", SG_FRAME_COMPLETE, bare + 5 + 4);
    assert_stream(INVITE("L : 4 \r\n") "body", SG_FRAME_COMPLETE, bare + 8 + 4);
    assert_stream(INVITE("content-LENGTH:\r\n 4\r\n") "body", SG_FRAME_COMPLETE, bare + 21 + 4);
    assert_stream(INVITE("Content-Length: 0\r\n") "x", SG_FRAME_COMPLETE, bare + 19);
    assert_stream(INVITE("Content-Length: -1\r\n") "x", SG_FRAME_COMPLETE, bare + 20);
    assert_stream(INVITE("Content-Length: many\r\n") "x", SG_FRAME_COMPLETE, bare + 22);
    assert_stream(INVITE("Content-Length: 4\r\nContent-Length: 9\r\n") "body", SG_FRAME_COMPLETE,
                  bare + 38 + 4);
    assert_stream(INVITE("Content-Length: 4294967296\r\n"), SG_FRAME_NOT_SIP, 0);
    assert_stream(INVITE("Content-Length: 4294967297\r\n"), SG_FRAME_NOT_SIP, 0);
    assert_stream(INVITE("Content-Length: 100000000000000\r\n"), SG_FRAME_NOT_SIP, 0);
    assert_stream(INVITE("Content-Length: 18446744073709551616\r\n"), SG_FRAME_NOT_SIP, 0);
    assert_stream(INVITE("Content-Length: 65537\r\n"), SG_FRAME_NOT_SIP, 0);
    size_t length;
    const char most[] = INVITE("Content-Length: 18446744073709551615\r\n");
    assert_int_equal(sg_sip_frame_stream(most, sizeof most - 1, SIZE_MAX, SIZE_MAX, &length),
                     SG_FRAME_NOT_SIP);
}

static void headers_end_in_any_way(void **state)
{
    (void)state;
    assert_stream("ACK sip:b SIP/2.0\n\nrest", SG_FRAME_COMPLETE, 19);
    assert_stream("ACK sip:b SIP/2.0\nA: b\n\r\nrest", SG_FRAME_COMPLETE, 25);
    /* A body may begin with a blank; nothing folds onto the empty line. */
    assert_stream("ACK sip:b SIP/2.0\r\nl: 2\r\n\r\n x", SG_FRAME_COMPLETE, 29);
    assert_stream("ACK sip:b SIP/2.0\r\nA: b\r\n \r\n\r\n", SG_FRAME_COMPLETE, 30);
    assert_stream("SIP/2.0 200 OK\r\n", SG_FRAME_INCOMPLETE, 17);
}

/* Every prefix of a message is the beginning of one, and more of it never shortens it. */
static void grows_byte_by_byte(void **state)
{
    (void)state;
    static const char text[] = INVITE("Via: x\r\n folded\r\nContent-Length: 5\r\n") "12345";
    guarded g = guarded_open(sizeof text);
    size_t length, size = sizeof text - 1;
    for (size_t n = 1; n < size; n++) {
        assert_int_equal(sg_sip_frame_stream(guarded_put(&g, text, n), n, 1000, 1000, &length),
                         SG_FRAME_INCOMPLETE);
        assert_true(length > n && length <= size);
    }
    assert_int_equal(sg_sip_frame_stream(guarded_put(&g, text, size), size, 1000, 1000, &length),
                     SG_FRAME_COMPLETE);
    assert_int_equal(length, size);
    guarded_close(&g);
}

static void twenty_in_a_row(void **state)
{
    (void)state;
    char text[4096] = "";
    size_t at = 0, length, count = 0;
    for (int n = 0; n < 20; n++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s%.*s", n % 3 ? "" : "\r\n\r\n",
                 n % 2 ? INVITE("l: 3\r\n") : INVITE(""), n % 2 ? 3 : 0, "sdp");
    while (at < strlen(text)) {
        sg_frame frame = sg_sip_frame_stream(text + at, strlen(text) - at, 1000, 1000, &length);
        assert_true(frame == SG_FRAME_COMPLETE || frame == SG_FRAME_KEEP_ALIVE);
        count += frame == SG_FRAME_COMPLETE;
        at += length;
    }
    assert_int_equal(count, 20);
}

static void finds_the_way_back(void **state)
{
    (void)state;
    static const char lost[] = "of a body\r\nm=audio 1\r\n\r\nINVITE sip:b SIP/2.0\r\n\r\n";
    assert_int_equal(sg_sip_frame_resync(lost, sizeof lost - 1), strstr(lost, "INVITE") - lost);
    assert_int_equal(sg_sip_frame_resync("junk", 4), 4);
    assert_int_equal(sg_sip_frame_resync("a\nb c\nd", 7), 6); /* perhaps the beginning of "dial sip:..." */
    assert_int_equal(sg_sip_frame_resync("", 0), 0);
    /* At least a byte each time, so that no loop stands still. */
    assert_int_equal(sg_sip_frame_resync("INVITE sip:b SIP/2.0\r\n", 22), 22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_lines),
        cmocka_unit_test(methods_of_any_length),
        cmocka_unit_test(keep_alives),
        cmocka_unit_test(content_lengths),
        cmocka_unit_test(headers_end_in_any_way),
        cmocka_unit_test(grows_byte_by_byte),
        cmocka_unit_test(twenty_in_a_row),
        cmocka_unit_test(finds_the_way_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
