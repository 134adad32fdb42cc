/* history.h: history.csv, one line an epoch.
 *
 * Columns: epoch, update, loss (mean over the epoch's dialogs, each before its update), running_pd (the same
 * for the share right), train_pd, validation_pd, test_pd (of an evaluation after the epoch; empty if there
 * was none), learning_rate and gradient_norm (of the last update), seconds (since the run began,
 * interruptions left out).
 */
#ifndef SG_TRAIN_HISTORY_H
#define SG_TRAIN_HISTORY_H

#include "base/status.h"
#include "corpus/corpus.h"

typedef struct {
    int64_t epoch, update;
    double loss, running_pd;
    bool evaluated;
    double pd[SG_SPLITS]; /* NAN for an empty split */
    double learning_rate, gradient_norm, seconds;
} sg_history_line;

/* Starts the file anew with its header. */
sg_status sg_history_create(const char *path);

/* Keeps the header and the lines up to `epoch`, drops the rest (also a torn last line); *seconds is that of
 * the last line kept, or 0. */
sg_status sg_history_rewind(const char *path, int64_t epoch, double *seconds);

/* If this fails, the file is as it was. */
sg_status sg_history_append(const char *path, const sg_history_line *line);

#endif
