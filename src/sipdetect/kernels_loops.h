/* kernels_loops.h: the loops of kernels.h.  Included by one file for each instruction set, which names its
 * vectors (SD_LANES words) and how many of them side by side fit its registers, with several rows (SD_WIDE)
 * and with one (SD_WIDE_ONE).
 *
 * One row alone is bound by the bandwidth of reading weights, and nothing but reading them in order helps.
 * With several, the rows share the weights in the first level cache, and meanwhile fetch the next panel into
 * the second.
 */
#include "sipdetect/kernels_dot.h"

/* Loops over accumulators are written out, so that these are registers; clang does so by itself. */
#ifdef __clang__
#define SD_UNROLL
#else
#define SD_UNROLL _Pragma("GCC unroll 32")
#endif

enum {
    BLOCK_MOST = 6,
    DEPTH = 64 /* words of h, so that the weights they meet stay in the first level cache */
};

/* What the innermost loops read: `words` words of h of each row and 64 words of weights for each of them. */
typedef struct {
    const int32_t *weights;
    const uint32_t *h[BLOCK_MOST];
    int words;
    const char *ahead; /* into the second level cache: one line of four for each word of h */
} block_job;

/* Adds to sums[rows][SD_PANEL], over k in order, one accumulator for each row and column: a row's sums do not
 * depend on the other rows. */
SD_INLINE void add_block(sd_precision precision, int rows, int wide, const block_job *job, int32_t *sums)
{
    for (int column = 0; column < SD_PANEL; column += wide * SD_LANES) {
        vi acc[BLOCK_MOST * SD_WIDE > SD_WIDE_ONE ? BLOCK_MOST * SD_WIDE : SD_WIDE_ONE];
        const int32_t *w = job->weights + column;
        SD_UNROLL
        for (int i = 0; i < rows * wide; i++)
            acc[i] = ((const vi *)(sums + i / wide * SD_PANEL + column))[i % wide];
        for (int k = 0; k < job->words; k++, w += SD_PANEL) {
            if (rows > 1 && column == 0)
                __builtin_prefetch(job->ahead + (size_t)k * 4 * SD_PANEL, 0, 2);
            SD_UNROLL
            for (int r = 0; r < rows; r++) {
                vu a = (vu){0} + job->h[r][k];
                SD_UNROLL
                for (int v = 0; v < wide; v++)
                    acc[r * wide + v] = dot(precision, acc[r * wide + v], a, ((const vi *)w)[v]);
            }
        }
        SD_UNROLL
        for (int i = 0; i < rows * wide; i++)
            ((vi *)(sums + i / wide * SD_PANEL + column))[i % wide] = acc[i];
    }
}

/* The same for a number of rows known at run time only. */
SD_INLINE void add_rows(sd_precision precision, int rows, const block_job *job, int32_t *sums)
{
    switch (rows) {
    case 1:
        add_block(precision, 1, SD_WIDE_ONE, job, sums);
        return;
    case 2:
        add_block(precision, 2, SD_WIDE, job, sums);
        return;
    case 3:
        add_block(precision, 3, SD_WIDE, job, sums);
        return;
    case 4:
        add_block(precision, 4, SD_WIDE, job, sums);
        return;
    case 5:
        add_block(precision, 5, SD_WIDE, job, sums);
        return;
    default:
        add_block(precision, 6, SD_WIDE, job, sums);
    }
}

/* Sums to floats: for int8, without what the offset 128 of the bytes has added. */
SD_INLINE void finish_sums(const sd_product *p, int panel, int rows, const int32_t *sums, float *z, bool add)
{
    const float *scale = p->matrix->scale ? p->matrix->scale + (size_t)panel * SD_PANEL : NULL;
    const int32_t *total = scale ? p->matrix->sums + (size_t)panel * SD_PANEL : NULL;
    for (int r = 0; r < rows; r++, sums += SD_PANEL, z += SD_PANEL) {
        float value[SD_PANEL];
        if (scale)
            for (int c = 0; c < SD_PANEL; c++)
                value[c] = (float)(sums[c] - 128 * total[c]) * (scale[c] * p->quantum);
        else
            memcpy(value, sums, sizeof value);
        for (int c = 0; c < SD_PANEL; c++)
            z[c] = add ? z[c] + value[c] : value[c];
    }
}

/* Blocks of at most `block_rows` rows, `depth` words of h at a time. */
SD_INLINE void product(sd_precision precision, int block_rows, const sd_product *p, int panel, int first,
                       int rows, float *z, bool add, const char *ahead)
{
    int32_t sums[SD_ROWS_MAX * SD_PANEL] SD_ALIGNED;
    int group = precision == SD_FP32 ? 1 : precision == SD_BF16 ? 2 : 4;
    int words = (p->matrix->rows + group - 1) / group, blocks = (rows + block_rows - 1) / block_rows;
    int depth = blocks > 1 ? DEPTH : words;
    const int32_t *weights = (const int32_t *)p->matrix->data + (size_t)panel * (size_t)words * SD_PANEL;
    memset(sums, 0, (size_t)rows * SD_PANEL * sizeof *sums);
    for (int k = 0; k < words; k += depth)
        for (int b = 0; b < blocks; b++) {
            int low = rows * b / blocks, high = rows * (b + 1) / blocks;
            block_job job = {.weights = weights + (size_t)k * SD_PANEL,
                             .words = words - k < depth ? words - k : depth};
            job.ahead = b < 4 ? ahead + ((size_t)k * 4 + (size_t)b) * 64 : (const char *)job.weights;
            for (int r = low; r < high; r++) {
                size_t row = (size_t)(p->row ? p->row[first + r] : first + r);
                job.h[r - low] = (const uint32_t *)((const char *)p->operand + row * p->stride) + k;
            }
            add_rows(precision, high - low, &job, sums + low * SD_PANEL);
        }
    finish_sums(p, panel, rows, sums, z, add);
}

