/* dialog_source.h: where `score` has its dialogs from.
 *
 * A text holds either one dialog a line, message names in cells (table_reader.h), or one message a line with
 * a header (corpus/import.h), which is read to its end first.  Anything else is a corpus.  Dialogs of lines
 * are given on as they come.
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
    /* One dialog; its texts are gone when this returns. */
    sg_status (*dialog)(void *context, const sg_source_dialog *dialog);
    /* The next one has to be waited for. */
    sg_status (*idle)(void *context);
    void *context;
} sg_dialog_sink;

typedef struct {
    char separator;      /* 0: found from the first line */
    const char *columns; /* messages, one a line, in a table without header: its columns; or NULL */
} sg_dialog_source_options;

/* SG_E_USAGE for columns that make no sense. */
sg_status sg_dialog_source_check(const sg_dialog_source_options *options);

/* Reads one file, "-" for standard input.  A failure of the sink ends the reading and is passed on. */
sg_status sg_dialogs_read(const char *path, const sg_dialog_source_options *options,
                          const sg_dialog_sink *sink);

/* The type that a cell of a table names: a name of the alphabet as it stands, else a method in any case or a
 * status code, with or without its reason, folded as the alphabet folds; 0 if the alphabet has none. */
uint16_t sg_dialog_source_type(const sg_alphabet *alphabet, const char *cell);

#endif
