#define SG_POINTWISE_TABLE sg_pointwise_avx512
#define SG_POINTWISE_NAME  "AVX-512"
#include "engine/cpu/pointwise_loops.h"
