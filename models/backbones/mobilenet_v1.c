/* MobileNet-v1 for localization.
 *
 * Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
 * Applications" (2017), table 1: a 3x3 convolution, then 13 blocks of a depthwise 3x3 and a
 * pointwise 1x1 convolution, each followed by batch norm and activation. The width scales the
 * channels of all layers. For localization the last layer that would halve the map has stride
 * 1, so that the last map is 14x14 at 224x224, or 28x28 with stride 1 in block 5 as well.
 *
 * The network is not part of wsolevaluation. The options cover Google's weights (relu6,
 * TensorFlow's asymmetric padding, last stride 2, epsilon 0.001) and networks trained in
 * PyTorch (relu, symmetric padding).
 *
 * Parameter names are this project's: conv1, bn1, then blocks.N.dw, dw_bn, pw and pw_bn, and
 * fc. ADL layers have names of their own, so they do not change the names of the blocks. */

#include <string.h>

#include "base/size.h"
#include "models/backbones/backbone.h"

/* Output channels at width 1, and the stride of the depthwise convolution, of each block. */
static const struct {
    int channels, stride;
} blocks[] = {{64, 1},  {128, 2}, {128, 1}, {256, 2}, {256, 1},  {512, 2}, {512, 1},
              {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1}};

/* The blocks whose strides depend on the architecture, named after the side of the map that
 * they compute with stride 2 at 224x224. */
enum { TO_14 = 5, TO_7 = 11 };

#define STEM_CHANNELS 32

/* The layers that ADL may follow. By default it is placed as in ResNet-50: after the first
 * block with 14x14 maps, the first block with the largest number of channels, and the last
 * block. */
static const char *const adl_places[] = {
    "blocks.0", "blocks.1", "blocks.2", "blocks.3",  "blocks.4",  "blocks.5",  "blocks.6",
    "blocks.7", "blocks.8", "blocks.9", "blocks.10", "blocks.11", "blocks.12", NULL};
#define ADL_DEFAULT (1u << 5 | 1u << 11 | 1u << 12)

/* Returns the channels at the width of the architecture, at least 8. */
static int scaled(const struct adl_arch *arch, int channels)
{
    int n = (int)(channels * arch->width);
    return ADL_MAX(n, 8);
}

static int stride_of(const struct adl_arch *arch, int block)
{
    /* A method whose branches begin at a finer map has maps of sides 28 and 14, as in the published
     * code of Background Activation Suppression. */
    if (adl_arch_has_fine_base(arch))
        return block == TO_14 ? 1 : blocks[block].stride;
    if (block == TO_7)
        return arch->last_stride;
    if (block == TO_14 && arch->large_feature_map)
        return 1;
    return blocks[block].stride;
}

/* Adds a 3x3 convolution, dense (groups = 1) or depthwise (groups = channels). */
static int conv3x3(struct adl_graph *graph, const struct adl_arch *arch, int x, const char *name,
                   int k, int stride, int groups)
{
    struct adl_conv_attr attr = adl_conv_centred(k, 3, 3, stride);
    attr.groups = groups;
    attr.tf_same = arch->padding == ADL_PAD_TF_SAME;
    return adl_conv(graph, x, name, attr);
}

static int activate(struct adl_graph *graph, const struct adl_arch *arch, int x, const char *name)
{
    return arch->activation == ADL_ACT_RELU6 ? adl_relu6(graph, x, name) : adl_relu(graph, x, name);
}

/* Appends a block to the map x. */
static int block(struct adl_graph *graph, const struct adl_arch *arch, int x, int i)
{
    int channels = scaled(arch, i ? blocks[i - 1].channels : STEM_CHANNELS);
    x = conv3x3(graph, arch, x, adl_graph_name(graph, "blocks.%d.dw", i), channels,
                stride_of(arch, i), channels);
    x = adl_batchnorm(graph, x, adl_graph_name(graph, "blocks.%d.dw_bn", i), arch->bn_eps);
    x = activate(graph, arch, x, adl_graph_name(graph, "blocks.%d.dw_relu", i));
    x = adl_conv(graph, x, adl_graph_name(graph, "blocks.%d.pw", i),
                 adl_conv_centred(scaled(arch, blocks[i].channels), 1, 1, 1));
    x = adl_batchnorm(graph, x, adl_graph_name(graph, "blocks.%d.pw_bn", i), arch->bn_eps);
    return activate(graph, arch, x, adl_graph_name(graph, "blocks.%d", i));
}

/* Appends the blocks above the map that a method's branches begin at. */
static int upper(struct adl_graph *graph, const void *context, int x)
{
    for (int i = TO_7; i < (int)ADL_COUNT(blocks); i++)
        x = block(graph, context, x, i);
    return x;
}

static void build(struct adl_graph *graph, const struct adl_arch *arch)
{
    int x = conv3x3(graph, arch, 0, "conv1", scaled(arch, STEM_CHANNELS), 2, 1);
    x = adl_batchnorm(graph, x, "bn1", arch->bn_eps);
    x = activate(graph, arch, x, "relu");

    struct adl_method_base base = {.head_channels = scaled(arch, 1024),
                                   .side_channels = scaled(arch, 512),
                                   .classifier = "SPG_A4",
                                   .xavier = true,
                                   .upper = upper,
                                   .context = arch};
    for (int i = 0; i < (adl_arch_has_fine_base(arch) ? (int)TO_7 : (int)ADL_COUNT(blocks)); i++) {
        x = base.features = block(graph, arch, x, i);
        if (i == TO_14)
            base.early = x;
        if (i == TO_7 - 1)
            base.late = x;
        if (adl_arch_has_place(arch, adl_places[i]))
            x = adl_arch_add_layers(graph, arch, x, adl_graph_name(graph, "after_block%d", i),
                                    NULL);
    }
    adl_arch_add_head(graph, arch, base, x);
}

/* The head is the classifier alone, or the layers that a method puts in its place. */
static bool is_head(const char *name)
{
    return strncmp(name, "fc.", 3) == 0 || adl_arch_is_branch(name);
}

const struct adl_backbone adl_backbone_mobilenet_v1 = {
    .name = "mobilenet_v1",
    .bn_eps = 1e-5,
    .has_options = true,
    .last_stride = 1,
    .has_large_map = true,
    .has_base = true,
    .has_fine_base = true,
    .adl_places = adl_places,
    .head_layers = "blocks.10,blocks.4",
    .adl_default = ADL_DEFAULT,
    .build = build,
    .is_head = is_head,
};
