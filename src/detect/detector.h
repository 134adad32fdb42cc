/* detector.h: the one judge of dialogs: opens a model, takes message types, gives verdicts and the limits
 * behind them.  `score`, `watch`, `eval` and `detect` stand on it.
 *
 * A dialog is followed message by message: sg_detector_push moves it on and sg_detector_end ends it, one
 * look-up each among the beginnings of the train dialogs.  Either settles the verdict, or leaves it to
 * sg_detector_judge, which asks the model itself: many dialogs at once, now or later, here or on another
 * thread.  One judgement holds for the dialog going on after these messages as well as for it being over, so
 * it can be kept and used for either.
 *
 * What a model is, is its kind's affair (detector_internal.h): a network of `train` with one output for each
 * dialog, on an engine, or an exported .sipm on libsipdetect.  These two leave every unknown beginning to
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

/* Whether a file is an exported model (.sipm), by its first bytes; one that is neither kind, by its name.
 * SG_E_IO if it cannot be read. */
sg_status sg_detector_is_exported(const char *path, bool *exported);

/* Opens a model file of either kind; or a network in memory, which is taken over and emptied in any case.
 * The engine has the weights from then on. */
sg_status sg_detector_open(sg_detector **detector, const char *path, const sg_detector_options *options);
sg_status sg_detector_open_model(sg_detector **detector, sg_model *model, const sg_detector_options *options);
void sg_detector_close(sg_detector *detector); /* NULL is fine */

/* ---- what the model is ---- */

int sg_detector_max_length(const sg_detector *detector); /* L */
const sg_alphabet *sg_detector_alphabet(const sg_detector *detector);
const char *sg_detector_description(const sg_detector *detector); /* of what computes */

/* Retransmissions were left out of the train dialogs, and have to be left out here. */
bool sg_detector_collapsed(const sg_detector *detector);

/* Both see the same types in the same messages, so a dialog can pass from one to the other. */
bool sg_detector_same_types(const sg_detector *a, const sg_detector *b);

/* The dialog that class `number` stands for; its types are the detector's. */
sg_dialog_types sg_detector_class(const sg_detector *detector, int32_t number);

/* The limits for a dialog of `length` messages, 1 at the least, that goes on or is over; one of L messages is
 * over.  False if the model has none. */
bool sg_detector_limits(const sg_detector *detector, int length, bool over, sg_prefix_limit *limits);

/* A network of `train` without its weights, and the engine that has them; NULL for other kinds. */
const sg_model *sg_detector_model(const sg_detector *detector);
sg_engine *sg_detector_engine(sg_detector *detector);

/* ---- verdicts ---- */

/* Answers of three values: 1 yes, 0 no, -1 cannot be told (the model has no such limits). */
typedef struct {
    bool known, known_prefix; /* it is a train dialog; a train dialog begins with it */
    bool scored;              /* the model was asked; otherwise there are no values: NaN, and class -1 */
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

/* Where a dialog stands; the caller's, zeroed before its first message. */
typedef struct {
    int32_t node; /* among the known beginnings, 0: nothing has come yet, -1: outside */
} sg_standing;

/* One message more; type 0, one that the alphabet cannot express, leads outside.  True: the verdict on the
 * dialog so far is settled, and in *verdict.  False: known is false, the rest is for sg_detector_judge. */
bool sg_detector_push(const sg_detector *detector, sg_standing *dialog, uint16_t type, sg_verdict *verdict);

/* The same of a dialog that is over, as it stands. */
bool sg_detector_end(const sg_detector *detector, const sg_standing *dialog, sg_verdict *verdict);

/* Where a dialog of these types stands. */
sg_standing sg_detector_find(const sg_detector *detector, const sg_dialog_types *dialog);

/* Asks the model about `count` dialogs of 1 to L messages at once, equal ones once.  By one thread at a time;
 * everything else here may go on meanwhile on others. */
sg_status sg_detector_judge(sg_detector *detector, const sg_dialog_types *dialogs, int count,
                            sg_verdict *verdicts);

#endif
