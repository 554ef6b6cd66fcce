/* Residual networks for localization: ResNet-18, 34, 50, 101 and 152, ResNeXt-50, and as the base
 * of those with attention (resnet_se.c, resnet50_cbam.c, resnet50_bam.c).
 *
 * He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), table 1, with
 * torchvision's bottleneck blocks (the stride is in the 3x3 convolution, not in the first
 * 1x1); ResNeXt-50 (Xie et al., "Aggregated Residual Transformations for Deep Neural Networks",
 * CVPR 2017) has 32 groups in the 3x3 convolution, of 4 channels each in the first stage.
 *
 * resnet50 and its family with attention are those of wsolevaluation (resnet.py), where the last
 * stage has stride 1, so that the last map is 14x14 at 224x224, or 28x28 with stride 1 in layer3 as
 * well. The networks with attention are not part of wsolevaluation. Their strides, map and
 * classifier are those of resnet50 here, where the public code of their papers has 7x7 maps. The
 * other networks have the strides of torchvision, and 7x7 maps, unless arch.last_stride is 1:
 * weights that were trained with a stride of 2 give these scores.
 *
 * Parameter names: torchvision's, layer3.1.conv2.weight for stage 3, block 1. In the
 * reference implementation's resnet50 an ADL layer is one more entry of the Sequential that
 * holds the blocks of a stage, and shifts the numbers of the blocks after it, which
 * renumber() undoes. In the other networks the ADL layers have names of their own and
 * shift no numbers, so they may follow any block. */

#include <stdio.h>
#include <string.h>

#include "models/backbones/resnet.h"

#define STAGES ADL_RESNET_STAGES

#define COUNTS_18                                                                                  \
    {                                                                                              \
        2, 2, 2, 2                                                                                 \
    }
#define COUNTS_34                                                                                  \
    {                                                                                              \
        3, 4, 6, 3                                                                                 \
    }

static const struct adl_resnet resnet50 = {.blocks = COUNTS_34};

/* Returns whether the reference implementation has ADL after a block of a stage, both counted
 * from 0: after blocks layer3.0, layer4.0 and layer4.2, as they are numbered without ADL. */
static bool adl_after(int stage, int block)
{
    return (stage == 2 && block == 0) || (stage == 3 && (block == 0 || block == 2));
}

#define BLOCK(stage, i) "layer" #stage "." #i
#define BLOCKS_2(s) BLOCK(s, 0), BLOCK(s, 1)
#define BLOCKS_3(s) BLOCKS_2(s), BLOCK(s, 2)
#define BLOCKS_4(s) BLOCKS_3(s), BLOCK(s, 3)
#define BLOCKS_6(s) BLOCKS_4(s), BLOCK(s, 4), BLOCK(s, 5)
#define BLOCKS_6_TO_9(s) BLOCK(s, 6), BLOCK(s, 7), BLOCK(s, 8), BLOCK(s, 9)
#define BLOCKS_10_TO_22(s)                                                                         \
    BLOCK(s, 10), BLOCK(s, 11), BLOCK(s, 12), BLOCK(s, 13), BLOCK(s, 14), BLOCK(s, 15),            \
        BLOCK(s, 16), BLOCK(s, 17), BLOCK(s, 18), BLOCK(s, 19), BLOCK(s, 20), BLOCK(s, 21),        \
        BLOCK(s, 22)
#define BLOCKS_23_TO_35(s)                                                                         \
    BLOCK(s, 23), BLOCK(s, 24), BLOCK(s, 25), BLOCK(s, 26), BLOCK(s, 27), BLOCK(s, 28),            \
        BLOCK(s, 29), BLOCK(s, 30), BLOCK(s, 31), BLOCK(s, 32), BLOCK(s, 33), BLOCK(s, 34),        \
        BLOCK(s, 35)

const char *const adl_resnet_places_8[] = {BLOCKS_2(1), BLOCKS_2(2), BLOCKS_2(3), BLOCKS_2(4),
                                           NULL};
