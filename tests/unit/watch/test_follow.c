/* From messages to verdicts and alerts, with a network whose limits are set by hand: a strict one finds
 * whatever is not in training abnormal, a lenient one nothing. */
#include "watch/follow.h"

#include "base/philox.h"
#include "network_case.h"

#define STRICT  2.0
#define LENIENT -1.0

enum { SEEN_MAX = 20000, CALL_ID_MAX = 32, SECOND = 1000000 };

typedef struct {
    char call_id[CALL_ID_MAX];
    sg_reason reason;
    int position;
    int64_t time_us;
} seen_alert;

typedef struct {
    char call_id[CALL_ID_MAX];
    sg_outcome outcome;
    sg_end end;
    int length, position;
    sg_reason reason;
} seen_end;

/* A run, and what it told of. */
typedef struct {
    sg_follow *follow;
    sg_follow_options options;
    int alerts, ends;
    seen_alert alert[SEEN_MAX];
    seen_end end[SEEN_MAX];
    sg_status refuse; /* what `alerted` returns */
    int64_t time_us;
} run;

static void copy_text(char to[CALL_ID_MAX], sg_text from)
{
    uint32_t n = from.length < CALL_ID_MAX - 1 ? from.length : CALL_ID_MAX - 1;
    if (n)
        memcpy(to, from.data, n);
    to[n] = '\0';
}

static sg_status on_alert(void *context, const sg_alert *alert)
{
    run *r = context;
    assert_in_range(r->alerts, 0, SEEN_MAX - 1);
    seen_alert *a = &r->alert[r->alerts++];
    *a = (seen_alert){.reason = alert->reason, .position = alert->position, .time_us = alert->time_us};
    copy_text(a->call_id, alert->call_id);
    if (alert->scored)
        assert_true(alert->skewness < alert->skewness_limit || alert->kurtosis < alert->kurtosis_limit);
    return r->refuse ? sg_fail(r->refuse, "refused") : SG_OK;
}

static void on_ended(void *context, const sg_followed *f)
{
    run *r = context;
    assert_in_range(r->ends, 0, SEEN_MAX - 1);
    seen_end *e = &r->end[r->ends++];
    *e = (seen_end){.outcome = f->outcome,
                    .end = f->end,
                    .length = f->length,
                    .position = f->alert_position,
                    .reason = f->alert_reason};
    copy_text(e->call_id, f->call_id);
}

static run *new_run(void)
{
    run *r = calloc(1, sizeof *r);
    sg_follow_defaults(&r->options);
    r->options.detectors = SG_WATCH_NETWORK;
    r->options.quiet_us = 0;
    r->options.alerted = on_alert;
    r->options.ended = on_ended;
    r->options.context = r;
    r->time_us = (int64_t)1767323000 * SECOND;
    return r;
}

static sg_status open_follow(run *r, sg_model *model)
{
    sg_detector *detector;
    assert_ok(open_detector(&detector, model));
    return sg_follow_open(&r->follow, detector, &r->options);
}

static void open_run(run *r, double going_on, double over)
{
    sg_model model;
    make_model(&model, LONGEST, going_on, over);
    assert_ok(open_follow(r, &model));
}

static run *start(unsigned detectors, double going_on, double over)
{
    run *r = new_run();
    r->options.detectors = detectors;
    open_run(r, going_on, over);
    return r;
}

static void finish(run *r)
{
    sg_follow_close(r->follow);
    free(r);
}

static const char *method_of(int type)
{
    return type == OPTIONS ? "OPTIONS" : type == BYE ? "BYE" : "INVITE";
}

/* One message of a dialog, 1 ms after the last; responses answer an INVITE unless it is an OPTIONS dialog. */
static sg_status send_text(run *r, const char *call_id, const char *start_line, const char *method, int from)
{
    char text[1024];
    int n =
        snprintf(text, sizeof text,
                 "%s\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK%lld\r\nFrom: <sip:a@h>;tag=f\r\nTo: <sip:b@h>\r\n"
                 "%s%s%sCSeq: 1 %s\r\nContent-Length: 0\r\n\r\n",
                 start_line, (long long)r->time_us, call_id ? "Call-ID: " : "", call_id ? call_id : "",
                 call_id ? "\r\n" : "", method);
    sg_capture_item item = {.data = text, .length = (size_t)n};
    item.flow = (sg_flow){.time_us = r->time_us,
                          .source = {4, {10, 0, 0, (uint8_t)from}, 5060},
                          .destination = {4, {10, 0, 1, 1}, 5060}};
    r->time_us += 1000;
    return sg_follow_message(r->follow, &item);
}

