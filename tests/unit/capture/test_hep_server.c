#include "capture/address.h"
#include "files.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

static pw_packet p;

static void make_hep(int id)
{
    char text[200];
    snprintf(text, sizeof text, "OPTIONS sip:a@b SIP/2.0\r\nCall-ID: %d\r\n\r\n", id);
    pw_hep(&p);
    pw_hep_chunk(&p, 0, 15, text, strlen(text));
}

/* A capture that listens on these addresses of the loopback. */
static sg_capture *listen_on(const char *const *addresses, sg_capture_options *options)
{
    sg_capture *capture;
    options->hep_listen = addresses;
    for (options->hep_count = 0; addresses[options->hep_count];)
        options->hep_count++;
    assert_ok(sg_capture_open(&capture, options));
    return capture;
}

static int connect_to(sg_capture *capture, size_t i, bool tcp, bool six)
{
    int fd = socket(six ? AF_INET6 : AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 long_one = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    four.sin_port = long_one.sin6_port = htons(sg_capture_hep_port(capture, i));
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, six ? (struct sockaddr *)&long_one : (struct sockaddr *)&four,
                             six ? sizeof long_one : sizeof four),
                     0);
    return fd;
}

static void send_all(int fd, const void *data, size_t size)
{
    assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

/* Takes what comes until nothing has come for 50 ms: "1 2 3". */
static const char *take(sg_capture *capture, char ids[1000])
{
    sg_capture_event event = SG_CAPTURE_MESSAGE;
    sg_capture_item item;
    ids[0] = '\0';
    for (;;) {
        assert_ok(sg_capture_next(capture, 50, &event, &item));
        if (event != SG_CAPTURE_MESSAGE)
            return ids;
        assert_true(item.hep);
        assert_null(item.frame);
        char text[200];
        snprintf(text, sizeof text, "%.*s", (int)item.length, item.data);
        const char *at = strstr(text, "Call-ID: ");
        snprintf(ids + strlen(ids), 1000 - strlen(ids), "%s%d", *ids ? " " : "", at ? atoi(at + 9) : -1);
    }
}

static uint64_t counted(sg_capture *capture, sg_count count)
{
    sg_counts counts;
    sg_capture_counts(capture, &counts);
    return counts.count[count];
}

static void takes_datagrams(void **state)
{
    (void)state;
    char ids[1000];
    sg_capture_options options;
    sg_capture_defaults(&options);
    sg_capture *capture = listen_on(FILES("udp:127.0.0.1:0"), &options);
    int fd = connect_to(capture, 0, false, false);
    assert_string_equal(take(capture, ids), "");
    for (int i = 1; i <= 5; i++) {
        make_hep(i);
        send_all(fd, p.at, p.size);
    }
    send_all(fd, "hello", 5);
    send_all(fd, "", 0);
    assert_string_equal(take(capture, ids), "1 2 3 4 5");
    assert_int_equal(counted(capture, SG_COUNT_HEP_NOT_HEP), 1);
    close(fd);
    sg_capture_close(capture);
}

static void takes_streams_cut_anywhere(void **state)
{
    (void)state;
    char ids[1000];
    sg_capture_options options;
    sg_capture_defaults(&options);
    sg_capture *capture = listen_on(FILES("tcp:127.0.0.1:0"), &options);
    int fd = connect_to(capture, 0, true, false), second = connect_to(capture, 0, true, false);
    make_hep(1);
    for (size_t cut = 1; cut < p.size; cut += 5) { /* split at each place */
        send_all(fd, p.at, cut);
        assert_string_equal(cut == 1 ? take(capture, ids) : "", "");
        send_all(second, p.at, p.size); /* another connection does not mix in */
        send_all(fd, p.at + cut, p.size - cut);
    }
    take(capture, ids);
    size_t count = (p.size + 3) / 5 * 2;
    assert_int_equal(strlen(ids), count * 2 - 1);
    for (int i = 2; i <= 4; i++) { /* several in one piece */
        make_hep(i);
        send(fd, p.at, p.size, MSG_MORE);
    }
    send_all(fd, p.at, 10);
    assert_string_equal(take(capture, ids), "2 3 4");
    sg_capture_gauges gauges;
    sg_capture_gauges_now(capture, &gauges);
    assert_int_equal(gauges.hep_clients, 2);
    close(fd); /* in the middle of a packet */
    assert_string_equal(take(capture, ids), "");
    assert_int_equal(counted(capture, SG_COUNT_HEP_TRUNCATED), 1);
    send_all(second, "GET / HTTP/1.1\r\n", 16);
    assert_string_equal(take(capture, ids), "");
    assert_int_equal(counted(capture, SG_COUNT_HEP_DESYNC), 1);
    sg_capture_gauges_now(capture, &gauges);
    assert_int_equal(gauges.hep_clients, 0);
    close(second);
    sg_capture_close(capture);
}

static void takes_the_longest_packet(void **state)
{
    (void)state;
    char ids[1000];
    sg_capture_options options;
    sg_capture_defaults(&options);
    sg_capture *capture = listen_on(FILES("tcp:127.0.0.1:0"), &options);
    int fd = connect_to(capture, 0, true, false);
    char *text = malloc(65536);
    memset(text, 'x', 65536);
    memcpy(text, "OPTIONS sip:a@b SIP/2.0\r\nCall-ID: 1\r\n\r\n", 39);
    pw_hep(&p);
    pw_hep_chunk(&p, 0, 15, text, 65535 - p.size - 6);
    assert_int_equal(p.size, 65535);
    for (int i = 0; i < 3; i++) {
        send_all(fd, p.at, p.size);
        assert_string_equal(take(capture, ids), "1");
    }
    free(text);
    close(fd);
    sg_capture_close(capture);
}

static void refuses_strangers(void **state)
{
    (void)state;
    char ids[1000];
    sg_capture_options options;
    sg_capture_defaults(&options);
    options.hep_allow = FILES("192.0.2.0/24", "2001:db8::/32");
    options.hep_allow_count = 2;
    sg_capture *capture = listen_on(FILES("udp:127.0.0.1:0", "tcp:127.0.0.1:0"), &options);
    int udp = connect_to(capture, 0, false, false), tcp = connect_to(capture, 1, true, false);
    make_hep(1);
    for (int i = 0; i < 100; i++)
        send_all(udp, p.at, p.size);
    assert_string_equal(take(capture, ids), "");
    assert_int_equal(counted(capture, SG_COUNT_HEP_REFUSED), 101);
    assert_int_equal(counted(capture, SG_COUNT_HEP_CLIENTS), 0);
    close(udp);
    close(tcp);
    sg_capture_close(capture);
    options.hep_allow = FILES("127.0.0.0/8");
    options.hep_allow_count = 1;
    options.hep_key = "myHep";
    capture = listen_on(FILES("udp:127.0.0.1:0"), &options);
    udp = connect_to(capture, 0, false, false);
    send_all(udp, p.at, p.size);
    make_hep(2);
    pw_hep_chunk(&p, 0, 14, "myHep", 5);
    send_all(udp, p.at, p.size);
    assert_string_equal(take(capture, ids), "2");
    assert_int_equal(counted(capture, SG_COUNT_HEP_WRONG_KEY), 1);
    close(udp);
    sg_capture_close(capture);
}

static void bounds_its_clients(void **state)
{
    (void)state;
    char ids[1000];
    int fd[6];
    sg_capture_options options;
    sg_capture_defaults(&options);
    options.hep_clients_max = 4;
    sg_capture *capture = listen_on(FILES("tcp:127.0.0.1:0"), &options);
    for (int i = 0; i < 6; i++) {
        fd[i] = connect_to(capture, 0, true, false);
        assert_string_equal(take(capture, ids), "");
    }
    assert_int_equal(counted(capture, SG_COUNT_HEP_CLIENTS), 6);
    assert_int_equal(counted(capture, SG_COUNT_HEP_CLIENTS_SHED), 2);
    make_hep(9); /* the newest still speak */
    send_all(fd[5], p.at, p.size);
    assert_string_equal(take(capture, ids), "9");
    for (int i = 0; i < 6; i++)
        close(fd[i]);
    sg_capture_close(capture);
}

static void listens_on_ip6(void **state)
{
    (void)state;
    char ids[1000];
    sg_capture *capture;
    sg_capture_options options;
    sg_capture_defaults(&options);
    options.hep_listen = FILES("udp:[::1]:0");
    options.hep_count = 1;
    options.hep_allow = FILES("::1");
    options.hep_allow_count = 1;
    if (sg_capture_open(&capture, &options) != SG_OK) {
        print_message("no IPv6 here: %s\n", sg_error_text());
        skip();
    }
    int fd = connect_to(capture, 0, false, true);
    make_hep(6);
    send_all(fd, p.at, p.size);
    assert_string_equal(take(capture, ids), "6");
    close(fd);
    sg_capture_close(capture);
}

static void says_why_it_cannot_listen(void **state)
{
    (void)state;
    sg_capture *first, *second;
    sg_capture_options options;
    sg_capture_defaults(&options);
    static const char *const wrong[] = {"127.0.0.1:9060",      "udp:127.0.0.1",
                                        "udp:127.0.0.1:",      "udp:127.0.0.1:65536",
                                        "udp:localhost:9060",  "sctp:1.2.3.4:5",
                                        "udp:::1:9060",        "udp:[127.0.0.1:9060",
                                        "udp:127.0.0.1:-1",    "",
                                        "udp:127.0.0.1: 9060", "udp:"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        options.hep_listen = &wrong[i];
        options.hep_count = 1;
        assert_fails(SG_E_USAGE, "is not an address to listen on", sg_capture_open(&first, &options));
    }
    static const char *const networks[] = {"",          "10.0.0.0/33", "10.0.0/8", "::/129",
                                           "10.0.0.0/", "10.0.0.0/-1", "host"};
    options.hep_listen = FILES("udp:127.0.0.1:0");
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        options.hep_allow = &networks[i];
        options.hep_allow_count = 1;
        assert_fails(SG_E_USAGE, "is not a network", sg_capture_open(&first, &options));
    }
    options.hep_allow_count = 0;
    char address[64];
    const char *list[] = {address};
    first = listen_on(FILES("tcp:127.0.0.1:0"), &options);
    snprintf(address, sizeof address, "tcp:127.0.0.1:%d", sg_capture_hep_port(first, 0));
    options.hep_listen = list;
    options.hep_count = 1;
    assert_fails(SG_E_IO, "in use by another program", sg_capture_open(&second, &options));
    options.hep_listen = FILES("udp:192.0.2.77:9060");
    assert_fails(SG_E_IO, "cannot listen on udp:192.0.2.77:9060", sg_capture_open(&second, &options));
    sg_capture_close(first);
}

