#include "corpus/synth.h"

#include "base/memory.h"
#include "corpus/sequence_set.h"
#include "corpus/split.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Streams of SG_RANDOM_SYNTH: changing how one thing is drawn does not affect the others. */
enum { STREAM_DIALOGS, STREAM_REPAIR, STREAM_LABELS, STREAM_USER_AGENTS, STREAM_TIMES, STREAM_CALL_IDS };

/* ---- multiplicities ---- */

void sg_zipf_counts(int64_t *count, int64_t repeated, int64_t dialogs, double exponent, double shift)
{
    /* The scale at which max(2, scale * weight) sums to `dialogs`: bisection, then rounding down. */
    double low = 0, high = (double)dialogs * pow(1 + shift, exponent);
    for (int step = 0; step < 60; step++) {
        double middle = (low + high) / 2, sum = 0;
        for (int64_t r = 0; r < repeated && sum <= (double)dialogs; r++)
            sum += fmax(2, middle * pow((double)(r + 1) + shift, -exponent));
        *(sum > (double)dialogs ? &high : &low) = middle;
    }
    int64_t rest = dialogs;
    for (int64_t r = 0; r < repeated; r++) {
        count[r] = (int64_t)fmax(2, low * pow((double)(r + 1) + shift, -exponent));
        rest -= count[r];
    }
    for (int64_t r = 0; rest > 0; r = (r + 1) % repeated, rest--)
        count[r]++;
}

/* Multiplicities of all classes, falling; *exponent is what was used.  With targets for unseen dialogs and
 * no given exponent, the one at which a random split is expected to have as many. */
static sg_status make_counts(const sg_synth_options *o, int64_t *count, double *exponent)
{
    int64_t repeated = o->unique - o->once, size[SG_SPLITS] = {o->train, o->validation, o->test};
    bool fit = o->zipf_exponent == 0 && o->search && o->unseen_validation >= 0;
    double target = (double)(o->unseen_validation + o->unseen_test), low = 0, high = 6;
    *exponent = o->zipf_exponent > 0 ? o->zipf_exponent : 1.5;
    for (int64_t c = repeated; c < o->unique; c++)
        count[c] = 1;
    for (int step = 0; repeated > 0 && fit && step < 30; step++) {
        *exponent = (low + high) / 2;
        sg_zipf_counts(count, repeated, o->dialogs - o->once, *exponent, o->zipf_shift);
        *(sg_split_expected_unseen(count, o->unique, size) > target ? &high : &low) = *exponent;
    }
    if (repeated > 0)
        sg_zipf_counts(count, repeated, o->dialogs - o->once, *exponent, o->zipf_shift);
    return SG_OK;
}

/* ---- unique sequences ---- */

typedef struct {
    const sg_synth_options *options;
    sg_sip_model model;
    sg_sequence_set set;
    uint16_t *tokens; /* [max_length] the dialog being drawn */
    int32_t *chosen;  /* [unique] numbers in the set, the commonest first */
    int64_t draws;
} maker;

/* Draws until `unique` sequences are known, and at least as many dialogs as tell the common ones from the
 * rare.  When new ones become rare, variety rises. */
static sg_status draw_sequences(maker *m, uint64_t seed)
{
    const sg_synth_options *o = m->options;
    const int64_t round = 4096 + o->unique / 8;
    int64_t enough = o->dialogs < 16 * o->unique ? o->dialogs : 16 * o->unique;
    sg_random random = sg_random_open(seed, SG_RANDOM_SYNTH, STREAM_DIALOGS);
    double variety = 1;
    int poor = 0;
    while (m->draws < enough || m->set.count < o->unique) {
        int32_t before = m->set.count, number;
        for (int64_t i = 0; i < round && (m->draws < enough || m->set.count < o->unique); i++, m->draws++) {
            int length = sg_sip_model_dialog(&m->model, &random, variety, m->tokens);
            if (length > 0)
                SG_TRY(sg_sequence_set_add(&m->set, m->tokens, length, &number));
        }
        if (m->draws < enough)
            continue;
        /* Goes on while a fifth of them are new; gives up after 40 rounds in a row with hardly any. */
        bool scarce = (m->set.count - before) * 5 < round;
        poor = (m->set.count - before) * 200 < round ? poor + 1 : 0;
        variety = scarce && variety < 64 ? variety * 1.3 : variety;
        if (poor > 40)
            return sg_fail(SG_E_CONFIG,
                           "the model made only %d unique dialogs of at most %" PRId64 " messages in %" PRId64
                           " draws, %" PRId64 " are needed; lower synth.unique, or raise synth.max_length or "
                           "synth.message_types",
                           m->set.count, o->max_length, m->draws, o->unique);
    }
    return SG_OK;
}

