/* AMX: 16 rows of bf16 or bytes times a panel, by tiles; everything else is as in AVX-512.
 *
 * Tiles 0-3 hold the sums of 16 columns each, 4 and 5 h (rows x 16 words) and weights (16 words x 16
 * columns); 6 and 7 the same for the last words of h where their number is no multiple of 16.  The tests run
 * this file with the instructions emulated (SD_AMX_EMULATED), since few processors have them.
 */
#ifdef SD_AMX_EMULATED
#define SD_LANES    4
#define SD_WIDE     2
#define SD_WIDE_ONE 4
#include "amx_emulated.h"
#else
#define SD_LANES    16
#define SD_WIDE     4
#define SD_WIDE_ONE 4
#endif
#include "sipdetect/kernels_loops.h"

enum { TILE_ROWS = 16, TILE_WORDS = 16 };

/* Operand of LDTILECFG. */
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16]; /* of a row */
    uint8_t rows[16];
} tile_shapes;

/* The compiler does not know that the instructions for tiles read memory: what they read is stored before. */
static void settle_stores(void)
{
    __asm__ volatile("" ::: "memory");
}

static void shape_tiles(int rows, int tail)
{
    tile_shapes s = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        s.rows[i] = (uint8_t)rows;
        s.bytes[i] = TILE_WORDS * 4;
    }
    s.rows[5] = TILE_WORDS;
    if (tail) {
        s.bytes[6] = (uint16_t)(4 * tail);
        s.rows[7] = (uint8_t)tail;
    }
    settle_stores();
    _tile_loadconfig(&s);
}

/* Rows of h at a multiple of `stride` from `h`: the operand itself where they follow each other, otherwise
 * words k..k+15 of them, copied. */
static const char *rows_of_h(const sd_product *p, int first, int rows, int k, int words, char *copy,
                             size_t *stride)
{
    const char *h = p->operand;
    bool consecutive = true;
    for (int r = 1; p->row && r < rows; r++)
        consecutive = consecutive && p->row[first + r] == p->row[first] + r;
    if (consecutive) {
        *stride = p->stride;
        return h + (size_t)(p->row ? p->row[first] : first) * p->stride + (size_t)k * 4;
    }
    *stride = TILE_WORDS * 4;
    for (int r = 0; r < rows; r++)
        memcpy(copy + (size_t)r * TILE_WORDS * 4, h + (size_t)p->row[first + r] * p->stride + (size_t)k * 4,
               (size_t)words * 4);
    settle_stores();
    return copy;
}

/* One step of 16 words, by tile A of h and tile B of weights. */
#define SUM_TILES(multiply, a, b, h, stride, w) \
    do {                                        \
        _tile_loadd(a, h, stride);              \
        _tile_loadd(b, (w), 4 * SD_PANEL);      \
        multiply(0, a, b);                      \
        _tile_loadd(b, (w) + 16, 4 * SD_PANEL); \
        multiply(1, a, b);                      \
        _tile_loadd(b, (w) + 32, 4 * SD_PANEL); \
        multiply(2, a, b);                      \
        _tile_loadd(b, (w) + 48, 4 * SD_PANEL); \
        multiply(3, a, b);                      \
    } while (0)

/* At most 16 rows from first.. of one panel. */
#define SD_TILE_PRODUCT(name, group, multiply)                                                          \
    static void tiles_##name(const sd_product *p, int panel, int first, int rows, int32_t *sums,        \
                             const char *ahead)                                                         \
    {                                                                                                   \
        char copy[TILE_ROWS * TILE_WORDS * 4] SD_ALIGNED;                                               \
        int words = (p->matrix->rows + group - 1) / group, tail = words % TILE_WORDS, k = 0;            \
        const int32_t *w = (const int32_t *)p->matrix->data + (size_t)panel * (size_t)words * SD_PANEL; \
        size_t stride;                                                                                  \
        shape_tiles(rows, tail);                                                                        \
        _tile_zero(0);                                                                                  \
        _tile_zero(1);                                                                                  \
        _tile_zero(2);                                                                                  \
        _tile_zero(3);                                                                                  \
        for (; k < words - tail; k += TILE_WORDS, w += TILE_WORDS * SD_PANEL) {                         \
            const char *h = rows_of_h(p, first, rows, k, TILE_WORDS, copy, &stride);                    \
            for (int line = 0; line < TILE_WORDS; line++)                                               \
                __builtin_prefetch(ahead + (size_t)(k + line) * 4 * SD_PANEL, 0, 2);                    \
            SUM_TILES(multiply, 4, 5, h, stride, w);                                                    \
        }                                                                                               \
        if (tail) {                                                                                     \
            const char *h = rows_of_h(p, first, rows, k, tail, copy, &stride);                          \
            SUM_TILES(multiply, 6, 7, h, stride, w);                                                    \
        }                                                                                               \
        _tile_stored(0, sums, 4 * SD_PANEL);                                                            \
        _tile_stored(1, sums + 16, 4 * SD_PANEL);                                                       \
        _tile_stored(2, sums + 32, 4 * SD_PANEL);                                                       \
        _tile_stored(3, sums + 48, 4 * SD_PANEL);                                                       \
        _tile_release();                                                                                \
    }                                                                                                   \
                                                                                                        \
    static void product_##name(const sd_product *p, int panel, int first, int rows, float *z, bool add, \
                               const char *ahead)                                                       \
    {                                                                                                   \
        int32_t sums[TILE_ROWS * SD_PANEL] SD_ALIGNED;                                                  \
        for (int low = 0; low < rows; low += TILE_ROWS, ahead += 64) {                                  \
            int many = rows - low < TILE_ROWS ? rows - low : TILE_ROWS;                                 \
            tiles_##name(p, panel, first + low, many, sums, ahead);                                     \
            finish_sums(p, panel, many, sums, z + low * SD_PANEL, add);                                 \
        }                                                                                               \
    }

SD_PRODUCT(fp32, SD_FP32, 6)
SD_TILE_PRODUCT(bf16, 2, _tile_dpbf16ps)
SD_TILE_PRODUCT(int8, 4, _tile_dpbusd)
SD_KERNELS(amx, fp32, "amx", SD_FP32, SD_AVX512 | SD_AMX)
SD_KERNELS(amx, bf16, "amx", SD_BF16, SD_AVX512 | SD_AMX)
SD_KERNELS(amx, int8, "amx", SD_INT8, SD_AVX512 | SD_AMX)