static sg_status send_type(run *r, const char *call_id, int type, const char *answered)
{
    char line[64];
    if (type >= TRYING)
        snprintf(line, sizeof line, "SIP/2.0 %s Reason", type_names[type - 1]);
    else
        snprintf(line, sizeof line, "%s sip:b@h SIP/2.0", type_names[type - 1]);
    return send_text(r, call_id, line, type >= TRYING ? answered : type_names[type - 1], 1);
}

static sg_status send_types(run *r, const char *call_id, const uint16_t *types, int count)
{
    const char *answered = "INVITE";
    for (int i = 0; i < count; i++) {
        if (types[i] < TRYING && types[i] != ACK)
            answered = method_of(types[i]);
        SG_TRY(send_type(r, call_id, types[i], answered));
    }
    return SG_OK;
}

#define SEND(r, call_id, ...)                                             \
    assert_ok(send_types((r), (call_id), (const uint16_t[]){__VA_ARGS__}, \
                         (int)(sizeof(const uint16_t[]){__VA_ARGS__} / sizeof(uint16_t))))

static sg_follow_counts counts_of(run *r)
{
    sg_follow_counts counts;
    sg_follow_counts_now(r->follow, &counts);
    return counts;
}

/* The end of a dialog, which is told once. */
static const seen_end *end_of(const run *r, const char *call_id)
{
    const seen_end *found = NULL;
    for (int i = 0; i < r->ends; i++)
        if (strcmp(r->end[i].call_id, call_id) == 0) {
            assert_null(found);
            found = &r->end[i];
        }
    assert_non_null(found);
    return found;
}

/* ---- verdicts ---- */

static void known_dialogs_raise_nothing(void **state)
{
    (void)state;
    run *r = start(SG_WATCH_NETWORK | SG_WATCH_PREFIXES, STRICT, STRICT);
    SEND(r, "call", INVITE, TRYING, RINGING, OK, ACK, BYE, OK);
    SEND(r, "busy", INVITE, TRYING, BUSY, ACK);
    SEND(r, "options", OPTIONS, OK);
    SEND(r, "begun", INVITE, TRYING, RINGING);
    SEND(r, "other split", OPTIONS);
    assert_ok(sg_follow_flush(r->follow));
    sg_follow_counts c = counts_of(r);
    assert_int_equal(r->alerts, 0);
    assert_true(c.outcome[SG_OUTCOME_KNOWN] == 3 && c.outcome[SG_OUTCOME_PREFIX] == 2);
    assert_true(c.messages == 17 && c.prefix_hits == 17 && c.scored == 0 && c.cache_hits == 0);
    assert_int_equal(end_of(r, "call")->end, SG_END_COMPLETE);
    assert_int_equal(end_of(r, "begun")->end, SG_END_FLUSHED);
    assert_string_equal(sg_outcome_name(SG_OUTCOME_NEW), "new");
    finish(r);
}

static void an_alert_is_raised_where_a_dialog_leaves(void **state)
{
    (void)state;
    run *r = start(SG_WATCH_NETWORK, STRICT, STRICT);
    SEND(r, "known", OPTIONS, OK);
    int64_t at_us = r->time_us + 2000;
    SEND(r, "skips", INVITE, TRYING, OK, ACK, BYE, OK);
    SEND(r, "twice", OPTIONS, OK, OK);
    assert_ok(sg_follow_flush(r->follow));
    assert_int_equal(r->alerts, 2);
    assert_string_equal(r->alert[0].call_id, "skips");
    assert_true(r->alert[0].position == 3 && r->alert[0].time_us == at_us &&
                r->alert[0].reason == SG_REASON_SEQUENCE);
    assert_true(r->alert[1].position == 3);
    const seen_end *e = end_of(r, "skips");
    assert_true(e->outcome == SG_OUTCOME_ABNORMAL && e->position == 3 && e->length == 6);
    assert_int_equal(end_of(r, "known")->outcome, SG_OUTCOME_KNOWN);
    finish(r);
}

