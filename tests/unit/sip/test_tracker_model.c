/* The tracker against one that searches lists: random messages, times and limits; the same dialogs must
 * begin, be found, be copies and end, in the same way.  What a message does to a dialog (dialog_steps.c) is
 * shared by both and has tests of its own. */
#include "sip/tracker_internal.h"
#include "sip_case.h"

enum { MOST = 64, REMEMBERED = SG_REPEAT_RING, TICK = 125000, STEP = 60000000 };

typedef struct {
    uint64_t serial;
    int end;
    uint32_t length, messages;
} ended;

typedef struct {
    ended list[4 * MOST];
    int count;
} ended_list;

typedef struct {
    entry e;
    char call_id[16];
    uint64_t keys[REMEMBERED];
    int64_t times[REMEMBERED];
    int key_count;
    uint64_t touched; /* number of the last message */
    bool used;
} model_dialog;

typedef struct {
    model_dialog dialogs[MOST];
    sg_tracker_options options;
    sg_hash_key key;
    uint64_t serial, messages;
    bool started, doubted;
    int64_t offset, clock, doubt; /* of raw times; the clock counts from the first message */
    ended_list ended;
} model;

static void note(ended_list *list, const sg_dialog *dialog, int end)
{
    assert_true(list->count < 4 * MOST);
    list->list[list->count++] = (ended){dialog->serial, end, dialog->length, dialog->messages};
}

static void on_ended(void *context, sg_dialog *dialog, sg_end end)
{
    note(context, dialog, end);
}

static int by_serial(const void *a, const void *b)
{
    const ended *x = a, *y = b;
    return x->serial < y->serial ? -1 : x->serial > y->serial;
}

static void assert_same_ends(ended_list *got, ended_list *want)
{
    qsort(got->list, (size_t)got->count, sizeof *got->list, by_serial);
    qsort(want->list, (size_t)want->count, sizeof *want->list, by_serial);
    assert_int_equal(got->count, want->count);
    for (int n = 0; n < want->count; n++) {
        assert_int_equal(got->list[n].serial, want->list[n].serial);
        assert_int_equal(got->list[n].end, want->list[n].end);
        assert_int_equal(got->list[n].length, want->list[n].length);
        assert_int_equal(got->list[n].messages, want->list[n].messages);
    }
    got->count = want->count = 0;
}

static int natural_end(sg_dialog_state state)
{
    static const int table[SG_DIALOG_STATES] = {
        [SG_DIALOG_REQUESTED] = SG_END_TIMED_OUT,  [SG_DIALOG_CALLING] = SG_END_TIMED_OUT,
        [SG_DIALOG_PROCEEDING] = SG_END_TIMED_OUT, [SG_DIALOG_ANSWERED] = SG_END_TIMED_OUT,
        [SG_DIALOG_CANCELLING] = SG_END_TIMED_OUT, [SG_DIALOG_ESTABLISHED] = SG_END_OPEN,
        [SG_DIALOG_SUBSCRIBED] = SG_END_OPEN,      [SG_DIALOG_ENDING] = SG_END_COMPLETE,
        [SG_DIALOG_COMPLETED] = SG_END_COMPLETE,   [SG_DIALOG_REFUSED] = SG_END_REFUSED,
        [SG_DIALOG_CANCELLED] = SG_END_CANCELLED,  [SG_DIALOG_STRAY] = SG_END_STRAY,
    };
    return table[state];
}

static bool is_over(sg_dialog_state state)
{
    return state == SG_DIALOG_COMPLETED || state == SG_DIALOG_REFUSED || state == SG_DIALOG_CANCELLED;
}

static void model_end(model *m, model_dialog *d, int otherwise)
{
    bool natural = otherwise < 0 || is_over(d->e.dialog.state);
    note(&m->ended, &d->e.dialog, natural ? natural_end(d->e.dialog.state) : otherwise);
    d->used = false;
}

static bool is_due(int64_t deadline, int64_t now)
{
    return now / TICK >= (deadline + TICK - 1) / TICK;
}

static void model_expire(model *m, int64_t now)
{
    for (int n = 0; n < MOST; n++)
        if (m->dialogs[n].used && is_due(m->dialogs[n].e.deadline_us, now))
            model_end(m, &m->dialogs[n], -1);
}

