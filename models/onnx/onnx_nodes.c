/* ONNX nodes: each op of the graph as one operator of operator set 13.
 *
 * Here a vector of C channels and a 1x1 map of C channels are the same value; in ONNX they
 * are tensors of two forms, [N, C] and [N, C, 1, 1]. The writer keeps track of the form of
 * each value (`flat`) and puts a Flatten or an Unsqueeze in front of a node that needs the
 * other one.
 *
 * Padding is written as numbers, for the model's input size: runtimes differ in how they
 * interpret auto_pad, which TensorFlow's "SAME" needs, and ceil_mode of a pool. */

#include <stdio.h>

#include "base/size.h"
#include "models/onnx/onnx_parts.h"
#include "ops/ops.h"

enum node_field { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTRIBUTE = 5 };
enum attribute_field {
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_F = 2,
    ATTRIBUTE_I = 3,
    ATTRIBUTE_INTS = 8,
    ATTRIBUTE_TYPE = 20
};
enum attribute_type { TYPE_FLOAT = 1, TYPE_INT = 2, TYPE_INTS = 7 };

/* --- nodes ------------------------------------------------------------------- */

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

static void set_int(struct adl_protobuf *node, const char *name, int value)
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

static void set_float(struct adl_protobuf *node, const char *name, double value)
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

/* The name of a node's value. */
static const char *output_of(const struct adl_onnx_writer *w, const struct adl_node *node)
{
    return w->names[node->output];
}

static struct adl_protobuf start(const struct adl_onnx_writer *w, const struct adl_node *node,
                                 const char *op)
{
    return adl_onnx_node(op, output_of(w, node));
}

static const char *param_name(const struct adl_onnx_writer *w, int id)
{
    return adl_graph_param(w->graph, id)->name;
}

/* The name of a value that was converted to its other form. */
struct form {
    char text[512];
};

/* Adds the node that converts input number `input` of `node`; returns form->text. */
static const char *convert_form(struct adl_onnx_writer *w, const struct adl_node *node, int input,
                                const char *op, struct form *form)
{
    snprintf(form->text, sizeof form->text, "%s.input%d", output_of(w, node), input);
    struct adl_protobuf extra = adl_onnx_node(op, form->text);
    adl_onnx_take(&extra, w->names[node->inputs[input]]);
    if (w->flat[node->inputs[input]]) {
        adl_onnx_take(&extra, ADL_ONNX_MAP_AXES);
        w->unsqueezes = true;
    } else {
        set_int(&extra, "axis", 1);
    }
    adl_onnx_finish(w, &extra, form->text);
    return form->text;
}

/* Input number `input` of a node as [N, C, h, w]. */
static const char *as_map(struct adl_onnx_writer *w, const struct adl_node *node, int input,
                          struct form *form)
{
    int value = node->inputs[input];
    return w->flat[value] ? convert_form(w, node, input, "Unsqueeze", form) : w->names[value];
}

/* The same as [N, C]. */
static const char *as_vector(struct adl_onnx_writer *w, const struct adl_node *node, int input,
                             struct form *form)
{
    int value = node->inputs[input];
    return w->flat[value] ? w->names[value] : convert_form(w, node, input, "Flatten", form);
}

/* --- ops ----------------------------------------------------------------------- */

static void write_conv(struct adl_onnx_writer *w, const struct adl_node *node)
{
    const struct adl_conv_attr *a = node->attr;
    struct form form;
    int pads[4];
    const char *input = as_map(w, node, 0, &form);
    struct adl_protobuf conv = start(w, node, "Conv");
    adl_conv_padding(a, w->shapes[node->inputs[0]], pads);
    adl_onnx_take(&conv, input);
    adl_onnx_take(&conv, param_name(w, node->params[0]));
    if (a->bias)
        adl_onnx_take(&conv, param_name(w, node->params[1]));
    adl_onnx_set_ints(&conv, "kernel_shape", (int[]){a->r, a->s}, 2);
    adl_onnx_set_ints(&conv, "strides", (int[]){a->stride, a->stride}, 2);
    adl_onnx_set_ints(&conv, "pads", pads, 4);
    set_int(&conv, "group", a->groups);
    adl_onnx_finish(w, &conv, output_of(w, node));
}

static void write_batchnorm(struct adl_onnx_writer *w, const struct adl_node *node)
{
    const struct adl_batchnorm_attr *a = node->attr;
    struct form form;
    const char *input = as_map(w, node, 0, &form);
    struct adl_protobuf norm = start(w, node, "BatchNormalization");
    adl_onnx_take(&norm, input);
    for (int i = 0; i < node->param_count; i++)
        adl_onnx_take(&norm, param_name(w, node->params[i]));
    set_float(&norm, "epsilon", a->eps);
    adl_onnx_finish(w, &norm, output_of(w, node));
}

/* An elementwise operator, which takes the input in either form and keeps it. */
static struct adl_protobuf start_elementwise(struct adl_onnx_writer *w, const struct adl_node *node,
                                             const char *op)
{
    struct adl_protobuf message = start(w, node, op);
    adl_onnx_take(&message, w->names[node->inputs[0]]);
    w->flat[node->output] = w->flat[node->inputs[0]];
    return message;
}

static void write_relu(struct adl_onnx_writer *w, const struct adl_node *node)
{
    struct adl_protobuf relu = start_elementwise(w, node, "Relu");
    adl_onnx_finish(w, &relu, output_of(w, node));
}

static void write_relu6(struct adl_onnx_writer *w, const struct adl_node *node)
{
    struct adl_protobuf clip = start_elementwise(w, node, "Clip");
    adl_onnx_take(&clip, ADL_ONNX_ZERO);
    adl_onnx_take(&clip, ADL_ONNX_SIX);
    w->clips = true;
    adl_onnx_finish(w, &clip, output_of(w, node));
}

