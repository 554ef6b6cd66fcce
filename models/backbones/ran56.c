/* The residual attention network Attention-56 for localization.
 *
 * Wang et al., "Residual Attention Network for Image Classification" (CVPR 2017), with residual
 * units that begin with batch norm and ReLU (He et al., "Identity Mappings in Deep Residual
 * Networks", 2016) and three attention modules. A module computes
 *
 *     y = last((1 + M(u)) * T(u)),   u = first(x)
 *
 * where T, the trunk, is two residual units, and M, the mask, is as large as T(u): u is halved one
 * to three times by max-pooling, with residual units between, enlarged as often, with shortcuts
 * between maps of the same size, and put through two 1x1 convolutions and a sigmoid.
 *
 * Names and structure are those of a public PyTorch implementation
 * (tengshaofeng/ResidualAttentionNetwork-pytorch, ResidualAttentionModel_56), which adds to each
 * enlarged map both the map of that size on the way down and its own residual unit (skip...), and
 * to the largest the trunk's output. There every residual unit has a projection conv4, but only
 * those that change channels or stride use it; ours has no others, and conv4.weight of those that
 * have none is left out when a file is read (is_unused). By analogy with wsolevaluation's resnet50,
 * residual_block4 has stride 1 instead of 2, so that the map is 14x14 at 224x224, or 28x28 with
 * stride 1 in residual_block3 as well; the pooling is global; and ADL follows, by default, the
 * blocks whose counterparts it follows there: the high layers, as its authors advise. */

#include <string.h>

#include "models/backbones/backbone.h"

#define STAGES 3

static const char *const places[] = {"residual_block1",
                                     "attention_module1",
                                     "residual_block2",
                                     "attention_module2",
                                     "residual_block3",
                                     "attention_module3",
                                     "residual_block4",
                                     "residual_block5",
                                     "residual_block6",
                                     "mpool2",
                                     NULL};
#define DEFAULT_PLACES (1u << 4 | 1u << 6 | 1u << 9)

static int conv(struct adl_graph *graph, int x, const char *name, int k, int size, int stride)
{
    return adl_conv(graph, x, name, adl_conv_centred(k, size, size, stride));
}

/* Appends batch norm and ReLU, numbered or named as the caller says. */
static int norm_relu(struct adl_graph *graph, int x, const char *norm, const char *relu, double eps)
{
    return adl_relu(graph, adl_batchnorm(graph, x, norm, eps), relu);
}

#define NAME(part) adl_graph_name(graph, "%s." part, name)

/* Appends a residual unit to k channels; its value is called `value`. */
static int unit(struct adl_graph *graph, const struct adl_arch *arch, int x, const char *name,
                const char *value, int k, int stride)
{
    bool project = stride != 1 || x < 0 || adl_graph_value(graph, x)->shape.c != k;
    int first = norm_relu(graph, x, NAME("bn1"), NAME("relu1"), arch->bn_eps);
    int y = conv(graph, first, NAME("conv1"), k / 4, 1, 1);
    y = norm_relu(graph, y, NAME("bn2"), NAME("relu2"), arch->bn_eps);
    y = conv(graph, y, NAME("conv2"), k / 4, 3, stride);
    y = norm_relu(graph, y, NAME("bn3"), NAME("relu3"), arch->bn_eps);
    y = conv(graph, y, NAME("conv3"), k, 1, 1);
    if (project)
        x = conv(graph, first, NAME("conv4"), k, 1, stride);
    return adl_add(graph, y, x, value);
}

/* Appends a residual unit that keeps the shape. */
static int same(struct adl_graph *graph, const struct adl_arch *arch, int x, const char *name)
{
    return unit(graph, arch, x, name, name, x < 0 ? 4 : adl_graph_value(graph, x)->shape.c, 1);
}

static int two(struct adl_graph *graph, const struct adl_arch *arch, int x, const char *name)
{
    return same(graph, arch, same(graph, arch, x, NAME("0")), NAME("1"));
}

/* Appends the layers that end a mask: two 1x1 convolutions, each behind batch norm and ReLU, and
 * the sigmoid. */
static int mask_end(struct adl_graph *graph, const struct adl_arch *arch, int x, const char *name)
{
    int k = x < 0 ? 1 : adl_graph_value(graph, x)->shape.c;
    x = norm_relu(graph, x, NAME("0"), NAME("1"), arch->bn_eps);
    x = conv(graph, x, NAME("2"), k, 1, 1);
    x = norm_relu(graph, x, NAME("3"), NAME("4"), arch->bn_eps);
    x = conv(graph, x, NAME("5"), k, 1, 1);
    return adl_sigmoid(graph, x, NAME("6"));
}

/* Appends the mask of u, as large as `trunk`, in which u is halved `depth` times. The blocks are
 * numbered softmax1 to softmax<2 depth> on the way down and up. */
