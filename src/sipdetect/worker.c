/* worker.c: workers and their computations. */
#include "sipdetect/internal.h"

#include "base/memory.h"
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { BATCH = 64, BATCH_MAX = 4096, ITEMS_PER_ROW = 4 };

/* ---- memory: one block, cut into parts at multiples of 64 ---- */

typedef struct {
    char *at; /* NULL: only count */
    size_t bytes;
} carver;

static void *carve(carver *c, size_t count, size_t size)
{
    void *part = c->at ? c->at + c->bytes : NULL;
    c->bytes += sd_round_up(count * size, SD_ALIGNMENT);
    return part;
}

static void carve_worker(sipdetect_worker *w, carver *c)
{
    const sd_network *network = &w->model->file.network;
    const size_t batch = (size_t)w->options.batch;
    carve(c, 1, sizeof *w);
    w->room = carve(c, 1, sd_room_bytes(network, w->options.batch));
    w->types = carve(c, batch * (size_t)network->max_length, sizeof *w->types);
    w->lengths = carve(c, batch, sizeof *w->lengths);
    w->scores = carve(c, batch, sizeof *w->scores);
    w->row_of = carve(c, (size_t)w->items, sizeof *w->row_of);
    w->slots = carve(c, (size_t)w->mask + 1, sizeof *w->slots);
}

static sg_status check_options(const sipdetect_worker_options *o)
{
    if (o->batch < 1 || o->batch > BATCH_MAX)
        return sg_fail(SG_E_CONFIG, "batch = %d: must be from 1 to %d", o->batch, BATCH_MAX);
    return SG_OK;
}

static sg_status open_worker(sipdetect_worker **out, const sipdetect_model *model,
                             const sipdetect_worker_options *options)
{
    sipdetect_worker shape = {.model = model};
    carver count = {NULL, 0};
    void *block;
    if (options)
        shape.options = *options;
    if (shape.options.batch == 0)
        shape.options.batch = BATCH;
    SG_TRY(check_options(&shape.options));
    shape.items = ITEMS_PER_ROW * shape.options.batch;
    for (shape.mask = 1; shape.mask + 1 < 2 * (uint32_t)shape.options.batch;)
        shape.mask = 2 * shape.mask + 1;
    carve_worker(&shape, &count);
    if (shape.options.memory_limit && count.bytes > shape.options.memory_limit)
        return sg_fail(SG_E_MEMORY, "a worker with batch %d needs %zu bytes; the limit is %zu",
                       shape.options.batch, count.bytes, shape.options.memory_limit);
    SG_TRY(sg_alloc_bytes(&block, 1, count.bytes, "worker"));
    carver parts = {block, 0};
    carve_worker(&shape, &parts);
    shape.bytes = count.bytes;
    *out = block;
    **out = shape;
    return SG_OK;
}

sipdetect_status sipdetect_worker_open(sipdetect_worker **worker, const sipdetect_model *model,
                                       const sipdetect_worker_options *options)
{
    *worker = NULL;
    sg_status status = open_worker(worker, model, options);
    if (status == SG_OK && (*worker)->options.on_memory)
        (*worker)->options.on_memory((*worker)->options.user, (*worker)->bytes);
    return sd_public(status);
}

void sipdetect_worker_close(sipdetect_worker *worker)
{
    if (!worker)
        return;
    const sipdetect_worker_options options = worker->options;
    free(worker);
    if (options.on_memory)
        options.on_memory(options.user, 0);
}

size_t sipdetect_worker_bytes(const sipdetect_worker *worker)
{
    return worker->bytes;
}

/* ---- what to judge: dialogs or sequences ---- */

typedef struct {
    const sd_file *file;
    sipdetect_dialog *const *dialogs; /* or NULL: */
    const uint16_t *types, *lengths;
    size_t stride;
} source;

static sd_case case_at(const source *s, int i)
{
    if (s->dialogs)
        return sd_dialog_case(s->dialogs[i]);
    const uint16_t *types = s->types + (size_t)i * s->stride;
    return (sd_case){types, s->lengths[i], sd_trie_find(&s->file->trie, types, s->lengths[i]), false, NULL};
}

static sg_status check_sequence(const sd_network *network, const uint16_t *types, int length, int number)
{
    if (length < 1 || length > network->max_length)
        return sg_fail(SG_E_CONFIG, "sequence %d has %d messages, must be from 1 to %d", number, length,
                       network->max_length);
    for (int t = 0; t < length; t++)
        if (types[t] < 1 || types[t] > network->message_types)
            return sg_fail(SG_E_CONFIG, "message type is %d in sequence %d, must be from 1 to %d", types[t],
                           number, network->message_types);
    return SG_OK;
}

static sg_status check_sequences(const sipdetect_worker *w, const uint16_t *types, const uint16_t *lengths,
                                 int count, size_t stride)
{
    if (count < 0 || (count > 0 && (!types || !lengths)))
        return sg_fail(SG_E_CONFIG, "%d sequences cannot be scored", count);
    for (int i = 0; i < count; i++)
        SG_TRY(check_sequence(&w->model->file.network, types + (size_t)i * stride, lengths[i], i));
    return SG_OK;
}

