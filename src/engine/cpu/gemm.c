#include "engine/cpu/gemm.h"

#include "base/memory.h"
#include "engine/cpu/tiles.h"
#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The C interface changed between 2.x (descriptors are structs) and 3.x (descriptors are handles). */
#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t desc_handle;
#define DESC(d) (d)
#else
typedef dnnl_memory_desc_t desc_handle;
#define DESC(d) (&(d))
#endif

#define SG_DNNL(call)                                 \
    do {                                              \
        dnnl_status_t dnnl_status_ = (call);          \
        if (dnnl_status_ != dnnl_success)             \
            return dnnl_failure(dnnl_status_, #call); \
    } while (0)

enum {
    ROWS_CACHED = 4096,     /* products of up to this many rows keep their primitive */
    TYPICAL_ROWS = 192,     /* the row count that the packed layout is chosen for */
    OUTER_REORDER_ROWS = 64 /* shorter outer products go without packing their operands */
};

struct sg_gemm {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_data_type_t type;
    /* Products by these instead of the library's, or NULL: oneDNN 2.6 is slower (docs/performance.md). */
    const sg_tiles *tiles;
    /* Rearranged copies of operands, kept from call to call. */
    void *buffer[2];
    size_t buffer_size[2];
};

struct sg_packed {
    sg_gemm *gemm;
    int64_t k, n;
    bool transposed;
    void *panels;              /* with tiles; then there is nothing of what follows */
    desc_handle plain, layout; /* as stored by the caller; as packed */
    void *data;
    dnnl_memory_t source_memory, memory;
    dnnl_primitive_t reorder;
    dnnl_primitive_t product[ROWS_CACHED + 1]; /* by rows, made when first needed */
};

static sg_status dnnl_failure(dnnl_status_t code, const char *call)
{
    if (code == dnnl_out_of_memory)
        return sg_fail(SG_E_MEMORY, "out of memory in a matrix product");
    if (code == dnnl_unimplemented)
        return sg_fail(SG_E_DEVICE,
                       "this processor cannot compute the product asked for (oneDNN: unimplemented)");
    return sg_fail(SG_E_INTERNAL, "oneDNN error %d in %.80s", (int)code, call);
}

/* ---- differences between 2.x and 3.x ---- */

static dnnl_status_t desc_make(desc_handle *d, int64_t rows, int64_t columns, dnnl_data_type_t type,
                               bool transposed)
{
    dnnl_dims_t dims = {rows, columns}, strides = {columns, 1}, swapped = {1, rows};
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_create_with_strides(d, 2, dims, type, transposed ? swapped : strides);
#else
    return dnnl_memory_desc_init_by_strides(d, 2, dims, type, transposed ? swapped : strides);
#endif
}

static dnnl_status_t desc_make_any(desc_handle *d, int64_t rows, int64_t columns, dnnl_data_type_t type)
{
    dnnl_dims_t dims = {rows, columns};
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_create_with_tag(d, 2, dims, type, dnnl_format_tag_any);
#else
    return dnnl_memory_desc_init_by_tag(d, 2, dims, type, dnnl_format_tag_any);
#endif
}

static void desc_free(desc_handle *d)
{
#if DNNL_VERSION_MAJOR >= 3
    if (*d)
        dnnl_memory_desc_destroy(*d);
    *d = NULL;
#else
    (void)d;
#endif
}

static dnnl_status_t desc_of_weights(desc_handle *d, dnnl_primitive_desc_t from)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_clone(d, dnnl_primitive_desc_query_md(from, dnnl_query_weights_md, 0));
#else
    *d = *dnnl_primitive_desc_query_md(from, dnnl_query_weights_md, 0);
    return dnnl_success;
#endif
}

static dnnl_status_t matmul_desc_make(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, desc_handle *a,
                                      desc_handle *b, desc_handle *c)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_matmul_primitive_desc_create(pd, engine, *a, *b, NULL, *c, NULL);
#else
    dnnl_matmul_desc_t op;
    dnnl_status_t status = dnnl_matmul_desc_init(&op, a, b, NULL, c);
    return status != dnnl_success ? status : dnnl_primitive_desc_create(pd, &op, NULL, engine, NULL);
#endif
}

/* ---- small compositions ---- */

/* A matmul primitive; if `best_a` / `best_b` are given, the library chooses those layouts and returns them
 * there. */
