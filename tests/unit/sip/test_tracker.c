#include "tracker_case.h"

static ends over;
static sg_tracker *tracker;

static sg_tracker_options options(void)
{
    sg_tracker_options o;
    sg_tracker_defaults(&o);
    o.any_seed = true;
    o.ended = note_end;
    o.context = &over;
    return o;
}

static void open_with(sg_tracker_options o)
{
    memset(&over, 0, sizeof over);
    assert_ok(sg_tracker_open(&tracker, &o));
}

static int set_up(void **state)
{
    (void)state;
    open_with(options());
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sg_tracker_close(tracker);
    tracker = NULL;
    return 0;
}

/* After `at` seconds the dialog is there; a tick later it has ended so. */
static void assert_ends(double at, sg_end end)
{
    int before = over.count;
    sg_tracker_advance(tracker, (int64_t)((at - 0.001) * 1e6));
    assert_int_equal(over.count, before);
    sg_tracker_advance(tracker, (int64_t)((at + 0.125) * 1e6));
    if (over.count != before + 1)
        fail_msg("%d ends instead of one at %g s", over.count - before, at);
    assert_string_equal(sg_end_text(over.last), sg_end_text(end));
}

static sg_dialog_state state_now(void)
{
    sg_dialog *dialog = sg_tracker_find(tracker, (sg_text){"call", 4});
    assert_non_null(dialog);
    return dialog->state;
}

static void call_up(double from)
{
    say(tracker, from, "INVITE");
    say(tracker, from + 0.1, "100 INVITE", .from = 2, .to = 1);
    say(tracker, from + 1, "180 INVITE", .to_tag = "t", .from = 2, .to = 1);
    say(tracker, from + 2, "200 INVITE", .to_tag = "t", .from = 2, .to = 1);
    say(tracker, from + 2.1, "ACK", .to_tag = "t");
    assert_int_equal(state_now(), SG_DIALOG_ESTABLISHED);
}

static void a_call_from_end_to_end(void **state)
{
    (void)state;
    sg_tracked tracked = say(tracker, 0, "INVITE");
    assert_true(tracked.fresh && tracked.kept && !tracked.over && !tracked.repeated);
    assert_int_equal(state_now(), SG_DIALOG_CALLING);
    say(tracker, 1, "180 INVITE", .to_tag = "t", .from = 2, .to = 1);
    assert_int_equal(state_now(), SG_DIALOG_PROCEEDING);
    say(tracker, 2, "200 INVITE", .to_tag = "t", .from = 2, .to = 1);
    assert_int_equal(state_now(), SG_DIALOG_ANSWERED);
    say(tracker, 3, "ACK", .to_tag = "t");
    assert_int_equal(state_now(), SG_DIALOG_ESTABLISHED);
    say(tracker, 100, "BYE", .cseq = 2, .from_tag = "t", .to_tag = "f", .from = 2, .to = 1);
    assert_int_equal(state_now(), SG_DIALOG_ENDING);
    tracked = say(tracker, 101, "200 BYE", .cseq = 2, .from_tag = "t", .to_tag = "f");
    assert_true(tracked.over && !tracked.fresh);
    assert_int_equal(state_now(), SG_DIALOG_COMPLETED);
    assert_int_equal(tracked.dialog->flags, 0);
    assert_int_equal(tracked.dialog->sources, 2);
    assert_ends(133, SG_END_COMPLETE);
    assert_string_equal(over.call_id, "call");
    assert_string_equal(over.types, "1 1 1 1 1 1");
    assert_int_equal(over.dialog.start_us, 0);
    assert_int_equal(over.dialog.last_us, 101000000);
    assert_int_equal(over.dialog.first.source.address[3], 1);
}

static void a_bye_without_answer_ends_a_call(void **state)
{
    (void)state;
    call_up(0);
    say(tracker, 10, "BYE", .cseq = 2, .to_tag = "t");
    assert_ends(42, SG_END_COMPLETE);
}

static void silent_calls_are_open(void **state)
{
    (void)state;
    call_up(0);
    say(tracker, 1000, "UPDATE", .cseq = 2, .to_tag = "t");
    assert_ends(1000 + 14400, SG_END_OPEN);
}

