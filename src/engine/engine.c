#include "engine/engine.h"

#include "base/log.h"
#include "base/memory.h"
#include "engine/backend.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A step of a backend that runs it at once, waiting to be collected. */
typedef struct {
    sg_status status;
    sg_step_result result;
    double norm;
    char text[512]; /* of a failure */
} kept_step;

struct sg_engine {
    const sg_backend *backend;
    const sg_module *module; /* NULL for what is built in */
    void *self;
    sg_spec spec;
    char device[16];
    int begun; /* steps begun and not collected */
    kept_step kept[SG_STEPS_IN_FLIGHT];
};

sg_status sg_device_parse(const char *text, sg_device *device, int *index)
{
    static const struct {
        const char *name;
        sg_device device;
    } known[] = {{"auto", SG_DEVICE_AUTO},
                 {"cpu", SG_DEVICE_CPU},
                 {"cuda", SG_DEVICE_CUDA},
                 {"cudnn", SG_DEVICE_CUDNN}};
    *index = 0;
    size_t length = strcspn(text, ":");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strlen(known[i].name) != length || strncmp(text, known[i].name, length) != 0)
            continue;
        *device = known[i].device;
        if (text[length] == '\0')
            return SG_OK;
        char *end;
        long n = strtol(text + length + 1, &end, 10);
        if (*end || end == text + length + 1 || n < 0 || n > 1023 || *device == SG_DEVICE_AUTO ||
            *device == SG_DEVICE_CPU)
            break;
        *index = (int)n;
        return SG_OK;
    }
    return sg_fail(SG_E_USAGE, "unknown device '%s': expected auto, cpu, cuda[:N] or cudnn[:N]", text);
}

/* ---- opening ---- */

/* The message of an error raised in a module is in the module. */
static sg_status checked(const sg_engine *engine, sg_status status)
{
    return status == SG_OK || !engine->module ? status : sg_module_failed(engine->module, status);
}

/* What `auto` means here: cuda if its first device can be used, else cpu. */
static sg_device choose_device(bool announce)
{
    static _Thread_local bool said;
    const sg_module *module;
    char text[256];
    sg_status status = sg_module_open("cuda", &module);
    if (status == SG_OK) {
        status = module->describe(0, text, sizeof text);
        if (status != SG_OK)
            sg_module_failed(module, status);
    }
    if (announce && !said) {
        said = true;
        if (status == SG_OK)
            sg_note("device    cuda:0, %s", text);
        else
            sg_note("device    cpu (cuda: %s)", sg_error_text());
    }
    return status == SG_OK ? SG_DEVICE_CUDA : SG_DEVICE_CPU;
}

static sg_status choose_backend(sg_engine *engine, sg_device device, int index)
{
    if (device == SG_DEVICE_CPU) {
        engine->backend = &sg_cpu_backend;
        snprintf(engine->device, sizeof engine->device, "cpu");
        return SG_OK;
    }
    const char *name = device == SG_DEVICE_CUDA ? "cuda" : "cudnn";
    sg_status status = sg_module_open(name, &engine->module);
    if (status != SG_OK)
        return sg_fail_prefix(status, "device %s", name);
    engine->backend = engine->module->backend;
    snprintf(engine->device, sizeof engine->device, "%s:%d", name, index);
    return SG_OK;
}

sg_status sg_engine_open(sg_engine **out, const sg_spec *spec, const sg_engine_options *options)
{
    *out = NULL;
    SG_TRY(sg_spec_check(spec));
    sg_engine *engine;
    SG_TRY(sg_alloc(&engine, 1, "engine"));
    engine->spec = *spec;
    sg_device device = options->device == SG_DEVICE_AUTO ? choose_device(options->announce) : options->device;
    sg_status status = choose_backend(engine, device, options->device_index);
    if (status == SG_OK) {
        status = checked(engine, engine->backend->open(&engine->self, spec, options));
        if (status != SG_OK && engine->module)
            sg_fail_prefix(status, "device %s", engine->device);
    }
    if (status != SG_OK) {
        free(engine);
        return status;
    }
    *out = engine;
    return SG_OK;
}

void sg_engine_close(sg_engine *engine)
{
    if (!engine)
        return;
    engine->backend->close(engine->self);
    free(engine);
}

const char *sg_engine_description(const sg_engine *engine)
{
    return engine->backend->description(engine->self);
}

const char *sg_engine_precision_name(const sg_engine *engine)
{
    return engine->backend->precision(engine->self);
}

const char *sg_engine_device_name(const sg_engine *engine)
{
    return engine->device;
}

bool sg_engine_shares_prefixes(const sg_engine *engine)
{
    return engine->backend->shares_prefixes;
}

sg_status sg_engine_load(sg_engine *engine, const sg_params *params)
{
    return checked(engine, engine->backend->load(engine->self, params->data));
}

sg_status sg_engine_store(sg_engine *engine, sg_params *params)
{
    return checked(engine, engine->backend->store(engine->self, params->data));
}

