/* device.cuh: what the kernels share: launching, packs of values, the position of a thread, sums over a
 * block.
 *
 * Compiled by nvcc this is CUDA.  With SG_EMULATED it is plain C++ over tests/emulator/device.h, which runs
 * the same kernels on the host.  Kernels without barriers and shuffles are launched by sg_launch_elements,
 * all others by sg_launch_blocks: to CUDA both are the same, the emulator runs the former as a plain loop.
 */
#ifndef SG_KERNELS_DEVICE_CUH
#define SG_KERNELS_DEVICE_CUH

#include "engine/cell.h"
#include "kernels/kernels.h"

#ifdef SG_EMULATED
#include "emulator/device.h"
#define SG_UNROLL
#define SG_UNROLL_BY(count)
#else
#include <cuda_runtime.h>
#define SG_PRAGMA(text)     _Pragma(#text)
#define SG_UNROLL           _Pragma("unroll")
#define SG_UNROLL_BY(count) SG_PRAGMA(unroll count)
#endif

/* ---- launching ---- */

#ifndef SG_EMULATED

/* Reports the error of this launch only, not one that an earlier call left. */
template <typename... Parameters, typename... Arguments>
int sg_launch_blocks(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                     sg_stream stream, Arguments &&...arguments)
{
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream;
    cudaError_t error = cudaLaunchKernelEx(&config, kernel, static_cast<Arguments &&>(arguments)...);
    if (error != cudaSuccess)
        (void)cudaGetLastError();
    return (int)error;
}

template <typename... Parameters, typename... Arguments>
int sg_launch_elements(void (*kernel)(Parameters...), dim3 grid, dim3 block, sg_stream stream,
                       Arguments &&...arguments)
{
    return sg_launch_blocks(kernel, grid, block, 0, stream, static_cast<Arguments &&>(arguments)...);
}

extern __shared__ double2 sg_shared_bytes[];

/* The shared memory of the block, as a T; the launch asks for sizeof(T). */
template <typename T> __device__ __forceinline__ T &sg_shared()
{
    return *reinterpret_cast<T *>(sg_shared_bytes);
}

#endif

static inline int64_t sg_blocks(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}

/* Computes x here, unconditionally.  Otherwise the compiler moves the computation of a value that is not
 * always needed behind a branch, and the values of one thread wait for each other. */
static __device__ __forceinline__ void sg_keep(float &x)
{
#ifdef SG_EMULATED
    (void)x;
#else
    asm volatile("" : "+f"(x));
#endif
}

/* ---- packs: V consecutive values of a thread, moved in one access if V is 4 ---- */

template <int V> struct sg_pack {
    float v[V];
};

/* Whether rows of `columns` elements from `pointer` on can be moved by packs of 4. */
template <typename T> static inline bool sg_packs_fit(int64_t columns, const T *pointer, size_t size)
{
    return columns % 4 == 0 && reinterpret_cast<uintptr_t>(pointer) % (4 * size) == 0;
}

static inline size_t sg_operand_size(sg_operand operand)
{
    return operand == SG_OPERAND_BF16 ? sizeof(uint16_t) : sizeof(float);
}

static __device__ __forceinline__ float sg_load1(const float *from)
{
    return *from;
}

static __device__ __forceinline__ float sg_load1(const uint16_t *from)
{
    return sg_float_from_bf16(*from);
}

static __device__ __forceinline__ void sg_store1(float *to, float value)
{
    *to = value;
}

static __device__ __forceinline__ void sg_store1(uint16_t *to, float value)
{
    *to = sg_bf16_from_float(value);
}

static __device__ __forceinline__ sg_pack<4> sg_load4(const float *from)
{
    float4 x = *reinterpret_cast<const float4 *>(from);
    return {{x.x, x.y, x.z, x.w}};
}

static __device__ __forceinline__ sg_pack<4> sg_load4(const uint16_t *from)
{
    ushort4 x = *reinterpret_cast<const ushort4 *>(from);
    return {
        {sg_float_from_bf16(x.x), sg_float_from_bf16(x.y), sg_float_from_bf16(x.z), sg_float_from_bf16(x.w)}};
}

static __device__ __forceinline__ void sg_store4(float *to, const sg_pack<4> &x)
{
    *reinterpret_cast<float4 *>(to) = make_float4(x.v[0], x.v[1], x.v[2], x.v[3]);
}

