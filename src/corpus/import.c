#include "corpus/import.h"

#include "base/memory.h"
#include "base/options.h"
#include "corpus/import_internal.h"
#include "corpus/table_reader.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CALL_ID_MAX = 4096, COLUMNS_MAX = 256 };

const char *sg_skip_reason_text(sg_skip_reason reason)
{
    static const char *const texts[SG_SKIP_REASONS] = {"cannot be split into cells", "too few cells",
                                                       "no Call-ID", "no time",
                                                       "neither one method nor one status code"};
    return reason < SG_SKIP_REASONS ? texts[reason] : "?";
}

/* ---- columns ---- */

typedef enum { CALL_ID, TIME, MESSAGE, FROM, TO, ROLES } role;

enum { SYNONYMS_MAX = 8 };

/* If a role has several columns, the first in this list that is present and not empty is used. */
static const char *const role_names[ROLES][SYNONYMS_MAX] = {
    {"call_id", "sip.call_id", "callid"},
    {"time", "frame.time_epoch", "timestamp", "time_epoch", "frame.time_relative"},
    {"message", "type", "status", "sip.status_code", "method", "sip.method"},
    {"from", "sip.from.addr", "sip.from", "src", "ip.src", "ipv6.src", "source"},
    {"to", "sip.to.addr", "sip.to", "dst", "ip.dst", "ipv6.dst", "destination"},
};

typedef struct {
    int column[ROLES][SYNONYMS_MAX]; /* -1: none */
    int most;                        /* the last required column */
} layout;

/* Lower case, '-' and ' ' as '_'. */
static void normalise(const char *name, char out[64])
{
    size_t i = 0;
    for (; i < 63 && name[i]; i++)
        out[i] = name[i] == '-' || name[i] == ' ' ? '_' : (char)tolower((unsigned char)name[i]);
    out[i] = '\0';
}

static bool find_role(const char *name, role *found, int *synonym)
{
    char plain[64];
    normalise(name, plain);
    for (int r = 0; r < ROLES; r++)
        for (int s = 0; s < SYNONYMS_MAX && role_names[r][s]; s++)
            if (strcmp(plain, role_names[r][s]) == 0) {
                *found = (role)r;
                *synonym = s;
                return true;
            }
    return false;
}

static bool has_role(const layout *l, role r)
{
    for (int s = 0; s < SYNONYMS_MAX; s++)
        if (l->column[r][s] >= 0)
            return true;
    return false;
}

/* Fills the layout from column names; returns the name of a required role that has no column, or NULL. */
static const char *read_layout(layout *l, char *const *names, int count)
{
    memset(l, -1, sizeof *l);
    for (int i = 0; i < count; i++) {
        role r;
        int s;
        if (find_role(names[i], &r, &s) && l->column[r][s] < 0)
            l->column[r][s] = i;
    }
    static const role needed[] = {CALL_ID, TIME, MESSAGE};
    for (size_t k = 0; k < sizeof needed / sizeof *needed; k++) {
        if (!has_role(l, needed[k]))
            return role_names[needed[k]][0];
        for (int s = 0; s < SYNONYMS_MAX; s++)
            if (l->column[needed[k]][s] > l->most && needed[k] != MESSAGE)
                l->most = l->column[needed[k]][s];
    }
    return NULL;
}

/* Splits "a,b,c" in place. */
static int split_list(char *text, char **items, int most)
{
    int count = 0;
    for (char *save = NULL, *word = strtok_r(text, ",", &save); word && count < most;
         word = strtok_r(NULL, ",", &save))
        items[count++] = word;
    return count;
}

static sg_status layout_from_option(layout *l, const char *columns)
{
    char copy[SG_TEXT_MAX], *names[COLUMNS_MAX];
    snprintf(copy, sizeof copy, "%s", columns);
    int count = split_list(copy, names, COLUMNS_MAX);
    for (int i = 0; i < count; i++) {
        role r;
        int s;
        if (strcmp(names[i], "-") != 0 && !find_role(names[i], &r, &s))
            return sg_fail(
                SG_E_USAGE,
                "--columns: unknown column '%s'; known are call_id, time, message, method, status, "
                "from, to, and - for others",
                names[i]);
    }
    const char *missing = read_layout(l, names, count);
    return missing ? sg_fail(SG_E_USAGE, "--columns %s: column %s is missing", columns, missing) : SG_OK;
}

