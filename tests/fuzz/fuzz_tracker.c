/* A tracker, sources and an alphabet under any sequence of messages and times, with limits so small that all
 * of them are met.  Each event is a few bytes that choose from small sets, so that messages belong together.
 */
#include "sip/alphabet.h"
#include "sip/sources.h"
#include "sip/tracker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { USER = 40, EVENT = 10 };

static void expect(bool what)
{
    if (!what)
        abort();
}

typedef struct {
    uint64_t ended, messages;
} totals;

static void note_end(void *context, sg_dialog *dialog, sg_end end)
{
    totals *sum = context;
    unsigned char user[USER];
    memcpy(user, sg_dialog_user(dialog), USER);
    expect((unsigned)end < SG_ENDS && (unsigned)dialog->state < SG_DIALOG_STATES);
    expect(user[0] == user[USER - 1] && user[0] == dialog->call_id_whole % 256);
    expect(strlen(dialog->call_id) <= dialog->call_id_length && dialog->call_id_length <= SG_CALL_ID_KEPT);
    expect(dialog->length + dialog->truncated + dialog->untyped <= dialog->messages);
    for (uint32_t n = 0; n < dialog->length; n++)
        expect(dialog->types[n] > 0);
    sum->ended++;
    sum->messages += dialog->messages;
}

/* An event's message, into text; its size. */
static size_t write_message(const uint8_t *event, char *text, size_t room)
{
    static const char *const methods[] = {"INVITE", "ACK",    "BYE",     "CANCEL", "REGISTER", "SUBSCRIBE",
                                          "NOTIFY", "UPDATE", "OPTIONS", "REFER",  "FOO"};
    static const int codes[] = {100, 180, 200, 202, 302, 401, 404, 487, 503, 20, 999};
    const char *method = methods[event[0] % 11];
    int at = event[1] & 1 ? snprintf(text, room, "SIP/2.0 %d x\r\n", codes[event[1] / 2 % 11])
                          : snprintf(text, room, "%s sip:%d@h SIP/2.0\r\n", method, event[1]);
    at += snprintf(text + at, room - (size_t)at,
                   "Via: SIP/2.0/UDP h;branch=%d\r\nCSeq: %d %s\r\nFrom: <a>;tag=%d\r\nTo: <b>;tag=%d\r\n",
                   event[2] % 8, event[2] / 8, method, event[3] % 4, event[3] / 4 % 8);
    at += snprintf(text + at, room - (size_t)at, "Expires: %d\r\n%sCall-ID: %d", event[3] * 100,
                   event[3] & 1 ? "Subscription-State: terminated\r\n" : "", event[4]);
    size_t length = event[5] % 16 ? 0 : event[5] * 8u; /* some Call-IDs are long */
    memset(text + at, 'c', length);
    return (size_t)at + length;
}

static void set_time(const uint8_t *event, int64_t *time_us)
{
    static const int64_t steps[] = {0,         1000,       500000,           33000000,
                                    200000000, -1000000,   -40000000,        -90000000,
                                    1 << 30,   4000000000, 4000000000000000, -4000000000000000};
    *time_us = (int64_t)((uint64_t)*time_us + (uint64_t)steps[event[6] % 12] * (event[7] % 4u));
}

static void play(sg_tracker *tracker, sg_sources *sources, const sg_alphabet *alphabet, const uint8_t *bytes,
                 size_t size)
{
    int64_t time_us = 1700000000000000;
    for (; size >= EVENT; bytes += EVENT, size -= EVENT) {
        char text[4096];
        sg_sip_message message;
        sg_tracked tracked;
        sg_source source;
        set_time(bytes, &time_us);
        if (bytes[9] == 0) {
            sg_tracker_advance(tracker, time_us);
            continue;
        }
        expect(sg_sip_read(&message, text, write_message(bytes, text, sizeof text)));
        sg_flow flow = {.time_us = time_us};
        flow.source.family = flow.destination.family = 4;
        flow.source.address[0] = bytes[8] % 16;
        flow.destination.address[0] = bytes[8] / 16;
        uint16_t type = sg_alphabet_id(alphabet, &message, NULL);
        expect(type <= sg_alphabet_size(alphabet));
        expect(sg_tracker_add(tracker, &message, &flow, type, &tracked) == SG_OK);
        expect(sg_tracker_find(tracker, message.call_id) == tracked.dialog);
        memset(sg_dialog_user(tracked.dialog), (int)(message.call_id.length % 256), USER);
        expect(sg_sources_add(sources, &message, &flow, tracked.repeated, &source) < 1u << SG_SOURCE_RULES);
        expect(source.requests + source.responses > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char *const names[] = {"INVITE", "ACK", "200", "180", "OTHER-method", "4xx-other"};
    totals sum = {0, 0};
    sg_tracker *tracker;
    sg_sources *sources;
    sg_alphabet *alphabet;
    sg_tracker_options options;
    sg_source_options source_options;
    sg_tracker_counts counts;
    if (size < 2)
        return 0;
    sg_tracker_defaults(&options);
    options.dialogs_max = 1 + bytes[0] % 64;
    options.messages_max = 1 + bytes[1];
    options.repeats = bytes[0] & 1 ? SG_REPEATS_COLLAPSE : SG_REPEATS_KEEP;
    options.bytes_max = 300000;
    options.any_seed = true;
    options.user_size = USER;
    options.ended = note_end;
    options.context = &sum;
    sg_source_defaults(&source_options);
    source_options.sources_max = 1 + bytes[1] % 8;
    source_options.any_seed = true;
    expect(sg_tracker_open(&tracker, &options) == SG_OK);
    expect(sg_sources_open(&sources, &source_options) == SG_OK);
    expect(sg_alphabet_open(&alphabet, SG_RULE_PAPER, names, 6) == SG_OK);
    play(tracker, sources, alphabet, bytes + 2, size - 2);
    sg_tracker_flush(tracker);
    sg_tracker_counts_now(tracker, &counts);
    expect(counts.dialogs == 0 && counts.begun == sum.ended && counts.messages == sum.messages);
    expect(counts.bytes_peak <= 300000);
    sg_tracker_close(tracker);
    sg_sources_close(sources);
    sg_alphabet_close(alphabet);
    return 0;
}
