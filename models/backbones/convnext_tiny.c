/* ConvNeXt-T (Liu et al., "A ConvNet for the 2020s", CVPR 2022), with torchvision's names and
 * layouts: features.1.0.block.0.weight, features.1.0.layer_scale, classifier.2.weight. A block is
 *
 *     y = x + layer_scale * W2 gelu(W1 LN(depthwise 7x7(x)))
 *
 * with the exact GELU; layer norms are over the channels of a pixel, and arch.bn_eps is added to
 * their variance. A layer norm stands between the pooling and the linear layer, so that the network
 * ends in a class map (classifier.h).
 *
 * layer_scale begins at 0 in training from scratch (torchvision: 1e-6), and torchvision's
 * stochastic depth is left out.
 *
 * With arch.last_stride 1 the last 2x2 convolution with stride 2 has stride 1, and a row and a
 * column of zeros below and right of its map, so that the pixels that it had are still among its
 * pixels; the map is 14x14 at 224x224 instead of 7x7. The large feature map has the same in the one
 * before. ADL may follow the blocks; by default it follows the first of the last stage but one, and
 * the first and the last of the last stage. */

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "models/backbones/classifier.h"
#include "models/backbones/torchvision.h"
#include "ops/ops.h"

static const struct {
    int channels, blocks;
} stages[] = {{96, 3}, {192, 3}, {384, 9}, {768, 3}};

static const char *const places[] = {"features.1.0",
                                     "features.1.1",
                                     "features.1.2",
                                     "features.3.0",
                                     "features.3.1",
                                     "features.3.2",
                                     "features.5.0",
                                     "features.5.1",
                                     "features.5.2",
                                     "features.5.3",
                                     "features.5.4",
                                     "features.5.5",
                                     "features.5.6",
                                     "features.5.7",
                                     "features.5.8",
                                     "features.7.0",
                                     "features.7.1",
                                     "features.7.2",
                                     NULL};
#define DEFAULT_PLACES (1u << 6 | 1u << 15 | 1u << 17)

#define NAME(part) adl_graph_name(graph, "%s." part, name)

static int norm(struct adl_graph *graph, const struct adl_arch *arch, int x, const char *name)
{
    x = adl_layernorm(graph, x, NAME("norm"), arch->bn_eps);
    return adl_channel_affine(graph, x, name, NAME("weight"), NAME("bias"));
}

static int block(struct adl_graph *graph, const struct adl_arch *arch, int x, int channels,
                 const char *name)
{
    struct adl_conv_attr depthwise = adl_conv_centred(channels, 7, 7, 1);
    const size_t shape[] = {(size_t)channels, 1, 1};
    int y, scale = adl_graph_add_param(graph, NAME("layer_scale"), ADL_PARAM_BN_WEIGHT, 3, shape);

    adl_graph_set_zero(graph, scale);
    depthwise.groups = channels;
    depthwise.bias = true;
    y = adl_conv(graph, x, NAME("block.0"), depthwise);
    y = norm(graph, arch, y, NAME("block.2"));
    y = adl_linear(graph, y, NAME("block.3"), 4 * channels, true);
    y = adl_elementwise(graph, y, NAME("block.4"), &adl_op_gelu, (struct adl_elementwise_attr){0});
    y = adl_linear(graph, y, NAME("block.5"), channels, true);
    y = adl_channel_scale(graph, y, NAME("scaled"), scale);
    return adl_add(graph, y, x, name);
}

/* Appends the layers between two stages; `stride1`: without halving the map. */
static int halve(struct adl_graph *graph, const struct adl_arch *arch, int x, int channels,
                 const char *name, bool stride1)
{
    const struct adl_conv_attr attr = {.k = channels,
                                       .r = 2,
                                       .s = 2,
                                       .stride = stride1 ? 1 : 2,
                                       .pad_bottom = stride1,
                                       .pad_right = stride1,
                                       .groups = 1,
                                       .bias = true};
    x = norm(graph, arch, x, NAME("0"));
    return adl_conv(graph, x, NAME("1"), attr);
}

static void build(struct adl_graph *graph, const struct adl_arch *arch)
{
    const struct adl_classifier_layer classifier[] = {
        {ADL_CLASSIFIER_LAYERNORM, "classifier.0", 0, arch->bn_eps},
        {ADL_CLASSIFIER_LINEAR, "classifier.2", 0, 0}};
    const struct adl_conv_attr patches = {
        .k = stages[0].channels, .r = 4, .s = 4, .stride = 4, .groups = 1, .bias = true};
    struct adl_method_base base = {
        .head_channels = 768, .side_channels = 384, .classifier = "SPG_A4", .xavier = true};
    int x = adl_conv(graph, 0, "features.0.0", patches);

    x = norm(graph, arch, x, "features.0.1");
    for (int stage = 0; stage < (int)ADL_COUNT(stages); stage++) {
        if (stage > 0) {
            bool stride1 =
                (stage == 3 && arch->last_stride == 1) || (stage == 2 && arch->large_feature_map);
            x = halve(graph, arch, x, stages[stage].channels,
                      adl_graph_name(graph, "features.%d", 2 * stage), stride1);
        }
        for (int i = 0; i < stages[stage].blocks; i++) {
            const char *name = adl_graph_name(graph, "features.%d.%d", 2 * stage + 1, i);
            x = base.features = block(graph, arch, x, stages[stage].channels, name);
            if (stage == 2)
                *(i == 0 ? &base.early : &base.late) = x;
            x = adl_torchvision_place(graph, arch, x, name);
        }
    }
    adl_classifier_add(graph, arch, base, x, classifier, ADL_COUNT(classifier));
}

/* The head is the linear layer: the layer norm before it has no output for a class. */
static bool is_head(const char *name)
{
    return strncmp(name, "classifier.2.", 13) == 0 || adl_arch_is_branch(name);
}

/* timm's names: its stages begin with what halves the map. */
static bool timm_name(const char *name, char *out, size_t size)
{
    static const struct adl_timm_part ends[] = {{"features.0.0.", "stem.0."},
                                                {"features.0.1.", "stem.1."},
                                                {"classifier.0.", "head.norm."},
                                                {"classifier.2.", "head.fc."},
                                                {0}};
    static const struct adl_timm_part halving[] = {
        {"0.", "downsample.0."}, {"1.", "downsample.1."}, {0}};
    static const struct adl_timm_part parts[] = {{"block.0.", "conv_dw."}, {"block.2.", "norm."},
                                                 {"block.3.", "mlp.fc1."}, {"block.5.", "mlp.fc2."},
                                                 {"layer_scale", "gamma"}, {0}};
    int number, block, used = 0;
    char start[40];

    if (sscanf(name, "features.%1d.%n", &number, &used) < 1 || used == 0 || number == 0)
        return adl_timm_name(ends, "", name, out, size);
    snprintf(start, sizeof start, "stages.%d.", number / 2);
    if (number % 2 == 0)
        return adl_timm_name(halving, start, name + used, out, size);
    if (sscanf(name, "features.%1d.%2d.%n", &number, &block, &used) < 2)
        return false;
    snprintf(start, sizeof start, "stages.%d.blocks.%d.", number / 2, block);
    return adl_timm_name(parts, start, name + used, out, size);
}

const struct adl_backbone adl_backbone_convnext_tiny = {
    .name = "convnext_tiny",
    .bn_eps = 1e-6,
    .last_stride = 2,
    .has_large_map = true,
    .has_base = true,
    .adl_places = places,
    .adl_default = DEFAULT_PLACES,
    .build = build,
    .is_head = is_head,
    .former_name = timm_name,
};
