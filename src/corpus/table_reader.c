#include "corpus/table_reader.h"

#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A quote that is never closed consumes no more than this. */
enum { QUOTED_LINES_MAX = 64, RECORD_BYTES_MAX = 1 << 20 };

void sg_table_open(sg_table_reader *reader, FILE *in, char separator)
{
    memset(reader, 0, sizeof *reader);
    reader->in = in;
    reader->separator = separator;
}

void sg_table_close(sg_table_reader *reader)
{
    free(reader->text);
    free(reader->next);
    free(reader->cell);
    reader->text = reader->next = NULL;
    reader->cell = NULL;
}

static char find_separator(const char *text)
{
    int commas = 0, semicolons = 0;
    for (const char *p = text; *p; p++) {
        if (*p == '\t')
            return '\t';
        commas += *p == ',';
        semicolons += *p == ';';
    }
    return semicolons > commas ? ';' : ',';
}

/* The end of the quoted cell that starts at `p` (at its closing quote), or NULL if it goes on. */
static char *closing_quote(char *p)
{
    for (p++; *p; p++) {
        if (*p != '"')
            continue;
        if (p[1] != '"')
            return p;
        p++;
    }
    return NULL;
}

/* Whether a quoted cell is still open at the end of the text. */
static bool is_open(char *text, char separator)
{
    for (char *p = text; p; p = strchr(p, separator), p = p ? p + 1 : NULL) {
        if (*p != '"')
            continue;
        p = closing_quote(p);
        if (!p)
            return true;
    }
    return false;
}

/* Takes the quotes off a cell, in place; `end` is its closing quote. */
static char *unquote(char *cell, char *end)
{
    char *out = cell;
    for (char *p = cell + 1; p < end; p++) {
        *out++ = *p;
        p += *p == '"';
    }
    *out = '\0';
    return cell;
}

static char *trim(char *cell)
{
    cell += strspn(cell, " ");
    for (size_t n = strlen(cell); n > 0 && cell[n - 1] == ' '; n--)
        cell[n - 1] = '\0';
    return cell;
}

static sg_status split_cells(sg_table_reader *reader)
{
    char *p = reader->text;
    while (p) {
        char *cell = p, *close = *p == '"' ? closing_quote(p) : NULL;
        bool quoted = close && (reader->separator != '\t' || close[1] == '\t' || close[1] == '\0');
        p = strchr(quoted ? close : p, reader->separator);
        if (p)
            *p++ = '\0';
        if (quoted)
            unquote(cell, close);
        SG_TRY(sg_grow(&reader->cell, &reader->cell_size, reader->cells + 1, "cells of a line"));
        reader->cell[reader->cells++] = trim(cell);
    }
    return SG_OK;
}

/* Reads one line without its end into *text; *length < 0 at the end of the file.  Of a line longer than a
 * record may be, only enough is kept to detect it. */
static sg_status read_line(sg_table_reader *reader, char **text, size_t *size, ssize_t *length)
{
    size_t n = 0;
    int c;
    errno = 0;
    while ((c = getc_unlocked(reader->in)) != EOF && c != '\n') {
        if (n > RECORD_BYTES_MAX)
            continue;
        if (n + 2 > *size)
            SG_TRY(sg_grow(text, size, n + 2, "a line"));
        (*text)[n++] = (char)c;
    }
    *length = -1;
    if (ferror(reader->in))
        return sg_fail(SG_E_IO, "line %lld: cannot be read: %s", (long long)reader->lines + 1,
                       strerror(errno));
    if (c == EOF && n == 0)
        return SG_OK;
    SG_TRY(sg_grow(text, size, n + 1, "a line"));
    reader->lines++;
    while (n > 0 && (*text)[n - 1] == '\r')
        n--;
    (*text)[n] = '\0';
    *length = (ssize_t)n;
    return SG_OK;
}

/* Appends lines while a quoted cell is open. */
static sg_status read_continuation(sg_table_reader *reader, size_t *length)
{
    for (int lines = 1; is_open(reader->text, reader->separator); lines++) {
        ssize_t n = -1;
        if (lines < QUOTED_LINES_MAX && *length < RECORD_BYTES_MAX)
            SG_TRY(read_line(reader, &reader->next, &reader->next_size, &n));
        if (n < 0) {
            reader->fault = "a quote is never closed";
            return SG_OK;
        }
        SG_TRY(sg_grow(&reader->text, &reader->text_size, *length + (size_t)n + 2, "a line"));
        reader->text[*length] = '\n';
        memcpy(reader->text + *length + 1, reader->next, (size_t)n + 1);
        *length += (size_t)n + 1;
    }
    return SG_OK;
}

sg_status sg_table_next(sg_table_reader *reader, bool *more)
{
    ssize_t n;
    *more = false;
    do {
        SG_TRY(read_line(reader, &reader->text, &reader->text_size, &n));
        if (n < 0)
            return SG_OK;
        if (reader->lines == 1 && n >= 3 && memcmp(reader->text, "\xEF\xBB\xBF", 3) == 0) {
            n -= 3;
            memmove(reader->text, reader->text + 3, (size_t)n + 1);
        }
    } while (n == 0);
    *more = true;
    size_t length = (size_t)n;
    reader->line = reader->lines;
    reader->cells = 0;
    reader->fault = NULL;
    if (!reader->separator)
        reader->separator = find_separator(reader->text);
    snprintf(reader->excerpt, sizeof reader->excerpt, "%s", reader->text);
    if (strlen(reader->text) != length)
        reader->fault = "a zero byte";
    else if (reader->separator != '\t')
        SG_TRY(read_continuation(reader, &length));
    if (!reader->fault && length > RECORD_BYTES_MAX)
        reader->fault = "longer than 1 MiB";
    return reader->fault ? SG_OK : split_cells(reader);
}