static void nobody_answers(void **state)
{
    (void)state;
    say(tracker, 0, "INVITE", .branch = "x");
    say(tracker, 0.5, "INVITE", .branch = "x");
    say(tracker, 31.5, "INVITE", .branch = "x");
    assert_ends(32, SG_END_TIMED_OUT);
    assert_int_equal(over.dialog.repeats, 2);
    say(tracker, 100, "INVITE");
    say(tracker, 110, "183 INVITE", .from = 2, .to = 1);
    assert_ends(290, SG_END_TIMED_OUT);
    say(tracker, 300, "INVITE");
    say(tracker, 301, "200 INVITE", .from = 2, .to = 1, .to_tag = "t");
    assert_ends(365, SG_END_TIMED_OUT);
    say(tracker, 400, "OPTIONS");
    assert_ends(432, SG_END_TIMED_OUT);
}

static void refused_calls(void **state)
{
    (void)state;
    say(tracker, 0, "INVITE");
    sg_tracked tracked = say(tracker, 1, "486 INVITE", .to_tag = "t", .from = 2, .to = 1);
    assert_true(tracked.over);
    assert_int_equal(tracked.dialog->code, 486);
    say(tracker, 2, "ACK", .to_tag = "t");
    assert_ends(34, SG_END_REFUSED);
}

static void a_challenge_waits_for_the_retry(void **state)
{
    (void)state;
    say(tracker, 0, "INVITE");
    assert_false(say(tracker, 1, "407 INVITE", .to_tag = "p", .from = 2, .to = 1).over);
    say(tracker, 1.1, "ACK", .to_tag = "p");
    say(tracker, 30, "INVITE", .cseq = 2);
    assert_int_equal(state_now(), SG_DIALOG_CALLING);
    say(tracker, 31, "200 INVITE", .cseq = 2, .to_tag = "t", .from = 2, .to = 1);
    say(tracker, 32, "ACK", .cseq = 2, .to_tag = "t");
    assert_int_equal(state_now(), SG_DIALOG_ESTABLISHED);
    assert_int_equal(over.count, 0);
}

static void cancelled_calls(void **state)
{
    (void)state;
    say(tracker, 0, "INVITE");
    say(tracker, 1, "180 INVITE", .to_tag = "t", .from = 2, .to = 1);
    say(tracker, 2, "CANCEL");
    assert_int_equal(state_now(), SG_DIALOG_CANCELLING);
    say(tracker, 2.1, "200 CANCEL", .to_tag = "t", .from = 2, .to = 1);
    assert_true(say(tracker, 2.2, "487 INVITE", .to_tag = "t", .from = 2, .to = 1).over);
    say(tracker, 2.3, "ACK", .to_tag = "t");
    assert_ends(34.3, SG_END_CANCELLED);
    /* The answer crosses the CANCEL. */
    say(tracker, 40, "INVITE");
    say(tracker, 41, "CANCEL");
    say(tracker, 41.1, "200 INVITE", .to_tag = "u", .from = 2, .to = 1);
    say(tracker, 41.2, "ACK", .to_tag = "u");
    assert_int_equal(state_now(), SG_DIALOG_ESTABLISHED);
}

static void a_failed_reinvite_leaves_the_call(void **state)
{
    (void)state;
    call_up(0);
    say(tracker, 10, "INVITE", .cseq = 2, .to_tag = "t");
    say(tracker, 11, "491 INVITE", .cseq = 2, .to_tag = "t", .from = 2, .to = 1);
    say(tracker, 12, "ACK", .cseq = 2, .to_tag = "t");
    assert_int_equal(state_now(), SG_DIALOG_ESTABLISHED);
    /* One that crosses the BYE. */
    say(tracker, 20, "BYE", .cseq = 3, .to_tag = "t");
    say(tracker, 21, "200 BYE", .cseq = 3, .to_tag = "t", .from = 2, .to = 1);
    say(tracker, 22, "INVITE", .cseq = 1, .from_tag = "t", .to_tag = "f", .from = 2, .to = 1);
    assert_int_equal(state_now(), SG_DIALOG_COMPLETED);
}

