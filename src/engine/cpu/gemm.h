/* gemm.h: matrix products in fp32 or in bf16 with fp32 sums: by oneDNN, or by tiles.h where the processor
 * multiplies bf16 in matrix units.
 *
 * Weights are packed once per update into the layout that the library likes best; products then run for any
 * number of rows.  All matrices are row-major.  An operand is a matrix of floats, or of bfloat16 when the
 * context is bf16.  With the environment variable SIPGPU_NO_TILES all products are oneDNN's.  Builds with
 * oneDNN 2.x and 3.x.
 */
#ifndef SG_ENGINE_CPU_GEMM_H
#define SG_ENGINE_CPU_GEMM_H

#include "base/status.h"
#include <stdint.h>

typedef struct sg_gemm sg_gemm;
typedef struct sg_packed sg_packed;

/* `threads` is what OpenMP regions of the calling thread use. */
sg_status sg_gemm_open(sg_gemm **gemm, bool bf16);
void sg_gemm_close(sg_gemm *gemm);

/* Whether this processor multiplies bf16 in matrix units (AMX) and the system lets it, and at all. */
bool sg_gemm_bf16_is_fast(void);
bool sg_gemm_bf16_is_supported(void);

/* What computes the products, such as "oneDNN 2.6.3, AVX-512" or "AMX tiles", into text. */
void sg_gemm_describe(bool bf16, char *text, size_t size);

/* A weight matrix B [k, n] to be packed later.  `transposed`: the source is stored as [n, k]. */
sg_status sg_packed_make(sg_gemm *gemm, int64_t k, int64_t n, bool transposed, sg_packed **packed);
void sg_packed_free(sg_packed *packed);

/* Packs the floats at `source`; what was packed before is gone. */
sg_status sg_packed_fill(sg_packed *packed, const float *source);

/* C [rows, n] = A [rows, k] B, C in floats.  rows = 0 does nothing. */
sg_status sg_packed_multiply(sg_packed *packed, const void *a, int64_t rows, float *c);

/* C [m, n] = A^T B for operands A [rows, m] and B [rows, n]: the sum of outer products that makes a weight
 * gradient. */
sg_status sg_gemm_outer(sg_gemm *gemm, const void *a, const void *b, int64_t rows, int64_t m, int64_t n,
                        float *c);

#endif
