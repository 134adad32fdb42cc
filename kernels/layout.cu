/* layout.cu: conversions, transposes and scatters between the engine's layouts and cuDNN's.
 *
 * Pure traffic.  convert has four packs of a thread on their way; transpose goes through a tile of shared
 * memory, so that reads and writes both run along rows; scatter_last writes the whole of dy, zeros included,
 * in one pass, each thread one pack of a row for all steps.
 */
#include "kernels/device.cuh"

namespace
{

/* ---- convert ---- */

enum { CONVERT_THREADS = 256, CONVERT_PACKS = 4 };

template <int V, typename From, typename To>
__global__ void __launch_bounds__(CONVERT_THREADS)
    convert(int64_t count, const From *__restrict__ from, To *__restrict__ to)
{
    int64_t first = ((int64_t)blockIdx.x * CONVERT_PACKS * CONVERT_THREADS + threadIdx.x) * V;
    sg_pack<V> x[CONVERT_PACKS];
    SG_UNROLL
    for (int k = 0; k < CONVERT_PACKS; k++) {
        int64_t i = first + (int64_t)k * CONVERT_THREADS * V;
        x[k] = i < count ? sg_load<V>(from + i) : sg_zeros<V>();
    }
    SG_UNROLL
    for (int k = 0; k < CONVERT_PACKS; k++) {
        int64_t i = first + (int64_t)k * CONVERT_THREADS * V;
        if (i < count)
            sg_store(to + i, x[k]);
    }
}

template <typename From, typename To>
int launch_convert(int64_t count, const void *from, void *to, sg_stream stream)
{
    bool packs = sg_packs_fit(count, from, sizeof(From)) && sg_packs_fit(count, to, sizeof(To));
    int64_t blocks = sg_blocks(count, (int64_t)CONVERT_THREADS * CONVERT_PACKS * (packs ? 4 : 1));
    return sg_launch_elements(packs ? convert<4, From, To> : convert<1, From, To>, dim3((unsigned)blocks),
                              dim3(CONVERT_THREADS), stream, count, static_cast<const From *>(from),
                              static_cast<To *>(to));
}

/* ---- transpose ---- */

enum { TILE = 32, TILE_ROWS = 8 };

struct transpose_shared {
    float tile[TILE][TILE + 1]; /* the odd width keeps columns in different banks */
};

template <typename From, typename To>
__global__ void __launch_bounds__(TILE *TILE_ROWS) transpose(sg_transpose t, int tiles)
{
    transpose_shared &shared = sg_shared<transpose_shared>();
    const From *from = static_cast<const From *>(t.from);
    To *to = static_cast<To *>(t.to);
    int64_t first_row = (int64_t)(blockIdx.x / (unsigned)tiles) * TILE;
    int64_t first_column = (int64_t)(blockIdx.x % (unsigned)tiles) * TILE;
    int x = (int)threadIdx.x, y = (int)threadIdx.y;
    SG_UNROLL
    for (int k = y; k < TILE; k += TILE_ROWS)
        if (first_row + k < t.rows && first_column + x < t.columns)
            shared.tile[k][x] = sg_load1(from + (first_row + k) * t.from_stride + first_column + x);
    __syncthreads();
    SG_UNROLL
    for (int k = y; k < TILE; k += TILE_ROWS)
        if (first_column + k < t.columns && first_row + x < t.rows)
            sg_store1(to + (first_column + k) * t.to_stride + first_row + x, shared.tile[x][k]);
}

template <typename From, typename To> int launch_transpose(const sg_transpose &t, sg_stream stream)
{
    int tiles = (int)sg_blocks(t.columns, TILE);
    return sg_launch_blocks(transpose<From, To>, dim3((unsigned)(sg_blocks(t.rows, TILE) * tiles)),
                            dim3(TILE, TILE_ROWS), sizeof(transpose_shared), stream, t, tiles);
}

/* ---- one-hot vectors ---- */

enum { ONE_HOT_THREADS = 256 };

template <typename T>
__global__ void __launch_bounds__(ONE_HOT_THREADS)
    one_hot(int64_t count, int types, const uint16_t *__restrict__ token, T *__restrict__ x)
{
    int64_t i = (int64_t)blockIdx.x * ONE_HOT_THREADS + threadIdx.x;
    if (i < count)
        sg_store1(x + i, token[i / types] == i % types + 1 ? 1.0f : 0.0f);
}

template <typename T>
int launch_one_hot(int64_t count, int types, const uint16_t *token, void *x, sg_stream stream)
{
    return sg_launch_elements(one_hot<T>, dim3((unsigned)sg_blocks(count, ONE_HOT_THREADS)),
                              dim3(ONE_HOT_THREADS), stream, count, types, token, static_cast<T *>(x));
}

/* ---- scatter to the last step ---- */

enum { SCATTER_SPLIT = 8 }; /* threads that share the steps of a pack */

template <int V, typename T>
__global__ void __launch_bounds__(SG_TILE_THREADS) scatter_last(sg_scatter_last s, int tiles)
{
    int64_t r = sg_tile_row(tiles), units = s.units;
    int unit = sg_tile_column<V>(tiles);
    if (r >= s.rows || unit >= units)
        return;
    int last = s.last[r];
    sg_pack<V> gradient = sg_load<V>(s.gradient + r * units + unit);
    if (s.scale)
        gradient = gradient * sg_load<V>(s.scale + r * units + unit);
    T *to = static_cast<T *>(s.dy) + r * units + unit;
    for (int64_t step = blockIdx.y; step < s.steps; step += gridDim.y)
        sg_store(to + step * s.rows * units, step == last ? gradient : sg_zeros<V>());
}

template <typename T> int launch_scatter(const sg_scatter_last &s, sg_stream stream)
{
    bool packs = sg_packs_fit(s.units, s.gradient, sizeof(float)) &&
                 sg_packs_fit(s.units, s.scale, sizeof(float)) && sg_packs_fit(s.units, s.dy, sizeof(T));
    sg_tiling t = sg_tile(s.rows, s.units, packs ? 4 : 1);
    t.grid.y = (unsigned)(s.steps < SCATTER_SPLIT ? s.steps : SCATTER_SPLIT);
    return sg_launch_elements(packs ? scatter_last<4, T> : scatter_last<1, T>, t.grid, t.block, stream, s,
                              t.tiles);
}

} // namespace