/* The limits for dialogs that go on let it pass, those of the paper do not: at its end. */
static void a_whole_dialog_is_judged_at_its_end(void **state)
{
    (void)state;
    for (int patient = 0; patient <= 1; patient++) {
        run *r = start(SG_WATCH_NETWORK, LENIENT, STRICT);
        SEND(r, "refused", INVITE, TRYING, TRYING, BUSY, ACK);
        SEND(r, "cut off", INVITE, TRYING, TRYING);
        if (patient) { /* or else the capture ends at once */
            r->time_us += (int64_t)100 * SECOND;
            SEND(r, "later", OPTIONS, OK);
        }
        assert_ok(sg_follow_flush(r->follow));
        assert_int_equal(r->alerts, 1);
        assert_string_equal(r->alert[0].call_id, "refused");
        assert_int_equal(r->alert[0].position, 5);
        assert_int_equal(end_of(r, "refused")->outcome, SG_OUTCOME_ABNORMAL);
        assert_int_equal(end_of(r, "cut off")->outcome, SG_OUTCOME_NEW);
        finish(r);
    }
}

static void the_rule_of_moments(void **state)
{
    (void)state;
    for (int rule = SG_RULE_BOTH; rule <= SG_RULE_EITHER; rule++) {
        run *r = new_run();
        sg_model model;
        r->options.rule = (sg_rule)rule;
        make_model(&model, LONGEST, STRICT, STRICT);
        for (int k = 0; k < LONGEST; k++)
            model.prefix_limit[k].kurtosis = LENIENT;
        model.lambda_kurtosis = LENIENT;
        assert_ok(open_follow(r, &model));
        SEND(r, "new", OPTIONS, OK, OK);
        assert_ok(sg_follow_flush(r->follow));
        assert_int_equal(r->alerts, rule == SG_RULE_EITHER);
        finish(r);
    }
}

static void a_beginning_is_scored_once(void **state)
{
    (void)state;
    run *r = new_run();
    r->options.batch = 1;
    open_run(r, LENIENT, LENIENT);
    for (int i = 0; i < 50; i++) {
        char call_id[16];
        snprintf(call_id, sizeof call_id, "%d", i);
        SEND(r, call_id, OPTIONS, OK, OK, OK);
    }
    sg_follow_counts c = counts_of(r);
    assert_true(c.scored == 2 && c.cache_hits == 98 && c.prefix_hits == 100);
    SEND(r, "long", OPTIONS, OK, OK, OK, OK, OK, OK, OK, OK);
    assert_int_equal(counts_of(r).too_long, 2);
    assert_ok(sg_follow_flush(r->follow));
    assert_int_equal(counts_of(r).outcome[SG_OUTCOME_NEW], 51);
    finish(r);
}

/* An alert is raised once for a dialog, however many others come in between. */
static void one_alert_a_dialog(void **state)
{
    (void)state;
    run *r = start(SG_WATCH_NETWORK, STRICT, STRICT);
    SEND(r, "first", OPTIONS, OK, OK);
    for (int i = 0; i < 8192 + 5; i++) {
        char call_id[16];
        snprintf(call_id, sizeof call_id, "%d", i);
        SEND(r, call_id, BYE);
    }
    assert_int_equal(r->alerts, 8192 + 6);
    SEND(r, "first", OK, OK);
    assert_ok(sg_follow_flush(r->follow));
    assert_int_equal(r->alerts, 8192 + 6);
    assert_int_equal(end_of(r, "first")->position, 3);
    assert_int_equal(counts_of(r).outcome[SG_OUTCOME_ABNORMAL], 8192 + 6);
    finish(r);
}

/* ---- messages that are odd ---- */

