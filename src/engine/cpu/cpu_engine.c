/* cpu_engine.c: opening, weights, packing and Adam of the CPU engine. */
#include "engine/cpu/cpu_engine.h"

#include "base/log.h"
#include "base/memory.h"
#include "engine/backend.h"
#include <math.h>
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ADAM_BLOCK = 1 << 14
}; /* weights a thread takes at once; sums are kept by block, so threads do not matter */

/* ---- opening and closing ---- */

static void close_cpu(void *self)
{
    sg_cpu *cpu = self;
    if (!cpu)
        return;
    for (int l = 0; l < SG_LAYERS_MAX; l++) {
        sg_packed_free(cpu->weights[l].recurrent);
        sg_packed_free(cpu->weights[l].recurrent_t);
        sg_packed_free(cpu->weights[l].kernel);
        sg_packed_free(cpu->weights[l].kernel_t);
        free(cpu->states[l].gates);
        free(cpu->states[l].c);
        free(cpu->states[l].h);
        for (int k = 0; k < 2; k++) {
            free(cpu->infer_c[l][k]);
            free(cpu->infer_h[l][k]);
        }
    }
    sg_packed_free(cpu->dense);
    sg_packed_free(cpu->dense_t);
    sg_gemm_close(cpu->gemm);
    void *const rest[] = {cpu->w,
                          cpu->m,
                          cpu->v,
                          cpu->gradient,
                          cpu->token_bias,
                          cpu->z_sum,
                          cpu->zeros,
                          cpu->product,
                          cpu->c_sum[0],
                          cpu->c_sum[1],
                          cpu->head_mask,
                          cpu->head_gradient,
                          cpu->head_operand,
                          cpu->head_output,
                          cpu->head_loss,
                          cpu->output_operand,
                          cpu->head_argmax,
                          cpu->scratch,
                          cpu->input_gradient,
                          cpu->infer_gates,
                          cpu->infer_product,
                          cpu->gates_operand,
                          cpu->leaf_of_node,
                          cpu->leaf_gradient};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        free(rest[i]);
    free(cpu);
}

static int usable_cores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

static sg_status choose_precision(sg_cpu *cpu, sg_precision precision)
{
    if (precision == SG_PRECISION_TF32)
        return sg_fail(SG_E_DEVICE,
                       "precision = tf32 is for GPUs only; the CPU engine computes in fp32 or bf16");
    cpu->bf16 = precision == SG_PRECISION_BF16 || (precision == SG_PRECISION_AUTO && sg_gemm_bf16_is_fast());
    cpu->operand_size = cpu->bf16 ? 2 : 4;
    return SG_OK;
}

/* Allocates weights and what the forward pass reads; sg_cpu_pack_backward allocates the rest when it is first
 * needed, so detectors do not pay for it. */
static sg_status make_weights(sg_cpu *cpu)
{
    int64_t h = cpu->spec.units, n = cpu->spec.classes;
    SG_TRY(sg_alloc(&cpu->w, cpu->layout.count, "weights"));
    SG_TRY(sg_alloc(&cpu->token_bias, (cpu->spec.message_types + 1) * 4 * h, "weights"));
    SG_TRY(sg_alloc(&cpu->zeros, 4 * h, "weights"));
    SG_TRY(sg_alloc(&cpu->scratch, (int64_t)cpu->threads * 8 * h, "weights"));
    for (int l = 0; l < cpu->spec.layers; l++) {
        SG_TRY(sg_packed_make(cpu->gemm, h, 4 * h, false, &cpu->weights[l].recurrent));
        if (l > 0)
            SG_TRY(sg_packed_make(cpu->gemm, h, 4 * h, false, &cpu->weights[l].kernel));
    }
    return sg_packed_make(cpu->gemm, h, n, false, &cpu->dense);
}

static sg_status open_cpu(void **self, const sg_spec *spec, const sg_engine_options *options)
{
    sg_cpu *cpu;
    *self = NULL;
    SG_TRY(sg_alloc(&cpu, 1, "engine"));
    cpu->spec = *spec;
    cpu->row = sg_pointwise_select();
    cpu->packed_is_stale = cpu->transposed_is_stale = true;
    sg_layout_make(&cpu->layout, spec);
    cpu->threads = options->threads > 0 ? options->threads : usable_cores();
    omp_set_num_threads(cpu->threads);
    sg_status status = choose_precision(cpu, options->precision);
    if (status == SG_OK)
        status = sg_gemm_open(&cpu->gemm, cpu->bf16, cpu->threads);
    if (status == SG_OK)
        status = make_weights(cpu);
    if (status != SG_OK) {
        close_cpu(cpu);
        return status;
    }
    char library[96];
    sg_gemm_describe(cpu->bf16, library, sizeof library);
    snprintf(cpu->description, sizeof cpu->description, "cpu, precision=%s, %d thread%s, %s",
             cpu->bf16 ? "bf16" : "fp32", cpu->threads, cpu->threads == 1 ? "" : "s", library);
    *self = cpu;
    return SG_OK;
}