static __device__ __forceinline__ void sg_store4(uint16_t *to, const sg_pack<4> &x)
{
    *reinterpret_cast<ushort4 *>(to) = make_ushort4(sg_bf16_from_float(x.v[0]), sg_bf16_from_float(x.v[1]),
                                                    sg_bf16_from_float(x.v[2]), sg_bf16_from_float(x.v[3]));
}

template <int V, typename T> __device__ __forceinline__ sg_pack<V> sg_load(const T *from)
{
    static_assert(V == 1 || V == 4, "packs hold 1 or 4 values");
    if constexpr (V == 4)
        return sg_load4(from);
    else
        return {{sg_load1(from)}};
}

template <typename T, int V> __device__ __forceinline__ void sg_store(T *to, const sg_pack<V> &x)
{
    static_assert(V == 1 || V == 4, "packs hold 1 or 4 values");
    if constexpr (V == 4)
        sg_store4(to, x);
    else
        sg_store1(to, x.v[0]);
}

template <int V> __device__ __forceinline__ sg_pack<V> sg_zeros()
{
    return {};
}

template <int V> __device__ __forceinline__ sg_pack<V> operator+(sg_pack<V> a, const sg_pack<V> &b)
{
    SG_UNROLL
    for (int j = 0; j < V; j++)
        a.v[j] += b.v[j];
    return a;
}

/* a + b, or a.  Loops over rows read a few at once without asking which are the last: those beyond the end
 * repeat the last one and are left out here.  A condition around the loads would make them wait for each
 * other. */
template <int V>
__device__ __forceinline__ sg_pack<V> sg_add_if(bool condition, sg_pack<V> a, const sg_pack<V> &b)
{
    SG_UNROLL
    for (int j = 0; j < V; j++)
        a.v[j] = condition ? a.v[j] + b.v[j] : a.v[j];
    return a;
}

template <int V> __device__ __forceinline__ sg_pack<V> operator*(sg_pack<V> a, const sg_pack<V> &b)
{
    SG_UNROLL
    for (int j = 0; j < V; j++)
        a.v[j] *= b.v[j];
    return a;
}

/* ---- tiles: a matrix cut so that a thread has one pack of one row ---- */

/* SG_TILE_BLOCKS of a kernel's blocks on a multiprocessor are enough: said to a kernel that reads many rows
 * at once, it makes the compiler spend registers on loads rather than on more blocks. */
enum { SG_TILE_THREADS = 128, SG_TILE_BLOCKS = 8 };

/* Lanes along a row, rows of a block, tiles of a row.  A warp has one row where rows are long enough, so that
 * what depends on the row alone (parent, token, leaf) is one broadcast load. */
struct sg_tiling {
    dim3 grid, block;
    int tiles;
};

static inline sg_tiling sg_tile(int64_t rows, int64_t columns, int pack)
{
    int64_t packs = sg_blocks(columns, pack);
    int lanes = 1;
    while (lanes < 32 && lanes < packs)
        lanes *= 2;
    sg_tiling t;
    t.tiles = (int)sg_blocks(packs, lanes);
    t.block = dim3((unsigned)lanes, (unsigned)(SG_TILE_THREADS / lanes));
    t.grid = dim3((unsigned)(sg_blocks(rows, t.block.y) * t.tiles));
    return t;
}

static __device__ __forceinline__ int64_t sg_tile_row(int tiles)
{
    return (int64_t)(blockIdx.x / (unsigned)tiles) * blockDim.y + threadIdx.y;
}

/* The first column of the thread's pack of V. */
template <int V> __device__ __forceinline__ int sg_tile_column(int tiles)
{
    return (int)((blockIdx.x % (unsigned)tiles) * blockDim.x + threadIdx.x) * V;
}

/* ---- sums over a warp and a block, in one order; all threads participate and get the same bits ---- */

template <typename T> __device__ __forceinline__ T sg_warp_sum(T x)
{
    SG_UNROLL
    for (int offset = 16; offset > 0; offset /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, offset);
    return x;
}

/* scratch: one T a warp in shared memory, used for nothing else until the next barrier. */
template <int THREADS, typename T> __device__ __forceinline__ T sg_block_sum(T x, T *scratch)
{
    x = sg_warp_sum(x);
    if (threadIdx.x % 32 == 0)
        scratch[threadIdx.x / 32] = x;
    __syncthreads();
    x = scratch[0];
    SG_UNROLL
    for (int warp = 1; warp < THREADS / 32; warp++)
        x += scratch[warp];
    return x;
}

#endif