const char *const adl_resnet_places_16[] = {BLOCKS_3(1), BLOCKS_4(2), BLOCKS_6(3), BLOCKS_3(4),
                                            NULL};
/* All but layer1.0. */
const char *const adl_resnet_places_33[] = {
    BLOCK(1, 1),      BLOCK(1, 2),        BLOCKS_4(2), BLOCKS_6(3),
    BLOCKS_6_TO_9(3), BLOCKS_10_TO_22(3), BLOCKS_3(4), NULL};
/* The ends of layer1 and layer2, the first block of layer3 and all from layer3.10 on. */
const char *const adl_resnet_places_50[] = {
    BLOCK(1, 2),        BLOCK(2, 7), BLOCK(3, 0), BLOCKS_10_TO_22(3),
    BLOCKS_23_TO_35(3), BLOCKS_3(4), NULL};

/* A network that is being built; `upper` gets it as its context. */
struct net {
    const struct adl_arch *arch;
    const struct adl_resnet *kind;
};

static int conv(struct adl_graph *graph, int x, const char *name, int k, int size, int stride)
{
    return adl_conv(graph, x, name, adl_conv_centred(k, size, size, stride));
}

struct block {
    const char *name;
    int planes; /* 64 in the first stage, and twice as many in each further one */
    int stride;
    bool first; /* of its stage */
};

#define NAME(part) adl_graph_name(graph, "%s." part, b->name)

/* The convolutions of a block up to the addition of the shortcut. */
static int residual(struct adl_graph *graph, const struct net *net, int x, const struct block *b)
{
    const struct adl_resnet *kind = net->kind;
    const double bn_eps = net->arch->bn_eps;

    if (kind->basic) {
        x = conv(graph, x, NAME("conv1"), b->planes, 3, b->stride);
        x = adl_batchnorm(graph, x, NAME("bn1"), bn_eps);
        x = adl_relu(graph, x, NAME("relu1"));
        x = conv(graph, x, NAME("conv2"), b->planes, 3, 1);
        return adl_batchnorm(graph, x, NAME("bn2"), bn_eps);
    }
    int groups = kind->groups ? kind->groups : 1;
    int width = kind->width ? b->planes / 64 * kind->width : b->planes;
    struct adl_conv_attr middle = adl_conv_centred(width, 3, 3, b->stride);
    middle.groups = groups;
    x = conv(graph, x, NAME("conv1"), width, 1, 1);
    x = adl_batchnorm(graph, x, NAME("bn1"), bn_eps);
    x = adl_relu(graph, x, NAME("relu1"));
    x = adl_conv(graph, x, NAME("conv2"), middle);
    x = adl_batchnorm(graph, x, NAME("bn2"), bn_eps);
    x = adl_relu(graph, x, NAME("relu2"));
    x = conv(graph, x, NAME("conv3"), 4 * b->planes, 1, 1);
    return adl_batchnorm(graph, x, NAME("bn3"), bn_eps);
}

static int append_block(struct adl_graph *graph, const struct net *net, int input,
                        const struct block *b)
{
    const struct adl_resnet_attention *attention = net->kind->attention;
    const double bn_eps = net->arch->bn_eps;
    int channels = net->kind->basic ? b->planes : 4 * b->planes, shortcut = input;
    int x = residual(graph, net, input, b);

    if (attention && attention->in_block)
        x = attention->in_block(graph, x, b->name, bn_eps);
    /* The shortcut is a 1x1 convolution where the shape changes. */
    if (b->first && adl_resnet_channels(graph, input) != channels) {
        shortcut = conv(graph, input, NAME("downsample.0"), channels, 1, b->stride);
        shortcut = adl_batchnorm(graph, shortcut, NAME("downsample.1"), bn_eps);
    }
    x = adl_add(graph, x, shortcut, NAME("add"));
    return adl_relu(graph, x, b->name);
}
#undef NAME

/* Writes the name of block i of a stage, both from 0: layerS.NUMBER, or with named stages SPG_A1.0
 * for the first of layer3 and SPG_A2.0, SPG_A2.1 ... for the others. */
