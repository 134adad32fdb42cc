/* export.h: trained models in the formats of other programs, and back.
 *
 * Every writer makes its file whole or not at all (base/files.h), and the same bytes for the same model.
 */
#ifndef SG_EXPORT_EXPORT_H
#define SG_EXPORT_EXPORT_H

#include "engine/engine.h"
#include "model/model.h"

/* What a .sipm file's weights are stored in (sipdetect/network.h). */
typedef enum { SG_WEIGHTS_FP32, SG_WEIGHTS_BF16, SG_WEIGHTS_INT8 } sg_weights;
#define SG_WEIGHTS_CHOICES "fp32|bf16|int8"

/* What the weights of a .sipm cost against the engine: over all beginnings of train dialogs. */
typedef struct {
    int64_t beginnings;     /* unique ones compared */
    double probability_max; /* the largest difference of a best class' probability */
    double agreement;       /* share of equal threshold verdicts, of equal best classes below */
    double class_agreement;
} sg_export_accuracy;

/* The flat file of libsipdetect: spec, alphabet and rules, weights, the trie of known beginnings with what
 * `engine` (which holds the model's weights) says of each, limits, centroids, provenance. */
sg_status sg_export_sipm(const sg_model *model, sg_engine *engine, sg_weights weights, const char *path,
                         sg_export_accuracy *accuracy);

/* ONNX, opset 17: input tokens int64 [batch, L]; outputs probabilities [batch, N], class, skewness, kurtosis,
 * abnormal [batch]. */
sg_status sg_export_onnx(const sg_model *model, const char *path);

/* Keras 3: a .keras archive, or the pair of .weights.h5 and .json if `path` ends in .weights.h5. */
sg_status sg_export_keras(const sg_model *model, const char *path);

#endif
