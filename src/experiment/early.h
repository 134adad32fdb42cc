/* early.h: detection of dialogs that are not over: P_D and P_FA after k messages.
 *
 * A detector sees a dialog message by message.  After each it may flag the dialog for how it has begun; after
 * the last one, when the dialog is over, also for what it was as a whole.  By message k a dialog is flagged
 * if that happened at message k or earlier; one of fewer messages is over by then.  So P_D and P_FA never
 * fall with k, and are those of whole dialogs at k = L for detectors that flag a whole dialog whenever they
 * flag a beginning of it.
 *
 *   exact_set               says nothing until the dialog is over
 *   prefix_trie             flags at the first message after which no train dialog begins so;
 *                           has nothing to say at the end
 *   prefix_trie_exact_set   the trie, and the set at the end: the best that looking things up can do
 *   ngram_2..4              at the first message that completes an n-gram no train dialog has;
 *                           at the end, by the marker of the end
 *   markov_2, markov_3      log probability of the beginning below the limit of its length: the
 *                           SG_PREFIX_QUANTILE (prefix_limits.h) of the train dialogs of k messages or
 *                           more, each cut after k; at the end as in detection.h
 *   threshold_both, threshold_either
 *                           the network on the beginning, padded, below the model's limits of this
 *                           length (prefix_limits.h); at the end below lambda (threshold.h)
 *
 * The test split gives no limit.
 */
#ifndef SG_EXPERIMENT_EARLY_H
#define SG_EXPERIMENT_EARLY_H

#include "experiment/detection.h"
#include "model/model.h"

typedef struct {
    char detector[32], model[16]; /* model "-": no network */
    int *first;                   /* [N] the message (1..length) at which a class is flagged; 0: never */
} sg_early_row;

typedef struct {
    int classes, steps; /* N, L */
    uint16_t *length;   /* [N] */
    bool *known;        /* [N] */
    bool *flagged;      /* [N] room for sg_early_count */
    sg_class_counts counts;
    int rows;
    size_t capacity;
    sg_early_row *row;
} sg_early;

/* Starts with the detectors without a network.  Release with sg_early_free, also after a failure. */
sg_status sg_early_open(sg_early *early, const sg_corpus *corpus, const sg_detection *detection);
void sg_early_free(sg_early *early);

/* Adds threshold_both and threshold_either of a network: runs it over every beginning of the test dialogs,
 * with progress.  The engine holds the model's weights; `detection` is the model's.  A model without limits
 * for beginnings adds nothing, with a note. */
sg_status sg_early_add(sg_early *early, const char *name, const sg_model *model, sg_engine *engine,
                       const sg_corpus *corpus, const sg_detection *detection);

/* The two halves of that: what the network says of every beginning of the test dialogs, into *outputs, which
 * this allocates (of a model without limits: count 0, with a note); and the rows, from a model that may be
 * without weights. SG_E_CONFIG: outputs of other beginnings. */
sg_status sg_early_run(const sg_early *early, const char *name, const sg_model *model, sg_engine *engine,
                       const sg_corpus *corpus, sg_outputs *outputs);
sg_status sg_early_add_outputs(sg_early *early, const char *name, const sg_model *model,
                               const sg_corpus *corpus, const sg_outputs *outputs,
                               const sg_detection *detection);

/* What a detector has flagged by message k, of all new and of all known dialogs of the test split. */
void sg_early_count(const sg_early *early, const sg_early_row *row, int k, sg_verdicts *counted);

/* When it flags new dialogs. */
typedef struct {
    int64_t detections, new_dialogs;
    double median_message, median_share; /* of the flagged new ones: the message, and message / length; NaN if
                                            none (the upper one of two middles) */
    int64_t earlier, later; /* new dialogs flagged at an earlier message than by the row compared with, or
                               only by this one; the other way round */
    int64_t false_alarms;   /* known dialogs */
} sg_early_position;

/* `other` may be NULL: earlier and later stay 0. */
sg_status sg_early_position_of(const sg_early *early, const sg_early_row *row, const sg_early_row *other,
                               sg_early_position *position);

/* NULL if there is none. */
const sg_early_row *sg_early_find(const sg_early *early, const char *detector, const char *model);

/* CSV, a row for each detector and k, as verdicts.h has them. */
sg_status sg_report_early(const sg_early *early, FILE *out);

/* CSV, a row for each detector: detector, model, detections, new, median_message, median_share,
 * earlier_than_trie, later_than_trie, false_alarms. */
sg_status sg_report_early_positions(const sg_early *early, FILE *out);

#endif
