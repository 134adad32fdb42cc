#include "sip/sources.h"

#include "base/memory.h"
#include "sip/keyed_hash.h"

#include <math.h>
#include <stdlib.h>

enum { SET_BITS = 512, SET_WORDS = SET_BITS / 64, FIRST_PLACES = 64 };

/* What is counted over a window. */
enum { FAILURES, REFUSALS, SUCCESSES, INVITES, ACKS, TALLIES };

/* What is counted as distinct over a window. */
enum { CALL_IDS, USERS, TARGETS, SETS };

/* A count in the window of now and in the one before. */
typedef struct {
    uint32_t now, last;
} tally;

/* A bitmap of what was seen, likewise, and how many bits are set. */
typedef struct {
    uint64_t now[SET_WORDS], last[SET_WORDS];
    uint16_t now_ones, both_ones;
} set;

typedef struct {
    sg_endpoint address;
    int64_t first_us, last_us;
    uint64_t requests, responses;
    int64_t flood_window, window; /* numbers of the present ones */
    tally rate;
    tally tallies[TALLIES];
    set sets[SETS];
    int64_t spoke_us[SG_SOURCE_RULES];
    uint32_t spoken; /* rules that have fired, as bits */
    uint32_t hash;
    uint32_t older, newer; /* places + 1; 0: none */
} place;

struct sg_sources {
    sg_source_options options;
    sg_source_counts counts;
    sg_hash_key key;
    place *places;
    size_t capacity;
    uint32_t *slots; /* open addressing: places + 1, 0 is empty; at most half full */
    uint32_t mask;
    uint32_t oldest, newest;      /* places + 1 */
    float estimate[SET_BITS + 1]; /* how many different things set so many bits */
};

void sg_source_defaults(sg_source_options *options)
{
    *options = (sg_source_options){.sources_max = 16384,
                                   .flood_window_ms = 2000,
                                   .flood_requests = 30,
                                   .window_ms = 60000,
                                   .scan_call_ids = 30,
                                   .scan_targets = 20,
                                   .enumerated_users = 10,
                                   .failures = 12,
                                   .half_open = 20,
                                   .interval_ms = 60000};
}

static sg_status check_range(const char *name, int64_t value, int64_t least, int64_t most)
{
    if (value >= least && value <= most)
        return SG_OK;
    return sg_fail(SG_E_CONFIG, "%s of the source table is %lld, must be from %lld to %lld", name,
                   (long long)value, (long long)least, (long long)most);
}

static sg_status check_options(const sg_source_options *options)
{
    const int64_t day_ms = 86400000, most = 1 << 30;
    SG_TRY(check_range("the number of sources", options->sources_max, 1, 1 << 24));
    SG_TRY(check_range("the window of the flood rule", options->flood_window_ms, 1, day_ms));
    SG_TRY(check_range("the window", options->window_ms, 1, day_ms));
    SG_TRY(check_range("the interval", options->interval_ms, 0, day_ms));
    SG_TRY(check_range("the flood threshold", options->flood_requests, 0, most));
    SG_TRY(check_range("the Call-ID threshold", options->scan_call_ids, 0, SET_BITS));
    SG_TRY(check_range("the target threshold", options->scan_targets, 0, SET_BITS));
    SG_TRY(check_range("the user threshold", options->enumerated_users, 0, SET_BITS));
    SG_TRY(check_range("the failure threshold", options->failures, 0, most));
    return check_range("the half-open threshold", options->half_open, 0, most);
}

sg_status sg_sources_open(sg_sources **out, const sg_source_options *options)
{
    sg_sources *sources;
    *out = NULL;
    SG_TRY(check_options(options));
    SG_TRY(sg_alloc(&sources, 1, "source table"));
    sources->options = *options;
    sources->mask = 63;
    while (sources->mask < 2 * (uint32_t)options->sources_max)
        sources->mask = sources->mask * 2 + 1;
    for (int ones = 0; ones <= SET_BITS; ones++)
        sources->estimate[ones] =
            (float)(-SET_BITS * log((ones < SET_BITS ? SET_BITS - ones : 0.5) / SET_BITS));
    sg_status status = sg_hash_key_make(&sources->key, options->any_seed, options->seed);
    if (status == SG_OK)
        status = sg_alloc(&sources->slots, (size_t)sources->mask + 1, "source table");
    if (status == SG_OK)
        *out = sources;
    else
        sg_sources_close(sources);
    return status;
}

