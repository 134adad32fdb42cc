/* run_settings.h: the options that `train` and `experiment` share: where the settings of runs come from. */
#ifndef SG_CLI_RUN_SETTINGS_H
#define SG_CLI_RUN_SETTINGS_H

#include "cli/cli.h"
#include "train/config.h"

typedef struct {
    sg_text_list config, set;
    char out[SG_TEXT_MAX], corpus[SG_TEXT_MAX], seed[SG_TEXT_MAX], device[SG_TEXT_MAX];
    char precision[SG_TEXT_MAX];
    int64_t threads;
    bool force, json;
} sg_run_settings;

/* Entries of a command's option table; `field` is the sg_run_settings in struct `type`. */
#define SG_RUN_SETTINGS(type, field)                                                                     \
    SG_LIST(SG_AT("config", type, field.config), "FILE",                                                 \
            "settings, an INI file; several times: later ones win", .letter = 'c'),                      \
        SG_LIST(SG_AT("set", type, field.set), "SECTION.KEY=VALUE", "change one setting; several times", \
                .letter = 's'),                                                                          \
        SG_TEXT(SG_AT("corpus", type, field.corpus), "FILE", "the corpus", .setting = "data.corpus"),    \
        SG_TEXT(SG_AT("device", type, field.device), "DEVICE", "auto, cpu, cuda[:N] or cudnn[:N]",       \
                .setting = "engine.device"),                                                             \
        SG_TEXT(SG_AT("precision", type, field.precision), NULL, "what products are computed in",        \
                .choices = SG_PRECISION_CHOICES, .setting = "engine.precision"),                         \
        SG_TEXT(SG_AT("seed", type, field.seed), "S",                                                    \
                "seed of the run, or of the first; the others follow it", .setting = "train.seed"),      \
        SG_INT(SG_AT("threads", type, field.threads), NULL, 1, 1024,                                     \
               "threads of a run; if left out, all cores, divided among the runs"),                      \
        SG_FLAG(SG_AT("json", type, field.json), "print one JSON object at the end instead of tables")

/* Defaults, then the files of --config (or `alone`, if there is none; NULL: nothing), then `model` if not "",
 * then --set, then options that stand for a setting.  `options` is the struct that call->options points at
 * and `table` describes. */
sg_status sg_run_settings_read(const sg_run_settings *run, const sg_option *table, const void *options,
                               const char *alone, const char *model, sg_config *config);

/* SG_E_USAGE if no corpus was named. */
sg_status sg_run_settings_need_corpus(const sg_config *config, const char *command);

#endif
