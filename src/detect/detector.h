/* detector.h: judges dialogs: opens a model, takes message types, gives verdicts and the limits behind them.
 * `score`, `watch`, `eval` and `detect` all use it.
 *
 * A dialog is followed message by message: sg_detector_push moves it on and sg_detector_end ends it, one
 * lookup each among the beginnings of the train dialogs.  Both either settle the verdict or leave it to
 * sg_detector_judge, which runs the model: on many dialogs at once, now or later, on this thread or another.
 * A judgement holds both for a dialog that goes on after these messages and for one that is over, so it can
 * be kept and used for either.
 *
 * Kinds of models are described in detector_internal.h: a network of `train` with one output for each dialog,
 * on an engine, or an exported .sipm on libsipdetect.  These two leave every unknown beginning to
 * sg_detector_judge.
 */
#ifndef SG_DETECT_DETECTOR_H
#define SG_DETECT_DETECTOR_H

#include "detect/outputs.h"
#include "detect/threshold.h"
#include "model/model.h"
#include "sip/alphabet.h"

typedef struct {
    sg_engine_options engine; /* what a network of `train` runs on */
    const char *simd;         /* .sipm: "auto" (or NULL), "avx2", ... */
    bool recompute;           /* .sipm: run the network for beginnings whose scores the file holds, too */
    int batch;                /* .sipm: most dialogs computed at once; 0: the library's default */
} sg_detector_options;

typedef struct sg_detector sg_detector;

/* Whether a file is an exported model (.sipm), judged by its first bytes, or by its name if they are those of
 * neither kind. SG_E_IO if it cannot be read. */
sg_status sg_detector_is_exported(const char *path, bool *exported);

/* Opens a model file of either kind; or a network in memory, which is always taken over and emptied.  From
 * then on the engine has the weights. */
sg_status sg_detector_open(sg_detector **detector, const char *path, const sg_detector_options *options);
sg_status sg_detector_open_model(sg_detector **detector, sg_model *model, const sg_detector_options *options);
void sg_detector_close(sg_detector *detector); /* NULL is fine */

/* ---- what the model is ---- */

int sg_detector_max_length(const sg_detector *detector); /* L */
const sg_alphabet *sg_detector_alphabet(const sg_detector *detector);
const char *sg_detector_description(const sg_detector *detector); /* of what computes */

/* Retransmissions were left out of the train dialogs, so they must be left out here too. */
bool sg_detector_collapsed(const sg_detector *detector);

/* Both see the same types in the same messages, so a dialog can pass from one to the other. */
bool sg_detector_same_types(const sg_detector *a, const sg_detector *b);

/* The dialog of class `number`; its types belong to the detector. */
sg_dialog_types sg_detector_class(const sg_detector *detector, int32_t number);

/* The limits for a dialog of `length` >= 1 messages that goes on or is over; one of L messages counts as
 * over.  False if the model has none. */
bool sg_detector_limits(const sg_detector *detector, int length, bool over, sg_prefix_limit *limits);

/* A network of `train` without its weights, and the engine that has them; NULL for other kinds. */
const sg_model *sg_detector_model(const sg_detector *detector);
sg_engine *sg_detector_engine(sg_detector *detector);

/* ---- verdicts ---- */

/* Answers have three values: 1 yes, 0 no, -1 unknown (the model has no such limits). */
typedef struct {
    bool known, known_prefix; /* it is a train dialog; a train dialog begins with it */
    bool scored;              /* the model was run; if not, values are NaN and the class is -1 */
    int32_t best_class;       /* of the largest output, the lowest on ties */
    float probability;        /* its value */
    double skewness, kurtosis;
    int8_t below[2][2]; /* the limits, [over][sg_rule], for a dialog that goes on and for one that is over */
    int8_t low_cluster; /* nearer to the low K-means centroid; of a dialog that is over */
} sg_verdict;

/* A dialog is unlike the train dialogs; of those that go on, only an unknown beginning can be. */
static inline int sg_verdict_abnormal(const sg_verdict *verdict, bool over, sg_rule rule)
{
    const int below = verdict->below[over][rule];
    return below > 0 && !over && verdict->known_prefix ? 0 : below;
}

/* How far below its limits a verdict's moments are: 0 at the limits, 1 where all outputs are equal. */
double sg_verdict_depth(const sg_verdict *verdict, const sg_prefix_limit *limits);

/* The position of a dialog; it belongs to the caller and is zeroed before the first message. */
typedef struct {
    int32_t node; /* among the known beginnings, 0: nothing has come yet, -1: outside */
} sg_standing;

/* Adds one message; type 0, which the alphabet cannot express, leads outside.  True: the verdict on the
 * dialog so far is settled and in *verdict.  False: known is false; sg_detector_judge finds the rest. */
bool sg_detector_push(const sg_detector *detector, sg_standing *dialog, uint16_t type, sg_verdict *verdict);

/* The same for a dialog that is over. */
bool sg_detector_end(const sg_detector *detector, const sg_standing *dialog, sg_verdict *verdict);

/* The position of a dialog of these types. */
sg_standing sg_detector_find(const sg_detector *detector, const sg_dialog_types *dialog);

/* Runs the model on `count` dialogs of 1 to L messages at once, equal ones only once.  One thread at a time
 * may call this; other threads may use everything else here meanwhile. */
sg_status sg_detector_judge(sg_detector *detector, const sg_dialog_types *dialogs, int count,
                            sg_verdict *verdicts);

#endif