/* The first non-empty cell of a role, or NULL. */
static const char *cell_of(const layout *l, const sg_table_reader *reader, role r)
{
    for (int s = 0; s < SYNONYMS_MAX; s++) {
        int c = l->column[r][s];
        if (c >= 0 && c < reader->cells && reader->cell[c][0])
            return reader->cell[c];
    }
    return NULL;
}

/* ---- records ---- */

static void skip(sg_import *import, const sg_table_reader *reader, const char *name, sg_skip_reason reason)
{
    if (import->report.skipped[reason]++ == 0)
        snprintf(import->report.first_skipped[reason], sizeof import->report.first_skipped[reason],
                 "%.80s:%" PRId64 ": %s", name, reader->line, reader->excerpt);
}

/* The dialog of a Call-ID; *is_new if this is its first message. */
static sg_status find_dialog(sg_import *import, const char *call_id, int32_t *dialog, bool *is_new)
{
    int32_t before = import->call_ids.count;
    SG_TRY(sg_text_set_add(&import->call_ids, call_id, dialog));
    *is_new = import->call_ids.count > before;
    if (!*is_new)
        return SG_OK;
    SG_TRY(sg_grow(&import->dialogs, &import->dialogs_capacity, *dialog + 1, "dialogs"));
    import->dialogs[*dialog] = (sg_import_dialog){0};
    return SG_OK;
}

sg_status sg_import_add(sg_import *import, const char *call_id, int64_t time, const char *type,
                        const char *from)
{
    sg_import_message m = {.time = time};
    int32_t agent;
    bool is_new;
    SG_TRY(find_dialog(import, call_id, &m.dialog, &is_new));
    SG_TRY(sg_text_set_add(&import->types, type, &m.type));
    SG_TRY(sg_text_set_add(&import->user_agents, from ? from : "", &agent));
    sg_import_dialog *d = &import->dialogs[m.dialog];
    if (is_new || time < d->first_time) {
        d->first_time = time;
        d->user_agent = agent;
    }
    d->messages++;
    import->report.messages++;
    SG_TRY(sg_grow(&import->messages, &import->messages_capacity, import->count + 1, "messages"));
    import->messages[import->count++] = m;
    return SG_OK;
}

/* The type of a cell; with any_names also a name that is neither a method nor a status code. */
static bool read_type(const sg_import *import, const char *cell, char type[33])
{
    if (sg_parse_message(cell, type))
        return true;
    if (!import->options.any_names || strlen(cell) > 32)
        return false;
    strcpy(type, cell);
    return true;
}

static sg_status read_record(sg_import *import, const layout *l, const sg_table_reader *reader,
                             const char *name)
{
    int64_t time;
    char type[33];
    import->report.records++;
    if (reader->fault || reader->cells <= l->most) {
        skip(import, reader, name, reader->fault ? SG_SKIP_RECORD : SG_SKIP_COLUMNS);
        return SG_OK;
    }
    const char *call_id = cell_of(l, reader, CALL_ID), *when = cell_of(l, reader, TIME),
               *message = cell_of(l, reader, MESSAGE);
    if (!call_id || strlen(call_id) > CALL_ID_MAX) {
        skip(import, reader, name, SG_SKIP_CALL_ID);
        return SG_OK;
    }
    if (!when || !sg_parse_time(when, &time)) {
        skip(import, reader, name, SG_SKIP_TIME);
        return SG_OK;
    }
    if (!message || !read_type(import, message, type)) {
        skip(import, reader, name, SG_SKIP_MESSAGE);
        return SG_OK;
    }
    return sg_import_add(import, call_id, time, type, cell_of(l, reader, FROM));
}

