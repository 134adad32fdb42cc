/* cmd_bench.c: `sipgpu bench train` and `sipgpu bench infer`: how long a step takes, and where the time goes.
 */
#include "base/log.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "corpus/synth.h"
#include "detect/report_json.h"
#include "train/batches.h"
#include "train/config.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

typedef struct {
    sg_common_options common;
    char corpus[SG_TEXT_MAX], device[SG_TEXT_MAX];
    int64_t message_types, length, classes, dialogs, units, layers, batch, steps, warmup, threads, seed;
    double dropout, clip_norm;
    int precision, padding, batching;
    bool json, no_peak;
} bench_options;

#define INT(key, value, low, high, help)                                                           \
    {                                                                                              \
        NULL, #key, SG_OPT_INT, offsetof(bench_options, key), value, low, high, NULL, "N", help, 0 \
    }
#define ENUM(key, value, choices, help)                                                            \
    {                                                                                              \
        NULL, #key, SG_OPT_ENUM, offsetof(bench_options, key), value, 0, 0, choices, NULL, help, 0 \
    }
#define TEXT(key, value, argument, help)                                                            \
    {                                                                                               \
        NULL, #key, SG_OPT_TEXT, offsetof(bench_options, key), value, 0, 0, NULL, argument, help, 0 \
    }

static const sg_option bench_table[] = {
    TEXT(corpus, NULL, "FILE",
         "draw batches from this corpus; otherwise one is made up with the shape below"),
    INT(dialogs, "18782", 10, 100000000, "dialogs of the made-up corpus"),
    INT(classes, "1492", 3, 10000000, "its classes N"),
    INT(message_types, "18", 2, 1000, "its message types M"),
    INT(length, "56", 2, 10000, "its longest dialog L"),
    INT(units, "0", 0, SG_UNITS_MAX, "units H of each layer; 0: one for each class"),
    INT(layers, "1", 1, SG_LAYERS_MAX, "LSTM layers"),
    {NULL, "dropout", SG_OPT_REAL, offsetof(bench_options, dropout), "0", 0, 0.99, NULL, "X",
     "dropout on the last LSTM's output", 0},
    ENUM(padding, "post", SG_PADDING_CHOICES, "where the zeros stand"),
    INT(batch, "933", 1, 1000000, "dialogs in an update"),
    ENUM(batching, "trie", SG_BATCHING_CHOICES, "share equal prefixes, or run every row"),
    INT(steps, "10", 1, 1000000, "steps to time"),
    INT(warmup, "2", 0, 1000, "steps before them"),
    {NULL, "clip_norm", SG_OPT_REAL, offsetof(bench_options, clip_norm), "0", 0, 1e9, NULL, "X",
     "bound on the gradient's norm; 0: none", 0},
    TEXT(device, "auto", "DEVICE", "auto, cpu, cuda[:N] or cudnn[:N]"),
    ENUM(precision, "auto", SG_PRECISION_CHOICES, "what products are computed in"),
    {NULL, "threads", SG_OPT_INT, offsetof(bench_options, threads), NULL, 1, 1024, NULL, "N",
     "threads to compute with; all cores if left out", 0},
    INT(seed, "1", 0, 9e15, "starting weights and order of the dialogs"),
    {NULL, "no_peak", SG_OPT_FLAG, offsetof(bench_options, no_peak), NULL, 0, 0, NULL, NULL,
     "do not measure the peak of the products", 0},
    {NULL, "json", SG_OPT_FLAG, offsetof(bench_options, json), NULL, 0, 0, NULL, NULL,
     "print one JSON object instead of a table", 0},
    SG_COMMON_OPTIONS(bench_options),
};

static const char about_train[] =
    "Times training steps: batch plan, forward, backward, Adam.  Rates count what is really\n"
    "computed; rows_dense is what the same batch takes without sharing prefixes.";
static const char about_infer[] = "Times inference over all unique dialogs of a corpus, moments included.";

/* ---- what is timed ---- */

typedef struct {
    sg_corpus corpus;
    sg_spec spec;
    sg_sequences set;
    sg_engine *engine;
    double open_seconds; /* from the start of the command until the engine can take its first step */
} bench;

typedef struct {
    double *step_ms;
    int64_t steps, rows, rows_dense, levels; /* sums over steps */
    sg_timing timing;
    double seconds;
    sg_peak peak;
    bool has_peak;
    double rss_mb; /* before the peak is measured */
} measurement;