static sg_status check_dialogs(const sipdetect_worker *w, sipdetect_dialog *const *dialogs, int count)
{
    if (count < 0 || (count > 0 && !dialogs))
        return sg_fail(SG_E_CONFIG, "%d dialogs cannot be scored", count);
    for (int i = 0; i < count; i++)
        if (dialogs[i]->model != w->model)
            return sg_fail(SG_E_CONFIG, "dialog %d belongs to another model than the worker", i);
    return SG_OK;
}

/* ---- running the network ---- */

static bool needs_network(const sipdetect_worker *w, const sd_case *c)
{
    if (!sd_can_score(&w->model->file, c) || (c->dialog && c->dialog->scored))
        return false;
    return w->options.recompute || !sd_is_in_file(c);
}

/* The row of a sequence among those for the network; -1 if it is new and there is no room for it. */
static int find_row(sipdetect_worker *w, const sd_case *c, int *rows)
{
    const size_t bytes = (size_t)c->position * sizeof *c->types;
    const size_t steps = (size_t)w->model->file.network.max_length;
    uint32_t at = (uint32_t)XXH3_64bits(c->types, bytes) & w->mask;
    for (; w->slots[at]; at = (at + 1) & w->mask) {
        const int row = (int)w->slots[at] - 1;
        if (w->lengths[row] == c->position && memcmp(w->types + (size_t)row * steps, c->types, bytes) == 0)
            return row;
    }
    if (*rows == w->options.batch)
        return -1;
    const int row = (*rows)++;
    memcpy(w->types + (size_t)row * steps, c->types, bytes);
    w->lengths[row] = (uint16_t)c->position;
    w->slots[at] = (uint32_t)row + 1;
    return row;
}

/* Runs the network for as many items from `from` on as go into one batch; returns where the next begins. */
static int run_some(sipdetect_worker *w, const source *s, int from, int count)
{
    const sipdetect_model *model = w->model;
    int rows = 0, i = from;
    memset(w->slots, 0, ((size_t)w->mask + 1) * sizeof *w->slots);
    for (; i < count && i - from < w->items; i++) {
        const sd_case c = case_at(s, i);
        w->row_of[i - from] = -1;
        if (needs_network(w, &c) && (w->row_of[i - from] = find_row(w, &c, &rows)) < 0)
            break;
    }
    if (rows > 0)
        sd_network_run(&model->file.network, model->kernels, w->room, w->options.batch, w->types, w->lengths,
                       rows, (size_t)model->file.network.max_length, w->scores, NULL);
    return i;
}

static void judge(const sipdetect_worker *w, const sd_case *c, int32_t row, sipdetect_verdict *verdict)
{
    const sd_file *file = &w->model->file;
    if (row >= 0) {
        sd_judge(file, c, &w->scores[row], false, verdict);
        if (c->dialog) {
            c->dialog->score = w->scores[row];
            c->dialog->scored = true;
        }
    } else if (c->dialog && c->dialog->scored) {
        sd_judge(file, c, &c->dialog->score, false, verdict);
    } else if (sd_is_in_file(c)) {
        const sd_score score = sd_file_score(file, c);
        sd_judge(file, c, &score, true, verdict);
    } else {
        sd_judge(file, c, NULL, false, verdict);
    }
}

static void score_all(sipdetect_worker *w, const source *s, int count, sipdetect_verdict *verdicts)
{
    for (int from = 0, next; from < count; from = next) {
        next = run_some(w, s, from, count);
        for (int i = from; i < next; i++) {
            const sd_case c = case_at(s, i);
            judge(w, &c, w->row_of[i - from], &verdicts[i]);
        }
    }
}

sipdetect_status sipdetect_score_dialogs(sipdetect_worker *worker, sipdetect_dialog *const *dialogs,
                                         int count, sipdetect_verdict *verdicts)
{
    const source s = {.file = &worker->model->file, .dialogs = dialogs};
    sg_status status = check_dialogs(worker, dialogs, count);
    if (status == SG_OK)
        score_all(worker, &s, count, verdicts);
    return sd_public(status);
}

sipdetect_status sipdetect_end(sipdetect_worker *worker, sipdetect_dialog *dialog, sipdetect_verdict *verdict)
{
    return sipdetect_score_dialogs(worker, &dialog, 1, verdict);
}

sipdetect_status sipdetect_score(sipdetect_worker *worker, const uint16_t *types, const uint16_t *lengths,
                                 int count, size_t stride, sipdetect_verdict *verdicts)
{
    const source s = {&worker->model->file, NULL, types, lengths, stride};
    sg_status status = check_sequences(worker, types, lengths, count, stride);
    if (status == SG_OK)
        score_all(worker, &s, count, verdicts);
    return sd_public(status);
}

sipdetect_status sipdetect_probabilities(sipdetect_worker *worker, const uint16_t *types,
                                         const uint16_t *lengths, int count, size_t stride,
                                         float *probabilities)
{
    const sipdetect_model *model = worker->model;
    sg_status status = check_sequences(worker, types, lengths, count, stride);
    const int batch = worker->options.batch;
    for (int from = 0; status == SG_OK && from < count; from += batch)
        sd_network_run(&model->file.network, model->kernels, worker->room, batch,
                       types + (size_t)from * stride, lengths + from,
                       count - from < batch ? count - from : batch, stride, NULL,
                       probabilities + (size_t)from * (size_t)model->file.network.classes);
    return sd_public(status);
}