typedef struct {
    int64_t times;
    int32_t number;
} candidate;

static int commoner(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->times != y->times)
        return x->times > y->times ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

/* The commonest sequences, in order: ranks of sequences and of multiplicities will be the same. */
static sg_status choose_sequences(maker *m)
{
    candidate *all;
    SG_TRY(sg_alloc(&all, m->set.count, "unique dialogs"));
    for (int32_t n = 0; n < m->set.count; n++)
        all[n] = (candidate){m->set.times[n], n};
    qsort(all, (size_t)m->set.count, sizeof *all, commoner);
    for (int64_t c = 0; c < m->options->unique; c++)
        m->chosen[c] = all[c].number;
    free(all);
    return SG_OK;
}

static bool holds(const sg_sequence_set *set, int32_t number, int type)
{
    const uint16_t *tokens = sg_sequence_set_tokens(set, number);
    for (int t = 0; t < sg_sequence_set_length(set, number); t++)
        if (tokens[t] == type)
            return true;
    return false;
}

/* What the chosen sequences must have: every type (1..M), and the greatest length (0). */
static bool serves(const maker *m, int32_t number, int need)
{
    return need ? holds(&m->set, number, need)
                : sg_sequence_set_length(&m->set, number) == m->model.max_length;
}

static void count_needs(const maker *m, int64_t *served)
{
    memset(served, 0, ((size_t)m->model.message_types + 1) * sizeof *served);
    for (int64_t c = 0; c < m->options->unique; c++)
        for (int need = 0; need <= m->model.message_types; need++)
            served[need] += serves(m, m->chosen[c], need);
}

/* The last (rarest) sequence that is not the only one to serve some need, or -1. */
static int64_t find_victim(const maker *m, const int64_t *served)
{
    for (int64_t c = m->options->unique - 1; c >= 0; c--) {
        bool free_to_go = true;
        for (int need = 0; need <= m->model.message_types && free_to_go; need++)
            free_to_go = served[need] != 1 || !serves(m, m->chosen[c], need);
        if (free_to_go)
            return c;
    }
    return -1;
}

static bool is_chosen(const maker *m, int32_t number)
{
    for (int64_t c = 0; c < m->options->unique; c++)
        if (m->chosen[c] == number)
            return true;
    return false;
}

/* Draws a sequence that serves `need` and is not chosen yet. */
static sg_status draw_for(maker *m, sg_random *random, int need, int32_t *number)
{
    const int64_t tries_max = 300000;
    for (int64_t i = 0; i < tries_max; i++, m->draws++) {
        const int64_t rounds = i / 4096;
        double variety = 1 + 0.1 * (double)rounds;
        int length = sg_sip_model_dialog(&m->model, random, need ? variety : 1, m->tokens);
        if (length == 0 || (need == 0 && length != m->model.max_length))
            continue;
        SG_TRY(sg_sequence_set_add(&m->set, m->tokens, length, number));
        if (serves(m, *number, need) && !is_chosen(m, *number))
            return SG_OK;
    }
    if (need == 0)
        return sg_fail(SG_E_CONFIG,
                       "the model made no dialog of exactly %d messages in %" PRId64 " draws; "
                       "change synth.max_length",
                       m->model.max_length, tries_max);
    return sg_fail(SG_E_CONFIG,
                   "no dialog of at most %d messages holds message type %d in %" PRId64 " draws; lower "
                   "synth.message_types or raise the rates",
                   m->model.max_length, need, tries_max);
}

/* Replaces rare sequences until every type occurs and the longest dialog has max_length messages. */
static sg_status repair_sequences(maker *m, uint64_t seed)
{
    int64_t *served;
    sg_random random = sg_random_open(seed, SG_RANDOM_SYNTH, STREAM_REPAIR);
    SG_TRY(sg_alloc(&served, m->model.message_types + 1, "message types"));
    sg_status status = SG_OK;
    for (int need = 0; need <= m->model.message_types && status == SG_OK; need++) {
        count_needs(m, served);
        if (served[need])
            continue;
        int32_t number = 0;
        int64_t victim = find_victim(m, served);
        status = victim < 0
                     ? sg_fail(SG_E_CONFIG, "%" PRId64 " unique dialogs cannot hold all %d message types",
                               m->options->unique, m->model.message_types)
                     : draw_for(m, &random, need, &number);
        if (status == SG_OK)
            m->chosen[victim] = number;
    }
    free(served);
    return status;
}

