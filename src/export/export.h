/* export.h: trained models in the formats of other programs, and back.
 *
 * Every writer makes its file whole or not at all (base/files.h), and the same bytes for the same model.
 */
#ifndef SG_EXPORT_EXPORT_H
#define SG_EXPORT_EXPORT_H

#include "engine/engine.h"
#include "model/model.h"

/* The precision of the weights in a .sipm file (sipdetect/network.h). */
typedef enum { SG_WEIGHTS_FP32, SG_WEIGHTS_BF16, SG_WEIGHTS_INT8 } sg_weights;
#define SG_WEIGHTS_CHOICES "fp32|bf16|int8"

#define SG_EXPORT_NEAR 1e-6

/* What the weights of a .sipm file cost, compared with the engine over all beginnings of train dialogs. */
typedef struct {
    int64_t beginnings;     /* unique ones compared */
    double probability_max; /* the largest difference of a best class' probability */
    double agreement; /* share of equal verdicts by the model's limits, those of the length and those for
                         whole dialogs, among beginnings that the engine does not put within SG_EXPORT_NEAR of
                         one; NaN for a model without limits */
    double class_agreement; /* share of equal best classes */
} sg_export_accuracy;

/* The flat file of libsipdetect (sipdetect/sipm_format.h): spec, alphabet and rules, weights, the trie of
 * known beginnings with the outputs of `engine` (which holds the model's weights, preferably in fp32) for
 * each, limits, centroids, provenance.  `accuracy` may be NULL; else the file, before it gets its name, is
 * read and run by libsipdetect's own network, which takes about as long as the engine's run on one core.
 * SG_E_CONFIG: a model without train dialogs.  SG_E_NUMERIC: the engine's outputs are not finite. */
sg_status sg_export_sipm(const sg_model *model, sg_engine *engine, sg_weights weights, const char *path,
                         sg_export_accuracy *accuracy);

/* ONNX, opset 17: input tokens int64 [batch, L], dialogs followed by zeros for every padding; outputs
 * probabilities float [batch, N]; class int64, skewness and kurtosis double (normalised), abnormal and
 * abnormal_either bool [batch].  The last two are left out if the model has no thresholds.  An id above M is
 * an error of the runtime; a row of zeros gets the network's output before the first message (with padding
 * post and pre: after L steps of zeros).  SG_E_CONFIG: more than the 2 GiB that an ONNX file can hold. */
sg_status sg_export_onnx(const sg_model *model, const char *path);

/* Keras 3: a .keras archive, or the pair of .weights.h5 and .json if `path` ends in .weights.h5.  The input
 * is one-hot, [batch, L, M], zeros for padding; where padding is `pre` the caller puts them first. */
sg_status sg_export_keras(const sg_model *model, const char *path);

#define SG_KERAS_WEIGHTS_ENDING ".weights.h5"

/* Whether `path` names weights with the layers in a .json beside them, and its path: "a.json" for
 * "a.weights.h5", into text_path[SG_PATH_MAX]. */
bool sg_keras_is_pair(const char *path);
sg_status sg_keras_text_path(const char *path, char *text_path);

/* What sg_import_keras found. */
typedef struct {
    char keras_version[32]; /* "" if unknown */
    bool described;         /* alphabet, classes and limits came with the file */
    char left_out[256];     /* settings that affect only training, "" if none */
} sg_keras_report;

/* A network that Keras trained: a .keras archive, a whole-model HDF5 file (Keras 2 and 3), or the pair of
 * .weights.h5 and .json.  Only the paper's architecture: [Input], [Masking], LSTM once or twice, [Dropout],
 * Dense with softmax, Sequential or Functional; SG_E_CONFIG names the layer and the setting of anything else.
 * Inputs are one-hot message types in the corpus' order and outputs its classes in theirs; without a corpus
 * (NULL) the file must be one that sg_export_keras wrote (SG_E_CONFIG).  `padding` is where its training data
 * had zeros; negative: mask with a Masking layer, else what the file says, else post.  Thresholds are those
 * of the file without a corpus, none with one.  Weights must be finite (SG_E_NUMERIC). */
sg_status sg_import_keras(sg_model *model, const char *path, const sg_corpus *corpus, int padding,
                          sg_keras_report *report);

#endif
