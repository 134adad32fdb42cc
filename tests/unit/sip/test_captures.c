/* Real traffic against another reader's account of it: tshark's, beside each capture.  Only whole UDP
 * datagrams in Ethernet frames are looked at here; the rest is the business of src/capture. */
#include "sip/alphabet.h"
#include "sip/frame.h"
#include "sip/tracker.h"
#include "sip_case.h"

static char line_text[4096];

/* The next datagram of a pcap file in the byte order of this machine, its flow and payload; false at the end.
 */
static bool next_datagram(FILE *in, sg_flow *flow, char payload[65536], size_t *size)
{
    uint32_t head[4];
    static unsigned char frame[70000];
    while (fread(head, sizeof head, 1, in) == 1) {
        assert_true(head[2] <= sizeof frame);
        assert_int_equal(fread(frame, 1, head[2], in), head[2]);
        size_t udp = 14 + (size_t)(frame[14] & 15) * 4;
        if (head[2] < udp + 8 || frame[12] != 8 || frame[13] != 0 || frame[23] != 17)
            continue;
        *size = (size_t)(frame[udp + 4] << 8 | frame[udp + 5]) - 8;
        assert_true(udp + 8 + *size <= head[2]);
        *flow = (sg_flow){.time_us = (int64_t)head[0] * 1000000 + head[1]};
        flow->source.family = flow->destination.family = 4;
        memcpy(flow->source.address, frame + 26, 4);
        memcpy(flow->destination.address, frame + 30, 4);
        flow->source.port = (uint16_t)(frame[udp] << 8 | frame[udp + 1]);
        flow->destination.port = (uint16_t)(frame[udp + 2] << 8 | frame[udp + 3]);
        memcpy(payload, frame + udp + 8, *size);
        return true;
    }
    return false;
}

/* The call id, type, CSeq number and method of the next line of the truth. */
static bool next_truth(FILE *in, char *fields[4])
{
    char *at = line_text;
    if (!fgets(line_text, sizeof line_text, in))
        return false;
    for (int column = 0; column < 6; column++) {
        char *end = strchr(at, '\t');
        assert_non_null(end);
        *end = '\0';
        if (column >= 2)
            fields[column - 2] = at;
        at = end + 1;
    }
    return true;
}

static FILE *open_capture(const char *name)
{
    char command[600];
    uint32_t head[6];
    snprintf(command, sizeof command, "gzip -dc '%s/open/%s.gz' 2>/dev/null", SG_SHARED_CAPTURES, name);
    FILE *in = popen(command, "r");
    assert_non_null(in);
    if (fread(head, sizeof head, 1, in) != 1) {
        pclose(in);
        print_message("no captures here\n");
        skip();
    }
    assert_int_equal(head[0], 0xa1b2c3d4); /* microseconds */
    assert_int_equal(head[5], 1);          /* Ethernet */
    return in;
}

static void assert_as_truth(const sg_sip_message *message, char *const fields[4], long frame)
{
    char type[SG_TYPE_NAME], number[16];
    sg_type_name(message, SG_RULE_PAPER, type);
    snprintf(number, sizeof number, "%u", message->cseq);
    if (!text_is(message->call_id, fields[0]) || strcmp(type, fields[1]) != 0 ||
        strcmp(number, fields[2]) != 0 || !text_is(message->cseq_name, fields[3]))
        fail_msg("message %ld: %.*s %s %s %.*s instead of %s %s %s %s", frame, (int)message->call_id.length,
                 message->call_id.data, type, number, (int)message->cseq_name.length, message->cseq_name.data,
                 fields[0], fields[1], fields[2], fields[3]);
}

static FILE *open_truth(const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/open/%s.truth.tsv", SG_SHARED_CAPTURES, name);
    FILE *truth = fopen(path, "r");
    assert_non_null(truth);
    assert_non_null(fgets(line_text, sizeof line_text, truth));
    return truth;
}

static void reads_what_tshark_reads(void **state)
{
    (void)state;
    static const char *const names[] = {"normal_udp.pcap", "attacks.pcap", "hep_unwrapped.pcap",
                                        "hep_raw_2leg.pcap"};
    static char payload[65536];
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        FILE *in = open_capture(names[n]), *truth = open_truth(names[n]);
        char *fields[4];
        long messages = 0;
        size_t size, length;
        sg_flow flow;
        sg_sip_message message;
        while (next_datagram(in, &flow, payload, &size)) {
            if (sg_sip_frame_datagram(payload, size, &length) != SG_FRAME_COMPLETE)
                continue;
            assert_true(sg_sip_read(&message, payload, size));
            assert_true(next_truth(truth, fields));
            assert_as_truth(&message, fields, ++messages);
        }
        assert_false(next_truth(truth, fields));
        assert_true(messages > 8000);
        fclose(truth);
        pclose(in);
    }
}

static void note_end(void *context, sg_dialog *dialog, sg_end end)
{
    (void)dialog;
    ((int *)context)[end]++;
}

/* Normal traffic: one dialog for each Call-ID, nothing suspicious, and all of them end properly but those
 * that were going on at the end (and one that lost messages). */
static void follows_normal_traffic(void **state)
{
    (void)state;
    static char payload[65536];
    int by_end[SG_ENDS] = {0};
    FILE *in = open_capture("normal_udp.pcap");
    sg_tracker *tracker;
    sg_tracker_options options;
    sg_tracker_counts counts;
    sg_tracker_defaults(&options);
    options.ended = note_end;
    options.context = by_end;
    assert_ok(sg_tracker_open(&tracker, &options));
    size_t size;
    sg_flow flow;
    sg_sip_message message;
    sg_tracked tracked;
    while (next_datagram(in, &flow, payload, &size))
        if (sg_sip_read(&message, payload, size))
            assert_ok(sg_tracker_add(tracker, &message, &flow, 1, &tracked));
    pclose(in);
    sg_tracker_flush(tracker);
    sg_tracker_counts_now(tracker, &counts);
    sg_tracker_close(tracker);
    assert_int_equal(counts.messages, 28216);
    assert_int_equal(counts.begun, 3585);
    for (int flag = 0; flag < SG_FLAG_BITS; flag++)
        assert_int_equal(counts.flags[flag], 0);
    assert_int_equal(by_end[SG_END_STRAY] + by_end[SG_END_EVICTED] + by_end[SG_END_OPEN], 0);
    assert_true(by_end[SG_END_TIMED_OUT] <= 1 && by_end[SG_END_FLUSHED] < 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_tshark_reads),
        cmocka_unit_test(follows_normal_traffic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
