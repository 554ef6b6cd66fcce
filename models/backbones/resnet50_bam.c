/* ResNet-50 with BAM (Park et al., "BAM: Bottleneck Attention Module", BMVC 2018) after layer1,
 * layer2 and layer3, with c for the channels and p for the pixels:
 *
 *     y = x * (1 + s(c * p)),   c = W2 relu(BN(W1 mean(x))),   p = conv1x1(D(D(R(x))))
 *
 * where R is a 1x1 convolution to C / 16 channels and D a 3x3 convolution with dilation 4, each
 * with bias, batch norm and ReLU. The product c * p is the authors' code; the paper has a sum.
 * Structure, names and layouts are those of that code (Jongchan/attention-module, in PyTorch), so
 * that its weights load. */

#include <string.h>

#include "models/backbones/resnet.h"

#define BAM_DILATION 4

#define NAME(part) adl_graph_name(graph, "%s." part, name)

/* Appends the weights of the channels, 1 x 1 x C. */
static int bam_channels(struct adl_graph *graph, int x, const char *name, double bn_eps)
{
    int channels = adl_resnet_channels(graph, x);
    x = adl_global_avgpool(graph, x, NAME("pool"));
    x = adl_linear(graph, x, NAME("gate_c.gate_c_fc_0"), channels / ADL_RESNET_REDUCTION, true);
    x = adl_batchnorm(graph, x, NAME("gate_c.gate_c_bn_1"), bn_eps);
    x = adl_relu(graph, x, NAME("gate_c.gate_c_relu_1"));
    return adl_linear(graph, x, NAME("gate_c.gate_c_fc_final"), channels, true);
}

static int bam_conv(struct adl_graph *graph, int x, const char *name, int k, int dilation)
{
    struct adl_conv_attr attr = adl_conv_centred(k, dilation ? 3 : 1, dilation ? 3 : 1, 1);
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
    int channels = adl_resnet_channels(graph, x) / ADL_RESNET_REDUCTION;
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

static int bam(struct adl_graph *graph, int x, int stage, double bn_eps)
{
    const char *name = adl_graph_name(graph, "bam%d", stage);
    int channels = bam_channels(graph, x, NAME("channel_att"), bn_eps);
    int pixels = bam_pixels(graph, x, NAME("spatial_att"), bn_eps);
    int s = adl_gate(graph, channels, pixels, NAME("product"), false);
    s = adl_sigmoid(graph, s, NAME("sigmoid"));
    return adl_gate(graph, x, s, name, true);
}

static bool is_attention(const char *name)
{
    return strncmp(name, "bam", 3) == 0;
}

static const struct adl_resnet resnet50_bam = {
    .blocks = {3, 4, 6, 3},
    .attention = &(const struct adl_resnet_attention){.after_stage = bam},
};

const struct adl_backbone adl_backbone_resnet50_bam = {
    .name = "resnet50_bam",
    .config = &resnet50_bam,
    .is_attention = is_attention,
    ADL_RESNET50_ATTENTION_ROW,
};
