/* Layers that torchvision's networks have in common; see torchvision.h. */

#include "models/backbones/torchvision.h"

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "ops/ops.h"

int adl_torchvision_channels(double channels)
{
    int rounded = ADL_MAX(8, (int)(channels + 4) / 8 * 8);
    return rounded < 0.9 * channels ? rounded + 8 : rounded;
}

int adl_torchvision_act(struct adl_graph *graph, int x, const char *name,
                        const struct adl_op_def *act)
{
    if (act == &adl_op_relu)
        return adl_relu(graph, x, name);
    if (act == &adl_op_relu6)
        return adl_relu6(graph, x, name);
    if (act == &adl_op_sigmoid)
        return adl_sigmoid(graph, x, name);
    /* The numbers are those of PyTorch's hard sigmoid; the others have none. */
    return adl_elementwise(graph, x, name, act, (struct adl_elementwise_attr){1.0f / 6, 0.5f});
}

int adl_torchvision_conv(struct adl_graph *graph, int x, const char *name,
                         struct adl_conv_attr attr, const struct adl_torchvision_style *style,
                         const struct adl_op_def *act)
{
    x = adl_conv(graph, x, adl_graph_name(graph, "%s.0", name), attr);
    x = adl_batchnorm_with(graph, x, adl_graph_name(graph, "%s.1", name), style->norm);
    return act ? adl_torchvision_act(graph, x, name, act) : x;
}

int adl_torchvision_place(struct adl_graph *graph, const struct adl_arch *arch, int x,
                          const char *name)
{
    if (!adl_arch_has_place(arch, name))
        return x;
    return adl_arch_add_layers(graph, arch, x, adl_graph_name(graph, "after_%s", name), NULL);
}

/* Appends a batch norm whose value is called otherwise than its parameters. */
static int norm_called(struct adl_graph *graph, int x, const char *value, const char *name,
                       const struct adl_torchvision_style *style)
{
    const char *const names[] = {adl_graph_name(graph, "%s.weight", name),
                                 adl_graph_name(graph, "%s.bias", name),
                                 adl_graph_name(graph, "%s.running_mean", name),
                                 adl_graph_name(graph, "%s.running_var", name)};
    return adl_batchnorm_named(graph, x, value, style->norm, names);
}

static int channels_of(const struct adl_graph *graph, int x)
{
    return x < 0 ? 1 : adl_graph_value(graph, x)->shape.c;
}

/* Squeeze-and-excitation with 1x1 convolutions in place of linear layers. */
static int excite(struct adl_graph *graph, int x, const char *name, const struct adl_inverted *b)
{
    struct adl_conv_attr attr = adl_conv_centred(b->squeezed, 1, 1, 1);
    int s = adl_global_avgpool(graph, x, adl_graph_name(graph, "%s.avgpool", name));

    attr.bias = true;
    s = adl_conv(graph, s, adl_graph_name(graph, "%s.fc1", name), attr);
    s = adl_torchvision_act(graph, s, adl_graph_name(graph, "%s.activation", name), b->squeeze_act);
    attr.k = channels_of(graph, x);
    s = adl_conv(graph, s, adl_graph_name(graph, "%s.fc2", name), attr);
    s = adl_torchvision_act(graph, s, adl_graph_name(graph, "%s.scale_activation", name),
                            b->squeeze_gate);
    return adl_scale(graph, x, s, name);
}

int adl_torchvision_inverted(struct adl_graph *graph, const struct adl_arch *arch, int x,
                             const struct adl_inverted *b,
                             const struct adl_torchvision_style *style)
{
    const int input = x, input_channels = channels_of(graph, x);
    const bool residual = b->stride == 1 && input_channels == b->k;
    struct adl_conv_attr depthwise = adl_conv_centred(b->expanded, b->size, b->size, b->stride);
    struct adl_conv_attr end = adl_conv_centred(b->k, 1, 1, 1);
    int layer = 0;

#define NEXT adl_graph_name(graph, "%s.%s.%d", b->name, b->part, layer++)
    if (b->expanded != input_channels)
        x = adl_torchvision_conv(graph, x, NEXT, adl_conv_centred(b->expanded, 1, 1, 1), style,
                                 style->act);
    const char *name = NEXT;
    depthwise.groups = b->expanded;
    x = adl_torchvision_conv(graph, x, name, depthwise, style, style->act);
    if (!residual)
        x = adl_torchvision_place(graph, arch, x, name);
    if (b->squeezed)
        x = excite(graph, x, NEXT, b);
    const char *last = NEXT, *norm = b->plain_end ? NEXT : adl_graph_name(graph, "%s.1", last);
#undef NEXT
    x = adl_conv(graph, x, b->plain_end ? last : adl_graph_name(graph, "%s.0", last), end);
    x = norm_called(graph, x, residual ? norm : b->name, norm, style);
    if (residual)
        x = adl_add(graph, x, input, b->name);
    return adl_torchvision_place(graph, arch, x, b->name);
}

bool adl_torchvision_is_head(const char *name)
{
    return strncmp(name, "classifier.", 11) == 0 || adl_arch_is_branch(name);
}

bool adl_timm_name(const struct adl_timm_part *parts, const char *start, const char *rest,
                   char *out, size_t size)
{
    for (; parts->ours; parts++) {
        size_t length = strlen(parts->ours);
        if (strncmp(rest, parts->ours, length) != 0)
            continue;
        int used = snprintf(out, size, "%s%s%s", start, parts->timms, rest + length);
        return used > 0 && (size_t)used < size;
    }
    return false;
}