static void write_sigmoid(struct adl_onnx_writer *w, const struct adl_node *node)
{
    struct adl_protobuf sigmoid = start_elementwise(w, node, "Sigmoid");
    adl_onnx_finish(w, &sigmoid, output_of(w, node));
}

/* Padding behind the map: how far the last window reaches beyond its edge. */
static int overhang(const struct adl_pool_attr *a, int in, int out)
{
    return a->ceil_mode ? ADL_MAX((out - 1) * a->stride + a->size - in - a->pad, 0) : a->pad;
}

static struct adl_protobuf start_pool(struct adl_onnx_writer *w, const struct adl_node *node,
                                      const char *op)
{
    const struct adl_pool_attr *a = node->attr;
    struct adl_shape in = w->shapes[node->inputs[0]], out = w->shapes[node->output];
    const int pads[4] = {a->pad, a->pad, overhang(a, in.h, out.h), overhang(a, in.w, out.w)};
    struct form form;
    const char *input = as_map(w, node, 0, &form);
    struct adl_protobuf pool = start(w, node, op);
    adl_onnx_take(&pool, input);
    adl_onnx_set_ints(&pool, "kernel_shape", (int[]){a->size, a->size}, 2);
    adl_onnx_set_ints(&pool, "strides", (int[]){a->stride, a->stride}, 2);
    adl_onnx_set_ints(&pool, "pads", pads, 4);
    return pool;
}

static void write_maxpool(struct adl_onnx_writer *w, const struct adl_node *node)
{
    struct adl_protobuf pool = start_pool(w, node, "MaxPool");
    adl_onnx_finish(w, &pool, output_of(w, node));
}

static void write_avgpool(struct adl_onnx_writer *w, const struct adl_node *node)
{
    struct adl_protobuf pool = start_pool(w, node, "AveragePool");
    set_int(&pool, "count_include_pad", 1);
    adl_onnx_finish(w, &pool, output_of(w, node));
}

static void write_global_avgpool(struct adl_onnx_writer *w, const struct adl_node *node)
{
    struct form form;
    const char *input = as_map(w, node, 0, &form);
    struct adl_protobuf pool = start(w, node, "GlobalAveragePool");
    adl_onnx_take(&pool, input);
    adl_onnx_finish(w, &pool, output_of(w, node));
}

static void write_linear(struct adl_onnx_writer *w, const struct adl_node *node)
{
    const struct adl_linear_attr *a = node->attr;
    struct form form;
    const char *input = as_vector(w, node, 0, &form);
    struct adl_protobuf gemm = start(w, node, "Gemm");
    adl_onnx_take(&gemm, input);
    adl_onnx_take(&gemm, param_name(w, node->params[0]));
    if (a->bias)
        adl_onnx_take(&gemm, param_name(w, node->params[1]));
    set_int(&gemm, "transB", 1);
    w->flat[node->output] = true;
    adl_onnx_finish(w, &gemm, output_of(w, node));
}

/* An operator with several maps as inputs. A vector becomes a 1x1 map, which ONNX's Mul
 * broadcasts over the other one. */
static struct adl_protobuf start_joining(struct adl_onnx_writer *w, const struct adl_node *node,
                                         const char *op)
{
    struct form forms[ADL_MAX_OP_INPUTS];
    const char *inputs[ADL_MAX_OP_INPUTS];
    for (int i = 0; i < node->input_count; i++)
        inputs[i] = as_map(w, node, i, &forms[i]);
    struct adl_protobuf message = start(w, node, op);
    for (int i = 0; i < node->input_count; i++)
        adl_onnx_take(&message, inputs[i]);
    return message;
}

static void write_add(struct adl_onnx_writer *w, const struct adl_node *node)
{
    struct adl_protobuf add = start_joining(w, node, "Add");
    adl_onnx_finish(w, &add, output_of(w, node));
}

static void write_concat(struct adl_onnx_writer *w, const struct adl_node *node)
{
    struct adl_protobuf concat = start_joining(w, node, "Concat");
    set_int(&concat, "axis", 1);
    adl_onnx_finish(w, &concat, output_of(w, node));
}

static void write_scale(struct adl_onnx_writer *w, const struct adl_node *node)
{
    struct adl_protobuf mul = start_joining(w, node, "Mul");
    adl_onnx_finish(w, &mul, output_of(w, node));
}

static const struct {
    const struct adl_op_def *def;
    void (*write)(struct adl_onnx_writer *w, const struct adl_node *node);
} ops[] = {
    {&adl_op_conv, write_conv},       {&adl_op_batchnorm, write_batchnorm},
    {&adl_op_relu, write_relu},       {&adl_op_relu6, write_relu6},
    {&adl_op_sigmoid, write_sigmoid}, {&adl_op_maxpool, write_maxpool},
    {&adl_op_avgpool, write_avgpool}, {&adl_op_global_avgpool, write_global_avgpool},
    {&adl_op_linear, write_linear},   {&adl_op_add, write_add},
    {&adl_op_concat, write_concat},   {&adl_op_scale, write_scale},
};

int adl_onnx_write_node(struct adl_onnx_writer *w, const struct adl_node *node,
                        struct adl_error *err)
{
    if (node->def->training_only) {
        w->names[node->output] = w->names[node->inputs[0]];
        w->flat[node->output] = w->flat[node->inputs[0]];
        return 0;
    }
    for (size_t i = 0; i < ADL_COUNT(ops); i++)
        if (ops[i].def == node->def) {
            ops[i].write(w, node);
            return 0;
        }
    return adl_fail(err, ADL_ERR_UNSUPPORTED, "%s is an op \"%s\", which cannot be written as ONNX",
                    output_of(w, node), node->def->name);
}
