/* spec.h: the shape of a network (Tables II-IV of the paper). */
#ifndef SG_MODEL_SPEC_H
#define SG_MODEL_SPEC_H

#include "base/status.h"

/* Where a padded sequence has its zeros (Definition 4: post). */
typedef enum {
    SG_PADDING_POST, /* zeros after the last message; all L steps are run */
    SG_PADDING_MASK, /* no zero steps: the state after the last message is the output */
    SG_PADDING_PRE   /* zeros before the first message */
} sg_padding;

#define SG_PADDING_CHOICES "post|mask|pre"

typedef struct {
    int message_types; /* M */
    int max_length;    /* L, steps of the recurrence */
    int units;         /* H of every LSTM layer; the paper sets H = N */
    int classes;       /* N, outputs of the dense layer */
    int layers;        /* 1 (models 1.x) or 2 (models 2.x) */
    double dropout;    /* on the last LSTM's output while training; 0 for models x.0 */
    sg_padding padding;
} sg_spec;

enum { SG_LAYERS_MAX = 2, SG_UNITS_MAX = 65536 };

/* SG_E_CONFIG names the first field out of range. */
sg_status sg_spec_check(const sg_spec *spec);

/* "post", "mask" or "pre"; -1 for an unknown name. */
const char *sg_padding_name(sg_padding padding);
int sg_padding_from_name(const char *name);

#endif