/* The layout of a table: from the option (then a header is no message), or from the header. */
static sg_status find_layout(const sg_import *import, layout *l, const sg_table_reader *reader,
                             const char *name, bool *is_header)
{
    role r;
    int s;
    if (import->options.columns) {
        SG_TRY(layout_from_option(l, import->options.columns));
        const char *cell = cell_of(l, reader, CALL_ID);
        *is_header = cell && find_role(cell, &r, &s) && r == CALL_ID;
        return SG_OK;
    }
    *is_header = true;
    const char *missing = reader->fault ? "call_id" : read_layout(l, reader->cell, reader->cells);
    if (missing)
        return sg_fail(SG_E_FORMAT,
                       "%s:%" PRId64 ": no column %s in the header '%s'; expected call_id, time and message "
                       "(or method and status), or --columns for a table without header",
                       name, reader->line, missing, reader->excerpt);
    return SG_OK;
}

bool sg_import_is_header(char *const *cells, int count)
{
    layout l;
    return read_layout(&l, cells, count) == NULL;
}

sg_status sg_import_read_from(sg_import *import, sg_table_reader *reader, const char *name)
{
    layout l = {.most = -1};
    bool is_header = false, more = true;
    sg_status status = find_layout(import, &l, reader, name, &is_header);
    while (status == SG_OK && more) {
        if (!is_header)
            status = read_record(import, &l, reader, name);
        is_header = false;
        if (status == SG_OK)
            status = sg_table_next(reader, &more);
    }
    import->report.files++;
    return status == SG_E_IO || status == SG_E_MEMORY ? sg_fail_prefix(status, "%s", name) : status;
}

sg_status sg_import_read(sg_import *import, FILE *in, const char *name)
{
    sg_table_reader reader;
    bool more;
    sg_table_open(&reader, in, import->options.separator);
    sg_status status = sg_table_next(&reader, &more);
    if (status != SG_OK)
        status = sg_fail_prefix(status, "%s", name);
    else if (more)
        status = sg_import_read_from(import, &reader, name);
    else
        import->report.files++;
    sg_table_close(&reader);
    return status;
}

/* ---- opening and closing ---- */

/* options.alphabet as a set: names as sg_parse_message gives them, each once. */
static sg_status read_wanted(sg_import *import)
{
    char copy[SG_TEXT_MAX], *names[SG_TEXT_MAX], type[33];
    int32_t number;
    snprintf(copy, sizeof copy, "%s", import->options.alphabet);
    int count = split_list(copy, names, SG_TEXT_MAX);
    for (int i = 0; i < count; i++) {
        if (import->options.any_names && strlen(names[i]) < sizeof type)
            snprintf(type, sizeof type, "%s", names[i]);
        else if (!sg_parse_message(names[i], type))
            return sg_fail(SG_E_USAGE, "--alphabet: '%s' is neither a method nor a status code", names[i]);
        SG_TRY(sg_text_set_add(&import->wanted, type, &number));
        if (number != i)
            return sg_fail(SG_E_USAGE, "--alphabet: %s is listed twice", type);
    }
    return count ? SG_OK : sg_fail(SG_E_USAGE, "--alphabet is empty");
}

sg_status sg_import_open(sg_import **out, const sg_import_options *options)
{
    sg_import *import;
    layout l;
    *out = NULL;
    if (options->columns)
        SG_TRY(layout_from_option(&l, options->columns));
    SG_TRY(sg_alloc(&import, 1, "import"));
    import->options = *options;
    sg_status status = sg_text_set_open(&import->call_ids);
    if (status == SG_OK)
        status = sg_text_set_open(&import->user_agents);
    if (status == SG_OK)
        status = sg_text_set_open(&import->types);
    if (status == SG_OK)
        status = sg_text_set_open(&import->wanted);
    if (status == SG_OK && options->alphabet)
        status = read_wanted(import);
    if (status != SG_OK)
        sg_import_close(import);
    else
        *out = import;
    return status;
}

void sg_import_close(sg_import *import)
{
    if (!import)
        return;
    sg_text_set_free(&import->call_ids);
    sg_text_set_free(&import->user_agents);
    sg_text_set_free(&import->types);
    sg_text_set_free(&import->wanted);
    free(import->messages);
    free(import->dialogs);
    free(import);
}
