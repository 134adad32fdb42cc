#define SG_POINTWISE_TABLE sg_pointwise_baseline
#define SG_POINTWISE_NAME  "baseline"
#include "engine/cpu/pointwise_loops.h"
