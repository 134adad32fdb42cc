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

#define SG_EXPORT_NEAR 1e-6

/* What the weights of a .sipm cost against the engine: over all beginnings of train dialogs. */
typedef struct {
    int64_t beginnings;     /* unique ones compared */
    double probability_max; /* the largest difference of a best class' probability */
    double agreement; /* share of equal verdicts by the model's limits, those of the length and those for
                         whole dialogs, among beginnings that the engine does not put within SG_EXPORT_NEAR of
                         one; NaN for a model without limits */
    double class_agreement; /* share of equal best classes */
} sg_export_accuracy;

/* The flat file of libsipdetect (sipdetect/sipm_format.h): spec, alphabet and rules, weights, the trie of
 * known beginnings with what `engine` (which holds the model's weights, best in fp32) says of each, limits,
 * centroids, provenance.  `accuracy` may be NULL; else the file, before it gets its name, is read and run by
 * libsipdetect's own network, which takes about as long as the engine's run on one core.  SG_E_CONFIG: a
 * model without train dialogs.  SG_E_NUMERIC: what the engine says is not finite. */
sg_status sg_export_sipm(const sg_model *model, sg_engine *engine, sg_weights weights, const char *path,
                         sg_export_accuracy *accuracy);

/* ONNX, opset 17: input tokens int64 [batch, L]; outputs probabilities [batch, N], class, skewness, kurtosis,
 * abnormal [batch]. */
sg_status sg_export_onnx(const sg_model *model, const char *path);

/* Keras 3: a .keras archive, or the pair of .weights.h5 and .json if `path` ends in .weights.h5. */
sg_status sg_export_keras(const sg_model *model, const char *path);

#endif
