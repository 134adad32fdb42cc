/* detection.h: every detector on the test split (Table VI), and the operating points of their scores.
 *
 * A dialog is new (to be flagged) if its class does not occur in the train split of the corpus, known
 * otherwise.  P_D is the share of the test split's new dialogs that are flagged, P_FA that of its known ones.
 */
#ifndef SG_EXPERIMENT_DETECTION_H
#define SG_EXPERIMENT_DETECTION_H

#include "corpus/class_counts.h"
#include "detect/kmeans.h"
#include "detect/roc.h"
#include "detect/threshold.h"
#include "engine/engine.h"
#include "experiment/verdicts.h"

typedef enum {
    SG_DETECTOR_THRESHOLD_BOTH,   /* lambda rule, both moments below */
    SG_DETECTOR_THRESHOLD_EITHER, /* lambda rule, at least one below */
    SG_DETECTOR_KMEANS,           /* low cluster of the test split's moments */
    SG_DETECTOR_EXACT_SET,        /* baseline: not among the train sequences; 100% and 0% by definition */
    SG_DETECTOR_MARKOV_2,         /* baseline: Markov chain of order 2, limit from the train split */
    SG_DETECTOR_MARKOV_3,
    SG_DETECTORS
} sg_decider;

enum { SG_NETWORK_DETECTORS = SG_DETECTOR_EXACT_SET }; /* the detectors before it need a network */

/* Scores, low for abnormal. */
typedef enum {
    SG_SCORE_SKEWNESS,
    SG_SCORE_KURTOSIS,
    SG_SCORE_LOWER_MOMENT,  /* the smaller of both: with one limit for both moments, rule `either` */
    SG_SCORE_HIGHER_MOMENT, /* the larger of both: rule `both` */
    SG_SCORE_P_MAX,         /* largest output */
    SG_SCORE_KMEANS,        /* distance to the low centroid minus distance to the high one */
    SG_SCORE_MARKOV_2,      /* log of the probability of the sequence */
    SG_SCORE_MARKOV_3,
    SG_SCORES
} sg_score;

enum { SG_NETWORK_SCORES = SG_SCORE_MARKOV_2 }; /* the scores before it come from a network */

/* Names for people ("threshold, both below") and for files and JSON ("threshold_both"). */
const char *sg_detector_title(sg_decider detector);
const char *sg_detector_name(sg_decider detector);
const char *sg_score_title(sg_score score);
const char *sg_score_name(sg_score score);

/* The paper's Table VI where it has the detector; false, with NaN, where not. */
bool sg_detector_paper(sg_decider detector, double *p_d, double *p_fa);

typedef struct {
    uint64_t seed;       /* of K-means */
    int kmeans_restarts; /* at least 1 */
    double markov_alpha; /* additive smoothing, > 0 */
} sg_detection_options;

#define SG_DETECTION_DEFAULTS \
    {                         \
        1, 50, 0.01           \
    }

typedef struct {
    int classes; /* N */
    bool *known; /* [N] the train split holds the class */
    int64_t train_dialogs, test_dialogs, test_new, test_known;
    int train_unique, test_unique, test_unique_new;

    sg_threshold threshold; /* from the train split's moments */
    sg_kmeans kmeans;       /* of the test split's moments; centroid 0 is the low one: [skewness, kurtosis] */
    double markov_limit[2]; /* of orders 2 and 3 */
    double markov_alpha;    /* of the options */

    sg_verdicts detector[SG_DETECTORS]; /* without a model's name; runs is 1, of baselines 0 */
    double *score[SG_SCORES];           /* [N] */
    sg_roc roc[SG_SCORES];              /* over the test split */
} sg_detection;

/* Runs everything.  `outputs` has one entry for each class of the corpus, in order.  SG_E_CONFIG: no train or
 * no test dialogs, counts that disagree.  SG_E_NUMERIC: a moment is not finite.  Release with
 * sg_detection_free, also after a failure. */
sg_status sg_detection_run(sg_detection *detection, const sg_corpus *corpus, const sg_outputs *outputs,
                           const sg_detection_options *options);
void sg_detection_free(sg_detection *detection);

#endif
