#include "watch/labels.h"

#include "base/files.h"
#include "base/memory.h"
#include "corpus/table_reader.h"
#include "corpus/text_set.h"
#include "sip/tracker.h"
#include "watch/labels_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- Reading ---- */

typedef struct {
    const char *path;
    sg_table_reader table;
    int call_id, label, scenario; /* columns; -1: none */
} label_reader;

static int find_column(const sg_table_reader *table, const char *const *names, int count)
{
    for (int i = 0; i < table->cells; i++)
        for (int n = 0; n < count; n++)
            if (strcasecmp(table->cell[i], names[n]) == 0)
                return i;
    return -1;
}

static sg_status read_header(label_reader *r)
{
    static const char *const call_ids[] = {"call_id", "call-id", "callid", "sip.call-id"};
    bool more;
    SG_TRY(sg_table_next(&r->table, &more));
    if (!more)
        return sg_fail(SG_E_FORMAT, "%s: the file is empty: labels want a header call_id,label", r->path);
    r->call_id = find_column(&r->table, call_ids, 4);
    r->label = find_column(&r->table, (const char *const[]){"label"}, 1);
    r->scenario = find_column(&r->table, (const char *const[]){"scenario"}, 1);
    if (r->call_id < 0 || r->label < 0)
        return sg_fail(SG_E_FORMAT, "%s:1: no column %s: labels want a header call_id,label", r->path,
                       r->call_id < 0 ? "call_id" : "label");
    return SG_OK;
}

/* A class is printed: no control bytes. */
static bool is_class_name(const char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    return length > 0 && length <= SG_LABEL_MAX;
}

/* The class of the record: SG_NORMAL_CLASS, or its number. */
static sg_status read_class(sg_labels *labels, const label_reader *r, int32_t *class)
{
    const char *name = r->table.cell[r->label];
    *class = SG_NORMAL_CLASS;
    if (strcasecmp(name, "normal") == 0)
        return SG_OK;
    if (r->scenario >= 0 && r->scenario < r->table.cells && *name && *r->table.cell[r->scenario])
        name = r->table.cell[r->scenario];
    if (!is_class_name(name))
        return sg_fail(SG_E_FORMAT, "%s:%lld: the label is empty, longer than %d bytes or not printable",
                       r->path, (long long)r->table.line, SG_LABEL_MAX);
    SG_TRY(sg_text_set_add(&labels->classes, name, class));
    if (labels->classes.count > SG_LABEL_CLASSES_MAX)
        return sg_fail(SG_E_FORMAT, "%s:%lld: more than %d different labels", r->path,
                       (long long)r->table.line, SG_LABEL_CLASSES_MAX);
    return SG_OK;
}

static sg_status add_entry(sg_labels *labels, const label_reader *r)
{
    const sg_table_reader *table = &r->table;
    int32_t class, number;
    if (table->fault)
        return sg_fail(SG_E_FORMAT, "%s:%lld: %s", r->path, (long long)table->line, table->fault);
    if (table->cells <= r->call_id || table->cells <= r->label || !*table->cell[r->call_id])
        return sg_fail(SG_E_FORMAT, "%s:%lld: no Call-ID or no label", r->path, (long long)table->line);
    SG_TRY(read_class(labels, r, &class));
    char *call_id = table->cell[r->call_id];
    if (strlen(call_id) > SG_CALL_ID_KEPT)
        call_id[SG_CALL_ID_KEPT] = '\0';
    SG_TRY(sg_text_set_add(&labels->call_ids, call_id, &number));
    if (number < labels->count) {
        if (labels->entry[number].class == class)
            return SG_OK;
        return sg_fail(SG_E_FORMAT, "%s:%lld: the Call-ID '%.80s' has another label in line %lld", r->path,
                       (long long)table->line, call_id, (long long)labels->entry[number].line);
    }
    SG_TRY(sg_grow(&labels->entry, &labels->capacity, (size_t)labels->count + 1, "labels"));
    sg_label_entry *e = &labels->entry[labels->count++];
    *e = (sg_label_entry){.class = class, .line = table->line};
    for (int i = 0; i < SG_REASONS; i++)
        e->time_us[i] = SG_NO_TIME;
    return SG_OK;
}

static sg_status read_labels(sg_labels *labels, label_reader *r)
{
    SG_TRY(read_header(r));
    for (bool more = true; more;) {
        SG_TRY(sg_table_next(&r->table, &more));
        if (more)
            SG_TRY(add_entry(labels, r));
    }
    return labels->count ? SG_OK : sg_fail(SG_E_FORMAT, "%s: there are no labels below the header", r->path);
}