static void registrations_are_cut_by_silence(void **state)
{
    (void)state;
    for (int n = 0; n < 3; n++) {
        double at = n * 60;
        assert_true(say(tracker, at, "REGISTER", .cseq = 2 * n + 1).fresh);
        assert_false(say(tracker, at + 0.1, "401 REGISTER", .cseq = 2 * n + 1, .from = 2, .to = 1).over);
        say(tracker, at + 0.2, "REGISTER", .cseq = 2 * n + 2);
        assert_true(say(tracker, at + 0.3, "200 REGISTER", .cseq = 2 * n + 2, .from = 2, .to = 1).over);
        assert_int_equal(over.count, n);
    }
    sg_tracker_flush(tracker);
    assert_int_equal(over.by_end[SG_END_COMPLETE], 3);
    assert_string_equal(over.types, "1 1 1 1");
}

static void subscriptions(void **state)
{
    (void)state;
    const char active[] = "Subscription-State: active;expires=600\r\n";
    const char done[] = "Subscription-State: TERMINATED;reason=timeout\r\n";
    say(tracker, 0, "SUBSCRIBE", .headers = "Expires: 600\r\n");
    say(tracker, 0.1, "200 SUBSCRIBE", .to_tag = "t", .from = 2, .to = 1);
    say(tracker, 0.2, "NOTIFY", .from_tag = "t", .to_tag = "f", .headers = active, .from = 2, .to = 1);
    say(tracker, 0.3, "200 NOTIFY", .from_tag = "t", .to_tag = "f");
    assert_int_equal(state_now(), SG_DIALOG_SUBSCRIBED);
    say(tracker, 500, "NOTIFY", .cseq = 2, .from_tag = "t", .to_tag = "f", .headers = done, .from = 2,
        .to = 1);
    say(tracker, 501, "200 NOTIFY", .cseq = 2, .from_tag = "t", .to_tag = "f");
    assert_ends(532, SG_END_COMPLETE);
    /* Expiry; the answer may shorten it. */
    say(tracker, 1000, "SUBSCRIBE", .headers = "Expires: 6000\r\n");
    say(tracker, 1001, "202 SUBSCRIBE", .headers = "Expires: 100\r\n", .from = 2, .to = 1);
    assert_ends(1133, SG_END_OPEN);
    /* NOTIFY may come first. */
    say(tracker, 2000, "REFER");
    say(tracker, 2001, "NOTIFY", .headers = done, .from = 2, .to = 1);
    say(tracker, 2001.1, "200 NOTIFY");
    assert_int_equal(state_now(), SG_DIALOG_REQUESTED);
    say(tracker, 2002, "202 REFER", .from = 2, .to = 1);
    assert_ends(2034, SG_END_COMPLETE);
    say(tracker, 3000, "SUBSCRIBE");
    say(tracker, 3001, "489 SUBSCRIBE", .from = 2, .to = 1);
    assert_ends(3033, SG_END_REFUSED);
}

static void copies_are_kept_or_collapsed(void **state)
{
    (void)state;
    for (int repeats = SG_REPEATS_KEEP; repeats <= SG_REPEATS_COLLAPSE; repeats++) {
        sg_tracker_close(tracker);
        sg_tracker_options o = options();
        o.repeats = repeats;
        open_with(o);
        say(tracker, 0, "OPTIONS", .branch = "x");
        sg_tracked tracked = say(tracker, 0.5, "OPTIONS", .branch = "x");
        assert_true(tracked.repeated);
        assert_int_equal(tracked.kept, repeats == SG_REPEATS_KEEP);
        assert_int_equal(tracked.dialog->messages, 2);
        assert_int_equal(tracked.dialog->repeats, 1);
        assert_int_equal(tracked.dialog->length, repeats == SG_REPEATS_KEEP ? 2 : 1);
        /* svcrack: one Call-ID and CSeq, another branch each time. */
        for (int n = 0; n < 100; n++)
            assert_false(say(tracker, 1, "REGISTER", .call_id = "crack").repeated);
        assert_int_equal(sg_tracker_find(tracker, (sg_text){"crack", 5})->length, 100);
    }
}