int sg_kernel_convert(int64_t count, const void *from, sg_operand from_type, void *to, sg_operand to_type,
                      sg_stream stream)
{
    if (count == 0)
        return 0;
    bool from_bf16 = from_type == SG_OPERAND_BF16, to_bf16 = to_type == SG_OPERAND_BF16;
    if (from_bf16)
        return to_bf16 ? launch_convert<uint16_t, uint16_t>(count, from, to, stream)
                       : launch_convert<uint16_t, float>(count, from, to, stream);
    return to_bf16 ? launch_convert<float, uint16_t>(count, from, to, stream)
                   : launch_convert<float, float>(count, from, to, stream);
}

int sg_kernel_transpose(const sg_transpose *transpose, sg_stream stream)
{
    if (transpose->rows == 0 || transpose->columns == 0)
        return 0;
    bool from_bf16 = transpose->from_type == SG_OPERAND_BF16, to_bf16 = transpose->to_type == SG_OPERAND_BF16;
    if (from_bf16)
        return to_bf16 ? launch_transpose<uint16_t, uint16_t>(*transpose, stream)
                       : launch_transpose<uint16_t, float>(*transpose, stream);
    return to_bf16 ? launch_transpose<float, uint16_t>(*transpose, stream)
                   : launch_transpose<float, float>(*transpose, stream);
}

int sg_kernel_one_hot(int64_t rows, int types, const uint16_t *token, void *x, sg_operand operand,
                      sg_stream stream)
{
    int64_t count = rows * types;
    if (count == 0)
        return 0;
    return operand == SG_OPERAND_BF16 ? launch_one_hot<uint16_t>(count, types, token, x, stream)
                                      : launch_one_hot<float>(count, types, token, x, stream);
}

int sg_kernel_scatter_last(const sg_scatter_last *scatter, sg_stream stream)
{
    if (scatter->steps == 0 || scatter->rows == 0 || scatter->units == 0)
        return 0;
    return scatter->operand == SG_OPERAND_BF16 ? launch_scatter<uint16_t>(*scatter, stream)
                                               : launch_scatter<float>(*scatter, stream);
}
