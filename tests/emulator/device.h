/* device.h: the part of CUDA C++ that kernels/ uses, on the host.
 *
 * A launch runs its blocks one after the other in the calling thread.  sg_launch_elements loops over the
 * threads of a block.  sg_launch_blocks gives each a fiber, so that barriers and shuffles work; it fills
 * shared memory with NaN before each block, runs the threads of every other block in reverse order (a missing
 * barrier shows), and aborts with a message where barriers or shuffles are not reached by all.
 * Several host threads may launch at the same time.
 */
#ifndef EMULATOR_DEVICE_H
#define EMULATOR_DEVICE_H

#ifdef __cplusplus
extern "C" {
#endif

/* Called at each launch; an error other than 0 is what the launch returns, and the kernel does not run. */
int cuda_emulator_before_launch(void);

#ifdef __cplusplus
}

#include <cstddef>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)

struct uint3 {
    unsigned x, y, z;
};

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct alignas(16) float4 {
    float x, y, z, w;
};

struct alignas(8) ushort4 {
    uint16_t x, y, z, w;
};

static inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}

static inline ushort4 make_ushort4(uint16_t x, uint16_t y, uint16_t z, uint16_t w)
{
    return {x, y, z, w};
}

static inline int min(int a, int b)
{
    return a < b ? a : b;
}

/* Of the thread that is running. */
extern __thread uint3 threadIdx, blockIdx, blockDim, gridDim;

template <typename T> static inline T __ldg(const T *from)
{
    return *from;
}

/* ---- barriers and shuffles; in kernels of sg_launch_blocks only ---- */

void __syncthreads();
void __syncwarp(unsigned mask = 0xffffffffu);

/* Waits for all lanes of `mask`, then returns the `bits` of the lane `from`. */
uint64_t cuda_emulator_exchange(unsigned mask, uint64_t bits, unsigned from);
unsigned cuda_emulator_lane();

template <typename T> static inline T cuda_emulator_shuffle(unsigned mask, T value, unsigned from)
{
    static_assert(sizeof(T) <= sizeof(uint64_t), "shuffles move up to 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = cuda_emulator_exchange(mask, bits, from);
    memcpy(&value, &bits, sizeof value);
    return value;
}

template <typename T> static inline T __shfl_xor_sync(unsigned mask, T value, int lanes)
{
    return cuda_emulator_shuffle(mask, value, cuda_emulator_lane() ^ (unsigned)lanes);
}

template <typename T> static inline T __shfl_down_sync(unsigned mask, T value, unsigned lanes)
{
    unsigned lane = cuda_emulator_lane();
    return cuda_emulator_shuffle(mask, value, lane + lanes < 32 ? lane + lanes : lane);
}

template <typename T> static inline T __shfl_sync(unsigned mask, T value, int lane)
{
    return cuda_emulator_shuffle(mask, value, (unsigned)lane % 32);
}

/* ---- shared memory ---- */

void *cuda_emulator_shared(size_t bytes); /* of the block; aborts if the launch asked for less */

template <typename T> static inline T &sg_shared()
{
    return *static_cast<T *>(cuda_emulator_shared(sizeof(T)));
}

/* ---- launching ---- */

/* 0, or what CUDA says of a grid it cannot run; asks cuda_emulator_before_launch(). */
int cuda_emulator_check_launch(dim3 grid, dim3 block);

/* Runs `body(of)` for each thread of each block: as fibers, or as a loop. */
void cuda_emulator_run(dim3 grid, dim3 block, size_t shared_bytes, bool fibers, void (*body)(void *),
                       void *of);

template <typename Call>
static inline int cuda_emulator_launch(dim3 grid, dim3 block, size_t shared_bytes, bool fibers, Call call)
{
    int error = cuda_emulator_check_launch(grid, block);
    if (error == 0)
        cuda_emulator_run(
            grid, block, shared_bytes, fibers, [](void *of) { (*static_cast<Call *>(of))(); }, &call);
    return error;
}

template <typename Stream, typename... Parameters, typename... Arguments>
int sg_launch_blocks(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, Stream,
                     Arguments... arguments)
{
    return cuda_emulator_launch(grid, block, shared_bytes, true, [=] { kernel(arguments...); });
}

template <typename Stream, typename... Parameters, typename... Arguments>
int sg_launch_elements(void (*kernel)(Parameters...), dim3 grid, dim3 block, Stream, Arguments... arguments)
{
    return cuda_emulator_launch(grid, block, 0, false, [=] { kernel(arguments...); });
}

#endif
#endif
