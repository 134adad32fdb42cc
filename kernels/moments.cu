/* moments.cu: normalised skewness and kurtosis of rows of probabilities.
 *
 * A warp has one row and keeps it in registers, 48 values a lane at most, between the mean and the central
 * sums: each value is read once, and there is no barrier in between.  The few divisions and square roots of a
 * row cost as much as a warp's share of its sums, so a block collects the sums of its four rows and four
 * lanes finish them together.  Longer rows get a block each and are read twice.
 */
#include "kernels/device.cuh"

namespace
{

enum { WARP_ROWS = 4, LONG_ROW_THREADS = 256 };

struct short_shared {
    sg_moment_sums sums[WARP_ROWS];
};

/* PACKS packs of 4 in each lane; pack i of lane l is columns 4 (l + 32 i) .... */
template <int PACKS>
__global__ void __launch_bounds__(32 * WARP_ROWS)
    short_rows(int rows, int classes, int width, const float *__restrict__ p, double *__restrict__ skewness,
               double *__restrict__ kurtosis)
{
    short_shared &shared = sg_shared<short_shared>();
    int warp = threadIdx.x / 32, first = 4 * (int)(threadIdx.x % 32);
    int64_t row = (int64_t)blockIdx.x * WARP_ROWS + warp;
    sg_pack<4> x[PACKS];
    double sum = 0;
    SG_UNROLL
    for (int i = 0; i < PACKS; i++) {
        int column = first + 128 * i;
        x[i] = row < rows && column < classes ? sg_load<4>(p + row * width + column) : sg_zeros<4>();
    }
    SG_UNROLL
    for (int i = 0; i < 4 * PACKS; i++)
        if (first + 128 * (i / 4) + i % 4 < classes)
            sum += (double)x[i / 4].v[i % 4];
    double mean = sg_warp_sum(sum) / classes;
    sg_moment_sums sums = {0, 0, 0};
    SG_UNROLL
    for (int i = 0; i < 4 * PACKS; i++)
        if (first + 128 * (i / 4) + i % 4 < classes)
            sg_moments_add(&sums, (double)x[i / 4].v[i % 4], mean);
    sums.m2 = sg_warp_sum(sums.m2);
    sums.m3 = sg_warp_sum(sums.m3);
    sums.m4 = sg_warp_sum(sums.m4);
    if (threadIdx.x % 32 == 0)
        shared.sums[warp] = sums;
    __syncthreads();
    row = (int64_t)blockIdx.x * WARP_ROWS + threadIdx.x;
    if (threadIdx.x < WARP_ROWS && row < rows)
        sg_moments_finish(&shared.sums[threadIdx.x], classes, &skewness[row], &kurtosis[row]);
}

struct long_shared {
    double mean[LONG_ROW_THREADS / 32], m2[LONG_ROW_THREADS / 32], m3[LONG_ROW_THREADS / 32],
        m4[LONG_ROW_THREADS / 32];
};

__global__ void __launch_bounds__(LONG_ROW_THREADS)
    long_rows(int classes, int width, const float *__restrict__ p, double *__restrict__ skewness,
              double *__restrict__ kurtosis)
{
    long_shared &shared = sg_shared<long_shared>();
    const float *row = p + (int64_t)blockIdx.x * width;
    double sum = 0;
    for (int64_t n = threadIdx.x; n < classes; n += LONG_ROW_THREADS)
        sum += (double)row[n];
    double mean = sg_block_sum<LONG_ROW_THREADS>(sum, shared.mean) / classes;
    sg_moment_sums sums = {0, 0, 0};
    for (int64_t n = threadIdx.x; n < classes; n += LONG_ROW_THREADS)
        sg_moments_add(&sums, (double)row[n], mean);
    sums.m2 = sg_block_sum<LONG_ROW_THREADS>(sums.m2, shared.m2);
    sums.m3 = sg_block_sum<LONG_ROW_THREADS>(sums.m3, shared.m3);
    sums.m4 = sg_block_sum<LONG_ROW_THREADS>(sums.m4, shared.m4);
    if (threadIdx.x == 0)
        sg_moments_finish(&sums, classes, &skewness[blockIdx.x], &kurtosis[blockIdx.x]);
}

} // namespace

int sg_kernel_moments(int rows, int classes, int width, const float *p, double *skewness, double *kurtosis,
                      sg_stream stream)
{
    if (rows == 0 || classes == 0)
        return 0;
    if (!sg_packs_fit(width, p, sizeof(float)) || width > 1536)
        return sg_launch_blocks(long_rows, dim3((unsigned)rows), dim3(LONG_ROW_THREADS), sizeof(long_shared),
                                stream, classes, width, p, skewness, kurtosis);
    auto kernel = width <= 512 ? short_rows<4> : width <= 1024 ? short_rows<8> : short_rows<12>;
    return sg_launch_blocks(kernel, dim3((unsigned)sg_blocks(rows, WARP_ROWS)), dim3(32 * WARP_ROWS),
                            sizeof(short_shared), stream, rows, classes, width, p, skewness, kurtosis);
}
