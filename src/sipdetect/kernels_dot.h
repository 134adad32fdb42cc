/* kernels_dot.h: vectors of SD_LANES words and the product of two of them, by the instructions that the
 * including file has named: SD_LANES 4, 8 or 16, SD_BF16_DOT and SD_INT8_DOT where there are such.
 */
#ifndef SD_KERNELS_DOT_H
#define SD_KERNELS_DOT_H

#include "engine/cell.h"
#include "sipdetect/kernels.h"

#if SD_LANES > 4
#include <immintrin.h>
#elif defined(__ARM_FEATURE_FMA) && defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define SD_INLINE static inline __attribute__((always_inline, unused))

typedef float vf __attribute__((vector_size(4 * SD_LANES), may_alias));
typedef int32_t vi __attribute__((vector_size(4 * SD_LANES), may_alias));
typedef uint32_t vu __attribute__((vector_size(4 * SD_LANES), may_alias));

/* a b + c, rounded once where the processor can. */
SD_INLINE vf fma_floats(vf a, vf b, vf c)
{
#if SD_LANES == 16
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif SD_LANES == 8
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__ARM_FEATURE_FMA) && defined(__ARM_NEON)
    return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

/* acc + a0 b0 + a1 b1 */
SD_INLINE vf dot_bf16(vf acc, vu a, vu b)
{
#if defined(SD_BF16_DOT)
    return (vf)_mm512_dpbf16_ps((__m512)acc, (__m512bh)a, (__m512bh)b);
#else
    acc = fma_floats((vf)(a << 16), (vf)(b << 16), acc);
    return fma_floats((vf)(a & 0xffff0000u), (vf)(b & 0xffff0000u), acc);
#endif
}

/* acc + a0 b0 + a1 b1 + a2 b2 + a3 b3, exactly; bytes of a are unsigned, of b signed. */
SD_INLINE vi dot_int8(vi acc, vu a, vi b)
{
#if defined(SD_INT8_DOT) && SD_LANES == 16
    return (vi)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)a, (__m512i)b);
#elif defined(SD_INT8_DOT)
    return (vi)_mm256_dpbusd_avx_epi32((__m256i)acc, (__m256i)a, (__m256i)b);
#elif SD_LANES == 16
    __m512i even = _mm512_srai_epi16(_mm512_slli_epi16((__m512i)b, 8), 8);
    __m512i odd = _mm512_srai_epi16((__m512i)b, 8);
    acc += (vi)_mm512_madd_epi16((__m512i)(a & 0x00ff00ffu), even);
    return acc + (vi)_mm512_madd_epi16((__m512i)((a >> 8) & 0x00ff00ffu), odd);
#elif SD_LANES == 8
    __m256i even = _mm256_srai_epi16(_mm256_slli_epi16((__m256i)b, 8), 8);
    __m256i odd = _mm256_srai_epi16((__m256i)b, 8);
    acc += (vi)_mm256_madd_epi16((__m256i)(a & 0x00ff00ffu), even);
    return acc + (vi)_mm256_madd_epi16((__m256i)((a >> 8) & 0x00ff00ffu), odd);
#else
    vu u = (vu)b;
    acc += (vi)(a & 0xffu) * ((vi)(u << 24) >> 24) + (vi)((a >> 8) & 0xffu) * ((vi)(u << 16) >> 24);
    return acc + (vi)((a >> 16) & 0xffu) * ((vi)(u << 8) >> 24) + (vi)(a >> 24) * (b >> 24);
#endif
}

/* Accumulators are bits of floats or integers, as the precision has them. */
SD_INLINE vi dot(sd_precision precision, vi acc, vu a, vi b)
{
    if (precision == SD_FP32)
        return (vi)fma_floats((vf)a, (vf)b, (vf)acc);
    if (precision == SD_BF16)
        return (vi)dot_bf16((vf)acc, a, (vu)b);
    return dot_int8(acc, a, b);
}

#endif
