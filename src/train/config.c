#include "train/config.h"

#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(sg_config, field)
#define INT(section, key, field, value, low, high, text)                          \
    {                                                                             \
        section, key, SG_OPT_INT, AT(field), value, low, high, NULL, "N", text, 0 \
    }
#define REAL(section, key, field, value, low, high, text)                          \
    {                                                                              \
        section, key, SG_OPT_REAL, AT(field), value, low, high, NULL, "X", text, 0 \
    }
#define ENUM(section, key, field, value, choices, text)                           \
    {                                                                             \
        section, key, SG_OPT_ENUM, AT(field), value, 0, 0, choices, NULL, text, 0 \
    }
#define FLAG(section, key, field, value, text)                                 \
    {                                                                          \
        section, key, SG_OPT_FLAG, AT(field), value, 0, 0, NULL, NULL, text, 0 \
    }
#define TEXT(section, key, field, value, argument, text)                           \
    {                                                                              \
        section, key, SG_OPT_TEXT, AT(field), value, 0, 0, NULL, argument, text, 0 \
    }

/* Keys of one section stand together: the table is also the order of the INI file. */
const sg_option sg_config_table[] = {
    TEXT("data", "corpus", corpus, "", "FILE", "the corpus, an HDF5 file"),

    INT("model", "layers", layers, "1", 1, SG_LAYERS_MAX, "LSTM layers: 1 for models 1.x, 2 for models 2.x"),
    INT("model", "units", units, "0", 0, SG_UNITS_MAX,
        "units of each layer; 0: one for each class, as in the paper"),
    REAL("model", "dropout", dropout, "0", 0, 0.99, "dropout on the last LSTM's output; 0.5 for models x.1"),
    ENUM("model", "padding", padding, "post", SG_PADDING_CHOICES,
         "zeros after the dialog (Definition 4), no zero steps, or zeros before"),
    REAL("model", "forget_bias", forget_bias, "1", -20, 20, "starting bias of the forget gates; Keras: 1"),
    FLAG("model", "chrono_bias", chrono_bias, "false", "chrono initialisation instead of forget_bias"),
    ENUM("model", "recurrent_init", recurrent_init, "orthogonal", SG_RECURRENT_CHOICES,
         "how recurrent kernels start; Keras: orthogonal"),

    INT("train", "epochs", epochs, "500", 1, 1000000, "passes over the train split"),
    INT("train", "batch_size", batch_size, "933", 1, 1000000, "dialogs in an update"),
    ENUM("train", "last_batch", last_batch, "keep", "keep|drop",
         "what to do with the dialogs left over at the end of an epoch; Keras: keep"),
    REAL("train", "learning_rate", learning_rate, "0.001", 0, 10, "Adam's learning rate"),
    ENUM("train", "lr_schedule", lr_schedule, "constant", "constant|cosine",
         "cosine: falls to lr_floor over all epochs"),
    REAL("train", "lr_floor", lr_floor, "0", 0, 10, "where the cosine schedule ends"),
    REAL("train", "beta1", beta1, "0.9", 0, 0.999999, "decay of Adam's first moment"),
    REAL("train", "beta2", beta2, "0.999", 0, 0.99999999, "decay of Adam's second moment"),
    REAL("train", "epsilon", epsilon, "1e-07", 1e-30, 1, "Adam's epsilon, in Keras' form"),
    REAL("train", "clip_norm", clip_norm, "0", 0, 1e9, "bound on the norm of the whole gradient; 0: none"),
    INT("train", "seed", seed, "1", 0, 9e15, "starting weights, order of the dialogs, dropout"),
    INT("train", "eval_every", eval_every, "10", 1, 1000000,
        "epochs between evaluations of all three splits"),
    REAL("train", "checkpoint_seconds", checkpoint_seconds, "60", 0, 1e9,
         "seconds between checkpoints, written while training goes on; 0: none by time"),
    INT("train", "checkpoint_every", checkpoint_every, "0", 0, 1000000,
        "epochs between checkpoints, and one at the end, from which the run can be made longer; 0: none"),
    FLAG("train", "keep_best", keep_best, "false",
         "keep the weights of the best evaluation (validation P_D, then train loss), not the last"),
    REAL("train", "stop_when_train_pd", stop_when_train_pd, "0", 0, 1,
         "stop when an evaluation finds this P_D on the train split; 0: never"),
    ENUM("train", "batching", batching, "trie", SG_BATCHING_CHOICES,
         "what a batch computes once: equal beginnings of dialogs, equal dialogs, or nothing"),
    FLAG("train", "prefix_limits", prefix_limits, "true",
         "at the end, run the network over all beginnings of train dialogs, for `watch`"),

    TEXT("engine", "device", device, "auto", "DEVICE", "auto, cpu, cuda[:N] or cudnn[:N]"),
    ENUM("engine", "precision", precision, "auto", SG_PRECISION_CHOICES,
         "what products are computed in; auto: bf16 where the processor has matrix units for it; tf32: GPUs "
         "only"),
    INT("engine", "threads", threads, "0", 0, 1024, "threads of the CPU engine; 0: all cores"),
    FLAG("engine", "graphs", graphs, "false", "cuda: launch each update as one CUDA graph"),

    TEXT("experiment", "name", experiment_name, "experiment", "NAME", "name of the experiment"),
    TEXT("experiment", "models", models, "1.0,1.1,2.0,2.1", "LIST",
         "models of the paper to train; 1.0-mask, 1.0-pre, 1.0-post: with that padding"),
    INT("experiment", "seeds", seeds, "10", 1, 10000,
        "runs of each model (Multiple Run), with seeds 1, 2, ..."),
    INT("experiment", "jobs", jobs, "1", 1, 1024, "runs at the same time"),
    FLAG("experiment", "early", early, "true",
         "run each model's first seed over all beginnings of test dialogs, for early.csv"),
    SG_OPTIONS_END,
};

