/* text_table.h: one table, written for a terminal or as CSV.
 *
 * It is built cell by cell, heads first; a row is full when it has as many cells as there are heads.  In a
 * terminal a share reads "93.54%"; CSV holds all digits, and counts and interval in columns of their own.  A
 * failed allocation is remembered and reported by sg_text_table_write.
 */
#ifndef SG_BASE_TEXT_TABLE_H
#define SG_BASE_TEXT_TABLE_H

#include "base/rates.h"
#include "base/status.h"
#include <stdio.h>

typedef enum { SG_STYLE_TEXT, SG_STYLE_CSV } sg_table_style;

typedef struct {
    sg_table_style style;
    size_t columns; /* heads so far */
    size_t cells, capacity;
    char **cell; /* heads, then rows */
    bool failed;
} sg_text_table;

void sg_text_table_open(sg_text_table *table, sg_table_style style);
void sg_text_table_free(sg_text_table *table);

/* A column: `title` for people, `name` for CSV. */
void sg_text_table_head(sg_text_table *table, const char *title, const char *name);

/* Columns of the same name for people and for CSV: "model,seed". */
void sg_text_table_heads(sg_text_table *table, const char *names);

/* The columns of a share in a terminal: title, interval, "hits/total". */
void sg_text_table_head_rate(sg_text_table *table, const char *title);

/* The next cell; printf form. */
void sg_text_table_cell(sg_text_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The cells of a share with its counts and 95% interval: for a terminal as its heads say, and for CSV share,
 * low, high, hits, total; or of a lone share or value.  NaN is "-" for people and empty in CSV. */
void sg_text_table_rate(sg_text_table *table, const sg_rate *rate);
void sg_text_table_interval(sg_text_table *table, const sg_rate *rate);
void sg_text_table_share(sg_text_table *table, double share);
void sg_text_table_value(sg_text_table *table, double value, int digits);

/* Writes the table; the first column is aligned left, the others right.  SG_E_MEMORY if a cell could not be
 * stored, SG_E_INTERNAL if the last row is not full. */
sg_status sg_text_table_write(const sg_text_table *table, FILE *out);

/* The same, and releases the table, also after a failure. */
sg_status sg_text_table_finish(sg_text_table *table, FILE *out);

/* One CSV field, quoted where needed (RFC 4180). */
void sg_csv_field(FILE *out, const char *text);

#endif
