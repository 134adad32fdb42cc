/* cuda_state.h: the state of a trie engine on a GPU; private to src/engine/cuda. */
#ifndef SG_ENGINE_CUDA_CUDA_STATE_H
#define SG_ENGINE_CUDA_CUDA_STATE_H

#include "engine/cuda/device_head.h"

/* What the forward pass of one layer leaves for the backward pass, by node. */
typedef struct {
    sg_block gates; /* [nodes, 4H] activations i, f, c, o */
    sg_block c;     /* [nodes, H] */
    sg_block h;     /* [nodes, H] operand */
} sg_cuda_states;

/* A batch's plan on the device: the arrays of model/plan.h and what follows from them. */
typedef struct {
    const int32_t *parent, *child_first, *child, *leaf_of_node;
    const uint16_t *token;
    const int32_t *head_first; /* [leaves + 1] */
    sg_heads heads;            /* but for where the states lie */
    sg_chunks by_token;        /* nodes by token: gradients of layer 0's kernel and bias */
    sg_chunks nodes;           /* all nodes: gradient of a higher layer's bias */
} sg_cuda_plan;

typedef struct {
    sg_gpu_engine base;
    sg_block table; /* [M + 1, 4H]: what layer 0 adds for a token, bias included; row 0 is padding */

    /* Storage of a batch, grown as needed. */
    sg_block batch; /* the staged plan */
    sg_cuda_plan plan;
    sg_cuda_states states[SG_LAYERS_MAX];
    sg_block dz;             /* [nodes, 4H] bf16 gradients of the sums; as floats they replace the gates */
    sg_block z_sum;          /* [inner nodes, 4H] operand: the same, summed over children; of one layer */
    sg_block input_gradient; /* [nodes, H]: what layer 1 sends down */
    sg_block product;        /* [widest level, 4H] Z = H R, and on the way back dH = dZ R^T */
    sg_block c_sum[2];       /* [widest level, H] gradients of cell states, by parent */
    sg_block leaf_gradient;  /* [leaves, H] */

    /* Inference: two levels of states, then blocks of leaves. */
    sg_block infer_c[SG_LAYERS_MAX][2], infer_h[SG_LAYERS_MAX][2], infer_x, leaf_h;

    bool graphs;
    bool warm; /* a step has run, so what is made on first use is there when a graph is captured */
    cudaGraphExec_t graph; /* the last step's, updated for the next */
} sg_cuda;

/* Brings the token table up to date. */
sg_status sg_cuda_refresh(sg_cuda *cuda);

/* Enqueues forward and backward of a batch; the outcome's loss and right are set on the device.  Storage and
 * plan must have been prepared. */
sg_status sg_cuda_prepare(sg_cuda *cuda, const sg_batch *batch);
sg_status sg_cuda_enqueue_gradients(sg_cuda *cuda, const sg_batch *batch);

/* Copies the plan to the device; `labels`: heads and what only the backward pass needs, too. */
sg_status sg_cuda_stage_plan(sg_cuda *cuda, const sg_plan *plan, const float *mask, bool labels);

/* sg_backend.infer. */
sg_status sg_cuda_infer(void *self, const sg_plan *plan, sg_outputs *outputs);

/* Row `row` of an operand matrix of rows of `width`. */
static inline void *sg_operand_at(const sg_cuda *cuda, const sg_block *block, int64_t row, int64_t width)
{
    return (char *)block->data + (size_t)(row * width) * cuda->base.gpu.operand_size;
}

#endif
