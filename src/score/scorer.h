/* scorer.h: what a model says of dialogs, for `score`: a model file of `train` on an engine, or a .sipm file
 * on libsipdetect.
 */
#ifndef SG_SCORE_SCORER_H
#define SG_SCORE_SCORER_H

#include "experiment/session.h"

typedef struct {
    const char *path;                  /* the model */
    const sg_session_options *session; /* device, precision, threads: of an .h5 model */
    const char *simd;                  /* "auto", "avx2", ...: of a .sipm model */
    bool recompute; /* .sipm: run the network for beginnings whose scores the file holds too */
    bool partial;   /* dialogs go on: verdicts by the limits for beginnings */
    int batch;      /* most dialogs at once */
} sg_scorer_options;

/* What a model says of a dialog.  Verdicts are 1, 0, or -1 where the model has no limits or centroids. */
typedef struct {
    int32_t best_class; /* of the largest output, the lowest on ties */
    float probability;  /* its value */
    double skewness, kurtosis;
    bool known, known_prefix; /* it is a train dialog; a train dialog begins with it */
    int8_t abnormal[2];       /* by sg_rule; of dialogs that go on, only an unknown beginning can be */
    int8_t low_cluster;       /* nearer to the low K-means centroid; -1 also for a dialog that goes on */
} sg_answer;

typedef struct sg_scorer sg_scorer;

/* How a kind of model does it.  `self` is what `open` made. */
typedef struct {
    sg_status (*open)(void **self, const sg_scorer_options *options);
    void (*close)(void *self);
    int (*max_length)(const void *self);                     /* L */
    uint16_t (*type_id)(const void *self, const char *name); /* folded; 0: none */
    const char *(*type_name)(const void *self, int id);
    int (*class_dialog)(const void *self, int32_t number, uint16_t *types);
    bool (*has_limits)(const void *self, bool partial); /* the verdict can be told */
    sg_status (*run)(void *self, const uint16_t *types, const uint16_t *lengths, int count,
                     sg_answer *answers);
} sg_scorer_kind;

extern const sg_scorer_kind sg_scorer_engine;  /* scorer_engine.c: .h5 */
extern const sg_scorer_kind sg_scorer_library; /* scorer_library.c: .sipm */

/* Opens a model by what the file is.  SG_E_USAGE: an option for the other kind.  SG_E_CONFIG: `partial`, and
 * the model has no limits for beginnings. */
sg_status sg_scorer_open(sg_scorer **scorer, const sg_scorer_options *options);
void sg_scorer_close(sg_scorer *scorer); /* NULL is fine */

int sg_scorer_max_length(const sg_scorer *scorer);

/* Whether the rule can give a verdict: the model has limits. */
bool sg_scorer_has_limits(const sg_scorer *scorer);

/* The type that a cell of a table names: a name of the alphabet as it stands, else a method in any case or a
 * status code, with or without its reason, folded as the alphabet folds; 0 if the alphabet has none. */
uint16_t sg_scorer_type(const sg_scorer *scorer, const char *cell);
const char *sg_scorer_type_name(const sg_scorer *scorer, int id);

/* The dialog that a class stands for: its types into types[L], its length returned. */
int sg_scorer_class_dialog(const sg_scorer *scorer, int32_t number, uint16_t *types);

/* Scores `count` <= batch sequences [count, L], zeros after lengths[i] types, 1 <= lengths[i] <= L. */
sg_status sg_scorer_run(sg_scorer *scorer, const uint16_t *types, const uint16_t *lengths, int count,
                        sg_answer *answers);

#endif
