/* sipdetect.h: a trained detector next to a SIP server: one file, no dependency beyond libc and libm.
 *
 *     sipdetect_model *model;
 *     sipdetect_worker *worker;
 *     if (sipdetect_open(&model, "model.sipm", NULL) != SIPDETECT_OK ||
 *         sipdetect_worker_open(&worker, model, NULL) != SIPDETECT_OK)
 *         return puts(sipdetect_error());
 *     sipdetect_dialog *dialog;
 *     sipdetect_dialog_open(&dialog, model);
 *     sipdetect_verdict verdict;
 *     sipdetect_push_sip(worker, dialog, text, size, &verdict); // one SIP message after another
 *     if (verdict.abnormal_beginning == 1) // what `sipgpu watch` raises an alert for
 *         ...
 *     sipdetect_end(worker, dialog, &verdict); // the dialog is over: the verdict on the whole
 *     sipdetect_dialog_close(dialog);
 *     sipdetect_worker_close(worker);
 *     sipdetect_close(model);
 *
 * `sipgpu export --format sipm` makes a model.  An open model never changes, and any number of threads can
 * share it.  A worker computes: each thread has its own.  A dialog belongs to one thread at a time, with any
 * worker of its model.  M, L and N below are the model's message types, longest dialog and classes; a type is
 * an id 1..M.
 *
 * Link with -lsipdetect (pkg-config sipdetect, or find_package(sipdetect) in CMake).  Everything declared
 * here keeps its meaning within a major version.
 */
#ifndef SIPGPU_SIPDETECT_H
#define SIPGPU_SIPDETECT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SIPDETECT_API __attribute__((visibility("default")))

/* Return values.  After anything except SIPDETECT_OK, sipdetect_error() says what went wrong and where.
 */
typedef enum {
    SIPDETECT_OK = 0,
    SIPDETECT_E_ARGUMENT = 1,    /* a call that cannot be carried out */
    SIPDETECT_E_IO = 2,          /* the operating system refused */
    SIPDETECT_E_FORMAT = 3,      /* the file is not a sound .sipm model */
    SIPDETECT_E_MEMORY = 4,      /* out of memory, or over the caller's limit */
    SIPDETECT_E_UNSUPPORTED = 5, /* this processor lacks what was requested */
    SIPDETECT_E_MESSAGE = 6      /* the text is not a SIP message */
} sipdetect_status;

/* "0.2.0". */
SIPDETECT_API const char *sipdetect_version(void);

/* One line about this thread's last failure; "" if there was none. */
SIPDETECT_API const char *sipdetect_error(void);

/* ---- models ---- */

typedef struct sipdetect_model sipdetect_model;

/* Maps a file and checks all of it (checksum, offsets, ranges) before anything is used.  `simd` chooses the
 * instructions to compute with: NULL or "auto" for the best this processor has, or one of those that
 * sipdetect_simd_levels() lists; SIPDETECT_E_UNSUPPORTED if the processor lacks it. */
SIPDETECT_API sipdetect_status sipdetect_open(sipdetect_model **model, const char *path, const char *simd);

/* The same for a file's bytes in memory, aligned to 64 bytes, which must stay there until the model is
 * closed. */
SIPDETECT_API sipdetect_status sipdetect_open_memory(sipdetect_model **model, const void *data, size_t bytes,
                                                     const char *simd);

/* Close its workers and dialogs first.  NULL is fine. */
SIPDETECT_API void sipdetect_close(sipdetect_model *model);

/* "generic avx2 avx512 amx": the instruction sets this processor can use, slowest first, separated by
 * spaces. */
SIPDETECT_API const char *sipdetect_simd_levels(void);

SIPDETECT_API int sipdetect_message_types(const sipdetect_model *model);      /* M */
SIPDETECT_API int sipdetect_max_length(const sipdetect_model *model);         /* L, in messages */
SIPDETECT_API int sipdetect_classes(const sipdetect_model *model);            /* N */
SIPDETECT_API const char *sipdetect_padding(const sipdetect_model *model);    /* "post", "mask", "pre" */
SIPDETECT_API const char *sipdetect_precision(const sipdetect_model *model);  /* "fp32", "bf16", "int8" */
SIPDETECT_API const char *sipdetect_simd(const sipdetect_model *model);       /* the level in use */
SIPDETECT_API const char *sipdetect_provenance(const sipdetect_model *model); /* lines "key = value" */
SIPDETECT_API size_t sipdetect_model_bytes(const sipdetect_model *model);     /* of the file */