static void block_name(const struct adl_arch *arch, int stage, int i, int number, char *out,
                       size_t size)
{
    if (stage == 2 && arch->backbone->renumber && adl_arch_has_named_stages(arch))
        snprintf(out, size, i == 0 ? "SPG_A1.%d" : "SPG_A2.%d", i == 0 ? 0 : i - 1);
    else
        snprintf(out, size, "layer%d.%d", stage + 1, number);
}

/* Appends block i of a stage, from 0, which is called layerS.NUMBER unless stages are named. */
static int stage_block(struct adl_graph *graph, const struct net *net, int x, int stage, int i,
                       int number)
{
    const struct adl_arch *arch = net->arch;
    /* A method whose branches begin at a finer map begins with layer3 at 28x28. */
    const bool large = arch->large_feature_map || adl_arch_has_fine_base(arch);
    char name[32];

    block_name(arch, stage, i, number, name, sizeof name);
    /* Such a method has stride 1 in layer4. */
    const int last = adl_arch_has_fine_base(arch) ? 1 : arch->last_stride;
    const int strides[STAGES] = {1, 2, large ? 1 : 2, last};
    struct block block = {
        .name = name,
        .planes = 64 << stage,
        .stride = i == 0 ? strides[stage] : 1,
        .first = i == 0,
    };
    return append_block(graph, net, x, &block);
}

/* Appends what is above layer3 for a method's branches: as in the published code of Background
 * Activation Suppression, a maximum over 2x2 pixels takes the place of the stride of layer3. */
static int upper(struct adl_graph *graph, const void *context, int x)
{
    const struct net *net = context;

    x = adl_maxpool(graph, x, "maxpool2", (struct adl_pool_attr){.size = 2, .stride = 2});
    for (int i = 0; i < net->kind->blocks[STAGES - 1]; i++)
        x = stage_block(graph, net, x, STAGES - 1, i, i);
    return x;
}

void adl_resnet_build(struct adl_graph *graph, const struct adl_arch *arch)
{
    const struct adl_resnet *kind = arch->backbone->config;
    const struct adl_resnet_attention *attention = kind->attention;
    const struct net net = {arch, kind};
    const bool placed = arch->backbone->adl_places != NULL;
    int x = conv(graph, 0, "conv1", 64, 7, 2);
    x = adl_batchnorm(graph, x, "bn1", arch->bn_eps);
    x = adl_relu(graph, x, "relu");
    x = adl_maxpool(graph, x, "maxpool", (struct adl_pool_attr){.size = 3, .stride = 2, .pad = 1});

    struct adl_method_base base = {.head_channels = 1024,
                                   .side_channels = 1024,
                                   .classifier = "SPG_A4",
                                   /* Other branches start by the rule of He et al. */
                                   .xavier = adl_arch_has_named_stages(arch),
                                   .upper = upper,
                                   .context = &net};
    for (int stage = 0; stage < (adl_arch_has_fine_base(arch) ? STAGES - 1 : STAGES); stage++) {
        int number = 0;
        for (int i = 0; i < kind->blocks[stage]; i++) {
            const char *name = adl_graph_name(graph, "layer%d.%d", stage + 1, number);
            x = base.features = stage_block(graph, &net, x, stage, i, number++);
            if (stage == 2)
                *(i == 0 ? &base.early : &base.late) = x;
            if (placed ? adl_arch_has_place(arch, name)
                       : adl_arch_has_layers(arch) && adl_after(stage, i)) {
                const char *place = adl_graph_name(graph, "after_layer%d_%d", stage + 1, i);
                const char *entry = adl_graph_name(graph, "layer%d.%d", stage + 1, number);
                x = adl_arch_add_layers(graph, arch, x, place, placed ? NULL : entry);
                number += !placed && adl_arch_in_sequence(arch);
            }
        }
        if (attention && attention->after_stage && stage < STAGES - 1)
            x = base.features = attention->after_stage(graph, x, stage + 1, arch->bn_eps);
    }
    adl_arch_add_head(graph, arch, base, x);
}

