/* session.h: the common start of `eval`, `detect` and `experiment`: a model, a corpus, an engine, and the
 * network's outputs for every class of the corpus.
 */
#ifndef SG_EXPERIMENT_SESSION_H
#define SG_EXPERIMENT_SESSION_H

#include "base/json.h"
#include "base/options.h"
#include "corpus/class_counts.h"
#include "detect/detector.h"
#include "experiment/ensemble.h"
#include "experiment/record.h"

typedef struct {
    char model[SG_TEXT_MAX], corpus[SG_TEXT_MAX], device[SG_TEXT_MAX];
    int precision;      /* sg_precision */
    int64_t threads;    /* 0 (option left out): all cores */
    bool probabilities; /* keep all outputs; not an option of a command */
    sg_text_list with;  /* further models that answer together with the first */
    int pool;           /* sg_pool_rule: how */
} sg_session_options;

/* Entries of a command's option table; `field` is the sg_session_options in struct `type`. */
#define SG_SESSION_DEVICE_OPTIONS(type, field)                                                 \
    SG_TEXT(SG_AT("device", type, field.device), "DEVICE", "auto, cpu, cuda[:N] or cudnn[:N]", \
            .fallback = "auto"),                                                               \
        SG_ENUM(SG_AT("precision", type, field.precision), "auto", SG_PRECISION_CHOICES,       \
                "precision of the products"),                                                  \
        SG_INT(SG_AT("threads", type, field.threads), NULL, 1, 1024,                           \
               "threads to compute with; all cores if left out")

#define SG_SESSION_OPTIONS(type, field)                                                                 \
    SG_TEXT(SG_AT("model", type, field.model), "MODEL", "model file that `train` wrote", .letter = 'm', \
            .required = true),                                                                          \
        SG_TEXT(SG_AT("corpus", type, field.corpus), "CORPUS", "corpus file", .letter = 'c',            \
                .required = true),                                                                      \
        SG_SESSION_DEVICE_OPTIONS(type, field)

#define SG_SESSION_POOL_OPTIONS(type, field)                                            \
    SG_LIST(SG_AT("with", type, field.with), "MODEL",                                   \
            "a further model of the same corpus: outputs are combined; several times"), \
        SG_ENUM(SG_AT("pool", type, field.pool), "mean", SG_POOL_CHOICES,               \
                "how to combine several models: the mean of each output, or the largest (envelope)")

typedef struct {
    sg_detector *detector; /* NULL for a session from a record */
    sg_model recorded;     /* of such a session, without weights */
    const sg_model *model; /* either's */
    sg_corpus corpus;
    sg_class_counts counts;
    int32_t *class_of;  /* [corpus.classes] the model's output for each class of the corpus, or -1 */
    bool *known;        /* [corpus.classes] the model was trained on dialogs of the class */
    bool same_corpus;   /* the model was trained on this very corpus and split */
    sg_outputs outputs; /* one for each class of the corpus; of several models, what they say together */
    int models;         /* that have answered */
    bool mixed;         /* they are not all of one kind */
    char device[256];   /* description of the engine */
    char precision[16]; /* what products were computed in */
    double seconds;     /* inference */
} sg_session;

/* The engine options; SG_E_USAGE for an unknown device. */
sg_status sg_session_engine_options(const sg_session_options *options, sg_engine_options *engine);

/* Reads both files and runs the network over all classes of the corpus.  A corpus of other classes than the
 * model's is fine; its alphabet must be the model's, and its dialogs no longer than the model's L
 * (SG_E_CONFIG).  So does each model of options->with, which must be of the first one's classes
 * (SG_E_CONFIG); everything else in the session belongs to the first one.  Release with sg_session_close,
 * also after a failure. */
sg_status sg_session_open(sg_session *session, const sg_session_options *options);
void sg_session_close(sg_session *session);

/* The same from a record instead of a model and an engine: the session's model has no detector.  The corpus
 * must be the one that it was trained on (SG_E_CONFIG).  What the session does not hold stays in *record, to
 * be released with sg_record_free. */
sg_status sg_session_open_record(sg_session *session, const char *path, const char *corpus,
                                 sg_record *record);

/* "1.0", "2.1", and "1.0-mask" where the padding is not the paper's: layers, dropout, padding; "all" of
 * models of several kinds. */
void sg_session_model_name(const sg_session *session, char name[16]);

/* {"command", "model", "corpus", "corpus_digest", "model_seed", "model_epoch", "device", "precision", ...} to
 * which a command adds its results. */
cJSON *sg_session_json(const sg_session *session, const char *command, const sg_session_options *options);

#endif
