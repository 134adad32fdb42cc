#include "engine/cpu/gemm.h"

#include "base/memory.h"
#include "engine/cell.h"
#include "engine/cpu/onednn.h"
#include "engine/cpu/tiles.h"
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    COLUMNS = 192,      /* about this many columns of a product make one part, */
    ROWS = 256,         /* and at most this many rows */
    OUTER = 384,        /* the same for either side of an outer product */
    TYPICAL_ROWS = 192, /* the row count that the packed layout is chosen for */
    ALIGNMENT = 64
};

/* Sides are cut into parts by their size alone: what one thread computes does not depend on the number of
 * threads. */
typedef struct {
    int64_t size, width, count; /* all parts are `width` wide but the last, which is not wider */
} cut;

enum { WHOLE, LAST, KINDS }; /* parts of full width, and the last one */

/* Memory and a stream of one thread. */
typedef struct {
    dnnl_stream_t stream;
    char *memory;
    size_t size;
} lane;

/* Copies of operands, kept from call to call. */
enum { BUFFER_LEFT, BUFFER_RIGHT, BUFFER_WIDE_LEFT, BUFFER_WIDE_RIGHT, BUFFERS };

struct sg_gemm {
    int threads;
    dnnl_engine_t engine;
    dnnl_data_type_t type; /* of the operands of products */
    bool widen;            /* operands come in bf16, and products take them as floats */
    const sg_tiles *tiles; /* products by these instead of oneDNN, or NULL */
    lane *lane;            /* [threads] */
    void *buffer[BUFFERS];
    size_t buffer_size[BUFFERS];
};

/* The parts of one kind of B: their layout, and products with them by number of rows, made when first needed.
 */
typedef struct {
    sg_dnnl_desc layout;
    sg_dnnl_task reorder, *product[ROWS + 1];
} part_kind;

struct sg_packed {
    sg_gemm *gemm;
    int64_t k, n;
    bool transposed;
    void *panels; /* with tiles; then none of the following exists */
    cut columns;
    part_kind kind[KINDS];
    size_t part_size; /* bytes of a packed part */
    void *data;       /* [columns.count] packed parts */
};

/* ---- cuts ---- */

static int64_t whole(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}

/* Cuts into equal parts, up to rounding, a multiple of `multiple` in number, of at most `widest`. */
static cut cut_evenly(int64_t size, int64_t widest, int64_t multiple)
{
    int64_t parts = multiple * whole(size, multiple * widest), width = 16 * whole(size, 16 * parts);
    return (cut){size, width, whole(size, width)};
}

/* Numbers of parts that two and four threads share evenly, unless parts become too narrow. */
static cut cut_columns(int64_t size, int64_t widest)
{
    return cut_evenly(size, widest, size >= 4 * 128 ? 4 : size >= 2 * 64 ? 2 : 1);
}

static int kind_of(const cut *c, int64_t part)
{
    return part + 1 < c->count ? WHOLE : LAST;
}

/* Size of the parts of a kind. */
static int64_t kind_size(const cut *c, int kind)
{
    return kind == WHOLE ? c->width : c->size - (c->count - 1) * c->width;
}

/* Kinds that occur; where the last part is as wide as the others, it is made twice all the same. */
static int first_kind(const cut *c)
{
    return c->count > 1 ? WHOLE : LAST;
}

/* ---- the context ---- */

static bool isa_has(unsigned wanted)
{
    return ((unsigned)dnnl_get_effective_cpu_isa() & wanted) == wanted;
}

/* The system saves tiles only for a process that has asked for it. */
static bool may_use_tiles(void)
{
#ifdef SG_X86_LEVELS
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}

bool sg_gemm_bf16_is_fast(void)
{
    return isa_has(dnnl_cpu_isa_avx512_core_amx) && may_use_tiles();
}

static bool has_bf16_instructions(void)
{
    return isa_has(dnnl_cpu_isa_avx512_core_bf16);
}

/* The tile products for a context, or NULL. */
static const sg_tiles *choose_tiles(bool bf16)
{
    const sg_tiles *tiles = NULL;
#ifdef SG_X86_LEVELS
    if (bf16 && sg_gemm_bf16_is_fast() && !getenv("SIPGPU_NO_TILES"))
        tiles = &sg_tiles_amx;
#endif
    (void)bf16;
    return tiles;
}

