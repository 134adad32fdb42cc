/* writer.h: writes the checkpoints and the best weights of one run in a thread of its own, so that training
 * never waits for HDF5 or the disk.
 *
 * At most one write is under way.  Weights and metadata are copied when they are handed over.  Adam's moments
 * are not: they are twice as large, and the run's own copy is left alone until the writer takes the next
 * checkpoint.  A best that comes during a write waits, and a newer one takes its place: the newest is never
 * lost.  A checkpoint is written after the best that it knows of, and not at all if that cannot be written: a
 * run that went on from it would end with an older best.
 *
 * All functions are for the thread that trains; the writer's own thread prints nothing.
 */
#ifndef SG_TRAIN_WRITER_H
#define SG_TRAIN_WRITER_H

#include "model/model.h"

typedef struct sg_writer sg_writer;

typedef enum { SG_WRITER_BEST, SG_WRITER_CHECKPOINT, SG_WRITER_FILES } sg_writer_file;

/* `model`: alphabet, classes and configuration, which must outlive the writer and not change, and the shape
 * of the weights.  `state`: where moments of checkpoints will be.  Files are put in place under `checkpoint`
 * and `best`; NULL: no best will come. */
sg_status sg_writer_open(sg_writer **writer, const sg_model *model, const sg_optimizer_state *state,
                         const char *checkpoint, const char *best);

/* Waits for what is under way or waits for its turn.  NULL is fine. */
void sg_writer_close(sg_writer *writer);

/* Whether a checkpoint can be handed over: the one before is done with. */
bool sg_writer_takes_checkpoint(sg_writer *writer);

/* Hands over a checkpoint, if the writer takes one; the moments are in `state`. */
void sg_writer_checkpoint(sg_writer *writer, const sg_model *model);

/* Hands over the best weights so far, at any time. */
void sg_writer_best(sg_writer *writer, const sg_model *model);

/* A best that could not be written is kept, and tried again before the next checkpoint or now. */
void sg_writer_retry(sg_writer *writer);

/* Whether the newest best is on the disk. */
bool sg_writer_has_written_best(sg_writer *writer);

/* Waits until nothing is under way and nothing waits but a best that failed. */
void sg_writer_drain(sg_writer *writer);

/* What became of writes of one file since the last call. */
typedef struct {
    int written;      /* times it was put in place */
    sg_status status; /* of the last write, and if it failed */
    char text[1024];  /* its message */
} sg_writer_news;

void sg_writer_get_news(sg_writer *writer, sg_writer_file file, sg_writer_news *news);

#endif