sg_status sg_engine_load_optimizer(sg_engine *engine, const sg_params *m, const sg_params *v)
{
    return checked(engine, engine->backend->load_optimizer(engine->self, m->data, v->data));
}

sg_status sg_engine_store_optimizer(sg_engine *engine, sg_params *m, sg_params *v)
{
    return checked(engine, engine->backend->store_optimizer(engine->self, m->data, v->data));
}

sg_status sg_engine_gradients(sg_engine *engine, const sg_batch *batch, sg_step_result *result)
{
    if (batch->plan->rows < 1 || batch->plan->heads < 1)
        return sg_fail(SG_E_INTERNAL, "a batch without labelled rows");
    SG_TRY(checked(engine, engine->backend->gradients(engine->self, batch, result)));
    if (!isfinite(result->loss))
        return sg_fail(SG_E_NUMERIC, "the loss is not finite");
    return SG_OK;
}

sg_status sg_engine_store_gradients(sg_engine *engine, sg_params *gradients)
{
    return checked(engine, engine->backend->store_gradients(engine->self, gradients->data));
}

sg_status sg_engine_apply(sg_engine *engine, const sg_adam *adam, double *norm)
{
    return checked(engine, engine->backend->apply(engine->self, adam, norm));
}

void sg_engine_versions(const sg_engine *engine, sg_versions *versions)
{
    *versions = (sg_versions){0};
    if (engine->backend->versions)
        engine->backend->versions(engine->self, versions);
}

/* ---- steps in flight ---- */

/* Runs gradients and apply at once and keeps their result for end_step, including failures, so that errors
 * come in the order of the steps. */
static void run_step(sg_engine *engine, const sg_batch *batch, const sg_adam *adam, kept_step *kept)
{
    *kept = (kept_step){0};
    for (int i = 0; i < engine->begun; i++)
        if (engine->kept[i].status != SG_OK)
            return; /* dropped together with the failed one */
    kept->status = sg_engine_gradients(engine, batch, &kept->result);
    if (kept->status == SG_OK)
        kept->status = sg_engine_apply(engine, adam, &kept->norm);
    if (kept->status != SG_OK)
        snprintf(kept->text, sizeof kept->text, "%s", sg_error_text());
}

sg_status sg_engine_begin_step(sg_engine *engine, const sg_batch *batch, const sg_adam *adam)
{
    if (engine->begun == SG_STEPS_IN_FLIGHT)
        return sg_fail(SG_E_INTERNAL, "more than %d steps in flight", SG_STEPS_IN_FLIGHT);
    if (batch->plan->rows < 1 || batch->plan->heads < 1)
        return sg_fail(SG_E_INTERNAL, "a batch without labelled rows");
    if (engine->backend->begin_step)
        SG_TRY(checked(engine, engine->backend->begin_step(engine->self, batch, adam)));
    else
        run_step(engine, batch, adam, &engine->kept[engine->begun]);
    engine->begun++;
    return SG_OK;
}

static sg_status collect_kept(sg_engine *engine, sg_step_result *result, double *norm)
{
    kept_step kept = engine->kept[0];
    memmove(engine->kept, engine->kept + 1, (SG_STEPS_IN_FLIGHT - 1) * sizeof *engine->kept);
    *result = kept.result;
    if (norm)
        *norm = kept.norm;
    return kept.status == SG_OK ? SG_OK : sg_fail(kept.status, "%s", kept.text);
}

sg_status sg_engine_end_step(sg_engine *engine, sg_step_result *result, double *norm)
{
    if (engine->begun == 0)
        return sg_fail(SG_E_INTERNAL, "no step was begun");
    sg_status status = engine->backend->end_step
                           ? checked(engine, engine->backend->end_step(engine->self, result, norm))
                           : collect_kept(engine, result, norm);
    engine->begun = status == SG_OK ? engine->begun - 1 : 0;
    return status;
}

int sg_engine_steps_begun(const sg_engine *engine)
{
    return engine->begun;
}

/* ---- outputs ---- */

sg_status sg_outputs_alloc(sg_outputs *outputs, int count, int classes, bool probabilities)
{
    *outputs = (sg_outputs){.count = count};
    sg_status status;
    SG_TRY_GOTO(status, failed, sg_alloc(&outputs->argmax, count, "outputs"));
    SG_TRY_GOTO(status, failed, sg_alloc(&outputs->p_max, count, "outputs"));
    SG_TRY_GOTO(status, failed, sg_alloc(&outputs->skewness, count, "outputs"));
    SG_TRY_GOTO(status, failed, sg_alloc(&outputs->kurtosis, count, "outputs"));
    if (probabilities)
        SG_TRY_GOTO(status, failed,
                    sg_alloc(&outputs->probabilities, (size_t)count * (size_t)classes, "outputs"));
    return SG_OK;
failed:
    sg_outputs_free(outputs);
    return status;
}

void sg_outputs_free(sg_outputs *outputs)
{
    free(outputs->argmax);
    free(outputs->p_max);
    free(outputs->skewness);
    free(outputs->kurtosis);
    free(outputs->probabilities);
    *outputs = (sg_outputs){0};
}

