#include "engine/engine.h"

#include "base/memory.h"
#include "engine/backend.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INFER_BLOCK = 4096 }; /* sequences that infer_all runs at once */

struct sg_engine {
    const sg_backend *backend;
    void *self;
    sg_spec spec;
    char device[16];
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
    return sg_fail(SG_E_USAGE, "unknown device '%s': auto, cpu, cuda[:N] or cudnn[:N] is wanted", text);
}

sg_status sg_engine_open(sg_engine **out, const sg_spec *spec, const sg_engine_options *options)
{
    *out = NULL;
    SG_TRY(sg_spec_check(spec));
    if (options->device == SG_DEVICE_CUDA || options->device == SG_DEVICE_CUDNN)
        return sg_fail(SG_E_DEVICE, "this build has no %s engine; use --device cpu",
                       options->device == SG_DEVICE_CUDA ? "cuda" : "cudnn");
    sg_engine *engine;
    SG_TRY(sg_alloc(&engine, 1, "engine"));
    engine->backend = &sg_cpu_backend;
    engine->spec = *spec;
    snprintf(engine->device, sizeof engine->device, "cpu");
    sg_status status = engine->backend->open(&engine->self, spec, options);
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

sg_status sg_engine_load(sg_engine *engine, const sg_params *params)
{
    return engine->backend->load(engine->self, params->data);
}

sg_status sg_engine_store(sg_engine *engine, sg_params *params)
{
    return engine->backend->store(engine->self, params->data);
}

sg_status sg_engine_load_optimizer(sg_engine *engine, const sg_params *m, const sg_params *v)
{
    return engine->backend->load_optimizer(engine->self, m->data, v->data);
}

sg_status sg_engine_store_optimizer(sg_engine *engine, sg_params *m, sg_params *v)
{
    return engine->backend->store_optimizer(engine->self, m->data, v->data);
}

sg_status sg_engine_gradients(sg_engine *engine, const sg_batch *batch, sg_step_result *result)
{
    if (batch->plan->rows < 1 || batch->plan->heads < 1)
        return sg_fail(SG_E_INTERNAL, "a batch without labelled rows");
    SG_TRY(engine->backend->gradients(engine->self, batch, result));
    if (!isfinite(result->loss))
        return sg_fail(SG_E_NUMERIC, "the loss is not finite");
    return SG_OK;
}

sg_status sg_engine_store_gradients(sg_engine *engine, sg_params *gradients)
{
    return engine->backend->store_gradients(engine->self, gradients->data);
}

sg_status sg_engine_apply(sg_engine *engine, const sg_adam *adam, double *norm)
{
    return engine->backend->apply(engine->self, adam, norm);
}

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
        return sg_fail(SG_E_INTERNAL, "outputs for %d leaves, the plan has %d", outputs->count, plan->leaves);
    return engine->backend->infer(engine->self, plan, outputs);
}

/* Copies the outputs of a plan's leaves to the places of their sequences. */
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

sg_status sg_engine_infer_all(sg_engine *engine, const sg_sequences *set, sg_outputs *outputs)
{
    sg_plan plan = {0};
    sg_outputs block = {0};
    sg_status status = SG_OK;
    /* In sorted order, so that neighbours in a block share prefixes. */
    for (int first = 0; first < set->count && status == SG_OK; first += INFER_BLOCK) {
        int count = set->count - first < INFER_BLOCK ? set->count - first : INFER_BLOCK;
        status = sg_plan_build(&plan, set, set->sorted + first, NULL, count, SG_BATCHING_TRIE, false);
        if (status == SG_OK)
            status =
                sg_outputs_alloc(&block, plan.leaves, engine->spec.classes, outputs->probabilities != NULL);
        if (status == SG_OK)
            status = sg_engine_infer(engine, &plan, &block);
        if (status == SG_OK)
            scatter_outputs(&plan, &block, engine->spec.classes, outputs);
        sg_outputs_free(&block);
    }
    sg_plan_free(&plan);
    return status;
}

void sg_engine_reset_timing(sg_engine *engine)
{
    *engine->backend->timing(engine->self) = (sg_timing){0};
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
    return engine->backend->peak(engine->self, level_rows, all_rows, peak);
}
