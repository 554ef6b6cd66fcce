/* ResNet-50 for localization, plain and as the base of the networks with attention (resnet50_se.c,
 * resnet50_cbam.c, resnet50_bam.c).
 *
 * He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), table 1, with
 * torchvision's bottleneck blocks (the stride is in the 3x3 convolution, not in the first
 * 1x1). Reference: resnet.py of wsolevaluation, where the last stage has stride 1, so that
 * the last map is 14x14 at 224x224, or 28x28 with stride 1 in layer3 as well.
 *
 * The networks with attention are not part of wsolevaluation. Their strides, map and classifier are
 * those of resnet50 here, where the public code of their papers has 7x7 maps.
 *
 * Parameter names: torchvision's, layer3.1.conv2.weight for stage 3, block 1. In the
 * reference implementation's resnet50 an ADL layer is one more entry of the Sequential that
 * holds the blocks of a stage, and shifts the numbers of the blocks after it, which
 * renumber() undoes. In the networks with attention the ADL layers have names of their own and
 * shift no numbers, so they may follow any block. */

#include <stdio.h>
#include <string.h>

#include "models/backbones/resnet50.h"

#define STAGES 4

static const int block_counts[STAGES] = {3, 4, 6, 3};

/* Returns whether the reference implementation has ADL after a block of a stage, both counted
 * from 0: after blocks layer3.0, layer4.0 and layer4.2, as they are numbered without ADL. */
static bool adl_after(int stage, int block)
{
    return (stage == 2 && block == 0) || (stage == 3 && (block == 0 || block == 2));
}

const char *const adl_resnet50_places[] = {
    "layer1.0", "layer1.1", "layer1.2", "layer2.0", "layer2.1", "layer2.2",
    "layer2.3", "layer3.0", "layer3.1", "layer3.2", "layer3.3", "layer3.4",
    "layer3.5", "layer4.0", "layer4.1", "layer4.2", NULL};

/* A network that is being built; `upper` gets it as its context. */
struct resnet {
    const struct adl_arch *arch;
    const struct adl_resnet50_attention *attention; /* NULL: the plain network */
};

static int conv(struct adl_graph *graph, int x, const char *name, int k, int size, int stride)
{
    return adl_conv(graph, x, name, adl_conv_centred(k, size, size, stride));
}

struct block {
    const char *name;
    int planes; /* channels of the 3x3 convolution; the output has four times as many */
    int stride;
    bool project; /* the shortcut is a 1x1 convolution instead of the identity */
};

static int bottleneck(struct adl_graph *graph, const struct resnet *net, int input,
                      const struct block *b)
{
    const double bn_eps = net->arch->bn_eps;
    int x = input, shortcut = input;
#define NAME(part) adl_graph_name(graph, "%s." part, b->name)
    x = conv(graph, x, NAME("conv1"), b->planes, 1, 1);
    x = adl_batchnorm(graph, x, NAME("bn1"), bn_eps);
    x = adl_relu(graph, x, NAME("relu1"));
    x = conv(graph, x, NAME("conv2"), b->planes, 3, b->stride);
    x = adl_batchnorm(graph, x, NAME("bn2"), bn_eps);
    x = adl_relu(graph, x, NAME("relu2"));
    x = conv(graph, x, NAME("conv3"), 4 * b->planes, 1, 1);
    x = adl_batchnorm(graph, x, NAME("bn3"), bn_eps);
    if (net->attention && net->attention->in_block)
        x = net->attention->in_block(graph, x, b->name, bn_eps);
    if (b->project) {
        shortcut = conv(graph, input, NAME("downsample.0"), 4 * b->planes, 1, b->stride);
        shortcut = adl_batchnorm(graph, shortcut, NAME("downsample.1"), bn_eps);
    }
    x = adl_add(graph, x, shortcut, NAME("add"));
#undef NAME
    return adl_relu(graph, x, b->name);
}

/* Writes the name of block i of a stage, both from 0: layerS.NUMBER, or with named stages SPG_A1.0
 * for the first of layer3 and SPG_A2.0, SPG_A2.1 ... for the others. */