sg_status sg_engine_infer(sg_engine *engine, const sg_plan *plan, sg_outputs *outputs)
{
    if (outputs->count != plan->leaves)
        return sg_fail(SG_E_INTERNAL, "the outputs have room for %d leaves, the plan has %d", outputs->count,
                       plan->leaves);
    return checked(engine, engine->backend->infer(engine->self, plan, outputs));
}

/* Copies the outputs of a plan's leaves to the positions of their sequences. */
static void scatter_outputs(const sg_plan *plan, const sg_outputs *from, int classes, sg_outputs *to)
{
    for (int l = 0; l < plan->leaves; l++) {
        int s = plan->leaf_sequence[l];
        to->argmax[s] = from->argmax[l];
        to->p_max[s] = from->p_max[l];
        to->skewness[s] = from->skewness[l];
        to->kurtosis[s] = from->kurtosis[l];
        if (to->probabilities)
            memcpy(to->probabilities + (size_t)s * (size_t)classes,
                   from->probabilities + (size_t)l * (size_t)classes, (size_t)classes * sizeof(float));
    }
}

sg_status sg_engine_infer_sorted(sg_engine *engine, const sg_sequences *set, int first, int count,
                                 sg_outputs *outputs)
{
    const int classes = engine->spec.classes;
    sg_plan plan = {0};
    sg_outputs block = {0};
    sg_status status;
    SG_TRY_GOTO(status, done,
                sg_plan_build(&plan, set, set->sorted + first, NULL, count, SG_BATCHING_TRIE, false));
    SG_TRY_GOTO(status, done, sg_outputs_alloc(&block, plan.leaves, classes, outputs->probabilities != NULL));
    SG_TRY_GOTO(status, done, sg_engine_infer(engine, &plan, &block));
    scatter_outputs(&plan, &block, classes, outputs);
done:
    sg_outputs_free(&block);
    sg_plan_free(&plan);
    return status;
}

sg_status sg_engine_infer_all(sg_engine *engine, const sg_sequences *set, sg_outputs *outputs)
{
    for (int first = 0; first < set->count; first += SG_INFER_BLOCK)
        SG_TRY(sg_engine_infer_sorted(
            engine, set, first, set->count - first < SG_INFER_BLOCK ? set->count - first : SG_INFER_BLOCK,
            outputs));
    return SG_OK;
}

/* ---- times ---- */

void sg_engine_reset_timing(sg_engine *engine)
{
    *engine->backend->timing(engine->self) = (sg_timing){0};
}

sg_status sg_engine_take_times(sg_engine *engine, bool on)
{
    return engine->backend->take_times ? checked(engine, engine->backend->take_times(engine->self, on))
                                       : SG_OK;
}

void sg_engine_timing(const sg_engine *engine, sg_timing *timing)
{
    *timing = *engine->backend->timing(engine->self);
}

const char *sg_phase_name(sg_phase phase)
{
    static const char *const names[SG_PHASES] = {"packing", "forward",   "backward", "weights",
                                                 "head",    "pointwise", "softmax",  "adam"};
    return names[phase];
}

sg_status sg_engine_peak(sg_engine *engine, int64_t level_rows, int64_t all_rows, sg_peak *peak)
{
    return checked(engine, engine->backend->peak(engine->self, level_rows, all_rows, peak));
}

sg_status sg_engine_ceilings(sg_engine *engine, const sg_ceilings_shape *shape, sg_ceilings *ceilings)
{
    return checked(engine, engine->backend->ceilings(engine->self, shape, ceilings));
}

/* ---- which devices there are ---- */

static sg_status visit_module(const char *name, sg_device_visitor visit, void *context)
{
    const sg_module *module;
    char text[256], device[16];
    int count = 0;
    if (sg_module_open(name, &module) != SG_OK)
        return visit(name, false, sg_error_text(), context);
    sg_status status = module->count(&count);
    if (status != SG_OK) {
        sg_module_failed(module, status);
        return visit(name, false, sg_error_text(), context);
    }
    for (int i = 0; i < count; i++) {
        snprintf(device, sizeof device, "%s:%d", name, i);
        status = module->describe(i, text, sizeof text);
        if (status != SG_OK)
            sg_module_failed(module, status);
        SG_TRY(visit(device, status == SG_OK, status == SG_OK ? text : sg_error_text(), context));
    }
    return SG_OK;
}

sg_status sg_devices_visit(sg_device_visitor visit, void *context)
{
    const sg_spec tiny = {.message_types = 1, .max_length = 1, .units = 1, .classes = 3, .layers = 1};
    const sg_engine_options options = {.device = SG_DEVICE_CPU};
    sg_engine *engine;
    sg_status status = sg_engine_open(&engine, &tiny, &options);
    SG_TRY(visit("cpu", status == SG_OK, status == SG_OK ? sg_engine_description(engine) : sg_error_text(),
                 context));
    if (status == SG_OK)
        sg_engine_close(engine);
    SG_TRY(visit_module("cuda", visit, context));
    return visit_module("cudnn", visit, context);
}
