/* kernels.h: what an instruction set has to provide for network.h.
 *
 * All precisions run the same loops: operands are read in words of 32 bits, which hold 1 float, 2 bf16 or 4
 * bytes, one word of h against 64 words of a panel of weights at a time.  kernels_loops.h has the loops,
 * kernels_dot.h the product of two words for each instruction set, and each kernels_<level>.c includes both
 * with its compiler options.  Nothing here is contracted or reordered by the compiler, so element arithmetic
 * (cells, rounding, exponentials) has the same bits at every level.
 */
#ifndef SD_KERNELS_H
#define SD_KERNELS_H

#include "sipdetect/pack.h"

#include <stdbool.h>

enum {
    SD_UNITS = SD_PANEL / 4,  /* of a panel */
    SD_ROWS_MAX = 64,         /* rows of one product */
    SD_H_STEPS = 123,         /* int8: h is sent as round(123 h + what rounding has left before) */
    SD_SHAPING = 3,           /* time steps that this comes from */
    SD_LEAF_STEPS = 127 * 256 /* and to the dense layer as two digits of round(32512 h) */
};

#define SD_ALIGNED __attribute__((aligned(64)))

/* Rows of h times a matrix. */
typedef struct {
    const sd_matrix *matrix;
    const void *operand; /* rows of h as the precision has it: float, bf16, or q + 128 */
    size_t stride;       /* bytes from row to row, a multiple of 64 */
    const int32_t *row;  /* which one each row of the product takes; NULL: its own number */
    float quantum;       /* int8: what h = 1/q is worth */
} sd_product;

/* A layer's part of one time step: rows are nodes of the trie, `parent` those before them. */
typedef struct {
    int units; /* padded; the distance of rows in floats */
    const float *input, *bias;
    const uint16_t *token; /* 0: no input; NULL: never any */
    const int32_t *parent;
    const float *c_before; /* NULL in the first step */
    float *c;
    float *h;      /* fp32, NULL if nobody reads it */
    void *operand; /* the next step's */
    size_t stride;
    float *const *left_before; /* int8: what rounding left, SD_SHAPING of each; kernels_loops.h */
    float *const *left;
} sd_step;

typedef struct sd_kernels {
    const char *level;
    sd_precision precision;
    unsigned needs; /* features of kernels.c */
    /* z[rows][SD_PANEL] = (or, with `add`, +=) rows first.., SD_ROWS_MAX at most, of the product with one
     * panel; `ahead` is the panel that comes next. */
    void (*product)(const sd_product *product, int panel, int first, int rows, float *z, bool add,
                    const char *ahead);
    /* The 16 units of one panel for rows first.., from the sums z. */
    void (*cell)(const sd_step *step, int panel, int first, int rows, const float *z);
    /* x = exp(x - shift) */
    void (*exponentials)(int count, float *x, float shift);
} sd_kernels;

/* The best set for the precision if name is NULL or "auto", the named one otherwise; NULL if this processor
 * or this build lacks it.  A level uses what the processor adds to it: AVX-VNNI with "avx2", AVX512_VNNI and
 * AVX512_BF16 with "avx512". */
const sd_kernels *sd_kernels_find(const char *name, sd_precision precision);
const char *sd_kernels_name(const sd_kernels *kernels);
const char *sd_kernels_all(void); /* "generic avx2 avx512 amx", what this processor has, slowest first */

/* Number i of all that this build has, slowest first; NULL beyond the last.  *usable says whether this
 * processor can run it. */
const sd_kernels *sd_kernels_at(int i, bool *usable);

extern const struct sd_kernels sd_kernels_generic_fp32, sd_kernels_generic_bf16, sd_kernels_generic_int8;
extern const struct sd_kernels sd_kernels_avx2_fp32, sd_kernels_avx2_bf16, sd_kernels_avx2_int8;
extern const struct sd_kernels sd_kernels_avx2_dot_int8;
extern const struct sd_kernels sd_kernels_avx512_fp32, sd_kernels_avx512_bf16, sd_kernels_avx512_int8;
extern const struct sd_kernels sd_kernels_avx512_dot_bf16, sd_kernels_avx512_dot_int8;
extern const struct sd_kernels sd_kernels_amx_fp32, sd_kernels_amx_bf16, sd_kernels_amx_int8;

/* Processor features. */
enum { SD_AVX2 = 1, SD_AVX_VNNI = 2, SD_AVX512 = 4, SD_AVX512_VNNI = 8, SD_AVX512_BF16 = 16, SD_AMX = 32 };

#endif
