/* table_reader.h: reads CSV or TSV text, one record at a time; the text is not trusted.
 *
 * Cells are separated by tab, comma or semicolon.  With comma and semicolon a cell may be quoted as in RFC
 * 4180: separators and line ends inside quotes are text, and a doubled quote is a quote.  With tab, as tshark
 * writes it, a cell is quoted only if it starts and ends with a quote and those between are doubled; anything
 * else is taken literally.  Lines end with LF or CRLF; a byte order mark and empty lines are skipped.
 */
#ifndef SG_CORPUS_TABLE_READER_H
#define SG_CORPUS_TABLE_READER_H

#include "base/status.h"
#include <stdint.h>
#include <stdio.h>

typedef struct {
    FILE *in;
    char separator;    /* 0 until the first record shows it */
    int64_t line;      /* of the record's first line, from 1 */
    int cells;         /* of the record */
    char **cell;       /* trimmed of blanks, valid until the next record */
    const char *fault; /* why the record cannot be read, or NULL */
    char excerpt[80];  /* the beginning of the record, for messages */
    char *text, *next; /* the record, and lines that continue it: at most 1 MiB each */
    size_t text_size, next_size, cell_size;
    int64_t lines; /* read so far */
} sg_table_reader;

/* `separator` 0: tab, semicolon or comma, whichever the first record uses. */
void sg_table_open(sg_table_reader *reader, FILE *in, char separator);

/* Reads the next record; *more is false at the end.  A record that cannot be split has `fault` set and no
 * cells.  SG_E_IO, SG_E_MEMORY. */
sg_status sg_table_next(sg_table_reader *reader, bool *more);

/* Releases buffers; the stream stays open. */
void sg_table_close(sg_table_reader *reader);

#endif
