/* cpu_engine.h: the state of a CPU engine; private to src/engine/cpu. */
#ifndef SG_ENGINE_CPU_ENGINE_H
#define SG_ENGINE_CPU_ENGINE_H

#include "engine/cpu/gemm.h"
#include "engine/cpu/pointwise.h"
#include "engine/engine.h"

/* Weights of one layer, packed for products. */
typedef struct {
    sg_packed *recurrent, *recurrent_t; /* H -> 4H forward; 4H -> H backward */
    sg_packed *kernel, *kernel_t;       /* the same for the input of layer 1; NULL for layer 0 */
} sg_cpu_weights;

/* What the forward pass of one layer leaves for the backward pass, by node. */
typedef struct {
    float *gates; /* [nodes, 4H] activations i, f, c, o; turned into gradients of the sums on the way back */
    float *c;     /* [nodes, H] */
    void *h;      /* [nodes, H] operand */
} sg_cpu_states;

typedef struct {
    sg_spec spec;
    sg_layout layout;
    int threads;
    bool bf16;
    const sg_pointwise *row; /* loops for this processor */
    size_t operand_size;     /* bytes of an operand's element: 4, or 2 for bf16 */
    char description[128];

    float *w, *m, *v, *gradient; /* [layout.count]; m, v, gradient are made when first needed */
    bool packed_is_stale, transposed_is_stale;
    sg_gemm *gemm;
    sg_cpu_weights weights[SG_LAYERS_MAX];
    sg_packed *dense, *dense_t;
    float *token_bias; /* [M + 1, 4H]: what layer 0 adds for a token, bias included; row 0 is padding */
    float *zeros;      /* [4H] */

    /* Storage of a batch, grown as needed; see reserve functions. */
    size_t node_capacity, inner_capacity, level_capacity, head_capacity, infer_capacity;
    sg_cpu_states states[SG_LAYERS_MAX];
    void *z_sum;           /* [inner, 4H] operand: gradients of one layer's sums, summed over children */
    float *input_gradient; /* [nodes, H]: what layer 1 sends down; with two layers only */
    void *gates_operand;   /* [nodes, 4H] bf16 copy of layer 1's gradients; with two layers and bf16 only */
    float *product;        /* [widest level, 4H] Z = H R, and on the way back dH = dZ R^T [widest level, H] */
    float *c_sum[2];       /* [widest level, H] gradients of cell states, by parent */
    int32_t *leaf_of_node; /* [nodes], -1: none */
    float *leaf_gradient;  /* [leaves, H] */
    float *head_mask;      /* [heads, H], with dropout */
    float *head_gradient;  /* [heads, H] */
    void *head_operand;    /* [heads, H] */
    float *head_output;    /* [heads, N] */
    void *output_operand;  /* [heads, N] */
    double *head_loss;     /* [heads] */
    int32_t *head_argmax;  /* [heads] */
    float *scratch;        /* [threads, 8H] rows of each thread */

    /* Two levels of states for inference. */
    float *infer_c[SG_LAYERS_MAX][2], *infer_gates, *infer_product;
    void *infer_h[SG_LAYERS_MAX][2];

    sg_timing timing;
} sg_cpu;

/* Packs weights for the products of the forward pass, and those of the backward pass, if they changed. */
sg_status sg_cpu_pack(sg_cpu *cpu);
sg_status sg_cpu_pack_backward(sg_cpu *cpu);

/* Adds the time since `start` to a phase, and `flops` (0 for what is no product). */
void sg_cpu_account(sg_cpu *cpu, sg_phase phase, double start, double flops);

/* One product of packed weights, accounted. */
sg_status sg_cpu_multiply(sg_cpu *cpu, sg_phase phase, sg_packed *b, const void *a, int64_t rows, int64_t k,
                          int64_t n, float *c);

/* Rows of an operand matrix. */
static inline void *sg_operand_row(const sg_cpu *cpu, const void *operand, int64_t row, int64_t width)
{
    return (char *)(uintptr_t)operand + (size_t)(row * width) * cpu->operand_size;
}

/* Where a row of floats is to be computed that ends up in an operand: in place for fp32, else in `scratch`.
 */
static inline float *sg_operand_target(const sg_cpu *cpu, void *row, float *scratch)
{
    return cpu->bf16 ? scratch : row;
}

/* Rounds the row to bf16 if the operand is; nothing to do for fp32. */
void sg_operand_finish(const sg_cpu *cpu, void *row, const float *scratch, int count);

/* The backend's functions that live in other files. */
sg_status sg_cpu_gradients(void *self, const sg_batch *batch, sg_step_result *result);
sg_status sg_cpu_infer(void *self, const sg_plan *plan, sg_outputs *outputs);
sg_status sg_cpu_peak(void *self, int64_t level_rows, int64_t all_rows, sg_peak *peak);
sg_status sg_cpu_ceilings(void *self, const sg_ceilings_shape *shape, sg_ceilings *ceilings);

#endif
