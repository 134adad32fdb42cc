/* head.cu: from the states of the leaves to the operand of the dense layer and back.
 *
 * gather fuses h = o tanh(c), the dropout mask and the rounding to an operand; sum_heads fuses the mask and
 * the sum over the heads of a leaf; dropout draws the masks once for both.  Heads are few, so these kernels
 * are short: a thread has one pack of a row.
 */
#include "kernels/device.cuh"

namespace
{

/* ---- dropout ---- */

/* Four consecutive numbers of the mask's stream from `index` on: of one block of Philox, or of two. */
__device__ __forceinline__ void draw_scales(const sg_dropout &d, uint64_t index, float scale[4])
{
    unsigned skip = index & 3;
    sg_random4 words = sg_random_block(d.seed, SG_RANDOM_DROPOUT, d.update, index >> 2), more = {};
    if (skip > 0)
        more = sg_random_block(d.seed, SG_RANDOM_DROPOUT, d.update, (index >> 2) + 1);
    uint32_t all[7] = {words.v[0], words.v[1], words.v[2], words.v[3], more.v[0], more.v[1], more.v[2]};
    SG_UNROLL
    for (int j = 0; j < 4; j++) {
        uint32_t bits = skip == 0 ? all[j] : skip == 1 ? all[j + 1] : skip == 2 ? all[j + 2] : all[j + 3];
        scale[j] = sg_dropout_scale(bits, d.rate);
    }
}

__global__ void __launch_bounds__(SG_TILE_THREADS) dropout_masks(sg_dropout d, bool packs, int tiles)
{
    int64_t k = sg_tile_row(tiles);
    int column = sg_tile_column<4>(tiles);
    if (k >= d.heads || column >= d.width)
        return;
    int64_t first = (int64_t)d.row[k] * d.units + column;
    float *to = d.scale + k * d.width + column;
    sg_pack<4> scale = {};
    if (!d.given && column < d.units)
        draw_scales(d, (uint64_t)first, scale.v);
    SG_UNROLL
    for (int j = 0; j < 4; j++) {
        if (column + j >= d.units)
            scale.v[j] = 0;
        else if (d.given)
            scale.v[j] = d.given[first + j];
    }
    if (packs) {
        sg_store(to, scale);
        return;
    }
    SG_UNROLL
    for (int j = 0; j < 4; j++)
        if (column + j < d.width)
            to[j] = scale.v[j];
}

/* ---- gather ---- */

template <int V, typename T>
__global__ void __launch_bounds__(SG_TILE_THREADS) gather_heads(sg_gather g, int tiles)
{
    int64_t k = sg_tile_row(tiles), units = g.units;
    int unit = sg_tile_column<V>(tiles);
    if (k >= g.heads || unit >= units)
        return;
    int64_t row = g.source_row[k];
    sg_pack<V> h;
    if (g.gates) {
        sg_pack<V> o = sg_load<V>(g.gates + (row * 4 + 3) * units + unit);
        sg_pack<V> c = sg_load<V>(g.c + row * units + unit);
        SG_UNROLL
        for (int j = 0; j < V; j++)
            h.v[j] = o.v[j] * sg_tanh(c.v[j]);
    } else {
        h = sg_load<V>(static_cast<const T *>(g.h) + row * units + unit);
    }
    if (g.scale)
        h = h * sg_load<V>(g.scale + k * units + unit);
    sg_store(static_cast<T *>(g.out) + k * units + unit, h);
}

template <typename T> int launch_gather(const sg_gather &g, sg_stream stream)
{
    bool packs = sg_packs_fit(g.units, g.gates, sizeof(float)) && sg_packs_fit(g.units, g.c, sizeof(float)) &&
                 sg_packs_fit(g.units, g.h, sizeof(T)) && sg_packs_fit(g.units, g.scale, sizeof(float)) &&
                 sg_packs_fit(g.units, g.out, sizeof(T));
    sg_tiling t = sg_tile(g.heads, g.units, packs ? 4 : 1);
    return sg_launch_elements(packs ? gather_heads<4, T> : gather_heads<1, T>, t.grid, t.block, stream, g,
                              t.tiles);
}

/* ---- sums over the heads of a leaf ---- */

enum { HEADS_AT_ONCE = 4 };

template <int V>
__global__ void __launch_bounds__(SG_TILE_THREADS, SG_TILE_BLOCKS)
    sum_leaves(int leaves, int units, const int32_t *__restrict__ head_first,
               const float *__restrict__ gradient, const float *__restrict__ scale, float *__restrict__ to,
               int tiles)
{
    int64_t leaf = sg_tile_row(tiles);
    int unit = sg_tile_column<V>(tiles);
    if (leaf >= leaves || unit >= units)
        return;
    int k = head_first[leaf], last = head_first[leaf + 1];
    sg_pack<V> sum = {};
    for (; k < last; k += HEADS_AT_ONCE) {
        sg_pack<V> row[HEADS_AT_ONCE];
        SG_UNROLL
        for (int i = 0; i < HEADS_AT_ONCE; i++) {
            int64_t at = (int64_t)min(k + i, last - 1) * units + unit;
            row[i] = sg_load<V>(gradient + at);
            if (scale)
                row[i] = row[i] * sg_load<V>(scale + at);
        }
        SG_UNROLL
        for (int i = 0; i < HEADS_AT_ONCE; i++)
            sum = sg_add_if(k + i < last, sum, row[i]);
    }
    sg_store(to + leaf * units + unit, sum);
}

/* ---- loss and right answers of the batch ---- */

enum { RESULT_THREADS = 256 };

struct result_shared {
    double loss[RESULT_THREADS / 32];
    int64_t right[RESULT_THREADS / 32];
};

__global__ void __launch_bounds__(RESULT_THREADS)
    sum_result(int heads, const double *__restrict__ loss, const int32_t *__restrict__ argmax,
               const int32_t *__restrict__ label, const float *__restrict__ weight, double scale,
               sg_outcome *outcome)
{
    result_shared &shared = sg_shared<result_shared>();
    double sum = 0;
    int64_t right = 0;
    for (int64_t k = threadIdx.x; k < heads; k += RESULT_THREADS) {
        sum += (double)weight[k] * loss[k];
        right += argmax[k] == label[k] ? (int64_t)weight[k] : 0;
    }
    sum = sg_block_sum<RESULT_THREADS>(sum, shared.loss) * scale;
    right = sg_block_sum<RESULT_THREADS>(right, shared.right);
    if (threadIdx.x != 0)
        return;
    outcome->loss = sum;
    outcome->right = right;
    if (!isfinite(sum) && outcome->failed == 0)
        outcome->failed = 1;
}

} // namespace