/* ---- cells ---- */

/* 16 units: h, and c in place, from the sums.  (Functions of their own, since gcc 12 does not vectorise the
 * loops inside others.) */
__attribute__((noinline)) static void update_units(const float *restrict sum, float *restrict c,
                                                   float *restrict h)
{
    for (int j = 0; j < SD_UNITS; j++) {
        sg_cell unit =
            sg_cell_forward(sum[j], sum[j + SD_UNITS], sum[j + 2 * SD_UNITS], sum[j + 3 * SD_UNITS], c[j]);
        c[j] = unit.c;
        h[j] = unit.h;
    }
}

/* int8: h is sent as whole steps of 1/123.  What rounding has left in the last three time steps, the latest
 * first, goes into the next one, x = 123 h + 3 e1 - 3 e2 + e3, so that errors cancel over time (third-order
 * noise shaping) instead of adding up in the slow cells; |x| <= 126.5 fits a byte.  left0 is what x gets in
 * the next step, left1 and left2 what left0 gets in those after. */
__attribute__((noinline)) static void round_int8(const float *restrict h, float *restrict left0,
                                                 float *restrict left1, float *restrict left2,
                                                 uint8_t *restrict q)
{
    for (int j = 0; j < SD_UNITS; j++) {
        float x = h[j] * (float)SD_H_STEPS + left0[j];
        float shifted = x + 12582912.0f; /* 1.5 * 2^23: rounds to an integer, left in the low bits */
        float error = x - (shifted - 12582912.0f);
        q[j] = (uint8_t)(sg_bits_from_float(shifted) + 128u);
        left0[j] = 3.0f * error + left1[j];
        left1[j] = left2[j] - 3.0f * error;
        left2[j] = error;
    }
}

SD_INLINE void send_int8(const sd_step *s, size_t before, size_t at, const float *h, void *operand)
{
    float left[SD_SHAPING][SD_UNITS] SD_ALIGNED = {{0}};
    uint8_t q[SD_UNITS];
    for (int i = 0; i < SD_SHAPING && s->c_before; i++)
        memcpy(left[i], s->left_before[i] + before, sizeof left[i]);
    round_int8(h, left[0], left[1], left[2], q);
    memcpy(operand, q, sizeof q);
    for (int i = 0; i < SD_SHAPING; i++)
        memcpy(s->left[i] + at, left[i], sizeof left[i]);
}

SD_INLINE void send(sd_precision precision, const sd_step *s, size_t before, size_t at, const float *h,
                    void *operand)
{
    if (precision == SD_FP32)
        memcpy(operand, h, SD_UNITS * sizeof *h);
    else if (precision == SD_BF16) {
        uint16_t rounded[SD_UNITS];
        for (int j = 0; j < SD_UNITS; j++)
            rounded[j] = sg_bf16_from_float(h[j]);
        memcpy(operand, rounded, sizeof rounded);
    } else
        send_int8(s, before, at, h, operand);
}

SD_INLINE void cell(sd_precision precision, const sd_step *s, int panel, int first, int rows, const float *z)
{
    static const float no_input[SD_PANEL];
    size_t units = (size_t)s->units, width = 4 * units,
           element = precision == SD_FP32   ? 4
                     : precision == SD_BF16 ? 2
                                            : 1;
    const float *bias = s->bias + (size_t)panel * SD_PANEL;
    for (int r = first; r < first + rows; r++, z += SD_PANEL) {
        int token = s->token ? s->token[r] : 0;
        const float *x = token ? s->input + (size_t)(token - 1) * width + (size_t)panel * SD_PANEL : no_input;
        size_t before = (size_t)s->parent[r] * units + (size_t)panel * SD_UNITS;
        size_t at = (size_t)r * units + (size_t)panel * SD_UNITS;
        float sum[SD_PANEL] SD_ALIGNED, h[SD_UNITS] SD_ALIGNED, c[SD_UNITS] SD_ALIGNED = {0};
        for (int j = 0; j < SD_PANEL; j++)
            sum[j] = z[j] + x[j] + bias[j];
        if (s->c_before)
            memcpy(c, s->c_before + before, sizeof c);
        update_units(sum, c, h);
        memcpy(s->c + at, c, sizeof c);
        if (s->h)
            memcpy(s->h + at, h, sizeof h);
        char *operand = (char *)s->operand + (size_t)r * s->stride + (size_t)panel * SD_UNITS * element;
        send(precision, s, before, at, h, operand);
    }
}

static void exponentials(int count, float *x, float shift)
{
    for (int i = 0; i < count; i++)
        x[i] = sg_exp(x[i] - shift);
}

#define SD_PRODUCT(name, precision, block_rows)                                                         \
    static void product_##name(const sd_product *p, int panel, int first, int rows, float *z, bool add, \
                               const char *ahead)                                                       \
    {                                                                                                   \
        product(precision, block_rows, p, panel, first, rows, z, add, ahead);                           \
    }

#define SD_CELL(name, precision)                                                              \
    static void cell_##name(const sd_step *s, int panel, int first, int rows, const float *z) \
    {                                                                                         \
        cell(precision, s, panel, first, rows, z);                                            \
    }

/* A cell, and the set of it with product_<suffix>: sd_kernels_<level>_<suffix>. */
#define SD_KERNELS(level, suffix, text, precision, needs)     \
    SD_CELL(suffix, precision)                                \
    const struct sd_kernels sd_kernels_##level##_##suffix = { \
        text, precision, needs, product_##suffix, cell_##suffix, exponentials};
