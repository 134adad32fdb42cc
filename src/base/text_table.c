#include "base/text_table.h"

#include "base/memory.h"
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void sg_text_table_open(sg_text_table *table, sg_table_style style)
{
    *table = (sg_text_table){.style = style};
}

void sg_text_table_free(sg_text_table *table)
{
    for (size_t i = 0; i < table->cells; i++)
        free(table->cell[i]);
    free(table->cell);
    *table = (sg_text_table){0};
}

void sg_text_table_cell(sg_text_table *table, const char *format, ...)
{
    if (table->failed || sg_grow(&table->cell, &table->capacity, table->cells + 1, "table") != SG_OK) {
        table->failed = true;
        return;
    }
    va_list args;
    va_start(args, format);
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0)
        table->failed = true;
    else
        table->cell[table->cells++] = text;
    va_end(args);
}

void sg_text_table_head(sg_text_table *table, const char *title, const char *name)
{
    sg_text_table_cell(table, "%s", table->style == SG_STYLE_CSV ? name : title);
    table->columns++;
}

void sg_text_table_heads(sg_text_table *table, const char *names)
{
    while (*names) {
        const size_t n = strcspn(names, ",");
        sg_text_table_cell(table, "%.*s", (int)n, names);
        table->columns++;
        names += n + (names[n] == ',');
    }
}

void sg_text_table_head_rate(sg_text_table *table, const char *title)
{
    sg_text_table_head(table, title, title);
    sg_text_table_heads(table, "95%,count");
}

void sg_text_table_value(sg_text_table *table, double value, int digits)
{
    if (isnan(value))
        sg_text_table_cell(table, "%s", table->style == SG_STYLE_CSV ? "" : "-");
    else if (table->style == SG_STYLE_CSV)
        sg_text_table_cell(table, "%.10g", value);
    else
        sg_text_table_cell(table, "%.*f", digits, value);
}

void sg_text_table_share(sg_text_table *table, double share)
{
    if (isnan(share) || table->style == SG_STYLE_CSV)
        sg_text_table_value(table, share, 0);
    else
        sg_text_table_cell(table, "%.2f%%", 100.0 * share);
}

void sg_text_table_rate(sg_text_table *table, const sg_rate *rate)
{
    sg_text_table_share(table, rate->value);
    sg_text_table_cell(table, "%.2f-%.2f", 100.0 * rate->low, 100.0 * rate->high);
    sg_text_table_cell(table, "%lld/%lld", (long long)rate->hits, (long long)rate->total);
}

void sg_text_table_interval(sg_text_table *table, const sg_rate *rate)
{
    sg_text_table_share(table, rate->value);
    sg_text_table_value(table, rate->low, 0);
    sg_text_table_value(table, rate->high, 0);
    sg_text_table_cell(table, "%lld", (long long)rate->hits);
    sg_text_table_cell(table, "%lld", (long long)rate->total);
}

void sg_csv_field(FILE *out, const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void write_csv(const sg_text_table *table, FILE *out)
{
    for (size_t i = 0; i < table->cells; i++) {
        sg_csv_field(out, table->cell[i]);
        fputc((i + 1) % table->columns ? ',' : '\n', out);
    }
}

static size_t width_of(const sg_text_table *table, size_t column)
{
    size_t width = 1;
    for (size_t i = column; i < table->cells; i += table->columns)
        width = strlen(table->cell[i]) > width ? strlen(table->cell[i]) : width;
    return width;
}

static void write_aligned(const sg_text_table *table, const size_t *width, FILE *out)
{
    for (size_t i = 0; i < table->cells; i++) {
        const size_t column = i % table->columns;
        const int w = (int)width[column];
        fprintf(out, "%s%*s", column ? "  " : "", column ? w : -w, table->cell[i]);
        if (column + 1 == table->columns)
            fputc('\n', out);
    }
}

sg_status sg_text_table_write(const sg_text_table *table, FILE *out)
{
    if (table->failed)
        return sg_fail(SG_E_MEMORY, "out of memory while making a table");
    if (table->columns == 0 || table->cells % table->columns)
        return sg_fail(SG_E_INTERNAL, "a table of %zu columns has %zu cells", table->columns, table->cells);
    if (table->style == SG_STYLE_CSV) {
        write_csv(table, out);
        return SG_OK;
    }
    size_t *width;
    SG_TRY(sg_alloc(&width, table->columns, "column widths"));
    for (size_t c = 0; c < table->columns; c++)
        width[c] = width_of(table, c);
    write_aligned(table, width, out);
    free(width);
    return SG_OK;
}

sg_status sg_text_table_finish(sg_text_table *table, FILE *out)
{
    sg_status status = sg_text_table_write(table, out);
    sg_text_table_free(table);
    return status;
}