static const char *describe_cpu(const void *self)
{
    return ((const sg_cpu *)self)->description;
}

static const char *precision_cpu(const void *self)
{
    return ((const sg_cpu *)self)->bf16 ? "bf16" : "fp32";
}

static sg_timing *timing_cpu(void *self)
{
    return &((sg_cpu *)self)->timing;
}

/* ---- weights ---- */

static sg_status load_cpu(void *self, const float *weights)
{
    sg_cpu *cpu = self;
    memcpy(cpu->w, weights, cpu->layout.count * sizeof *weights);
    cpu->packed_is_stale = cpu->transposed_is_stale = true;
    return SG_OK;
}

static sg_status store_cpu(void *self, float *weights)
{
    sg_cpu *cpu = self;
    memcpy(weights, cpu->w, cpu->layout.count * sizeof *weights);
    return SG_OK;
}

static sg_status reserve_optimizer(sg_cpu *cpu)
{
    if (!cpu->m)
        SG_TRY(sg_alloc(&cpu->m, cpu->layout.count, "Adam's first moments"));
    if (!cpu->v)
        SG_TRY(sg_alloc(&cpu->v, cpu->layout.count, "Adam's second moments"));
    return SG_OK;
}

static sg_status load_optimizer_cpu(void *self, const float *m, const float *v)
{
    sg_cpu *cpu = self;
    SG_TRY(reserve_optimizer(cpu));
    memcpy(cpu->m, m, cpu->layout.count * sizeof *m);
    memcpy(cpu->v, v, cpu->layout.count * sizeof *v);
    return SG_OK;
}

static sg_status store_optimizer_cpu(void *self, float *m, float *v)
{
    sg_cpu *cpu = self;
    SG_TRY(reserve_optimizer(cpu));
    memcpy(m, cpu->m, cpu->layout.count * sizeof *m);
    memcpy(v, cpu->v, cpu->layout.count * sizeof *v);
    return SG_OK;
}

static sg_status store_gradients_cpu(void *self, float *gradients)
{
    sg_cpu *cpu = self;
    if (!cpu->gradient)
        return sg_fail(SG_E_INTERNAL, "there are no gradients yet");
    memcpy(gradients, cpu->gradient, cpu->layout.count * sizeof *gradients);
    return SG_OK;
}

/* Row 0 is the bias alone (a zero vector in), row m the bias plus row m-1 of the kernel. */
static void fill_token_bias(sg_cpu *cpu)
{
    int gates = 4 * cpu->spec.units;
    const float *kernel = cpu->w + cpu->layout.tensor[cpu->layout.kernel[0]].offset;
    const float *bias = cpu->w + cpu->layout.tensor[cpu->layout.bias[0]].offset;
    for (int m = 0; m <= cpu->spec.message_types; m++) {
        float *row = cpu->token_bias + (size_t)m * (size_t)gates;
        memcpy(row, bias, (size_t)gates * sizeof *row);
        if (m > 0)
            cpu->row->add(gates, row, kernel + (size_t)(m - 1) * (size_t)gates);
    }
}

sg_status sg_cpu_pack(sg_cpu *cpu)
{
    if (!cpu->packed_is_stale)
        return SG_OK;
    double start = sg_seconds();
    const sg_layout *at = &cpu->layout;
    for (int l = 0; l < cpu->spec.layers; l++) {
        SG_TRY(sg_packed_fill(cpu->weights[l].recurrent, cpu->w + at->tensor[at->recurrent[l]].offset));
        if (l > 0)
            SG_TRY(sg_packed_fill(cpu->weights[l].kernel, cpu->w + at->tensor[at->kernel[l]].offset));
    }
    SG_TRY(sg_packed_fill(cpu->dense, cpu->w + at->tensor[at->dense_kernel].offset));
    fill_token_bias(cpu);
    cpu->packed_is_stale = false;
    sg_cpu_account(cpu, SG_PHASE_PACKING, start, 0);
    return SG_OK;
}

static sg_status make_transposed(sg_cpu *cpu)
{
    int64_t h = cpu->spec.units, n = cpu->spec.classes;
    for (int l = 0; l < cpu->spec.layers; l++) {
        if (!cpu->weights[l].recurrent_t)
            SG_TRY(sg_packed_make(cpu->gemm, 4 * h, h, true, &cpu->weights[l].recurrent_t));
        if (l > 0 && !cpu->weights[l].kernel_t)
            SG_TRY(sg_packed_make(cpu->gemm, 4 * h, h, true, &cpu->weights[l].kernel_t));
    }
    return cpu->dense_t ? SG_OK : sg_packed_make(cpu->gemm, n, h, true, &cpu->dense_t);
}

