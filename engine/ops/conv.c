/* Convolution of any kernel size, stride, padding and number of groups (depthwise: groups =
 * channels): its shape, its cost and, in plain C, its definition. With input H x W x C,
 * output P x Q x K, kernels of R x S and G groups, output channel k sees the C/G input
 * channels of its group:
 *
 *     y[p,q,k] = bias[k] + sum over r,s,c of
 *                          x[p stride + r d - top, q stride + s d - left, c] w[k,c,r,s]
 *
 * where d is the dilation, mostly 1, and x is 0 outside the map. Nothing here is fast: inference
 * uses the algorithms of kernels/conv_*.c through the plan, a training step those of ops/conv/. */

#include <stdio.h>

#include "ops/conv/conv_train.h"
#include "ops/ops.h"

static int conv_infer(const struct adl_node *node, const struct adl_shape *in,
                      struct adl_shape *out, struct adl_error *err)
{
    const struct adl_conv_attr *a = node->attr;
    int pads[4];
    adl_conv_padding(a, *in, pads);
    int h = in->h + pads[0] + pads[2] - (a->r - 1) * a->dilation - 1;
    int w = in->w + pads[1] + pads[3] - (a->s - 1) * a->dilation - 1;
    if (h < 0 || w < 0)
        return adl_fail(err, ADL_ERR_ARG, "a %dx%d kernel does not fit a %dx%d map",
                        (a->r - 1) * a->dilation + 1, (a->s - 1) * a->dilation + 1, in->h, in->w);
    *out = (struct adl_shape){h / a->stride + 1, w / a->stride + 1, a->k};
    return 0;
}

static uint64_t conv_macs(const struct adl_node *node, const struct adl_shape *in,
                          struct adl_shape out)
{
    const struct adl_conv_attr *a = node->attr;
    return (uint64_t)adl_shape_count(out) * (uint64_t)(in->c / a->groups) * (uint64_t)a->r *
           (uint64_t)a->s;
}

static void conv_forward(const struct adl_op_call *call)
{
    const struct adl_conv_attr *a = call->node->attr;
    struct adl_shape in = *call->in_shape, out = call->out_shape;
    const float *weight = call->params[0], *bias = a->bias ? call->params[1] : NULL;
    int group_c = in.c / a->groups, group_k = a->k / a->groups;
    int pads[4];
    adl_conv_padding(a, in, pads);

    float *y = call->out;
    for (int n = 0; n < call->batch; n++) {
        const float *x = call->in[0] + (size_t)n * adl_shape_count(in);
        for (int p = 0; p < out.h; p++)
            for (int q = 0; q < out.w; q++)
                for (int k = 0; k < out.c; k++) {
                    int c0 = k / group_k * group_c;
                    float sum = bias ? bias[k] : 0;
                    for (int r = 0; r < a->r; r++)
                        for (int s = 0; s < a->s; s++) {
                            int row = p * a->stride + r * a->dilation - pads[0];
                            int column = q * a->stride + s * a->dilation - pads[1];
                            if (row < 0 || row >= in.h || column < 0 || column >= in.w)
                                continue;
                            const float *pixel =
                                x + ((size_t)row * (size_t)in.w + (size_t)column) * (size_t)in.c;
                            for (int c = 0; c < group_c; c++)
                                sum += pixel[c0 + c] *
                                       weight[((k * group_c + c) * a->r + r) * a->s + s];
                        }
                    *y++ = sum;
                }
    }
}

static void conv_describe(const struct adl_node *node, char *text, size_t size)
{
    const struct adl_conv_attr *a = node->attr;
    int used = snprintf(text, size, "%dx%d", a->r, a->s);
    if (a->stride > 1)
        used += snprintf(text + used, size - (size_t)used, " s%d", a->stride);
    if (a->groups > 1)
        used += snprintf(text + used, size - (size_t)used, " g%d", a->groups);
    if (a->dilation > 1)
        snprintf(text + used, size - (size_t)used, " d%d", a->dilation);
}

const struct adl_op_def adl_op_conv = {
    .name = "conv",
    .infer = conv_infer,
    .macs = conv_macs,
    .forward = conv_forward,
    .train = &adl_conv_training,
    .describe = conv_describe,
};

struct adl_conv_attr adl_conv_centred(int k, int r, int s, int stride)
{
    return (struct adl_conv_attr){.k = k,
                                  .r = r,
                                  .s = s,
                                  .stride = stride,
                                  .pad_top = r / 2,
                                  .pad_left = s / 2,
                                  .pad_bottom = r / 2,
                                  .pad_right = s / 2,
                                  .groups = 1};
}

int adl_conv_named(struct adl_graph *graph, int input, const char *name, struct adl_conv_attr attr,
                   const char *weight, const char *bias)
{
    if (input < 0)
        return -1;
    int c = adl_graph_value(graph, input)->shape.c;
    if (attr.groups == 0)
        attr.groups = 1;
    if (attr.dilation == 0)
        attr.dilation = 1;
    if (attr.dilation < 1 || (attr.dilation > 1 && (attr.groups > 1 || attr.tf_same)))
        return adl_graph_fail(graph, "%s: a convolution of %d groups cannot have a dilation of %d",
                              name, attr.groups, attr.dilation);
    if (attr.k < 1 || attr.r < 1 || attr.s < 1 || attr.stride < 1 || attr.groups < 1 ||
        c % attr.groups || attr.k % attr.groups)
        return adl_graph_fail(
            graph,
            "%s: a convolution cannot have %d to %d channels in %d groups with kernel %dx%d "
            "and stride %d",
            name, c, attr.k, attr.groups, attr.r, attr.s, attr.stride);
    int params[2] = {-1, -1};
    params[0] = adl_graph_add_param(
        graph, weight, ADL_PARAM_CONV_WEIGHT, 4,
        (size_t[]){(size_t)attr.k, (size_t)(c / attr.groups), (size_t)attr.r, (size_t)attr.s});
    if (attr.bias)
        params[1] = adl_graph_add_param(graph, bias, ADL_PARAM_BIAS, 1, (size_t[]){(size_t)attr.k});
    return adl_graph_add(graph, name, &adl_op_conv, &attr, sizeof attr, &input, 1, params,
                         attr.bias ? 2 : 1);
}

int adl_conv(struct adl_graph *graph, int input, const char *name, struct adl_conv_attr attr)
{
    return adl_conv_named(graph, input, name, attr, adl_graph_name(graph, "%s.weight", name),
                          attr.bias ? adl_graph_name(graph, "%s.bias", name) : NULL);
}