static sg_status make_product(sg_gemm *g, desc_handle *a, desc_handle *b, desc_handle *c,
                              dnnl_primitive_t *product, desc_handle *best_b)
{
    dnnl_primitive_desc_t pd;
    SG_DNNL(matmul_desc_make(&pd, g->engine, a, b, c));
    dnnl_status_t status = product ? dnnl_primitive_create(product, pd) : dnnl_success;
    if (status == dnnl_success && best_b)
        status = desc_of_weights(best_b, pd);
    dnnl_primitive_desc_destroy(pd);
    SG_DNNL(status);
    return SG_OK;
}

static sg_status make_reorder(sg_gemm *g, desc_handle *from, desc_handle *to, dnnl_primitive_t *reorder)
{
    dnnl_primitive_desc_t pd;
    SG_DNNL(dnnl_reorder_primitive_desc_create(&pd, DESC(*from), g->engine, DESC(*to), g->engine, NULL));
    dnnl_status_t status = dnnl_primitive_create(reorder, pd);
    dnnl_primitive_desc_destroy(pd);
    SG_DNNL(status);
    return SG_OK;
}

static sg_status run(sg_gemm *g, dnnl_primitive_t primitive, int count, const dnnl_exec_arg_t *args)
{
    SG_DNNL(dnnl_primitive_execute(primitive, g->stream, count, args));
    SG_DNNL(dnnl_stream_wait(g->stream));
    return SG_OK;
}

/* Runs one product on plain pointers. */
static sg_status run_product(sg_gemm *g, dnnl_primitive_t product, desc_handle *da, const void *a,
                             dnnl_memory_t mb, desc_handle *dc, float *c)
{
    dnnl_memory_t ma = NULL, mc = NULL;
    sg_status status = SG_OK;
    dnnl_status_t code = dnnl_memory_create(&ma, DESC(*da), g->engine, (void *)a);
    if (code == dnnl_success)
        code = dnnl_memory_create(&mc, DESC(*dc), g->engine, c);
    if (code == dnnl_success) {
        dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, ma}, {DNNL_ARG_WEIGHTS, mb}, {DNNL_ARG_DST, mc}};
        status = run(g, product, 3, args);
    } else {
        status = dnnl_failure(code, "dnnl_memory_create");
    }
    if (mc)
        dnnl_memory_destroy(mc);
    if (ma)
        dnnl_memory_destroy(ma);
    return status;
}

/* ---- the context ---- */

static bool isa_has(unsigned wanted)
{
    return ((unsigned)dnnl_get_effective_cpu_isa() & wanted) == wanted;
}

/* The system saves tiles for a process that has asked for them. */
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

bool sg_gemm_bf16_is_supported(void)
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
                      : sg_gemm_bf16_is_supported()       ? "AVX-512 with bf16"
                      : isa_has(dnnl_cpu_isa_avx512_core) ? "AVX-512"
                      : isa_has(dnnl_cpu_isa_avx2)        ? "AVX2"
                                                          : "SSE4.1";
    snprintf(text, size, "oneDNN %d.%d.%d, %s", v->major, v->minor, v->patch, isa);
}

sg_status sg_gemm_open(sg_gemm **out, bool bf16)
{
    *out = NULL;
    sg_gemm *g;
    SG_TRY(sg_alloc(&g, 1, "matrix products"));
    g->type = bf16 ? dnnl_bf16 : dnnl_f32;
    g->tiles = choose_tiles(bf16);
    dnnl_status_t code = dnnl_engine_create(&g->engine, dnnl_cpu, 0);
    if (code == dnnl_success)
        code = dnnl_stream_create(&g->stream, g->engine, dnnl_stream_default_flags);
    if (code != dnnl_success) {
        sg_gemm_close(g);
        return dnnl_failure(code, "dnnl_engine_create");
    }
    *out = g;
    return SG_OK;
}

void sg_gemm_close(sg_gemm *g)
{
    if (!g)
        return;
    if (g->stream)
        dnnl_stream_destroy(g->stream);
    if (g->engine)
        dnnl_engine_destroy(g->engine);
    free(g->buffer[0]);
    free(g->buffer[1]);
    free(g);
}

/* Makes buffer `which` hold at least `bytes`. */
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

/* ---- packed weights ---- */

