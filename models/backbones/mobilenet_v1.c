/* MobileNet-v1 (Howard et al. 2017) for localization: 13 blocks of a depthwise
 * and a pointwise convolution, at any width, with the last stride 1 for 14x14
 * maps. Options cover Google's weights (relu6, TensorFlow's padding, last
 * stride 2) and ports trained in PyTorch. */

#include <string.h>

#include "base/size.h"
#include "models/backbones/backbone.h"

/* Channels at width 1 and stride of each block. */
static const struct {
    int channels, stride;
} blocks[] = {{64, 1},  {128, 2}, {128, 1}, {256, 2}, {256, 1},  {512, 2}, {512, 1},
              {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1}};

enum { TO_14 = 5, TO_7 = 11 }; /* the blocks whose strides are choices */

/* No reference has ADL in this network: as in ResNet-50, after the first block
 * of 14x14, the first of the last width, and the last. */
static const char *const adl_places[] = {
    "blocks.0", "blocks.1", "blocks.2", "blocks.3",  "blocks.4",  "blocks.5",  "blocks.6",
    "blocks.7", "blocks.8", "blocks.9", "blocks.10", "blocks.11", "blocks.12", NULL};
#define ADL_DEFAULT (1u << 5 | 1u << 11 | 1u << 12)

static int scaled(const struct adl_arch *arch, int channels)
{
    int n = (int)(channels * arch->width);
    return ADL_MAX(n, 8);
}

static int stride_of(const struct adl_arch *arch, int block)
{
    if (block == TO_7)
        return arch->last_stride;
    if (block == TO_14 && arch->large_feature_map)
        return 1;
    return blocks[block].stride;
}

/* 3x3, with one group or one group a channel. */
static int conv3x3(struct adl_graph *graph, const struct adl_arch *arch, int x, const char *name,
                   int k, int stride, int groups)
{
    struct adl_conv_attr attr = adl_backbone_conv(k, 3, 3, stride);
    attr.groups = groups;
    attr.tf_same = arch->padding == ADL_PAD_TF_SAME;
    return adl_conv(graph, x, name, attr);
}

static int activate(struct adl_graph *graph, const struct adl_arch *arch, int x, const char *name)
{
    return arch->activation == ADL_ACT_RELU6 ? adl_relu6(graph, x, name) : adl_relu(graph, x, name);
}

static void build(struct adl_graph *graph, const struct adl_arch *arch)
{
    int channels = scaled(arch, 32);
    int x = conv3x3(graph, arch, 0, "conv1", channels, 2, 1);
    x = adl_batchnorm(graph, x, "bn1", arch->bn_eps);
    x = activate(graph, arch, x, "relu");

    int features = x;
    for (int i = 0; i < (int)ADL_COUNT(blocks); i++) {
        int k = scaled(arch, blocks[i].channels);
        x = conv3x3(graph, arch, x, adl_graph_name(graph, "blocks.%d.dw", i), channels,
                    stride_of(arch, i), channels);
        x = adl_batchnorm(graph, x, adl_graph_name(graph, "blocks.%d.dw_bn", i), arch->bn_eps);
        x = activate(graph, arch, x, adl_graph_name(graph, "blocks.%d.dw_relu", i));
        x = adl_conv(graph, x, adl_graph_name(graph, "blocks.%d.pw", i),
                     adl_backbone_conv(k, 1, 1, 1));
        x = adl_batchnorm(graph, x, adl_graph_name(graph, "blocks.%d.pw_bn", i), arch->bn_eps);
        x = features = activate(graph, arch, x, adl_graph_name(graph, "blocks.%d", i));
        if (adl_arch_has_place(arch, adl_places[i]))
            x = adl_adl(graph, x, adl_graph_name(graph, "adl.after_block%d", i));
        channels = k;
    }
    adl_graph_set_output(graph, ADL_OUTPUT_FEATURES, features);

    x = adl_global_avgpool(graph, x, "avgpool");
    x = adl_linear(graph, x, "fc", arch->num_classes, true);
    adl_graph_set_output(graph, ADL_OUTPUT_LOGITS, x);
    adl_graph_set_classifier(graph, adl_graph_find_param(graph, "fc.weight"));
}

/* Not in the reference; the classifier, as for its other networks. */
static bool is_head(const char *name)
{
    return strncmp(name, "fc.", 3) == 0;
}

const struct adl_backbone adl_backbone_mobilenet_v1 = {
    .name = "mobilenet_v1",
    .summary = "MobileNet-v1 at widths from 0.25 to 1",
    .bn_eps = 1e-5,
    .has_options = true,
    .has_large_map = true,
    .adl_places = adl_places,
    .adl_default = ADL_DEFAULT,
    .build = build,
    .is_head = is_head,
};
