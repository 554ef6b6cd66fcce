/* Builds ONNX nodes and small tensors, field by field. */

#include "models/onnx/onnx_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "ops/ops.h"

/* Room for the name of a constant of a node. */
enum { CONSTANT_BYTES = 600 };

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

void adl_onnx_add_elements(struct adl_onnx_writer *w, const char *name, const size_t *dims,
                           size_t rank, enum adl_onnx_element element, const void *data,
                           size_t bytes)
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
    adl_onnx_add_elements(w, name, dims, rank, ADL_ONNX_FLOAT, values, count * sizeof *values);
}

void adl_onnx_add_index(struct adl_onnx_writer *w, const char *name, int value)
{
    adl_onnx_add_elements(w, name, NULL, 0, ADL_ONNX_INT64, &(int64_t){value}, sizeof(int64_t));
}

static void add_ints(struct adl_onnx_writer *w, const char *name, const int *values, size_t count)
{
    int64_t wide[8];
    for (size_t i = 0; i < count; i++)
        wide[i] = values[i];
    adl_onnx_add_elements(w, name, &count, 1, ADL_ONNX_INT64, wide, count * sizeof *wide);
}

/* Adds a constant of a node as an initializer, from operator set 11 on, and takes it as an input.
 */
static void take_number(struct adl_onnx_writer *w, struct adl_protobuf *node, const char *output,
                        const char *part, double value)
{
    char name[CONSTANT_BYTES];
    snprintf(name, sizeof name, "%s.%s", output, part);
    adl_onnx_add_tensor(w, name, NULL, 0, &(float){(float)value});
    adl_onnx_take(node, name);
}

static void take_ints(struct adl_onnx_writer *w, struct adl_protobuf *node, const char *output,
                      const char *part, const int *values, size_t count)
{
    char name[CONSTANT_BYTES];
    snprintf(name, sizeof name, "%s.%s", output, part);
    add_ints(w, name, values, count);
    adl_onnx_take(node, name);
}

void adl_onnx_write_pad(struct adl_onnx_writer *w, const char *input, const int pads[4],
                        const char *output)
{
    const int all[] = {0, 0, pads[0], pads[1], 0, 0, pads[2], pads[3]};
    struct adl_protobuf pad = adl_onnx_node("Pad", output);
    adl_onnx_take(&pad, input);
    if (w->opset < 11)
        adl_onnx_set_ints(&pad, "pads", all, 8);
    else
        take_ints(w, &pad, output, "pads", all, 8);
    adl_onnx_finish(w, &pad, output);
}

void adl_onnx_write_clip(struct adl_onnx_writer *w, const char *input, double min, double max,
                         const char *output)
{
    struct adl_protobuf clip = adl_onnx_node("Clip", output);
    adl_onnx_take(&clip, input);
    if (w->opset < 11) {
        adl_onnx_set_float(&clip, "min", min);
        if (max < (double)INFINITY)
            adl_onnx_set_float(&clip, "max", max);
    } else {
        take_number(w, &clip, output, "min", min);
        if (max < (double)INFINITY)
            take_number(w, &clip, output, "max", max);
    }
    adl_onnx_finish(w, &clip, output);
}

void adl_onnx_write_reduction(struct adl_onnx_writer *w, const char *op, const char *input,
                              const int *axes, size_t count, const char *output)
{
    struct adl_protobuf reduce = adl_onnx_node(op, output);
    adl_onnx_take(&reduce, input);
    /* The axes of the other reductions became an input in set 18. */
    if (w->opset >= 13 && !strcmp(op, "ReduceSum"))
        take_ints(w, &reduce, output, "axes", axes, count);
    else
        adl_onnx_set_ints(&reduce, "axes", axes, count);
    adl_onnx_set_int(&reduce, "keepdims", 1);
    adl_onnx_finish(w, &reduce, output);
}

void adl_onnx_write_conv(struct adl_onnx_writer *w, const struct adl_node *node, const char *input,
                         const char *weight, const char *bias, const char *output)
{
    const struct adl_conv_attr *a = node->attr;
    int pads[4];
    struct adl_protobuf conv = adl_onnx_node("Conv", output);
    adl_conv_padding(a, w->shapes[node->inputs[0]], pads);
    adl_onnx_take(&conv, input);
    adl_onnx_take(&conv, weight);
    if (bias)
        adl_onnx_take(&conv, bias);
    adl_onnx_set_ints(&conv, "kernel_shape", (int[]){a->r, a->s}, 2);
    adl_onnx_set_ints(&conv, "strides", (int[]){a->stride, a->stride}, 2);
    adl_onnx_set_ints(&conv, "pads", pads, 4);
    if (a->dilation > 1)
        adl_onnx_set_ints(&conv, "dilations", (int[]){a->dilation, a->dilation}, 2);
    adl_onnx_set_int(&conv, "group", a->groups);
    adl_onnx_finish(w, &conv, output);
}

struct adl_onnx_inner adl_onnx_inner(const struct adl_onnx_writer *w, const struct adl_node *node,
                                     const char *part)
{
    struct adl_onnx_inner name;
    snprintf(name.text, sizeof name.text, "%.400s.%s", w->names[node->output], part);
    return name;
}

void adl_onnx_write_op(struct adl_onnx_writer *w, const char *op, const char *a, const char *b,
                       const char *output)
{
    struct adl_protobuf message = adl_onnx_node(op, output);
    adl_onnx_take(&message, a);
    if (b)
        adl_onnx_take(&message, b);
    adl_onnx_finish(w, &message, output);
}