void sg_gemm_describe(bool bf16, char *text, size_t size)
{
    if (choose_tiles(bf16)) {
        snprintf(text, size, "AMX tiles");
        return;
    }
    const dnnl_version_t *v = dnnl_version();
    const char *isa = sg_gemm_bf16_is_fast()              ? "AMX"
                      : has_bf16_instructions()           ? "AVX-512 with bf16"
                      : isa_has(dnnl_cpu_isa_avx512_core) ? "AVX-512"
                      : isa_has(dnnl_cpu_isa_avx2)        ? "AVX2"
                                                          : "SSE4.1";
    const char *how = bf16 && !has_bf16_instructions() ? ", bf16 operands as floats" : "";
    snprintf(text, size, "oneDNN %d.%d.%d, %s%s", v->major, v->minor, v->patch, isa, how);
}

static sg_status open_library(sg_gemm *g)
{
    SG_DNNL(dnnl_engine_create(&g->engine, dnnl_cpu, 0));
    SG_TRY(sg_alloc(&g->lane, g->threads, "matrix products"));
    for (int i = 0; i < g->threads; i++)
        SG_DNNL(dnnl_stream_create(&g->lane[i].stream, g->engine, dnnl_stream_default_flags));
    return SG_OK;
}

sg_status sg_gemm_open(sg_gemm **out, bool bf16, int threads)
{
    *out = NULL;
    sg_gemm *g;
    SG_TRY(sg_alloc(&g, 1, "matrix products"));
    g->threads = threads;
    g->widen = bf16 && !has_bf16_instructions();
    g->type = bf16 && !g->widen ? dnnl_bf16 : dnnl_f32;
    g->tiles = choose_tiles(bf16);
    sg_status status = open_library(g);
    if (status != SG_OK) {
        sg_gemm_close(g);
        return status;
    }
    *out = g;
    return SG_OK;
}

void sg_gemm_close(sg_gemm *g)
{
    if (!g)
        return;
    for (int i = 0; g->lane && i < g->threads; i++) {
        if (g->lane[i].stream)
            dnnl_stream_destroy(g->lane[i].stream);
        free(g->lane[i].memory);
    }
    free(g->lane);
    if (g->engine)
        dnnl_engine_destroy(g->engine);
    for (int b = 0; b < BUFFERS; b++)
        free(g->buffer[b]);
    free(g);
}

static size_t element_size(const sg_gemm *g)
{
    return dnnl_data_type_size(g->type);
}

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Makes a buffer hold at least `bytes`. */
static sg_status reserve_buffer(sg_gemm *g, int which, size_t bytes)
{
    if (bytes <= g->buffer_size[which])
        return SG_OK;
    free(g->buffer[which]);
    g->buffer[which] = NULL;
    g->buffer_size[which] = 0;
    SG_TRY(sg_alloc_bytes(&g->buffer[which], bytes + bytes / 8, 1, "matrix products"));
    g->buffer_size[which] = bytes + bytes / 8;
    return SG_OK;
}

/* Gives every thread at least `bytes`. */
static sg_status reserve_lanes(sg_gemm *g, size_t bytes)
{
    for (int i = 0; i < g->threads; i++) {
        lane *l = &g->lane[i];
        if (bytes <= l->size)
            continue;
        free(l->memory);
        *l = (lane){.stream = l->stream};
        SG_TRY(sg_alloc(&l->memory, bytes, "matrix products"));
        l->size = bytes;
    }
    return SG_OK;
}

/* Threads for so many parts. */
static int team(const sg_gemm *g, int64_t parts)
{
    return parts < g->threads ? (int)parts : g->threads;
}

/* The lane of the calling thread of a region.  The setting makes oneDNN use this thread only.
 */
static const lane *enter_lane(const sg_gemm *g)
{
    omp_set_num_threads(1);
    return &g->lane[omp_get_thread_num()];
}

/* What a product uses instead of a bf16 operand if there are no instructions for bf16: the same numbers as
 * floats. */