static int64_t model_time(model *m, int64_t raw)
{
    if (!m->started)
        m->offset = -raw;
    m->started = true;
    int64_t now = raw + m->offset;
    if (now > m->clock + STEP) {
        if (m->doubted && m->doubt > m->clock && now >= m->doubt - STEP)
            m->clock = m->doubt;
    } else if (now < m->clock - STEP && m->doubted && m->doubt < m->clock) {
        m->offset += m->clock - now;
        now = m->clock;
    }
    m->doubted = now > m->clock + STEP || now < m->clock - STEP;
    m->doubt = now;
    if (!m->doubted && now > m->clock)
        m->clock = now;
    return now > m->clock ? now : m->clock;
}

static model_dialog *model_begin(model *m, const char *call_id, const sg_sip_message *message, int64_t now)
{
    model_dialog *place = NULL, *oldest = NULL;
    int64_t used = 0;
    for (int n = 0; n < MOST; n++) {
        model_dialog *d = &m->dialogs[n];
        used += d->used;
        if (d->used && (!oldest || d->touched < oldest->touched))
            oldest = d;
        if (!d->used)
            place = d;
    }
    if (used >= m->options.dialogs_max) {
        model_end(m, oldest, SG_END_EVICTED);
        place = oldest;
    }
    memset(place, 0, sizeof *place);
    place->used = true;
    snprintf(place->call_id, sizeof place->call_id, "%s", call_id);
    place->e.dialog.state = SG_DIALOG_STRAY;
    place->e.dialog.serial = ++m->serial;
    place->e.dialog.first_method = message->method;
    place->e.deadline_us = now + 32000000;
    place->e.excused = now < 32000000;
    return place;
}

static bool model_repeated(model_dialog *d, uint64_t key, int64_t now)
{
    int from = d->key_count > REMEMBERED ? d->key_count - REMEMBERED : 0;
    for (int n = from; n < d->key_count; n++) {
        int64_t apart = now / 1000 - d->times[n % REMEMBERED] / 1000;
        if (d->keys[n % REMEMBERED] == key && apart <= 32000 && apart >= -32000)
            return true;
    }
    d->keys[d->key_count % REMEMBERED] = key;
    d->times[d->key_count++ % REMEMBERED] = now;
    return false;
}

static sg_tracked model_add(model *m, const char *call_id, const sg_sip_message *message, const sg_flow *flow)
{
    sg_tracked tracked = {0};
    model_dialog *found = NULL;
    int64_t now = model_time(m, flow->time_us);
    model_expire(m, m->clock);
    for (int n = 0; n < MOST; n++)
        if (m->dialogs[n].used && strcmp(m->dialogs[n].call_id, call_id) == 0)
            found = &m->dialogs[n];
    if (found && is_due(found->e.deadline_us, now)) {
        model_end(m, found, -1);
        found = NULL;
    }
    tracked.fresh = !found;
    if (!found)
        found = model_begin(m, call_id, message, now);
    found->touched = ++m->messages;
    found->e.dialog.messages++;
    tracked.repeated = model_repeated(found, sg_repeat_key(message, flow, 99), now);
    if (!tracked.repeated)
        tracked.flags = sg_dialog_step(&found->e, message, flow, &m->options, &m->key, now);
    tracked.kept = !(tracked.repeated && m->options.repeats == SG_REPEATS_COLLAPSE) &&
                   found->e.dialog.length < m->options.messages_max;
    if (!tracked.kept && !(tracked.repeated && m->options.repeats == SG_REPEATS_COLLAPSE))
        tracked.flags |= SG_FLAG_TRUNCATED;
    found->e.dialog.length += tracked.kept;
    return tracked;
}

