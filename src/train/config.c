#include "train/config.h"

#include <stdlib.h>
#include <string.h>

#define IN(name, member) SG_KEY(sg_config, member), .section = name

/* Keys of one section stand together: the table is also the order of the INI file. */
const sg_option sg_config_table[] = {
    SG_TEXT(IN("data", corpus), "FILE", "the corpus, an HDF5 file"),

    SG_INT(IN("model", layers), "1", 1, SG_LAYERS_MAX, "LSTM layers: 1 for models 1.x, 2 for models 2.x"),
    SG_INT(IN("model", units), "0", 0, SG_UNITS_MAX,
           "units of each layer; 0: one for each class, as in the paper"),
    SG_REAL(IN("model", dropout), "0", 0, 0.99, "dropout on the last LSTM's output; 0.5 for models x.1"),
    SG_ENUM(IN("model", padding), "post", SG_PADDING_CHOICES,
            "zeros after the dialog (Definition 4), no zero steps, or zeros before"),
    SG_REAL(IN("model", forget_bias), "1", -20, 20, "starting bias of the forget gates; Keras: 1"),
    SG_FLAG(IN("model", chrono_bias), "chrono initialisation instead of forget_bias"),
    SG_ENUM(IN("model", recurrent_init), "orthogonal", SG_RECURRENT_CHOICES,
            "how recurrent kernels start; Keras: orthogonal"),

    SG_INT(IN("train", epochs), "500", 1, 1000000, "passes over the train split"),
    SG_INT(IN("train", batch_size), "933", 1, 1000000, "dialogs in an update"),
    SG_ENUM(IN("train", last_batch), "keep", "keep|drop",
            "what to do with the dialogs left over at the end of an epoch; Keras: keep"),
    SG_REAL(IN("train", learning_rate), "0.001", 0, 10, "Adam's learning rate"),
    SG_ENUM(IN("train", lr_schedule), "constant", "constant|cosine",
            "cosine: falls to lr_floor over all epochs"),
    SG_REAL(IN("train", lr_floor), "0", 0, 10, "where the cosine schedule ends"),
    SG_REAL(IN("train", beta1), "0.9", 0, 0.999999, "decay of Adam's first moment"),
    SG_REAL(IN("train", beta2), "0.999", 0, 0.99999999, "decay of Adam's second moment"),
    SG_REAL(IN("train", epsilon), "1e-07", 1e-30, 1, "Adam's epsilon, in Keras' form"),
    SG_REAL(IN("train", clip_norm), "0", 0, 1e9, "bound on the norm of the whole gradient; 0: none"),
    SG_INT(IN("train", seed), "1", 0, 9e15, "starting weights, order of the dialogs, dropout"),
    SG_INT(IN("train", eval_every), "10", 1, 1000000, "epochs between evaluations of all three splits"),
    SG_REAL(IN("train", checkpoint_seconds), "60", 0, 1e9,
            "seconds between checkpoints, written while training continues; 0: none by time"),
    SG_INT(IN("train", checkpoint_every), "0", 0, 1000000,
           "epochs between checkpoints, and one at the end, from which the run can be made longer; 0: none"),
    SG_FLAG(IN("train", keep_best),
            "keep the weights of the best evaluation (validation P_D, then train loss), not the last"),
    SG_REAL(IN("train", stop_when_train_pd), "0", 0, 1,
            "stop when an evaluation finds this P_D on the train split; 0: never"),
    SG_ENUM(IN("train", batching), "trie", SG_BATCHING_CHOICES,
            "what a batch computes once: equal beginnings of dialogs, equal dialogs, or nothing"),
    SG_FLAG(IN("train", prefix_limits),
            "at the end, run the network over all beginnings of train dialogs, for `watch`",
            .fallback = "true"),

    SG_TEXT(IN("engine", device), "DEVICE", "auto, cpu, cuda[:N] or cudnn[:N]", .fallback = "auto"),
    SG_ENUM(IN("engine", precision), "auto", SG_PRECISION_CHOICES,
            "what products are computed in; auto: bf16 where the processor has matrix units for it; tf32: "
            "GPUs only"),
    SG_INT(IN("engine", threads), "0", 0, 1024, "threads of the CPU engine; 0: all cores"),
    SG_FLAG(IN("engine", graphs), "cuda: launch each update as one CUDA graph"),

    SG_TEXT(SG_AT("name", sg_config, experiment_name), "NAME", "name of the experiment",
            .section = "experiment", .fallback = "experiment"),
    SG_TEXT(IN("experiment", models), "LIST",
            "models of the paper to train; 1.0-mask, 1.0-pre, 1.0-post: with that padding",
            .fallback = "1.0,1.1,2.0,2.1"),
    SG_INT(IN("experiment", seeds), "10", 1, 10000,
           "runs of each model (Multiple Run), with seeds 1, 2, ..."),
    SG_INT(IN("experiment", jobs), "1", 1, 1024, "runs at the same time"),
    SG_FLAG(IN("experiment", early),
            "run each model's first seed over all beginnings of test dialogs, for early.csv",
            .fallback = "true"),
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
                   "unknown model '%s': expected 1.0, 1.1, 2.0 or 2.1, alone or with -post, -mask or -pre",
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