static sg_status make_sequences(maker *m, const sg_synth_options *o, uint64_t seed)
{
    m->options = o;
    sg_sip_model_open(&m->model, &o->sip, (int)o->message_types, (int)o->max_length);
    SG_TRY(sg_sequence_set_open(&m->set));
    SG_TRY(sg_alloc(&m->tokens, o->max_length, "dialog"));
    SG_TRY(sg_alloc(&m->chosen, o->unique, "unique dialogs"));
    SG_TRY(draw_sequences(m, seed));
    SG_TRY(choose_sequences(m));
    return repair_sequences(m, seed);
}

static void free_maker(maker *m)
{
    sg_sequence_set_free(&m->set);
    free(m->tokens);
    free(m->chosen);
}

/* ---- the corpus ---- */

static void shuffle(int32_t *items, int64_t count, uint64_t seed, uint32_t stream)
{
    sg_random random = sg_random_open(seed, SG_RANDOM_SYNTH, stream);
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t j = sg_random_below(&random, (uint32_t)i + 1);
        int32_t t = items[i];
        items[i] = items[j];
        items[j] = t;
    }
}

static sg_status allocate(sg_corpus *corpus, const sg_synth_options *o)
{
    corpus->message_types = (int)o->message_types;
    corpus->max_length = (int)o->max_length;
    corpus->classes = (int)o->unique;
    corpus->dialogs = o->dialogs;
    SG_TRY(sg_alloc(&corpus->alphabet, o->message_types, "alphabet"));
    SG_TRY(sg_alloc(&corpus->label, o->dialogs, "labels"));
    SG_TRY(sg_alloc(&corpus->user_agent, o->dialogs, "user agents"));
    SG_TRY(sg_alloc(&corpus->start_time, o->dialogs, "start times"));
    SG_TRY(sg_alloc(&corpus->split, o->dialogs, "split"));
    SG_TRY(sg_alloc(&corpus->class_sequence, o->unique * o->max_length, "class sequences"));
    SG_TRY(sg_alloc(&corpus->class_length, o->unique, "class lengths"));
    return sg_alloc(&corpus->class_count, o->unique, "class counts");
}

static sg_status fill_alphabet(sg_corpus *corpus, const sg_sip_model *model)
{
    for (int type = 0; type < SG_SIP_TYPES; type++) {
        if (!model->id[type])
            continue;
        char *name = strdup(sg_sip_type_name(type));
        if (!name)
            return sg_fail(SG_E_MEMORY, "alphabet: out of memory");
        corpus->alphabet[model->id[type] - 1] = name;
    }
    return SG_OK;
}

/* Shuffles the ranks over the dialogs, then numbers classes in the order of their first dialog, as an import
 * would, so a label says nothing about how common its class is. */
static sg_status fill_classes(sg_corpus *corpus, const maker *m, const int64_t *count, uint64_t seed)
{
    int64_t at = 0;
    for (int32_t rank = 0; rank < corpus->classes; rank++)
        for (int64_t i = 0; i < count[rank]; i++)
            corpus->label[at++] = rank;
    shuffle(corpus->label, corpus->dialogs, seed, STREAM_LABELS);
    int32_t *class_of, next = 0;
    SG_TRY(sg_alloc(&class_of, corpus->classes, "classes"));
    for (int64_t d = 0; d < corpus->dialogs; d++) {
        int32_t rank = corpus->label[d];
        if (!class_of[rank]) {
            int32_t number = m->chosen[rank];
            int length = sg_sequence_set_length(&m->set, number);
            memcpy(corpus->class_sequence + (size_t)next * (size_t)corpus->max_length,
                   sg_sequence_set_tokens(&m->set, number), (size_t)length * sizeof(uint16_t));
            corpus->class_length[next] = (uint16_t)length;
            corpus->class_count[next] = count[rank];
            class_of[rank] = ++next;
        }
        corpus->label[d] = class_of[rank] - 1;
    }
    free(class_of);
    return SG_OK;
}