/* What makes a message type: "paper/1", a request's method or a response's code; "cseq/1", codes with the
 * method they answer ("200-INVITE").  And how training treated retransmissions: "keep" if they count as
 * messages, "collapse" if they were left out, in which case the caller must leave them out too (RFC 3261,
 * 17.1.3 and 17.2.3). */
SIPDETECT_API const char *sipdetect_type_rule(const sipdetect_model *model);
SIPDETECT_API const char *sipdetect_retransmissions(const sipdetect_model *model);

/* Name of type id 1..M, NULL otherwise; the id of a name (case matters, RFC 3261, 7.1), folded to a class
 * such as "4xx-other" or "OTHER" if the alphabet has one, else 0. */
SIPDETECT_API const char *sipdetect_type_name(const sipdetect_model *model, int id);
SIPDETECT_API uint16_t sipdetect_type_id(const sipdetect_model *model, const char *name);

/* The id of a SIP message's type by the model's rule and alphabet: 0 if the alphabet cannot express it.
 * SIPDETECT_E_MESSAGE if `text` does not begin with a SIP start line. */
SIPDETECT_API sipdetect_status sipdetect_type_of_sip(const sipdetect_model *model, const char *text,
                                                     size_t size, uint16_t *type);

/* The dialog of class 0..N-1: writes at most `room` type ids, returns its length (0 if there is no such
 * class).  And the number of train dialogs of that class. */
SIPDETECT_API int sipdetect_class_dialog(const sipdetect_model *model, int32_t number, uint16_t *types,
                                         int room);
SIPDETECT_API int64_t sipdetect_class_train(const sipdetect_model *model, int32_t number);

/* Limits of the threshold rule (section IV-C of the paper), NaN if the model has none: for a dialog that goes
 * on after k messages, or for a whole dialog if k is 0 or at least L. */
SIPDETECT_API void sipdetect_limits(const sipdetect_model *model, int k, double *skewness, double *kurtosis);

/* ---- workers ---- */

typedef struct sipdetect_worker sipdetect_worker;

/* How a worker works; zeros mean the default. */
typedef struct {
    int batch;     /* dialogs computed at once, 1..4096 [64] */
    int recompute; /* 1: run the network even for known beginnings, whose scores the model file holds */
    int defer;     /* 1: pushes do not run the network; sipdetect_score_dialogs does, for many at once */
    size_t memory_limit; /* bytes a worker may hold; SIPDETECT_E_MEMORY if it needs more [no limit] */
    /* Called with the number of bytes when the worker has allocated its memory, and with 0 when it has freed
     * it; may be NULL. */
    void (*on_memory)(void *user, size_t bytes);
    void *user;
} sipdetect_worker_options;

/* All memory is allocated here; no later call allocates.  `options` may be NULL. */
SIPDETECT_API sipdetect_status sipdetect_worker_open(sipdetect_worker **worker, const sipdetect_model *model,
                                                     const sipdetect_worker_options *options);
SIPDETECT_API void sipdetect_worker_close(sipdetect_worker *worker); /* NULL is fine */
SIPDETECT_API size_t sipdetect_worker_bytes(const sipdetect_worker *worker);

/* ---- verdicts ---- */

/* What is known of a dialog so far.  Answers of three values: 1 yes, 0 no, -1 cannot be told (not scored, or
 * the model has no such limit). */