static bool holds(const char *network, const char *address)
{
    sg_network n;
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    assert_ok(sg_network_read(&n, network));
    if (inet_pton(AF_INET, address, &four.sin_addr) == 1)
        return sg_networks_hold(&n, 1, (struct sockaddr *)&four);
    inet_pton(AF_INET6, address, &six.sin6_addr);
    return sg_networks_hold(&n, 1, (struct sockaddr *)&six);
}

static void compares_networks(void **state)
{
    (void)state;
    assert_true(holds("10.0.0.0/8", "10.255.1.2"));
    assert_false(holds("10.0.0.0/8", "11.0.0.0"));
    assert_true(holds("192.0.2.128/25", "192.0.2.200"));
    assert_false(holds("192.0.2.128/25", "192.0.2.100"));
    assert_true(holds("192.0.2.1", "192.0.2.1"));
    assert_false(holds("192.0.2.1", "192.0.2.2"));
    assert_true(holds("0.0.0.0/0", "1.2.3.4"));
    assert_true(holds("10.0.0.0/8", "::ffff:10.1.1.1"));
    assert_false(holds("::/0", "10.1.1.1"));
    assert_true(holds("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(holds("2001:db8::/33", "2001:db8:8000::1"));
}

static void on_alarm(int number)
{
    (void)number;
}

/* A signal ends a wait without end. */
static void a_signal_ends_the_wait(void **state)
{
    (void)state;
    sg_capture_options options;
    sg_capture_event event;
    sg_capture_item item;
    sg_capture_defaults(&options);
    sg_capture *capture = listen_on(FILES("udp:127.0.0.1:0"), &options);
    struct sigaction action = {.sa_handler = on_alarm}, before;
    struct itimerval timer = {.it_value.tv_usec = 50000};
    sigaction(SIGALRM, &action, &before);
    setitimer(ITIMER_REAL, &timer, NULL);
    assert_ok(sg_capture_next(capture, -1, &event, &item));
    assert_int_equal(event, SG_CAPTURE_TIME_OUT);
    sigaction(SIGALRM, &before, NULL);
    sg_capture_close(capture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_datagrams),           cmocka_unit_test(takes_streams_cut_anywhere),
        cmocka_unit_test(takes_the_longest_packet),  cmocka_unit_test(refuses_strangers),
        cmocka_unit_test(bounds_its_clients),        cmocka_unit_test(listens_on_ip6),
        cmocka_unit_test(says_why_it_cannot_listen), cmocka_unit_test(compares_networks),
        cmocka_unit_test(a_signal_ends_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