void sg_sources_close(sg_sources *sources)
{
    if (!sources)
        return;
    free(sources->places);
    free(sources->slots);
    free(sources);
}

/* ---- The table ---- */

static bool is_at(const place *p, const sg_endpoint *address)
{
    return p->address.family == address->family && memcmp(p->address.address, address->address, 16) == 0;
}

static uint32_t find_slot(const sg_sources *sources, const sg_endpoint *address, uint32_t hash)
{
    uint32_t at = hash & sources->mask;
    while (sources->slots[at] && !is_at(&sources->places[sources->slots[at] - 1], address))
        at = (at + 1) & sources->mask;
    return at;
}

static void empty_slot(sg_sources *sources, uint32_t at)
{
    for (uint32_t next = (at + 1) & sources->mask; sources->slots[next]; next = (next + 1) & sources->mask) {
        uint32_t home = sources->places[sources->slots[next] - 1].hash & sources->mask;
        if (((next - home) & sources->mask) >= ((next - at) & sources->mask)) {
            sources->slots[at] = sources->slots[next];
            at = next;
        }
    }
    sources->slots[at] = 0;
}

static void unlink_age(sg_sources *sources, const place *p)
{
    *(p->older ? &sources->places[p->older - 1].newer : &sources->oldest) = p->newer;
    *(p->newer ? &sources->places[p->newer - 1].older : &sources->newest) = p->older;
}

static void link_newest(sg_sources *sources, uint32_t number)
{
    place *p = &sources->places[number - 1];
    p->older = sources->newest;
    p->newer = 0;
    *(p->older ? &sources->places[p->older - 1].newer : &sources->oldest) = number;
    sources->newest = number;
}

/* A place for a new address: one never used while there are, else that of the idle oldest. */
static uint32_t take_place(sg_sources *sources)
{
    if (sources->counts.sources < (uint64_t)sources->options.sources_max) {
        size_t need = sources->counts.sources + 1, least = FIRST_PLACES;
        if (need <= sources->capacity ||
            sg_grow(&sources->places, &sources->capacity, need > least ? need : least, "sources") == SG_OK)
            return (uint32_t)++sources->counts.sources;
    }
    uint32_t number = sources->oldest;
    if (number) {
        place *p = &sources->places[number - 1];
        sources->counts.evicted++;
        empty_slot(sources, find_slot(sources, &p->address, p->hash));
        unlink_age(sources, p);
    }
    return number;
}

/* The place of an address, now the newest; NULL only if there is no memory for a single one. */
static place *find_or_add(sg_sources *sources, const sg_endpoint *address, int64_t time_us)
{
    uint32_t hash = (uint32_t)(sg_hash_address(&sources->key, address) >> 1);
    uint32_t number = sources->slots[find_slot(sources, address, hash)];
    if (number) {
        unlink_age(sources, &sources->places[number - 1]);
    } else {
        number = take_place(sources);
        if (!number)
            return NULL;
        place *p = &sources->places[number - 1];
        memset(p, 0, sizeof *p);
        p->address = *address;
        p->address.port = 0;
        p->hash = hash;
        p->first_us = time_us;
        sources->slots[find_slot(sources, address, hash)] = number;
    }
    link_newest(sources, number);
    return &sources->places[number - 1];
}

/* ---- Windows ---- */

static void slide_set(set *s)
{
    memcpy(s->last, s->now, sizeof s->last);
    memset(s->now, 0, sizeof s->now);
    s->both_ones = s->now_ones;
    s->now_ones = 0;
}

static void slide(place *p)
{
    for (int n = 0; n < TALLIES; n++)
        p->tallies[n] = (tally){0, p->tallies[n].now};
    for (int n = 0; n < SETS; n++)
        slide_set(&p->sets[n]);
}