static int mask(struct adl_graph *graph, const struct adl_arch *arch, int u, int trunk,
                const char *name, int depth)
{
    int down[STAGES], skip[STAGES], x = u;
#define NUMBERED(part, i) adl_graph_name(graph, "%s." part, name, i)
    for (int i = 0; i < depth; i++) {
        const char *block = NUMBERED("softmax%d_blocks", i + 1);
        x = adl_maxpool(graph, x, NUMBERED("mpool%d", i + 1),
                        (struct adl_pool_attr){.size = 3, .stride = 2, .pad = 1});
        x = i + 1 < depth ? same(graph, arch, x, block) : two(graph, arch, x, block);
        down[i] = x;
        if (i + 1 < depth)
            skip[i] = same(graph, arch, x, NUMBERED("skip%d_connection_residual_block", i + 1));
    }
    for (int i = depth - 2; i >= 0; i--) {
        x = adl_upsample(graph, x, down[i], NUMBERED("interpolation%d", i + 2));
        x = adl_add(graph, x, down[i], NUMBERED("add%d", i + 2));
        x = adl_add(graph, x, skip[i], NUMBERED("add_skip%d", i + 2));
        x = same(graph, arch, x, NUMBERED("softmax%d_blocks", 2 * depth - 1 - i));
    }
    x = adl_upsample(graph, x, trunk, NAME("interpolation1"));
    x = adl_add(graph, x, trunk, NAME("add1"));
    return mask_end(graph, arch, x, NUMBERED("softmax%d_blocks", 2 * depth));
#undef NUMBERED
}

static int attention(struct adl_graph *graph, const struct adl_arch *arch, int x, const char *name,
                     int depth)
{
    int u = same(graph, arch, x, NAME("first_residual_blocks"));
    int trunk = two(graph, arch, u, NAME("trunk_branches"));
    int weights = mask(graph, arch, u, trunk, name, depth);
    x = adl_gate(graph, trunk, weights, NAME("weighted"), true);
    return unit(graph, arch, x, NAME("last_blocks"), name, 256 << (STAGES - depth), 1);
}

#undef NAME

/* Appends the layers of the methods if they follow `place`. */
static int layers_after(struct adl_graph *graph, const struct adl_arch *arch, int x,
                        const char *place)
{
    return adl_arch_has_place(arch, place)
               ? adl_arch_add_layers(graph, arch, x, adl_graph_name(graph, "after_%s", place), NULL)
               : x;
}

static void build(struct adl_graph *graph, const struct adl_arch *arch)
{
    int x =
        norm_relu(graph, conv(graph, 0, "conv1.0", 64, 7, 2), "conv1.1", "conv1.2", arch->bn_eps);
    x = adl_maxpool(graph, x, "mpool1", (struct adl_pool_attr){.size = 3, .stride = 2, .pad = 1});

    for (int i = 0; i < STAGES; i++) {
        const char *block = adl_graph_name(graph, "residual_block%d", i + 1);
        const char *module = adl_graph_name(graph, "attention_module%d", i + 1);
        bool halves = i == 1 || (i == 2 && !arch->large_feature_map);
        x = unit(graph, arch, x, block, block, 256 << i, halves ? 2 : 1);
        x = layers_after(graph, arch, x, block);
        x = attention(graph, arch, x, module, STAGES - i);
        x = layers_after(graph, arch, x, module);
    }
    for (int i = 4; i <= 6; i++) {
        const char *block = adl_graph_name(graph, "residual_block%d", i);
        x = unit(graph, arch, x, block, block, 2048, 1);
        x = layers_after(graph, arch, x, block);
    }
    x = norm_relu(graph, x, "mpool2.0", "mpool2", arch->bn_eps);
    adl_arch_add_classifier(graph, arch, x, layers_after(graph, arch, x, "mpool2"));
}

/* By analogy with layer4 and fc of resnet50. */
static bool is_head(const char *name)
{
    return strstr(name, "residual_block4.") || strstr(name, "residual_block5.") ||
           strstr(name, "residual_block6.") || strstr(name, "mpool2.") || strstr(name, "fc.");
}

/* The masks; the trunk and the residual units before and after it belong to the plain network. */
static bool is_attention(const char *name)
{
    return strstr(name, ".softmax") || strstr(name, ".skip");
}

/* The projections that no unit uses. */
static bool is_unused(const char *name)
{
    const char *end = strstr(name, ".conv4.weight");
    return end && (strncmp(name, "attention_module", 16) == 0 ||
                   strncmp(name, "residual_block5.", 16) == 0 ||
                   strncmp(name, "residual_block6.", 16) == 0);
}

const struct adl_backbone adl_backbone_ran56 = {
    .name = "ran56",
    .bn_eps = 1e-5,
    .has_large_map = true,
    .adl_places = places,
    .adl_default = DEFAULT_PLACES,
    .build = build,
    .is_head = is_head,
    .is_attention = is_attention,
    .is_unused = is_unused,
};