static sg_status make_corpus(const bench_options *o, sg_corpus *corpus)
{
    if (o->corpus[0])
        return sg_corpus_read(corpus, o->corpus);
    sg_synth_options synth;
    sg_synth_report report;
    SG_TRY(sg_synth_preset_options(&synth, SG_SYNTH_PAPER));
    synth.dialogs = o->dialogs;
    synth.unique = o->classes;
    synth.message_types = o->message_types;
    synth.max_length = o->length;
    bool is_paper = o->dialogs == 18782 && o->classes == 1492;
    if (!is_paper)
        synth.once = -1;
    SG_TRY(sg_synth_resolve(&synth, SG_SYNTH_PAPER));
    return sg_synth_corpus(corpus, &synth, (uint64_t)o->seed, &report);
}

static sg_status open_bench(const bench_options *o, bench *b)
{
    double start = sg_seconds();
    SG_TRY(make_corpus(o, &b->corpus));
    b->spec = (sg_spec){.message_types = b->corpus.message_types,
                        .max_length = b->corpus.max_length,
                        .units = o->units ? (int)o->units : b->corpus.classes,
                        .classes = b->corpus.classes,
                        .layers = (int)o->layers,
                        .dropout = o->dropout,
                        .padding = (sg_padding)o->padding};
    sg_engine_options options = {.precision = (sg_precision)o->precision, .threads = (int)o->threads};
    SG_TRY(sg_device_parse(o->device, &options.device, &options.device_index));
    SG_TRY(sg_sequences_make(&b->set, &b->spec, b->corpus.class_sequence, b->corpus.class_length,
                             b->corpus.classes));
    SG_TRY(sg_engine_open(&b->engine, &b->spec, &options));
    sg_params params = {0};
    sg_init_options init = {.seed = (uint64_t)o->seed, .forget_bias = 3};
    sg_status status = sg_params_alloc(&params, &b->spec);
    if (status == SG_OK)
        status = sg_params_init(&params, &b->spec, &init);
    if (status == SG_OK)
        status = sg_engine_load(b->engine, &params);
    sg_params_free(&params);
    b->open_seconds = sg_seconds() - start;
    return status;
}

static void close_bench(bench *b)
{
    sg_engine_close(b->engine);
    sg_sequences_free(&b->set);
    sg_corpus_free(&b->corpus);
}

/* One training step on classes[0..count). */
static sg_status train_step(const bench_options *o, bench *b, sg_plan *plan, const int32_t *classes,
                            int64_t update)
{
    SG_TRY(sg_plan_build(plan, &b->set, classes, classes, (int)o->batch, (sg_batching)o->batching,
                         o->dropout > 0));
    sg_batch batch = {.plan = plan, .dropout_seed = (uint64_t)o->seed, .update = (uint32_t)update};
    sg_adam adam = {.learning_rate = 3e-4,
                    .beta1 = 0.9,
                    .beta2 = 0.999,
                    .epsilon = 1e-7,
                    .clip_norm = o->clip_norm,
                    .update = update};
    sg_step_result result;
    SG_TRY(sg_engine_gradients(b->engine, &batch, &result));
    return sg_engine_apply(b->engine, &adam, NULL);
}

/* Walks through epochs like training does, full batches only. */
static sg_status time_steps(const bench_options *o, bench *b, const int64_t *rows, int64_t count,
                            int32_t *order, int32_t *classes, measurement *m)
{
    sg_plan plan = {0};
    sg_status status = SG_OK;
    int64_t per_epoch = count / o->batch;
    for (int64_t s = 0; s < o->warmup + o->steps && status == SG_OK; s++) {
        if (s % per_epoch == 0)
            sg_epoch_order(count, (uint64_t)o->seed, s / per_epoch + 1, order);
        for (int64_t i = 0; i < o->batch; i++)
            classes[i] = b->corpus.label[rows[order[s % per_epoch * o->batch + i]]];
        if (s == o->warmup)
            sg_engine_reset_timing(b->engine);
        double start = sg_seconds();
        status = train_step(o, b, &plan, classes, s + 1);
        if (s < o->warmup)
            continue;
        m->step_ms[m->steps++] = 1e3 * (sg_seconds() - start);
        m->seconds += sg_seconds() - start;
        m->rows += sg_plan_product_rows(&plan);
        m->rows_dense += sg_plan_dense_rows(&b->set, classes, (int)o->batch);
        m->levels += plan.steps - 1;
    }
    sg_plan_free(&plan);
    return status;
}

static sg_status measure_train(const bench_options *o, bench *b, measurement *m)
{
    int64_t *rows, count;
    int32_t *order = NULL, *classes = NULL;
    SG_TRY(sg_corpus_rows(&b->corpus, SG_SPLIT_TRAIN, &rows, &count));
    sg_status status = count < o->batch || count > INT32_MAX
                           ? sg_fail(SG_E_CONFIG, "--batch %lld does not fit a train split of %lld dialogs",
                                     (long long)o->batch, (long long)count)
                           : sg_alloc(&order, count, "order");
    if (status == SG_OK)
        status = sg_alloc(&classes, o->batch, "order");
    if (status == SG_OK)
        status = time_steps(o, b, rows, count, order, classes, m);
    free(classes);
    free(order);
    free(rows);
    return status;
}

