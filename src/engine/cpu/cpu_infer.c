/* cpu_infer.c: forward only, keeping two levels of states; then dense layer, softmax and moments of the
 * leaves. */
#include "engine/cpu/cpu_engine.h"

#include "base/log.h"
#include "base/memory.h"
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_ROWS = 512 }; /* leaves whose outputs are computed at once */

/* Place of a node within its level: inner nodes first. */
static int place_in_level(const sg_plan *plan, int t, int node)
{
    if (node < plan->inner_nodes)
        return node - plan->level_inner[t];
    return node - plan->level_end[t] + sg_plan_inner(plan, t);
}

static sg_status reserve(sg_cpu *cpu, const sg_plan *plan, float **leaf_state)
{
    size_t widest = 1, h = (size_t)cpu->spec.units;
    for (int t = 0; t < plan->steps; t++)
        if ((size_t)sg_plan_level(plan, t) > widest)
            widest = (size_t)sg_plan_level(plan, t);
    SG_TRY(sg_alloc(leaf_state, (size_t)plan->leaves * h, "states of leaves"));
    if (widest <= cpu->infer_capacity)
        return SG_OK;
    for (int l = 0; l < cpu->spec.layers; l++) {
        for (int k = 0; k < 2; k++) {
            free(cpu->infer_c[l][k]);
            free(cpu->infer_h[l][k]);
            cpu->infer_c[l][k] = NULL;
            cpu->infer_h[l][k] = NULL;
            SG_TRY(sg_alloc(&cpu->infer_c[l][k], widest * h, "states of a level"));
            SG_TRY(sg_alloc_bytes(&cpu->infer_h[l][k], widest * h, cpu->operand_size, "states of a level"));
        }
    }
    free(cpu->infer_gates);
    free(cpu->infer_product);
    cpu->infer_gates = cpu->infer_product = NULL;
    SG_TRY(sg_alloc(&cpu->infer_gates, widest * 4 * h, "states of a level"));
    SG_TRY(sg_alloc(&cpu->infer_product, widest * 4 * h, "states of a level"));
    cpu->infer_capacity = widest;
    return SG_OK;
}

/* States of one layer at level t from those at t-1; infer_gates holds the input product of layers above the
 * first. */
static void level_states(sg_cpu *cpu, const sg_plan *plan, int layer, int t)
{
    size_t h = (size_t)cpu->spec.units;
    const float *bias = layer == 0 ? cpu->zeros : cpu->w + cpu->layout.tensor[cpu->layout.bias[layer]].offset;
    const float *c_old = cpu->infer_c[layer][(t + 1) & 1];
    int count = sg_plan_level(plan, t);
#pragma omp parallel for schedule(static) num_threads(cpu->threads)
    for (int j = 0; j < count; j++) {
        int node = sg_plan_node(plan, t, j), parent = plan->parent[node];
        size_t from = parent < 0 ? 0 : (size_t)place_in_level(plan, t - 1, parent);
        const float *z = parent < 0 ? cpu->zeros : cpu->infer_product + from * 4 * h;
        const float *c_before = parent < 0 ? cpu->zeros : c_old + from * h;
        float *gates = cpu->infer_gates + (size_t)j * 4 * h;
        const float *x = layer == 0 ? cpu->token_bias + plan->token[node] * 4 * h : gates;
        void *row = sg_operand_row(cpu, cpu->infer_h[layer][t & 1], j, (int64_t)h);
        float *target = sg_operand_target(cpu, row, cpu->scratch + (size_t)omp_get_thread_num() * 8 * h);
        cpu->row->cell_forward((int)h, z, x, bias, c_before, gates,
                               cpu->infer_c[layer][t & 1] + (size_t)j * h, target);
        sg_operand_finish(cpu, row, target, (int)h);
    }
}

/* Keeps the top states of the leaves that end at level t. */
static void keep_leaves(sg_cpu *cpu, const sg_plan *plan, const int32_t *leaf_of_node, int t,
                        float *leaf_state)
{
    size_t h = (size_t)cpu->spec.units;
    const float *c = cpu->infer_c[cpu->spec.layers - 1][t & 1];
    int count = sg_plan_level(plan, t);
#pragma omp parallel for schedule(static) num_threads(cpu->threads)
    for (int j = 0; j < count; j++) {
        int leaf = leaf_of_node[sg_plan_node(plan, t, j)];
        if (leaf >= 0)
            cpu->row->output((int)h, cpu->infer_gates + ((size_t)j * 4 + 3) * h, c + (size_t)j * h,
                             leaf_state + (size_t)leaf * h);
    }
}