static sg_status widen(sg_gemm *g, int which, const void **operand, int64_t count)
{
    if (!g->widen)
        return SG_OK;
    SG_TRY(reserve_buffer(g, which, (size_t)count * sizeof(float)));
    const uint16_t *from = *operand;
    float *to = g->buffer[which];
#pragma omp parallel for simd schedule(static) num_threads(g->threads)
    for (int64_t i = 0; i < count; i++)
        to[i] = sg_float_from_bf16(from[i]);
    *operand = to;
    return SG_OK;
}

/* Floats rounded to bf16, as floats. */
static sg_status round_floats(sg_gemm *g, int which, const float **source, int64_t count)
{
    if (!g->widen)
        return SG_OK;
    SG_TRY(reserve_buffer(g, which, (size_t)count * sizeof(float)));
    const float *from = *source;
    float *to = g->buffer[which];
#pragma omp parallel for simd schedule(static) num_threads(g->threads)
    for (int64_t i = 0; i < count; i++)
        to[i] = sg_float_from_bf16(sg_bf16_from_float(from[i]));
    *source = to;
    return SG_OK;
}

/* ---- packed weights ---- */

static sg_status prepare_kind(sg_packed *p, int kind)
{
    const sg_gemm *g = p->gemm;
    int64_t n = kind_size(&p->columns, kind);
    part_kind *part = &p->kind[kind];
    sg_dnnl_matrix source = {p->k, n, p->transposed ? p->k : p->n, p->transposed, dnnl_f32};
    SG_TRY(sg_dnnl_best_layout(g->engine, TYPICAL_ROWS, p->k, n, g->type, &part->layout));
    SG_TRY(sg_dnnl_reorder_make(g->engine, &source, &part->layout, &part->reorder));
    size_t size = aligned(sg_dnnl_desc_size(&part->layout));
    p->part_size = size > p->part_size ? size : p->part_size;
    return reserve_lanes(p->gemm, part->reorder.scratch_size);
}

static sg_status prepare_packed(sg_packed *p)
{
    sg_gemm *g = p->gemm;
    if (g->tiles)
        return sg_alloc_bytes(&p->panels, g->tiles->size(p->n, p->k), 1, "packed weights");
    p->columns = cut_columns(p->n, COLUMNS);
    for (int kind = first_kind(&p->columns); kind < KINDS; kind++)
        SG_TRY(prepare_kind(p, kind));
    return sg_alloc_bytes(&p->data, (size_t)p->columns.count, p->part_size, "packed weights");
}

sg_status sg_packed_make(sg_gemm *gemm, int64_t k, int64_t n, bool transposed, sg_packed **packed)
{
    *packed = NULL;
    sg_packed *p;
    SG_TRY(sg_alloc(&p, 1, "packed weights"));
    p->gemm = gemm;
    p->k = k;
    p->n = n;
    p->transposed = transposed;
    sg_status status = prepare_packed(p);
    if (status != SG_OK) {
        sg_packed_free(p);
        return status;
    }
    *packed = p;
    return SG_OK;
}

void sg_packed_free(sg_packed *p)
{
    if (!p)
        return;
    for (int kind = 0; kind < KINDS; kind++) {
        for (int r = 0; r <= ROWS; r++) {
            if (p->kind[kind].product[r])
                sg_dnnl_task_free(p->kind[kind].product[r]);
            free(p->kind[kind].product[r]);
        }
        sg_dnnl_task_free(&p->kind[kind].reorder);
        sg_dnnl_desc_free(&p->kind[kind].layout);
    }
    free(p->data);
    free(p->panels);
    free(p);
}

static void *packed_part(const sg_packed *p, int64_t part)
{
    return (char *)p->data + (size_t)part * p->part_size;
}