/* Every user agent has at least one dialog; the rest are distributed by rank (Zipf). */
static sg_status fill_user_agents(sg_corpus *corpus, const sg_synth_options *o, uint64_t seed)
{
    int64_t agents = o->user_agents, at = 0, spare = o->dialogs - agents;
    double sum = 0, before = 0, total = 0;
    for (int64_t r = 0; r < agents; r++)
        total += pow((double)(r + 1), -o->user_agent_exponent);
    for (int64_t r = 0; r < agents; r++) {
        corpus->user_agent[at++] = (int32_t)r;
        sum += pow((double)(r + 1), -o->user_agent_exponent) / total;
        int64_t n = llround(sum * (double)spare) - llround(before * (double)spare);
        for (; n > 0 && at < o->dialogs; n--)
            corpus->user_agent[at++] = (int32_t)r;
        before = sum;
    }
    while (at < o->dialogs)
        corpus->user_agent[at++] = 0;
    shuffle(corpus->user_agent, o->dialogs, seed, STREAM_USER_AGENTS);
    return SG_OK;
}

/* Arrival times in whole microseconds: a Poisson process whose rate depends on the time of day. */
static void fill_times(sg_corpus *corpus, const sg_synth_options *o, uint64_t seed)
{
    const double day = 86400, busiest = 15 * 3600;
    sg_random random = sg_random_open(seed, SG_RANDOM_SYNTH, STREAM_TIMES);
    double t = 0;
    for (int64_t d = 0; d < corpus->dialogs; d++) {
        double rate = o->arrivals_per_hour / 3600 *
                      (1 + o->daily_swing * cos((t - busiest) / day * 2 * 3.14159265358979323846));
        t += -log(1 - sg_random_double(&random)) / rate;
        corpus->start_time[d] = round((o->start_time + t) * 1e6) / 1e6;
    }
}

static sg_status fill_call_ids(sg_corpus *corpus, uint64_t seed)
{
    sg_random random = sg_random_open(seed, SG_RANDOM_SYNTH, STREAM_CALL_IDS);
    SG_TRY(sg_alloc(&corpus->call_id, corpus->dialogs, "Call-IDs"));
    for (int64_t d = 0; d < corpus->dialogs; d++) {
        char text[64];
        uint32_t a = sg_random_next(&random), b = sg_random_next(&random);
        /* The dialog's number keeps them unique. */
        snprintf(text, sizeof text, "%08x%08x-%" PRId64 "@synthetic.invalid", a, b, d);
        corpus->call_id[d] = strdup(text);
        if (!corpus->call_id[d])
            return sg_fail(SG_E_MEMORY, "Call-IDs: out of memory");
    }
    return SG_OK;
}

static sg_status fill_split(sg_corpus *corpus, const sg_synth_options *o, uint64_t seed,
                            sg_synth_report *report)
{
    int64_t size[SG_SPLITS] = {o->train, o->validation, o->test};
    if (!o->search || o->unseen_validation < 0)
        return sg_split_draw(corpus, size, seed);
    return sg_split_search(corpus, size, seed, o->unseen_validation, o->unseen_test,
                           o->split_tries ? o->split_tries : sg_split_tries(o->dialogs),
                           &report->split_tries);
}

static sg_status fill(sg_corpus *corpus, const maker *m, const sg_synth_options *o, uint64_t seed,
                      sg_synth_report *report)
{
    int64_t *count;
    SG_TRY(sg_alloc(&count, o->unique, "multiplicities"));
    sg_status status = make_counts(o, count, &report->zipf_exponent);
    if (status == SG_OK)
        status = fill_classes(corpus, m, count, seed);
    free(count);
    SG_TRY(status);
    SG_TRY(fill_user_agents(corpus, o, seed));
    fill_times(corpus, o, seed);
    if (o->call_id)
        SG_TRY(fill_call_ids(corpus, seed));
    return fill_split(corpus, o, seed, report);
}

sg_status sg_synth_corpus(sg_corpus *corpus, const sg_synth_options *options, uint64_t seed,
                          sg_synth_report *report)
{
    maker m = {0};
    memset(corpus, 0, sizeof *corpus);
    memset(report, 0, sizeof *report);
    sg_status status = make_sequences(&m, options, seed);
    if (status == SG_OK)
        status = allocate(corpus, options);
    if (status == SG_OK)
        status = fill_alphabet(corpus, &m.model);
    if (status == SG_OK)
        status = fill(corpus, &m, options, seed, report);
    report->draws = m.draws;
    free_maker(&m);
    if (status != SG_OK)
        sg_corpus_free(corpus);
    else
        sg_corpus_digest(corpus);
    return status;
}
