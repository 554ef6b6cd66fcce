/* The ops of stored networks: one row for each, with its numbers, their bounds and the builder call
 * that makes its node. Bounds keep the arithmetic on shapes within an int. */

#include "models/backbones/stored_ops.h"

#include <float.h>
#include <string.h>

#include "base/size.h"
#include "ops/ops.h"

#define MOST_CHANNELS 1048576
#define MOST_KERNEL 1024
#define MOST_PAD 4096

static int whole(const struct adl_stored_node *node, int at)
{
    return (int)node->numbers[at];
}

static int build_conv(struct adl_graph *graph, const struct adl_stored_node *node, const int *in)
{
    const struct adl_conv_attr attr = {.k = whole(node, 0),
                                       .r = whole(node, 1),
                                       .s = whole(node, 2),
                                       .stride = whole(node, 3),
                                       .pad_top = whole(node, 4),
                                       .pad_left = whole(node, 5),
                                       .pad_bottom = whole(node, 6),
                                       .pad_right = whole(node, 7),
                                       .groups = whole(node, 8),
                                       .dilation = whole(node, 9),
                                       .tf_same = whole(node, 10) != 0,
                                       .bias = node->params[1] != NULL};
    return adl_conv_named(graph, in[0], node->name, attr, node->params[0], node->params[1]);
}

static int build_batchnorm(struct adl_graph *graph, const struct adl_stored_node *node,
                           const int *in)
{
    const struct adl_batchnorm_attr attr = {.eps = node->numbers[0]};
    return adl_batchnorm_named(graph, in[0], node->name, attr, node->params);
}

static int build_linear(struct adl_graph *graph, const struct adl_stored_node *node, const int *in)
{
    return adl_linear_named(graph, in[0], node->name, whole(node, 0), node->params[0],
                            node->params[1]);
}

static int build_relu(struct adl_graph *graph, const struct adl_stored_node *node, const int *in)
{
    return adl_relu(graph, in[0], node->name);
}

static int build_relu6(struct adl_graph *graph, const struct adl_stored_node *node, const int *in)
{
    return adl_relu6(graph, in[0], node->name);
}

static int build_sigmoid(struct adl_graph *graph, const struct adl_stored_node *node, const int *in)
{
    return adl_sigmoid(graph, in[0], node->name);
}

