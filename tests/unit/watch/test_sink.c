#include "alert_case.h"
#include "base/log.h"
#include "watch/sink.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[128];
static FILE *said; /* warnings and notes */

static int begin(void **state)
{
    (void)state;
    make_test_folder(folder);
    said = tmpfile();
    sg_log_set_sink(said);
    return 0;
}

static int end(void **state)
{
    (void)state;
    sg_log_set_sink(NULL);
    fclose(said);
    return 0;
}

/* How often a text was said. */
static int times_said(const char *part)
{
    char row[1024];
    int times = 0;
    fflush(said);
    rewind(said);
    while (fgets(row, sizeof row, said))
        times += strstr(row, part) != NULL;
    fseek(said, 0, SEEK_END);
    return times;
}

static const char *path_in(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(sg_sink *place, const char *text)
{
    sg_sink_write(place, text, strlen(text));
}

static void a_full_disk_is_reported_once(void **state)
{
    (void)state;
    sg_sink place;
    assert_ok(sg_sink_open_file(&place, "/dev/full", false));
    for (int i = 0; i < 100; i++)
        put(&place, "line\n");
    assert_int_equal(place.lost, 100);
    assert_int_equal(times_said("/dev/full: No space left on device"), 1);
    sg_sink_close(&place);
    assert_int_equal(place.lost, 100);
}

/* A line that was written in part is ended before the next one, so that one line is lost and not two. */
static void a_torn_line_is_ended(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        sg_sink place;
        sg_log_set_sink(fopen("/dev/null", "w")); /* the limit would hold for it as well */
        struct rlimit limit = {12, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
        bool fine = sg_sink_open_file(&place, path_in("torn"), false) == SG_OK;
        setrlimit(RLIMIT_FSIZE, &limit); /* SIGXFSZ must not end the process */
        put(&place, "one two\n");
        put(&place, "three four\n");
        put(&place, "five\n");
        fine = fine && place.lost == 2 && place.torn;
        setrlimit(RLIMIT_FSIZE, &none);
        put(&place, "six\n");
        sg_sink_close(&place);
        _exit(fine ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    char *text = read_whole(path_in("torn"), NULL);
    assert_string_equal(text, "one two\nthre\nsix\n");
    free(text);
}

static void files_are_appended_and_opened_again(void **state)
{
    (void)state;
    sg_sink place;
    char moved[512];
    snprintf(moved, sizeof moved, "%s/moved", folder);
    assert_ok(sg_sink_open_file(&place, path_in("log"), false));
    put(&place, "one\n");
    assert_int_equal(rename(path_in("log"), moved), 0);
    put(&place, "two\n");
    sg_sink_reopen(&place);
    put(&place, "three\n");
    sg_sink_close(&place);
    assert_ok(sg_sink_open_file(&place, path_in("log"), false));
    put(&place, "four\n");
    char *text = read_whole(moved, NULL);
    assert_string_equal(text, "one\ntwo\n");
    free(text);
    text = read_whole(path_in("log"), NULL);
    assert_string_equal(text, "three\nfour\n");
    free(text);
    /* What cannot be opened again goes on. */
    unlink(path_in("log"));
    mkdir(path_in("log"), 0700);
    sg_sink_reopen(&place);
    put(&place, "five\n");
    assert_int_equal(place.lost, 0);
    assert_int_equal(times_said("cannot be opened again"), 1);
    sg_sink_close(&place);
}

static void a_reader_that_goes_away_ends_nothing(void **state)
{
    (void)state;
    sg_sink place;
    char path[512];
    snprintf(path, sizeof path, "%s", path_in("fifo"));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_fails(SG_E_IO, "nobody reads this pipe", sg_sink_open_file(&place, path, false));
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_ok(sg_sink_open_file(&place, path, false));
    put(&place, "one\n");
    char got[16] = "";
    assert_int_equal(read(reader, got, sizeof got), 4);
    close(reader);
    signal(SIGPIPE, SIG_DFL);
    put(&place, "two\n"); /* would be SIGPIPE */
    put(&place, "three\n");
    assert_int_equal(place.lost, 2);
    assert_int_equal(times_said("Broken pipe"), 1);
    reader = open(path, O_RDONLY | O_NONBLOCK);
    put(&place, "four\n");
    assert_int_equal(read(reader, got, sizeof got), 5);
    assert_memory_equal(got, "four\n", 5);
    assert_int_equal(times_said("takes alerts again; 2 were lost"), 1);
    close(reader);
    sg_sink_close(&place);
}

/* A reader that stands still costs a tenth of a second once, then nothing. */
static void a_reader_that_stops_is_not_waited_for(void **state)
{
    (void)state;
    sg_sink place;
    int ends[2], saved = dup(STDOUT_FILENO);
    char text[3001], got[65536];
    memset(text, 'x', 3000);
    strcpy(text + 2999, "\n");
    assert_int_equal(pipe(ends), 0);
    fflush(stdout);
    dup2(ends[1], STDOUT_FILENO);
    sg_status status = sg_sink_open_file(&place, "-", false);
    double start = sg_seconds();
    for (int i = 0; i < 200; i++)
        put(&place, text);
    double took = sg_seconds() - start;
    dup2(saved, STDOUT_FILENO);
    close(saved);
    assert_int_equal(status, SG_OK);
    assert_true(took < 2);
    assert_in_range(place.lost, 150, 199);
    /* All that came through is whole. */
    close(ends[1]);
    ssize_t n, whole = 0;
    while ((n = read(ends[0], got, sizeof got)) > 0)
        whole += n;
    assert_int_equal(whole, (200 - (int)place.lost) * 3000);
    close(ends[0]);
    sg_sink_close(&place);
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_true(strlen(path) < sizeof address.sun_path);
    strcpy(address.sun_path, path);
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static char *receive(int fd, size_t want)
{
    char *text = calloc(1, want + 1);
    for (size_t got = 0; got < want;) {
        ssize_t n = recv(fd, text + got, want - got, 0);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return text;
}

static void socket_peers_come_and_go(void **state)
{
    (void)state;
    sg_sink place;
    char path[512];
    snprintf(path, sizeof path, "%s", path_in("socket"));
    assert_ok(sg_sink_open_stream(&place, path)); /* nobody there yet */
    assert_int_equal(times_said("alerts wait until somebody listens"), 1);
    put(&place, "one\n");
    int server = listen_at(path);
    place.tried_at -= 10; /* a second has passed */
    sg_sink_tick(&place);
    int peer = accept(server, NULL, NULL);
    char *text = receive(peer, 4);
    assert_string_equal(text, "one\n");
    free(text);
    /* It goes; the next one gets what was said meanwhile. */
    close(peer);
    close(server);
    put(&place, "two\n");
    put(&place, "three\n");
    assert_int_equal(place.fd, -1);
    server = listen_at(path);
    place.tried_at -= 10;
    put(&place, "four\n");
    peer = accept(server, NULL, NULL);
    text = receive(peer, 15);
    assert_string_equal(text, "two\nthree\nfour\n");
    free(text);
    assert_int_equal(place.lost, 0);
    close(peer);
    close(server);
    sg_sink_close(&place);
}

static void a_slow_socket_peer_loses_whole_lines(void **state)
{
    (void)state;
    sg_sink place;
    char path[512], text[1001];
    snprintf(path, sizeof path, "%s", path_in("slow"));
    int server = listen_at(path);
    assert_ok(sg_sink_open_stream(&place, path));
    int peer = accept(server, NULL, NULL);
    double start = sg_seconds();
    for (int i = 0; i < 2000; i++) {
        snprintf(text, sizeof text, "%0999d\n", i);
        put(&place, text);
    }
    assert_true(sg_seconds() - start < 5);
    assert_true(place.lost > 100);
    assert_true(place.pending_length <= SG_SINK_PENDING);
    /* The peer dies in the midst of a line: the next one begins with a whole line. */
    assert_true(place.pending_length > 0);
    bool mid_line = place.mid_line;
    uint64_t lost = place.lost;
    close(peer);
    place.tried_at -= 10;
    sg_sink_tick(&place);
    assert_int_equal(place.lost, lost + mid_line);
    peer = accept(server, NULL, NULL);
    char *got = receive(peer, 1000);
    assert_int_equal(strspn(got, "0123456789"), 999);
    assert_int_equal(got[999], '\n');
    free(got);
    close(peer);
    close(server);
    sg_sink_close(&place); /* the lines that wait are lost, and counted */
    assert_true(place.lost > lost);
}

static void the_log_is_found_again(void **state)
{
    (void)state;
    sg_sink place;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_true(strlen(path_in("log.socket")) < sizeof address.sun_path);
    strcpy(address.sun_path, path_in("log.socket"));
    char got[64] = "";
    for (int life = 0; life < 2; life++) {
        unlink(address.sun_path);
        int log = socket(AF_UNIX, SOCK_DGRAM, 0);
        assert_int_equal(bind(log, (struct sockaddr *)&address, sizeof address), 0);
        if (life == 0)
            assert_ok(sg_sink_open_datagram(&place, address.sun_path));
        place.tried_at -= 10;
        put(&place, life ? "two" : "one");
        assert_int_equal(recv(log, got, sizeof got, MSG_DONTWAIT), 3);
        assert_memory_equal(got, life ? "two" : "one", 3);
        /* Nobody reads: never waits. */
        for (int i = 0; life == 1 && i < 5000; i++)
            put(&place, "flood");
        close(log);
    }
    assert_true(place.lost > 0);
    put(&place, "three");
    assert_int_equal(times_said("alerts for it are lost"), 1);
    sg_sink_close(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_full_disk_is_reported_once, begin, end),
        cmocka_unit_test_setup_teardown(a_torn_line_is_ended, begin, end),
        cmocka_unit_test_setup_teardown(files_are_appended_and_opened_again, begin, end),
        cmocka_unit_test_setup_teardown(a_reader_that_goes_away_ends_nothing, begin, end),
        cmocka_unit_test_setup_teardown(a_reader_that_stops_is_not_waited_for, begin, end),
        cmocka_unit_test_setup_teardown(socket_peers_come_and_go, begin, end),
        cmocka_unit_test_setup_teardown(a_slow_socket_peer_loses_whole_lines, begin, end),
        cmocka_unit_test_setup_teardown(the_log_is_found_again, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
