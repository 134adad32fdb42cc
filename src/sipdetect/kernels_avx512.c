/* AVX-512 (F, BW, DQ, VL); bytes are multiplied as 16-bit numbers. */
#define SD_LANES    16
#define SD_WIDE     4
#define SD_WIDE_ONE 4
#include "sipdetect/kernels_loops.h"

SD_PRODUCT(fp32, SD_FP32, 6)
SD_KERNELS(avx512, fp32, "avx512", SD_FP32, SD_AVX512)
SD_PRODUCT(bf16, SD_BF16, 4)
SD_KERNELS(avx512, bf16, "avx512", SD_BF16, SD_AVX512)
SD_PRODUCT(int8, SD_INT8, 4)
SD_KERNELS(avx512, int8, "avx512", SD_INT8, SD_AVX512)
