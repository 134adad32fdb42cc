/* detector_internal.h: what a kind of model has to provide for detector.h. */
#ifndef SG_DETECT_DETECTOR_INTERNAL_H
#define SG_DETECT_DETECTOR_INTERNAL_H

#include "detect/detector.h"

/* `self` is what the kind's open made. */
typedef struct {
    void (*close)(void *self);
    const char *(*description)(const void *self);
    bool (*limits)(const void *self, int length, bool over, sg_prefix_limit *limits);
    /* Fills all of the verdicts but known and known_prefix; the dialogs differ. */
    sg_status (*judge)(void *self, const sg_dialog_types *dialogs, int count, sg_verdict *verdicts);
} sg_detector_kind;

/* What a model is to detector.c, whatever its kind.  The arrays live as long as `self`. */
typedef struct {
    const sg_detector_kind *kind;
    void *self;
    const char *type_rule;
    const char *const *alphabet; /* [message_types] */
    int message_types, max_length, classes;
    bool collapsed;
    const uint16_t *class_sequence; /* [classes, L] */
    const uint16_t *class_length;
    const int64_t *class_train;
    const sg_model *model; /* or NULL */
    sg_engine *engine;     /* or NULL */
} sg_detector_parts;

/* Open a kind and describe it; on failure parts->self may be set, and is to be closed.  detector_network.c
 * takes the model over in any case. */
sg_status sg_detector_open_network(sg_detector_parts *parts, sg_model *model,
                                   const sg_detector_options *options);
sg_status sg_detector_open_exported(sg_detector_parts *parts, const char *path,
                                    const sg_detector_options *options);

#endif
