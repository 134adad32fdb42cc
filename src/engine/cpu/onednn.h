/* onednn.h: what products need from oneDNN, in both versions of its C interface (2.x: descriptors are
 * structs, 3.x: handles).
 *
 * Everything here is made for one thread.  By default oneDNN divides sums among the threads that it finds, so
 * bits would depend on their number.  Callers divide the work instead: a primitive may run in several threads
 * at once, each of which has called omp_set_num_threads(1) and has its own stream and scratch memory.
 */
#ifndef SG_ENGINE_CPU_ONEDNN_H
#define SG_ENGINE_CPU_ONEDNN_H

#include "base/status.h"
#include <dnnl.h>
#include <stdint.h>

/* A descriptor: a struct in 2.x, a handle in 3.x.  Starts zeroed; free accepts zeroed ones, too. */
typedef dnnl_memory_desc_t sg_dnnl_desc;

/* SG_E_MEMORY, SG_E_DEVICE if this processor cannot compute it, SG_E_INTERNAL. */
sg_status sg_dnnl_failure(dnnl_status_t code, const char *call);

#define SG_DNNL(call)                                    \
    do {                                                 \
        dnnl_status_t dnnl_status_ = (call);             \
        if (dnnl_status_ != dnnl_success)                \
            return sg_dnnl_failure(dnnl_status_, #call); \
    } while (0)

/* The layout of a matrix in memory. */
typedef struct {
    int64_t rows, columns;
    int64_t stride;  /* elements from row to row; with `transposed`, from column to column */
    bool transposed; /* columns, not rows, are consecutive */
    dnnl_data_type_t type;
} sg_dnnl_matrix;

dnnl_status_t sg_dnnl_desc_make(sg_dnnl_desc *d, const sg_dnnl_matrix *matrix);
void sg_dnnl_desc_free(sg_dnnl_desc *d);
size_t sg_dnnl_desc_size(const sg_dnnl_desc *d); /* bytes */

typedef struct {
    dnnl_primitive_t primitive; /* NULL: not made */
    sg_dnnl_desc from[2], to;   /* A and B of a product; the source of a reorder; the result */
    size_t scratch_size;        /* bytes that a thread needs to run it */
    dnnl_engine_t engine;
} sg_dnnl_task;

/* C [rows, n] = A [rows, k] B: rows without gaps in A and C, C in floats.  `layout` is that of B. */
sg_status sg_dnnl_product_make(dnnl_engine_t engine, int64_t rows, int64_t k, int64_t n,
                               dnnl_data_type_t type, const sg_dnnl_desc *layout, sg_dnnl_task *task);

/* The layout of B [k, n] that the library prefers for products of about `rows` rows. */
sg_status sg_dnnl_best_layout(dnnl_engine_t engine, int64_t rows, int64_t k, int64_t n, dnnl_data_type_t type,
                              sg_dnnl_desc *layout);

/* Moves a matrix from one layout (and type) to another. */
sg_status sg_dnnl_reorder_make(dnnl_engine_t engine, const sg_dnnl_matrix *from, const sg_dnnl_desc *to,
                               sg_dnnl_task *task);
void sg_dnnl_task_free(sg_dnnl_task *task);

/* Run on the calling thread; safe in a parallel region, so they report by the library's own codes.  `stream`
 * and `scratch`, task->scratch_size bytes, are the thread's own. */
dnnl_status_t sg_dnnl_product_run(const sg_dnnl_task *task, dnnl_stream_t stream, void *scratch,
                                  const void *a, const void *b, float *c);
dnnl_status_t sg_dnnl_reorder_run(const sg_dnnl_task *task, dnnl_stream_t stream, void *scratch,
                                  const void *from, void *to);

#endif
