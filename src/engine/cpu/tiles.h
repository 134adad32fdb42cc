/* tiles.h: matrix products of bf16 with fp32 sums by AMX tiles, 16 rows of 64 bytes each.
 *
 * Operands are rearranged into panels first, so that every tile is 1 KiB of consecutive memory: a panel is 32
 * rows of the left matrix, or 32 columns of the right one, as two tiles for every step of 32 along the sum.
 * Incomplete tiles are filled with zeros.  Each element of a product is summed in one order, whatever the
 * number of threads and the position of its row.
 *
 * The process must be allowed to use tiles: sg_gemm_bf16_is_fast in gemm.h asks for that.  Regions of OpenMP
 * use as many threads as the calling thread's do.  All memory here is 64-byte aligned.
 */
#ifndef SG_ENGINE_CPU_TILES_H
#define SG_ENGINE_CPU_TILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Processors without tiles have neither tiles.c nor this table. */
typedef struct {
    /* Bytes of the panels of a matrix of `count` rows (left) or columns (right), with sums over `k`. */
    size_t (*size)(int64_t count, int64_t k);

    /* The panels of the right matrix B [k, n] from floats, rounded to nearest even.  `transposed`: the source
     * is stored as [n, k]. */
    void (*pack)(const float *source, int64_t k, int64_t n, bool transposed, void *panels);

    /* C [rows, n] = A [rows, k] B, from A in bf16 and the panels of B; `work`: size(rows, k) bytes. */
    void (*multiply)(const uint16_t *a, int64_t rows, const void *panels, int64_t k, int64_t n, void *work,
                     float *c);

    /* C [m, n] = A^T B of A [rows, m] and B [rows, n] in bf16; work_a: size(m, rows) bytes, work_b: size(n,
     * rows). */
    void (*outer)(const uint16_t *a, const uint16_t *b, int64_t rows, int64_t m, int64_t n, void *work_a,
                  void *work_b, float *c);
} sg_tiles;

extern const sg_tiles sg_tiles_amx;

#endif