static void types_the_model_does_not_know(void **state)
{
    (void)state;
    run *r = start(SG_WATCH_NETWORK, STRICT, STRICT);
    assert_ok(send_text(r, "verb", "FROB sip:b@h SIP/2.0", "FROB", 1));
    assert_ok(send_text(r, "verb", "SIP/2.0 603 Decline", "FROB", 1));
    SEND(r, "code", INVITE, TRYING);
    assert_ok(send_text(r, "code", "SIP/2.0 603 Decline", "INVITE", 1));
    r->time_us += (int64_t)100 * SECOND;
    SEND(r, "later", OPTIONS, OK);
    assert_ok(sg_follow_flush(r->follow));
    assert_int_equal(r->alerts, 2);
    assert_true(r->alert[0].reason == SG_REASON_TYPE && r->alert[0].position == 0);
    assert_true(r->alert[1].reason == SG_REASON_TYPE && r->alert[1].position == 2);
    assert_true(end_of(r, "verb")->outcome == SG_OUTCOME_ABNORMAL && end_of(r, "verb")->length == 0);
    assert_int_equal(counts_of(r).scored, 0);
    finish(r);
}

static void messages_that_cannot_be_followed(void **state)
{
    (void)state;
    static const char garbage[] = "HTTP/1.1 200 OK\r\n\r\n";
    run *r = start(SG_WATCH_NETWORK, STRICT, STRICT);
    const sg_capture_item item = {.data = garbage, .length = sizeof garbage - 1};
    assert_ok(sg_follow_message(r->follow, &item));
    assert_ok(send_text(r, NULL, "BYE sip:b@h SIP/2.0", "BYE", 1));
    assert_ok(sg_follow_flush(r->follow));
    sg_follow_counts c = counts_of(r);
    assert_true(c.messages == 2 && c.not_sip == 1 && c.without_call_id == 1);
    assert_true(r->alerts == 0 && r->ends == 0);
    finish(r);
}

static void what_the_protocol_forbids(void **state)
{
    (void)state;
    for (int quiet_s = 0; quiet_s <= 60; quiet_s += 60) {
        run *r = new_run();
        r->options.detectors = SG_WATCH_PROTOCOL;
        r->options.quiet_us = (int64_t)quiet_s * SECOND;
        open_run(r, STRICT, STRICT);
        SEND(r, "early", BYE);
        r->time_us += (int64_t)40 * SECOND;
        SEND(r, "call", INVITE, TRYING, OK, ACK);
        assert_ok(send_text(r, "call", "BYE sip:b@h SIP/2.0", "BYE", 66));
        assert_int_equal(r->alerts, quiet_s ? 1 : 2);
        assert_int_equal(r->alert[r->alerts - 1].reason, SG_REASON_SOURCE_CHANGE);
        assert_int_equal(r->alert[r->alerts - 1].position, 5);
        r->time_us += (int64_t)40 * SECOND;
        SEND(r, "late", BYE);
        assert_int_equal(r->alert[r->alerts - 1].reason, SG_REASON_STRAY);
        assert_ok(sg_follow_flush(r->follow));
        assert_int_equal(r->alerts, quiet_s ? 2 : 3);
        assert_int_equal(counts_of(r).scored, 0);
        finish(r);
    }
}

static void what_sources_do(void **state)
{
    (void)state;
    run *r = start(SG_WATCH_SOURCES, STRICT, STRICT);
    for (int i = 0; i < 100; i++) {
        char call_id[16];
        snprintf(call_id, sizeof call_id, "%d", i);
        SEND(r, call_id, OPTIONS);
    }
    sg_follow_counts c = counts_of(r);
    assert_true(c.alerts[SG_REASON_FLOOD] == 1 && c.alerts[SG_REASON_SCAN] == 1);
    assert_ok(sg_follow_flush(r->follow));
    assert_int_equal(counts_of(r).outcome[SG_OUTCOME_ABNORMAL], 0); /* no dialog of its own is at fault */
    finish(r);
}

/* ---- live ---- */

static int compare_alerts(const void *x, const void *y)
{
    const seen_alert *a = x, *b = y;
    int order = strcmp(a->call_id, b->call_id);
    return order ? order : (int)a->reason - (int)b->reason;
}

