#include "base/log.h"
#include "testing.h"
#include "watch/http.h"
#include "watch/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t messages = 42;
static double load_value;

static double read_load(const void *context)
{
    return *(const double *)context;
}

static sg_metrics *open_sample(const char *address, double timeout_s)
{
    sg_metrics *metrics;
    assert_ok(sg_metrics_open(&metrics, address, timeout_s));
    const sg_metric all[] = {
        {.name = "sipgpu_messages_total",
         .help = "Messages read.",
         .label = {{"type", "INVITE"}},
         .count = &messages},
        {.name = "sipgpu_load",
         .help = "Share of time at work.",
         .type = SG_METRIC_GAUGE,
         .read = read_load,
         .context = &load_value},
        {.name = "sipgpu_messages_total",
         .help = "Messages read.",
         .label = {{"type", "a\"b\\c"}, {"side", "in"}},
         .count = &messages},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_ok(sg_metrics_add(metrics, &all[i]));
    return metrics;
}

static const char sample_page[] = "# HELP sipgpu_messages_total Messages read.\n"
                                  "# TYPE sipgpu_messages_total counter\n"
                                  "sipgpu_messages_total{type=\"INVITE\"} 42\n"
                                  "sipgpu_messages_total{type=\"a\\\"b\\\\c\",side=\"in\"} 42\n"
                                  "# HELP sipgpu_load Share of time at work.\n"
                                  "# TYPE sipgpu_load gauge\n"
                                  "sipgpu_load 0.5\n";

static void series_of_a_name_stand_together(void **state)
{
    (void)state;
    sg_metrics *metrics = open_sample(NULL, 0);
    char *text;
    size_t size;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {NAN, "sipgpu_load NaN\n"}, {INFINITY, "sipgpu_load +Inf\n"}, {-INFINITY, "sipgpu_load -Inf\n"}};
    load_value = 0.5;
    FILE *out = open_memstream(&text, &size);
    sg_metrics_write(metrics, out);
    fclose(out);
    assert_string_equal(text, sample_page);
    free(text);
    for (size_t i = 0; i < 3; i++) {
        load_value = cases[i].value;
        out = open_memstream(&text, &size);
        sg_metrics_write(metrics, out);
        fclose(out);
        assert_non_null(strstr(text, cases[i].text));
        free(text);
    }
    load_value = 0.5;
    assert_int_equal(sg_metrics_port(metrics), 0);
    sg_metrics_poll(metrics);
    sg_metrics_poll(NULL);
    sg_metrics_close(metrics);
    sg_metrics_close(NULL);
}

