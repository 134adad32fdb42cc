/* softmax.cu: bias, softmax and, in training, cross-entropy and its gradient, in one pass over the outputs.
 *
 * A block has one row.  Rows of up to 4096 columns stay in registers between the three steps (maximum, sum of
 * exponentials, result), so that each output is read once and written once; the bf16 copy that the next
 * products read is written on the way.  Longer rows, and rows that cannot be moved by packs, are read again
 * from memory for each step; a row is then still in cache.
 *
 * The maximum does not see NaN, but the sum does: such a row has a loss of NaN.
 */
#include "kernels/device.cuh"

namespace
{

enum { LONG_ROW_THREADS = 256 };

struct top {
    float value;
    int column;
};

__device__ __forceinline__ top no_top()
{
    return {-INFINITY, INT32_MAX};
}

/* The larger of two; on ties, that of the lower column. */
__device__ __forceinline__ top higher(top a, top b)
{
    return b.value > a.value || (b.value == a.value && b.column < a.column) ? b : a;
}

struct row_shared {
    float value[LONG_ROW_THREADS / 32], sum[LONG_ROW_THREADS / 32];
    int column[LONG_ROW_THREADS / 32];
};

/* Of the block's values, to all threads. */
template <int THREADS> __device__ __forceinline__ top block_top(top best, row_shared &shared)
{
    SG_UNROLL
    for (int offset = 16; offset > 0; offset /= 2) {
        top other = {__shfl_xor_sync(0xffffffffu, best.value, offset),
                     __shfl_xor_sync(0xffffffffu, best.column, offset)};
        best = higher(best, other);
    }
    if (threadIdx.x % 32 == 0) {
        shared.value[threadIdx.x / 32] = best.value;
        shared.column[threadIdx.x / 32] = best.column;
    }
    __syncthreads();
    best = no_top();
    SG_UNROLL
    for (int warp = 0; warp < THREADS / 32; warp++)
        best = higher(best, {shared.value[warp], shared.column[warp]});
    return best;
}

/* ---- what is done with a row ---- */

/* Training: weight * scale * (p - onehot(label)), its bf16 copy, and the loss. */
struct loss_result {
    sg_softmax_loss s;
    struct row {
        float *outputs;
        uint16_t *gradient; /* or NULL */
        int label;
        float scale, label_output;
    };

    /* Before the first barrier, after which outputs change.  A label that is no class gives no loss. */
    __device__ __forceinline__ row open(int64_t k) const
    {
        uint16_t *gradient = static_cast<uint16_t *>(s.gradient);
        row r = {s.outputs + k * s.width, gradient ? gradient + k * s.width : nullptr, s.label[k],
                 s.weight[k] * s.scale, NAN};
        if (r.label >= 0 && r.label < s.classes)
            r.label_output = r.outputs[r.label] + s.bias[r.label];
        return r;
    }

    __device__ __forceinline__ float factor(const row &r, float sum) const
    {
        return r.scale / sum;
    }

    template <int V> __device__ __forceinline__ void put(const row &r, int column, sg_pack<V> p) const
    {
        SG_UNROLL
        for (int j = 0; j < V; j++)
            if (column + j == r.label)
                p.v[j] -= r.scale;
        sg_store(r.outputs + column, p);
        if (r.gradient)
            sg_store(r.gradient + column, p);
    }

    __device__ __forceinline__ void finish(const row &r, int64_t k, top best, float sum) const
    {
        s.loss[k] = log((double)sum) + ((double)best.value - (double)r.label_output);
        s.argmax[k] = min(best.column, s.classes - 1);
    }
};

/* Inference: p, its largest value and where it stands. */
struct rows_result {
    sg_softmax_rows s;
    struct row {
        float *outputs;
    };

    __device__ __forceinline__ row open(int64_t k) const
    {
        return {s.outputs + k * s.width};
    }

    __device__ __forceinline__ float factor(const row &, float sum) const
    {
        return 1.0f / sum;
    }

    template <int V> __device__ __forceinline__ void put(const row &r, int column, const sg_pack<V> &p) const
    {
        sg_store(r.outputs + column, p);
    }

