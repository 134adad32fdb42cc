#include "sip/tracker.h"

#include "base/memory.h"
#include "sip/pool.h"
#include "sip/tracker_internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    TICK_US = 125000,
    STEP_US = 60000000,    /* a clock that is off by more is not followed at once */
    STRAY_US = 32000000,   /* before anything else is known of a dialog */
    BYTES_A_DIALOG = 4096, /* of the default limit */
    PAGES_LEAST = 4        /* one of dialogs, Call-IDs and types each, and one to spare */
};

/* Open addressing; the low half of the hash is beside the pointer, so that most misses cost no other line. */
typedef struct {
    uint64_t hash;
    entry *entry;
} slot;

struct sg_tracker {
    sg_tracker_options options;
    sg_tracker_counts counts;
    sg_hash_key key;
    sg_pool pool;
    slot *slots; /* at most half full */
    size_t mask;
    entry *oldest, *newest; /* by the last message */
    sg_wheel wheel;
    size_t user_at; /* where the caller's bytes begin in an entry */
    bool started;
    int64_t clock_us, offset_us; /* the tracker's time, and what it is ahead of the messages' */
    int64_t first_us;            /* the clock at the first message */
    bool doubted;                /* the last message's time was too far off, and not believed: */
    int64_t doubt_us;            /* this, on the clock */
};

/* ---- Opening and closing ---- */

void sg_tracker_defaults(sg_tracker_options *options)
{
    *options = (sg_tracker_options){.dialogs_max = 20000,
                                    .messages_max = 1024,
                                    .linger_s = 32,
                                    .established_s = 14400,
                                    .subscription_s = 14400,
                                    .quiet_s = 32,
                                    .repeats = SG_REPEATS_KEEP};
}

static sg_status check_range(const char *name, int64_t value, int64_t least, int64_t most)
{
    if (value >= least && value <= most)
        return SG_OK;
    return sg_fail(SG_E_CONFIG, "%s of the dialog tracker is %lld, must be from %lld to %lld", name,
                   (long long)value, (long long)least, (long long)most);
}

static sg_status check_options(const sg_tracker_options *options)
{
    const int64_t year_s = 366 * 86400;
    SG_TRY(check_range("the number of dialogs", options->dialogs_max, 1, 1 << 26));
    SG_TRY(check_range("the number of messages a dialog", options->messages_max, 1, SG_DIALOG_MESSAGES_MAX));
    SG_TRY(check_range("the memory", options->bytes_max, 0, (int64_t)1 << 44));
    SG_TRY(check_range("the seconds a dialog lingers", options->linger_s, 0, year_s));
    SG_TRY(check_range("the seconds of an established call", options->established_s, 1, year_s));
    SG_TRY(check_range("the seconds of a subscription", options->subscription_s, 1, year_s));
    SG_TRY(check_range("the quiet seconds at the start", options->quiet_s, 0, year_s));
    return check_range("the caller's share of a dialog", (int64_t)options->user_size, 0, 4096);
}

sg_status sg_tracker_open(sg_tracker **out, const sg_tracker_options *options)
{
    sg_tracker *tracker;
    sg_status status;
    *out = NULL;
    SG_TRY(check_options(options));
    SG_TRY(sg_alloc(&tracker, 1, "dialog tracker"));
    tracker->options = *options;
    tracker->mask = 63;
    while (tracker->mask < 2 * (size_t)options->dialogs_max)
        tracker->mask = tracker->mask * 2 + 1;
    tracker->user_at = (sizeof(entry) + 15) / 16 * 16;
    size_t table = (tracker->mask + 1) * sizeof *tracker->slots;
    size_t fixed = table + sizeof *tracker, least = fixed + (size_t)PAGES_LEAST * SG_POOL_PAGE;
    size_t limit = options->bytes_max ? (size_t)options->bytes_max
                                      : least + (size_t)options->dialogs_max * BYTES_A_DIALOG;
    if (limit < least) {
        status = sg_fail(SG_E_CONFIG,
                         "%lld bytes are too few for a tracker of %lld dialogs; it needs at least %zu",
                         (long long)options->bytes_max, (long long)options->dialogs_max, least);
        goto failed;
    }
    sg_pool_open(&tracker->pool, limit - fixed, tracker->user_at + options->user_size);
    SG_TRY_GOTO(status, failed, sg_hash_key_make(&tracker->key, options->any_seed, options->seed));
    SG_TRY_GOTO(status, failed, sg_alloc(&tracker->slots, tracker->mask + 1, "table of dialogs"));
    *out = tracker;
    return SG_OK;
failed:
    sg_tracker_close(tracker);
    return status;
}