static sg_status prepare_packed(sg_packed *p)
{
    sg_gemm *g = p->gemm;
    if (g->tiles)
        return sg_alloc_bytes(&p->panels, g->tiles->size(p->n, p->k), 1, "packed weights");
    desc_handle a = {0}, any = {0}, c = {0};
    SG_DNNL(desc_make(&a, TYPICAL_ROWS, p->k, g->type, false));
    SG_DNNL(desc_make_any(&any, p->k, p->n, g->type));
    SG_DNNL(desc_make(&c, TYPICAL_ROWS, p->n, dnnl_f32, false));
    sg_status status = make_product(g, &a, &any, &c, NULL, &p->layout);
    desc_free(&a);
    desc_free(&any);
    desc_free(&c);
    SG_TRY(status);
    SG_DNNL(desc_make(&p->plain, p->k, p->n, dnnl_f32, p->transposed));
    SG_TRY(make_reorder(g, &p->plain, &p->layout, &p->reorder));
    SG_TRY(sg_alloc_bytes(&p->data, dnnl_memory_desc_get_size(DESC(p->layout)), 1, "packed weights"));
    SG_DNNL(dnnl_memory_create(&p->memory, DESC(p->layout), g->engine, p->data));
    SG_DNNL(dnnl_memory_create(&p->source_memory, DESC(p->plain), g->engine, DNNL_MEMORY_NONE));
    return SG_OK;
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
    for (int r = 0; r <= ROWS_CACHED; r++)
        if (p->product[r])
            dnnl_primitive_destroy(p->product[r]);
    if (p->reorder)
        dnnl_primitive_destroy(p->reorder);
    if (p->memory)
        dnnl_memory_destroy(p->memory);
    if (p->source_memory)
        dnnl_memory_destroy(p->source_memory);
    desc_free(&p->plain);
    desc_free(&p->layout);
    free(p->data);
    free(p->panels);
    free(p);
}

sg_status sg_packed_fill(sg_packed *p, const float *source)
{
    if (p->panels) {
        p->gemm->tiles->pack(source, p->k, p->n, p->transposed, p->panels);
        return SG_OK;
    }
    SG_DNNL(dnnl_memory_set_data_handle(p->source_memory, (void *)source));
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, p->source_memory}, {DNNL_ARG_TO, p->memory}};
    return run(p->gemm, p->reorder, 2, args);
}

/* A block of at most ROWS_CACHED rows. */
static sg_status multiply_block(sg_packed *p, const void *a, int64_t rows, float *c)
{
    sg_gemm *g = p->gemm;
    desc_handle da = {0}, dc = {0};
    SG_DNNL(desc_make(&da, rows, p->k, g->type, false));
    SG_DNNL(desc_make(&dc, rows, p->n, dnnl_f32, false));
    sg_status status = SG_OK;
    if (!p->product[rows])
        status = make_product(g, &da, &p->layout, &dc, &p->product[rows], NULL);
    if (status == SG_OK)
        status = run_product(g, p->product[rows], &da, a, p->memory, &dc, c);
    desc_free(&da);
    desc_free(&dc);
    return status;
}

static sg_status multiply_tiles(sg_packed *p, const void *a, int64_t rows, float *c)
{
    SG_TRY(reserve_buffer(p->gemm, 0, p->gemm->tiles->size(rows, p->k)));
    p->gemm->tiles->multiply(a, rows, p->panels, p->k, p->n, p->gemm->buffer[0], c);
    return SG_OK;
}

sg_status sg_packed_multiply(sg_packed *p, const void *a, int64_t rows, float *c)
{
    if (p->panels)
        return rows > 0 ? multiply_tiles(p, a, rows, c) : SG_OK;
    size_t size = p->gemm->type == dnnl_bf16 ? 2 : 4;
    for (int64_t done = 0; done < rows; done += ROWS_CACHED) {
        int64_t block = rows - done < ROWS_CACHED ? rows - done : ROWS_CACHED;
        SG_TRY(multiply_block(p, (const char *)a + (size_t)(done * p->k) * size, block, c + done * p->n));
    }
    return SG_OK;
}

/* ---- outer products ---- */