static void strays_are_told_after_the_first_32_seconds(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        uint32_t flag;
    } cases[] = {
        {"BYE", SG_FLAG_STRAY_REQUEST},
        {"ACK", SG_FLAG_STRAY_REQUEST},
        {"CANCEL", SG_FLAG_STRAY_REQUEST},
        {"PRACK", SG_FLAG_STRAY_REQUEST},
        {"UPDATE", SG_FLAG_STRAY_REQUEST},
        {"200 INVITE", SG_FLAG_STRAY_RESPONSE},
        {"481 FOO", SG_FLAG_STRAY_RESPONSE},
        {"INVITE", 0},
        {"FOO", 0},
        {"NOTIFY", 0},
    };
    for (int late = 0; late < 2; late++) {
        for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
            char call_id[32];
            snprintf(call_id, sizeof call_id, "%d-%zu", late, n);
            sg_tracked tracked = say(tracker, late ? 45 : 10, cases[n].what, .call_id = call_id);
            assert_int_equal(tracked.flags, late ? cases[n].flag : 0);
            assert_int_equal(tracked.dialog->state == SG_DIALOG_STRAY, n < 7);
        }
        say(tracker, 40, "200 BYE", .call_id = "0-0", .from = 2, .to = 1);
    }
    /* What may have begun before the capture goes on being excused. */
    assert_int_equal(say(tracker, 46, "ACK", .call_id = "0-0").flags, 0);
    say(tracker, 50, "REGISTER", .call_id = "r");
    assert_int_equal(say(tracker, 51, "BYE", .call_id = "r").flags, SG_FLAG_STRAY_REQUEST);
    assert_int_equal(say(tracker, 52, "200 OPTIONS", .call_id = "r", .from = 2, .to = 1).flags,
                     SG_FLAG_STRAY_RESPONSE);
    say(tracker, 60, "BYE", .call_id = "s");
    sg_tracker_advance(tracker, 200000000);
    assert_string_equal(over.call_id, "s");
    assert_int_equal(over.last, SG_END_STRAY);
}

static void changes_of_source(void **state)
{
    (void)state;
    call_up(0);
    assert_int_equal(say(tracker, 5, "INFO", .cseq = 2, .to_tag = "t").flags, 0);
    assert_int_equal(say(tracker, 6, "BYE", .cseq = 3, .to_tag = "t", .from = 9).flags,
                     SG_FLAG_SOURCE_CHANGE);
    assert_int_equal(say(tracker, 7, "481 BYE", .cseq = 3, .to_tag = "t", .from = 8, .to = 9).flags,
                     SG_FLAG_ANSWER_SOURCE);
    assert_int_equal(sg_tracker_find(tracker, (sg_text){"call", 4})->sources, 4);
    /* A proxy's legs are learnt as they come, and so are both ends; a third party's CANCEL is not one of
     * them. */
    say(tracker, 10, "INVITE", .call_id = "p", .from = 1, .to = 2);
    assert_int_equal(say(tracker, 10.1, "INVITE", .call_id = "p", .from = 2, .to = 3).flags, 0);
    assert_int_equal(
        say(tracker, 10.2, "180 INVITE", .call_id = "p", .from = 3, .to = 2, .to_tag = "t").flags, 0);
    assert_int_equal(say(tracker, 10.3, "CANCEL", .call_id = "p", .from = 7, .to = 2).flags,
                     SG_FLAG_SOURCE_CHANGE);
    assert_int_equal(say(tracker, 11, "CANCEL", .call_id = "p", .from = 7, .to = 2).flags, 0);
}

static void changes_of_tag(void **state)
{
    (void)state;
    call_up(0);
    assert_int_equal(say(tracker, 3, "INFO", .cseq = 2, .to_tag = "t").flags, 0);
    assert_int_equal(
        say(tracker, 3, "INFO", .cseq = 9, .from_tag = "t", .to_tag = "f", .from = 2, .to = 1).flags, 0);
    assert_int_equal(say(tracker, 4, "BYE", .cseq = 3, .to_tag = "other").flags, SG_FLAG_TAG_CHANGE);
    assert_int_equal(say(tracker, 4, "BYE", .cseq = 4, .from_tag = "x", .to_tag = "y").flags,
                     SG_FLAG_TAG_CHANGE);
    assert_int_equal(say(tracker, 5, "200 INVITE", .to_tag = "second", .from = 2, .to = 1).flags,
                     SG_FLAG_TAG_CHANGE);
    assert_int_equal(sg_tracker_find(tracker, (sg_text){"call", 4})->tag_changes, 3);
    /* Forks before the 2xx, and another From tag with each attempt to register, are usual. */
    say(tracker, 10, "INVITE", .call_id = "k");
    assert_int_equal(say(tracker, 11, "183 INVITE", .call_id = "k", .to_tag = "a", .from = 2, .to = 1).flags,
                     0);
    assert_int_equal(say(tracker, 11, "180 INVITE", .call_id = "k", .to_tag = "b", .from = 2, .to = 1).flags,
                     0);
    assert_int_equal(say(tracker, 12, "200 INVITE", .call_id = "k", .to_tag = "b", .from = 2, .to = 1).flags,
                     0);
    assert_int_equal(say(tracker, 13, "487 INVITE", .call_id = "k", .to_tag = "c", .from = 2, .to = 1).flags,
                     0);
    for (int n = 0; n < 5; n++) {
        char tag[16];
        snprintf(tag, sizeof tag, "r%d", n);
        assert_int_equal(say(tracker, 20, "REGISTER", .call_id = "r", .from_tag = tag).flags, 0);
    }
}