/* How many windows on from `*window` the time is: 0 (a little back as well), 1, or 2 for any other. */
static int windows_on(int64_t *window, int64_t time_us, int64_t span_ms)
{
    int64_t number = time_us / (span_ms * 1000), on = number - *window;
    if (on == 0 || on == -1)
        return 0;
    *window = number;
    return on == 1 ? 1 : 2;
}

static void go_on(place *p, const sg_source_options *options, int64_t time_us)
{
    for (int n = windows_on(&p->flood_window, time_us, options->flood_window_ms); n > 0; n--)
        p->rate = (tally){0, p->rate.now};
    for (int n = windows_on(&p->window, time_us, options->window_ms); n > 0; n--)
        slide(p);
}

/* The share of the window before that a window which ends now still covers. */
static float share_of_last(int64_t window, int64_t time_us, int64_t span_ms)
{
    int64_t into_us = time_us - window * span_ms * 1000;
    return into_us <= 0 ? 1 : 1 - (float)into_us / ((float)span_ms * 1000);
}

static uint32_t tally_over(tally t, float share)
{
    return t.now + (uint32_t)((float)t.last * share + 0.5f);
}

static uint32_t set_over(const sg_sources *sources, const set *s, float share)
{
    float now = sources->estimate[s->now_ones], both = sources->estimate[s->both_ones];
    return (uint32_t)(now + (both - now) * share + 0.5f);
}

static void set_add(set *s, uint64_t hash)
{
    unsigned word = hash >> 32 & (SET_WORDS - 1);
    uint64_t bit = (uint64_t)1 << (hash >> 40 & 63);
    if (s->now[word] & bit)
        return;
    s->now[word] |= bit;
    s->now_ones++;
    s->both_ones = (uint16_t)(s->both_ones + !(s->last[word] & bit));
}

/* ---- Messages ---- */

static void count_request(const sg_sources *sources, place *p, const sg_sip_message *message,
                          const sg_flow *flow, bool repeated)
{
    p->requests++;
    p->rate.now++;
    if (repeated)
        return;
    p->tallies[ACKS].now += message->method == SG_METHOD_ACK;
    if (message->to_tag.length || message->method == SG_METHOD_ACK || message->method == SG_METHOD_CANCEL)
        return;
    p->tallies[INVITES].now += message->method == SG_METHOD_INVITE;
    if (message->call_id.length)
        set_add(&p->sets[CALL_IDS], sg_hash_text(&sources->key, message->call_id));
    sg_text user = sg_sip_request_user(message);
    if (user.length)
        set_add(&p->sets[USERS], sg_hash_text(&sources->key, user));
    set_add(&p->sets[TARGETS], sg_hash_address(&sources->key, &flow->destination) +
                                   ((uint64_t)flow->destination.port * 0x9e3779b97f4a7c15u));
}

static void count_response(place *p, const sg_sip_message *message, bool repeated)
{
    int code = message->code;
    p->responses++;
    if (repeated)
        return;
    p->tallies[SUCCESSES].now += code >= 200 && code < 300;
    p->tallies[REFUSALS].now += code >= 400 && code < 700 && code != 487 && code != 491;
    p->tallies[FAILURES].now += code == 401 || code == 403 || code == 407;
}

static void describe(const sg_sources *sources, const place *p, int64_t time_us, sg_source *source)
{
    const sg_source_options *options = &sources->options;
    float share = share_of_last(p->window, time_us, options->window_ms);
    float flood_share = share_of_last(p->flood_window, time_us, options->flood_window_ms);
    *source = (sg_source){.address = p->address,
                          .first_us = p->first_us,
                          .last_us = p->last_us,
                          .requests = p->requests,
                          .responses = p->responses,
                          .rate = tally_over(p->rate, flood_share),
                          .call_ids = set_over(sources, &p->sets[CALL_IDS], share),
                          .users = set_over(sources, &p->sets[USERS], share),
                          .targets = set_over(sources, &p->sets[TARGETS], share),
                          .failures = tally_over(p->tallies[FAILURES], share),
                          .refusals = tally_over(p->tallies[REFUSALS], share),
                          .successes = tally_over(p->tallies[SUCCESSES], share),
                          .invites = tally_over(p->tallies[INVITES], share),
                          .acks = tally_over(p->tallies[ACKS], share)};
}

