/* cmd_bench.c: `sipgpu bench train` and `sipgpu bench infer`: how long a step takes, and where the time goes.
 */
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/bench.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
    CPU_STEPS = 10,
    CPU_WARMUP = 2,
    GPU_STEPS = 200, /* what is shorter says more about clocks that are still rising */
    TIMED_STEPS = 5  /* of the pass that takes times by phase, where that slows the device down */
};
static const double GPU_WARMUP_SECONDS = 1;

static const sg_option train_table[] = {
    SG_BENCH_NETWORK_OPTIONS,
    SG_INT(SG_BENCH_AT(steps), NULL, 1, 1000000, "steps to time; if left out, 10, and 200 on a GPU"),
    SG_INT(SG_BENCH_AT(warmup), "-1", -1, 100000,
           "steps before them; -1: 2, and as many as take a second on a GPU"),
    SG_INT(SG_BENCH_AT(seeds), "1", 1, 64,
           "networks trained at the same time, each with a seed and a thread of its own"),
    SG_ENUM(SG_BENCH_AT(graphs), "off", "off|on", "cuda: launch each step as one CUDA graph"),
    SG_FLAG(SG_BENCH_AT(no_peak), "do not measure the peak of the products"),
    SG_BENCH_DEVICE_OPTIONS,
};

static const sg_option infer_table[] = {
    SG_BENCH_NETWORK_OPTIONS,
    SG_INT(SG_BENCH_AT(steps), "10", 1, 1000000, "passes to time"),
    SG_INT(SG_BENCH_AT(warmup), "2", 0, 1000, "passes before them"),
    SG_BENCH_DEVICE_OPTIONS,
};

static const char about_train[] =
    "Times training steps: batch plan, forward, backward, Adam.  Rates count what is really\n"
    "computed.  rows are those of the recurrence in a step; rows_dense, rows_unique and rows_trie\n"
    "are those of the same batches with each --batching.  cudnn shares no prefixes: it runs\n"
    "`trie` like `dense`.  On a GPU, and with several seeds, a step is all steps, from the wall\n"
    "clock, over their number; times by phase come from a second pass, and its products are run\n"
    "back to back once more.";
static const char about_infer[] = "Times inference over all unique dialogs of a corpus, moments included.";

/* ---- what is timed ---- */

typedef struct {
    sg_bench_data data;
    sg_bench_trainer *trainer; /* [seeds] */
    int seeds;
    double open_seconds;   /* from the start of the command until the first step */
    int64_t steps, warmup; /* of each seed; warmup < 0: as many as take GPU_WARMUP_SECONDS */
} bench;

typedef struct {
    double *step_ms;             /* [steps], of seed 0 */
    int64_t steps, rows, levels; /* sums over the steps of seed 0 */
    sg_product_rows batching;    /* rows with each batching, likewise */
    double seconds;              /* of all steps: from the first begin until the last is done */
    double timed_seconds;        /* of as many steps as have times by phase */
    int64_t timed_steps;
    sg_timing timing;
    sg_peak peak;
    bool has_peak;
    double rss_mb; /* before the peak is measured */
} measurement;

static sg_status open_bench(const sg_bench_options *o, bench *b)
{
    double start = sg_seconds();
    b->seeds = o->seeds > 1 ? (int)o->seeds : 1;
    SG_TRY(sg_bench_data_open(o, &b->data));
    SG_TRY(sg_alloc(&b->trainer, b->seeds, "benchmark"));
    for (int i = 0; i < b->seeds; i++)
        SG_TRY(sg_bench_trainer_open(o, &b->data, o->device, o->precision, (uint64_t)(o->seed + i),
                                     &b->trainer[i]));
    b->open_seconds = sg_seconds() - start;
    return SG_OK;
}

static bool is_cpu(const bench *b)
{
    return strcmp(sg_engine_device_name(b->trainer[0].engine), "cpu") == 0;
}

/* What was left out depends on the device. */
static void choose_steps(const sg_bench_options *o, bench *b)
{
    b->steps = o->steps ? o->steps : is_cpu(b) ? CPU_STEPS : GPU_STEPS;
    b->warmup = o->warmup < 0 && is_cpu(b) ? CPU_WARMUP : o->warmup;
}

static void close_bench(bench *b)
{
    for (int i = 0; b->trainer && i < b->seeds; i++)
        sg_bench_trainer_close(&b->trainer[i]);
    free(b->trainer);
    sg_bench_data_close(&b->data);
}

