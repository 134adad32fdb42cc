#include "engine/cpu/onednn.h"

#include "base/memory.h"
#include <omp.h>
#include <stdlib.h>

sg_status sg_dnnl_failure(dnnl_status_t code, const char *call)
{
    if (code == dnnl_out_of_memory)
        return sg_fail(SG_E_MEMORY, "out of memory in a matrix product");
    if (code == dnnl_unimplemented)
        return sg_fail(SG_E_DEVICE, "this processor cannot compute the product (oneDNN: unimplemented)");
    return sg_fail(SG_E_INTERNAL, "oneDNN error %d in %.80s", (int)code, call);
}

/* ---- differences between 2.x and 3.x ---- */

#if DNNL_VERSION_MAJOR >= 3

#define DESC(d) (*(d)) /* as the library's functions take it */

static dnnl_status_t copy_desc(sg_dnnl_desc *to, const_dnnl_memory_desc_t from)
{
    return dnnl_memory_desc_clone(to, from);
}

void sg_dnnl_desc_free(sg_dnnl_desc *d)
{
    if (*d)
        dnnl_memory_desc_destroy(*d);
    *d = NULL;
}

static dnnl_status_t product_desc(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const sg_dnnl_desc *a,
                                  const sg_dnnl_desc *b, const sg_dnnl_desc *c,
                                  const_dnnl_primitive_attr_t attr)
{
    return dnnl_matmul_primitive_desc_create(pd, engine, *a, *b, NULL, *c, attr);
}

#else

#define DESC(d)                              (d)
#define dnnl_memory_desc_create_with_strides dnnl_memory_desc_init_by_strides
#define dnnl_memory_desc_create_with_tag     dnnl_memory_desc_init_by_tag

static dnnl_status_t copy_desc(sg_dnnl_desc *to, const sg_dnnl_desc *from)
{
    *to = *from;
    return dnnl_success;
}

void sg_dnnl_desc_free(sg_dnnl_desc *d)
{
    (void)d;
}

static dnnl_status_t product_desc(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const sg_dnnl_desc *a,
                                  const sg_dnnl_desc *b, const sg_dnnl_desc *c,
                                  const_dnnl_primitive_attr_t attr)
{
    dnnl_matmul_desc_t op;
    dnnl_status_t status = dnnl_matmul_desc_init(&op, a, b, NULL, c);
    return status != dnnl_success ? status : dnnl_primitive_desc_create(pd, &op, attr, engine, NULL);
}

#endif

/* ---- descriptors ---- */

dnnl_status_t sg_dnnl_desc_make(sg_dnnl_desc *d, const sg_dnnl_matrix *m)
{
    dnnl_dims_t dims = {m->rows, m->columns}, strides = {m->stride, 1}, swapped = {1, m->stride};
    return dnnl_memory_desc_create_with_strides(d, 2, dims, m->type, m->transposed ? swapped : strides);
}

static dnnl_status_t make_plain(sg_dnnl_desc *d, int64_t rows, int64_t columns, dnnl_data_type_t type)
{
    return sg_dnnl_desc_make(d, &(sg_dnnl_matrix){rows, columns, columns, false, type});
}

size_t sg_dnnl_desc_size(const sg_dnnl_desc *d)
{
    return dnnl_memory_desc_get_size(DESC(d));
}

/* ---- tasks ---- */

/* Makes what `desc` describes, for one thread. */
static dnnl_status_t make_primitive(sg_dnnl_task *task, dnnl_primitive_desc_t desc)
{
    task->scratch_size =
        dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0));
    return dnnl_primitive_create(&task->primitive, desc);
}

typedef struct {
    int threads;
    dnnl_primitive_attr_t attr; /* scratch memory comes from the caller: threads must not share it */
} making;

static dnnl_status_t begin_making(making *m)
{
    *m = (making){.threads = omp_get_max_threads()};
    omp_set_num_threads(1);
    dnnl_status_t code = dnnl_primitive_attr_create(&m->attr);
    return code != dnnl_success ? code
                                : dnnl_primitive_attr_set_scratchpad_mode(m->attr, dnnl_scratchpad_mode_user);
}

static void end_making(making *m)
{
    if (m->attr)
        dnnl_primitive_attr_destroy(m->attr);
    omp_set_num_threads(m->threads);
}

/* The primitive of a product into `task`, or the library's choice of a layout of B into `best`. */
static dnnl_status_t make_product(dnnl_engine_t engine, const sg_dnnl_desc *a, const sg_dnnl_desc *b,
                                  const sg_dnnl_desc *c, sg_dnnl_task *task, sg_dnnl_desc *best)
{
    making m;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t code = begin_making(&m);
    if (code == dnnl_success)
        code = product_desc(&desc, engine, a, b, c, m.attr);
    if (code == dnnl_success && task)
        code = make_primitive(task, desc);
    if (code == dnnl_success && best)
        code = copy_desc(best, dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0));
    if (desc)
        dnnl_primitive_desc_destroy(desc);
    end_making(&m);
    return code;
}

sg_status sg_dnnl_best_layout(dnnl_engine_t engine, int64_t rows, int64_t k, int64_t n, dnnl_data_type_t type,
                              sg_dnnl_desc *layout)
{
    sg_dnnl_desc a = {0}, any = {0}, c = {0};
    dnnl_dims_t dims = {k, n};
    dnnl_status_t code = make_plain(&a, rows, k, type);
    if (code == dnnl_success)
        code = make_plain(&c, rows, n, dnnl_f32);
    if (code == dnnl_success)
        code = dnnl_memory_desc_create_with_tag(&any, 2, dims, type, dnnl_format_tag_any);
    if (code == dnnl_success)
        code = make_product(engine, &a, &any, &c, NULL, layout);
    sg_dnnl_desc_free(&a);
    sg_dnnl_desc_free(&any);
    sg_dnnl_desc_free(&c);
    return code == dnnl_success ? SG_OK : sg_dnnl_failure(code, "choosing a layout");
}

