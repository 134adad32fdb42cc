/* sums.cu: sums over rows (gradients of biases and of the token table), and the norm of the gradient.
 *
 * row_sums has passes instead of atomics: chunks of rows into `partial`, chunks into groups, groups into the
 * total.  A chunk is summed row after row by threads that each have a pack of columns, with eight rows in
 * flight at once.  The chunks of a group go to the warps of a block in turn, and the warps' sums are added in
 * order; the group's sum replaces its first chunk, where the last pass finds it.  With a single group the
 * second pass is the last.
 */
#include "kernels/device.cuh"

namespace
{

enum { ROWS_AT_ONCE = 8, CHUNKS_AT_ONCE = 4, GROUP_WARPS = 8, TOTAL_THREADS = 64 };

/* ---- pass 1: rows of a chunk ---- */

template <int V, typename T>
__global__ void __launch_bounds__(SG_TILE_THREADS, SG_TILE_BLOCKS)
    sum_chunks(int columns, int tiles, const T *__restrict__ matrix, const int32_t *__restrict__ member,
               const int32_t *__restrict__ chunk_first, float *__restrict__ partial)
{
    int64_t chunk = blockIdx.x / (unsigned)tiles;
    int64_t column = ((int64_t)(blockIdx.x % (unsigned)tiles) * SG_TILE_THREADS + threadIdx.x) * V;
    if (column >= columns)
        return;
    int first = chunk_first[chunk], last = chunk_first[chunk + 1];
    sg_pack<V> sum = {};
    for (; first < last; first += ROWS_AT_ONCE) {
        sg_pack<V> row[ROWS_AT_ONCE];
        int number[ROWS_AT_ONCE];
        SG_UNROLL
        for (int i = 0; i < ROWS_AT_ONCE; i++) {
            number[i] = min(first + i, last - 1);
            if (member)
                number[i] = member[number[i]];
        }
        SG_UNROLL
        for (int i = 0; i < ROWS_AT_ONCE; i++)
            row[i] = sg_load<V>(matrix + (int64_t)number[i] * columns + column);
        SG_UNROLL
        for (int i = 0; i < ROWS_AT_ONCE; i++)
            sum = sg_add_if(first + i < last, sum, row[i]);
    }
    sg_store(partial + chunk * columns + column, sum);
}

/* ---- pass 2: chunks of a group ---- */

template <int V> struct group_shared {
    sg_pack<V> sum[GROUP_WARPS][32];
};

/* Every warp its share of the group's chunks first ... last - 1, in order. */
template <int V>
__device__ __forceinline__ sg_pack<V> sum_share(const float *from, int64_t columns, int first, int last,
                                                int warp)
{
    sg_pack<V> sum = {};
    for (int j = first + warp; j < last; j += GROUP_WARPS * CHUNKS_AT_ONCE) {
        sg_pack<V> row[CHUNKS_AT_ONCE];
        SG_UNROLL
        for (int i = 0; i < CHUNKS_AT_ONCE; i++)
            row[i] = sg_load<V>(from + min(j + i * GROUP_WARPS, last - 1) * columns);
        SG_UNROLL
        for (int i = 0; i < CHUNKS_AT_ONCE; i++)
            sum = sg_add_if(j + i * GROUP_WARPS < last, sum, row[i]);
    }
    return sum;
}

template <int V>
__global__ void __launch_bounds__(32 * GROUP_WARPS, SG_TILE_BLOCKS / 2) sum_groups(sg_row_sums s, int tiles)
{
    group_shared<V> &shared = sg_shared<group_shared<V>>();
    int64_t group = blockIdx.x / (unsigned)tiles, columns = s.columns;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int64_t column = ((int64_t)(blockIdx.x % (unsigned)tiles) * 32 + lane) * V;
    int first = s.group_first[group], last = s.group_first[group + 1];
    bool inside = column < columns;
    if (inside)
        shared.sum[warp][lane] = sum_share<V>(s.partial + column, columns, first, last, warp);
    __syncthreads();
    if (warp > 0 || !inside)
        return;
    sg_pack<V> sum = shared.sum[0][lane];
    SG_UNROLL
    for (int w = 1; w < GROUP_WARPS; w++)
        sum = sum + shared.sum[w][lane];
    if (s.kernel && group > 0)
        sg_store(s.kernel + (group - 1) * columns + column, sum);
    if (s.groups == 1)
        sg_store(s.total + column, sum);
    else if (first < last)
        sg_store(s.partial + first * columns + column, sum);
}

/* ---- pass 3: all groups ---- */

/* `partial` has no row for a group without chunks, which contributes nothing. */
template <int V> __global__ void __launch_bounds__(TOTAL_THREADS, 2 * SG_TILE_BLOCKS) sum_total(sg_row_sums s)
{
    int64_t columns = s.columns, column = ((int64_t)blockIdx.x * TOTAL_THREADS + threadIdx.x) * V;
    sg_pack<V> sum = {};
    if (column >= columns)
        return;
    if (s.chunks == 0) {
        sg_store(s.total + column, sum);
        return;
    }
    for (int g = 0; g < s.groups; g += ROWS_AT_ONCE) {
        sg_pack<V> row[ROWS_AT_ONCE];
        bool some[ROWS_AT_ONCE];
        SG_UNROLL
        for (int i = 0; i < ROWS_AT_ONCE; i++) {
            int group = min(g + i, s.groups - 1), first = s.group_first[group];
            some[i] = g + i < s.groups && first < s.group_first[group + 1];
            row[i] = sg_load<V>(s.partial + (some[i] ? first : 0) * columns + column);
        }
        SG_UNROLL
        for (int i = 0; i < ROWS_AT_ONCE; i++)
            sum = sg_add_if(some[i], sum, row[i]);
    }
    sg_store(s.total + column, sum);
}

template <int V, typename T> int launch_chunks(const sg_row_sums &s, sg_stream stream)
{
    int tiles = (int)sg_blocks(s.columns, SG_TILE_THREADS * V);
    return sg_launch_elements(sum_chunks<V, T>, dim3((unsigned)((int64_t)s.chunks * tiles)),
                              dim3(SG_TILE_THREADS), stream, s.columns, tiles,
                              static_cast<const T *>(s.matrix), s.member, s.chunk_first, s.partial);
}

template <int V> int launch_row_sums(const sg_row_sums &s, sg_stream stream)
{
    int error = 0, tiles = (int)sg_blocks(s.columns, 32 * V);
    if (s.chunks > 0)
        error = s.operand == SG_OPERAND_BF16 ? launch_chunks<V, uint16_t>(s, stream)
                                             : launch_chunks<V, float>(s, stream);
    if (error == 0 && s.groups > 0)
        error = sg_launch_blocks(sum_groups<V>, dim3((unsigned)((int64_t)s.groups * tiles)),
                                 dim3(32 * GROUP_WARPS), sizeof(group_shared<V>), stream, s, tiles);
    if (error == 0 && s.groups != 1)
        error = sg_launch_elements(sum_total<V>, dim3((unsigned)sg_blocks(s.columns, TOTAL_THREADS * V)),
                                   dim3(TOTAL_THREADS), stream, s);
    return error;
}

/* ---- the norm of the gradient ---- */

enum { NORM_THREADS = 256 };

struct norm_shared {
    double sum[NORM_THREADS / 32];
};

__device__ __forceinline__ double square(float x)
{
    return (double)x * (double)x;
}

/* A chunk: packs first, then what is left of the last one. */
__global__ void __launch_bounds__(NORM_THREADS, SG_TILE_BLOCKS / 2)
    sum_squares(int64_t count, const float *__restrict__ gradient, double *__restrict__ partial)
{
    norm_shared &shared = sg_shared<norm_shared>();
    int64_t first = (int64_t)blockIdx.x * SG_NORM_CHUNK;
    int size = count - first < SG_NORM_CHUNK ? (int)(count - first) : (int)SG_NORM_CHUNK, packs = size / 4;
    const float *chunk = gradient + first;
    double sum = 0;
    SG_UNROLL_BY(4)
    for (int i = (int)threadIdx.x; i < packs; i += NORM_THREADS) {
        sg_pack<4> g = sg_load<4>(chunk + 4 * i);
        sum += (square(g.v[0]) + square(g.v[1])) + (square(g.v[2]) + square(g.v[3]));
    }
    for (int i = 4 * packs + (int)threadIdx.x; i < size; i += NORM_THREADS)
        sum += square(chunk[i]);
    sum = sg_block_sum<NORM_THREADS>(sum, shared.sum);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(NORM_THREADS)
    finish_norm(int64_t chunks, const double *__restrict__ partial, sg_outcome *outcome)
{
    norm_shared &shared = sg_shared<norm_shared>();
    double sum = 0;
    SG_UNROLL_BY(4)
    for (int64_t i = threadIdx.x; i < chunks; i += NORM_THREADS)
        sum += partial[i];
    sum = sqrt(sg_block_sum<NORM_THREADS>(sum, shared.sum));
    if (threadIdx.x != 0)
        return;
    outcome->norm = sum;
    if (!isfinite(sum) && outcome->failed == 0)
        outcome->failed = 2;
}

} // namespace

int sg_kernel_row_sums(const sg_row_sums *sums, sg_stream stream)
{
    if (sums->columns == 0)
        return 0;
    bool packs = sg_packs_fit(sums->columns, sums->matrix, sg_operand_size(sums->operand)) &&
                 sg_packs_fit(sums->columns, sums->partial, sizeof(float)) &&
                 sg_packs_fit(sums->columns, sums->kernel, sizeof(float)) &&
                 sg_packs_fit(sums->columns, sums->total, sizeof(float));
    return packs ? launch_row_sums<4>(*sums, stream) : launch_row_sums<1>(*sums, stream);
}

int sg_kernel_norm(int64_t count, const float *gradient, double *partial, sg_outcome *outcome,
                   sg_stream stream)
{
    int64_t chunks = sg_blocks(count, SG_NORM_CHUNK);
    if (chunks == 0)
        return 0;
    int error = sg_launch_blocks(sum_squares, dim3((unsigned)chunks), dim3(NORM_THREADS), sizeof(norm_shared),
                                 stream, count, gradient, partial);
    if (error != 0)
        return error;
    return sg_launch_blocks(finish_norm, dim3(1), dim3(NORM_THREADS), sizeof(norm_shared), stream, chunks,
                            partial, outcome);
}
