/* sipgpu.h: asking a trained model about dialogs, from C or C++.
 *
 *     sipgpu_model *model;
 *     if (sipgpu_open(&model, "model.h5", NULL) != SIPGPU_OK)
 *         return puts(sipgpu_error());
 *     uint16_t dialog[] = {sipgpu_type_id(model, "INVITE"), sipgpu_type_id(model, "100"), ...};
 *     uint16_t length = sizeof dialog / sizeof *dialog;
 *     sipgpu_score score;
 *     sipgpu_score_dialogs(model, dialog, &length, 1, length, &score);
 *     sipgpu_close(model);
 *
 * Link with -lsipgpu (pkg-config sipgpu).  A model may be used by one thread at a time; different models by
 * different threads.  Everything declared here keeps its meaning within a major version.
 */
#ifndef SIPGPU_H
#define SIPGPU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SIPGPU_API __attribute__((visibility("default")))

/* What functions return.  After anything but SIPGPU_OK, sipgpu_error() says what was wrong and where. */
typedef enum {
    SIPGPU_OK = 0,
    SIPGPU_E_ARGUMENT = 1, /* a call that cannot be carried out */
    SIPGPU_E_IO = 2,       /* the operating system refused */
    SIPGPU_E_FORMAT = 3,   /* the file is not a sound model */
    SIPGPU_E_MEMORY = 4,   /* out of memory */
    SIPGPU_E_DEVICE = 5,   /* the device or precision cannot be used here */
    SIPGPU_E_OTHER = 6
} sipgpu_status;

/* "0.2.0". */
SIPGPU_API const char *sipgpu_version(void);

/* One line about this thread's last failure. */
SIPGPU_API const char *sipgpu_error(void);

typedef struct sipgpu_model sipgpu_model;

/* How to compute; NULL fields and zeros mean the default. */
typedef struct {
    const char *device;    /* "auto", "cpu", "cuda", "cuda:1", "cudnn" */
    const char *precision; /* "auto", "fp32", "tf32" (GPUs), "bf16" */
    int threads;           /* all cores if 0 */
} sipgpu_options;

/* Opens a model file that `sipgpu train` wrote.  `options` may be NULL. */
SIPGPU_API sipgpu_status sipgpu_open(sipgpu_model **model, const char *path, const sipgpu_options *options);
SIPGPU_API void sipgpu_close(sipgpu_model *model); /* NULL is fine */

SIPGPU_API int sipgpu_message_types(const sipgpu_model *model); /* M */
SIPGPU_API int sipgpu_max_length(const sipgpu_model *model);    /* L: the longest dialog it takes */
SIPGPU_API int sipgpu_classes(const sipgpu_model *model);       /* N: outputs, one for each unique dialog */

/* Name of type id 1..M, NULL otherwise; the id of a name (case matters, RFC 3261 section 7.1), 0 if unknown.
 */
SIPGPU_API const char *sipgpu_type_name(const sipgpu_model *model, int id);
SIPGPU_API uint16_t sipgpu_type_id(const sipgpu_model *model, const char *name);

/* "cpu, precision=fp32, 2 threads, ...". */
SIPGPU_API const char *sipgpu_description(const sipgpu_model *model);

/* What the model says of one dialog. */
typedef struct {
    int32_t best_class; /* the largest output */
    float probability;  /* its softmax value */
    double skewness;    /* of the N outputs, divided by its one-hot maximum (N-2)/sqrt(N-1) */
    double kurtosis;    /* non-excess, divided by (N^2-3N+3)/(N-1) */
    int8_t known;       /* 1: exactly a dialog of the train split; 0: not */
    int8_t below_both;  /* threshold rule: both moments below their limits; -1: the model has no thresholds */
    int8_t below_either; /* at least one */
} sipgpu_score;

/* Scores `count` dialogs: type ids at dialogs + i * stride, lengths[i] of them, 1 <= lengths[i] <= L and ids
 * in 1..M. Equal dialogs are computed once, and equal beginnings too. */
SIPGPU_API sipgpu_status sipgpu_score_dialogs(sipgpu_model *model, const uint16_t *dialogs,
                                              const uint16_t *lengths, int count, size_t stride,
                                              sipgpu_score *scores);

#ifdef __cplusplus
}
#endif

#endif