/* Random dialogs, their messages in turn. */
static void send_random(run *r, int dialogs, int length, uint64_t seed)
{
    sg_random random = sg_random_open(seed, SG_RANDOM_BENCH, 0);
    for (int t = 0; t < length; t++)
        for (int d = 0; d < dialogs; d++) {
            char call_id[16];
            uint16_t type = (uint16_t)(1 + sg_random_below(&random, t == 0 ? OPTIONS : TYPES));
            snprintf(call_id, sizeof call_id, "r%d", d);
            SEND(r, call_id, type);
            if (r->options.live && d % 16 == 0)
                assert_ok(sg_follow_poll(r->follow, 0));
        }
}

static void live_and_offline_agree(void **state)
{
    (void)state;
    run *runs[3];
    for (int i = 0; i < 3; i++) { /* offline with small and large batches, and live */
        runs[i] = new_run();
        runs[i]->options.detectors = SG_WATCH_NETWORK | SG_WATCH_PREFIXES | SG_WATCH_PROTOCOL;
        runs[i]->options.batch = i == 0 ? 3 : 64;
        runs[i]->options.queue = 100000;
        runs[i]->options.live = i == 2;
        runs[i]->options.quiet_us = SECOND;
        open_run(runs[i], 0.5, 0.7);
        send_random(runs[i], 200, 9, 4);
        assert_ok(sg_follow_flush(runs[i]->follow));
        qsort(runs[i]->alert, (size_t)runs[i]->alerts, sizeof *runs[i]->alert, compare_alerts);
        assert_int_equal(runs[i]->ends, 200);
        sg_follow_counts a = counts_of(runs[0]), b = counts_of(runs[i]);
        assert_int_equal(runs[i]->alerts, runs[0]->alerts);
        assert_memory_equal(runs[i]->alert, runs[0]->alert, (size_t)runs[0]->alerts * sizeof(seen_alert));
        assert_memory_equal(a.outcome, b.outcome, sizeof a.outcome);
        assert_true(b.shed == 0 && b.waiting == 0);
    }
    assert_true(counts_of(runs[0]).alerts[SG_REASON_SEQUENCE] > 20);
    assert_true(counts_of(runs[0]).alerts[SG_REASON_SEQUENCE] < 200);
    for (int i = 0; i < 3; i++)
        finish(runs[i]);
}

/* Nobody polls and the queue is short: much is shed and counted, and each dialog's end is told all the same.
 */
static void a_flood_is_shed(void **state)
{
    (void)state;
    run *r = new_run();
    r->options.live = true;
    r->options.batch = r->options.queue = 2;
    r->options.tracker.dialogs_max = 40;
    open_run(r, LENIENT, LENIENT);
    send_random(r, 300, 1, 9);
    sg_random random = sg_random_open(1, SG_RANDOM_BENCH, 0);
    for (int d = 0; d < 300; d++) {
        char call_id[16];
        snprintf(call_id, sizeof call_id, "s%d", d);
        for (int t = 0; t < 5; t++)
            SEND(r, call_id, (uint16_t)(1 + sg_random_below(&random, TYPES)));
    }
    sg_follow_counts c = counts_of(r);
    assert_true(c.shed > 0 && c.waiting <= 4);
    assert_ok(sg_follow_flush(r->follow));
    c = counts_of(r);
    assert_int_equal(r->ends, c.tracker.begun);
    assert_int_equal(c.outcome[0] + c.outcome[1] + c.outcome[2] + c.outcome[3], c.tracker.begun);
    finish(r);
}

/* ---- another model ---- */

static void reload(run *r, int longest, double going_on, double over)
{
    sg_model model;
    sg_detector *detector;
    make_model(&model, longest, going_on, over);
    assert_ok(open_detector(&detector, &model));
    assert_ok(sg_follow_reload(r->follow, detector));
}

