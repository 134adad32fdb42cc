#include "capture/pcap_out.h"
#include "decoding.h"
#include "files.h"

#include <sys/resource.h>
#include <sys/stat.h>

static char folder[128], path[200], other[200];
static pw_packet p;

static int make_folder(void **state)
{
    (void)state;
    make_test_folder(folder);
    snprintf(path, sizeof path, "%s/out.pcap", folder);
    snprintf(other, sizeof other, "%s/in.pcap", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    unlink(other);
    return rmdir(folder);
}

/* Reads a capture and writes all its messages to `path`. */
static void copy_messages(const char *from, sg_counts *counts)
{
    sg_capture *capture;
    sg_pcap_out *out;
    sg_capture_options options;
    sg_capture_event event = SG_CAPTURE_MESSAGE;
    sg_capture_item item;
    sg_capture_defaults(&options);
    options.files = &from;
    options.file_count = 1;
    assert_ok(sg_capture_open(&capture, &options));
    assert_ok(sg_pcap_out_open(&out, path, true));
    for (;;) {
        assert_ok(sg_capture_next(capture, -1, &event, &item));
        if (event == SG_CAPTURE_END)
            break;
        assert_ok(sg_pcap_out_write(out, &item));
    }
    sg_capture_counts(capture, counts);
    assert_ok(sg_pcap_out_close(out));
    sg_capture_close(capture);
}

static void writes_packets_as_they_were(void **state)
{
    (void)state;
    blob b = {0};
    sg_counts counts;
    pcap_begin(&b, false, false, 1);
    for (int i = 1; i <= 3; i++) {
        options_packet(&p, i);
        pw_ethernet(&p, 0x0800);
        pcap_record(&b, false, 1700000000, (uint32_t)i, &p);
    }
    blob_write(&b, other);
    copy_messages(other, &counts);
    FILE *in = fopen(path, "rb");
    uint8_t bytes[1000];
    size_t size = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    assert_int_equal(size, b.size);
    assert_memory_equal(bytes + 24, b.data + 24, size - 24);
    assert_int_equal(bytes[20], 1);
    blob_free(&b);
}

/* Messages that no single packet holds become datagrams of their own, over every link. */
static void makes_packets_of_the_rest(void **state)
{
    (void)state;
    static const int links[] = {SG_LINK_ETHERNET, SG_LINK_RAW, SG_LINK_SLL, SG_LINK_SLL2, SG_LINK_NULL};
    for (size_t l = 0; l < sizeof links / sizeof *links; l++) {
        sg_pcap_out *out;
        reading r;
        decoding *d = decoding_open(NULL);
        assert_ok(sg_pcap_out_open(&out, path, true));
        options_packet(&p, 1);
        if (links[l] == SG_LINK_ETHERNET)
            pw_ethernet(&p, 0x0800);
        else if (links[l] == SG_LINK_SLL)
            pw_put16(pw_push(&p, 16) + 14, 0x0800);
        else if (links[l] == SG_LINK_SLL2)
            pw_put16(pw_push(&p, 20), 0x0800);
        else if (links[l] == SG_LINK_NULL)
            pw_push(&p, 4)[0] = 2;
        guarded g = guarded_copy(p.at, p.size);
        sg_packet one = {.data = g.data,
                         .captured = (uint32_t)p.size,
                         .length = (uint32_t)p.size,
                         .link = links[l],
                         .time_us = d->time_us};
        sg_capture_item item;
        sg_decoder_packet(d->decoder, &one);
        assert_true(sg_decoder_next(d->decoder, &item));
        assert_ok(sg_pcap_out_write(out, &item));
        guarded_free(&g);
        sg_flow six = {.time_us = 5000001,
                       .source = {6, {0x20, 1, [15] = 1}, 5060},
                       .destination = {6, {[15] = 2}, 5070}};
        assert_ok(sg_pcap_out_write_message(out, &six, "BYE sip:a SIP/2.0\r\nCall-ID: 2\r\n\r\n", 33));
        item.frame_whole = false; /* one of several segments */
        item.data = "BYE sip:a SIP/2.0\r\nCall-ID: 3\r\n\r\n", item.length = 33;
        assert_ok(sg_pcap_out_write(out, &item));
        uint64_t written, lost;
        sg_pcap_out_counts(out, &written, &lost);
        assert_int_equal(written, 3);
        assert_int_equal(lost, 0);
        read_files(&r, FILES(path), NULL); /* each message can be read at once */
        assert_string_equal(r.ids, "1 2 3");
        assert_int_equal(r.counts.count[SG_COUNT_PACKETS], 3);
        assert_ok(sg_pcap_out_close(out));
        decoding_close(d);
    }
}

static void cuts_what_no_datagram_holds(void **state)
{
    (void)state;
    sg_pcap_out *out;
    reading r;
    size_t size = 200000;
    char *text = malloc(size);
    memset(text, 'x', size);
    memcpy(text, "OPTIONS sip:a@b SIP/2.0\r\nCall-ID: 1\r\n\r\n", 39);
    sg_flow flow = {.source = {4, {10, 0, 0, 1}, 1}, .destination = {4, {10, 0, 0, 2}, 2}};
    assert_ok(sg_pcap_out_open(&out, path, true));
    assert_ok(sg_pcap_out_write_message(out, &flow, text, size));
    assert_ok(sg_pcap_out_close(out));
    read_files(&r, FILES(path), NULL);
    assert_string_equal(r.ids, "1");
    free(text);
}

static void refuses_to_overwrite(void **state)
{
    (void)state;
    sg_pcap_out *out;
    reading r;
    assert_ok(sg_pcap_out_open(&out, path, false));
    assert_ok(sg_pcap_out_close(out)); /* without messages it is still a capture */
    read_files(&r, FILES(path), NULL);
    assert_int_equal(r.messages, 0);
    assert_fails(SG_E_IO, "--force", sg_pcap_out_open(&out, path, false));
    assert_ok(sg_pcap_out_open(&out, path, true));
    assert_ok(sg_pcap_out_close(out));
    assert_fails(SG_E_IO, "cannot write", sg_pcap_out_open(&out, "/nonexistent/x", false));
    assert_ok(sg_pcap_out_close(NULL));
}

static void reports_a_full_disk_once(void **state)
{
    (void)state;
    sg_pcap_out *out;
    sg_flow flow = {.source = {4, {10, 0, 0, 1}, 1}, .destination = {4, {10, 0, 0, 2}, 2}};
    if (access("/dev/full", W_OK) != 0)
        skip();
    assert_ok(sg_pcap_out_open(&out, "/dev/full", true));
    assert_fails(SG_E_IO, "No space left", sg_pcap_out_write_message(out, &flow, "x", 1));
    assert_ok(sg_pcap_out_write_message(out, &flow, "x", 1));
    uint64_t written, lost;
    sg_pcap_out_counts(out, &written, &lost);
    assert_int_equal(written, 0);
    assert_int_equal(lost, 2);
    assert_ok(sg_pcap_out_close(out));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(writes_packets_as_they_were), IN_FOLDER(makes_packets_of_the_rest),
        IN_FOLDER(cuts_what_no_datagram_holds), IN_FOLDER(refuses_to_overwrite),
        IN_FOLDER(reports_a_full_disk_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
