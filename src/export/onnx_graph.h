/* onnx_graph.h: builds an ONNX model node by node and writes it with protobuf-c.
 *
 * Names of values are words; lists of them are words with single spaces between.  Tensors are not copied:
 * their data must live until sg_onnx_write.  If a graph outgrows its room, sg_onnx_write fails.
 */
#ifndef SG_EXPORT_ONNX_GRAPH_H
#define SG_EXPORT_ONNX_GRAPH_H

#include "base/status.h"
#include "onnx.pb-c.h"
#include <stdint.h>

typedef enum {
    SG_ONNX_FLOAT = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT,
    SG_ONNX_DOUBLE = ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE,
    SG_ONNX_INT32 = ONNX__TENSOR_PROTO__DATA_TYPE__INT32,
    SG_ONNX_INT64 = ONNX__TENSOR_PROTO__DATA_TYPE__INT64,
    SG_ONNX_BOOL = ONNX__TENSOR_PROTO__DATA_TYPE__BOOL
} sg_onnx_type;

typedef struct sg_onnx_graph sg_onnx_graph;
typedef Onnx__NodeProto sg_onnx_node;

sg_status sg_onnx_graph_make(sg_onnx_graph **graph);
void sg_onnx_graph_free(sg_onnx_graph *graph); /* NULL is fine */

/* Adds a node; attributes are added to what it returns, before the next node. */
sg_onnx_node *sg_onnx_add(sg_onnx_graph *graph, const char *op, const char *inputs, const char *outputs);
void sg_onnx_set_int(sg_onnx_graph *graph, sg_onnx_node *node, const char *name, int64_t value);
void sg_onnx_set_ints(sg_onnx_graph *graph, sg_onnx_node *node, const char *name, int count,
                      const int64_t *values);

/* Constants: a tensor of `rank` dimensions (row-major, little-endian), and copies of single numbers. */
void sg_onnx_tensor(sg_onnx_graph *graph, const char *name, sg_onnx_type type, int rank, const int64_t *dims,
                    const void *data);
void sg_onnx_double(sg_onnx_graph *graph, const char *name, double value);
void sg_onnx_int64(sg_onnx_graph *graph, const char *name, int64_t value);

/* Declares an input or output of shape [batch] or, with columns > 0, [batch, columns]. */
void sg_onnx_input(sg_onnx_graph *graph, const char *name, sg_onnx_type type, int64_t columns,
                   const char *about);
void sg_onnx_output(sg_onnx_graph *graph, const char *name, sg_onnx_type type, int64_t columns,
                    const char *about);

/* An entry of metadata_props; both are copied. */
void sg_onnx_metadata(sg_onnx_graph *graph, const char *key, const char *value);

/* Opset 17, IR version 8.  SG_E_CONFIG: more than the 2 GiB that a protobuf file can hold. */
sg_status sg_onnx_write(sg_onnx_graph *graph, const char *about, const char *path);

#endif
