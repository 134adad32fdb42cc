/* AVX2 and FMA; bytes are multiplied as 16-bit numbers. */
#define SD_LANES    8
#define SD_WIDE     2
#define SD_WIDE_ONE 8
#include "sipdetect/kernels_loops.h"

SD_PRODUCT(fp32, SD_FP32, 6)
SD_CELL(fp32, SD_FP32)
SD_PRODUCT(bf16, SD_BF16, 4)
SD_CELL(bf16, SD_BF16)
SD_PRODUCT(int8, SD_INT8, 4)
SD_CELL(int8, SD_INT8)

const struct sd_kernels sd_kernels_avx2_fp32 = {"avx2",       SD_FP32,   SD_AVX2,
                                                product_fp32, cell_fp32, exponentials};
const struct sd_kernels sd_kernels_avx2_bf16 = {"avx2",       SD_BF16,   SD_AVX2,
                                                product_bf16, cell_bf16, exponentials};
const struct sd_kernels sd_kernels_avx2_int8 = {"avx2",       SD_INT8,   SD_AVX2,
                                                product_int8, cell_int8, exponentials};
