/* model.h: a trained network and its file.
 *
 * HDF5, root attributes format "sipgpu-model", version 1, message_types, max_length, units, classes, layers,
 * dropout, padding, type_rule, retransmissions; /params/<tensor> float32 (params.h); /alphabet;
 * /classes/{sequence, length, train_count}; /thresholds attributes skewness, kurtosis; /prefix_thresholds [L,
 * 2] (optional; columns skewness, kurtosis; row k-1 for dialogs that go on after k messages);
 * /kmeans/centroids [2, 2] (low cluster first; columns skewness, kurtosis); /training attributes config,
 * seed, epoch, update, goal_reached, partial_loss, partial_right, best_pd, best_loss, corpus_digest, tool,
 * precision, device. A checkpoint is a model file with /optimizer/m/<tensor> and /optimizer/v/<tensor>.
 * Both begin with a digest of the rest (base/h5_digest.h).
 */
#ifndef SG_MODEL_MODEL_H
#define SG_MODEL_MODEL_H

#include "base/h5.h"
#include "corpus/corpus.h"
#include "model/params.h"

/* Limits of the moments of a dialog that is still going on. */
typedef struct {
    double skewness, kurtosis;
} sg_prefix_limit;

typedef struct {
    sg_spec spec;
    sg_params params;
    char **alphabet;          /* [M] */
    char type_rule[16];       /* what makes a message type, as in the corpus */
    bool collapsed;           /* the corpus is without retransmissions */
    uint16_t *class_sequence; /* [N, L], the dialog of each output */
    uint16_t *class_length;   /* [N] */
    int64_t *class_train;     /* [N], number of train dialogs; 0: never seen */

    bool has_thresholds; /* lambda of the threshold rule, from the train split */
    double lambda_skewness, lambda_kurtosis;
    sg_prefix_limit *prefix_limit; /* [L], entry k-1 after k messages; NULL: not calibrated */
    bool has_kmeans;
    double centroid[2][2]; /* [low, high][skewness, kurtosis] */

    char *config; /* INI text of the run, or NULL */
    uint64_t seed;
    bool goal_reached;         /* stop_when_train_pd was met: nothing is left to train */
    int64_t epoch, update;     /* completed */
    double partial_loss;       /* of an epoch that has begun: sum of losses over its dialogs so far, and */
    int64_t partial_right;     /* how many were right */
    double best_pd, best_loss; /* of the best evaluation so far, -1 and 0 if there was none */
    char corpus_digest[33];
    char tool[64], precision[16], device[128];
} sg_model;

/* Optimizer state of a checkpoint; layouts equal the model's. */
typedef struct {
    sg_params m, v;
} sg_optimizer_state;

/* An untrained model of shape `spec` (weights zero) with alphabet and classes of `corpus`.  SG_E_CONFIG if M,
 * L or N do not match. */
sg_status sg_model_make(sg_model *model, const sg_spec *spec, const sg_corpus *corpus);
void sg_model_free(sg_model *model);

/* Writes a model file, or a checkpoint if `state` is not NULL; the old file stays until the new one is
 * complete. */
sg_status sg_model_write(const sg_model *model, const sg_optimizer_state *state, const char *path);

/* Reads and checks a whole file, weights finite.  With `state`, a file without optimizer state is
 * SG_E_FORMAT.  A file whose digest does not match is SG_E_FORMAT, "damaged"; one without a digest is read,
 * with a note. */
sg_status sg_model_read(sg_model *model, sg_optimizer_state *state, const char *path);

/* The same for a model, without the note: *digest says whether the file has one. */
sg_status sg_model_read_digest(sg_model *model, const char *path, bool *digest);
void sg_optimizer_state_free(sg_optimizer_state *state);

/* Everything in a model except its weights, for files of another format that hold its outputs
 * (experiment/record.h). Release the model with sg_model_free, also after a failure. */
sg_status sg_model_put_description(sg_h5 *file, const char *format, int64_t version, const sg_model *model);
sg_status sg_model_get_description(const sg_h5 *file, const char *format, int64_t version_max,
                                   sg_model *model);

/* SG_E_CONFIG unless the alphabets are equal, name for name; the message gives the first difference. */
sg_status sg_model_check_alphabet(const sg_model *model, const sg_corpus *corpus);

/* class_of[j] is the model's class with the sequence of the corpus' class j, or -1; [corpus->classes]. */
sg_status sg_model_match_classes(const sg_model *model, const sg_corpus *corpus, int32_t **class_of);

#endif