sg_status sg_packed_fill(sg_packed *p, const float *source)
{
    sg_gemm *g = p->gemm;
    if (p->panels) {
        g->tiles->pack(source, p->k, p->n, p->transposed, p->panels);
        return SG_OK;
    }
    SG_TRY(round_floats(g, BUFFER_WIDE_RIGHT, &source, p->k * p->n));
    int64_t step = p->columns.width * (p->transposed ? p->k : 1), parts = p->columns.count;
    int code = dnnl_success;
#pragma omp parallel num_threads(team(g, parts)) reduction(max : code)
    {
        const lane *l = enter_lane(g);
#pragma omp for schedule(static)
        for (int64_t part = 0; part < parts; part++) {
            int failed = sg_dnnl_reorder_run(&p->kind[kind_of(&p->columns, part)].reorder, l->stream,
                                             l->memory, source + part * step, packed_part(p, part));
            code = failed > code ? failed : code;
        }
    }
    SG_DNNL(code);
    return SG_OK;
}

/* ---- products ---- */

/* One product of parts, and where its result goes: rows of C that are `stride` floats apart. */
typedef struct {
    const sg_dnnl_task *task;
    const void *a, *b;
    float *c;
    int64_t rows, columns, stride;
} product;

/* The library's fast products write rows without gaps: into the lane's memory, from where they are copied. */
static dnnl_status_t run_product(const lane *l, const product *p)
{
    if (p->columns == p->stride)
        return sg_dnnl_product_run(p->task, l->stream, l->memory, p->a, p->b, p->c);
    size_t bytes = (size_t)(p->rows * p->columns) * sizeof(float);
    float *block = (void *)l->memory;
    dnnl_status_t code =
        sg_dnnl_product_run(p->task, l->stream, l->memory + aligned(bytes), p->a, p->b, block);
    for (int64_t r = 0; r < p->rows; r++)
        memcpy(p->c + r * p->stride, block + r * p->columns, (size_t)p->columns * sizeof *block);
    return code;
}

/* Memory of a lane for run_product with this task. */
static sg_status reserve_for(sg_gemm *g, const sg_dnnl_task *task)
{
    return reserve_lanes(g, aligned(sg_dnnl_desc_size(&task->to)) + task->scratch_size);
}

/* The product of parts of a kind with `rows` rows; made if there is none yet. */
static sg_status prepare_product(sg_packed *p, int kind, int64_t rows)
{
    part_kind *part = &p->kind[kind];
    if (part->product[rows])
        return SG_OK;
    SG_TRY(sg_alloc(&part->product[rows], 1, "a matrix product"));
    sg_status status = sg_dnnl_product_make(p->gemm->engine, rows, p->k, kind_size(&p->columns, kind),
                                            p->gemm->type, &part->layout, part->product[rows]);
    if (status != SG_OK) {
        free(part->product[rows]);
        part->product[rows] = NULL;
    }
    return status;
}

static sg_status prepare_products(sg_packed *p, const cut *rows)
{
    for (int kind = first_kind(&p->columns); kind < KINDS; kind++)
        for (int row_kind = first_kind(rows); row_kind < KINDS; row_kind++) {
            int64_t count = kind_size(rows, row_kind);
            SG_TRY(prepare_product(p, kind, count));
            SG_TRY(reserve_for(p->gemm, p->kind[kind].product[count]));
        }
    return SG_OK;
}

static dnnl_status_t multiply_part(const sg_packed *p, const lane *l, const cut *rows, const void *a,
                                   float *c, int64_t column_part, int64_t row_part)
{
    int kind = kind_of(&p->columns, column_part), row_kind = kind_of(rows, row_part);
    int64_t first = row_part * rows->width, count = kind_size(rows, row_kind);
    product one = {.task = p->kind[kind].product[count],
                   .a = (const char *)a + (size_t)(first * p->k) * element_size(p->gemm),
                   .b = packed_part(p, column_part),
                   .c = c + first * p->n + column_part * p->columns.width,
                   .rows = count,
                   .columns = kind_size(&p->columns, kind),
                   .stride = p->n};
    return run_product(l, &one);
}

static sg_status multiply_tiles(sg_packed *p, const void *a, int64_t rows, float *c)
{
    SG_TRY(reserve_buffer(p->gemm, BUFFER_LEFT, p->gemm->tiles->size(rows, p->k)));
    p->gemm->tiles->multiply(a, rows, p->panels, p->k, p->n, p->gemm->buffer[BUFFER_LEFT], c);
    return SG_OK;
}