#define ELEMENTWISE(op)                                                                            \
    static int build_##op(struct adl_graph *graph, const struct adl_stored_node *node,             \
                          const int *in)                                                           \
    {                                                                                              \
        const struct adl_elementwise_attr attr = {(float)node->numbers[0],                         \
                                                  (float)node->numbers[1]};                        \
        return adl_elementwise(graph, in[0], node->name, &adl_op_##op, attr);                      \
    }
ELEMENTWISE(clip)
ELEMENTWISE(affine)
ELEMENTWISE(leaky_relu)
ELEMENTWISE(hard_sigmoid)
ELEMENTWISE(hard_swish)
ELEMENTWISE(silu)
ELEMENTWISE(gelu)
ELEMENTWISE(gelu_tanh)
ELEMENTWISE(erf)
ELEMENTWISE(tanh)

#define SLOPE(op)                                                                                  \
    static int build_slope_##op(struct adl_graph *graph, const struct adl_stored_node *node,       \
                                const int *in)                                                     \
    {                                                                                              \
        const struct adl_elementwise_attr attr = {(float)node->numbers[0],                         \
                                                  (float)node->numbers[1]};                        \
        return adl_slope(graph, in[0], node->name, &adl_op_##op, attr);                            \
    }
SLOPE(relu)
SLOPE(sigmoid)
SLOPE(clip)
SLOPE(leaky_relu)
SLOPE(hard_sigmoid)
SLOPE(hard_swish)
SLOPE(silu)
SLOPE(gelu)
SLOPE(gelu_tanh)
SLOPE(tanh)

static int build_layernorm_slope(struct adl_graph *graph, const struct adl_stored_node *node,
                                 const int *in)
{
    return adl_layernorm_slope(graph, in[0], in[1], node->name, node->numbers[0]);
}

static int build_add(struct adl_graph *graph, const struct adl_stored_node *node, const int *in)
{
    return adl_add(graph, in[0], in[1], node->name);
}

static int build_concat(struct adl_graph *graph, const struct adl_stored_node *node, const int *in)
{
    return adl_concat(graph, in, node->input_count, node->name);
}

static int build_scale(struct adl_graph *graph, const struct adl_stored_node *node, const int *in)
{
    return adl_scale(graph, in[0], in[1], node->name);
}

static int build_gate(struct adl_graph *graph, const struct adl_stored_node *node, const int *in)
{
    return adl_gate(graph, in[0], in[1], node->name, whole(node, 0) != 0);
}

static struct adl_pool_attr pool_attr(const struct adl_stored_node *node)
{
    return (struct adl_pool_attr){.size = whole(node, 0),
                                  .stride = whole(node, 1),
                                  .pad = whole(node, 2),
                                  .ceil_mode = whole(node, 3) != 0};
}

static int build_maxpool(struct adl_graph *graph, const struct adl_stored_node *node, const int *in)
{
    return adl_maxpool(graph, in[0], node->name, pool_attr(node));
}

static int build_avgpool(struct adl_graph *graph, const struct adl_stored_node *node, const int *in)
{
    return adl_avgpool(graph, in[0], node->name, pool_attr(node));
}

static int build_pool(struct adl_graph *graph, const struct adl_stored_node *node, const int *in)
{
    const struct adl_pool_any_attr attr = {.r = whole(node, 0),
                                           .s = whole(node, 1),
                                           .stride_h = whole(node, 2),
                                           .stride_w = whole(node, 3),
                                           .top = whole(node, 4),
                                           .left = whole(node, 5),
                                           .bottom = whole(node, 6),
                                           .right = whole(node, 7),
                                           .average = whole(node, 8) != 0,
                                           .count_padding = whole(node, 9) != 0,
                                           .ceil_mode = whole(node, 10) != 0};
    return adl_pool_any(graph, in[0], node->name, attr);
}

static int build_global_avgpool(struct adl_graph *graph, const struct adl_stored_node *node,
                                const int *in)
{
    return adl_global_avgpool(graph, in[0], node->name);
}

#define POOL(op)                                                                                   \
    static int build_##op(struct adl_graph *graph, const struct adl_stored_node *node,             \
                          const int *in)                                                           \
    {                                                                                              \
        return adl_##op(graph, in[0], node->name);                                                 \
    }
POOL(global_maxpool)
POOL(global_sumpool)
POOL(global_avgmaxpool)
POOL(channelpool)

static int build_resize(struct adl_graph *graph, const struct adl_stored_node *node, const int *in)
{
    const struct adl_resize_attr attr = {.scale_h = node->numbers[0],
                                         .scale_w = node->numbers[1],
                                         .h = whole(node, 2),
                                         .w = whole(node, 3),
                                         .linear = whole(node, 4) != 0,
                                         .place = (enum adl_resize_place)whole(node, 5),
                                         .round = (enum adl_resize_round)whole(node, 6)};
    return adl_resize(graph, in[0], node->name, attr);
}

static int build_upsample(struct adl_graph *graph, const struct adl_stored_node *node,
                          const int *in)
{
    return adl_upsample(graph, in[0], in[1], node->name);
}

static int build_blank(struct adl_graph *graph, const struct adl_stored_node *node, const int *in)
{
    return adl_blank(graph, in[0], node->name, whole(node, 0));
}

static int build_channel_affine(struct adl_graph *graph, const struct adl_stored_node *node,
                                const int *in)
{
    return adl_channel_affine(graph, in[0], node->name, node->params[0], node->params[1]);
}

static int build_layernorm(struct adl_graph *graph, const struct adl_stored_node *node,
                           const int *in)
{
    return adl_layernorm(graph, in[0], node->name, node->numbers[0]);
}

static int build_shuffle(struct adl_graph *graph, const struct adl_stored_node *node, const int *in)
{
    return adl_shuffle(graph, in[0], node->name, whole(node, 0));
}

