/* Plain C: vectors of four words, which every processor's compiler knows (SSE2, NEON). */
#define SD_LANES    4
#define SD_WIDE     2
#define SD_WIDE_ONE 4
#include "sipdetect/kernels_loops.h"

SD_PRODUCT(fp32, SD_FP32, 4)
SD_KERNELS(generic, fp32, "generic", SD_FP32, 0)
SD_PRODUCT(bf16, SD_BF16, 3)
SD_KERNELS(generic, bf16, "generic", SD_BF16, 0)
SD_PRODUCT(int8, SD_INT8, 3)
SD_KERNELS(generic, int8, "generic", SD_INT8, 0)
