/* gemm.h: matrix products in fp32, or in bf16 with fp32 sums: by oneDNN, or by tiles.h if the processor has
 * matrix units for bf16.
 *
 * Weights are packed once per update into the layout that the library prefers; products then run for any
 * number of rows.  All matrices are row-major.  An operand is a matrix of floats, or of bfloat16 when the
 * context is bf16.  If the processor has no instructions for bf16, products of such operands are computed in
 * floats: slower than fp32, but correct.  With the environment variable SIPGPU_NO_TILES, oneDNN computes all
 * products.
 *
 * A product is cut into parts by its shape alone, and one thread computes each part, so the bits of a result
 * do not depend on the number of threads.
 */
#ifndef SG_ENGINE_CPU_GEMM_H
#define SG_ENGINE_CPU_GEMM_H

#include "base/status.h"
#include <stdint.h>

typedef struct sg_gemm sg_gemm;
typedef struct sg_packed sg_packed;

/* `threads`, at least 1, is how many compute a product; tiles.h requires that OpenMP regions of the calling
 * thread use the same number. */
sg_status sg_gemm_open(sg_gemm **gemm, bool bf16, int threads);
void sg_gemm_close(sg_gemm *gemm);

/* Whether this processor has matrix units for bf16 (AMX) and the system allows their use. */
bool sg_gemm_bf16_is_fast(void);

/* What computes the products, such as "oneDNN 2.6.3, AVX-512" or "AMX tiles", into text. */
void sg_gemm_describe(bool bf16, char *text, size_t size);

/* A weight matrix B [k, n] to be packed later.  `transposed`: the source is stored as [n, k]. */
sg_status sg_packed_make(sg_gemm *gemm, int64_t k, int64_t n, bool transposed, sg_packed **packed);
void sg_packed_free(sg_packed *packed);

/* Packs the floats at `source`, replacing what was packed before. */
sg_status sg_packed_fill(sg_packed *packed, const float *source);

/* C [rows, n] = A [rows, k] B, C in floats.  rows = 0 does nothing. */
sg_status sg_packed_multiply(sg_packed *packed, const void *a, int64_t rows, float *c);

/* C [m, n] = A^T B for operands A [rows, m] and B [rows, n]: the sum of outer products that is a weight
 * gradient. */
sg_status sg_gemm_outer(sg_gemm *gemm, const void *a, const void *b, int64_t rows, int64_t m, int64_t n,
                        float *c);

#endif
