/* Writes ONNX nodes: each op of the graph as one operator of operator set 10, or two; in a model in
 * 8 bits, of set 13, with the nodes of onnx_int8.c between them.
 *
 * Importers differ in the nodes that they read, so the nodes are as simple as possible. OpenCV
 * 4.6, the version in Debian 12, needs the following:
 *
 *   - All values are maps, [N, C, h, w]; a vector of C channels is a map of 1x1, as in the graph.
 *     A linear layer is a 1x1 convolution, so that no value has to be reshaped for it; an
 *     Unsqueeze with two axes would be refused.
 *   - All inputs of nodes are values or weights. Constants, such as the bounds of a Clip, are
 *     attributes; they became inputs in operator set 11.
 *   - An average pool has no padding, since OpenCV ignores count_include_pad. A Pad before it
 *     adds the zeros.
 *
 * Padding is written as numbers, for the model's input size: runtimes differ in how they
 * interpret auto_pad, which TensorFlow's "SAME" would need, and ceil_mode of a pool. */

#include <float.h>
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/size.h"
#include "models/onnx/onnx_int8.h"
#include "models/onnx/onnx_parts.h"
#include "ops/ops.h"

/* Returns the name of a node's value. */
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

/* Returns the name of input number `input` of a node. */
static const char *input_of(const struct adl_onnx_writer *w, const struct adl_node *node, int input)
{
    const char *rounded = adl_onnx_int8_input(w->int8, node, input);
    return rounded ? rounded : w->names[node->inputs[input]];
}

/* --- ops ----------------------------------------------------------------------- */

static void write_conv(struct adl_onnx_writer *w, const struct adl_node *node)
{
    const struct adl_conv_attr *a = node->attr;
    adl_onnx_write_conv(w, node, input_of(w, node, 0), param_name(w, node->params[0]),
                        a->bias ? param_name(w, node->params[1]) : NULL, output_of(w, node));
}

static void write_batchnorm(struct adl_onnx_writer *w, const struct adl_node *node)
{
    const struct adl_batchnorm_attr *a = node->attr;
    struct adl_protobuf norm = start(w, node, "BatchNormalization");
    adl_onnx_take(&norm, input_of(w, node, 0));
    for (int i = 0; i < node->param_count; i++)
        adl_onnx_take(&norm, param_name(w, node->params[i]));
    adl_onnx_set_float(&norm, "epsilon", a->eps);
    adl_onnx_finish(w, &norm, output_of(w, node));
}

static struct adl_protobuf start_elementwise(struct adl_onnx_writer *w, const struct adl_node *node,
                                             const char *op)
{
    struct adl_protobuf message = start(w, node, op);
    adl_onnx_take(&message, input_of(w, node, 0));
    return message;
}

static void write_relu(struct adl_onnx_writer *w, const struct adl_node *node)
{
    struct adl_protobuf relu = start_elementwise(w, node, "Relu");
    adl_onnx_finish(w, &relu, output_of(w, node));
}

static void write_relu6(struct adl_onnx_writer *w, const struct adl_node *node)
{
    adl_onnx_write_clip(w, input_of(w, node, 0), 0, 6, output_of(w, node));
}

static void write_sigmoid(struct adl_onnx_writer *w, const struct adl_node *node)
{
    struct adl_protobuf sigmoid = start_elementwise(w, node, "Sigmoid");
    adl_onnx_finish(w, &sigmoid, output_of(w, node));
}

/* Returns the padding after the last row or column: how far the last window reaches beyond the
 * map's edge. */
static int overhang(const struct adl_pool_attr *a, int in, int out)
{
    return a->ceil_mode ? ADL_MAX((out - 1) * a->stride + a->size - in - a->pad, 0) : a->pad;
}

/* Sets `pads` to the padding of a pool: rows and columns before the map, then those after it. */
static void pool_padding(const struct adl_onnx_writer *w, const struct adl_node *node, int pads[4])
{
    const struct adl_pool_attr *a = node->attr;
    struct adl_shape in = w->shapes[node->inputs[0]], out = w->shapes[node->output];
    pads[0] = pads[1] = a->pad;
    pads[2] = overhang(a, in.h, out.h);
    pads[3] = overhang(a, in.w, out.w);
}

static struct adl_protobuf start_pool(struct adl_onnx_writer *w, const struct adl_node *node,
                                      const char *op, const char *input, const int pads[4])
{
    const struct adl_pool_attr *a = node->attr;
    struct adl_protobuf pool = start(w, node, op);
    adl_onnx_take(&pool, input);
    adl_onnx_set_ints(&pool, "kernel_shape", (int[]){a->size, a->size}, 2);
    adl_onnx_set_ints(&pool, "strides", (int[]){a->stride, a->stride}, 2);
    adl_onnx_set_ints(&pool, "pads", pads, 4);
    return pool;
}

