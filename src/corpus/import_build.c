/* import_build.c: from messages to a corpus. */
#include "base/memory.h"
#include "corpus/import_internal.h"
#include "corpus/sequence_set.h"

#include <stdlib.h>
#include <string.h>

#define OTHER "OTHER"

/* ---- the alphabet ---- */

typedef struct {
    int64_t times;
    const char *name;
    int32_t type;
} type_use;

static int commoner(const void *a, const void *b)
{
    const type_use *x = a, *y = b;
    if (x->times != y->times)
        return x->times > y->times ? -1 : 1;
    return strcmp(x->name, y->name);
}

static sg_status add_name(sg_corpus *corpus, const char *name)
{
    char *copy = strdup(name);
    if (!copy)
        return sg_fail(SG_E_MEMORY, "alphabet: out of memory");
    corpus->alphabet[corpus->message_types++] = copy;
    return SG_OK;
}

/* Chooses ids of the types in `use`, sorted by frequency; those beyond types_max - 1 share OTHER. */
static sg_status choose_commonest(const sg_import *import, sg_corpus *corpus, const type_use *use,
                                  uint16_t *id)
{
    int32_t types = import->types.count;
    int64_t kept = types <= import->options.types_max ? types : import->options.types_max - 1;
    for (int32_t k = 0; k < kept; k++) {
        /* A method may be called OTHER; it then shares the id. */
        if (kept < types && strcmp(use[k].name, OTHER) == 0)
            continue;
        SG_TRY(add_name(corpus, use[k].name));
        id[use[k].type] = (uint16_t)corpus->message_types;
    }
    return SG_OK;
}

static sg_status choose_wanted(const sg_import *import, sg_corpus *corpus, const type_use *use, uint16_t *id)
{
    for (int32_t k = 0; k < import->wanted.count; k++)
        SG_TRY(add_name(corpus, sg_text_set_text(&import->wanted, k)));
    for (int32_t k = 0; k < import->types.count; k++)
        id[use[k].type] = (uint16_t)(sg_text_set_find(&import->wanted, use[k].name) + 1);
    return SG_OK;
}

/* Types without an id get that of OTHER, which is added if it is missing. */
static sg_status fold_others(sg_import *import, sg_corpus *corpus, const type_use *use, uint16_t *id)
{
    int other = 0;
    for (int m = 0; m < corpus->message_types; m++)
        if (strcmp(corpus->alphabet[m], OTHER) == 0)
            other = m + 1;
    for (int32_t k = 0; k < import->types.count; k++) {
        if (id[use[k].type])
            continue;
        if (!other) {
            SG_TRY(add_name(corpus, OTHER));
            other = corpus->message_types;
        }
        id[use[k].type] = (uint16_t)other;
        import->report.folded_types++;
        import->report.folded_messages += use[k].times;
    }
    return SG_OK;
}

/* Makes the alphabet; id[type] is the alphabet id of each type read. */
static sg_status make_alphabet(sg_import *import, sg_corpus *corpus, uint16_t *id)
{
    int32_t types = import->types.count;
    type_use *use;
    SG_TRY(
        sg_alloc(&corpus->alphabet, (import->wanted.count ? import->wanted.count : types) + 1, "alphabet"));
    SG_TRY(sg_alloc(&use, types, "message types"));
    for (int32_t t = 0; t < types; t++)
        use[t] = (type_use){0, sg_text_set_text(&import->types, t), t};
    for (int64_t i = 0; i < import->count; i++)
        use[import->messages[i].type].times++;
    qsort(use, (size_t)types, sizeof *use, commoner);
    sg_status status = import->wanted.count ? choose_wanted(import, corpus, use, id)
                                            : choose_commonest(import, corpus, use, id);
    if (status == SG_OK)
        status = fold_others(import, corpus, use, id);
    free(use);
    import->report.types = types;
    return status;
}

/* ---- the order of messages ---- */

typedef struct {
    int64_t time, index; /* the index keeps the order of messages of equal time */
    uint16_t token;
} entry;