sg_status sg_dnnl_product_make(dnnl_engine_t engine, int64_t rows, int64_t k, int64_t n,
                               dnnl_data_type_t type, const sg_dnnl_desc *layout, sg_dnnl_task *task)
{
    task->engine = engine;
    dnnl_status_t code = make_plain(&task->from[0], rows, k, type);
    if (code == dnnl_success)
        code = copy_desc(&task->from[1], DESC(layout));
    if (code == dnnl_success)
        code = make_plain(&task->to, rows, n, dnnl_f32);
    if (code == dnnl_success)
        code = make_product(engine, &task->from[0], &task->from[1], &task->to, task, NULL);
    if (code == dnnl_success)
        return SG_OK;
    sg_dnnl_task_free(task);
    return sg_dnnl_failure(code, "making a product");
}

static dnnl_status_t make_reorder(sg_dnnl_task *task, dnnl_engine_t engine)
{
    making m;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t code = begin_making(&m);
    if (code == dnnl_success)
        code = dnnl_reorder_primitive_desc_create(&desc, DESC(&task->from[0]), engine, DESC(&task->to),
                                                  engine, m.attr);
    if (code == dnnl_success)
        code = make_primitive(task, desc);
    if (desc)
        dnnl_primitive_desc_destroy(desc);
    end_making(&m);
    return code;
}

sg_status sg_dnnl_reorder_make(dnnl_engine_t engine, const sg_dnnl_matrix *from, const sg_dnnl_desc *to,
                               sg_dnnl_task *task)
{
    task->engine = engine;
    dnnl_status_t code = sg_dnnl_desc_make(&task->from[0], from);
    if (code == dnnl_success)
        code = copy_desc(&task->to, DESC(to));
    if (code == dnnl_success)
        code = make_reorder(task, engine);
    if (code == dnnl_success)
        return SG_OK;
    sg_dnnl_task_free(task);
    return sg_dnnl_failure(code, "making a reorder");
}

void sg_dnnl_task_free(sg_dnnl_task *task)
{
    if (task->primitive)
        dnnl_primitive_destroy(task->primitive);
    sg_dnnl_desc_free(&task->from[0]);
    sg_dnnl_desc_free(&task->from[1]);
    sg_dnnl_desc_free(&task->to);
    *task = (sg_dnnl_task){0};
}

/* ---- running ---- */

enum { ARGUMENTS = 4 };

/* One argument of a primitive; after a failure nothing more is made. */
static void add_argument(dnnl_exec_arg_t *args, int *count, int which, const sg_dnnl_desc *desc,
                         dnnl_engine_t engine, const void *data, dnnl_status_t *code)
{
    if (*code != dnnl_success)
        return;
    args[*count] = (dnnl_exec_arg_t){.arg = which};
    *code = dnnl_memory_create(&args[*count].memory, DESC(desc), engine, (void *)(uintptr_t)data);
    if (*code == dnnl_success)
        ++*count;
}

/* Adds the scratch memory and runs. */
static dnnl_status_t run(const sg_dnnl_task *task, dnnl_stream_t stream, void *scratch, dnnl_exec_arg_t *args,
                         int count, dnnl_status_t code)
{
    sg_dnnl_desc bytes = {0};
    dnnl_dims_t size = {(int64_t)task->scratch_size};
    if (code == dnnl_success && task->scratch_size > 0)
        code = dnnl_memory_desc_create_with_tag(&bytes, 1, size, dnnl_u8, dnnl_a);
    if (task->scratch_size > 0)
        add_argument(args, &count, DNNL_ARG_SCRATCHPAD, &bytes, task->engine, scratch, &code);
    if (code == dnnl_success)
        code = dnnl_primitive_execute(task->primitive, stream, count, args);
    if (code == dnnl_success)
        code = dnnl_stream_wait(stream);
    for (int i = 0; i < count; i++)
        dnnl_memory_destroy(args[i].memory);
    sg_dnnl_desc_free(&bytes);
    return code;
}

dnnl_status_t sg_dnnl_product_run(const sg_dnnl_task *task, dnnl_stream_t stream, void *scratch,
                                  const void *a, const void *b, float *c)
{
    dnnl_exec_arg_t args[ARGUMENTS];
    dnnl_status_t code = dnnl_success;
    int count = 0;
    add_argument(args, &count, DNNL_ARG_SRC, &task->from[0], task->engine, a, &code);
    add_argument(args, &count, DNNL_ARG_WEIGHTS, &task->from[1], task->engine, b, &code);
    add_argument(args, &count, DNNL_ARG_DST, &task->to, task->engine, c, &code);
    return run(task, stream, scratch, args, count, code);
}

dnnl_status_t sg_dnnl_reorder_run(const sg_dnnl_task *task, dnnl_stream_t stream, void *scratch,
                                  const void *from, void *to)
{
    dnnl_exec_arg_t args[ARGUMENTS];
    dnnl_status_t code = dnnl_success;
    int count = 0;
    add_argument(args, &count, DNNL_ARG_FROM, &task->from[0], task->engine, from, &code);
    add_argument(args, &count, DNNL_ARG_TO, &task->to, task->engine, to, &code);
    return run(task, stream, scratch, args, count, code);
}
