/* import.h: makes a corpus from lists of SIP messages, such as the output of tshark -T fields or sngrep, or
 * the log of a call server.
 *
 * Each record of a table (table_reader.h) is one message.  Columns are known by name, from a header or from
 * sg_import_options.columns:
 *   call_id   (sip.Call-ID, callid)                      what groups messages into dialogs
 *   time      (frame.time_epoch, timestamp)              seconds since 1970 or ISO 8601; orders a dialog
 *   message   (type), or method (sip.Method) and status (sip.Status-Code)   "INVITE", "200", "200 OK"
 *   from      (sip.from.addr, sip.From, src, ip.src)     the user agent; optional
 *   to        (sip.to.addr, sip.To, dst, ip.dst)         known, not used
 * Letter case does not matter.  Records that cannot be used are counted by reason, and the first of each is
 * kept for the report.
 */
#ifndef SG_CORPUS_IMPORT_H
#define SG_CORPUS_IMPORT_H

#include "corpus/corpus.h"
#include "corpus/table_reader.h"
#include <stdio.h>

typedef struct {
    char separator;       /* 0: found from the first record */
    const char *columns;  /* "call_id,time,-,message", "-" for a column of no interest; NULL: by header */
    int64_t types_max;    /* alphabet size: the commonest, and OTHER for the rest */
    const char *alphabet; /* "INVITE,ACK,..."; the rest becomes OTHER; NULL: by types_max */
    int64_t max_length;   /* L; 0: the longest dialog */
    int64_t min_length;   /* shorter dialogs are left out */
    bool drop_long;       /* leave out dialogs longer than max_length; otherwise cut them */
    bool file_order;      /* keep the order of the files instead of that of time */
    bool any_names;       /* types and `alphabet` may have other names too: 200-INVITE */
} sg_import_options;

typedef enum {
    SG_SKIP_RECORD,  /* cannot be split into cells */
    SG_SKIP_COLUMNS, /* too few cells */
    SG_SKIP_CALL_ID, /* empty or over-long Call-ID */
    SG_SKIP_TIME,    /* no time */
    SG_SKIP_MESSAGE, /* neither a method nor a status code */
    SG_SKIP_REASONS
} sg_skip_reason;

/* "an empty Call-ID", ... */
const char *sg_skip_reason_text(sg_skip_reason reason);

typedef struct {
    int64_t files, records, messages;
    int64_t skipped[SG_SKIP_REASONS];
    char first_skipped[SG_SKIP_REASONS][192]; /* "file:line: text" */
    int64_t reordered;                        /* dialogs whose messages were not in order of time */
    int64_t types;                            /* different types before folding */
    int64_t folded_types, folded_messages;    /* into OTHER */
    int64_t cut, dropped_long, dropped_short; /* dialogs */
} sg_import_report;

typedef struct sg_import sg_import;

/* The strings of `options` must outlive the import.  SG_E_USAGE for invalid columns or an invalid alphabet.
 */
sg_status sg_import_open(sg_import **import, const sg_import_options *options);
void sg_import_close(sg_import *import); /* NULL is fine */

/* Reads one table; messages call it `name`.  SG_E_FORMAT "name:line: ..." if its columns are unknown. */
sg_status sg_import_read(sg_import *import, FILE *in, const char *name);

/* The same for a table whose first record has been read already. */
sg_status sg_import_read_from(sg_import *import, sg_table_reader *reader, const char *name);

/* Whether a record names the required columns. */
bool sg_import_is_header(char *const *cells, int count);

/* Adds one message from another source: the dialog's name, nanoseconds since 1970, the name of the message's
 * type, and its sender (NULL if not known). */
sg_status sg_import_add(sg_import *import, const char *call_id, int64_t time, const char *type,
                        const char *from);

/* Makes the corpus: dialogs and classes in order of first appearance, all in train.  SG_E_FORMAT if nothing
 * is left. The report is always filled in. */
sg_status sg_import_finish(sg_import *import, sg_corpus *corpus, sg_import_report *report);

/* The time of a cell in nanoseconds since 1970: seconds with a fraction, or ISO 8601 (UTC unless it says
 * otherwise). False if it is neither or out of range. */
bool sg_parse_time(const char *text, int64_t *nanoseconds);

/* The message type of a cell, "INVITE" or "200", into type[33]; false if it is none. */
bool sg_parse_message(const char *text, char type[33]);

#endif