static void call_ids_are_compared_whole(void **state)
{
    (void)state;
    char longer[3000];
    memset(longer, 'x', sizeof longer);
    longer[2999] = '\0';
    assert_true(say(tracker, 0, "OPTIONS", .call_id = longer).fresh);
    assert_false(say(tracker, 0, "OPTIONS", .call_id = longer).fresh);
    longer[2998] = 'y'; /* beyond what is kept */
    sg_tracked tracked = say(tracker, 0, "OPTIONS", .call_id = longer);
    assert_true(tracked.fresh);
    assert_int_equal(tracked.dialog->call_id_length, SG_CALL_ID_KEPT);
    assert_int_equal(tracked.dialog->call_id_whole, 2999);
    assert_int_equal(strlen(tracked.dialog->call_id), SG_CALL_ID_KEPT);
    longer[100] = '\0';
    assert_true(say(tracker, 0, "OPTIONS", .call_id = longer).fresh);
    assert_true(say(tracker, 0, "OPTIONS", .call_id = "ab").fresh);
    assert_true(say(tracker, 0, "OPTIONS", .call_id = "AB").fresh);
    tracked = say(tracker, 0, "OPTIONS", .call_id = "");
    assert_null(tracked.dialog);
    sg_tracker_counts counts;
    sg_tracker_counts_now(tracker, &counts);
    assert_int_equal(counts.no_call_id, 1);
    assert_int_equal(counts.dialogs, 5);
}

static void dialogs_are_bounded_in_messages(void **state)
{
    (void)state;
    sg_tracker_close(tracker);
    sg_tracker_options o = options();
    o.messages_max = SG_DIALOG_MESSAGES_MAX;
    open_with(o);
    for (int n = 0; n < 1000000; n++) {
        sg_sip_message message = {.method = SG_METHOD_INFO, .call_id = {"flood", 5}, .cseq = (uint32_t)n};
        sg_flow flow = flow_at(n * 1e-3, 1, 2);
        sg_tracked tracked;
        assert_ok(sg_tracker_add(tracker, &message, &flow, (uint16_t)(n % 100 + 1), &tracked));
        assert_int_equal(tracked.kept, n < SG_DIALOG_MESSAGES_MAX);
        assert_int_equal(tracked.flags, n < SG_DIALOG_MESSAGES_MAX ? 0 : SG_FLAG_TRUNCATED);
    }
    sg_dialog *dialog = sg_tracker_find(tracker, (sg_text){"flood", 5});
    assert_int_equal(dialog->length, SG_DIALOG_MESSAGES_MAX);
    assert_int_equal(dialog->messages, 1000000);
    for (int n = 0; n < SG_DIALOG_MESSAGES_MAX; n++)
        assert_int_equal(dialog->types[n], n % 100 + 1);
    sg_tracked tracked;
    sg_sip_message message = {.method = SG_METHOD_INFO, .call_id = {"x", 1}};
    sg_flow flow = flow_at(1000, 1, 2);
    assert_ok(sg_tracker_add(tracker, &message, &flow, 0, &tracked)); /* no type: not kept, but counted */
    assert_false(tracked.kept);
    assert_int_equal(tracked.dialog->untyped, 1);
}

