/* MobileNetV3, large and small (Howard et al., "Searching for MobileNetV3", ICCV 2019, tables 1 and
 * 2), with torchvision's names and layouts: features.4.block.2.fc1.weight, classifier.3.weight.
 *
 * The classifier has two linear layers with hard-swish between them, so that no row of weights
 * belongs to a class alone: the network ends in a class map (classifier.h). Batch norms add 0.001
 * to the variance, and a batch has a weight of 0.01 in their running statistics, as in torchvision.
 *
 * arch.last_stride, the large feature map and the places of ADL are as in mobilenet_v2.c. */

#include <string.h>

#include "base/size.h"
#include "models/backbones/classifier.h"
#include "models/backbones/torchvision.h"
#include "ops/ops.h"

struct row {
    int size, expanded, channels;
    bool squeeze, swish; /* swish: hard-swish instead of ReLU */
    int stride;
};

struct kind {
    const struct row *rows; /* features.1 on */
    int count;
    int to_14, to_7; /* blocks, named after the side of their map at 224x224 */
    int hidden;      /* channels between the linear layers */
    const char *last;
};

static const struct row large_rows[] = {
    {3, 16, 16, false, false, 1}, {3, 64, 24, false, false, 2}, {3, 72, 24, false, false, 1},
    {5, 72, 40, true, false, 2},  {5, 120, 40, true, false, 1}, {5, 120, 40, true, false, 1},
    {3, 240, 80, false, true, 2}, {3, 200, 80, false, true, 1}, {3, 184, 80, false, true, 1},
    {3, 184, 80, false, true, 1}, {3, 480, 112, true, true, 1}, {3, 672, 112, true, true, 1},
    {5, 672, 160, true, true, 2}, {5, 960, 160, true, true, 1}, {5, 960, 160, true, true, 1}};
static const struct row small_rows[] = {
    {3, 16, 16, true, false, 2}, {3, 72, 24, false, false, 2}, {3, 88, 24, false, false, 1},
    {5, 96, 40, true, true, 2},  {5, 240, 40, true, true, 1},  {5, 240, 40, true, true, 1},
    {5, 120, 48, true, true, 1}, {5, 144, 48, true, true, 1},  {5, 288, 96, true, true, 2},
    {5, 576, 96, true, true, 1}, {5, 576, 96, true, true, 1}};
static const struct kind large = {large_rows, ADL_COUNT(large_rows), 7, 13, 1280, "features.16"};
static const struct kind small = {small_rows, ADL_COUNT(small_rows), 4, 9, 1024, "features.12"};

static const char *const large_places[] = {
    "features.0",         "features.1",  "features.2.block.1",
    "features.2",         "features.3",  "features.4.block.1",
    "features.4",         "features.5",  "features.6",
    "features.7.block.1", "features.7",  "features.8",
    "features.9",         "features.10", "features.11.block.1",
    "features.11",        "features.12", "features.13.block.1",
    "features.13",        "features.14", "features.15",
    "features.16",        NULL};
#define LARGE_DEFAULT (1u << 9 | 1u << 17 | 1u << 21)
static const char *const small_places[] = {"features.0",
                                           "features.1.block.0",
                                           "features.1",
                                           "features.2.block.1",
                                           "features.2",
                                           "features.3",
                                           "features.4.block.1",
                                           "features.4",
                                           "features.5",
                                           "features.6",
                                           "features.7.block.1",
                                           "features.7",
                                           "features.8",
                                           "features.9.block.1",
                                           "features.9",
                                           "features.10",
                                           "features.11",
                                           "features.12",
                                           NULL};
#define SMALL_DEFAULT (1u << 6 | 1u << 13 | 1u << 17)

static int append_block(struct adl_graph *graph, const struct adl_arch *arch, int x, int i,
                        const struct adl_torchvision_style *style)
{
    const struct kind *kind = arch->backbone->config;
    const struct row *row = &kind->rows[i - 1];
    const struct adl_torchvision_style own = {style->norm,
                                              row->swish ? &adl_op_hard_swish : &adl_op_relu};
    const struct adl_inverted block = {
        .name = adl_graph_name(graph, "features.%d", i),
        .part = "block",
        .expanded = row->expanded,
        .k = row->channels,
        .size = row->size,
        .stride = i == kind->to_7                               ? arch->last_stride
                  : i == kind->to_14 && arch->large_feature_map ? 1
                                                                : row->stride,
        .squeezed = row->squeeze ? adl_torchvision_channels(row->expanded / 4) : 0,
        .squeeze_act = &adl_op_relu,
        .squeeze_gate = &adl_op_hard_sigmoid};

    return adl_torchvision_inverted(graph, arch, x, &block, &own);
}

static void build(struct adl_graph *graph, const struct adl_arch *arch)
{
    const struct kind *kind = arch->backbone->config;
    const struct adl_classifier_layer classifier[] = {
        {ADL_CLASSIFIER_LINEAR, "classifier.0", kind->hidden, 0},
        {ADL_CLASSIFIER_HARD_SWISH, "classifier.1", 0, 0},
        {ADL_CLASSIFIER_DROPOUT, "classifier.2", 0, 0.2},
        {ADL_CLASSIFIER_LINEAR, "classifier.3", 0, 0}};
    const struct adl_torchvision_style style = {{.eps = arch->bn_eps, .momentum = 0.01},
                                                &adl_op_hard_swish};
    struct adl_method_base base = {
        .head_channels = 1024, .side_channels = 512, .classifier = "SPG_A4", .xavier = true};
    int x = adl_torchvision_conv(graph, 0, "features.0", adl_conv_centred(16, 3, 3, 2), &style,
                                 style.act);

    x = adl_torchvision_place(graph, arch, x, "features.0");
    for (int i = 1; i <= kind->count; i++) {
        x = append_block(graph, arch, x, i, &style);
        if (i == kind->to_14)
            base.early = x;
        if (i == kind->to_7 - 1)
            base.late = x;
    }
    struct adl_conv_attr end = adl_conv_centred(6 * kind->rows[kind->count - 1].channels, 1, 1, 1);
    x = base.features = adl_torchvision_conv(graph, x, kind->last, end, &style, style.act);
    x = adl_torchvision_place(graph, arch, x, kind->last);
    adl_classifier_add(graph, arch, base, x, classifier, ADL_COUNT(classifier));
}

/* The head is the last layer: the one before it has no output for a class. */
static bool is_head(const char *name)
{
    return strncmp(name, "classifier.3.", 13) == 0 || adl_arch_is_branch(name);
}

#define ROW                                                                                        \
    .bn_eps = 1e-3, .last_stride = 2, .has_large_map = true, .has_base = true, .build = build,     \
    .is_head = is_head

const struct adl_backbone adl_backbone_mobilenet_v3_large = {
    .name = "mobilenet_v3_large",
    .config = &large,
    .adl_places = large_places,
    .adl_default = LARGE_DEFAULT,
    ROW,
};
const struct adl_backbone adl_backbone_mobilenet_v3_small = {
    .name = "mobilenet_v3_small",
    .config = &small,
    .adl_places = small_places,
    .adl_default = SMALL_DEFAULT,
    ROW,
};
