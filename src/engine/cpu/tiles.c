/* tiles.c: four sums of 16 by 16 at a time, from two tiles of each operand; blocks are chosen so that reused
 * data stays in the second-level cache, and the next panel is fetched while one is multiplied.
 *
 * The tests run this file with the instructions emulated (SG_AMX_EMULATED), because few processors have them.
 */
#include "engine/cpu/tiles.h"

#include "engine/cell.h"
#include <omp.h>
#include <string.h>
#ifdef SG_AMX_EMULATED
#include "amx_emulated.h"
#else
#include <immintrin.h>
#endif

enum {
    PANEL = 32,          /* rows or columns of a panel, and elements of a step along the sum */
    HALF = PANEL / 2,    /* rows of a tile */
    TILE = HALF * PANEL, /* bf16 elements of a tile */
    STEP = 2 * TILE,     /* ... of a panel's step */
    STEP_LINES = 2 * 16, /* cache lines of a panel's step */
    GROUP = 8,           /* right panels that a thread takes at once, at most */
    FEW_PANELS = 8,      /* up to so many left panels ... */
    LONG_CHUNK = 48,     /* ... so many of their steps are kept in the cache (768 KiB), */
    SHORT_CHUNK = 24,    /* of more panels fewer steps, */
    BLOCK = 16           /* of so many panels at a time (768 KiB) */
};

static int64_t whole(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}

static size_t panels_size(int64_t count, int64_t k)
{
    return (size_t)(whole(count, PANEL) * whole(k, PANEL) * STEP) * sizeof(uint16_t);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- panels ---- */

/* The pair for two consecutive positions of a sum in the right operand. */
static uint32_t pair(uint16_t even, uint16_t odd)
{
    return even | (uint32_t)odd << 16;
}

/* Pairs of row r of both tiles of a right panel's step. */
static void put_pairs(const uint16_t *even, const uint16_t *odd, int64_t r, uint32_t *to)
{
    for (int half = 0; half < 2; half++, even += HALF, odd += HALF, to += TILE / 2)
        for (int64_t i = 0; i < HALF; i++)
            to[r * HALF + i] = pair(even[i], odd[i]);
}

/* One step of a right panel of plain floats: `depth` rows of the source, `width` columns. */
static void pack_plain(const float *source, int64_t stride, int64_t depth, int64_t width, uint32_t *to)
{
    for (int64_t r = 0; r < whole(depth, 2); r++) {
        uint16_t row[2][PANEL] = {{0}};
        for (int64_t q = 0; q < 2 && 2 * r + q < depth; q++)
            for (int64_t i = 0; i < width; i++)
                row[q][i] = sg_bf16_from_float(source[(2 * r + q) * stride + i]);
        put_pairs(row[0], row[1], r, to);
    }
}

/* The same where the source is stored transposed: columns of the panel are rows of it. */
static void pack_transposed(const float *source, int64_t stride, int64_t depth, int64_t width, uint32_t *to)
{
    for (int64_t i = 0; i < width; i++) {
        uint16_t column[PANEL] = {0};
        for (int64_t r = 0; r < depth; r++)
            column[r] = sg_bf16_from_float(source[i * stride + r]);
        for (int64_t r = 0; r < HALF; r++)
            to[(i / HALF) * (TILE / 2) + r * HALF + i % HALF] = pair(column[2 * r], column[2 * r + 1]);
    }
}

static void pack(const float *source, int64_t k, int64_t n, bool transposed, void *panels)
{
    int64_t steps = whole(k, PANEL);
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < whole(n, PANEL); p++) {
        for (int64_t s = 0; s < steps; s++) {
            uint32_t *to = (uint32_t *)panels + (p * steps + s) * (STEP / 2);
            int64_t depth = smaller(PANEL, k - s * PANEL), width = smaller(PANEL, n - p * PANEL);
            if (depth < PANEL || width < PANEL)
                memset(to, 0, STEP * sizeof(uint16_t));
            if (transposed)
                pack_transposed(source + p * PANEL * k + s * PANEL, k, depth, width, to);
            else
                pack_plain(source + s * PANEL * n + p * PANEL, n, depth, width, to);
        }
    }
}

