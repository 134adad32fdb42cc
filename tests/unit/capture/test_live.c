#include "capture/capture.h"
#include "testing.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

static sg_status open_live(sg_capture **capture, const char *interface, const char *filter)
{
    sg_capture_options options;
    sg_capture_defaults(&options);
    options.interface = interface;
    options.filter = filter;
    options.buffer_mib = 2;
    return sg_capture_open(capture, &options);
}

static void says_why_it_cannot_capture(void **state)
{
    (void)state;
    sg_capture *capture;
    sg_status status = open_live(&capture, "no-such-if", NULL);
    assert_int_equal(status, SG_E_IO); /* with or without the right to capture */
    if (!strstr(sg_error_text(), "no permission"))
        assert_non_null(strstr(sg_error_text(), "no interface 'no-such-if'"));
    if (open_live(&capture, "lo", NULL) != SG_OK) {
        print_message("cannot capture here: %s\n", sg_error_text());
        skip();
    }
    sg_capture_close(capture);
    assert_fails(SG_E_USAGE, "bad filter 'port sip and'", open_live(&capture, "lo", "port sip and"));
}

/* Two messages over the loopback, one of which the filter leaves out. */
static void captures_the_loopback(void **state)
{
    (void)state;
    static const char *const text[] = {"BYE sip:a SIP/2.0\r\n\r\n", "OPTIONS sip:a SIP/2.0\r\n\r\n"};
    sg_capture *capture;
    sg_capture_event event;
    sg_capture_item item;
    if (open_live(&capture, "lo", "udp port 45061") != SG_OK) {
        print_message("cannot capture here: %s\n", sg_error_text());
        skip();
    }
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)(45060 + i)),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        sendto(fd, text[i], strlen(text[i]), 0, (struct sockaddr *)&to, sizeof to);
    }
    assert_ok(sg_capture_next(capture, 2000, &event, &item));
    assert_int_equal(event, SG_CAPTURE_MESSAGE);
    assert_int_equal(item.length, strlen(text[1]));
    assert_memory_equal(item.data, text[1], item.length);
    assert_int_equal(item.flow.destination.port, 45061);
    assert_int_equal(item.frame_captured, item.frame_length);
    assert_true(item.frame_whole);
    assert_ok(sg_capture_next(capture, 20, &event, &item));
    assert_int_equal(event, SG_CAPTURE_TIME_OUT);
    sg_counts counts;
    sg_capture_counts(capture, &counts);
    assert_int_equal(counts.count[SG_COUNT_MESSAGES], 1);
    close(fd);
    sg_capture_close(capture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_why_it_cannot_capture),
        cmocka_unit_test(captures_the_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
