/* AVX2 and FMA; bytes are multiplied as 16-bit numbers. */
#define SD_LANES    8
#define SD_WIDE     2
#define SD_WIDE_ONE 8
#include "sipdetect/kernels_loops.h"

SD_PRODUCT(fp32, SD_FP32, 6)
SD_KERNELS(avx2, fp32, "avx2", SD_FP32, SD_AVX2)
SD_PRODUCT(bf16, SD_BF16, 4)
SD_KERNELS(avx2, bf16, "avx2", SD_BF16, SD_AVX2)
SD_PRODUCT(int8, SD_INT8, 4)
SD_KERNELS(avx2, int8, "avx2", SD_INT8, SD_AVX2)