static void write_maxpool(struct adl_onnx_writer *w, const struct adl_node *node)
{
    int pads[4];
    pool_padding(w, node, pads);
    struct adl_protobuf pool = start_pool(w, node, "MaxPool", input_of(w, node, 0), pads);
    adl_onnx_finish(w, &pool, output_of(w, node));
}

/* Writes a Pad, if there is padding, and an AveragePool. ONNX Runtime joins the two again, for
 * which count_include_pad has to be 1. */
static void write_avgpool(struct adl_onnx_writer *w, const struct adl_node *node)
{
    char padded[512];
    const char *input = input_of(w, node, 0);
    int pads[4];
    pool_padding(w, node, pads);
    if (pads[0] || pads[1] || pads[2] || pads[3]) {
        snprintf(padded, sizeof padded, "%s.padded", output_of(w, node));
        adl_onnx_write_pad(w, input, pads, padded);
        input = padded;
    }
    struct adl_protobuf pool = start_pool(w, node, "AveragePool", input, (int[]){0, 0, 0, 0});
    adl_onnx_set_int(&pool, "count_include_pad", 1);
    adl_onnx_finish(w, &pool, output_of(w, node));
}

static void write_global_avgpool(struct adl_onnx_writer *w, const struct adl_node *node)
{
    struct adl_protobuf pool = start_elementwise(w, node, "GlobalAveragePool");
    adl_onnx_finish(w, &pool, output_of(w, node));
}

static void write_global_maxpool(struct adl_onnx_writer *w, const struct adl_node *node)
{
    struct adl_protobuf pool = start_elementwise(w, node, "GlobalMaxPool");
    adl_onnx_finish(w, &pool, output_of(w, node));
}

/* Writes a linear layer as a 1x1 convolution; write_params() makes its weight a kernel. */
static void write_linear(struct adl_onnx_writer *w, const struct adl_node *node)
{
    const struct adl_linear_attr *a = node->attr;
    struct adl_protobuf conv = start(w, node, "Conv");
    adl_onnx_take(&conv, input_of(w, node, 0));
    adl_onnx_take(&conv, param_name(w, node->params[0]));
    if (a->bias)
        adl_onnx_take(&conv, param_name(w, node->params[1]));
    adl_onnx_set_ints(&conv, "kernel_shape", (int[]){1, 1}, 2);
    adl_onnx_finish(w, &conv, output_of(w, node));
}

/* Begins an operator with several maps as inputs. A vector is a 1x1 map, which ONNX's Mul
 * broadcasts over the other map. */
static struct adl_protobuf start_joining(struct adl_onnx_writer *w, const struct adl_node *node,
                                         const char *op)
{
    struct adl_protobuf message = start(w, node, op);
    for (int i = 0; i < node->input_count; i++)
        adl_onnx_take(&message, input_of(w, node, i));
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
    adl_onnx_set_int(&concat, "axis", 1);
    adl_onnx_finish(w, &concat, output_of(w, node));
}

static void write_scale(struct adl_onnx_writer *w, const struct adl_node *node)
{
    struct adl_protobuf mul = start_joining(w, node, "Mul");
    adl_onnx_finish(w, &mul, output_of(w, node));
}

/* The name of a value that has no counterpart in the graph: part of what is written for input
 * number `input` of a node. */
struct part_name {
    char text[400];
};

static struct part_name part_of(const struct adl_onnx_writer *w, const struct adl_node *node,
                                int input, const char *part)
{
    struct part_name name;
    snprintf(name.text, sizeof name.text, "%.300s.%s%d", output_of(w, node), part, input + 1);
    return name;
}

static struct part_name write_reduction(struct adl_onnx_writer *w, const struct adl_node *node,
                                        int input, const char *op)
{
    struct part_name name = part_of(w, node, input, op);
    adl_onnx_write_reduction(w, op, input_of(w, node, input), (const int[]){2, 3}, 2, name.text);
    return name;
}

static void write_two(struct adl_onnx_writer *w, const char *op, const char *a, const char *b,
                      const char *name)
{
    struct adl_protobuf message = adl_onnx_node(op, name);
    adl_onnx_take(&message, a);
    adl_onnx_take(&message, b);
    adl_onnx_finish(w, &message, name);
}

/* Writes the union of class maps: the maximum of (x - min) / max(max - min, tiny), where the
 * minimum and the maximum are over the positions of a channel; a map that is constant becomes 0. */
