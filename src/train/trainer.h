/* trainer.h: trains one network on one corpus, in a folder of its own (run.h). */
#ifndef SG_TRAIN_TRAINER_H
#define SG_TRAIN_TRAINER_H

#include "model/model.h"
#include "train/config.h"
#include "train/run.h"
#include <signal.h>

/* How far a run is, for other threads to see. */
typedef struct {
    _Atomic int64_t before, done; /* epochs: when this sitting began, and now */
} sg_training_progress;

typedef struct {
    const sg_config *config;
    const sg_corpus *corpus;
    const char *folder;                /* exists and is writable */
    bool resume;                       /* go on from the folder's checkpoint if there is one */
    const volatile sig_atomic_t *stop; /* set by a signal: save a checkpoint and return SG_E_INTERRUPTED */
    sg_training_progress *progress;    /* NULL: nobody asks */
} sg_training;

typedef struct {
    sg_model model;     /* the trained network; free with sg_model_free */
    double seconds;     /* spent training, over all interruptions */
    char engine[128];   /* sg_engine_description */
    int64_t epochs;     /* run in all */
    bool stopped_early; /* by stop_when_train_pd */
    int64_t waits;      /* times this sitting's training stood still for a file, up to its last update: 0 */
} sg_trained;

/* Trains to the end and returns the model; the caller writes model.h5.  Checkpoints and best weights are
 * written by a thread beside it (writer.h).  A checkpoint that cannot be written is a warning; best weights
 * that still cannot at the end are an error.  A loss that is not finite is SG_E_NUMERIC with epoch, step and
 * a hint; the last checkpoint stays.  A checkpoint of another configuration or corpus is SG_E_CONFIG and
 * names what differs. */
sg_status sg_train(const sg_training *training, sg_trained *trained);

/* Whether this configuration can be trained on this corpus here: network, batch size, device, precision.
 * Touches no file, so a command can ask before it changes anything. */
sg_status sg_training_check(const sg_config *config, const sg_corpus *corpus);

/* SG_E_CONFIG, naming keys, if the complete run in `folder` was made with other settings or another corpus.
 */
sg_status sg_training_check_complete(const sg_config *config, const sg_corpus *corpus, const char *folder);

/* Share of the dialogs of each split whose class is the largest output; NAN for an empty split.  `argmax` is
 * by class.
 */
void sg_split_pd(const sg_corpus *corpus, const int32_t *argmax, double pd[SG_SPLITS]);

#endif
