#include "export/onnx_graph.h"

#include "base/files.h"
#include "base/memory.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* onnxruntime 1.16 and later read both. */
enum { OPSET = 17, IR_VERSION = 8 };

enum {
    NODES_MAX = 96,
    WORDS_MAX = 6,      /* inputs or outputs of a node */
    ATTRIBUTES_MAX = 4, /* of a node */
    TENSORS_MAX = 48,
    VALUES_MAX = 8, /* inputs or outputs of the graph */
    METADATA_MAX = 24,
    RANK_MAX = 4
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are written as they lie in memory");

typedef struct block {
    struct block *next;
    max_align_t data[];
} block;

typedef struct {
    Onnx__ValueInfoProto info;
    Onnx__TypeProto type;
    Onnx__TypeProto__Tensor tensor;
    Onnx__TensorShapeProto shape;
    Onnx__TensorShapeProto__Dimension dim[2], *dim_at[2];
} value_parts;

struct sg_onnx_graph {
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    Onnx__OperatorSetIdProto opset, *opset_at[1];
    Onnx__NodeProto node[NODES_MAX], *node_at[NODES_MAX];
    Onnx__TensorProto tensor[TENSORS_MAX], *tensor_at[TENSORS_MAX];
    value_parts input[VALUES_MAX], output[VALUES_MAX];
    Onnx__ValueInfoProto *input_at[VALUES_MAX], *output_at[VALUES_MAX];
    Onnx__StringStringEntryProto metadata[METADATA_MAX], *metadata_at[METADATA_MAX];
    sg_status status; /* of the first thing that did not fit */
    block *blocks;    /* everything else */
    Onnx__NodeProto spare;
};

sg_status sg_onnx_graph_make(sg_onnx_graph **graph)
{
    SG_TRY(sg_alloc(graph, 1, "ONNX graph"));
    sg_onnx_graph *g = *graph;
    onnx__model_proto__init(&g->model);
    onnx__graph_proto__init(&g->graph);
    onnx__operator_set_id_proto__init(&g->opset);
    onnx__node_proto__init(&g->spare);
    g->model.graph = &g->graph;
    g->model.opset_import = g->opset_at;
    g->opset_at[g->model.n_opset_import++] = &g->opset;
    g->graph.node = g->node_at;
    g->graph.initializer = g->tensor_at;
    g->graph.input = g->input_at;
    g->graph.output = g->output_at;
    g->model.metadata_props = g->metadata_at;
    return SG_OK;
}

void sg_onnx_graph_free(sg_onnx_graph *graph)
{
    while (graph && graph->blocks) {
        block *next = graph->blocks->next;
        free(graph->blocks);
        graph->blocks = next;
    }
    free(graph);
}

/* ---- room for parts ---- */

/* Zeroed bytes that live as long as the graph, or NULL. */
static void *take(sg_onnx_graph *g, size_t bytes)
{
    block *b = calloc(1, sizeof *b + bytes);
    if (!b) {
        g->status = sg_fail(SG_E_MEMORY, "ONNX graph: out of memory");
        return NULL;
    }
    b->next = g->blocks;
    g->blocks = b;
    return b->data;
}

static char *take_text(sg_onnx_graph *g, const char *text, size_t length)
{
    char *copy = take(g, length + 1);
    if (copy)
        memcpy(copy, text, length);
    return copy;
}

/* Whether one more than `count` fits. */
static bool has_room(sg_onnx_graph *g, size_t count, size_t max, const char *what)
{
    if (count >= max && g->status == SG_OK)
        g->status = sg_fail(SG_E_INTERNAL, "ONNX graph: too many %s", what);
    return count < max;
}

static size_t take_words(sg_onnx_graph *g, const char *text, char ***words)
{
    size_t count = 0;
    *words = take(g, WORDS_MAX * sizeof **words);
    while (*words && *text && has_room(g, count, WORDS_MAX, "inputs of a node")) {
        const size_t length = strcspn(text, " ");
        (*words)[count] = take_text(g, text, length);
        if (!(*words)[count])
            break;
        count++;
        text += length + (text[length] == ' ');
    }
    return count;
}

/* ---- nodes ---- */

sg_onnx_node *sg_onnx_add(sg_onnx_graph *g, const char *op, const char *inputs, const char *outputs)
{
    const size_t index = g->graph.n_node;
    if (!has_room(g, index, NODES_MAX, "nodes"))
        return &g->spare;
    Onnx__NodeProto *node = g->node_at[index] = &g->node[index];
    onnx__node_proto__init(node);
    g->graph.n_node++;
    node->op_type = take_text(g, op, strlen(op));
    node->n_input = take_words(g, inputs, &node->input);
    node->n_output = take_words(g, outputs, &node->output);
    node->attribute = take(g, ATTRIBUTES_MAX * sizeof(*node->attribute));
    /* The checker does not need names; people who look at the graph do. */
    node->name = node->n_output ? node->output[node->n_output - 1] : NULL;
    return node;
}

static Onnx__AttributeProto *add_attribute(sg_onnx_graph *g, sg_onnx_node *node, const char *name)
{
    Onnx__AttributeProto *attribute = take(g, sizeof *attribute);
    if (!attribute || !node->attribute ||
        !has_room(g, node->n_attribute, ATTRIBUTES_MAX, "attributes of a node"))
        return NULL;
    onnx__attribute_proto__init(attribute);
    attribute->name = take_text(g, name, strlen(name));
    attribute->has_type = true;
    node->attribute[node->n_attribute++] = attribute;
    return attribute;
}

void sg_onnx_set_int(sg_onnx_graph *g, sg_onnx_node *node, const char *name, int64_t value)
{
    Onnx__AttributeProto *attribute = add_attribute(g, node, name);
    if (!attribute)
        return;
    attribute->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
    attribute->has_i = true;
    attribute->i = value;
}

void sg_onnx_set_ints(sg_onnx_graph *g, sg_onnx_node *node, const char *name, int count,
                      const int64_t *values)
{
    Onnx__AttributeProto *attribute = add_attribute(g, node, name);
    int64_t *copy = take(g, (size_t)count * sizeof *copy);
    if (!attribute || !copy)
        return;
    memcpy(copy, values, (size_t)count * sizeof *copy);
    attribute->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
    attribute->n_ints = (size_t)count;
    attribute->ints = copy;
}

/* ---- constants ---- */

static size_t type_bytes(sg_onnx_type type)
{
    switch (type) {
    case SG_ONNX_BOOL:
        return 1;
    case SG_ONNX_FLOAT:
    case SG_ONNX_INT32:
        return 4;
    case SG_ONNX_DOUBLE:
    case SG_ONNX_INT64:
        break;
    }
    return 8;
}

void sg_onnx_tensor(sg_onnx_graph *g, const char *name, sg_onnx_type type, int rank, const int64_t *dims,
                    const void *data)
{
    const size_t index = g->graph.n_initializer;
    int64_t *sizes = take(g, RANK_MAX * sizeof *sizes);
    if (!sizes || !has_room(g, index, TENSORS_MAX, "tensors") ||
        !has_room(g, (size_t)rank, RANK_MAX + 1, "dimensions"))
        return;
    Onnx__TensorProto *tensor = g->tensor_at[index] = &g->tensor[index];
    onnx__tensor_proto__init(tensor);
    g->graph.n_initializer++;
    size_t bytes = type_bytes(type);
    for (int k = 0; k < rank; k++) {
        sizes[k] = dims[k];
        bytes *= (size_t)dims[k];
    }
    tensor->name = take_text(g, name, strlen(name));
    tensor->n_dims = (size_t)rank;
    tensor->dims = sizes;
    tensor->has_data_type = tensor->has_raw_data = true;
    tensor->data_type = (int32_t)type;
    tensor->raw_data.len = bytes;
    tensor->raw_data.data = (uint8_t *)(uintptr_t)data; /* protobuf-c only reads it */
}

void sg_onnx_double(sg_onnx_graph *g, const char *name, double value)
{
    double *copy = take(g, sizeof *copy);
    if (!copy)
        return;
    *copy = value;
    sg_onnx_tensor(g, name, SG_ONNX_DOUBLE, 0, NULL, copy);
}

void sg_onnx_int64(sg_onnx_graph *g, const char *name, int64_t value)
{
    int64_t *copy = take(g, sizeof *copy);
    if (!copy)
        return;
    *copy = value;
    sg_onnx_tensor(g, name, SG_ONNX_INT64, 0, NULL, copy);
}

/* ---- inputs, outputs, metadata ---- */

static Onnx__ValueInfoProto *fill_value(sg_onnx_graph *g, value_parts *v, const char *name, sg_onnx_type type,
                                        int64_t columns, const char *about)
{
    static char batch[] = "batch";
    onnx__value_info_proto__init(&v->info);
    onnx__type_proto__init(&v->type);
    onnx__type_proto__tensor__init(&v->tensor);
    onnx__tensor_shape_proto__init(&v->shape);
    for (int k = 0; k < 2; k++) {
        onnx__tensor_shape_proto__dimension__init(&v->dim[k]);
        v->dim_at[k] = &v->dim[k];
    }
    v->dim[0].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
    v->dim[0].dim_param = batch;
    v->dim[1].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    v->dim[1].dim_value = columns;
    v->shape.n_dim = columns > 0 ? 2 : 1;
    v->shape.dim = v->dim_at;
    v->tensor.has_elem_type = true;
    v->tensor.elem_type = (int32_t)type;
    v->tensor.shape = &v->shape;
    v->type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    v->type.tensor_type = &v->tensor;
    v->info.type = &v->type;
    v->info.name = take_text(g, name, strlen(name));
    v->info.doc_string = take_text(g, about, strlen(about));
    return &v->info;
}

void sg_onnx_input(sg_onnx_graph *g, const char *name, sg_onnx_type type, int64_t columns, const char *about)
{
    const size_t index = g->graph.n_input;
    if (!has_room(g, index, VALUES_MAX, "inputs"))
        return;
    g->input_at[index] = fill_value(g, &g->input[index], name, type, columns, about);
    g->graph.n_input++;
}

void sg_onnx_output(sg_onnx_graph *g, const char *name, sg_onnx_type type, int64_t columns, const char *about)
{
    const size_t index = g->graph.n_output;
    if (!has_room(g, index, VALUES_MAX, "outputs"))
        return;
    g->output_at[index] = fill_value(g, &g->output[index], name, type, columns, about);
    g->graph.n_output++;
}

void sg_onnx_metadata(sg_onnx_graph *g, const char *key, const char *value)
{
    const size_t index = g->model.n_metadata_props;
    if (!has_room(g, index, METADATA_MAX, "metadata"))
        return;
    Onnx__StringStringEntryProto *entry = g->metadata_at[index] = &g->metadata[index];
    onnx__string_string_entry_proto__init(entry);
    entry->key = take_text(g, key, strlen(key));
    entry->value = take_text(g, value, strlen(value));
    g->model.n_metadata_props++;
}

/* ---- writing ---- */

typedef struct {
    ProtobufCBuffer base;
    FILE *stream; /* keeps its errors */
} stream_buffer;

static void append_to_stream(ProtobufCBuffer *buffer, size_t bytes, const uint8_t *data)
{
    fwrite(data, 1, bytes, ((stream_buffer *)buffer)->stream);
}

sg_status sg_onnx_write(sg_onnx_graph *g, const char *about, const char *path)
{
    static char producer[] = "sipgpu", version[] = SG_VERSION, domain[] = "";
    g->model.has_ir_version = g->model.has_model_version = g->opset.has_version = true;
    g->model.ir_version = IR_VERSION;
    g->model.model_version = 1;
    g->opset.version = OPSET;
    g->opset.domain = domain;
    g->model.producer_name = g->graph.name = producer;
    g->model.producer_version = version;
    g->model.doc_string = take_text(g, about, strlen(about));
    SG_TRY(g->status);
    const size_t bytes = onnx__model_proto__get_packed_size(&g->model);
    if (bytes > INT32_MAX)
        return sg_fail(SG_E_CONFIG, "%s: the model takes %zu bytes, an ONNX file holds at most %d", path,
                       bytes, INT32_MAX);
    sg_atomic_file file;
    stream_buffer buffer = {.base.append = append_to_stream};
    SG_TRY(sg_text_open(&file, &buffer.stream, path));
    onnx__model_proto__pack_to_buffer(&g->model, &buffer.base);
    return sg_text_finish(&file, buffer.stream, SG_OK);
}