sg_status sg_packed_multiply(sg_packed *p, const void *a, int64_t rows, float *c)
{
    sg_gemm *g = p->gemm;
    if (rows == 0)
        return SG_OK;
    if (p->panels)
        return multiply_tiles(p, a, rows, c);
    cut by_rows = cut_evenly(rows, ROWS, 1);
    SG_TRY(widen(g, BUFFER_WIDE_LEFT, &a, rows * p->k));
    SG_TRY(prepare_products(p, &by_rows));
    int64_t column_parts = p->columns.count, row_parts = by_rows.count;
    int code = dnnl_success;
#pragma omp parallel num_threads(team(g, column_parts *row_parts)) reduction(max : code)
    {
        const lane *l = enter_lane(g);
#pragma omp for collapse(2) schedule(dynamic)
        for (int64_t i = 0; i < column_parts; i++)
            for (int64_t j = 0; j < row_parts; j++) {
                int failed = multiply_part(p, l, &by_rows, a, c, i, j);
                code = failed > code ? failed : code;
            }
    }
    SG_DNNL(code);
    return SG_OK;
}

/* ---- outer products ---- */

/* C [m, n] = A^T B: parts of A^T are moved to plain rows, parts of B to the library's layout. */
typedef struct {
    sg_gemm *gemm;
    int64_t rows; /* of A and B: the length of the sums */
    cut m, n;
    sg_dnnl_desc left[KINDS], right[KINDS];
    sg_dnnl_task pack_left[KINDS], pack_right[KINDS], product[KINDS][KINDS];
    size_t left_size, right_size; /* bytes of a part */
} outer;

static sg_status prepare_sides(outer *o)
{
    sg_gemm *g = o->gemm;
    for (int kind = first_kind(&o->m); kind < KINDS; kind++) {
        int64_t m = kind_size(&o->m, kind);
        sg_dnnl_matrix source = {m, o->rows, o->m.size, true, g->type},
                       plain = {m, o->rows, o->rows, false, g->type};
        SG_DNNL(sg_dnnl_desc_make(&o->left[kind], &plain));
        SG_TRY(sg_dnnl_reorder_make(g->engine, &source, &o->left[kind], &o->pack_left[kind]));
        SG_TRY(reserve_lanes(g, o->pack_left[kind].scratch_size));
    }
    for (int kind = first_kind(&o->n); kind < KINDS; kind++) {
        int64_t n = kind_size(&o->n, kind);
        sg_dnnl_matrix source = {o->rows, n, o->n.size, false, g->type};
        SG_TRY(sg_dnnl_best_layout(g->engine, o->m.width, o->rows, n, g->type, &o->right[kind]));
        SG_TRY(sg_dnnl_reorder_make(g->engine, &source, &o->right[kind], &o->pack_right[kind]));
        SG_TRY(reserve_lanes(g, o->pack_right[kind].scratch_size));
    }
    return SG_OK;
}

static sg_status prepare_outer(outer *o)
{
    sg_gemm *g = o->gemm;
    SG_TRY(prepare_sides(o));
    for (int i = first_kind(&o->m); i < KINDS; i++)
        for (int j = first_kind(&o->n); j < KINDS; j++) {
            SG_TRY(sg_dnnl_product_make(g->engine, kind_size(&o->m, i), o->rows, kind_size(&o->n, j), g->type,
                                        &o->right[j], &o->product[i][j]));
            SG_TRY(reserve_for(g, &o->product[i][j]));
        }
    o->left_size = aligned((size_t)(o->m.width * o->rows) * element_size(g));
    size_t whole_part = o->n.count > 1 ? sg_dnnl_desc_size(&o->right[WHOLE]) : 0;
    size_t last_part = sg_dnnl_desc_size(&o->right[LAST]);
    o->right_size = aligned(whole_part > last_part ? whole_part : last_part);
    SG_TRY(reserve_buffer(g, BUFFER_LEFT, o->left_size * (size_t)o->m.count));
    return reserve_buffer(g, BUFFER_RIGHT, o->right_size * (size_t)o->n.count);
}

