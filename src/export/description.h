/* description.h: what the inputs and outputs of a network mean, and the limits of its detectors, as a JSON
 * object.  It is stored in the metadata of exported models, so that they hold everything that the model file
 * did, and is read from there on import.
 *
 *   version          1
 *   alphabet         names of type ids 1..M
 *   type_rule        what makes a type ("paper/1", "cseq/1")
 *   retransmissions  "keep", or "collapse": copies are left out
 *   padding          "post", "mask" or "pre"
 *   max_length       L
 *   classes          one text an output: the type ids of its dialog, "1 9 12 2"
 *   train_count      dialogs of the train split, one number an output
 *   thresholds       {"rule": "both", "skewness": x, "kurtosis": x}; absent if not calibrated
 *   prefix_thresholds, kmeans   as in the model file; not there if not calibrated
 *   training         {"config", "seed", "epoch", "update", "corpus_digest", "tool", "precision", "device"}
 */
#ifndef SG_EXPORT_DESCRIPTION_H
#define SG_EXPORT_DESCRIPTION_H

#include "model/model.h"
#include <cjson/cJSON.h>

/* *object is released with cJSON_Delete.  SG_E_CONFIG: a type's name is not UTF-8, so JSON cannot hold it. */
sg_status sg_description_make(const sg_model *model, cJSON **object);

/* Padding and L of a description. */
sg_status sg_description_shape(const cJSON *object, int *max_length, sg_padding *padding);

/* Fills a model of which only spec and params are set with everything in the description.  SG_E_FORMAT names
 * the entry that is missing, wrong, or does not fit the spec.  Release the model with sg_model_free, also
 * after a failure. */
sg_status sg_description_apply(const cJSON *object, sg_model *model);

/* SG_E_CONFIG, naming the first difference, if the description's alphabet or conventions differ from the
 * corpus'.
 */
sg_status sg_description_check_corpus(const cJSON *object, const sg_corpus *corpus);

#endif
