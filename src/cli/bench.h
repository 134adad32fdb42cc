/* bench.h: what the `bench` commands share: options that describe a network and its batches, and engines that
 * train on them.
 */
#ifndef SG_CLI_BENCH_H
#define SG_CLI_BENCH_H

#include "cli/cli.h"
#include "corpus/corpus.h"
#include "engine/engine.h"
#include <cjson/cJSON.h>

typedef struct {
    sg_common_options common;
    char corpus[SG_TEXT_MAX], device[SG_TEXT_MAX], with[SG_TEXT_MAX];
    int64_t message_types, length, classes, dialogs, units, layers, batch, steps, warmup, threads, seed,
        seeds;
    int64_t size, rows, repeats;
    double dropout, clip_norm;
    int precision, with_precision, padding, batching, graphs;
    bool json, no_peak;
} sg_bench_options;

/* Rows of an option table. */
#define SG_BENCH_AT(member) SG_KEY(sg_bench_options, member)

#define SG_BENCH_NETWORK_OPTIONS                                                                          \
    SG_TEXT(SG_BENCH_AT(corpus), "FILE",                                                                  \
            "draw batches from this corpus; otherwise one is made up with the shape below"),              \
        SG_INT(SG_BENCH_AT(dialogs), "18782", 10, 100000000, "dialogs of the made-up corpus"),            \
        SG_INT(SG_BENCH_AT(classes), "1492", 3, 10000000, "its classes N"),                               \
        SG_INT(SG_BENCH_AT(message_types), "18", 2, 1000, "its message types M"),                         \
        SG_INT(SG_BENCH_AT(length), "56", 2, 10000, "its longest dialog L"),                              \
        SG_INT(SG_BENCH_AT(units), "0", 0, SG_UNITS_MAX, "units H of each layer; 0: one for each class"), \
        SG_INT(SG_BENCH_AT(layers), "1", 1, SG_LAYERS_MAX, "LSTM layers"),                                \
        SG_REAL(SG_BENCH_AT(dropout), "0", 0, 0.99, "dropout on the last LSTM's output"),                 \
        SG_ENUM(SG_BENCH_AT(padding), "post", SG_PADDING_CHOICES, "where the zeros stand"),               \
        SG_INT(SG_BENCH_AT(batch), "933", 1, 1000000, "dialogs in an update"),                            \
        SG_ENUM(SG_BENCH_AT(batching), "trie", SG_BATCHING_CHOICES,                                       \
                "what a batch computes once: equal beginnings of dialogs, equal dialogs, or nothing"),    \
        SG_REAL(SG_BENCH_AT(clip_norm), "0", 0, 1e9, "bound on the gradient's norm; 0: none"),            \
        SG_INT(SG_BENCH_AT(seed), "1", 0, 9e15, "starting weights and order of the dialogs")

#define SG_BENCH_DEVICE_OPTIONS                                                                         \
    SG_TEXT(SG_BENCH_AT(device), "DEVICE", "auto, cpu, cuda[:N] or cudnn[:N]", .fallback = "auto"),     \
        SG_ENUM(SG_BENCH_AT(precision), "auto", SG_PRECISION_CHOICES, "what products are computed in"), \
        SG_INT(SG_BENCH_AT(threads), NULL, 1, 1024, "threads to compute with; all cores if left out"),  \
        SG_FLAG(SG_BENCH_AT(json), "print one JSON object instead of a table"),                         \
        SG_COMMON_OPTIONS(sg_bench_options)

/* The corpus that batches are drawn from, and the network for it. */
typedef struct {
    sg_corpus corpus;
    sg_spec spec;
    sg_sequences set;
    int64_t *rows; /* dialogs of the train split */
    int64_t row_count;
} sg_bench_data;

/* SG_E_CONFIG if the train split is smaller than a batch. */
sg_status sg_bench_data_open(const sg_bench_options *options, sg_bench_data *data);
void sg_bench_data_close(sg_bench_data *data); /* a zeroed struct is fine */

/* An engine that trains on the data, walking through epochs as training does, full batches only. */
typedef struct {
    const sg_bench_options *options;
    const sg_bench_data *data;
    uint64_t seed;
    sg_engine *engine;
    sg_plan plan;  /* of the step begun last */
    int64_t begun; /* steps so far */
    int32_t *order, *classes;
} sg_bench_trainer;

sg_status sg_bench_trainer_open(const sg_bench_options *options, const sg_bench_data *data,
                                const char *device, int precision, uint64_t seed, sg_bench_trainer *trainer);
void sg_bench_trainer_close(sg_bench_trainer *trainer);

/* Begins a step; the caller collects it with sg_engine_end_step. */
sg_status sg_bench_trainer_begin(sg_bench_trainer *trainer);

/* Begins a step and waits for it. */
sg_status sg_bench_trainer_step(sg_bench_trainer *trainer, sg_step_result *result);

/* Adds "versions": what a GPU engine runs on, and the settings of the environment that its speed and bits
 * depend on; null on the CPU. */
void sg_bench_add_versions(cJSON *report, const sg_engine *engine);

#endif