/* Half a left panel: up to 16 rows of A [rows, k] from `first` on. */
static void pack_rows(const uint16_t *a, int64_t rows, int64_t k, int64_t first, uint16_t *to)
{
    for (int64_t s = 0; s < whole(k, PANEL); s++, to += STEP) {
        int64_t width = smaller(PANEL, k - s * PANEL);
        for (int64_t r = 0; r < HALF; r++) {
            uint16_t *line = to + r * PANEL;
            int64_t there = first + r < rows ? width : 0;
            if (there < PANEL)
                memset(line, 0, PANEL * sizeof *line);
            memcpy(line, a + (there ? (first + r) * k + s * PANEL : 0), (size_t)there * sizeof *line);
        }
    }
}

/* Step s of all left panels of A^T, A [rows, m]: the sum runs over the rows of A. */
static void pack_left_step(const uint16_t *a, int64_t rows, int64_t m, int64_t s, uint16_t *panels)
{
    int64_t steps = whole(rows, PANEL), depth = smaller(PANEL, rows - s * PANEL);
    for (int64_t p = 0; p < whole(m, PANEL); p++) {
        uint16_t *to = panels + (p * steps + s) * STEP;
        int64_t width = smaller(PANEL, m - p * PANEL);
        if (depth < PANEL || width < PANEL)
            memset(to, 0, STEP * sizeof *to);
        for (int64_t i = 0; i < width; i++)
            for (int64_t r = 0; r < depth; r++)
                to[i * PANEL + r] = a[(s * PANEL + r) * m + p * PANEL + i];
    }
}

/* One step of an incomplete right panel. */
static void pack_right_edge(const uint16_t *b, int64_t n, int64_t depth, int64_t width, uint32_t *to)
{
    memset(to, 0, STEP * sizeof(uint16_t));
    for (int64_t r = 0; r < whole(depth, 2); r++) {
        uint16_t row[2][PANEL] = {{0}};
        for (int64_t q = 0; q < 2 && 2 * r + q < depth; q++)
            memcpy(row[q], b + (2 * r + q) * n, (size_t)width * sizeof **row);
        put_pairs(row[0], row[1], r, to);
    }
}

/* Step s of all right panels of B [rows, n]. */
static void pack_right_step(const uint16_t *b, int64_t rows, int64_t n, int64_t s, uint16_t *panels)
{
    int64_t steps = whole(rows, PANEL), depth = smaller(PANEL, rows - s * PANEL);
    for (int64_t p = 0; p < whole(n, PANEL); p++) {
        uint32_t *to = (uint32_t *)(panels + (p * steps + s) * STEP);
        const uint16_t *from = b + s * PANEL * n + p * PANEL;
        int64_t width = smaller(PANEL, n - p * PANEL);
        if (depth < PANEL || width < PANEL)
            pack_right_edge(from, n, depth, width, to);
        else
            for (int64_t r = 0; r < HALF; r++)
                put_pairs(from + 2 * r * n, from + (2 * r + 1) * n, r, to);
    }
}

/* ---- products of panels ---- */

typedef struct {
    const uint16_t *left, *right;
    int64_t steps;   /* of the sum */
    int64_t rows, n; /* of the product */
    float *c;
} product;

/* The compiler does not know that the instructions for tiles read memory: what they read is stored before. */
static void settle_stores(void)
{
    __asm__ volatile("" ::: "memory");
}

static void shape_tiles(void)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } shapes = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shapes.rows[i] = HALF;
        shapes.bytes[i] = PANEL * sizeof(uint16_t);
    }
    settle_stores();
    _tile_loadconfig(&shapes);
}

/* What a block fetches meanwhile: `lines` cache lines for each of its steps. */
typedef struct {
    const char *next;
    int lines;
} ahead;

static void fetch(ahead *of)
{
    for (int i = 0; i < of->lines; i++, of->next += 64)
        __builtin_prefetch(of->next, 0, 2);
}

/* Adds `steps` steps of two panels to tiles 0-3; with `half`, of the upper half of the left one to 0 and 1.
 */