static void write_map_union(struct adl_onnx_writer *w, const struct adl_node *node)
{
    struct adl_protobuf all = start(w, node, "Max");
    for (int i = 0; i < node->input_count; i++) {
        struct part_name least = write_reduction(w, node, i, "ReduceMin");
        struct part_name most = write_reduction(w, node, i, "ReduceMax");
        struct part_name range = part_of(w, node, i, "range");
        struct part_name divisor = part_of(w, node, i, "divisor");
        struct part_name shifted = part_of(w, node, i, "shifted");
        struct part_name normalised = part_of(w, node, i, "normalised");
        write_two(w, "Sub", most.text, least.text, range.text);
        adl_onnx_write_clip(w, range.text, (double)FLT_MIN, (double)INFINITY, divisor.text);
        write_two(w, "Sub", input_of(w, node, i), least.text, shifted.text);
        write_two(w, "Div", shifted.text, divisor.text, normalised.text);
        adl_onnx_take(&all, normalised.text);
    }
    adl_onnx_finish(w, &all, output_of(w, node));
}

static const struct {
    const struct adl_op_def *def;
    void (*write)(struct adl_onnx_writer *w, const struct adl_node *node);
} ops[] = {
    {&adl_op_conv, write_conv},
    {&adl_op_batchnorm, write_batchnorm},
    {&adl_op_relu, write_relu},
    {&adl_op_relu6, write_relu6},
    {&adl_op_sigmoid, write_sigmoid},
    {&adl_op_maxpool, write_maxpool},
    {&adl_op_avgpool, write_avgpool},
    {&adl_op_global_avgpool, write_global_avgpool},
    {&adl_op_global_maxpool, write_global_maxpool},
    {&adl_op_linear, write_linear},
    {&adl_op_add, write_add},
    {&adl_op_concat, write_concat},
    {&adl_op_scale, write_scale},
    {&adl_op_global_sumpool, adl_onnx_write_sumpool},
    {&adl_op_global_avgmaxpool, adl_onnx_write_avgmaxpool},
    {&adl_op_channelpool, adl_onnx_write_channelpool},
    {&adl_op_gate, adl_onnx_write_gate},
    {&adl_op_map_union, write_map_union},
    {&adl_op_erase, adl_onnx_write_erase},
};

/* Ops of networks from ONNX. */
static const struct {
    const struct adl_op_def *def;
    void (*write)(struct adl_onnx_writer *w, const struct adl_node *node, const char *input);
} others[] = {
    {&adl_op_channel_affine, adl_onnx_write_channel_affine},
    {&adl_op_layernorm, adl_onnx_write_layernorm},
    {&adl_op_layernorm_slope, adl_onnx_write_layernorm_slope},
    {&adl_op_shuffle, adl_onnx_write_shuffle},
    {&adl_op_slice, adl_onnx_write_slice},
    {&adl_op_pool_any, adl_onnx_write_pool_any},
};

static int write_any(struct adl_onnx_writer *w, const struct adl_node *node, struct adl_error *err)
{
    if (node->def == &adl_op_upsample)
        return adl_onnx_write_upsample(w, node) ? 0 : adl_fail_nomem(err, "the ONNX graph");
    if (node->def == &adl_op_blank)
        return adl_onnx_write_blank(w, node) ? 0 : adl_fail_nomem(err, "the ONNX graph");
    if (node->def == &adl_op_resize)
        return adl_onnx_write_resize(w, node) ? 0 : adl_fail_nomem(err, "the ONNX graph");
    for (size_t i = 0; i < ADL_COUNT(ops); i++)
        if (ops[i].def == node->def) {
            ops[i].write(w, node);
            return 0;
        }
    for (size_t i = 0; i < ADL_COUNT(others); i++)
        if (others[i].def == node->def) {
            others[i].write(w, node, input_of(w, node, 0));
            return 0;
        }
    if (node->def == &adl_op_slope) {
        if (adl_onnx_write_slope(w, node, input_of(w, node, 0)))
            return 0;
    } else if (node->def->elementwise) {
        adl_onnx_write_elementwise(w, node, input_of(w, node, 0));
        return 0;
    }
    return adl_fail(err, ADL_ERR_UNSUPPORTED, "%s is an op \"%s\", which cannot be written as ONNX",
                    output_of(w, node), node->def->name);
}

int adl_onnx_write_node(struct adl_onnx_writer *w, const struct adl_node *node,
                        struct adl_error *err)
{
    if (node->def->training_only) {
        w->names[node->output] = w->names[node->inputs[0]];
        return 0;
    }
    int written = w->int8 ? adl_onnx_int8_write(w, node, err) : 0;
    if (written < 0 || (!written && write_any(w, node, err) < 0))
        return -1;
    return w->int8 ? adl_onnx_int8_round(w, node->output, err) : 0;
}
