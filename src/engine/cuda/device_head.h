/* device_head.h: the head of both GPU engines: last states, dropout, the dense layer, softmax and loss, and
 * back to the states; for leaves softmax and moments.
 */
#ifndef SG_ENGINE_CUDA_DEVICE_HEAD_H
#define SG_ENGINE_CUDA_DEVICE_HEAD_H

#include "engine/cuda/device_engine.h"

/* The heads of a batch (model/plan.h) on the device. */
typedef struct {
    int rows, heads;    /* B, K */
    const int32_t *row; /* [K] row of the batch whose dropout mask applies */
    const int32_t *label;
    const float *weight; /* [K] rows that a head stands for */
    const float *mask;   /* [B, H] given by the caller, or NULL */
    sg_chunks all;       /* the heads, as one group */
    sg_gather states;    /* where their last states lie: source_row [K], and h, or gates and c */
} sg_heads;

/* Whether a batch has dropout masks. */
static inline bool sg_head_has_dropout(const sg_gpu_engine *engine, const sg_batch *batch)
{
    return batch->mask || engine->weights.spec.dropout > 0;
}

/* Room for a batch. */
sg_status sg_head_reserve(sg_gpu_engine *engine, const sg_heads *heads);

/* Forward and backward: gradients of the dense layer, loss and right, and in head.gradient [K, H] those of
 * the masked states.  *scale is the masks [K, H], NULL without dropout. */
sg_status sg_head_step(sg_gpu_engine *engine, const sg_batch *batch, const sg_heads *heads,
                       const float **scale);

/* head.state [count, H] = last states, times `scale` if it is not NULL. */
sg_status sg_head_gather(sg_gpu_engine *engine, const sg_gather *states, int count, const float *scale);

/* Room for `rows` leaves; outputs first ... first + count - 1 from the leaves' states [count, H], an operand.
 */
sg_status sg_head_reserve_leaves(sg_gpu_engine *engine, int rows);
sg_status sg_head_infer(sg_gpu_engine *engine, const void *states, int first, int count, sg_outputs *outputs);

#endif