void sg_tracker_close(sg_tracker *tracker)
{
    if (!tracker)
        return;
    sg_pool_close(&tracker->pool);
    free(tracker->slots);
    free(tracker);
}

/* ---- The table and the order by age ---- */

static bool is_same(const entry *e, XXH128_hash_t hash, sg_text call_id)
{
    return e->hash.high64 == hash.high64 && e->dialog.call_id_whole == call_id.length;
}

/* The slot of a Call-ID, or the empty one where it belongs. */
static size_t find_slot(const sg_tracker *tracker, XXH128_hash_t hash, sg_text call_id)
{
    size_t at = hash.low64 & tracker->mask;
    for (; tracker->slots[at].entry; at = (at + 1) & tracker->mask)
        if (tracker->slots[at].hash == hash.low64 && is_same(tracker->slots[at].entry, hash, call_id))
            break;
    return at;
}

/* Takes an entry out and moves those up that were pushed past its slot. */
static void empty_slot(sg_tracker *tracker, const entry *e)
{
    size_t at = e->hash.low64 & tracker->mask;
    while (tracker->slots[at].entry != e)
        at = (at + 1) & tracker->mask;
    for (size_t next = (at + 1) & tracker->mask; tracker->slots[next].entry;
         next = (next + 1) & tracker->mask) {
        size_t home = tracker->slots[next].hash & tracker->mask;
        if (((next - home) & tracker->mask) >= ((next - at) & tracker->mask)) {
            tracker->slots[at] = tracker->slots[next];
            at = next;
        }
    }
    tracker->slots[at] = (slot){0, NULL};
}

static void unlink_age(sg_tracker *tracker, entry *e)
{
    *(e->older ? &e->older->newer : &tracker->oldest) = e->newer;
    *(e->newer ? &e->newer->older : &tracker->newest) = e->older;
}

static void link_newest(sg_tracker *tracker, entry *e)
{
    e->older = tracker->newest;
    e->newer = NULL;
    *(e->older ? &e->older->newer : &tracker->oldest) = e;
    tracker->newest = e;
}

/* ---- The end of dialogs ---- */

/* How a dialog ends when its time is up. */
static sg_end end_of(const sg_dialog *dialog)
{
    switch (dialog->state) {
    case SG_DIALOG_ESTABLISHED:
    case SG_DIALOG_SUBSCRIBED:
        return SG_END_OPEN;
    case SG_DIALOG_ENDING:
    case SG_DIALOG_COMPLETED:
        return SG_END_COMPLETE;
    case SG_DIALOG_REFUSED:
        return SG_END_REFUSED;
    case SG_DIALOG_CANCELLED:
        return SG_END_CANCELLED;
    case SG_DIALOG_STRAY:
        return SG_END_STRAY;
    default:
        return SG_END_TIMED_OUT;
    }
}

static void release(sg_tracker *tracker, entry *e)
{
    if (e->dialog.call_id != e->call_id)
        sg_pool_give(&tracker->pool, (void *)e->dialog.call_id);
    if (e->dialog.types != e->types)
        sg_pool_give(&tracker->pool, e->dialog.types);
    sg_pool_give(&tracker->pool, e);
}

static void end_dialog(sg_tracker *tracker, entry *e, sg_end end)
{
    tracker->counts.ended[end]++;
    tracker->counts.dialogs--;
    if (tracker->options.ended)
        tracker->options.ended(tracker->options.context, &e->dialog, end);
    empty_slot(tracker, e);
    unlink_age(tracker, e);
    sg_wheel_unset(&tracker->wheel, &e->timer);
    release(tracker, e);
}

static void evict(sg_tracker *tracker, entry *e)
{
    tracker->counts.evicted++;
    end_dialog(tracker, e, sg_dialog_is_over(&e->dialog) ? end_of(&e->dialog) : SG_END_EVICTED);
}

