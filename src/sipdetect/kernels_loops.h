/* kernels_loops.h: the loops of kernels.h.  Included by one file for each instruction set, which names its
 * vectors (SD_LANES words), how many of them side by side fit its registers with several rows (SD_WIDE) and
 * with one (SD_WIDE_ONE), and how far ahead to ask for weights (SD_NEAR, in words of h).
 */
#include "sipdetect/kernels_dot.h"

enum { SD_BLOCK_MOST = 6 };

/* What the innermost loops read: 64 words of weights for each word of h. */
typedef struct {
    const int32_t *weights;
    const uint32_t *h[SD_BLOCK_MOST];
    int words;
    const char *ahead; /* into the second level cache: one line for each word of h */
} panel_job;

/* Sums over k in order, one accumulator for each row and column: a row's sums do not depend on the others. */
SD_INLINE void sum_panel(sd_precision precision, int rows, int wide, const panel_job *job, int32_t *sums)
{
    for (int column = 0; column < SD_PANEL; column += wide * SD_LANES) {
        vi acc[SD_BLOCK_MOST * SD_WIDE > SD_WIDE_ONE ? SD_BLOCK_MOST * SD_WIDE : SD_WIDE_ONE];
        const int32_t *w = job->weights + column;
        for (int i = 0; i < rows * wide; i++)
            acc[i] = (vi){0};
        for (int k = 0; k < job->words; k++, w += SD_PANEL) {
            if (rows > 1 && column == 0)
                __builtin_prefetch(job->ahead + (size_t)k * 64, 0, 2);
            if (rows == 1)
                for (int line = 0; line < wide * SD_LANES; line += 16)
                    __builtin_prefetch(w + SD_NEAR * SD_PANEL + line, 0, 3);
            for (int r = 0; r < rows; r++) {
                vu a = (vu){0} + job->h[r][k];
                for (int v = 0; v < wide; v++)
                    acc[r * wide + v] = dot(precision, acc[r * wide + v], a, ((const vi *)w)[v]);
            }
        }
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < wide; v++)
                ((vi *)(sums + r * SD_PANEL + column))[v] = acc[r * wide + v];
    }
}

/* The same for a number of rows known at run time only. */
SD_INLINE void sum_rows(sd_precision precision, int rows, const panel_job *job, int32_t *sums)
{
    switch (rows) {
    case 1:
        sum_panel(precision, 1, SD_WIDE_ONE, job, sums);
        return;
    case 2:
        sum_panel(precision, 2, SD_WIDE, job, sums);
        return;
    case 3:
        sum_panel(precision, 3, SD_WIDE, job, sums);
        return;
    case 4:
        sum_panel(precision, 4, SD_WIDE, job, sums);
        return;
    case 5:
        sum_panel(precision, 5, SD_WIDE, job, sums);
        return;
    default:
        sum_panel(precision, 6, SD_WIDE, job, sums);
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

SD_INLINE void product(sd_precision precision, const sd_product *p, int panel, int first, int rows, float *z,
                       bool add, const char *ahead)
{
    int32_t sums[SD_BLOCK_MOST * SD_PANEL] __attribute__((aligned(64)));
    int group = precision == SD_FP32 ? 1 : precision == SD_BF16 ? 2 : 4;
    int words = (p->matrix->rows + group - 1) / group;
    panel_job job = {.weights = (const int32_t *)p->matrix->data + (size_t)panel * (size_t)words * SD_PANEL,
                     .words = words,
                     .ahead = ahead};
    for (int r = 0; r < rows; r++) {
        size_t row = (size_t)(p->row ? p->row[first + r] : first + r);
        job.h[r] = (const uint32_t *)((const char *)p->operand + row * p->stride);
    }
    sum_rows(precision, rows, &job, sums);
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

/* int8: h is sent as whole steps of 1/124.  What rounding has left in the last two time steps goes into the
 * next ones, x = 124 h + 2 e' - e'', so that errors cancel over time (second-order noise shaping) instead of
 * adding up in the slow cells; |x| <= 125.5 fits a byte.  carry is 2 e' - e''. */
__attribute__((noinline)) static void round_int8(const float *restrict h, float *restrict carry,
                                                 float *restrict left, uint8_t *restrict q)
{
    for (int j = 0; j < SD_UNITS; j++) {
        float x = h[j] * (float)SD_H_STEPS + carry[j];
        float shifted = x + 12582912.0f; /* 1.5 * 2^23: rounds to an integer, left in the low bits */
        float left_now = x - (shifted - 12582912.0f);
        q[j] = (uint8_t)(sg_bits_from_float(shifted) + 128u);
        carry[j] = 2.0f * left_now - left[j];
        left[j] = left_now;
    }
}

SD_INLINE void send_int8(const sd_step *s, size_t before, size_t at, const float *h, void *operand)
{
    float carry[SD_UNITS] = {0}, left[SD_UNITS] = {0};
    uint8_t q[SD_UNITS];
    if (s->c_before) {
        memcpy(carry, s->carry_before + before, sizeof carry);
        memcpy(left, s->left_before + before, sizeof left);
    }
    round_int8(h, carry, left, q);
    memcpy(operand, q, sizeof q);
    memcpy(s->left + at, left, sizeof left);
    memcpy(s->carry + at, carry, sizeof carry);
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
        float sum[SD_PANEL], h[SD_UNITS], c[SD_UNITS] = {0};
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

#define SD_PRODUCT(name, precision)                                                                     \
    static void product_##name(const sd_product *p, int panel, int first, int rows, float *z, bool add, \
                               const char *ahead)                                                       \
    {                                                                                                   \
        product(precision, p, panel, first, rows, z, add, ahead);                                       \
    }

#define SD_CELL(name, precision)                                                              \
    static void cell_##name(const sd_step *s, int panel, int first, int rows, const float *z) \
    {                                                                                         \
        cell(precision, s, panel, first, rows, z);                                            \
    }
