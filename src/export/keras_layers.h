/* keras_layers.h: reads the layers of a Keras model from the JSON in which Keras saves them, if they are the
 * paper's.
 *
 * Sequential and Functional models of Keras 2 and 3 are read: [InputLayer], [Masking], LSTM once or twice of
 * equal width, [Dropout], Dense with softmax.  Any setting that would change the network's output is refused,
 * naming the layer and the setting.  Settings that affect only training (Dropout elsewhere, the dropout of
 * LSTM layers) are listed in left_out.
 */
#ifndef SG_EXPORT_KERAS_LAYERS_H
#define SG_EXPORT_KERAS_LAYERS_H

#include "model/spec.h"
#include <cjson/cJSON.h>

typedef struct {
    int message_types, max_length; /* 0 if the file leaves them open */
    int units, classes, layers;
    double dropout; /* between the last LSTM and Dense */
    bool masking;
    const char *lstm[SG_LAYERS_MAX], *dense; /* names, in the JSON */
    char left_out[256];                      /* "lstm.recurrent_dropout 0.2, ..." or "" */
} sg_keras_layers;

/* `path` is for messages.  SG_E_FORMAT: not a Keras model; SG_E_CONFIG: it cannot be represented. */
sg_status sg_keras_layers_read(sg_keras_layers *layers, const cJSON *model, const char *path);

#endif