static void reload_keeps_dialogs(void **state)
{
    (void)state;
    for (int live = 0; live <= 1; live++) {
        run *r = new_run();
        r->options.live = live;
        open_run(r, LENIENT, LENIENT);
        SEND(r, "new", OPTIONS, OK, OK);
        SEND(r, "known", INVITE, TRYING);
        assert_ok(send_text(r, "odd", "FROB sip:b@h SIP/2.0", "FROB", 1));
        assert_ok(sg_follow_poll(r->follow, 0));
        assert_int_equal(r->alerts, 1);
        reload(r, LONGEST, STRICT, STRICT);
        SEND(r, "new", OK);
        SEND(r, "known", BUSY, ACK);
        SEND(r, "odd", OK);
        assert_ok(sg_follow_flush(r->follow));
        sg_follow_counts c = counts_of(r);
        assert_true(c.messages == 10 && c.tracker.begun == 3 && r->ends == 3);
        assert_int_equal(end_of(r, "new")->outcome, SG_OUTCOME_ABNORMAL);
        assert_int_equal(end_of(r, "new")->length, 4);
        assert_int_equal(end_of(r, "known")->outcome, SG_OUTCOME_KNOWN);
        assert_int_equal(end_of(r, "odd")->reason, SG_REASON_TYPE);
        finish(r);
    }
}

/* What waits is scored by the new model; nothing is lost, and counts go on. */
static void reload_keeps_what_waits(void **state)
{
    (void)state;
    for (int live = 0; live <= 1; live++) {
        run *r = new_run();
        r->options.live = live;
        r->options.batch = 16;
        open_run(r, STRICT, STRICT);
        uint64_t scored = 0;
        for (int round = 0; round < 10; round++) {
            for (int d = 0; d < 7; d++) {
                char call_id[16];
                snprintf(call_id, sizeof call_id, "%d/%d", round, d);
                SEND(r, call_id, BYE, (uint16_t)(1 + d), (uint16_t)(1 + (d + round) % TYPES));
            }
            reload(r, LONGEST, STRICT, STRICT);
            assert_true(counts_of(r).scored >= scored);
            scored = counts_of(r).scored;
        }
        assert_ok(sg_follow_flush(r->follow));
        assert_true(r->ends == 70 && counts_of(r).outcome[SG_OUTCOME_ABNORMAL] == 70);
        assert_true(r->alerts == 70 && counts_of(r).shed == 0);
        for (int i = 0; i < 70; i++)
            assert_int_equal(r->alert[i].position, 1);
        finish(r);
    }
}

static bool has_alert(const run *r, const char *call_id)
{
    for (int i = 0; i < r->alerts; i++)
        if (strcmp(r->alert[i].call_id, call_id) == 0)
            return true;
    return false;
}

/* Dialogs, and what waits, may be too long for the new model. */
static void reload_with_a_shorter_model(void **state)
{
    (void)state;
    for (int live = 0; live <= 1; live++) {
        run *r = new_run();
        r->options.live = live;
        open_run(r, LENIENT, LENIENT);
        SEND(r, "refused", INVITE, TRYING, TRYING, TRYING, TRYING, BUSY, ACK);
        r->time_us += (int64_t)100 * SECOND;
        SEND(r, "short", OPTIONS, OK);
        SEND(r, "long", INVITE, RINGING, RINGING, RINGING);
        reload(r, 3, STRICT, STRICT);
        SEND(r, "long", RINGING);
        SEND(r, "short", OK);
        assert_ok(sg_follow_flush(r->follow));
        assert_int_equal(r->ends, 3);
        assert_true(has_alert(r, "short") && counts_of(r).too_long == 1);
        for (int i = 0; i < r->ends; i++) /* of the others, it depends on which model came to it */
            assert_int_equal(r->end[i].outcome == SG_OUTCOME_ABNORMAL, has_alert(r, r->end[i].call_id));
        assert_true(end_of(r, "refused")->length == 7 && end_of(r, "long")->length == 5);
        finish(r);
    }
}

