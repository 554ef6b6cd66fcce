/* EfficientNet-B0 to B4 (Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
 * Networks", ICML 2019, table 1 and equation 3), with torchvision's names and layouts:
 * features.4.0.block.2.fc1.weight, classifier.1.weight. Bi has the channels and the blocks of B0
 * times a factor each; its images have 224, 240, 260, 300 and 380 pixels a side in the paper.
 *
 * torchvision leaves out whole residual branches at random in training (stochastic depth); here
 * they are always there.
 *
 * arch.last_stride and the large feature map are as in mobilenet_v2.c. ADL may follow the first and
 * the last block of each stage, and the depthwise convolution of the first; by default it follows
 * the depthwise convolutions that begin the stages with 14x14 and 7x7 pixels, and the last map. */

#include <math.h>
#include <stdio.h>

#include "base/size.h"
#include "models/backbones/classifier.h"
#include "models/backbones/torchvision.h"
#include "ops/ops.h"

/* Of B0: features.1 to features.7. */
static const struct {
    int expansion, size, stride, channels, blocks;
} stages[] = {{1, 3, 1, 16, 1},  {6, 3, 2, 24, 2},  {6, 5, 2, 40, 2}, {6, 3, 2, 80, 3},
              {6, 5, 1, 112, 3}, {6, 5, 2, 192, 4}, {6, 3, 1, 320, 1}};
enum { TO_14 = 4, TO_7 = 6 }; /* stages, named after the side of their map at 224x224 */

struct kind {
    double width, depth, dropout;
};
static const struct kind b0 = {1.0, 1.0, 0.2}, b1 = {1.0, 1.1, 0.2}, b2 = {1.1, 1.2, 0.3},
                         b3 = {1.2, 1.4, 0.3}, b4 = {1.4, 1.8, 0.4};

static const char *const places[] = {"features.0",
                                     "features.1.0.block.0",
                                     "features.1.0",
                                     "features.2.0.block.1",
                                     "features.2.0",
                                     "features.3.0.block.1",
                                     "features.3.0",
                                     "features.4.0.block.1",
                                     "features.4.0",
                                     "features.5.0.block.1",
                                     "features.5.0",
                                     "features.6.0.block.1",
                                     "features.6.0",
                                     "features.7.0.block.1",
                                     "features.7.0",
                                     "features.8",
                                     NULL};
#define DEFAULT_PLACES (1u << 7 | 1u << 11 | 1u << 15)

static int blocks_of(const struct kind *kind, int stage)
{
    return (int)ceil(stages[stage - 1].blocks * kind->depth);
}

static int append_stage(struct adl_graph *graph, const struct adl_arch *arch, int x, int stage,
                        int *channels, const struct adl_torchvision_style *style)
{
    const struct kind *kind = arch->backbone->config;
    const int stride = stage == TO_7                               ? arch->last_stride
                       : stage == TO_14 && arch->large_feature_map ? 1
                                                                   : stages[stage - 1].stride;

    for (int i = 0; i < blocks_of(kind, stage); i++) {
        const struct adl_inverted block = {
            .name = adl_graph_name(graph, "features.%d.%d", stage, i),
            .part = "block",
            .expanded = *channels * stages[stage - 1].expansion,
            .k = adl_torchvision_channels(stages[stage - 1].channels * kind->width),
            .size = stages[stage - 1].size,
            .stride = i == 0 ? stride : 1,
            .squeezed = ADL_MAX(1, *channels / 4),
            .squeeze_act = &adl_op_silu,
            .squeeze_gate = &adl_op_sigmoid};
        x = adl_torchvision_inverted(graph, arch, x, &block, style);
        *channels = block.k;
    }
    return x;
}

static void build(struct adl_graph *graph, const struct adl_arch *arch)
{
    const struct kind *kind = arch->backbone->config;
    const struct adl_classifier_layer classifier[] = {
        {ADL_CLASSIFIER_DROPOUT, "classifier.0", 0, kind->dropout},
        {ADL_CLASSIFIER_LINEAR, "classifier.1", 0, 0}};
    const struct adl_torchvision_style style = {{.eps = arch->bn_eps}, &adl_op_silu};
    struct adl_method_base base = {
        .head_channels = 1024, .side_channels = 512, .classifier = "SPG_A4", .xavier = true};
    int channels = adl_torchvision_channels(32 * kind->width);
    int x = adl_torchvision_conv(graph, 0, "features.0", adl_conv_centred(channels, 3, 3, 2),
                                 &style, style.act);

    x = adl_torchvision_place(graph, arch, x, "features.0");
    for (int stage = 1; stage <= (int)ADL_COUNT(stages); stage++) {
        x = append_stage(graph, arch, x, stage, &channels, &style);
        if (stage == TO_14)
            base.early = x;
        if (stage == TO_7 - 1)
            base.late = x;
    }
    x = base.features = adl_torchvision_conv(
        graph, x, "features.8", adl_conv_centred(4 * channels, 1, 1, 1), &style, style.act);
    x = adl_torchvision_place(graph, arch, x, "features.8");
    adl_classifier_add(graph, arch, base, x, classifier, ADL_COUNT(classifier));
}

/* timm's names. The blocks of the first stage have no convolution that widens the map. */
static bool timm_name(const char *name, char *out, size_t size)
{
    static const struct adl_timm_part ends[] = {
        {"features.0.0.", "conv_stem."},  {"features.0.1.", "bn1."},
        {"features.8.0.", "conv_head."},  {"features.8.1.", "bn2."},
        {"classifier.1.", "classifier."}, {0}};
    static const struct adl_timm_part narrow[] = {{"0.0.", "conv_dw."},
                                                  {"0.1.", "bn1."},
                                                  {"1.fc1.", "se.conv_reduce."},
                                                  {"1.fc2.", "se.conv_expand."},
                                                  {"2.0.", "conv_pw."},
                                                  {"2.1.", "bn2."},
                                                  {0}};
    static const struct adl_timm_part wide[] = {{"0.0.", "conv_pw."},
                                                {"0.1.", "bn1."},
                                                {"1.0.", "conv_dw."},
                                                {"1.1.", "bn2."},
                                                {"2.fc1.", "se.conv_reduce."},
                                                {"2.fc2.", "se.conv_expand."},
                                                {"3.0.", "conv_pwl."},
                                                {"3.1.", "bn3."},
                                                {0}};
    int stage, block, used = 0;
    char start[40];

    if (sscanf(name, "features.%1d.%2d.block.%n", &stage, &block, &used) < 2 || used == 0)
        return adl_timm_name(ends, "", name, out, size);
    snprintf(start, sizeof start, "blocks.%d.%d.", stage - 1, block);
    return adl_timm_name(stage == 1 ? narrow : wide, start, name + used, out, size);
}

#define ROW(b)                                                                                     \
    const struct adl_backbone adl_backbone_efficientnet_##b = {                                    \
        .name = "efficientnet_" #b,                                                                \
        .config = &b,                                                                              \
        .bn_eps = 1e-5,                                                                            \
        .last_stride = 2,                                                                          \
        .has_large_map = true,                                                                     \
        .has_base = true,                                                                          \
        .adl_places = places,                                                                      \
        .adl_default = DEFAULT_PLACES,                                                             \
        .build = build,                                                                            \
        .is_head = adl_torchvision_is_head,                                                        \
        .former_name = timm_name,                                                                  \
    };
ROW(b0)
ROW(b1)
ROW(b2)
ROW(b3)
ROW(b4)