void sg_tracker_flush(sg_tracker *tracker)
{
    while (tracker->oldest) {
        entry *e = tracker->oldest;
        end_dialog(tracker, e, sg_dialog_is_over(&e->dialog) ? end_of(&e->dialog) : SG_END_FLUSHED);
    }
}

/* ---- Time ---- */

static uint64_t tick_of(int64_t time_us)
{
    return time_us > 0 ? (uint64_t)time_us / TICK_US : 0;
}

/* A deadline counts when its tick has begun and it is past. */
static uint64_t due_of(int64_t deadline_us)
{
    return tick_of(deadline_us + TICK_US - 1);
}

static void expire(sg_tracker *tracker)
{
    sg_timer *timer;
    while ((timer = sg_wheel_expire(&tracker->wheel, tick_of(tracker->clock_us)))) {
        entry *e = (entry *)(void *)((char *)timer - offsetof(entry, timer));
        end_dialog(tracker, e, end_of(&e->dialog));
    }
}

/* Times from the wire can be anything; far from the ends, sums and differences of them do not overflow. */
static int64_t tame(int64_t time_us)
{
    const int64_t most = (int64_t)1 << 60;
    return time_us > most ? most : time_us < -most ? -most : time_us;
}

static void start_clock(sg_tracker *tracker, int64_t raw_us)
{
    tracker->started = true;
    tracker->clock_us = tracker->first_us = 0;
    tracker->offset_us = -raw_us;
    sg_wheel_open(&tracker->wheel, 0);
}

/* Moves the clock by a message's time, and returns the time to take for that message. */
static int64_t follow_clock(sg_tracker *tracker, int64_t raw_us)
{
    raw_us = tame(raw_us);
    if (!tracker->started)
        start_clock(tracker, raw_us);
    int64_t now = raw_us + tracker->offset_us;
    bool ahead = now > tracker->clock_us + STEP_US, back = now < tracker->clock_us - STEP_US;
    if (ahead && tracker->doubted && tracker->doubt_us > tracker->clock_us &&
        now >= tracker->doubt_us - STEP_US) {
        /* Two agree that time went on, so it did, at least to the first of them. */
        tracker->clock_us = tracker->doubt_us;
        ahead = now > tracker->clock_us + STEP_US;
    } else if (back && tracker->doubted && tracker->doubt_us < tracker->clock_us) {
        /* Two agree that the clock was set back: no time passed. */
        tracker->offset_us = tracker->clock_us - raw_us;
        now = tracker->clock_us;
        back = false;
    }
    tracker->doubted = ahead || back;
    tracker->doubt_us = now;
    tracker->counts.steps_ahead += ahead;
    tracker->counts.steps_back += back;
    if (!tracker->doubted && now > tracker->clock_us)
        tracker->clock_us = now;
    return now > tracker->clock_us ? now : tracker->clock_us;
}

void sg_tracker_advance(sg_tracker *tracker, int64_t time_us)
{
    if (!tracker->started)
        return;
    int64_t now = tame(time_us) + tracker->offset_us;
    if (now > tracker->clock_us)
        tracker->clock_us = now;
    expire(tracker);
}

/* ---- Messages ---- */

static uint64_t bytes_of(const sg_tracker *tracker)
{
    return tracker->pool.bytes + (tracker->mask + 1) * sizeof(slot) + sizeof *tracker;
}

/* An item of the pool (size 0: for an entry).  Evicts the longest idle dialogs if needed, but never
 * `spared`. */
static void *take_room(sg_tracker *tracker, size_t size, size_t *room, const entry *spared)
{
    for (;;) {
        void *item = size ? sg_pool_take_bytes(&tracker->pool, size, room) : sg_pool_take(&tracker->pool);
        if (item || !tracker->oldest || tracker->oldest == spared)
            return item;
        evict(tracker, tracker->oldest);
    }
}

/* Puts the Call-ID into the entry, or beside it.  False: no memory at all. */
static bool keep_call_id(sg_tracker *tracker, entry *e, sg_text call_id)
{
    size_t length = call_id.length < SG_CALL_ID_KEPT ? call_id.length : SG_CALL_ID_KEPT, room;
    char *text = e->call_id;
    if (length > CALL_ID_INSIDE && !(text = take_room(tracker, length + 1, &room, NULL)))
        return false;
    memcpy(text, call_id.data, length);
    text[length] = '\0';
    e->dialog.call_id = text;
    e->dialog.call_id_length = (uint32_t)length;
    e->dialog.call_id_whole = call_id.length;
    return true;
}

