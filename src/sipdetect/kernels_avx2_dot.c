/* AVX2 with the byte products of AVX-VNNI. */
#define SD_LANES    8
#define SD_WIDE     2
#define SD_WIDE_ONE 8
#define SD_INT8_DOT
#include "sipdetect/kernels_loops.h"

SD_PRODUCT(int8, SD_INT8, 6)
SD_KERNELS(avx2_dot, int8, "avx2", SD_INT8, SD_AVX2 | SD_AVX_VNNI)