/* A message such as may come: of few dialogs, hosts, tags and branches, so that all of them meet again. */
static void make_message(uint64_t *seed, char *text, size_t size, char call_id[16])
{
    static const char *const what[] = {"INVITE",    "ACK",    "BYE",     "CANCEL", "REGISTER",
                                       "SUBSCRIBE", "NOTIFY", "OPTIONS", "FOO",    "REFER"};
    static const int codes[] = {100, 180, 200, 202, 302, 401, 404, 487, 503};
    const char *method = what[dice(seed) % 10];
    int code = codes[dice(seed) % 9], at;
    snprintf(call_id, 16, "id%d", (int)(dice(seed) % 12));
    at = dice(seed) % 2 ? snprintf(text, size, "SIP/2.0 %d x\r\n", code)
                        : snprintf(text, size, "%s sip:x SIP/2.0\r\n", method);
    at += snprintf(text + at, size - (size_t)at,
                   "Via: SIP/2.0/UDP h;branch=z9hG4bK%d\r\nCall-ID: %s\r\nCSeq: %d %s\r\n",
                   (int)(dice(seed) % 4), call_id, (int)(dice(seed) % 3), method);
    at += snprintf(text + at, size - (size_t)at, "From: <sip:a@h>;tag=%d\r\nTo: <sip:b@h>;tag=%d\r\n",
                   (int)(dice(seed) % 3), (int)(dice(seed) % 6));
    snprintf(text + at, size - (size_t)at, "Subscription-State: %s\r\nExpires: %d\r\n\r\n",
             dice(seed) % 3 ? "active" : "terminated", (int)(dice(seed) % 500));
}

static int64_t next_time(uint64_t *seed, int64_t time)
{
    switch (dice(seed) % 40) {
    case 0:
        return time + (int64_t)(dice(seed) % 40000) * 1000000; /* a pause */
    case 1:
        return time - (int64_t)(dice(seed) % 40000) * 1000000; /* the clock is set back */
    case 2:
    case 3:
        return time - (int64_t)(dice(seed) % 70) * 1000000;
    case 4:
    case 5:
    case 6:
        return time + (int64_t)(dice(seed) % 70000000);
    default:
        return time + (int64_t)(dice(seed) % 3000000);
    }
}

static void play(uint64_t seed, int64_t dialogs_max, sg_repeats repeats)
{
    static model m;
    static ended_list got;
    sg_tracker *tracker;
    memset(&m, 0, sizeof m);
    got.count = 0;
    sg_tracker_defaults(&m.options);
    m.options.dialogs_max = dialogs_max;
    m.options.messages_max = 40;
    m.options.repeats = repeats;
    m.options.any_seed = true;
    m.options.seed = 99;
    m.options.ended = on_ended;
    m.options.context = &got;
    assert_ok(sg_hash_key_make(&m.key, true, 99));
    assert_ok(sg_tracker_open(&tracker, &m.options));
    int64_t time = 1700000000000000;
    for (int round = 0; round < 20000; round++) {
        char text[1024], call_id[16];
        sg_sip_message message;
        sg_tracked tracked;
        make_message(&seed, text, sizeof text, call_id);
        assert_true(sg_sip_read(&message, text, strlen(text)));
        int64_t stamp = next_time(&seed, time);
        time = dice(&seed) % 50 ? stamp : time; /* some times are only this message's */
        sg_flow flow = flow_at(0, (unsigned)(dice(&seed) % 4), (unsigned)(dice(&seed) % 4));
        flow.time_us = stamp;
        assert_ok(sg_tracker_add(tracker, &message, &flow, 1, &tracked));
        sg_tracked want = model_add(&m, call_id, &message, &flow);
        assert_int_equal(tracked.fresh, want.fresh);
        assert_int_equal(tracked.repeated, want.repeated);
        assert_int_equal(tracked.kept, want.kept);
        assert_int_equal(tracked.flags, want.flags);
        assert_int_equal(tracked.dialog->serial, tracked.fresh ? m.serial : tracked.dialog->serial);
        assert_same_ends(&got, &m.ended);
    }
    for (int n = 0; n < MOST; n++)
        if (m.dialogs[n].used)
            model_end(&m, &m.dialogs[n], SG_END_FLUSHED);
    sg_tracker_flush(tracker);
    assert_same_ends(&got, &m.ended);
    sg_tracker_close(tracker);
}

static void follows_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++)
        play(seed, seed % 3 ? (int64_t)seed : 50, seed % 2 ? SG_REPEATS_KEEP : SG_REPEATS_COLLAPSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(follows_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