/* `without_prefixes`: how a trie is run by an engine that cannot share prefixes. */
static void count_rows(const sg_engine *engine, const sg_plan *plan, const sg_sequences *set,
                       sg_batching without_prefixes, measurement *m)
{
    sg_product_rows rows = sg_plan_compare_rows(plan, set);
    bool as_planned = plan->batching != SG_BATCHING_TRIE || sg_engine_shares_prefixes(engine);
    sg_batching run = as_planned ? plan->batching : without_prefixes;
    m->rows += run == SG_BATCHING_TRIE ? rows.trie : run == SG_BATCHING_UNIQUE ? rows.unique : rows.dense;
    m->batching.dense += rows.dense;
    m->batching.unique += rows.unique;
    m->batching.trie += rows.trie;
    m->levels += plan->steps - 1;
}

/* Steps as training does them: the next one is prepared while the device works.  Begins and ends with nothing
 * in flight, so that the clock around it measures all of the work.  `m` may be NULL. */
static sg_status run_steps(sg_bench_trainer *t, int64_t steps, measurement *m)
{
    sg_step_result result;
    double before = sg_seconds();
    for (int64_t s = 0; s < steps; s++) {
        SG_TRY(sg_bench_trainer_begin(t));
        while (sg_engine_steps_begun(t->engine) > (s + 1 < steps ? 1 : 0))
            SG_TRY(sg_engine_end_step(t->engine, &result, NULL));
        double now = sg_seconds();
        if (m) {
            m->step_ms[m->steps++] = 1e3 * (now - before);
            count_rows(t->engine, &t->plan, &t->data->set, SG_BATCHING_DENSE, m);
        }
        before = now;
    }
    return SG_OK;
}

static sg_status warm_up(const bench *b, sg_bench_trainer *t)
{
    if (b->warmup >= 0)
        return run_steps(t, b->warmup, NULL);
    double start = sg_seconds();
    for (int64_t steps = 1; sg_seconds() - start < GPU_WARMUP_SECONDS; steps *= 2)
        SG_TRY(run_steps(t, steps < CPU_STEPS ? steps : CPU_STEPS, NULL));
    return SG_OK;
}

/* What several seeds, each in a thread of its own, have in common. */
typedef struct {
    pthread_mutex_t gate; /* held until all threads are there */
    pthread_barrier_t start;
    bool cancelled;
} lane_start;

typedef struct {
    const bench *bench;
    sg_bench_trainer *trainer;
    measurement *m;
    lane_start *common;
    double begin, end;
    sg_status status;
    char text[256];
    pthread_t thread;
} lane;

static void *run_lane(void *context)
{
    lane *l = context;
    pthread_mutex_lock(&l->common->gate);
    bool cancelled = l->common->cancelled;
    pthread_mutex_unlock(&l->common->gate);
    if (cancelled)
        return NULL;
    l->status = warm_up(l->bench, l->trainer);
    pthread_barrier_wait(&l->common->start);
    l->begin = sg_seconds();
    if (l->status == SG_OK)
        l->status = run_steps(l->trainer, l->bench->steps, l->m);
    l->end = sg_seconds();
    if (l->status != SG_OK)
        snprintf(l->text, sizeof l->text, "%s", sg_error_text());
    return NULL;
}

/* Starts a thread for each seed and sees them through; seconds from the first begin to the last end. */
static sg_status run_lanes_with(bench *b, lane *lanes, lane_start *common, measurement *m)
{
    int started = 0;
    sg_status status = SG_OK;
    pthread_mutex_lock(&common->gate);
    while (started < b->seeds && status == SG_OK) {
        lane *l = &lanes[started];
        *l = (lane){
            .bench = b, .trainer = &b->trainer[started], .m = started == 0 ? m : NULL, .common = common};
        if (pthread_create(&l->thread, NULL, run_lane, l) != 0)
            status = sg_fail(SG_E_MEMORY, "cannot start %d threads", b->seeds);
        else
            started++;
    }
    common->cancelled = status != SG_OK;
    pthread_mutex_unlock(&common->gate);
    double first = INFINITY, last = 0;
    for (int i = 0; i < started; i++) {
        pthread_join(lanes[i].thread, NULL);
        first = fmin(first, lanes[i].begin);
        last = fmax(last, lanes[i].end);
        if (status == SG_OK && lanes[i].status != SG_OK)
            status = sg_fail(lanes[i].status, "seed %d: %s", i, lanes[i].text);
    }
    m->seconds = last - first;
    return status;
}