static sg_status run_levels(sg_cpu *cpu, const sg_plan *plan, const int32_t *leaf_of_node, float *leaf_state)
{
    int64_t h = cpu->spec.units;
    for (int t = 0; t < plan->steps; t++) {
        for (int layer = 0; layer < cpu->spec.layers; layer++) {
            if (layer > 0)
                SG_TRY(sg_cpu_multiply(cpu, SG_PHASE_FORWARD, cpu->weights[layer].kernel,
                                       cpu->infer_h[layer - 1][t & 1], sg_plan_level(plan, t), h, 4 * h,
                                       cpu->infer_gates));
            /* Only inner nodes have children, and they come first. */
            if (t > 0)
                SG_TRY(sg_cpu_multiply(cpu, SG_PHASE_FORWARD, cpu->weights[layer].recurrent,
                                       cpu->infer_h[layer][(t + 1) & 1], sg_plan_inner(plan, t - 1), h, 4 * h,
                                       cpu->infer_product));
            double start = sg_seconds();
            level_states(cpu, plan, layer, t);
            sg_cpu_account(cpu, SG_PHASE_POINTWISE, start, 0);
        }
        keep_leaves(cpu, plan, leaf_of_node, t, leaf_state);
    }
    return SG_OK;
}

/* Dense layer, softmax and moments of leaves [first, first + count). */
static sg_status run_head(sg_cpu *cpu, const float *leaf_state, int first, int count, void *operand,
                          float *rows, sg_outputs *outputs)
{
    int64_t h = cpu->spec.units, n = cpu->spec.classes;
    const float *bias = cpu->w + cpu->layout.tensor[cpu->layout.dense_bias].offset;
    const void *a = leaf_state + first * h;
    if (cpu->bf16) {
        cpu->row->to_bf16((int)(count * h), operand, a);
        a = operand;
    }
    SG_TRY(sg_cpu_multiply(cpu, SG_PHASE_HEAD, cpu->dense, a, count, h, n, rows));
    double start = sg_seconds();
#pragma omp parallel for schedule(static) num_threads(cpu->threads)
    for (int j = 0; j < count; j++) {
        int leaf = first + j, argmax;
        float *p = rows + (size_t)j * (size_t)n;
        cpu->row->softmax((int)n, p, bias, &argmax);
        outputs->argmax[leaf] = argmax;
        outputs->p_max[leaf] = p[argmax];
        cpu->row->moments((int)n, p, &outputs->skewness[leaf], &outputs->kurtosis[leaf]);
        if (outputs->probabilities)
            memcpy(outputs->probabilities + (size_t)leaf * (size_t)n, p, (size_t)n * sizeof *p);
    }
    sg_cpu_account(cpu, SG_PHASE_SOFTMAX, start, 0);
    return SG_OK;
}

static sg_status run_heads(sg_cpu *cpu, const sg_plan *plan, const float *leaf_state, sg_outputs *outputs)
{
    void *operand = NULL;
    float *rows = NULL;
    sg_status status = sg_alloc(&rows, (int64_t)HEAD_ROWS * cpu->spec.classes, "outputs");
    if (status == SG_OK && cpu->bf16)
        status = sg_alloc_bytes(&operand, (size_t)HEAD_ROWS * (size_t)cpu->spec.units, 2, "outputs");
    for (int first = 0; status == SG_OK && first < plan->leaves; first += HEAD_ROWS) {
        int count = plan->leaves - first < HEAD_ROWS ? plan->leaves - first : HEAD_ROWS;
        status = run_head(cpu, leaf_state, first, count, operand, rows, outputs);
    }
    free(rows);
    free(operand);
    return status;
}

sg_status sg_cpu_infer(void *self, const sg_plan *plan, sg_outputs *outputs)
{
    sg_cpu *cpu = self;
    float *leaf_state = NULL;
    int32_t *leaf_of_node = NULL;
    sg_status status = sg_alloc(&leaf_of_node, plan->nodes, "leaves");
    if (status == SG_OK)
        status = reserve(cpu, plan, &leaf_state);
    if (status == SG_OK)
        status = sg_cpu_pack(cpu);
    if (status == SG_OK) {
        memset(leaf_of_node, 0xff, (size_t)plan->nodes * sizeof *leaf_of_node);
        for (int l = 0; l < plan->leaves; l++)
            leaf_of_node[plan->leaf_node[l]] = l;
        status = run_levels(cpu, plan, leaf_of_node, leaf_state);
    }
    if (status == SG_OK)
        status = run_heads(cpu, plan, leaf_state, outputs);
    free(leaf_of_node);
    free(leaf_state);
    return status;
}