static int earlier(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

/* Groups messages by dialog, each dialog by time (or as read).  start[d] is where dialog d begins; it ends at
 * start[d+1].
 */
static sg_status order_messages(sg_import *import, const uint16_t *id, entry *entries, int64_t *start)
{
    int32_t dialogs = import->call_ids.count;
    int64_t *next;
    SG_TRY(sg_alloc(&next, dialogs, "dialogs"));
    for (int32_t d = 0; d < dialogs; d++) {
        next[d] = start[d];
        start[d + 1] = start[d] + import->dialogs[d].messages;
    }
    for (int64_t i = 0; i < import->count; i++) {
        const sg_import_message *m = &import->messages[i];
        entries[next[m->dialog]++] = (entry){m->time, i, id[m->type]};
    }
    free(next);
    for (int32_t d = 0; d < dialogs && !import->options.file_order; d++) {
        bool ordered = true;
        for (int64_t i = start[d] + 1; i < start[d + 1] && ordered; i++)
            ordered = entries[i - 1].time <= entries[i].time;
        if (ordered)
            continue;
        qsort(entries + start[d], (size_t)(start[d + 1] - start[d]), sizeof *entries, earlier);
        import->report.reordered++;
    }
    return SG_OK;
}

/* ---- the corpus ---- */

typedef struct {
    sg_import *import;
    sg_corpus *corpus;
    uint16_t *id;
    entry *entries;
    int64_t *start;
    uint16_t *tokens;
    sg_sequence_set set;
    sg_text_set agents; /* of the dialogs that are kept, numbered in order */
} builder;

/* How many messages of a dialog are kept; 0: none of it. */
static int64_t kept_length(sg_import *import, int64_t length)
{
    int64_t most = import->options.max_length > 0 ? import->options.max_length : SG_LENGTH_MAX;
    if (length < import->options.min_length) {
        import->report.dropped_short++;
        return 0;
    }
    if (length <= most)
        return length;
    if (import->options.drop_long) {
        import->report.dropped_long++;
        return 0;
    }
    import->report.cut++;
    return most;
}

static sg_status add_dialog(builder *b, int32_t d)
{
    sg_import *import = b->import;
    sg_corpus *corpus = b->corpus;
    int64_t length = kept_length(import, b->start[d + 1] - b->start[d]), at = corpus->dialogs;
    if (length == 0)
        return SG_OK;
    for (int64_t i = 0; i < length; i++)
        b->tokens[i] = b->entries[b->start[d] + i].token;
    SG_TRY(sg_sequence_set_add(&b->set, b->tokens, (int)length, &corpus->label[at]));
    SG_TRY(sg_text_set_add(&b->agents, sg_text_set_text(&import->user_agents, import->dialogs[d].user_agent),
                           &corpus->user_agent[at]));
    corpus->start_time[at] = (double)import->dialogs[d].first_time / 1e9;
    corpus->call_id[at] = strdup(sg_text_set_text(&import->call_ids, d));
    if (!corpus->call_id[at])
        return sg_fail(SG_E_MEMORY, "Call-IDs: out of memory");
    corpus->dialogs++;
    corpus->max_length = length > corpus->max_length ? (int)length : corpus->max_length;
    return SG_OK;
}

static sg_status add_dialogs(builder *b)
{
    sg_corpus *corpus = b->corpus;
    int32_t dialogs = b->import->call_ids.count;
    SG_TRY(sg_alloc(&corpus->label, dialogs, "labels"));
    SG_TRY(sg_alloc(&corpus->user_agent, dialogs, "user agents"));
    SG_TRY(sg_alloc(&corpus->start_time, dialogs, "start times"));
    SG_TRY(sg_alloc(&corpus->call_id, dialogs, "Call-IDs"));
    SG_TRY(sg_alloc(&corpus->split, dialogs, "split"));
    SG_TRY(sg_alloc(&b->tokens, SG_LENGTH_MAX, "a dialog"));
    for (int32_t d = 0; d < dialogs; d++)
        SG_TRY(add_dialog(b, d));
    if (corpus->dialogs == 0)
        return sg_fail(SG_E_FORMAT, "none of the %d dialogs has a length within the limits", dialogs);
    return SG_OK;
}

static sg_status add_classes(builder *b)
{
    sg_corpus *corpus = b->corpus;
    corpus->classes = b->set.count;
    if (b->import->options.max_length > 0)
        corpus->max_length = (int)b->import->options.max_length;
    size_t N = (size_t)corpus->classes, L = (size_t)corpus->max_length;
    SG_TRY(sg_alloc(&corpus->class_sequence, N * L, "class sequences"));
    SG_TRY(sg_alloc(&corpus->class_length, N, "class lengths"));
    SG_TRY(sg_alloc(&corpus->class_count, N, "class counts"));
    for (int32_t c = 0; c < corpus->classes; c++) {
        int length = sg_sequence_set_length(&b->set, c);
        memcpy(corpus->class_sequence + (size_t)c * L, sg_sequence_set_tokens(&b->set, c),
               (size_t)length * sizeof(uint16_t));
        corpus->class_length[c] = (uint16_t)length;
        corpus->class_count[c] = b->set.times[c];
    }
    return SG_OK;
}

static sg_status build(builder *b)
{
    sg_import *import = b->import;
    if (import->types.count >= SG_MESSAGE_TYPES_MAX)
        return sg_fail(SG_E_FORMAT, "%d different message types; at most %d are possible",
                       import->types.count, SG_MESSAGE_TYPES_MAX - 1);
    SG_TRY(sg_alloc(&b->id, import->types.count, "message types"));
    SG_TRY(sg_alloc(&b->entries, import->count, "messages"));
    SG_TRY(sg_alloc(&b->start, (int64_t)import->call_ids.count + 1, "dialogs"));
    SG_TRY(sg_sequence_set_open(&b->set));
    SG_TRY(sg_text_set_open(&b->agents));
    SG_TRY(make_alphabet(import, b->corpus, b->id));
    SG_TRY(order_messages(import, b->id, b->entries, b->start));
    SG_TRY(add_dialogs(b));
    return add_classes(b);
}

static sg_status nothing_left(const sg_import *import)
{
    for (int r = 0; r < SG_SKIP_REASONS; r++)
        if (import->report.skipped[r])
            return sg_fail(SG_E_FORMAT, "no usable message among %lld records; the first (%s) is %s",
                           (long long)import->report.records, sg_skip_reason_text(r),
                           import->report.first_skipped[r]);
    return sg_fail(SG_E_FORMAT, "the input holds no messages");
}

sg_status sg_import_finish(sg_import *import, sg_corpus *corpus, sg_import_report *report)
{
    builder b = {.import = import, .corpus = corpus};
    memset(corpus, 0, sizeof *corpus);
    sg_status status = import->count ? build(&b) : nothing_left(import);
    free(b.id);
    free(b.entries);
    free(b.start);
    free(b.tokens);
    sg_sequence_set_free(&b.set);
    sg_text_set_free(&b.agents);
    *report = import->report;
    if (status != SG_OK)
        sg_corpus_free(corpus);
    else
        sg_corpus_digest(corpus);
    return status;
}