/* New Call-IDs without end, of all lengths: the limits hold, and the oldest goes first. */
static void a_flood_of_call_ids(void **state)
{
    (void)state;
    static char call_id[2000];
    sg_tracker_close(tracker);
    sg_tracker_options o = options();
    o.dialogs_max = 20000;
    o.bytes_max = 16 << 20;
    open_with(o);
    sg_tracker_counts counts;
    uint64_t last_ended = 0;
    for (int n = 0; n < 300000; n++) {
        size_t length = n % 7 ? 20 : 20 + (size_t)n % 1900;
        memset(call_id, 'c', length);
        memcpy(call_id, &n, sizeof n);
        sg_sip_message message = {.method = SG_METHOD_OPTIONS, .call_id = {call_id, (uint32_t)length}};
        sg_flow flow = flow_at(n * 1e-5, 1, 2);
        sg_tracked tracked;
        assert_ok(sg_tracker_add(tracker, &message, &flow, 1, &tracked));
        assert_true(tracked.fresh);
        assert_true(over.count == 0 || over.dialog.serial >= last_ended);
        last_ended = over.dialog.serial;
    }
    sg_tracker_counts_now(tracker, &counts);
    assert_true(counts.bytes_peak <= 16 << 20);
    assert_true(counts.dialogs > 8000 && counts.dialogs <= 20000);
    assert_int_equal(counts.ended[SG_END_EVICTED], 300000 - counts.dialogs);
    assert_int_equal(counts.evicted, counts.ended[SG_END_EVICTED]);
    /* Twenty thousand dialogs at once take little. */
    sg_tracker_close(tracker);
    o.bytes_max = 0;
    open_with(o);
    for (int n = 0; n < 20000; n++) {
        snprintf(call_id, sizeof call_id, "%d-0123456789abcdef0123456789abcdef@host", n);
        sg_sip_message message = {.method = SG_METHOD_OPTIONS,
                                  .call_id = {call_id, (uint32_t)strlen(call_id)}};
        sg_flow flow = flow_at(0, 1, 2);
        sg_tracked tracked;
        assert_ok(sg_tracker_add(tracker, &message, &flow, 1, &tracked));
    }
    sg_tracker_counts_now(tracker, &counts);
    assert_int_equal(counts.dialogs, 20000);
    assert_true(counts.bytes < 32 << 20);
}

static void times_that_cannot_be(void **state)
{
    (void)state;
    sg_tracker_counts counts;
    call_up(0);
    say(tracker, 4291747200.0, "OPTIONS", .call_id = "2106"); /* alone in the year 2106 */
    assert_int_equal(over.count, 0);
    say(tracker, 5, "INFO", .cseq = 2, .to_tag = "t");
    say(tracker, -1e12, "OPTIONS", .call_id = "long ago");
    say(tracker, 6, "INFO", .cseq = 3, .to_tag = "t");
    assert_int_equal(state_now(), SG_DIALOG_ESTABLISHED);
    sg_tracker_counts_now(tracker, &counts);
    assert_int_equal(counts.steps_ahead, 1);
    assert_int_equal(counts.steps_back, 1);
    /* A pause that two messages agree on. */
    assert_true(say(tracker, 20000, "OPTIONS", .call_id = "a").fresh);
    assert_int_equal(over.by_end[SG_END_OPEN], 0);
    assert_false(say(tracker, 20000.1, "200 OPTIONS", .call_id = "a", .from = 2, .to = 1).fresh);
    assert_int_equal(over.by_end[SG_END_OPEN], 1);
    /* The clock is set back: no time passes, and then it goes on. */
    say(tracker, 100, "OPTIONS", .call_id = "b");
    say(tracker, 101, "200 OPTIONS", .call_id = "b", .from = 2, .to = 1);
    assert_false(say(tracker, 110, "OPTIONS", .call_id = "b").fresh);
    assert_non_null(sg_tracker_find(tracker, (sg_text){"a", 1}));
    say(tracker, 140, "OPTIONS", .call_id = "c");
    assert_null(sg_tracker_find(tracker, (sg_text){"a", 1}));
    /* Slightly out of order. */
    assert_false(say(tracker, 139, "200 OPTIONS", .call_id = "c", .from = 2, .to = 1).fresh);
    for (int n = 0; n < 20; n++) {
        say(tracker, n % 2 ? 9e12 : -9e12, "OPTIONS", .call_id = "ends of time");
        sg_tracker_advance(tracker, n % 2 ? INT64_MAX : INT64_MIN);
    }
    sg_tracker_flush(tracker);
    sg_tracker_counts_now(tracker, &counts);
    assert_int_equal(counts.dialogs, 0);
}

