/* config.h: all settings of a run, as one struct and one option table (INI file, --set, --dump-config). */
#ifndef SG_TRAIN_CONFIG_H
#define SG_TRAIN_CONFIG_H

#include "base/options.h"
#include "corpus/corpus.h"
#include "engine/engine.h"

typedef enum { SG_LAST_BATCH_KEEP, SG_LAST_BATCH_DROP } sg_last_batch;
typedef enum { SG_SCHEDULE_CONSTANT, SG_SCHEDULE_COSINE } sg_schedule;

typedef struct {
    /* [data] */
    char corpus[SG_TEXT_MAX];
    /* [model] */
    int64_t layers, units; /* units 0: as many as classes, as in the paper */
    double dropout;
    int padding; /* sg_padding */
    double forget_bias;
    bool chrono_bias;
    int recurrent_init; /* sg_recurrent_init */
    /* [train] */
    int64_t epochs, batch_size;
    int last_batch; /* sg_last_batch */
    double learning_rate;
    int lr_schedule; /* sg_schedule */
    double lr_floor, beta1, beta2, epsilon, clip_norm;
    int64_t seed, eval_every, checkpoint_every;
    double checkpoint_seconds;
    bool keep_best;
    double stop_when_train_pd;
    int batching; /* sg_batching */
    bool prefix_limits;
    /* [engine] */
    char device[SG_TEXT_MAX];
    int precision; /* sg_precision */
    int64_t threads;
    bool graphs;
    /* [experiment] */
    char experiment_name[SG_TEXT_MAX], models[SG_TEXT_MAX];
    int64_t seeds, jobs;
    bool early;
} sg_config;

extern const sg_option sg_config_table[];

/* Defaults: Table IV of the paper, and Keras' defaults for what it does not give. */
sg_status sg_config_defaults(sg_config *config);

/* Model "X.Y" of the paper: X layers, dropout 0.5 if Y is 1; "X.Y-mask" and so on set the padding, too.
 * SG_E_CONFIG for other names. */
sg_status sg_config_set_model(sg_config *config, const char *name);

/* The network that `config` asks for on this corpus; SG_E_CONFIG if it cannot be. */
sg_status sg_config_spec(const sg_config *config, const sg_corpus *corpus, sg_spec *spec);

sg_status sg_config_engine(const sg_config *config, sg_engine_options *options);

/* The configuration as INI text, released with free(). */
sg_status sg_config_text(const sg_config *config, char **text);

#endif
