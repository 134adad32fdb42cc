#include "files.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

static char folder[128], path[200], other[200];
static pw_packet p;

static int make_folder(void **state)
{
    (void)state;
    make_test_folder(folder);
    snprintf(path, sizeof path, "%s/a.pcap", folder);
    snprintf(other, sizeof other, "%s/b.pcap", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    unlink(other);
    return rmdir(folder);
}

static void reads_both_byte_orders_and_both_clocks(void **state)
{
    (void)state;
    for (int big = 0; big < 2; big++)
        for (int nano = 0; nano < 2; nano++) {
            blob b = {0};
            reading r;
            pcap_begin(&b, big, nano, 101);
            options_packet(&p, 7);
            pcap_record(&b, big, 1700000000, nano ? 250000999 : 250000, &p);
            options_packet(&p, 8);
            pcap_record(&b, big, 0xffffffff, nano ? 999999999 : 999999, &p); /* the year 2106 */
            blob_write(&b, path);
            read_files(&r, FILES(path), NULL);
            assert_string_equal(r.ids, "7 8");
            assert_int_equal(r.first_us, 1700000000250000);
            assert_int_equal(r.last_us, 4294967295999999);
            assert_int_equal(r.counts.count[SG_COUNT_PACKETS], 2);
            blob_free(&b);
        }
}

static void accepts_odd_headers(void **state)
{
    (void)state;
    blob b = {0};
    reading r;
    pcap_begin(&b, false, false,
               12); /* RAW as some write it; with the length of the checksum in the upper bits */
    b.data[23] = 0x24;
    options_packet(&p, 1);
    pcap_record(&b, false, 1, 4000000000, &p);
    blob_write(&b, path);
    read_files(&r, FILES(path), NULL);
    assert_string_equal(r.ids, "1");
    assert_int_equal(r.first_us, 1999999);
    assert_int_equal(r.counts.count[SG_COUNT_BAD_TIME], 1);
    blob_free(&b);
    pcap_begin(&b, false, false, 147); /* a link type for private use */
    options_packet(&p, 1);
    pcap_record(&b, false, 1, 0, &p);
    blob_write(&b, path);
    read_files(&r, FILES(path), NULL);
    assert_int_equal(r.messages, 0);
    assert_int_equal(r.counts.count[SG_COUNT_LINK_UNKNOWN], 1);
    blob_free(&b);
}

static void a_cut_record_is_counted(void **state)
{
    (void)state;
    blob b = {0};
    reading r;
    pcap_simple(&b, 1, 2);
    size_t whole = b.size;
    for (size_t cut = 1; cut < 80; cut += 11) {
        b.size = whole - cut;
        blob_write(&b, path);
        read_files(&r, FILES(path), NULL);
        assert_int_equal(r.status, SG_OK);
        assert_string_equal(r.ids, "1");
        assert_int_equal(r.counts.count[SG_COUNT_FILE_TRUNCATED], 1);
    }
    b.size = 24; /* no packets */
    blob_write(&b, path);
    read_files(&r, FILES(path), NULL);
    assert_int_equal(r.messages, 0);
    assert_int_equal(r.counts.count[SG_COUNT_FILE_TRUNCATED], 0);
    blob_free(&b);
}

static void a_damaged_record_is_an_error_of_that_file(void **state)
{
    (void)state;
    blob b = {0};
    reading r;
    pcap_simple(&b, 1, 1);
    blob_add(&b, "\0\0\0\0\0\0\0\0\xff\xff\xff\x7f\xff\xff\xff\x7f", 16);
    blob_write(&b, path);
    b.size = 0;
    pcap_simple(&b, 5, 2);
    blob_write(&b, other);
    read_files(&r, FILES(path, other), NULL);
    assert_int_equal(r.status, SG_E_FORMAT);
    assert_non_null(strstr(sg_error_text(), "a.pcap: packet 2"));
    assert_string_equal(r.ids, "1 5 6"); /* the next file is read */
    blob_free(&b);
}

static void reads_gzip(void **state)
{
    (void)state;
    blob b = {0};
    reading r;
    pcap_simple(&b, 1, 3000);
    blob_write_gzip(&b, path, "wb9");
    read_files(&r, FILES(path), NULL);
    assert_int_equal(r.messages, 3000);
    blob tail = {0}; /* several members, as cat makes them */
    pcap_simple(&tail, 3001, 1000);
    memmove(tail.data, tail.data + 24, tail.size - 24);
    tail.size -= 24;
    blob_write_gzip(&tail, path, "ab1");
    read_files(&r, FILES(path), NULL);
    assert_int_equal(r.messages, 4000);
    blob_free(&tail);
    FILE *f = fopen(path, "rb"); /* cut */
    blob packed = {.data = malloc(1 << 20)};
    packed.size = fread(packed.data, 1, 1 << 20, f);
    fclose(f);
    packed.size -= 20;
    blob_write(&packed, path);
    read_files(&r, FILES(path), NULL);
    assert_int_equal(r.status, SG_OK);
    assert_in_range(r.messages, 3000, 3999);
    assert_int_equal(r.counts.count[SG_COUNT_FILE_TRUNCATED], 1);
    memset(packed.data + packed.size / 3, 0x55, 64); /* damaged */
    blob_write(&packed, path);
    read_files(&r, FILES(path), NULL);
    assert_int_equal(r.status, SG_E_FORMAT);
    blob_free(&packed);
    blob_free(&b);
}

/* ---- pcapng ---- */

static void ng_block(blob *b, uint32_t type, const blob *body)
{
    static const uint8_t zero[4];
    uint32_t padded = (uint32_t)((body->size + 3) & ~(size_t)3);
    blob_add32(b, type, false);
    blob_add32(b, padded + 12, false);
    blob_add(b, body->data, body->size);
    blob_add(b, zero, padded - body->size);
    blob_add32(b, padded + 12, false);
}

static void ng_begin(blob *b)
{
    blob body = {0};
    blob_add32(&body, 0x1a2b3c4d, false);
    blob_add(&body, "\1\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12);
    ng_block(b, 0x0a0d0d0a, &body);
    blob_free(&body);
}

static void ng_interface(blob *b, unsigned link, uint32_t snaplen)
{
    blob body = {0};
    blob_add32(&body, link, false);
    blob_add32(&body, snaplen, false);
    ng_block(b, 1, &body);
    blob_free(&body);
}

static void ng_packet(blob *b, uint32_t interface, uint64_t time_us, const pw_packet *packet)
{
    blob body = {0};
    blob_add32(&body, interface, false);
    blob_add32(&body, (uint32_t)(time_us >> 32), false);
    blob_add32(&body, (uint32_t)time_us, false);
    blob_add32(&body, (uint32_t)packet->size, false);
    blob_add32(&body, (uint32_t)packet->size, false);
    blob_add(&body, packet->at, packet->size);
    ng_block(b, 6, &body);
    blob_free(&body);
}

static void reads_pcapng(void **state)
{
    (void)state;
    blob b = {0};
    reading r;
    ng_begin(&b);
    ng_interface(&b, 101, 65535);
    for (int i = 0; i < 3; i++) {
        options_packet(&p, i);
        ng_packet(&b, 0, 1700000000250000 + (uint64_t)i, &p);
    }
    blob_write(&b, path);
    read_files(&r, FILES(path), NULL);
    assert_string_equal(r.ids, "0 1 2");
    assert_int_equal(r.last_us, 1700000000250002);
    blob_write_gzip(&b, path, "wb");
    read_files(&r, FILES(path), "udp port 5060");
    assert_string_equal(r.ids, "0 1 2");
    b.size -= 10; /* cut */
    blob_write(&b, path);
    read_files(&r, FILES(path), NULL);
    assert_string_equal(r.ids, "0 1");
    assert_int_equal(r.status, SG_OK);
    assert_int_equal(r.counts.count[SG_COUNT_FILE_TRUNCATED], 1);
    blob_free(&b);
    ng_begin(&b); /* interfaces that differ: libpcap gives up, and the text says what to do */
    ng_interface(&b, 101, 65535);
    options_packet(&p, 1);
    ng_packet(&b, 0, 1, &p);
    ng_interface(&b, 1, 65535);
    ng_packet(&b, 1, 1, &p);
    blob_write(&b, path);
    read_files(&r, FILES(path), NULL);
    assert_int_equal(r.status, SG_E_FORMAT);
    assert_non_null(strstr(sg_error_text(), "split it by interface"));
    assert_string_equal(r.ids, "1");
    blob_free(&b);
}

/* ---- several files, filters, pipes ---- */

static void reads_several_files_as_one(void **state)
{
    (void)state;
    static const char text[] = "BYE sip:a@b SIP/2.0\r\nCall-ID: 3\r\nContent-Length: 4\r\n\r\nbody";
    blob b = {0};
    reading r;
    for (int file = 0; file < 2; file++) { /* a message over TCP whose end is in the next file */
        pcap_simple(&b, file ? 9 : 1, 1);
        pw_payload(&p, text + (file ? 30 : 0), file ? sizeof text - 1 - 30 : 30);
        pw_tcp(&p, 1, 2, file ? 31 : 1, PW_ACK);
        pw_ip4(&p, "10.0.0.1", "10.0.0.2", 6);
        pcap_record(&b, false, 1700000001, 0, &p);
        blob_write(&b, file ? other : path);
        b.size = 0;
    }
    read_files(&r, FILES(path, other), NULL);
    assert_string_equal(r.ids, "1 9 3");
    read_files(&r, FILES(other, path), NULL);
    assert_string_equal(r.ids, "9 1");
    blob_free(&b);
}

static void filters_files(void **state)
{
    (void)state;
    blob b = {0};
    reading r;
    pcap_simple(&b, 1, 5);
    blob_write(&b, path);
    read_files(&r, FILES(path), "udp port 5060 and host 10.0.0.1");
    assert_string_equal(r.ids, "1 2 3 4 5");
    read_files(&r, FILES(path), "tcp");
    assert_int_equal(r.messages, 0);
    assert_int_equal(r.counts.count[SG_COUNT_FILTERED], 5);
    blob_free(&b);
}

typedef struct {
    blob b;
    int fd;
} writer;

/* Writes in small pieces with pauses, then closes. */
static void *write_slowly(void *argument)
{
    writer *w = argument;
    for (size_t at = 0; at < w->b.size; at += 37) {
        size_t size = w->b.size - at < 37 ? w->b.size - at : 37;
        if (write(w->fd, w->b.data + at, size) != (ssize_t)size)
            break;
        usleep(2000);
    }
    close(w->fd);
    return NULL;
}

static void reads_pipes_as_they_come(void **state)
{
    (void)state;
    int ends[2], saved = dup(STDIN_FILENO), timeouts = 0, messages = 0;
    writer w = {0};
    pthread_t thread;
    pcap_simple(&w.b, 1, 10);
    assert_int_equal(pipe(ends), 0);
    w.fd = ends[1];
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    pthread_create(&thread, NULL, write_slowly, &w);
    sg_capture *capture;
    sg_capture_options options;
    sg_capture_defaults(&options);
    options.files = FILES("-");
    options.file_count = 1;
    assert_ok(sg_capture_open(&capture, &options));
    assert_string_equal(sg_capture_source(capture), "the file standard input");
    sg_capture_event event = SG_CAPTURE_MESSAGE;
    sg_capture_item item;
    while (event != SG_CAPTURE_END) {
        assert_ok(sg_capture_next(capture, 1, &event, &item));
        messages += event == SG_CAPTURE_MESSAGE;
        timeouts += event == SG_CAPTURE_TIME_OUT;
    }
    assert_int_equal(messages, 10);
    assert_true(timeouts > 0);
    sg_capture_close(capture);
    pthread_join(thread, NULL);
    dup2(saved, STDIN_FILENO);
    close(saved);
    blob_free(&w.b);
}

/* Files without SIP: the call still returns in time. */
static void returns_in_time(void **state)
{
    (void)state;
    blob b = {0};
    pcap_begin(&b, false, false, 101);
    pw_text(&p, "nothing of interest");
    pw_udp(&p, 1, 2);
    pw_ip4(&p, "10.0.0.1", "10.0.0.2", 17);
    for (int i = 0; i < 5000; i++)
        pcap_record(&b, false, 1, 1, &p);
    blob_write(&b, path);
    sg_capture *capture;
    sg_capture_options options;
    sg_capture_defaults(&options);
    options.files = FILES(path);
    options.file_count = 1;
    assert_ok(sg_capture_open(&capture, &options));
    sg_capture_event event;
    sg_capture_item item;
    int timeouts = 0;
    do {
        assert_ok(sg_capture_next(capture, 0, &event, &item));
        timeouts += event == SG_CAPTURE_TIME_OUT;
    } while (event != SG_CAPTURE_END);
    assert_in_range(timeouts, 5, 20);
    sg_capture_close(capture);
    blob_free(&b);
}

/* ---- errors ---- */

static sg_status open_only(const char *const *paths, const char *filter)
{
    sg_capture *capture;
    sg_capture_options options;
    sg_capture_defaults(&options);
    options.files = paths;
    options.filter = filter;
    while (paths[options.file_count])
        options.file_count++;
    sg_status status = sg_capture_open(&capture, &options);
    sg_capture_close(capture);
    return status;
}

static void says_what_is_wrong_with_a_file(void **state)
{
    (void)state;
    blob b = {0};
    pcap_simple(&b, 1, 1);
    blob_write(&b, path);
    assert_fails(SG_E_IO, "cannot open '/nonexistent'", open_only(FILES("/nonexistent"), NULL));
    assert_fails(SG_E_IO, "cannot open '/nonexistent'", open_only(FILES(path, "/nonexistent"), NULL));
    assert_fails(SG_E_IO, "is a folder", open_only(FILES(folder), NULL));
    assert_fails(SG_E_USAGE, "bad filter 'udp prt 5060'", open_only(FILES(path), "udp prt 5060"));
    assert_fails(SG_E_USAGE, "no source", open_only((const char *const[]){NULL}, NULL));
    b.size = 0;
    blob_add(&b, "", 0);
    blob_write(&b, path);
    assert_fails(SG_E_FORMAT, "is empty", open_only(FILES(path), NULL));
    blob_add(&b, "ab", 2);
    blob_write(&b, path);
    assert_fails(SG_E_FORMAT, "not a capture file", open_only(FILES(path), NULL));
    blob_add(&b, "this is a text and no capture at all\n", 37);
    blob_write(&b, path);
    assert_fails(SG_E_FORMAT, "not a capture file", open_only(FILES(path), NULL));
    b.size = 0;
    pcap_simple(&b, 1, 1);
    b.data[4] = 9; /* a version that does not exist */
    blob_write(&b, path);
    assert_fails(SG_E_FORMAT, "not a capture file", open_only(FILES(path), NULL));
    blob_free(&b);
}

static void refuses_limits_that_make_no_sense(void **state)
{
    (void)state;
    sg_capture *capture;
    sg_capture_options options, good;
    sg_capture_defaults(&good);
    good.files = FILES("/dev/null");
    good.file_count = 1;
    options = good, options.tcp_streams_max = 1;
    assert_fails(SG_E_USAGE, "TCP streams", sg_capture_open(&capture, &options));
    options = good, options.fragments_max = 0;
    assert_fails(SG_E_USAGE, "fragmented", sg_capture_open(&capture, &options));
    options = good, options.message_max = 5 << 20;
    assert_fails(SG_E_USAGE, "sixteenth", sg_capture_open(&capture, &options));
    options = good, options.hep_clients_max = -1;
    assert_fails(SG_E_USAGE, "clients", sg_capture_open(&capture, &options));
    options = good, options.duplicate_window_us = -1;
    assert_fails(SG_E_USAGE, "negative", sg_capture_open(&capture, &options));
    assert_fails(SG_E_FORMAT, "is empty", sg_capture_open(&capture, &good));
}

/* Any byte of a small file changed, any length: an error or some messages, never more. */
static void survives_damage_anywhere(void **state)
{
    (void)state;
    sg_capture *capture;
    sg_capture_options options;
    sg_capture_event event;
    sg_capture_item item;
    sg_capture_defaults(&options);
    options.tcp_streams_max = 64;
    options.files = FILES(path);
    options.file_count = 1;
    for (int ng = 0; ng < 2; ng++) {
        blob b = {0};
        if (ng) {
            ng_begin(&b);
            ng_interface(&b, 101, 65535);
            options_packet(&p, 1);
            ng_packet(&b, 0, 1, &p);
        } else {
            pcap_simple(&b, 1, 1);
        }
        for (size_t at = 0; at < b.size; at++) {
            uint8_t kept = b.data[at];
            b.data[at] = (uint8_t)(kept + 0x7f);
            blob_write(&b, path);
            b.data[at] = kept;
            if (sg_capture_open(&capture, &options) != SG_OK)
                continue;
            do {
                if (sg_capture_next(capture, -1, &event, &item) != SG_OK)
                    event = SG_CAPTURE_TIME_OUT;
            } while (event != SG_CAPTURE_END);
            sg_capture_close(capture);
        }
        blob_free(&b);
    }
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(reads_both_byte_orders_and_both_clocks),
        IN_FOLDER(accepts_odd_headers),
        IN_FOLDER(a_cut_record_is_counted),
        IN_FOLDER(a_damaged_record_is_an_error_of_that_file),
        IN_FOLDER(reads_gzip),
        IN_FOLDER(reads_pcapng),
        IN_FOLDER(reads_several_files_as_one),
        IN_FOLDER(filters_files),
        IN_FOLDER(reads_pipes_as_they_come),
        IN_FOLDER(returns_in_time),
        IN_FOLDER(says_what_is_wrong_with_a_file),
        IN_FOLDER(refuses_limits_that_make_no_sense),
        IN_FOLDER(survives_damage_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
