#include "engine/cpu/pointwise.h"

#include <dnnl.h>
#include <stdbool.h>

extern const sg_pointwise sg_pointwise_baseline, sg_pointwise_avx2, sg_pointwise_avx512;

#ifdef SG_X86_LEVELS

/* ONEDNN_MAX_CPU_ISA applies here, too: a machine can then act as a lesser one. */
static bool may_use(unsigned isa)
{
    return ((unsigned)dnnl_get_effective_cpu_isa() & isa) == isa;
}

#endif

/* The features that the compiler may use in pointwise_avx512.c and pointwise_avx2.c (CMakeLists.txt). */
const sg_pointwise *sg_pointwise_select(void)
{
#ifdef SG_X86_LEVELS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("fma") && may_use(dnnl_cpu_isa_avx512_core))
        return &sg_pointwise_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && may_use(dnnl_cpu_isa_avx2))
        return &sg_pointwise_avx2;
#endif
    return &sg_pointwise_baseline;
}