static sg_status begin_dialog(sg_tracker *tracker, XXH128_hash_t hash, const sg_sip_message *message,
                              const sg_flow *flow, int64_t now, entry **out)
{
    if (tracker->counts.dialogs >= (uint64_t)tracker->options.dialogs_max)
        evict(tracker, tracker->oldest);
    entry *e = take_room(tracker, 0, NULL, NULL);
    if (e)
        memset(e, 0, tracker->user_at + tracker->options.user_size);
    if (!e || !keep_call_id(tracker, e, message->call_id)) {
        sg_pool_give(&tracker->pool, e);
        return sg_fail(SG_E_MEMORY, "no memory for a SIP dialog, with %llu followed",
                       (unsigned long long)tracker->counts.dialogs);
    }
    e->hash = hash;
    e->begun_us = now;
    e->deadline_us = now + STRAY_US;
    e->excused = now - tracker->first_us < tracker->options.quiet_s * 1000000;
    e->types_room = TYPES_INSIDE;
    e->dialog.types = e->types;
    e->dialog.first = *flow;
    e->dialog.start_us = flow->time_us;
    e->dialog.first_method = message->method;
    e->dialog.state = SG_DIALOG_STRAY;
    e->dialog.serial = ++tracker->counts.begun;
    /* Evictions may have moved slots, so the slot is looked up only now. */
    tracker->slots[find_slot(tracker, hash, message->call_id)] = (slot){hash.low64, e};
    if (++tracker->counts.dialogs > tracker->counts.dialogs_peak)
        tracker->counts.dialogs_peak = tracker->counts.dialogs;
    *out = e;
    return SG_OK;
}

/* Room for one more type; false if there is none. */
static bool grow_types(sg_tracker *tracker, entry *e)
{
    size_t bytes, want = (size_t)e->types_room * 2 * sizeof *e->types;
    if (e->dialog.length < e->types_room)
        return true;
    want = want < 2 * (size_t)SG_DIALOG_MESSAGES_MAX ? want : 2 * (size_t)SG_DIALOG_MESSAGES_MAX;
    uint16_t *types = take_room(tracker, want, &bytes, e);
    if (!types)
        return false;
    memcpy(types, e->dialog.types, e->dialog.length * sizeof *types);
    if (e->dialog.types != e->types)
        sg_pool_give(&tracker->pool, e->dialog.types);
    e->dialog.types = types;
    e->types_room = (uint32_t)(bytes / sizeof *types);
    return true;
}

/* Adds the type to the dialog, or counts why not.  Returns the flag that this raises. */
static uint32_t keep_type(sg_tracker *tracker, entry *e, uint16_t type, sg_tracked *tracked)
{
    sg_dialog *dialog = &e->dialog;
    if (tracked->repeated && tracker->options.repeats == SG_REPEATS_COLLAPSE)
        return 0;
    if (type == 0) {
        dialog->untyped++;
        tracker->counts.untyped++;
        return 0;
    }
    if (dialog->length >= (uint32_t)tracker->options.messages_max || !grow_types(tracker, e)) {
        dialog->truncated++;
        tracker->counts.truncated++;
        return SG_FLAG_TRUNCATED;
    }
    dialog->types[dialog->length++] = type;
    tracked->kept = true;
    return 0;
}

static bool asks_for_retry(int code)
{
    return code == 401 || code == 407 || (code >= 300 && code < 400);
}

static void take_message(sg_tracker *tracker, entry *e, const sg_sip_message *message, const sg_flow *flow,
                         int64_t now, sg_tracked *tracked)
{
    sg_dialog *dialog = &e->dialog;
    dialog->messages++;
    dialog->last_us = flow->time_us;
    tracked->repeated = sg_repeat_seen(&e->ring, sg_repeat_key(message, flow, tracker->key.seed), now);
    if (tracked->repeated) {
        dialog->repeats++;
        tracker->counts.repeats++;
        return;
    }
    bool was_over = sg_dialog_is_over(dialog);
    tracked->flags = sg_dialog_step(e, message, flow, &tracker->options, &tracker->key, now);
    bool refused = dialog->state == SG_DIALOG_REFUSED;
    tracked->over = !was_over && sg_dialog_is_over(dialog) && !(refused && asks_for_retry(dialog->code));
    sg_wheel_set(&tracker->wheel, &e->timer, due_of(e->deadline_us));
}