static sg_status open_labels(sg_labels *labels, const char *path)
{
    labels->path = strdup(path);
    if (!labels->path)
        return sg_fail(SG_E_MEMORY, "out of memory for labels");
    SG_TRY(sg_text_set_open(&labels->call_ids));
    SG_TRY(sg_text_set_open(&labels->classes));
    SG_TRY(sg_file_check_readable(path));
    label_reader r = {.path = path};
    FILE *in = fopen(path, "rb");
    if (!in)
        return sg_fail(SG_E_IO, "cannot read %s: %s", path, strerror(errno));
    sg_table_open(&r.table, in, 0);
    sg_status status = read_labels(labels, &r);
    sg_table_close(&r.table);
    fclose(in);
    return status;
}

sg_status sg_labels_open(sg_labels **labels, const char *path)
{
    SG_TRY(sg_alloc(labels, 1, "labels"));
    sg_status status = open_labels(*labels, path);
    if (status != SG_OK) {
        sg_labels_close(*labels);
        *labels = NULL;
    }
    return status;
}

void sg_labels_close(sg_labels *labels)
{
    if (!labels)
        return;
    sg_text_set_free(&labels->call_ids);
    sg_text_set_free(&labels->classes);
    free(labels->path);
    free(labels->entry);
    free(labels->source_alert);
    free(labels);
}

/* ---- Taking notes ---- */

static sg_label_entry *find_entry(sg_labels *labels, sg_text call_id)
{
    char text[SG_CALL_ID_KEPT + 1];
    size_t length = call_id.length < SG_CALL_ID_KEPT ? call_id.length : SG_CALL_ID_KEPT;
    if (length == 0 || memchr(call_id.data, '\0', length))
        return NULL; /* no label can name it */
    memcpy(text, call_id.data, length);
    text[length] = '\0';
    int32_t number = sg_text_set_find(&labels->call_ids, text);
    return number < 0 ? NULL : &labels->entry[number];
}

/* A file can claim any time; differences must not overflow. */
static int64_t sane_time(int64_t time_us)
{
    const int64_t limit = INT64_C(1) << 61;
    return time_us > limit ? limit : time_us < -limit ? -limit : time_us;
}

void sg_labels_dialog(sg_labels *labels, sg_text call_id, const sg_endpoint *source, int64_t start_us,
                      int64_t last_us)
{
    sg_label_entry *e = find_entry(labels, call_id);
    if (!e) {
        labels->unlabelled++;
        return;
    }
    start_us = sane_time(start_us);
    last_us = sane_time(last_us);
    if (!e->seen || start_us < e->start_us) {
        e->start_us = start_us;
        e->source = *source;
        e->source.port = 0;
    }
    e->last_us = !e->seen || last_us > e->last_us ? last_us : e->last_us;
    e->seen = true;
}

sg_status sg_labels_alert(sg_labels *labels, const sg_alert *alert)
{
    const int64_t time_us = sane_time(alert->time_us);
    if ((unsigned)alert->reason >= SG_REASONS)
        return SG_OK;
    if (sg_reason_by_source(alert->reason)) {
        SG_TRY(sg_grow(&labels->source_alert, &labels->source_capacity, labels->source_alerts + 1, "alerts"));
        sg_source_alert *a = &labels->source_alert[labels->source_alerts++];
        *a = (sg_source_alert){*sg_alert_blamed(alert), alert->reason, time_us};
        a->address.port = 0;
        return SG_OK;
    }
    sg_label_entry *e = find_entry(labels, alert->call_id);
    if (e && time_us < e->time_us[alert->reason]) {
        e->time_us[alert->reason] = time_us;
        e->position[alert->reason] = alert->position;
    }
    return SG_OK;
}

sg_status sg_labels_check(const sg_labels *labels)
{
    int32_t missing = 0, first = -1;
    for (int32_t n = labels->count - 1; n >= 0; n--)
        if (!labels->entry[n].seen) {
            first = n;
            missing++;
        }
    if (missing == 0)
        return SG_OK;
    return sg_fail(SG_E_FORMAT,
                   "%s:%lld: no dialog has the Call-ID '%.80s' (%d of %d labels name none): are "
                   "these the labels of this capture?",
                   labels->path, (long long)labels->entry[first].line,
                   sg_text_set_text(&labels->call_ids, first), (int)missing, (int)labels->count);
}