static void add_steps(const uint16_t *a, const uint16_t *b, int64_t steps, bool half, ahead *of)
{
    for (int64_t s = 0; s < steps; s++, a += STEP, b += STEP) {
        _tile_loadd(4, a, 64);
        _tile_loadd(6, b, 64);
        _tile_loadd(7, b + TILE, 64);
        fetch(of);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if (half)
            continue;
        _tile_loadd(5, a + TILE, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
}

/* The 32 by 32 block at c, rows `stride` floats apart. */
static void add_block(const uint16_t *a, const uint16_t *b, int64_t steps, bool half, float *c, size_t stride,
                      bool add, ahead *of)
{
    size_t bytes = stride * sizeof *c;
    if (add) {
        settle_stores();
        _tile_loadd(0, c, bytes);
        _tile_loadd(1, c + HALF, bytes);
        _tile_loadd(2, c + HALF * stride, bytes);
        _tile_loadd(3, c + HALF * stride + HALF, bytes);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    add_steps(a, b, steps, half, of);
    _tile_stored(0, c, bytes);
    _tile_stored(1, c + HALF, bytes);
    _tile_stored(2, c + HALF * stride, bytes);
    _tile_stored(3, c + HALF * stride + HALF, bytes);
}

/* Block (i, j) of the product, steps [first, end). */
static void product_block(const product *p, int64_t i, int64_t j, int64_t first, int64_t end, ahead *of)
{
    const uint16_t *a = p->left + (i * p->steps + first) * STEP,
                   *b = p->right + (j * p->steps + first) * STEP;
    float *c = p->c + i * PANEL * p->n + j * PANEL;
    int64_t rows = smaller(PANEL, p->rows - i * PANEL), columns = smaller(PANEL, p->n - j * PANEL);
    if (rows == PANEL && columns == PANEL) {
        add_block(a, b, end - first, false, c, (size_t)p->n, first > 0, of);
        return;
    }
    float edge[PANEL * PANEL] __attribute__((aligned(64))) = {0};
    for (int64_t r = 0; first > 0 && r < rows; r++)
        memcpy(edge + r * PANEL, c + r * p->n, (size_t)columns * sizeof *c);
    add_block(a, b, end - first, rows <= HALF, edge, PANEL, first > 0, of);
    for (int64_t r = 0; r < rows; r++)
        memcpy(c + r * p->n, edge + r * PANEL, (size_t)columns * sizeof *c);
}

/* Right panels [j0, j1): a block of left panels and a chunk of their steps stays in the cache while the right
 * panels pass. */
static void product_group(const product *p, int64_t j0, int64_t j1)
{
    int64_t panels = whole(p->rows, PANEL), chunk = panels <= FEW_PANELS ? LONG_CHUNK : SHORT_CHUNK;
    for (int64_t i0 = 0; i0 < panels; i0 += BLOCK) {
        int64_t i1 = smaller(i0 + BLOCK, panels);
        for (int64_t first = 0; first < p->steps; first += chunk) {
            int64_t end = smaller(first + chunk, p->steps);
            for (int64_t j = j0; j < j1; j++) {
                const uint16_t *next = p->right + ((j + 1 < j1 ? j + 1 : j) * p->steps + first) * STEP;
                ahead of = {(const char *)next, (int)whole(STEP_LINES, i1 - i0)};
                for (int64_t i = i0; i < i1; i++)
                    product_block(p, i, j, first, end, &of);
            }
        }
    }
}

static void multiply_panels(const product *p)
{
    int64_t panels = whole(p->n, PANEL);
    int64_t group = panels / (4 * omp_get_num_threads());
    group = group < 1 ? 1 : smaller(group, GROUP);
    shape_tiles();
#pragma omp for schedule(dynamic)
    for (int64_t j = 0; j < panels; j += group)
        product_group(p, j, smaller(j + group, panels));
    _tile_release();
}

static void multiply(const uint16_t *a, int64_t rows, const void *panels, int64_t k, int64_t n, void *work,
                     float *c)
{
    int64_t steps = whole(k, PANEL);
    product p = {work, panels, steps, rows, n, c};
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (int64_t half = 0; half < 2 * whole(rows, PANEL); half++)
            pack_rows(a, rows, k, half * HALF, (uint16_t *)work + half / 2 * steps * STEP + half % 2 * TILE);
        multiply_panels(&p);
    }
}

static void outer(const uint16_t *a, const uint16_t *b, int64_t rows, int64_t m, int64_t n, void *work_a,
                  void *work_b, float *c)
{
    int64_t steps = whole(rows, PANEL);
    product p = {work_a, work_b, steps, m, n, c};
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (int64_t s = 0; s < steps; s++) {
            pack_left_step(a, rows, m, s, work_a);
            pack_right_step(b, rows, n, s, work_b);
        }
        multiply_panels(&p);
    }
}

const sg_tiles sg_tiles_amx = {
    .size = panels_size,
    .pack = pack,
    .multiply = multiply,
    .outer = outer,
};
