/* writer.h: writes the checkpoints and the best weights of one run on a separate thread, so that training
 * never waits for HDF5 or the disk.
 *
 * At most one write is under way.  Weights and metadata are copied when they are handed over.  Adam's moments
 * are not: they are twice as large, and the run's own copy is left alone until the writer takes the next
 * checkpoint.  Best weights that arrive during a write wait; newer ones replace them, so the newest are never
 * lost.  A checkpoint is written after the best weights that it refers to, and not at all if those cannot be
 * written: a run resumed from it would end with older best weights.
 *
 * All functions are for the thread that trains; the writer's own thread prints nothing.
 */
#ifndef SG_TRAIN_WRITER_H
#define SG_TRAIN_WRITER_H

#include "model/model.h"

typedef struct sg_writer sg_writer;

typedef enum { SG_WRITER_BEST, SG_WRITER_CHECKPOINT, SG_WRITER_FILES } sg_writer_file;

/* `model`: alphabet, classes and configuration, which must outlive the writer and not change, and the shape
 * of the weights.  `state`: where moments of checkpoints will be.  Files are written to `checkpoint` and
 * `best`; NULL: there will be no best weights. */
sg_status sg_writer_open(sg_writer **writer, const sg_model *model, const sg_optimizer_state *state,
                         const char *checkpoint, const char *best);

/* Waits for all writes, current and pending.  NULL is fine. */
void sg_writer_close(sg_writer *writer);

/* Whether a checkpoint can be handed over: the previous one is finished. */
bool sg_writer_takes_checkpoint(sg_writer *writer);

/* Hands over a checkpoint, if the writer takes one; the moments are in `state`. */
void sg_writer_checkpoint(sg_writer *writer, const sg_model *model);

/* Hands over the best weights so far, at any time. */
void sg_writer_best(sg_writer *writer, const sg_model *model);

/* Best weights that could not be written are kept and tried again before the next checkpoint; this tries
 * now. */
void sg_writer_retry(sg_writer *writer);

/* Whether the newest best is on the disk. */
bool sg_writer_has_written_best(sg_writer *writer);

/* Waits until nothing is being written and nothing is pending except best weights that failed. */
void sg_writer_drain(sg_writer *writer);

/* The result of writes of one file since the last call. */
typedef struct {
    int written;      /* times it was put in place */
    sg_status status; /* of the last write, and if it failed */
    char text[1024];  /* its message */
} sg_writer_news;

void sg_writer_get_news(sg_writer *writer, sg_writer_file file, sg_writer_news *news);

#endif
