/* AVX-512 with the dot products of AVX512_BF16 and AVX512_VNNI. */
#define SD_LANES    16
#define SD_WIDE     4
#define SD_WIDE_ONE 4
#define SD_BF16_DOT
#define SD_INT8_DOT
#include "sipdetect/kernels_loops.h"

SD_PRODUCT(bf16, SD_BF16, 6)
SD_KERNELS(avx512_dot, bf16, "avx512", SD_BF16, SD_AVX512 | SD_AVX512_BF16)
SD_PRODUCT(int8, SD_INT8, 6)
SD_KERNELS(avx512_dot, int8, "avx512", SD_INT8, SD_AVX512 | SD_AVX512_VNNI)