static sg_status measure_infer(const bench_options *o, bench *b, measurement *m)
{
    sg_outputs outputs = {0};
    sg_plan plan = {0};
    SG_TRY(sg_plan_build(&plan, &b->set, b->set.sorted, NULL, b->set.count, SG_BATCHING_TRIE, false));
    sg_status status = sg_outputs_alloc(&outputs, b->set.count, b->spec.classes, false);
    for (int64_t s = 0; s < o->warmup + o->steps && status == SG_OK; s++) {
        if (s == o->warmup)
            sg_engine_reset_timing(b->engine);
        double start = sg_seconds();
        status = sg_engine_infer_all(b->engine, &b->set, &outputs);
        if (s < o->warmup)
            continue;
        m->step_ms[m->steps++] = 1e3 * (sg_seconds() - start);
        m->seconds += sg_seconds() - start;
        m->rows += sg_plan_product_rows(&plan);
        m->rows_dense += sg_plan_dense_rows(&b->set, b->set.sorted, b->set.count);
        m->levels += plan.steps - 1;
    }
    sg_outputs_free(&outputs);
    sg_plan_free(&plan);
    return status;
}

/* ---- the report ---- */

static int compare_doubles(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static double median(double *values, int64_t count)
{
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
    return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

/* Products of the recurrence: seconds as run, and at the peak rates. */
static void product_times(const measurement *m, double *flops, double *seconds, double *at_peak)
{
    const sg_timing *t = &m->timing;
    const double rate[3] = {m->peak.forward, m->peak.backward, m->peak.weights};
    static const sg_phase phase[3] = {SG_PHASE_FORWARD, SG_PHASE_BACKWARD, SG_PHASE_WEIGHTS};
    *flops = *seconds = *at_peak = 0;
    for (int i = 0; i < 3; i++) {
        *flops += t->flops[phase[i]];
        *seconds += t->seconds[phase[i]];
        *at_peak += m->has_peak ? t->flops[phase[i]] / (rate[i] * 1e9) : 0;
    }
}

static cJSON *report_phases(const measurement *m)
{
    cJSON *phases = cJSON_CreateObject();
    for (int p = 0; p < SG_PHASES; p++) {
        double seconds = m->timing.seconds[p];
        cJSON *one = cJSON_AddObjectToObject(phases, sg_phase_name((sg_phase)p));
        cJSON_AddNumberToObject(one, "ms", 1e3 * seconds / (double)m->steps);
        cJSON_AddNumberToObject(one, "share", seconds / m->seconds);
        if (m->timing.flops[p] > 0)
            cJSON_AddNumberToObject(one, "gflops", m->timing.flops[p] / seconds * 1e-9);
    }
    return phases;
}

static cJSON *make_report(const char *name, const bench_options *o, const bench *b, measurement *m)
{
    double flops, seconds, at_peak, all_flops = 0, all_product_seconds = 0;
    product_times(m, &flops, &seconds, &at_peak);
    for (int p = 0; p < SG_PHASES; p++) {
        all_flops += m->timing.flops[p];
        all_product_seconds += m->timing.flops[p] > 0 ? m->timing.seconds[p] : 0;
    }
    cJSON *r = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "command", name);
    cJSON_AddStringToObject(r, "device", sg_engine_device_name(b->engine));
    cJSON_AddStringToObject(r, "engine", sg_engine_description(b->engine));
    cJSON_AddStringToObject(r, "precision", sg_engine_precision_name(b->engine));
    cJSON_AddStringToObject(r, "batching", o->batching == SG_BATCHING_TRIE ? "trie" : "dense");
    cJSON_AddNumberToObject(r, "units", b->spec.units);
    cJSON_AddNumberToObject(r, "layers", b->spec.layers);
    cJSON_AddNumberToObject(r, "classes", b->spec.classes);
    cJSON_AddNumberToObject(r, "length", b->spec.max_length);
    cJSON_AddNumberToObject(r, "batch", (double)o->batch);
    cJSON_AddNumberToObject(r, "steps", (double)m->steps);
    cJSON_AddNumberToObject(r, "step_ms", median(m->step_ms, m->steps));
    cJSON_AddNumberToObject(r, "step_ms_min", m->step_ms[0]);
    cJSON_AddNumberToObject(r, "step_ms_max", m->step_ms[m->steps - 1]);
    cJSON_AddNumberToObject(r, "rows", (double)m->rows / (double)m->steps);
    cJSON_AddNumberToObject(r, "rows_dense", (double)m->rows_dense / (double)m->steps);
    cJSON_AddNumberToObject(r, "gflops", all_flops / m->seconds * 1e-9);
    cJSON_AddNumberToObject(r, "product_gflops", seconds > 0 ? flops / seconds * 1e-9 : 0);
    cJSON_AddNumberToObject(r, "product_share", all_product_seconds / m->seconds);
    if (m->has_peak) {
        cJSON_AddNumberToObject(r, "peak_gflops", flops / at_peak * 1e-9);
        cJSON_AddNumberToObject(r, "peak_share", at_peak / seconds);
    } else {
        cJSON_AddNullToObject(r, "peak_gflops");
        cJSON_AddNullToObject(r, "peak_share");
    }
    cJSON_AddNumberToObject(r, "open_seconds", b->open_seconds);
    cJSON_AddNumberToObject(r, "rss_mb", m->rss_mb);
    cJSON_AddItemToObject(r, "phases", report_phases(m));
    return r;
}

static double number(const cJSON *object, const char *key)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItem(object, key));
}