static void count_flags(sg_tracker *tracker, uint32_t flags)
{
    for (; flags; flags &= flags - 1)
        tracker->counts.flags[__builtin_ctz(flags)]++;
}

sg_status sg_tracker_add(sg_tracker *tracker, const sg_sip_message *message, const sg_flow *flow,
                         uint16_t type, sg_tracked *tracked)
{
    memset(tracked, 0, sizeof *tracked);
    int64_t now = follow_clock(tracker, flow->time_us);
    expire(tracker);
    tracker->counts.messages++;
    if (message->call_id.length == 0) {
        tracker->counts.no_call_id++;
        return SG_OK;
    }
    XXH128_hash_t hash = sg_hash_whole(&tracker->key, message->call_id);
    entry *e = tracker->slots[find_slot(tracker, hash, message->call_id)].entry;
    if (e && tick_of(now) >= due_of(e->deadline_us)) {
        /* Its own message says so, though the clock is not yet believed. */
        end_dialog(tracker, e, end_of(&e->dialog));
        e = NULL;
    }
    tracked->fresh = !e;
    if (e)
        unlink_age(tracker, e);
    else
        SG_TRY(begin_dialog(tracker, hash, message, flow, now, &e));
    link_newest(tracker, e);
    take_message(tracker, e, message, flow, now, tracked);
    tracked->flags |= keep_type(tracker, e, type, tracked);
    e->dialog.flags |= tracked->flags;
    count_flags(tracker, tracked->flags);
    if (bytes_of(tracker) > tracker->counts.bytes_peak)
        tracker->counts.bytes_peak = bytes_of(tracker);
    tracked->dialog = &e->dialog;
    return SG_OK;
}

/* ---- Looking ---- */

void sg_tracker_counts_now(const sg_tracker *tracker, sg_tracker_counts *counts)
{
    *counts = tracker->counts;
    counts->bytes = bytes_of(tracker);
}

sg_dialog *sg_tracker_first(const sg_tracker *tracker)
{
    return tracker->oldest ? &tracker->oldest->dialog : NULL;
}

sg_dialog *sg_tracker_next(const sg_tracker *tracker, const sg_dialog *dialog)
{
    (void)tracker;
    const entry *e = (const entry *)(const void *)dialog;
    return e->newer ? &e->newer->dialog : NULL;
}

sg_dialog *sg_tracker_find(const sg_tracker *tracker, sg_text call_id)
{
    if (call_id.length == 0)
        return NULL;
    entry *e = tracker->slots[find_slot(tracker, sg_hash_whole(&tracker->key, call_id), call_id)].entry;
    return e ? &e->dialog : NULL;
}

void *sg_dialog_user(const sg_dialog *dialog)
{
    return (char *)dialog + (sizeof(entry) + 15) / 16 * 16;
}

const char *sg_dialog_state_text(sg_dialog_state state)
{
    static const char *const texts[SG_DIALOG_STATES] = {
        "requested", "calling",    "proceeding", "answered",  "established", "cancelling",
        "ending",    "subscribed", "stray",      "completed", "refused",     "cancelled",
    };
    return (unsigned)state < SG_DIALOG_STATES ? texts[state] : "?";
}

const char *sg_end_text(sg_end end)
{
    static const char *const texts[SG_ENDS] = {"complete", "refused", "cancelled", "timed out",
                                               "open",     "stray",   "evicted",   "flushed"};
    return (unsigned)end < SG_ENDS ? texts[end] : "?";
}

const char *sg_flag_text(int bit)
{
    static const char *const texts[SG_FLAG_BITS] = {"stray request", "stray response",
                                                    "new source",    "answer from elsewhere",
                                                    "other tags",    "more messages than are kept"};
    return bit >= 0 && bit < SG_FLAG_BITS ? texts[bit] : "?";
}
