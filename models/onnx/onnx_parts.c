/* Builds ONNX nodes and small tensors, field by field. */

#include "models/onnx/onnx_parts.h"

enum node_field { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTRIBUTE = 5 };
enum attribute_field {
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_F = 2,
    ATTRIBUTE_I = 3,
    ATTRIBUTE_INTS = 8,
    ATTRIBUTE_TYPE = 20
};
enum attribute_type { TYPE_FLOAT = 1, TYPE_INT = 2, TYPE_INTS = 7 };

enum tensor_field { TENSOR_DIMS = 1, TENSOR_DATA_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW_DATA = 9 };

struct adl_protobuf adl_onnx_node(const char *op, const char *name)
{
    struct adl_protobuf node = {0};
    adl_protobuf_text(&node, NODE_OP, op);
    adl_protobuf_text(&node, NODE_NAME, name);
    return node;
}

void adl_onnx_take(struct adl_protobuf *node, const char *input)
{
    adl_protobuf_text(node, NODE_INPUT, input);
}

void adl_onnx_set_int(struct adl_protobuf *node, const char *name, int value)
{
    struct adl_protobuf attribute = {0};
    adl_protobuf_text(&attribute, ATTRIBUTE_NAME, name);
    adl_protobuf_int(&attribute, ATTRIBUTE_I, value);
    adl_protobuf_int(&attribute, ATTRIBUTE_TYPE, TYPE_INT);
    adl_protobuf_message(node, NODE_ATTRIBUTE, &attribute);
}

void adl_onnx_set_ints(struct adl_protobuf *node, const char *name, const int *values, size_t count)
{
    struct adl_protobuf attribute = {0};
    adl_protobuf_text(&attribute, ATTRIBUTE_NAME, name);
    for (size_t i = 0; i < count; i++)
        adl_protobuf_int(&attribute, ATTRIBUTE_INTS, values[i]);
    adl_protobuf_int(&attribute, ATTRIBUTE_TYPE, TYPE_INTS);
    adl_protobuf_message(node, NODE_ATTRIBUTE, &attribute);
}

void adl_onnx_set_float(struct adl_protobuf *node, const char *name, double value)
{
    struct adl_protobuf attribute = {0};
    adl_protobuf_text(&attribute, ATTRIBUTE_NAME, name);
    adl_protobuf_float(&attribute, ATTRIBUTE_F, (float)value);
    adl_protobuf_int(&attribute, ATTRIBUTE_TYPE, TYPE_FLOAT);
    adl_protobuf_message(node, NODE_ATTRIBUTE, &attribute);
}

void adl_onnx_finish(struct adl_onnx_writer *w, struct adl_protobuf *node, const char *output)
{
    adl_protobuf_text(node, NODE_OUTPUT, output);
    adl_protobuf_message(&w->out, GRAPH_NODE, node);
}

static void add_tensor(struct adl_onnx_writer *w, const char *name, const size_t *dims, size_t rank,
                       enum adl_onnx_element element, const void *data, size_t bytes)
{
    struct adl_protobuf tensor = {0};
    for (size_t i = 0; i < rank; i++)
        adl_protobuf_int(&tensor, TENSOR_DIMS, (int64_t)dims[i]);
    adl_protobuf_int(&tensor, TENSOR_DATA_TYPE, element);
    adl_protobuf_text(&tensor, TENSOR_NAME, name);
    adl_protobuf_bytes(&tensor, TENSOR_RAW_DATA, data, bytes);
    adl_protobuf_message(&w->out, GRAPH_INITIALIZER, &tensor);
}

void adl_onnx_add_tensor(struct adl_onnx_writer *w, const char *name, const size_t *dims,
                         size_t rank, const float *values)
{
    size_t count = 1;
    for (size_t i = 0; i < rank; i++)
        count *= dims[i];
    add_tensor(w, name, dims, rank, ADL_ONNX_FLOAT, values, count * sizeof *values);
}

void adl_onnx_add_index(struct adl_onnx_writer *w, const char *name, int value)
{
    add_tensor(w, name, NULL, 0, ADL_ONNX_INT64, &(int64_t){value}, sizeof(int64_t));
}
