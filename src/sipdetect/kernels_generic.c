/* Plain C: vectors of four words, which every processor's compiler knows (SSE2, NEON). */
#define SD_LANES    4
#define SD_WIDE     2
#define SD_WIDE_ONE 4
#include "sipdetect/kernels_loops.h"

SD_PRODUCT(fp32, SD_FP32, 4)
SD_CELL(fp32, SD_FP32)
SD_PRODUCT(bf16, SD_BF16, 3)
SD_CELL(bf16, SD_BF16)
SD_PRODUCT(int8, SD_INT8, 3)
SD_CELL(int8, SD_INT8)

const struct sd_kernels sd_kernels_generic_fp32 = {"generic",    SD_FP32,   0,
                                                   product_fp32, cell_fp32, exponentials};
const struct sd_kernels sd_kernels_generic_bf16 = {"generic",    SD_BF16,   0,
                                                   product_bf16, cell_bf16, exponentials};
const struct sd_kernels sd_kernels_generic_int8 = {"generic",    SD_INT8,   0,
                                                   product_int8, cell_int8, exponentials};