static void reload_refuses_what_does_not_fit(void **state)
{
    (void)state;
    run *r = start(SG_WATCH_NETWORK, STRICT, STRICT);
    for (int fault = 0; fault < 5; fault++) {
        sg_model model;
        make_model(&model, LONGEST, LENIENT, LENIENT);
        free(fault == 0 ? model.alphabet[2] : NULL);
        if (fault == 0)
            model.alphabet[2] = strdup("PRACK");
        else if (fault == 1)
            strcpy(model.type_rule, "cseq/1");
        else if (fault == 2)
            model.collapsed = true;
        else if (fault == 3)
            model.has_thresholds = false;
        free(fault == 4 ? model.prefix_limit : NULL);
        model.prefix_limit = fault == 4 ? NULL : model.prefix_limit;
        sg_detector *detector;
        assert_ok(open_detector(&detector, &model));
        assert_fails(SG_E_CONFIG, fault < 3 ? "another alphabet" : "train.prefix_limits",
                     sg_follow_reload(r->follow, detector));
    }
    SEND(r, "new", OPTIONS, OK, OK);
    assert_ok(sg_follow_flush(r->follow));
    assert_int_equal(r->alerts, 1); /* the old one is at work */
    finish(r);
}

/* ---- failures ---- */

static void models_that_do_not_do(void **state)
{
    (void)state;
    run *r = new_run();
    sg_model model;
    make_model(&model, LONGEST, STRICT, STRICT);
    free(model.prefix_limit);
    model.prefix_limit = NULL;
    assert_fails(SG_E_CONFIG, "train.prefix_limits", open_follow(r, &model));
    assert_null(r->follow);
    r->options.detectors = SG_WATCH_PREFIXES; /* the network is not asked: no limits are needed */
    make_model(&model, LONGEST, STRICT, STRICT);
    model.has_thresholds = false;
    assert_ok(open_follow(r, &model));
    SEND(r, "new", OPTIONS, OK, OK);
    assert_true(r->alerts == 1 && r->alert[0].reason == SG_REASON_PREFIX && r->alert[0].position == 3);
    assert_ok(sg_follow_flush(r->follow));
    finish(r);
    sg_follow_close(NULL);
}

static void a_failing_engine_is_told_of(void **state)
{
    (void)state;
    static const uint16_t odd[3] = {OPTIONS, OK, OK};
    for (int live = 0; live <= 1; live++) {
        run *r = new_run();
        r->options.live = live;
        r->options.batch = 1;
        open_run(r, STRICT, STRICT);
        memory_is_short = true;
        sg_status status = send_types(r, "new", odd, 3);
        assert_int_equal(status, live ? SG_OK : SG_E_MEMORY);
        assert_fails(SG_E_MEMORY, "sequences to score",
                     live ? sg_follow_flush(r->follow) : sg_fail(status, "%s", sg_error_text()));
        if (live)
            assert_fails(SG_E_MEMORY, "sequences to score", sg_follow_poll(r->follow, 0));
        memory_is_short = false;
        finish(r);
    }
}

static void a_failing_listener_is_told_of(void **state)
{
    (void)state;
    run *r = start(SG_WATCH_PREFIXES, STRICT, STRICT);
    r->refuse = SG_E_IO;
    SEND(r, "new", OPTIONS, OK, OK); /* the alert is the last thing of it */
    assert_fails(SG_E_IO, "refused", sg_follow_flush(r->follow));
    finish(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_dialogs_raise_nothing),
        cmocka_unit_test(an_alert_is_raised_where_a_dialog_leaves),
        cmocka_unit_test(a_whole_dialog_is_judged_at_its_end),
        cmocka_unit_test(the_rule_of_moments),
        cmocka_unit_test(a_beginning_is_scored_once),
        cmocka_unit_test(one_alert_a_dialog),
        cmocka_unit_test(types_the_model_does_not_know),
        cmocka_unit_test(messages_that_cannot_be_followed),
        cmocka_unit_test(what_the_protocol_forbids),
        cmocka_unit_test(what_sources_do),
        cmocka_unit_test(live_and_offline_agree),
        cmocka_unit_test(a_flood_is_shed),
        cmocka_unit_test(reload_keeps_dialogs),
        cmocka_unit_test(reload_keeps_what_waits),
        cmocka_unit_test(reload_with_a_shorter_model),
        cmocka_unit_test(reload_refuses_what_does_not_fit),
        cmocka_unit_test(models_that_do_not_do),
        cmocka_unit_test(a_failing_engine_is_told_of),
        cmocka_unit_test(a_failing_listener_is_told_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
