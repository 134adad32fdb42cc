#include "cli/bench.h"

#include "base/memory.h"
#include "corpus/synth.h"
#include "train/batches.h"
#include <stdlib.h>

/* ---- data ---- */

static sg_status make_corpus(const sg_bench_options *o, sg_corpus *corpus)
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

sg_status sg_bench_data_open(const sg_bench_options *o, sg_bench_data *d)
{
    *d = (sg_bench_data){0};
    SG_TRY(make_corpus(o, &d->corpus));
    d->spec = (sg_spec){.message_types = d->corpus.message_types,
                        .max_length = d->corpus.max_length,
                        .units = o->units ? (int)o->units : d->corpus.classes,
                        .classes = d->corpus.classes,
                        .layers = (int)o->layers,
                        .dropout = o->dropout,
                        .padding = (sg_padding)o->padding};
    SG_TRY(sg_sequences_make(&d->set, &d->spec, d->corpus.class_sequence, d->corpus.class_length,
                             d->corpus.classes));
    SG_TRY(sg_corpus_rows(&d->corpus, SG_SPLIT_TRAIN, &d->rows, &d->row_count));
    if (d->row_count < o->batch || d->row_count > INT32_MAX)
        return sg_fail(SG_E_CONFIG, "--batch %lld does not fit a train split of %lld dialogs",
                       (long long)o->batch, (long long)d->row_count);
    return SG_OK;
}

void sg_bench_data_close(sg_bench_data *d)
{
    free(d->rows);
    sg_sequences_free(&d->set);
    sg_corpus_free(&d->corpus);
    *d = (sg_bench_data){0};
}

/* ---- training ---- */

static sg_status load_weights(sg_bench_trainer *t)
{
    sg_params params = {0};
    sg_init_options init = {.seed = t->seed, .forget_bias = 3};
    sg_status status = sg_params_alloc(&params, &t->data->spec);
    if (status == SG_OK)
        status = sg_params_init(&params, &t->data->spec, &init);
    if (status == SG_OK)
        status = sg_engine_load(t->engine, &params);
    sg_params_free(&params);
    return status;
}

sg_status sg_bench_trainer_open(const sg_bench_options *o, const sg_bench_data *data, const char *device,
                                int precision, uint64_t seed, sg_bench_trainer *t)
{
    *t = (sg_bench_trainer){.options = o, .data = data, .seed = seed};
    sg_engine_options options = {.precision = (sg_precision)precision,
                                 .threads = (int)o->threads,
                                 .graphs = o->graphs != 0,
                                 .announce = true};
    SG_TRY(sg_device_parse(device, &options.device, &options.device_index));
    SG_TRY(sg_alloc(&t->order, data->row_count, "order"));
    SG_TRY(sg_alloc(&t->classes, o->batch, "order"));
    SG_TRY(sg_engine_open(&t->engine, &data->spec, &options));
    return load_weights(t);
}

void sg_bench_trainer_close(sg_bench_trainer *t)
{
    sg_engine_close(t->engine);
    sg_plan_free(&t->plan);
    free(t->order);
    free(t->classes);
    *t = (sg_bench_trainer){0};
}

sg_status sg_bench_trainer_begin(sg_bench_trainer *t)
{
    const sg_bench_options *o = t->options;
    const sg_bench_data *d = t->data;
    int64_t per_epoch = d->row_count / o->batch, place = t->begun % per_epoch, update = ++t->begun;
    if (place == 0)
        sg_epoch_order(d->row_count, t->seed, (update - 1) / per_epoch + 1, t->order);
    for (int64_t i = 0; i < o->batch; i++)
        t->classes[i] = d->corpus.label[d->rows[t->order[place * o->batch + i]]];
    SG_TRY(sg_plan_build(&t->plan, &d->set, t->classes, t->classes, (int)o->batch, (sg_batching)o->batching,
                         o->dropout > 0));
    sg_batch batch = {.plan = &t->plan, .dropout_seed = t->seed, .update = (uint32_t)update};
    sg_adam adam = {.learning_rate = 3e-4,
                    .beta1 = 0.9,
                    .beta2 = 0.999,
                    .epsilon = 1e-7,
                    .clip_norm = o->clip_norm,
                    .update = update};
    return sg_engine_begin_step(t->engine, &batch, &adam);
}

sg_status sg_bench_trainer_step(sg_bench_trainer *t, sg_step_result *result)
{
    SG_TRY(sg_bench_trainer_begin(t));
    return sg_engine_end_step(t->engine, result, NULL);
}

/* ---- reports ---- */

/* "13.1.0" of 130100, or "13.0" of 13000 where the last two digits are not a part of their own. */
static void add_version(cJSON *to, const char *name, int version, int unit)
{
    char text[48];
    if (version == 0)
        return;
    int rest = version % unit;
    if (unit == 1000)
        snprintf(text, sizeof text, "%d.%d", version / unit, rest / 10);
    else
        snprintf(text, sizeof text, "%d.%d.%d", version / unit, rest / 100, rest % 100);
    cJSON_AddStringToObject(to, name, text);
}

void sg_bench_add_versions(cJSON *report, const sg_engine *engine)
{
    static const char *const settings[] = {"CUDA_DEVICE_MAX_CONNECTIONS", "CUBLAS_WORKSPACE_CONFIG"};
    sg_versions v;
    sg_engine_versions(engine, &v);
    if (v.driver == 0) {
        cJSON_AddNullToObject(report, "versions");
        return;
    }
    cJSON *object = cJSON_AddObjectToObject(report, "versions");
    add_version(object, "driver", v.driver, 1000);
    add_version(object, "cuda", v.cuda, 1000);
    add_version(object, "cublas", v.cublas, 10000);
    add_version(object, "cudnn", v.cudnn, 10000);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const char *value = getenv(settings[i]);
        if (value)
            cJSON_AddStringToObject(object, settings[i], value);
    }
}
