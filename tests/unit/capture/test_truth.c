/* Captures with ground truth made by tshark: the messages of each, with packet number, time, addresses and
 * type, must be the same.  Where they are not, `different` says how many and why. */
#include "files.h"

#include <glob.h>
#include <sys/stat.h>

#ifndef SG_TEST_DATA
#define SG_TEST_DATA "tests/data"
#endif
#define CAPTURES SG_TEST_DATA "/../../../shared/captures"

/* Captures whose messages are not those of tshark. */
static const struct {
    const char *name;
    int more;           /* messages found here and not by tshark */
    bool inner_address; /* addresses differ */
    const char *why;
} different[] = {
    {"arkime__tests__pcap__gtp-iphone.pcap", 0, true,
     "SIP in a GTP tunnel: tshark's first address is that of the tunnel, ours that of the telephone"},
    {"suricata-verify__tests__http-evader__http-evader-486__input.pcap", 1, false,
     "a server that answers HTTP with 'SIP/2.0 200 ok' on port 80: any port counts here, where a start line "
     "stands"},
};

typedef struct {
    unsigned long long packet;
    int64_t time_us;
    char type[64], from[64], to[64];
} row;

/* A line of the truth: frame, time, call_id, type, cseq_num, cseq_method, src, dst. */
static bool read_row(char *line, row *r)
{
    char *cell[8];
    int cells = 0;
    for (char *at = line; at && cells < 8; cells++) {
        cell[cells] = at;
        at = strchr(at, '\t');
        if (at)
            *at++ = '\0';
    }
    if (cells < 8)
        return false;
    cell[7][strcspn(cell[7], "\r\n")] = '\0';
    char *point = strchr(cell[1], '.');
    if (!point)
        return false;
    point[7] = '\0'; /* nanoseconds are cut */
    r->packet = strtoull(cell[0], NULL, 10);
    r->time_us = strtoll(cell[1], NULL, 10) * 1000000 + strtoll(point + 1, NULL, 10);
    snprintf(r->type, sizeof r->type, "%s", cell[3]);
    snprintf(r->from, sizeof r->from, "%s", cell[6]);
    snprintf(r->to, sizeof r->to, "%s", cell[7]);
    return true;
}

static void put_endpoint(char text[64], const sg_endpoint *endpoint)
{
    char address[INET6_ADDRSTRLEN];
    inet_ntop(endpoint->family == 6 ? AF_INET6 : AF_INET, endpoint->address, address, sizeof address);
    snprintf(text, 64, "%s:%d", address, endpoint->port);
}

/* The method, or the three digits of a status line. */
static void put_type(char text[64], const sg_capture_item *item)
{
    const char *from = item->data;
    if (item->length > 8 && memcmp(from, "SIP/2.0 ", 8) == 0)
        for (from += 8; *from == ' ';)
            from++;
    size_t size = 0;
    while (size < 63 && from + size < item->data + item->length && (unsigned char)from[size] > ' ')
        size++;
    memcpy(text, from, size);
    text[size] = '\0';
}

static sg_capture *open_capture(const char *path)
{
    sg_capture *capture;
    sg_capture_options options;
    sg_capture_defaults(&options);
    options.files = &path;
    options.file_count = 1;
    assert_ok(sg_capture_open(&capture, &options));
    return capture;
}

/* Whether a message is the one of the truth. */
static bool same(const sg_capture_item *item, const row *want, bool any_address)
{
    char type[64], from[64], to[64];
    put_type(type, item);
    put_endpoint(from, &item->flow.source);
    put_endpoint(to, &item->flow.destination);
    return item->packet == want->packet && item->flow.time_us == want->time_us &&
           strcmp(type, want->type) == 0 &&
           (any_address || (strcmp(from, want->from) == 0 && strcmp(to, want->to) == 0));
}