static void free_outer(outer *o)
{
    for (int i = 0; i < KINDS; i++) {
        sg_dnnl_task_free(&o->pack_left[i]);
        sg_dnnl_task_free(&o->pack_right[i]);
        sg_dnnl_desc_free(&o->left[i]);
        sg_dnnl_desc_free(&o->right[i]);
        for (int j = 0; j < KINDS; j++)
            sg_dnnl_task_free(&o->product[i][j]);
    }
}

static char *left_part(const outer *o, int64_t i)
{
    return (char *)o->gemm->buffer[BUFFER_LEFT] + (size_t)i * o->left_size;
}

static char *right_part(const outer *o, int64_t j)
{
    return (char *)o->gemm->buffer[BUFFER_RIGHT] + (size_t)j * o->right_size;
}

/* Packs side `part`: first the parts of A, then those of B. */
static dnnl_status_t pack_side(const outer *o, const lane *l, const void *a, const void *b, int64_t part)
{
    size_t size = element_size(o->gemm);
    if (part < o->m.count)
        return sg_dnnl_reorder_run(&o->pack_left[kind_of(&o->m, part)], l->stream, l->memory,
                                   (const char *)a + (size_t)(part * o->m.width) * size, left_part(o, part));
    part -= o->m.count;
    return sg_dnnl_reorder_run(&o->pack_right[kind_of(&o->n, part)], l->stream, l->memory,
                               (const char *)b + (size_t)(part * o->n.width) * size, right_part(o, part));
}

static dnnl_status_t outer_part(const outer *o, const lane *l, float *c, int64_t i, int64_t j)
{
    int left = kind_of(&o->m, i), right = kind_of(&o->n, j);
    product one = {.task = &o->product[left][right],
                   .a = left_part(o, i),
                   .b = right_part(o, j),
                   .c = c + i * o->m.width * o->n.size + j * o->n.width,
                   .rows = kind_size(&o->m, left),
                   .columns = kind_size(&o->n, right),
                   .stride = o->n.size};
    return run_product(l, &one);
}

static sg_status run_outer(outer *o, const void *a, const void *b, float *c)
{
    sg_gemm *g = o->gemm;
    int64_t left = o->m.count, right = o->n.count;
    int code = dnnl_success;
#pragma omp parallel num_threads(team(g, left *right)) reduction(max : code)
    {
        const lane *l = enter_lane(g);
#pragma omp for schedule(dynamic)
        for (int64_t part = 0; part < left + right; part++) {
            int failed = pack_side(o, l, a, b, part);
            code = failed > code ? failed : code;
        }
#pragma omp for collapse(2) schedule(dynamic)
        for (int64_t j = 0; j < right; j++)
            for (int64_t i = 0; i < left; i++) {
                int failed = outer_part(o, l, c, i, j);
                code = failed > code ? failed : code;
            }
    }
    SG_DNNL(code);
    return SG_OK;
}

static sg_status outer_tiles(sg_gemm *g, const void *a, const void *b, int64_t rows, int64_t m, int64_t n,
                             float *c)
{
    SG_TRY(reserve_buffer(g, BUFFER_LEFT, g->tiles->size(m, rows)));
    SG_TRY(reserve_buffer(g, BUFFER_RIGHT, g->tiles->size(n, rows)));
    g->tiles->outer(a, b, rows, m, n, g->buffer[BUFFER_LEFT], g->buffer[BUFFER_RIGHT], c);
    return SG_OK;
}

sg_status sg_gemm_outer(sg_gemm *g, const void *a, const void *b, int64_t rows, int64_t m, int64_t n,
                        float *c)
{
    if (g->tiles)
        return outer_tiles(g, a, b, rows, m, n, c);
    SG_TRY(widen(g, BUFFER_WIDE_LEFT, &a, rows * m));
    SG_TRY(widen(g, BUFFER_WIDE_RIGHT, &b, rows * n));
    outer o = {.gemm = g, .rows = rows, .m = cut_columns(m, OUTER), .n = cut_columns(n, OUTER)};
    sg_status status = prepare_outer(&o);
    if (status == SG_OK)
        status = run_outer(&o, a, b, c);
    free_outer(&o);
    return status;
}