static sg_status run_lanes(bench *b, measurement *m)
{
    lane_start common = {.gate = PTHREAD_MUTEX_INITIALIZER};
    lane *lanes;
    if (pthread_barrier_init(&common.start, NULL, (unsigned)b->seeds) != 0)
        return sg_fail(SG_E_MEMORY, "benchmark: out of memory");
    sg_status status = sg_alloc(&lanes, b->seeds, "benchmark");
    if (status == SG_OK)
        status = run_lanes_with(b, lanes, &common, m);
    free(lanes);
    pthread_barrier_destroy(&common.start);
    return status;
}

/* A second pass on one engine, with times by phase, which are shares of the steps of the first. */
static sg_status time_phases(bench *b, measurement *m)
{
    sg_bench_trainer *t = &b->trainer[0];
    m->timed_steps = m->steps < TIMED_STEPS ? m->steps : TIMED_STEPS;
    m->timed_seconds = m->seconds * (double)m->timed_steps / (double)(m->steps * b->seeds);
    SG_TRY(sg_engine_take_times(t->engine, true));
    SG_TRY(run_steps(t, 1, NULL));
    SG_TRY(sg_engine_take_times(t->engine, true));
    sg_engine_reset_timing(t->engine);
    SG_TRY(run_steps(t, m->timed_steps, NULL));
    SG_TRY(sg_engine_take_times(t->engine, false));
    sg_engine_timing(t->engine, &m->timing);
    return SG_OK;
}

static sg_status measure_train(bench *b, measurement *m)
{
    sg_bench_trainer *t = &b->trainer[0];
    if (b->seeds > 1) {
        SG_TRY(run_lanes(b, m));
        return time_phases(b, m);
    }
    SG_TRY(warm_up(b, t));
    sg_engine_reset_timing(t->engine);
    double start = sg_seconds();
    SG_TRY(run_steps(t, b->steps, m));
    m->seconds = m->timed_seconds = sg_seconds() - start;
    m->timed_steps = m->steps;
    sg_engine_timing(t->engine, &m->timing);
    return is_cpu(b) ? SG_OK : time_phases(b, m);
}

static sg_status measure_infer(bench *b, measurement *m)
{
    const sg_bench_data *d = &b->data;
    sg_engine *engine = b->trainer[0].engine;
    sg_outputs outputs = {0};
    sg_plan plan = {0};
    SG_TRY(sg_plan_build(&plan, &d->set, d->set.sorted, NULL, d->set.count, SG_BATCHING_TRIE, false));
    sg_status status = sg_outputs_alloc(&outputs, d->set.count, d->spec.classes, false);
    for (int64_t s = 0; s < b->warmup + b->steps && status == SG_OK; s++) {
        if (s == b->warmup) {
            status = sg_engine_take_times(engine, true);
            sg_engine_reset_timing(engine);
        }
        double start = sg_seconds();
        if (status == SG_OK)
            status = sg_engine_infer_all(engine, &d->set, &outputs);
        if (s < b->warmup)
            continue;
        m->step_ms[m->steps++] = 1e3 * (sg_seconds() - start);
        m->seconds += sg_seconds() - start;
        count_rows(engine, &plan, &d->set, SG_BATCHING_UNIQUE, m);
    }
    sg_outputs_free(&outputs);
    sg_plan_free(&plan);
    if (status == SG_OK)
        status = sg_engine_take_times(engine, false);
    m->timed_steps = m->steps;
    m->timed_seconds = m->seconds;
    sg_engine_timing(engine, &m->timing);
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
        cJSON_AddNumberToObject(one, "ms", 1e3 * seconds / (double)m->timed_steps);
        cJSON_AddNumberToObject(one, "share", seconds / m->timed_seconds);
        if (m->timing.flops[p] > 0 && seconds > 0)
            cJSON_AddNumberToObject(one, "gflops", m->timing.flops[p] / seconds * 1e-9);
    }
    return phases;
}