/* Compares one capture with its truth: both are in the order of packets.  Returns the messages. */
static int compare(const char *path, const char *truth, int more, bool any_address)
{
    FILE *in = fopen(truth, "r");
    assert_non_null(in);
    sg_capture *capture = open_capture(path);
    sg_capture_event event;
    sg_capture_item item;
    char *line = NULL;
    size_t room = 0;
    row want;
    int count = 0;
    assert_true(getline(&line, &room, in) > 0);
    for (;;) {
        assert_ok(sg_capture_next(capture, -1, &event, &item));
        if (event == SG_CAPTURE_END)
            break;
        count++;
        bool have = getline(&line, &room, in) > 0 && read_row(line, &want);
        if ((!have && more-- <= 0) || (have && !same(&item, &want, any_address)))
            fail_msg("%s: message %d, packet %llu: '%.*s' at %lld is not the truth", path, count,
                     (unsigned long long)item.packet, (int)strcspn(item.data, "\r\n"), item.data,
                     (long long)item.flow.time_us);
    }
    if (getline(&line, &room, in) > 0)
        fail_msg("%s: messages are missing after %d", path, count);
    free(line);
    fclose(in);
    sg_capture_close(capture);
    return count;
}

static void messages_are_those_of_tshark(void **state)
{
    (void)state;
    glob_t found;
    if (glob(CAPTURES "/*/*.truth.tsv", 0, NULL, &found) != 0) {
        print_message("no captures at %s\n", CAPTURES);
        skip();
    }
    int messages = 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char path[1024];
        struct stat info;
        const char *truth = found.gl_pathv[i], *name = strrchr(truth, '/') + 1;
        int size = (int)(strlen(truth) - strlen(".truth.tsv")), more = 0;
        bool any_address = false;
        snprintf(path, sizeof path, "%.*s", size, truth);
        if (stat(path, &info) != 0)
            snprintf(path, sizeof path, "%.*s.gz", size, truth);
        for (size_t k = 0; k < sizeof different / sizeof *different; k++)
            if (strncmp(name, different[k].name, strlen(different[k].name)) == 0) {
                print_message("%s: %s\n", different[k].name, different[k].why);
                more = different[k].more;
                any_address = different[k].inner_address;
            }
        messages += compare(path, truth, more, any_address);
    }
    print_message("%zu captures, %d messages\n", (size_t)found.gl_pathc, messages);
    globfree(&found);
}

/* The messages of RFC 4475 in datagrams: what a start line of SIP/2.0 begins is a message, whatever follows.
 */
static void torture_messages_are_messages(void **state)
{
    (void)state;
    /* SIP/7.0, and a request line without a version */
    static const char *const other[] = {"badvers.dat", "/test.dat"};
    glob_t found;
    if (glob(CAPTURES "/torture/*.dat", 0, NULL, &found) != 0)
        skip();
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char text[8192], folder[128], path[200];
        static pw_packet p;
        reading r;
        blob b = {0};
        FILE *in = fopen(found.gl_pathv[i], "rb");
        size_t size = fread(text, 1, sizeof text, in);
        fclose(in);
        pw_payload(&p, text, size);
        pw_udp(&p, 5060, 5060);
        pw_ip4(&p, "10.0.0.1", "10.0.0.2", 17);
        pcap_begin(&b, false, false, 101);
        pcap_record(&b, false, 1, 1, &p);
        make_test_folder(folder);
        snprintf(path, sizeof path, "%s/a.pcap", folder);
        blob_write(&b, path);
        read_files(&r, FILES(path), NULL);
        bool wanted = true;
        for (size_t k = 0; k < sizeof other / sizeof *other; k++)
            wanted &= !strstr(found.gl_pathv[i], other[k]);
        if (r.messages != (wanted ? 1 : 0))
            fail_msg("%s: %d messages", found.gl_pathv[i], r.messages);
        unlink(path);
        rmdir(folder);
        blob_free(&b);
    }
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_those_of_tshark),
        cmocka_unit_test(torture_messages_are_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
