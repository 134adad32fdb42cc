#define SG_POINTWISE_TABLE sg_pointwise_avx2
#define SG_POINTWISE_NAME  "AVX2"
#include "engine/cpu/pointwise_loops.h"