static void block_name(const struct adl_arch *arch, int stage, int i, int number, char *out,
                       size_t size)
{
    if (stage == 2 && adl_arch_has_named_stages(arch))
        snprintf(out, size, i == 0 ? "SPG_A1.%d" : "SPG_A2.%d", i == 0 ? 0 : i - 1);
    else
        snprintf(out, size, "layer%d.%d", stage + 1, number);
}

/* Appends block i of a stage, from 0, which is called layerS.NUMBER unless stages are named. */
static int stage_block(struct adl_graph *graph, const struct resnet *net, int x, int stage, int i,
                       int number)
{
    const struct adl_arch *arch = net->arch;
    /* A method whose branches begin at a finer map begins with layer3 at 28x28. */
    const bool large = arch->large_feature_map || adl_arch_has_fine_base(arch);
    char name[32];

    block_name(arch, stage, i, number, name, sizeof name);
    const int strides[STAGES] = {1, 2, large ? 1 : 2, 1};
    struct block block = {
        .name = name,
        .planes = 64 << stage,
        .stride = i == 0 ? strides[stage] : 1,
        .project = i == 0,
    };
    return bottleneck(graph, net, x, &block);
}

/* Appends what is above layer3 for a method's branches: as in the published code of Background
 * Activation Suppression, a maximum over 2x2 pixels takes the place of the stride of layer3. */
static int upper(struct adl_graph *graph, const void *context, int x)
{
    x = adl_maxpool(graph, x, "maxpool2", (struct adl_pool_attr){.size = 2, .stride = 2});
    for (int i = 0; i < block_counts[STAGES - 1]; i++)
        x = stage_block(graph, context, x, STAGES - 1, i, i);
    return x;
}

void adl_resnet50_build(struct adl_graph *graph, const struct adl_arch *arch,
                        const struct adl_resnet50_attention *attention)
{
    const struct resnet net = {arch, attention};
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
        for (int i = 0; i < block_counts[stage]; i++) {
            const char *name = adl_graph_name(graph, "layer%d.%d", stage + 1, number);
            x = base.features = stage_block(graph, &net, x, stage, i, number++);
            if (stage == 2)
                *(i == 0 ? &base.early : &base.late) = x;
            if (attention ? adl_arch_has_place(arch, name)
                          : adl_arch_has_layers(arch) && adl_after(stage, i)) {
                const char *place = adl_graph_name(graph, "after_layer%d_%d", stage + 1, i);
                const char *entry = adl_graph_name(graph, "layer%d.%d", stage + 1, number);
                x = adl_arch_add_layers(graph, arch, x, place, attention ? NULL : entry);
                number += !attention && adl_arch_in_sequence(arch);
            }
        }
        if (attention && attention->after_stage && stage < STAGES - 1)
            x = base.features = attention->after_stage(graph, x, stage + 1, arch->bn_eps);
    }
    adl_arch_add_head(graph, arch, base, x);
}

static void build(struct adl_graph *graph, const struct adl_arch *arch)
{
    adl_resnet50_build(graph, arch, NULL);
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
        for (*block = 0; *block < block_counts[*stage]; ++*block) {
            char text[32];
            block_name(arch, *stage, *block, *block + (shifts(arch) && *block > 0), text,
                       sizeof text);
            size_t length = strlen(text);
            if (strncmp(name, text, length) == 0 && name[length] == '.')
                return name + length;
        }
    return NULL;
}

bool adl_resnet50_renumber(const struct adl_arch *from, const struct adl_arch *to, const char *name,
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

int adl_resnet50_channels(const struct adl_graph *graph, int x)
{
    return x < 0 ? ADL_RESNET50_REDUCTION : adl_graph_value(graph, x)->shape.c;
}

int adl_resnet50_mlp(struct adl_graph *graph, int v, int channels, const char *first,
                     const char *relu, const char *second)
{
    v = adl_linear(graph, v, first, channels / ADL_RESNET50_REDUCTION, true);
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

const struct adl_backbone adl_backbone_resnet50 = {
    .name = "resnet50",
    .build = build,
    ADL_RESNET50_ROW,
};