typedef struct {
    int32_t position;      /* messages so far, those of no type left out */
    int32_t best_class;    /* the largest of the N outputs; -1 if not scored */
    float probability;     /* its softmax value; NaN if not scored, as are the moments */
    int8_t scored;         /* class, probability and moments are set */
    int8_t from_file;      /* they came from the model file, not from the network */
    int8_t known_prefix;   /* a dialog of the train split begins like this */
    int8_t known_dialog;   /* this is exactly a dialog of the train split */
    double skewness;       /* of the N outputs, divided by its one-hot maximum (N-2)/sqrt(N-1) */
    double kurtosis;       /* non-excess, divided by (N^2-3N+3)/(N-1) */
    int64_t train_dialogs; /* dialogs of the train split that begin like this */
    int8_t too_long;       /* more than L messages: cannot be scored, and no train dialog goes this far */
    int8_t untyped; /* it has messages that the alphabet cannot express: they are not stored in the dialog, no
                       train dialog is like it, and as a whole it cannot be judged */
    /* The dialog goes on: no train dialog begins like this, and both moments are below the limits for
     * beginnings of this length.  What `sipgpu watch` raises an alert for. */
    int8_t abnormal_beginning;
    /* The dialog is whole, as `sipgpu detect` judges, which looks at moments alone; of one that is over,
     * `sipgpu watch` says the same if it is no known_prefix. */
    int8_t abnormal;        /* both moments below their limits (the paper's H1) */
    int8_t abnormal_either; /* at least one below */
    int8_t low_cluster;     /* nearer to the low K-means centroid */
    int8_t reserved[2];
} sipdetect_verdict;

/* ---- dialogs ---- */

typedef struct sipdetect_dialog sipdetect_dialog;

SIPDETECT_API sipdetect_status sipdetect_dialog_open(sipdetect_dialog **dialog, const sipdetect_model *model);
SIPDETECT_API void sipdetect_dialog_close(sipdetect_dialog *dialog); /* NULL is fine */

/* For callers that manage memory themselves: the size of a dialog, and a new dialog at `memory` (aligned to
 * 8), which need not be closed. */
SIPDETECT_API size_t sipdetect_dialog_bytes(const sipdetect_model *model);
SIPDETECT_API sipdetect_dialog *sipdetect_dialog_place(const sipdetect_model *model, void *memory);

/* Forgets all messages. */
SIPDETECT_API void sipdetect_dialog_reset(sipdetect_dialog *dialog);

/* One more message: by type id (0: one that the alphabet cannot express, which leaves the dialog unscored
 * until the next), by its type's name, or as one whole message as received.  Known beginnings cost one
 * lookup; others run the network, unless the worker defers.  If `verdict` is NULL, the network is not run.
 * After a failure the dialog is unchanged. */
SIPDETECT_API sipdetect_status sipdetect_push(sipdetect_worker *worker, sipdetect_dialog *dialog,
                                              uint16_t type, sipdetect_verdict *verdict);
SIPDETECT_API sipdetect_status sipdetect_push_name(sipdetect_worker *worker, sipdetect_dialog *dialog,
                                                   const char *name, sipdetect_verdict *verdict);
SIPDETECT_API sipdetect_status sipdetect_push_sip(sipdetect_worker *worker, sipdetect_dialog *dialog,
                                                  const char *text, size_t size, sipdetect_verdict *verdict);

/* The verdict on the dialog as it stands, scored whether the worker defers or not. */
SIPDETECT_API sipdetect_status sipdetect_end(sipdetect_worker *worker, sipdetect_dialog *dialog,
                                             sipdetect_verdict *verdict);

/* The same for many dialogs at once, in batches of the worker's; within one, equal dialogs and equal
 * beginnings are computed once. */
SIPDETECT_API sipdetect_status sipdetect_score_dialogs(sipdetect_worker *worker,
                                                       sipdetect_dialog *const *dialogs, int count,
                                                       sipdetect_verdict *verdicts);

/* The same for sequences: type ids at types + i * stride, lengths[i] of them, 1 <= lengths[i] <= L. */
SIPDETECT_API sipdetect_status sipdetect_score(sipdetect_worker *worker, const uint16_t *types,
                                               const uint16_t *lengths, int count, size_t stride,
                                               sipdetect_verdict *verdicts);

/* All N softmax outputs of `count` sequences, into probabilities[count * N]; always by the network. */
SIPDETECT_API sipdetect_status sipdetect_probabilities(sipdetect_worker *worker, const uint16_t *types,
                                                       const uint16_t *lengths, int count, size_t stride,
                                                       float *probabilities);

#ifdef __cplusplus
}
#endif

#endif