static void print_table(const cJSON *r, const measurement *m)
{
    printf("engine    %s\n", cJSON_GetStringValue(cJSON_GetObjectItem(r, "engine")));
    printf("shape     batch %.0f, length %.0f, %.0f units, %.0f classes, %.0f layers\n", number(r, "batch"),
           number(r, "length"), number(r, "units"), number(r, "classes"), number(r, "layers"));
    printf("step      %.2f ms median of %.0f (%.2f to %.2f)\n", number(r, "step_ms"), number(r, "steps"),
           number(r, "step_ms_min"), number(r, "step_ms_max"));
    printf("rows      %.0f, without shared prefixes %.0f (%.2fx)\n", number(r, "rows"),
           number(r, "rows_dense"), number(r, "rows_dense") / number(r, "rows"));
    printf("rate      %.1f GFLOP/s over the step, recurrent products %.1f GFLOP/s", number(r, "gflops"),
           number(r, "product_gflops"));
    if (m->has_peak)
        printf(", %.0f%% of this machine's peak for these shapes (%.1f)", 100 * number(r, "peak_share"),
               number(r, "peak_gflops"));
    printf("\nproducts  %.1f%% of the step\n", 100 * number(r, "product_share"));
    printf("memory    %.0f MiB at the most; %.2f s until the first step\n\n", number(r, "rss_mb"),
           number(r, "open_seconds"));
    printf("phase          ms  share  GFLOP/s\n");
    for (const cJSON *p = cJSON_GetObjectItem(r, "phases")->child; p; p = p->next) {
        printf("%-10s %6.2f %5.1f%%", p->string, number(p, "ms"), 100 * number(p, "share"));
        if (cJSON_HasObjectItem(p, "gflops"))
            printf("  %7.1f", number(p, "gflops"));
        putchar('\n');
    }
}

static sg_status run_bench(const char *name, const bench_options *o, bench *b, measurement *m, bool infer)
{
    SG_TRY(open_bench(o, b));
    SG_TRY(sg_alloc(&m->step_ms, o->steps, "times"));
    SG_TRY(infer ? measure_infer(o, b, m) : measure_train(o, b, m));
    sg_engine_timing(b->engine, &m->timing);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    m->rss_mb = (double)usage.ru_maxrss / 1024;
    if (!o->no_peak && !infer && m->rows > 0) {
        m->has_peak = true;
        SG_TRY(
            sg_engine_peak(b->engine, (m->rows + m->levels - 1) / m->levels, m->rows / m->steps, &m->peak));
    }
    cJSON *report = make_report(name, o, b, m);
    if (o->json)
        return sg_json_print(report, stdout);
    print_table(report, m);
    cJSON_Delete(report);
    return SG_OK;
}

static sg_status run_command(const char *name, const char *about, int argc, char **argv, bool infer)
{
    bench_options options = {0};
    sg_text_list words = {0};
    bool done;
    sg_status status = sg_command_parse(name, bench_table, about, &options, argc, argv, &words, 0, &done);
    free(words.items);
    if (status != SG_OK || done)
        return status;
    bench b = {0};
    measurement m = {0};
    status = run_bench(name, &options, &b, &m, infer);
    free(m.step_ms);
    close_bench(&b);
    return status;
}

sg_status sg_run_bench_train(const char *name, int argc, char **argv)
{
    return run_command(name, about_train, argc, argv, false);
}

sg_status sg_run_bench_infer(const char *name, int argc, char **argv)
{
    return run_command(name, about_infer, argc, argv, true);
}