/* Moves an operand into the layout `to`, in buffer `which`; *memory is the result. */
static sg_status repack(sg_gemm *g, int which, desc_handle *from, const void *data, desc_handle *to,
                        dnnl_memory_t *memory)
{
    SG_TRY(reserve_buffer(g, which, dnnl_memory_desc_get_size(DESC(*to))));
    dnnl_memory_t source;
    dnnl_primitive_t reorder = NULL;
    SG_DNNL(dnnl_memory_create(memory, DESC(*to), g->engine, g->buffer[which]));
    SG_DNNL(dnnl_memory_create(&source, DESC(*from), g->engine, (void *)data));
    sg_status status = make_reorder(g, from, to, &reorder);
    if (status == SG_OK) {
        dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, *memory}};
        status = run(g, reorder, 2, args);
        dnnl_primitive_destroy(reorder);
    }
    dnnl_memory_destroy(source);
    return status;
}

/* Packs A^T to plain rows and B to the library's layout, then multiplies: on long sums that is faster than
 * letting the product walk both operands with large strides. */
static sg_status outer_packed(sg_gemm *g, desc_handle *at, const void *a, desc_handle *b_plain, const void *b,
                              desc_handle *c_desc, float *c, desc_handle *a_plain, desc_handle *b_any)
{
    desc_handle b_best = {0};
    dnnl_primitive_t product = NULL;
    dnnl_memory_t ma = NULL, mb = NULL;
    sg_status status = make_product(g, a_plain, b_any, c_desc, &product, &b_best);
    if (status == SG_OK)
        status = repack(g, 0, at, a, a_plain, &ma);
    if (status == SG_OK)
        status = repack(g, 1, b_plain, b, &b_best, &mb);
    if (status == SG_OK)
        status = run_product(g, product, a_plain, g->buffer[0], mb, c_desc, c);
    if (ma)
        dnnl_memory_destroy(ma);
    if (mb)
        dnnl_memory_destroy(mb);
    if (product)
        dnnl_primitive_destroy(product);
    desc_free(&b_best);
    return status;
}

static sg_status outer_plain(sg_gemm *g, desc_handle *at, const void *a, desc_handle *b_plain, const void *b,
                             desc_handle *c_desc, float *c)
{
    dnnl_primitive_t product = NULL;
    dnnl_memory_t mb = NULL;
    sg_status status = make_product(g, at, b_plain, c_desc, &product, NULL);
    if (status == SG_OK && dnnl_memory_create(&mb, DESC(*b_plain), g->engine, (void *)b) != dnnl_success)
        status = sg_fail(SG_E_MEMORY, "out of memory in a matrix product");
    if (status == SG_OK)
        status = run_product(g, product, at, a, mb, c_desc, c);
    if (mb)
        dnnl_memory_destroy(mb);
    if (product)
        dnnl_primitive_destroy(product);
    return status;
}

static sg_status outer_tiles(sg_gemm *g, const void *a, const void *b, int64_t rows, int64_t m, int64_t n,
                             float *c)
{
    SG_TRY(reserve_buffer(g, 0, g->tiles->size(m, rows)));
    SG_TRY(reserve_buffer(g, 1, g->tiles->size(n, rows)));
    g->tiles->outer(a, b, rows, m, n, g->buffer[0], g->buffer[1], c);
    return SG_OK;
}

sg_status sg_gemm_outer(sg_gemm *g, const void *a, const void *b, int64_t rows, int64_t m, int64_t n,
                        float *c)
{
    if (g->tiles)
        return outer_tiles(g, a, b, rows, m, n, c);
    /* A [rows, m] read as the [m, rows] matrix A^T. */
    desc_handle at = {0}, a_plain = {0}, b_plain = {0}, b_any = {0}, c_desc = {0};
    SG_DNNL(desc_make(&at, m, rows, g->type, true));
    SG_DNNL(desc_make(&a_plain, m, rows, g->type, false));
    SG_DNNL(desc_make(&b_plain, rows, n, g->type, false));
    SG_DNNL(desc_make_any(&b_any, rows, n, g->type));
    SG_DNNL(desc_make(&c_desc, m, n, dnnl_f32, false));
    sg_status status = rows >= OUTER_REORDER_ROWS
                           ? outer_packed(g, &at, a, &b_plain, b, &c_desc, c, &a_plain, &b_any)
                           : outer_plain(g, &at, a, &b_plain, b, &c_desc, c);
    desc_free(&at);
    desc_free(&a_plain);
    desc_free(&b_plain);
    desc_free(&b_any);
    desc_free(&c_desc);
    return status;
}