static cJSON *make_report(const char *name, const sg_bench_options *o, const bench *b, measurement *m)
{
    sg_engine *engine = b->trainer[0].engine;
    double flops, seconds, at_peak, all_flops = 0, all_product_seconds = 0;
    product_times(m, &flops, &seconds, &at_peak);
    for (int p = 0; p < SG_PHASES; p++) {
        all_flops += m->timing.flops[p];
        all_product_seconds += m->timing.flops[p] > 0 ? m->timing.seconds[p] : 0;
    }
    cJSON *r = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "command", name);
    cJSON_AddStringToObject(r, "device", sg_engine_device_name(engine));
    cJSON_AddStringToObject(r, "engine", sg_engine_description(engine));
    cJSON_AddStringToObject(r, "precision", sg_engine_precision_name(engine));
    cJSON_AddStringToObject(r, "batching", sg_batching_name((sg_batching)o->batching));
    cJSON_AddNumberToObject(r, "units", b->data.spec.units);
    cJSON_AddNumberToObject(r, "layers", b->data.spec.layers);
    cJSON_AddNumberToObject(r, "classes", b->data.spec.classes);
    cJSON_AddNumberToObject(r, "length", b->data.spec.max_length);
    cJSON_AddNumberToObject(r, "batch", (double)o->batch);
    cJSON_AddNumberToObject(r, "steps", (double)m->steps);
    double middle = median(m->step_ms, m->steps);
    double back_to_back = 1e3 * m->seconds / (double)m->steps;
    double step_ms = b->seeds > 1 || !is_cpu(b) ? back_to_back : middle;
    cJSON_AddNumberToObject(r, "seeds", b->seeds);
    cJSON_AddNumberToObject(r, "step_ms", step_ms);
    cJSON_AddNumberToObject(r, "step_ms_per_seed", step_ms / b->seeds);
    cJSON_AddNumberToObject(r, "step_ms_median", middle);
    cJSON_AddNumberToObject(r, "step_ms_min", m->step_ms[0]);
    cJSON_AddNumberToObject(r, "step_ms_max", m->step_ms[m->steps - 1]);
    cJSON_AddNumberToObject(r, "rows", (double)m->rows / (double)m->steps);
    cJSON_AddNumberToObject(r, "rows_dense", (double)m->batching.dense / (double)m->steps);
    cJSON_AddNumberToObject(r, "rows_unique", (double)m->batching.unique / (double)m->steps);
    cJSON_AddNumberToObject(r, "rows_trie", (double)m->batching.trie / (double)m->steps);
    cJSON_AddNumberToObject(r, "gflops", all_flops / (double)m->timed_steps * b->seeds / step_ms * 1e-6);
    cJSON_AddNumberToObject(r, "product_gflops", seconds > 0 ? flops / seconds * 1e-9 : 0);
    cJSON_AddNumberToObject(r, "product_share", all_product_seconds / m->timed_seconds);
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
    sg_bench_add_versions(r, engine);
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
    if (number(r, "seeds") > 1)
        printf("step      %.3f ms for one of each of %.0f seeds, %.3f ms a step\n", number(r, "step_ms"),
               number(r, "seeds"), number(r, "step_ms_per_seed"));
    else
        printf("step      %.3f ms, median of %.0f %.3f ms (%.3f to %.3f)\n", number(r, "step_ms"),
               number(r, "steps"), number(r, "step_ms_median"), number(r, "step_ms_min"),
               number(r, "step_ms_max"));
    printf("rows      %.0f run; dense %.0f, unique %.0f (dense / %.2f), trie %.0f (unique / %.2f)\n",
           number(r, "rows"), number(r, "rows_dense"), number(r, "rows_unique"),
           number(r, "rows_dense") / number(r, "rows_unique"), number(r, "rows_trie"),
           number(r, "rows_unique") / number(r, "rows_trie"));
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

static sg_status run_bench(const char *name, const sg_bench_options *o, bench *b, measurement *m, bool infer)
{
    SG_TRY(open_bench(o, b));
    choose_steps(o, b);
    SG_TRY(sg_alloc(&m->step_ms, b->steps, "times"));
    SG_TRY(infer ? measure_infer(b, m) : measure_train(b, m));
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    m->rss_mb = (double)usage.ru_maxrss / 1024;
    if (!o->no_peak && !infer && m->rows > 0) {
        m->has_peak = true;
        SG_TRY(sg_engine_peak(b->trainer[0].engine, (m->rows + m->levels - 1) / m->levels, m->rows / m->steps,
                              &m->peak));
    }
    cJSON *report = make_report(name, o, b, m);
    if (o->json)
        return sg_json_print(report, stdout);
    print_table(report, m);
    cJSON_Delete(report);
    return SG_OK;
}

static sg_status run_and_close(const sg_call *call, bool infer)
{
    bench b = {0};
    measurement m = {0};
    sg_status status = run_bench(call->name, call->options, &b, &m, infer);
    free(m.step_ms);
    close_bench(&b);
    return status;
}

static sg_status run_train(const sg_call *call)
{
    return run_and_close(call, false);
}

static sg_status run_infer(const sg_call *call)
{
    return run_and_close(call, true);
}

SG_COMMAND(bench_train, "bench train", "time training steps", about_train, train_table, sg_bench_options,
           run_train);

SG_COMMAND(bench_infer, "bench infer", "time inference", about_infer, infer_table, sg_bench_options,
           run_infer);