/* A message after a pause finds its own dialog ended, though nobody has confirmed the pause yet. */
static void a_lonely_user_agent(void **state)
{
    (void)state;
    for (int n = 0; n < 10; n++)
        assert_true(say(tracker, n * 3600.0, "REGISTER").fresh);
    assert_int_equal(over.by_end[SG_END_TIMED_OUT], 9);
}

static void the_callers_share_and_looking_round(void **state)
{
    (void)state;
    sg_tracker_close(tracker);
    sg_tracker_options o = options();
    o.user_size = 100;
    open_with(o);
    char *user = sg_dialog_user(say(tracker, 0, "OPTIONS", .call_id = "a").dialog);
    assert_int_equal((uintptr_t)user % 16, 0);
    for (int n = 0; n < 100; n++)
        assert_int_equal(user[n], 0);
    memset(user, 7, 100);
    say(tracker, 1, "OPTIONS", .call_id = "b");
    say(tracker, 2, "OPTIONS", .call_id = "c");
    sg_dialog *dialog = say(tracker, 3, "OPTIONS", .call_id = "a").dialog;
    assert_int_equal(((char *)sg_dialog_user(dialog))[99], 7);
    char order[8] = "";
    for (dialog = sg_tracker_first(tracker); dialog; dialog = sg_tracker_next(tracker, dialog))
        strcat(order, dialog->call_id);
    assert_string_equal(order, "bca");
    sg_tracker_flush(tracker);
    assert_int_equal(over.by_end[SG_END_FLUSHED], 3);
    assert_null(sg_tracker_first(tracker));
    user = sg_dialog_user(say(tracker, 4, "OPTIONS", .call_id = "a").dialog);
    assert_int_equal(user[50], 0);
}

static void refuses_limits_that_make_no_sense(void **state)
{
    (void)state;
    sg_tracker *none;
    sg_tracker_options o = options();
    o.dialogs_max = 0;
    assert_fails(SG_E_CONFIG, "number of dialogs", sg_tracker_open(&none, &o));
    assert_null(none);
    o = options();
    o.messages_max = SG_DIALOG_MESSAGES_MAX + 1;
    assert_fails(SG_E_CONFIG, "messages a dialog", sg_tracker_open(&none, &o));
    o = options();
    o.bytes_max = 100000;
    assert_fails(SG_E_CONFIG, "needs at least", sg_tracker_open(&none, &o));
    o = options();
    o.user_size = 5000;
    assert_fails(SG_E_CONFIG, "caller's share", sg_tracker_open(&none, &o));
    for (int n = 0; n < SG_FLAG_BITS; n++)
        assert_string_not_equal(sg_flag_text(n), "?");
    assert_string_equal(sg_flag_text(SG_FLAG_BITS), "?");
    assert_string_equal(sg_dialog_state_text(SG_DIALOG_CANCELLED), "cancelled");
    assert_string_equal(sg_dialog_state_text(SG_DIALOG_STATES), "?");
    assert_string_equal(sg_end_text(SG_ENDS), "?");
}

#define WITH_TRACKER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TRACKER(a_call_from_end_to_end),
        WITH_TRACKER(a_bye_without_answer_ends_a_call),
        WITH_TRACKER(silent_calls_are_open),
        WITH_TRACKER(nobody_answers),
        WITH_TRACKER(refused_calls),
        WITH_TRACKER(a_challenge_waits_for_the_retry),
        WITH_TRACKER(cancelled_calls),
        WITH_TRACKER(a_failed_reinvite_leaves_the_call),
        WITH_TRACKER(registrations_are_cut_by_silence),
        WITH_TRACKER(subscriptions),
        WITH_TRACKER(copies_are_kept_or_collapsed),
        WITH_TRACKER(strays_are_told_after_the_first_32_seconds),
        WITH_TRACKER(changes_of_source),
        WITH_TRACKER(changes_of_tag),
        WITH_TRACKER(call_ids_are_compared_whole),
        WITH_TRACKER(dialogs_are_bounded_in_messages),
        WITH_TRACKER(a_flood_of_call_ids),
        WITH_TRACKER(times_that_cannot_be),
        WITH_TRACKER(a_lonely_user_agent),
        WITH_TRACKER(the_callers_share_and_looking_round),
        WITH_TRACKER(refuses_limits_that_make_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