/* Returns whether a layer of a method is an entry of the Sequential that holds the blocks. */
static bool shifts(const struct adl_arch *arch)
{
    return !arch->backbone->adl_places && adl_arch_in_sequence(arch);
}

/* Finds the block of layer3 or layer4 that a parameter belongs to; returns what follows its name,
 * or NULL. With ADL, entry 1 of layer3 and entries 1 and 4 of layer4 are ADL layers. Entry 4 is the
 * last of its stage, so in both stages exactly the blocks from 1 on move, by one. */
static const char *find_block(const struct adl_arch *arch, const char *name, int *stage, int *block)
{
    for (*stage = 2; *stage < STAGES; ++*stage)
        for (*block = 0; *block < resnet50.blocks[*stage]; ++*block) {
            char text[32];
            block_name(arch, *stage, *block, *block + (shifts(arch) && *block > 0), text,
                       sizeof text);
            size_t length = strlen(text);
            if (strncmp(name, text, length) == 0 && name[length] == '.')
                return name + length;
        }
    return NULL;
}

bool adl_resnet_renumber(const struct adl_arch *from, const struct adl_arch *to, const char *name,
                         char *out, size_t size)
{
    int stage, block;
    char moved[32];
    const char *rest = find_block(from, name, &stage, &block);
    if (!rest)
        return false;
    block_name(to, stage, block, block + (shifts(to) && block > 0), moved, sizeof moved);
    snprintf(out, size, "%s%s", moved, rest);
    return strcmp(out, name) != 0;
}

int adl_resnet_channels(const struct adl_graph *graph, int x)
{
    return x < 0 ? ADL_RESNET_REDUCTION : adl_graph_value(graph, x)->shape.c;
}

int adl_resnet_mlp(struct adl_graph *graph, int v, int channels, const char *first,
                   const char *relu, const char *second)
{
    v = adl_linear(graph, v, first, channels / ADL_RESNET_REDUCTION, true);
    v = adl_relu(graph, v, relu);
    return adl_linear(graph, v, second, channels, true);
}

/* The reference implementation leaves the branches that it knows at the base rate: classifier_A and
 * classifier_B, and all that is called SPG_. */
bool adl_resnet50_is_head(const char *name)
{
    return strstr(name, "layer4.") || strstr(name, "fc.") ||
           (strncmp(name, "classifier_", 11) == 0 && name[11] != 'A' && name[11] != 'B');
}

/* The head of the others is the classifier alone, or what a method puts in its place. */
bool adl_resnet_is_head(const char *name)
{
    return strncmp(name, "fc.", 3) == 0 || adl_arch_is_branch(name);
}

static const struct adl_resnet resnet18 = {.blocks = COUNTS_18, .basic = true};
static const struct adl_resnet resnet34 = {.blocks = COUNTS_34, .basic = true};
static const struct adl_resnet resnet101 = {.blocks = {3, 4, 23, 3}};
static const struct adl_resnet resnet152 = {.blocks = {3, 8, 36, 3}};
static const struct adl_resnet resnext50 = {.blocks = COUNTS_34, .groups = 32, .width = 128};

const struct adl_backbone adl_backbone_resnet50 = {
    .name = "resnet50",
    .config = &resnet50,
    ADL_RESNET50_ROW,
};
const struct adl_backbone adl_backbone_resnet18 = {
    .name = "resnet18",
    .config = &resnet18,
    ADL_RESNET_8_ROW,
};
const struct adl_backbone adl_backbone_resnet34 = {
    .name = "resnet34",
    .config = &resnet34,
    ADL_RESNET_16_ROW,
};
const struct adl_backbone adl_backbone_resnet101 = {
    .name = "resnet101",
    .config = &resnet101,
    ADL_RESNET_33_ROW,
};
const struct adl_backbone adl_backbone_resnet152 = {
    .name = "resnet152",
    .config = &resnet152,
    ADL_RESNET_50_ROW,
};
const struct adl_backbone adl_backbone_resnext50_32x4d = {
    .name = "resnext50_32x4d",
    .config = &resnext50,
    ADL_RESNET_16_ROW,
};