static void unfit_metrics_are_refused(void **state)
{
    (void)state;
    sg_metrics *metrics = open_sample(NULL, 0);
    char long_value[100];
    memset(long_value, 'x', sizeof long_value - 1);
    long_value[sizeof long_value - 1] = '\0';
    const struct {
        sg_metric metric;
        const char *error;
    } cases[] = {
        {{.name = "9lives", .help = "h", .count = &messages}, "cannot name a metric"},
        {{.name = "a-b", .help = "h", .count = &messages}, "cannot name a metric"},
        {{.name = NULL, .help = "h", .count = &messages}, "cannot name a metric"},
        {{.name = "x", .help = "two\nlines", .count = &messages}, "a help line"},
        {{.name = "x", .help = "h"}, "one source of its value"},
        {{.name = "x", .help = "h", .label = {{"a:b", "v"}}, .count = &messages}, "label 1"},
        {{.name = "x", .help = "h", .label = {{"a", "new\nline"}}, .count = &messages}, "label 1"},
        {{.name = "x", .help = "h", .label = {{"a", "v"}, {"b", long_value}}, .count = &messages}, "label 2"},
        {{.name = "x", .help = "h", .label = {{"a", NULL}}, .count = &messages}, "label 1"},
        {{.name = "sipgpu_load",
          .help = "Other.",
          .type = SG_METRIC_GAUGE,
          .label = {{"a", "v"}},
          .count = &messages},
         "another type or help"},
        {{.name = "sipgpu_load",
          .help = "Share of time at work.",
          .type = SG_METRIC_GAUGE,
          .count = &messages},
         "there already"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(SG_E_INTERNAL, cases[i].error, sg_metrics_add(metrics, &cases[i].metric));
    char name[32];
    sg_status status = SG_OK;
    int added = 0;
    for (; added <= SG_METRICS_MAX && status == SG_OK; added++) {
        snprintf(name, sizeof name, "m%d", added);
        status = sg_metrics_add(metrics, &(sg_metric){.name = name, .help = "h", .count = &messages});
    }
    assert_int_equal(status, SG_E_INTERNAL);
    assert_int_equal(added - 1, SG_METRICS_MAX - 3);
    sg_metrics_close(metrics);
}

static void only_this_machine_is_served(void **state)
{
    (void)state;
    sg_metrics *metrics;
    static const char *const strangers[] = {"0.0.0.0:9469", "192.0.2.1:9469", "[::]:9469", "[2001:db8::1]:1",
                                            ":::1"};
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++)
        assert_fails(SG_E_USAGE, "no loopback address", sg_metrics_open(&metrics, strangers[i], 0));
    static const char *const nonsense[] = {
        "", ":", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0.1:-1", "x"};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++)
        assert_fails(SG_E_USAGE, "is no address for metrics", sg_metrics_open(&metrics, nonsense[i], 0));
    static const char *const fine[] = {"127.0.0.1:0", "localhost:0", "0", ":0", "127.1.2.3:0"};
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        assert_ok(sg_metrics_open(&metrics, fine[i], 0));
        assert_true(sg_metrics_port(metrics) > 0);
        char taken[32];
        snprintf(taken, sizeof taken, "%s:%d", i == 4 ? "127.1.2.3" : "127.0.0.1", sg_metrics_port(metrics));
        sg_metrics *other;
        assert_fails(SG_E_IO, "Address already in use", sg_metrics_open(&other, taken, 0));
        sg_metrics_close(metrics);
    }
}

/* ---- Over HTTP ---- */

static int connect_to(const sg_metrics *metrics)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(sg_metrics_port(metrics))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void let_work(sg_metrics *metrics, double seconds)
{
    for (double end = sg_seconds() + seconds; sg_seconds() < end; usleep(2000))
        sg_metrics_poll(metrics);
}

/* What comes until the server closes, at most two seconds. */
static char *read_answer(sg_metrics *metrics, int fd)
{
    enum { ANSWER_MAX = 1 << 20 };
    char *text = calloc(1, ANSWER_MAX);
    size_t got = 0;
    for (double end = sg_seconds() + 2; sg_seconds() < end && got < ANSWER_MAX - 1;) {
        sg_metrics_poll(metrics);
        if (poll(&(struct pollfd){fd, POLLIN, 0}, 1, 5) <= 0)
            continue;
        ssize_t n = recv(fd, text + got, ANSWER_MAX - 1 - got, 0);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return text;
}

static char *ask(sg_metrics *metrics, const char *request, size_t size)
{
    int fd = connect_to(metrics);
    assert_int_equal(send(fd, request, size, MSG_NOSIGNAL), (ssize_t)size);
    char *answer = read_answer(metrics, fd);
    close(fd);
    return answer;
}

static void pages_are_given(void **state)
{
    (void)state;
    sg_metrics *metrics = open_sample("127.0.0.1:0", 0);
    static const struct {
        const char *request, *answer, *body;
    } cases[] = {
        {"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n", sample_page},
        {"GET /metrics?a=b HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", sample_page},
        {"GET /metrics HTTP/1.1\n\n", "HTTP/1.1 200 OK\r\n", sample_page},
        {"GET /healthz HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n", "ok\n"},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ", "not found"},
        {"GET /metricsx HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ", "not found"},
        {"GET /../metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ", "not found"},
        {"POST /metrics HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 400 ", "bad request"},
        {"GET /metrics\r\n\r\n", "HTTP/1.1 400 ", "bad request"},
        {"GET /metrics HTTP/2\r\n\r\n", "HTTP/1.1 400 ", "bad request"},
        {"\r\n\r\n", "HTTP/1.1 400 ", "bad request"},
        {"\n\n", "HTTP/1.1 400 ", "bad request"},
        {"\x16\x03\x01\x02\n\n", "HTTP/1.1 400 ", "bad request"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *answer = ask(metrics, cases[i].request, strlen(cases[i].request));
        assert_memory_equal(answer, cases[i].answer, strlen(cases[i].answer));
        char *body = strstr(answer, "\r\n\r\n");
        assert_non_null(body);
        assert_memory_equal(body + 4, cases[i].body, strlen(cases[i].body));
        char length[64];
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body + 4));
        assert_non_null(strstr(answer, length));
        free(answer);
    }
    sg_metrics_close(metrics);
}

static void garbage_and_endless_requests_get_400(void **state)
{
    (void)state;
    sg_metrics *metrics = open_sample("127.0.0.1:0", 0);
    char garbage[8000];
    for (size_t i = 0; i < sizeof garbage; i++)
        garbage[i] = (char)(i * 2654435761u >> 7 | 0x80);
    char *answer = ask(metrics, garbage, sizeof garbage);
    assert_memory_equal(answer, "HTTP/1.1 400 ", 13);
    free(answer);
    memset(garbage, 0, sizeof garbage);
    answer = ask(metrics, garbage, sizeof garbage);
    assert_memory_equal(answer, "HTTP/1.1 400 ", 13);
    free(answer);
    memset(garbage, 'a', sizeof garbage);
    memcpy(garbage, "GET /metrics HTTP/1.1\r\nX: ", 26);
    answer = ask(metrics, garbage, sizeof garbage);
    assert_memory_equal(answer, "HTTP/1.1 400 ", 13);
    free(answer);
    sg_metrics_close(metrics);
}

static void a_request_may_come_byte_by_byte(void **state)
{
    (void)state;
    sg_metrics *metrics = open_sample("127.0.0.1:0", 0);
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = connect_to(metrics);
    for (size_t i = 0; i < sizeof request - 1; i++) {
        assert_int_equal(send(fd, request + i, 1, MSG_NOSIGNAL), 1);
        let_work(metrics, 0.012);
    }
    char *answer = read_answer(metrics, fd);
    assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
    free(answer);
    close(fd);
    sg_metrics_close(metrics);
}

/* Slow clients have their time, then go; many of them do not keep another one out; none makes a call wait. */
static void slow_clients_keep_nobody_out(void **state)
{
    (void)state;
    enum { SLOW = 100 };
    sg_metrics *metrics = open_sample("127.0.0.1:0", 0.3);
    int slow[SLOW];
    double longest = 0;
    for (int i = 0; i < SLOW; i++) {
        slow[i] = connect_to(metrics);
        assert_int_equal(send(slow[i], "GET /met", 8, MSG_NOSIGNAL), 8);
        if (i % 8 == 7)
            let_work(metrics, 0.012);
    }
    char *answer = ask(metrics, "GET /healthz HTTP/1.1\r\n\r\n", 25);
    assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
    free(answer);
    for (double end = sg_seconds() + 0.5; sg_seconds() < end; usleep(1000)) {
        double start = sg_seconds();
        sg_metrics_poll(metrics);
        longest = fmax(longest, sg_seconds() - start);
    }
    assert_true(longest < 0.1);
    for (int i = 0; i < SLOW; i++) {
        char byte;
        ssize_t n = recv(slow[i], &byte, 1, MSG_DONTWAIT);
        assert_true(n == 0 || (n < 0 && errno == ECONNRESET)); /* the server has closed */
        close(slow[i]);
    }
    sg_metrics_close(metrics);
}

/* A client that asks and never reads is dropped as well. */
static void a_client_that_does_not_read_goes(void **state)
{
    (void)state;
    sg_metrics *metrics = open_sample("127.0.0.1:0", 0.2);
    char name[32];
    for (int i = 0; i < 1500; i++) {
        snprintf(name, sizeof name, "filler_%d", i);
        assert_ok(sg_metrics_add(
            metrics,
            &(sg_metric){.name = name, .help = "Something of no interest at all.", .count = &messages}));
    }
    int small = 2048, fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(sg_metrics_port(metrics))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, "GET /metrics HTTP/1.1\r\n\r\n", 25, MSG_NOSIGNAL), 25);
    let_work(metrics, 1.5);
    char *answer = ask(metrics, "GET /metrics HTTP/1.1\r\n\r\n", 25);
    assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
    assert_non_null(strstr(answer, "filler_1499 42\n"));
    free(answer);
    close(fd);
    sg_metrics_close(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(series_of_a_name_stand_together),
        cmocka_unit_test(unfit_metrics_are_refused),
        cmocka_unit_test(only_this_machine_is_served),
        cmocka_unit_test(pages_are_given),
        cmocka_unit_test(garbage_and_endless_requests_get_400),
        cmocka_unit_test(a_request_may_come_byte_by_byte),
        cmocka_unit_test(slow_clients_keep_nobody_out),
        cmocka_unit_test(a_client_that_does_not_read_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