int sg_kernel_dropout(const sg_dropout *dropout, sg_stream stream)
{
    if (dropout->heads == 0 || dropout->width == 0)
        return 0;
    sg_tiling t = sg_tile(dropout->heads, dropout->width, 4);
    bool packs = sg_packs_fit(dropout->width, dropout->scale, sizeof(float));
    return sg_launch_elements(dropout_masks, t.grid, t.block, stream, *dropout, packs, t.tiles);
}

int sg_kernel_gather(const sg_gather *gather, sg_stream stream)
{
    if (gather->heads == 0 || gather->units == 0)
        return 0;
    return gather->operand == SG_OPERAND_BF16 ? launch_gather<uint16_t>(*gather, stream)
                                              : launch_gather<float>(*gather, stream);
}

int sg_kernel_sum_heads(int leaves, int units, const int32_t *head_first, const float *gradient,
                        const float *scale, float *leaf_gradient, sg_stream stream)
{
    if (leaves == 0 || units == 0)
        return 0;
    bool packs = sg_packs_fit(units, gradient, sizeof(float)) && sg_packs_fit(units, scale, sizeof(float)) &&
                 sg_packs_fit(units, leaf_gradient, sizeof(float));
    sg_tiling t = sg_tile(leaves, units, packs ? 4 : 1);
    return sg_launch_elements(packs ? sum_leaves<4> : sum_leaves<1>, t.grid, t.block, stream, leaves, units,
                              head_first, gradient, scale, leaf_gradient, t.tiles);
}

int sg_kernel_batch_result(int heads, const double *loss, const int32_t *argmax, const int32_t *label,
                           const float *weight, double scale, sg_outcome *outcome, sg_stream stream)
{
    if (heads == 0)
        return 0;
    return sg_launch_blocks(sum_result, dim3(1), dim3(RESULT_THREADS), sizeof(result_shared), stream, heads,
                            loss, argmax, label, weight, scale, outcome);
}