sg_status sg_config_defaults(sg_config *config)
{
    *config = (sg_config){0};
    return sg_options_defaults(sg_config_table, config);
}

/* "-mask" and the like; false for anything else. */
static bool set_padding(sg_config *config, const char *suffix)
{
    static const char *const known[] = {
        [SG_PADDING_POST] = "-post", [SG_PADDING_MASK] = "-mask", [SG_PADDING_PRE] = "-pre"};
    for (int i = 0; i < (int)(sizeof known / sizeof *known); i++)
        if (strcmp(suffix, known[i]) == 0) {
            config->padding = i;
            return true;
        }
    return suffix[0] == '\0';
}

sg_status sg_config_set_model(sg_config *config, const char *name)
{
    static const char *const known[] = {"1.0", "1.1", "2.0", "2.1"};
    for (int i = 0; i < 4; i++) {
        if (strncmp(name, known[i], 3) != 0 || !set_padding(config, name + 3))
            continue;
        config->layers = 1 + i / 2;
        config->dropout = i % 2 ? 0.5 : 0;
        return SG_OK;
    }
    return sg_fail(SG_E_CONFIG,
                   "unknown model '%s': 1.0, 1.1, 2.0 or 2.1 is wanted, alone or with -post, -mask or -pre",
                   name);
}

sg_status sg_config_spec(const sg_config *config, const sg_corpus *corpus, sg_spec *spec)
{
    *spec = (sg_spec){.message_types = corpus->message_types,
                      .max_length = corpus->max_length,
                      .units = config->units ? (int)config->units : corpus->classes,
                      .classes = corpus->classes,
                      .layers = (int)config->layers,
                      .dropout = config->dropout,
                      .padding = (sg_padding)config->padding};
    return sg_spec_check(spec);
}

sg_status sg_config_engine(const sg_config *config, sg_engine_options *options)
{
    *options = (sg_engine_options){.precision = (sg_precision)config->precision,
                                   .threads = (int)config->threads,
                                   .graphs = config->graphs,
                                   .announce = true};
    return sg_device_parse(config->device, &options->device, &options->device_index);
}

sg_status sg_config_text(const sg_config *config, char **text)
{
    size_t size;
    *text = NULL;
    FILE *stream = open_memstream(text, &size);
    if (!stream)
        return sg_fail(SG_E_MEMORY, "configuration: out of memory");
    sg_options_write_ini(sg_config_table, config, stream, false);
    if (fclose(stream) != 0) {
        free(*text);
        *text = NULL;
        return sg_fail(SG_E_MEMORY, "configuration: out of memory");
    }
    return SG_OK;
}
