#include "capture/import.h"

#include "base/memory.h"
#include "corpus/text_set.h"
#include <stdlib.h>
#include <string.h>

enum { TYPES_MAX = 60000 };

typedef struct {
    sg_import *import;
    const sg_capture_import *options;
    sg_capture_import_report *report;
    sg_census *census;
    sg_text_set names; /* Call-IDs, to tell a second dialog of one from the first */
    int32_t *times;    /* [names] dialogs of each so far */
    size_t times_capacity;
    sg_status status;
} reading;

/* The address as text, as who a dialog is from. */
static void source_text(const sg_endpoint *e, char text[SG_ENDPOINT_TEXT])
{
    size_t at = 0;
    if (e->family == 4) {
        snprintf(text, SG_ENDPOINT_TEXT, "%d.%d.%d.%d", e->address[0], e->address[1], e->address[2],
                 e->address[3]);
        return;
    }
    for (int i = 0; i < 16; i += 2)
        at += (size_t)snprintf(text + at, SG_ENDPOINT_TEXT - at, "%s%x", i ? ":" : "",
                               e->address[i] << 8 | e->address[i + 1]);
}

static sg_status count_name(reading *r, const char *name, int32_t *number)
{
    int32_t before = r->names.count;
    SG_TRY(sg_text_set_add(&r->names, name, number));
    SG_TRY(sg_grow(&r->times, &r->times_capacity, r->names.count, "Call-IDs"));
    if (r->names.count > before)
        r->times[*number] = 0;
    r->times[*number]++;
    return SG_OK;
}

/* Name of the dialog in the corpus; see the header.  A Call-ID may itself look like the name of another. */
static sg_status name_dialog(reading *r, const sg_dialog *d, char name[SG_CALL_ID_KEPT + 16])
{
    int32_t number, own;
    for (uint32_t i = 0; i < d->call_id_length; i++)
        name[i] = d->call_id[i] > ' ' && d->call_id[i] <= '~' ? d->call_id[i] : '?';
    name[d->call_id_length] = '\0';
    SG_TRY(count_name(r, name, &number));
    if (r->times[number] == 1)
        return SG_OK;
    snprintf(name + d->call_id_length, 16, "#%d", r->times[number]);
    while (sg_text_set_find(&r->names, name) >= 0)
        snprintf(name + d->call_id_length, 16, "#%d", ++r->times[number]);
    return count_name(r, name, &own);
}

static sg_status add_dialog(reading *r, const sg_dialog *d)
{
    char name[SG_CALL_ID_KEPT + 16], source[SG_ENDPOINT_TEXT];
    SG_TRY(name_dialog(r, d, name));
    source_text(&d->first.source, source);
    for (uint32_t i = 0; i < d->length; i++)
        SG_TRY(sg_import_add(r->import, name, 1000 * d->start_us + (int64_t)i,
                             sg_census_name(r->census, d->types[i]), source));
    return SG_OK;
}

static void on_end(void *context, sg_dialog *dialog, sg_end end)
{
    reading *r = context;
    bool unfinished =
        end == SG_END_OPEN || end == SG_END_STRAY || end == SG_END_EVICTED || end == SG_END_FLUSHED;
    if (r->options->ended_only && unfinished) {
        r->report->unfinished++;
        return;
    }
    if (r->status == SG_OK)
        r->status = add_dialog(r, dialog);
}

static sg_status read_messages(reading *r, sg_capture *capture, sg_tracker *tracker)
{
    sg_capture_event event = SG_CAPTURE_MESSAGE;
    sg_capture_item item;
    sg_sip_message message;
    sg_tracked tracked;
    for (;;) {
        SG_TRY(sg_capture_next(capture, -1, &event, &item));
        if (event == SG_CAPTURE_END)
            break;
        if (event != SG_CAPTURE_MESSAGE)
            continue;
        if (!sg_sip_read(&message, item.data, item.length)) {
            r->report->not_sip++;
            continue;
        }
        SG_TRY(sg_tracker_add(tracker, &message, &item.flow, sg_census_add(r->census, &message), &tracked));
        SG_TRY(r->status);
    }
    sg_tracker_flush(tracker);
    return r->status;
}

static sg_status read_all(reading *r, sg_capture *capture)
{
    sg_tracker_options options;
    sg_tracker *tracker;
    sg_tracker_defaults(&options);
    options.dialogs_max = 1 << 22;
    options.bytes_max = (int64_t)8 << 30;
    options.messages_max = r->options->messages_max;
    options.repeats = r->options->repeats;
    options.ended = on_end;
    options.context = r;
    SG_TRY(sg_tracker_open(&tracker, &options));
    sg_status status = read_messages(r, capture, tracker);
    sg_tracker_counts_now(tracker, &r->report->tracker);
    sg_tracker_close(tracker);
    return status;
}

sg_status sg_capture_import_read(sg_import *import, const sg_capture_import *options,
                                 sg_capture_import_report *report)
{
    reading r = {.import = import, .options = options, .report = report};
    sg_capture_options c;
    sg_capture *capture;
    sg_capture_defaults(&c);
    c.files = options->files->items;
    c.file_count = options->files->count;
    c.filter = options->filter[0] ? options->filter : NULL;
    c.duplicate_window_us = options->duplicates_us;
    *report = (sg_capture_import_report){0};
    SG_TRY(sg_capture_open(&capture, &c));
    sg_status status = sg_census_open(&r.census, options->rule, TYPES_MAX);
    if (status == SG_OK)
        status = sg_text_set_open(&r.names);
    if (status == SG_OK)
        status = read_all(&r, capture);
    sg_capture_counts(capture, &report->counts);
    if (r.census)
        report->untyped = sg_census_count(r.census, 0);
    sg_census_close(r.census);
    sg_text_set_free(&r.names);
    free(r.times);
    sg_capture_close(capture);
    return status;
}