    /* exp(0) is 1, so the largest p is the factor itself. */
    __device__ __forceinline__ void finish(const row &r, int64_t k, top best, float sum) const
    {
        s.argmax[k] = min(best.column, s.classes - 1);
        s.p_max[k] = factor(r, sum);
    }
};

/* ---- rows in registers ---- */

/* PACKS packs of 4 in each of THREADS threads; pack i of thread t is columns 4 (t + i THREADS) .... */
template <int THREADS, int PACKS, typename Result>
__global__ void __launch_bounds__(THREADS) short_rows(Result result)
{
    row_shared &shared = sg_shared<row_shared>();
    int classes = result.s.classes, width = result.s.width, first = 4 * (int)threadIdx.x;
    auto row = result.open(blockIdx.x);
    sg_pack<4> x[PACKS], bias[PACKS];
    SG_UNROLL
    for (int i = 0; i < PACKS; i++) {
        int column = first + 4 * i * THREADS;
        x[i] = column < classes ? sg_load<4>(row.outputs + column) : sg_zeros<4>();
        bias[i] = column + 4 <= classes ? sg_load<4>(result.s.bias + column) : sg_zeros<4>();
    }
    top best = no_top();
    SG_UNROLL
    for (int i = 0; i < 4 * PACKS; i++) {
        int column = first + 4 * (i / 4) * THREADS + i % 4;
        if (column < classes && column >= classes / 4 * 4) /* the last pack, if it is not full */
            bias[i / 4].v[i % 4] = result.s.bias[column];
        float output = column < classes ? x[i / 4].v[i % 4] + bias[i / 4].v[i % 4] : -INFINITY;
        x[i / 4].v[i % 4] = output;
        best = higher(best, {output, column});
    }
    best = block_top<THREADS>(best, shared);
    float sum = 0;
    SG_UNROLL
    for (int i = 0; i < 4 * PACKS; i++) {
        int column = first + 4 * (i / 4) * THREADS + i % 4;
        float e = sg_exp(x[i / 4].v[i % 4] - best.value);
        sg_keep(e);
        x[i / 4].v[i % 4] = column < classes ? e : 0.0f;
        sum += x[i / 4].v[i % 4];
    }
    sum = sg_block_sum<THREADS>(sum, shared.sum);
    float factor = result.factor(row, sum);
    SG_UNROLL
    for (int i = 0; i < PACKS; i++) {
        int column = first + 4 * i * THREADS;
        SG_UNROLL
        for (int j = 0; j < 4; j++)
            x[i].v[j] = column + j < classes ? x[i].v[j] * factor : 0.0f;
        if (column < width)
            result.put(row, column, x[i]);
    }
    if (threadIdx.x == 0)
        result.finish(row, blockIdx.x, best, sum);
}

/* ---- rows in memory ---- */

template <typename Result> __global__ void __launch_bounds__(LONG_ROW_THREADS) long_rows(Result result)
{
    row_shared &shared = sg_shared<row_shared>();
    int64_t classes = result.s.classes, width = result.s.width;
    auto row = result.open(blockIdx.x);
    top best = no_top();
    for (int64_t column = threadIdx.x; column < classes; column += LONG_ROW_THREADS) {
        float output = row.outputs[column] + result.s.bias[column];
        best = higher(best, {output, (int)column});
    }
    best = block_top<LONG_ROW_THREADS>(best, shared);
    float sum = 0;
    for (int64_t column = threadIdx.x; column < classes; column += LONG_ROW_THREADS) {
        float e = sg_exp(row.outputs[column] + result.s.bias[column] - best.value);
        row.outputs[column] = e;
        sum += e;
    }
    sum = sg_block_sum<LONG_ROW_THREADS>(sum, shared.sum);
    float factor = result.factor(row, sum);
    for (int64_t column = threadIdx.x; column < width; column += LONG_ROW_THREADS) {
        sg_pack<1> p = {{column < classes ? row.outputs[column] * factor : 0.0f}};
        result.put(row, (int)column, p);
    }
    if (threadIdx.x == 0)
        result.finish(row, blockIdx.x, best, sum);
}

template <int THREADS, int PACKS, typename Result>
int launch_short(int rows, const Result &result, sg_stream stream)
{
    return sg_launch_blocks(short_rows<THREADS, PACKS, Result>, dim3((unsigned)rows), dim3(THREADS),
                            sizeof(row_shared), stream, result);
}

template <typename Result> int launch(int rows, bool packs, const Result &result, sg_stream stream)
{
    int width = result.s.width;
    if (packs && width <= 512)
        return launch_short<128, 1>(rows, result, stream);
    if (packs && width <= 1024)
        return launch_short<128, 2>(rows, result, stream);
    if (packs && width <= 1536)
        return launch_short<128, 3>(rows, result, stream);
    if (packs && width <= 2048)
        return launch_short<128, 4>(rows, result, stream);
    if (packs && width <= 4096)
        return launch_short<256, 4>(rows, result, stream);
    return sg_launch_blocks(long_rows<Result>, dim3((unsigned)rows), dim3(LONG_ROW_THREADS),
                            sizeof(row_shared), stream, result);
}

} // namespace

int sg_kernel_softmax_loss(const sg_softmax_loss *softmax, sg_stream stream)
{
    if (softmax->heads == 0 || softmax->classes == 0)
        return 0;
    bool packs = sg_packs_fit(softmax->width, softmax->outputs, sizeof(float)) &&
                 sg_packs_fit(softmax->width, softmax->gradient, sizeof(uint16_t)) &&
                 sg_packs_fit(4, softmax->bias, sizeof(float));
    return launch(softmax->heads, packs, loss_result{*softmax}, stream);
}

int sg_kernel_softmax_rows(const sg_softmax_rows *softmax, sg_stream stream)
{
    if (softmax->rows == 0 || softmax->classes == 0)
        return 0;
    bool packs = sg_packs_fit(softmax->width, softmax->outputs, sizeof(float)) &&
                 sg_packs_fit(4, softmax->bias, sizeof(float));
    return launch(softmax->rows, packs, rows_result{*softmax}, stream);
}