sg_status sg_cpu_pack_backward(sg_cpu *cpu)
{
    if (!cpu->transposed_is_stale)
        return SG_OK;
    double start = sg_seconds();
    const sg_layout *at = &cpu->layout;
    SG_TRY(make_transposed(cpu));
    for (int l = 0; l < cpu->spec.layers; l++) {
        SG_TRY(sg_packed_fill(cpu->weights[l].recurrent_t, cpu->w + at->tensor[at->recurrent[l]].offset));
        if (l > 0)
            SG_TRY(sg_packed_fill(cpu->weights[l].kernel_t, cpu->w + at->tensor[at->kernel[l]].offset));
    }
    SG_TRY(sg_packed_fill(cpu->dense_t, cpu->w + at->tensor[at->dense_kernel].offset));
    cpu->transposed_is_stale = false;
    sg_cpu_account(cpu, SG_PHASE_PACKING, start, 0);
    return SG_OK;
}

void sg_cpu_account(sg_cpu *cpu, sg_phase phase, double start, double flops)
{
    cpu->timing.seconds[phase] += sg_seconds() - start;
    cpu->timing.flops[phase] += flops;
}

sg_status sg_cpu_multiply(sg_cpu *cpu, sg_phase phase, sg_packed *b, const void *a, int64_t rows, int64_t k,
                          int64_t n, float *c)
{
    double start = sg_seconds();
    SG_TRY(sg_packed_multiply(b, a, rows, c));
    sg_cpu_account(cpu, phase, start, 2.0 * (double)rows * (double)k * (double)n);
    return SG_OK;
}

void sg_operand_finish(const sg_cpu *cpu, void *row, const float *scratch, int count)
{
    if (cpu->bf16)
        cpu->row->to_bf16(count, row, scratch);
}

/* ---- Adam ---- */

/* The norm of the whole gradient, summed block by block in a fixed order. */
static sg_status gradient_norm(const sg_cpu *cpu, double *norm)
{
    int64_t count = (int64_t)cpu->layout.count, blocks = (count + ADAM_BLOCK - 1) / ADAM_BLOCK;
    double *sums, total = 0;
    SG_TRY(sg_alloc(&sums, blocks, "gradient norm"));
#pragma omp parallel for schedule(static) num_threads(cpu->threads)
    for (int64_t b = 0; b < blocks; b++) {
        int64_t first = b * ADAM_BLOCK, n = count - first < ADAM_BLOCK ? count - first : ADAM_BLOCK;
        sums[b] = cpu->row->square_sum(n, cpu->gradient + first);
    }
    for (int64_t b = 0; b < blocks; b++)
        total += sums[b];
    free(sums);
    *norm = sqrt(total);
    return SG_OK;
}

static sg_status apply_cpu(void *self, const sg_adam *adam, double *norm)
{
    sg_cpu *cpu = self;
    if (!cpu->gradient)
        return sg_fail(SG_E_INTERNAL, "there are no gradients to apply");
    SG_TRY(reserve_optimizer(cpu));
    double start = sg_seconds(), scale = 1, length = 0;
    if (norm || adam->clip_norm > 0) {
        SG_TRY(gradient_norm(cpu, &length));
        if (!isfinite(length))
            return sg_fail(SG_E_NUMERIC, "the gradient is not finite");
        if (adam->clip_norm > 0 && length > adam->clip_norm)
            scale = adam->clip_norm / length;
    }
    double t = (double)adam->update;
    float rate = (float)(adam->learning_rate * sqrt(1 - pow(adam->beta2, t)) / (1 - pow(adam->beta1, t)));
    int64_t count = (int64_t)cpu->layout.count, blocks = (count + ADAM_BLOCK - 1) / ADAM_BLOCK;
#pragma omp parallel for schedule(static) num_threads(cpu->threads)
    for (int64_t b = 0; b < blocks; b++) {
        int64_t at = b * ADAM_BLOCK, n = count - at < ADAM_BLOCK ? count - at : ADAM_BLOCK;
        cpu->row->adam(n, cpu->w + at, cpu->m + at, cpu->v + at, cpu->gradient + at, (float)scale, rate,
                       (float)(1 - adam->beta1), (float)(1 - adam->beta2), (float)adam->epsilon);
    }
    cpu->packed_is_stale = cpu->transposed_is_stale = true;
    if (norm)
        *norm = length;
    sg_cpu_account(cpu, SG_PHASE_ADAM, start, 0);
    return SG_OK;
}

const sg_backend sg_cpu_backend = {
    .shares_prefixes = true,
    .open = open_cpu,
    .close = close_cpu,
    .description = describe_cpu,
    .precision = precision_cpu,
    .load = load_cpu,
    .store = store_cpu,
    .load_optimizer = load_optimizer_cpu,
    .store_optimizer = store_optimizer_cpu,
    .gradients = sg_cpu_gradients,
    .store_gradients = store_gradients_cpu,
    .apply = apply_cpu,
    .infer = sg_cpu_infer,
    .timing = timing_cpu,
    .peak = sg_cpu_peak,
    .ceilings = sg_cpu_ceilings,
};