static int build_slice(struct adl_graph *graph, const struct adl_stored_node *node, const int *in)
{
    return adl_slice(graph, in[0], node->name, whole(node, 0), whole(node, 1));
}

static int build_dropout(struct adl_graph *graph, const struct adl_stored_node *node, const int *in)
{
    return adl_dropout(graph, in[0], node->name, node->numbers[0]);
}

#define FLAG(key)                                                                                  \
    {                                                                                              \
        key, true, 0, 1, 0                                                                         \
    }
#define SIDE(key, most, value)                                                                     \
    {                                                                                              \
        key, true, 1, most, value                                                                  \
    }
#define PAD(key)                                                                                   \
    {                                                                                              \
        key, true, 0, MOST_PAD, 0                                                                  \
    }
#define REAL(key, least, most, value)                                                              \
    {                                                                                              \
        key, false, least, most, value                                                             \
    }
#define ANY(key, value) REAL(key, -(double)FLT_MAX, (double)FLT_MAX, value)

static const struct adl_stored_op ops[] = {
    {"conv",
     1,
     1,
     1,
     2,
     {SIDE("k", MOST_CHANNELS, 1), SIDE("r", MOST_KERNEL, 1), SIDE("s", MOST_KERNEL, 1),
      SIDE("stride", MOST_KERNEL, 1), PAD("top"), PAD("left"), PAD("bottom"), PAD("right"),
      SIDE("groups", MOST_CHANNELS, 1), SIDE("dilation", MOST_KERNEL, 1), FLAG("tf_same")},
     build_conv},
    {"batchnorm", 1, 1, 4, 4, {REAL("eps", 0, 1, 1e-5)}, build_batchnorm},
    {"linear", 1, 1, 1, 2, {SIDE("k", MOST_CHANNELS, 1)}, build_linear},
    {"relu", 1, 1, 0, 0, {{0}}, build_relu},
    {"relu6", 1, 1, 0, 0, {{0}}, build_relu6},
    {"sigmoid", 1, 1, 0, 0, {{0}}, build_sigmoid},
    {"clip", 1, 1, 0, 0, {ANY("a", -(double)FLT_MAX), ANY("b", (double)FLT_MAX)}, build_clip},
    {"affine", 1, 1, 0, 0, {ANY("a", 1), ANY("b", 0)}, build_affine},
    {"leaky_relu", 1, 1, 0, 0, {ANY("a", 0.01), ANY("b", 0)}, build_leaky_relu},
    {"hard_sigmoid", 1, 1, 0, 0, {ANY("a", 0.2), ANY("b", 0.5)}, build_hard_sigmoid},
    {"hard_swish", 1, 1, 0, 0, {{0}}, build_hard_swish},
    {"silu", 1, 1, 0, 0, {{0}}, build_silu},
    {"gelu", 1, 1, 0, 0, {{0}}, build_gelu},
    {"gelu_tanh", 1, 1, 0, 0, {{0}}, build_gelu_tanh},
    {"erf", 1, 1, 0, 0, {{0}}, build_erf},
    {"tanh", 1, 1, 0, 0, {{0}}, build_tanh},
    {"slope_relu", 1, 1, 0, 0, {{0}}, build_slope_relu},
    {"slope_sigmoid", 1, 1, 0, 0, {{0}}, build_slope_sigmoid},
    {"slope_clip",
     1,
     1,
     0,
     0,
     {ANY("a", -(double)FLT_MAX), ANY("b", (double)FLT_MAX)},
     build_slope_clip},
    {"slope_leaky_relu", 1, 1, 0, 0, {ANY("a", 0.01), ANY("b", 0)}, build_slope_leaky_relu},
    {"slope_hard_sigmoid", 1, 1, 0, 0, {ANY("a", 0.2), ANY("b", 0.5)}, build_slope_hard_sigmoid},
    {"slope_hard_swish", 1, 1, 0, 0, {{0}}, build_slope_hard_swish},
    {"slope_silu", 1, 1, 0, 0, {{0}}, build_slope_silu},
    {"slope_gelu", 1, 1, 0, 0, {{0}}, build_slope_gelu},
    {"slope_gelu_tanh", 1, 1, 0, 0, {{0}}, build_slope_gelu_tanh},
    {"slope_tanh", 1, 1, 0, 0, {{0}}, build_slope_tanh},
    {"layernorm_slope", 2, 2, 0, 0, {REAL("eps", 0, 1, 1e-5)}, build_layernorm_slope},
    {"add", 2, 2, 0, 0, {{0}}, build_add},
    {"concat", 1, ADL_MAX_OP_INPUTS, 0, 0, {{0}}, build_concat},
    {"scale", 2, 2, 0, 0, {{0}}, build_scale},
    {"gate", 2, 2, 0, 0, {FLAG("plus_one")}, build_gate},
    {"maxpool",
     1,
     1,
     0,
     0,
     {SIDE("size", ADL_LIMIT_WINDOW, 2), SIDE("stride", MOST_KERNEL, 2), PAD("pad"), FLAG("ceil")},
     build_maxpool},
    {"avgpool",
     1,
     1,
     0,
     0,
     {SIDE("size", ADL_LIMIT_WINDOW, 2), SIDE("stride", MOST_KERNEL, 2), PAD("pad"), FLAG("ceil")},
     build_avgpool},
    {"pool",
     1,
     1,
     0,
     0,
     {SIDE("r", MOST_KERNEL, 1), SIDE("s", MOST_KERNEL, 1), SIDE("stride_h", MOST_KERNEL, 1),
      SIDE("stride_w", MOST_KERNEL, 1), PAD("top"), PAD("left"), PAD("bottom"), PAD("right"),
      FLAG("average"), FLAG("count_padding"), FLAG("ceil")},
     build_pool},
    {"global_avgpool", 1, 1, 0, 0, {{0}}, build_global_avgpool},
    {"global_maxpool", 1, 1, 0, 0, {{0}}, build_global_maxpool},
    {"global_sumpool", 1, 1, 0, 0, {{0}}, build_global_sumpool},
    {"global_avgmaxpool", 1, 1, 0, 0, {{0}}, build_global_avgmaxpool},
    {"channelpool", 1, 1, 0, 0, {{0}}, build_channelpool},
    {"resize",
     1,
     1,
     0,
     0,
     {REAL("scale_h", 0, ADL_RESIZE_MOST, 1),
      REAL("scale_w", 0, ADL_RESIZE_MOST, 1),
      {"h", true, 0, ADL_RESIZE_MOST, 0},
      {"w", true, 0, ADL_RESIZE_MOST, 0},
      FLAG("linear"),
      {"place", true, 0, ADL_RESIZE_PLACES - 1, ADL_RESIZE_HALF_PIXEL},
      {"round", true, 0, ADL_RESIZE_ROUNDS - 1, ADL_RESIZE_PREFER_FLOOR}},
     build_resize},
    {"upsample", 2, 2, 0, 0, {{0}}, build_upsample},
    {"blank", 1, 1, 0, 0, {SIDE("k", MOST_CHANNELS, 1)}, build_blank},
    {"channel_affine", 1, 1, 1, 2, {{0}}, build_channel_affine},
    {"layernorm", 1, 1, 0, 0, {REAL("eps", 0, 1, 1e-5)}, build_layernorm},
    {"shuffle", 1, 1, 0, 0, {SIDE("groups", MOST_CHANNELS, 1)}, build_shuffle},
    {"slice",
     1,
     1,
     0,
     0,
     {{"first", true, 0, MOST_CHANNELS, 0}, SIDE("count", MOST_CHANNELS, 1)},
     build_slice},
    {"dropout", 1, 1, 0, 0, {REAL("rate", 0, 0.999, 0.5)}, build_dropout},
};

const struct adl_stored_op *adl_stored_op_find(const char *name)
{
    for (size_t i = 0; i < ADL_COUNT(ops); i++)
        if (strcmp(ops[i].name, name) == 0)
            return &ops[i];
    return NULL;
}
