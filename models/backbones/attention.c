/* Attention modules for ResNet-50. In the formulas s is the sigmoid and * an elementwise product.
 *
 * SE (Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018):
 *
 *     y = x * s(W2 relu(W1 mean(x)))
 *
 * CBAM (Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018), first for the
 * channels and then for the pixels:
 *
 *     u = x * s(MLP(mean(x)) + MLP(max(x))),   MLP(v) = W2 relu(W1 v), pooled over the pixels
 *     y = u * s(BN(conv7x7([max(u), mean(u)]))),   pooled over the channels
 *
 * In the authors' code that batch norm gives a batch a weight of 0.01 instead of 0.1 in its running
 * statistics, and its own weight begins at 0, so that the gate begins at 1/2 everywhere.
 *
 * BAM (Park et al., "BAM: Bottleneck Attention Module", BMVC 2018), with c for the channels and p
 * for the pixels:
 *
 *     y = x * (1 + s(c * p)),   c = W2 relu(BN(W1 mean(x))),   p = conv1x1(D(D(R(x))))
 *
 * where R is a 1x1 convolution to C / 16 channels and D a 3x3 convolution with dilation 4, each
 * with bias, batch norm and ReLU. The product c * p is the authors' code; the paper has a sum. */

#include "models/backbones/attention.h"

#include <string.h>

#include "models/backbones/backbone.h"

#define REDUCTION 16
#define BAM_DILATION 4

static int channels_of(const struct adl_graph *graph, int x)
{
    return x < 0 ? REDUCTION : adl_graph_value(graph, x)->shape.c;
}

#define NAME(part) adl_graph_name(graph, "%s." part, name)

static int squeeze_and_excite(struct adl_graph *graph, int x, const char *name)
{
    int channels = channels_of(graph, x);
    int s = adl_global_avgpool(graph, x, NAME("gap"));
    s = adl_linear(graph, s, NAME("fc1"), channels / REDUCTION, true);
    s = adl_relu(graph, s, NAME("relu"));
    s = adl_linear(graph, s, NAME("fc2"), channels, true);
    s = adl_sigmoid(graph, s, NAME("sigmoid"));
    return adl_scale(graph, x, s, name);
}

static int cbam(struct adl_graph *graph, int x, const char *name, double bn_eps)
{
    int channels = channels_of(graph, x);
    int s = adl_global_avgmaxpool(graph, x, NAME("ChannelGate.pools"));
    s = adl_linear(graph, s, NAME("ChannelGate.mlp.1"), channels / REDUCTION, true);
    s = adl_relu(graph, s, NAME("ChannelGate.mlp.2"));
    s = adl_linear(graph, s, NAME("ChannelGate.mlp.3"), channels, true);
    s = adl_global_sumpool(graph, s, NAME("ChannelGate.sum"));
    s = adl_sigmoid(graph, s, NAME("ChannelGate.sigmoid"));
    x = adl_scale(graph, x, s, NAME("ChannelGate"));

    s = adl_channelpool(graph, x, NAME("SpatialGate.compress"));
    s = adl_conv(graph, s, NAME("SpatialGate.spatial.conv"), adl_backbone_conv(1, 7, 7, 1));
    s = adl_batchnorm_with(graph, s, NAME("SpatialGate.spatial.bn"),
                           (struct adl_batchnorm_attr){.eps = bn_eps, .momentum = 0.01});
    adl_graph_set_zero(graph, adl_graph_find_param(graph, NAME("SpatialGate.spatial.bn.weight")));
    s = adl_sigmoid(graph, s, NAME("SpatialGate.sigmoid"));
    return adl_gate(graph, x, s, name, false);
}

int adl_attention(struct adl_graph *graph, int x, const char *kind, const char *block,
                  double bn_eps)
{
    const char *name = adl_graph_name(graph, "%s.%s", block, kind);
    return strcmp(kind, "se") == 0 ? squeeze_and_excite(graph, x, name)
                                   : cbam(graph, x, name, bn_eps);
}

/* Appends the weights of the channels, 1 x 1 x C. */
static int bam_channels(struct adl_graph *graph, int x, const char *name, double bn_eps)
{
    int channels = channels_of(graph, x);
    x = adl_global_avgpool(graph, x, NAME("pool"));
    x = adl_linear(graph, x, NAME("gate_c.gate_c_fc_0"), channels / REDUCTION, true);
    x = adl_batchnorm(graph, x, NAME("gate_c.gate_c_bn_1"), bn_eps);
    x = adl_relu(graph, x, NAME("gate_c.gate_c_relu_1"));
    return adl_linear(graph, x, NAME("gate_c.gate_c_fc_final"), channels, true);
}

static int bam_conv(struct adl_graph *graph, int x, const char *name, int k, int dilation)
{
    struct adl_conv_attr attr = adl_backbone_conv(k, dilation ? 3 : 1, dilation ? 3 : 1, 1);
    attr.bias = true;
    if (dilation) {
        attr.dilation = dilation;
        attr.pad_top = attr.pad_left = attr.pad_bottom = attr.pad_right = dilation;
    }
    return adl_conv(graph, x, name, attr);
}

/* Appends the weights of the pixels, H x W x 1. */
static int bam_pixels(struct adl_graph *graph, int x, const char *name, double bn_eps)
{
    int channels = channels_of(graph, x) / REDUCTION;
    x = bam_conv(graph, x, NAME("gate_s.gate_s_conv_reduce0"), channels, 0);
    x = adl_batchnorm(graph, x, NAME("gate_s.gate_s_bn_reduce0"), bn_eps);
    x = adl_relu(graph, x, NAME("gate_s.gate_s_relu_reduce0"));
    x = bam_conv(graph, x, NAME("gate_s.gate_s_conv_di_0"), channels, BAM_DILATION);
    x = adl_batchnorm(graph, x, NAME("gate_s.gate_s_bn_di_0"), bn_eps);
    x = adl_relu(graph, x, NAME("gate_s.gate_s_relu_di_0"));
    x = bam_conv(graph, x, NAME("gate_s.gate_s_conv_di_1"), channels, BAM_DILATION);
    x = adl_batchnorm(graph, x, NAME("gate_s.gate_s_bn_di_1"), bn_eps);
    x = adl_relu(graph, x, NAME("gate_s.gate_s_relu_di_1"));
    return bam_conv(graph, x, NAME("gate_s.gate_s_conv_final"), 1, 0);
}

int adl_attention_bam(struct adl_graph *graph, int x, const char *name, double bn_eps)
{
    int channels = bam_channels(graph, x, NAME("channel_att"), bn_eps);
    int pixels = bam_pixels(graph, x, NAME("spatial_att"), bn_eps);
    int s = adl_gate(graph, channels, pixels, NAME("product"), false);
    s = adl_sigmoid(graph, s, NAME("sigmoid"));
    return adl_gate(graph, x, s, name, true);
}

#undef NAME

bool adl_attention_is_se(const char *name)
{
    return strstr(name, ".se.") != NULL;
}

bool adl_attention_is_cbam(const char *name)
{
    return strstr(name, ".cbam.") != NULL;
}

bool adl_attention_is_bam(const char *name)
{
    return strncmp(name, "bam", 3) == 0;
}
