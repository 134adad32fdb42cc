/* dialog_source.h: where `score` gets its dialogs.
 *
 * A text holds either one dialog per line, message names in cells (table_reader.h), or one message per line
 * with a header (corpus/import.h), which is read to its end first.  Anything else is a corpus.  Dialogs from
 * lines are passed on as they arrive.
 */
#ifndef SG_SCORE_DIALOG_SOURCE_H
#define SG_SCORE_DIALOG_SOURCE_H

#include "base/status.h"
#include "sip/alphabet.h"
#include <stdint.h>

typedef struct {
    const char *file;        /* as the user named it */
    const char *id;          /* number of the line (from 1) or of the corpus' dialog (from 0), or Call-ID */
    const char *const *name; /* [length] of its messages */
    int length;
    const char *fault; /* why it cannot be read (then length is 0), or NULL */
} sg_source_dialog;

typedef struct {
    /* One dialog; its texts are valid only during this call. */
    sg_status (*dialog)(void *context, const sg_source_dialog *dialog);
    /* Called before waiting for the next one. */
    sg_status (*idle)(void *context);
    void *context;
} sg_dialog_sink;

typedef struct {
    char separator;      /* 0: found from the first line */
    const char *columns; /* messages, one a line, in a table without header: its columns; or NULL */
} sg_dialog_source_options;

/* SG_E_USAGE for invalid columns. */
sg_status sg_dialog_source_check(const sg_dialog_source_options *options);

/* Reads one file, "-" for standard input.  A failure of the sink stops reading and is returned. */
sg_status sg_dialogs_read(const char *path, const sg_dialog_source_options *options,
                          const sg_dialog_sink *sink);

/* The type that a cell of a table names: an exact name of the alphabet, else a method in any case or a status
 * code, with or without its reason, folded as the alphabet folds; 0 if the alphabet has none. */
uint16_t sg_dialog_source_type(const sg_alphabet *alphabet, const char *cell);

#endif