static bool reaches(int64_t value, int64_t threshold)
{
    return threshold > 0 && value >= threshold;
}

/* The rules whose thresholds are reached, whether or not they have fired. */
static uint32_t judge(const sg_source *s, const sg_source_options *options)
{
    int64_t successes = s->successes;
    bool scan = reaches(s->call_ids, options->scan_call_ids) && 3 * successes < s->call_ids;
    bool enumeration = reaches(s->users, options->enumerated_users) && 2 * s->refusals >= s->users &&
                       s->refusals > successes;
    bool guessing = reaches(s->failures, options->failures) && s->failures > 4 * successes;
    bool half_open = reaches((int64_t)s->invites - s->acks, options->half_open);
    scan = scan || reaches(s->targets, options->scan_targets);
    return (uint32_t)reaches(s->rate, options->flood_requests) << SG_SOURCE_FLOOD |
           (uint32_t)scan << SG_SOURCE_SCAN | (uint32_t)enumeration << SG_SOURCE_ENUMERATION |
           (uint32_t)guessing << SG_SOURCE_GUESSING | (uint32_t)half_open << SG_SOURCE_HALF_OPEN;
}

/* Those of the rules that have not fired within the interval, in either direction of time. */
static uint32_t speak(sg_sources *sources, place *p, uint32_t rules, int64_t time_us)
{
    uint32_t now = 0;
    for (int rule = 0; rule < SG_SOURCE_RULES; rule++) {
        uint32_t bit = 1u << rule;
        int64_t since_us = llabs(time_us - p->spoke_us[rule]);
        if (!(rules & bit) || ((p->spoken & bit) && since_us < sources->options.interval_ms * 1000))
            continue;
        p->spoken |= bit;
        p->spoke_us[rule] = time_us;
        sources->counts.raised[rule]++;
        now |= bit;
    }
    return now;
}

/* Far from the ends of time, nothing overflows. */
static int64_t tame(int64_t time_us)
{
    const int64_t most = (int64_t)1 << 60;
    return time_us > most ? most : time_us < 0 ? 0 : time_us;
}

uint32_t sg_sources_add(sg_sources *sources, const sg_sip_message *message, const sg_flow *flow,
                        bool repeated, sg_source *source)
{
    sg_source now;
    int64_t time_us = tame(flow->time_us);
    place *p = find_or_add(sources, message->response ? &flow->destination : &flow->source, flow->time_us);
    if (source)
        memset(source, 0, sizeof *source);
    if (!p)
        return 0;
    p->last_us = flow->time_us;
    go_on(p, &sources->options, time_us);
    if (message->response)
        count_response(p, message, repeated);
    else
        count_request(sources, p, message, flow, repeated);
    describe(sources, p, time_us, &now);
    if (source)
        *source = now;
    uint32_t rules = judge(&now, &sources->options);
    return rules ? speak(sources, p, rules, time_us) : 0;
}

bool sg_sources_find(const sg_sources *sources, const sg_endpoint *address, int64_t time_us,
                     sg_source *source)
{
    uint32_t hash = (uint32_t)(sg_hash_address(&sources->key, address) >> 1);
    uint32_t number = sources->slots[find_slot(sources, address, hash)];
    memset(source, 0, sizeof *source);
    if (!number)
        return false;
    place then = sources->places[number - 1];
    go_on(&then, &sources->options, tame(time_us));
    describe(sources, &then, tame(time_us), source);
    return true;
}

void sg_sources_counts_now(const sg_sources *sources, sg_source_counts *counts)
{
    *counts = sources->counts;
    counts->bytes = sizeof *sources + sources->capacity * sizeof(place) +
                    ((size_t)sources->mask + 1) * sizeof *sources->slots;
}

const char *sg_source_rule_text(sg_source_rule rule)
{
    static const char *const texts[SG_SOURCE_RULES] = {"flood", "scan", "enumeration", "password guessing",
                                                       "half-open calls"};
    return (unsigned)rule < SG_SOURCE_RULES ? texts[rule] : "?";
}
