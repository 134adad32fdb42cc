/* product.c: matrix products, and the types their operands come in. */
#include "emulator.h"

#include <stdlib.h>
#include <string.h>

/* ---- types ---- */

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* Rounds to the nearest number whose last `drop` bits are zero, to the even one of two. */
static uint32_t round_bits(uint32_t bits, int drop)
{
    if ((bits & 0x7f800000u) == 0x7f800000u)
        return bits & 0x7fffffu ? bits | 0x400000u : bits; /* a NaN stays one */
    uint32_t half = (1u << (drop - 1)) - 1u;
    return (bits + half + ((bits >> drop) & 1u)) & ~((1u << drop) - 1u);
}

float emulator_tf32(float x)
{
    return from_bits(round_bits(bits_of(x), 13));
}

float emulator_from_bf16(uint16_t x)
{
    return from_bits((uint32_t)x << 16);
}

uint16_t emulator_to_bf16(float x)
{
    return (uint16_t)(round_bits(bits_of(x), 16) >> 16);
}

/* ---- products ---- */

/* Columns of C at once, rows of C at once: 4 x 64 sums stay in registers and the first cache. */
enum { COLUMNS = 4, ROWS = 64 };

/* to[i * to_row + j] = matrix(i, j) */
static void pack(const emulator_matrix *matrix, int64_t rows, int64_t columns, bool tf32, float *to)
{
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) {
            int64_t at = i * matrix->row + j * matrix->column;
            float x = matrix->type == EMULATOR_FLOAT
                          ? ((const float *)matrix->data)[at]
                          : emulator_from_bf16(((const uint16_t *)matrix->data)[at]);
            to[i * columns + j] = tf32 ? emulator_tf32(x) : x;
        }
}

/* sum[j][i] = sum over l of a[l][i] b[j][l], for a tile of C; a's rows are m apart.  Most of a sanitizer's
 * time would go here, into memory that is this file's own. */
__attribute__((noinline, no_sanitize("address", "undefined"))) static void
tile(int64_t m, int64_t k, const float *restrict a, const float *const b[COLUMNS], float sum[COLUMNS][ROWS])
{
    memset(sum, 0, sizeof(float) * COLUMNS * ROWS);
    for (int64_t l = 0; l < k; ++l) {
        const float *row = a + l * m;
        float b0 = b[0][l], b1 = b[1][l], b2 = b[2][l], b3 = b[3][l];
        for (int i = 0; i < ROWS; ++i) {
            sum[0][i] += row[i] * b0;
            sum[1][i] += row[i] * b1;
            sum[2][i] += row[i] * b2;
            sum[3][i] += row[i] * b3;
        }
    }
}

static void store(const emulator_product *product, int64_t i0, int64_t j0, float sum[COLUMNS][ROWS])
{
    for (int64_t j = j0; j < j0 + COLUMNS && j < product->n; ++j)
        for (int64_t i = i0; i < i0 + ROWS && i < product->m; ++i) {
            float *c = product->c + i + j * product->ldc;
            float value = product->alpha * sum[j - j0][i - i0];
            *c = product->beta == 0 ? value : value + product->beta * *c;
        }
}

void emulator_multiply(const emulator_product *product)
{
    int64_t m = product->m, n = product->n, k = product->k;
    if (m == 0 || n == 0)
        return;
    int64_t padded = (m + ROWS - 1) / ROWS * ROWS;
    float *a = emulator_new((size_t)(padded * k) * sizeof(float));
    float *b = emulator_new((size_t)(n * k) * sizeof(float));
    float sum[COLUMNS][ROWS];
    emulator_matrix rows = product->a, columns = product->b;
    for (int64_t l = 0; l < k; ++l) { /* one row of A's transpose after the other: they are padded */
        emulator_matrix row = {rows.data, rows.type, rows.column, rows.row};
        size_t size = rows.type == EMULATOR_FLOAT ? sizeof(float) : sizeof(uint16_t);
        row.data = (const char *)rows.data + (size_t)(l * rows.column) * size;
        pack(&row, 1, m, product->tf32, a + l * padded);
    }
    emulator_matrix transposed = {columns.data, columns.type, columns.column, columns.row};
    pack(&transposed, n, k, product->tf32, b);
    for (int64_t j = 0; j < n; j += COLUMNS) {
        const float *column[COLUMNS];
        for (int64_t q = 0; q < COLUMNS; ++q)
            column[q] = b + (j + q < n ? j + q : j) * k;
        for (int64_t i = 0; i < m; i += ROWS) {
            tile(padded, k, a + i, column, sum);
            store(product, i, j, sum);
        }
    }
    free(a);
    free(b);
}
