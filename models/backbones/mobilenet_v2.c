/* MobileNetV2 (Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
 * table 2), with torchvision's names and layouts: features.7.conv.1.0.weight, classifier.1.weight.
 *
 * With arch.last_stride 1 the map is 14x14 at 224x224 instead of 7x7, and the large feature map has
 * stride 1 in features.7 as well.
 *
 * ADL may follow the blocks, which are linear, and the depthwise convolutions of those that nothing
 * passes around. By default it follows the first value with 14x14 pixels and the first with 7x7
 * among the latter, and the last map: values after an activation, as in the networks of the
 * reference implementation. */

#include <stdio.h>

#include "base/size.h"
#include "models/backbones/classifier.h"
#include "models/backbones/torchvision.h"

/* Expansion, channels and stride of each block, features.1 to features.17. */
static const struct {
    int expansion, channels, stride;
} blocks[] = {{1, 16, 1}, {6, 24, 2},  {6, 24, 1},  {6, 32, 2},  {6, 32, 1}, {6, 32, 1},
              {6, 64, 2}, {6, 64, 1},  {6, 64, 1},  {6, 64, 1},  {6, 96, 1}, {6, 96, 1},
              {6, 96, 1}, {6, 160, 2}, {6, 160, 1}, {6, 160, 1}, {6, 320, 1}};

enum { TO_14 = 7, TO_7 = 14 }; /* blocks, named after the side of their map at 224x224 */

static const char *const places[] = {
    "features.0",         "features.1.conv.0",  "features.1",
    "features.2.conv.1",  "features.2",         "features.3",
    "features.4.conv.1",  "features.4",         "features.5",
    "features.6",         "features.7.conv.1",  "features.7",
    "features.8",         "features.9",         "features.10",
    "features.11.conv.1", "features.11",        "features.12",
    "features.13",        "features.14.conv.1", "features.14",
    "features.15",        "features.16",        "features.17.conv.1",
    "features.17",        "features.18",        NULL};
#define DEFAULT_PLACES (1u << 10 | 1u << 19 | 1u << 25)

static void build(struct adl_graph *graph, const struct adl_arch *arch)
{
    static const struct adl_classifier_layer classifier[] = {
        {ADL_CLASSIFIER_DROPOUT, "classifier.0", 0, 0.2},
        {ADL_CLASSIFIER_LINEAR, "classifier.1", 0, 0}};
    const struct adl_torchvision_style style = {{.eps = arch->bn_eps}, &adl_op_relu6};
    struct adl_method_base base = {
        .head_channels = 1024, .side_channels = 512, .classifier = "SPG_A4", .xavier = true};
    int x = adl_torchvision_conv(graph, 0, "features.0", adl_conv_centred(32, 3, 3, 2), &style,
                                 style.act);
    int channels = 32;

    x = adl_torchvision_place(graph, arch, x, "features.0");
    for (int i = 1; i <= (int)ADL_COUNT(blocks); i++) {
        const char *name = adl_graph_name(graph, "features.%d", i);
        const int stride = i == TO_7                               ? arch->last_stride
                           : i == TO_14 && arch->large_feature_map ? 1
                                                                   : blocks[i - 1].stride;
        const struct adl_inverted block = {.name = name,
                                           .part = "conv",
                                           .expanded = channels * blocks[i - 1].expansion,
                                           .k = channels = blocks[i - 1].channels,
                                           .size = 3,
                                           .stride = stride,
                                           .plain_end = true};
        x = adl_torchvision_inverted(graph, arch, x, &block, &style);
        if (i == TO_14)
            base.early = x;
        if (i == TO_7 - 1)
            base.late = x;
    }
    x = base.features = adl_torchvision_conv(graph, x, "features.18",
                                             adl_conv_centred(1280, 1, 1, 1), &style, style.act);
    x = adl_torchvision_place(graph, arch, x, "features.18");
    adl_classifier_add(graph, arch, base, x, classifier, ADL_COUNT(classifier));
}

/* timm's names, in which blocks with maps of equal channels are counted together. */
static bool timm_name(const char *name, char *out, size_t size)
{
    static const struct adl_timm_part ends[] = {
        {"features.0.0.", "conv_stem."},  {"features.0.1.", "bn1."},
        {"features.18.0.", "conv_head."}, {"features.18.1.", "bn2."},
        {"classifier.1.", "classifier."}, {0}};
    static const struct adl_timm_part first[] = {
        {"0.0.", "conv_dw."}, {"0.1.", "bn1."}, {"1.", "conv_pw."}, {"2.", "bn2."}, {0}};
    static const struct adl_timm_part others[] = {{"0.0.", "conv_pw."},
                                                  {"0.1.", "bn1."},
                                                  {"1.0.", "conv_dw."},
                                                  {"1.1.", "bn2."},
                                                  {"2.", "conv_pwl."},
                                                  {"3.", "bn3."},
                                                  {0}};
    int number, used = 0, stage = 0, block = 0;
    char start[40];

    if (sscanf(name, "features.%2d.conv.%n", &number, &used) < 1 || used == 0)
        return adl_timm_name(ends, "", name, out, size);
    if (number > (int)ADL_COUNT(blocks))
        return false;
    for (int i = 1; i < number; i++) {
        bool same = blocks[i].channels == blocks[i - 1].channels;
        stage += !same;
        block = same ? block + 1 : 0;
    }
    snprintf(start, sizeof start, "blocks.%d.%d.", stage, block);
    return adl_timm_name(number == 1 ? first : others, start, name + used, out, size);
}

const struct adl_backbone adl_backbone_mobilenet_v2 = {
    .name = "mobilenet_v2",
    .bn_eps = 1e-5,
    .last_stride = 2,
    .has_large_map = true,
    .has_base = true,
    .adl_places = places,
    .adl_default = DEFAULT_PLACES,
    .build = build,
    .is_head = adl_torchvision_is_head,
    .former_name = timm_name,
};
