/* DenseNet-121 (Huang et al., "Densely Connected Convolutional Networks", CVPR 2017, table 1), with
 * torchvision's names and layouts: features.denseblock1.denselayer1.norm1.weight; in files from
 * before torchvision 0.3, and in its published weights, that is norm.1.weight.
 *
 * Each layer reads all maps before it of its block, joined. Joining what was joined to each new map
 * is the same and takes two inputs: the plan places all of them in one block and copies nothing.
 *
 * With arch.last_stride 1 the last transition has no pooling, so that the map is 14x14 at 224x224
 * instead of 7x7, and with the large feature map neither has the one before it. ADL may follow the
 * blocks and the transitions; by default it follows the transitions to 14x14 and to 7x7, which are
 * the bottlenecks, and the last map. */

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "models/backbones/classifier.h"
#include "models/backbones/torchvision.h"
#include "ops/ops.h"

#define GROWTH 32

static const int layers[] = {6, 12, 24, 16}; /* of the blocks */

static const char *const places[] = {
    "features.pool0",       "features.denseblock1", "features.transition1",
    "features.denseblock2", "features.transition2", "features.denseblock3",
    "features.transition3", "features.relu5",       NULL};
#define DEFAULT_PLACES (1u << 4 | 1u << 6 | 1u << 7)

static int channels_of(const struct adl_graph *graph, int x)
{
    return x < 0 ? 2 : adl_graph_value(graph, x)->shape.c;
}

#define NAME(part) adl_graph_name(graph, "%s." part, name)

/* Appends a batch norm, its ReLU and a convolution. */
static int norm_conv(struct adl_graph *graph, const struct adl_arch *arch, int x, const char *name,
                     const char *part, int k, int size)
{
    x = adl_batchnorm(graph, x, adl_graph_name(graph, "%s.norm%s", name, part), arch->bn_eps);
    x = adl_relu(graph, x, adl_graph_name(graph, "%s.relu%s", name, part));
    return adl_conv(graph, x, adl_graph_name(graph, "%s.conv%s", name, part),
                    adl_conv_centred(k, size, size, 1));
}

/* Appends a block, whose value is called as the block. */
static int dense_block(struct adl_graph *graph, const struct adl_arch *arch, int x, int block)
{
    const char *whole = adl_graph_name(graph, "features.denseblock%d", block + 1);
    for (int i = 0; i < layers[block]; i++) {
        const char *name = adl_graph_name(graph, "%s.denselayer%d", whole, i + 1);
        int y = norm_conv(graph, arch, x, name, "1", 4 * GROWTH, 1);
        y = norm_conv(graph, arch, y, name, "2", GROWTH, 3);
        const int joined[] = {x, y};
        x = adl_concat(graph, joined, 2, i + 1 < layers[block] ? NAME("concat") : whole);
    }
    return x;
}

/* Appends a transition, whose value is called as the transition. Without pooling the window is one
 * pixel, which keeps the layers those of the network with it. */
static int transition(struct adl_graph *graph, const struct adl_arch *arch, int x, int block)
{
    const char *name = adl_graph_name(graph, "features.transition%d", block + 1);
    const int side =
        (block == 2 && arch->last_stride == 1) || (block == 1 && arch->large_feature_map) ? 1 : 2;
    x = norm_conv(graph, arch, x, name, "", channels_of(graph, x) / 2, 1);
    return adl_avgpool(graph, x, name, (struct adl_pool_attr){.size = side, .stride = side});
}

static void build(struct adl_graph *graph, const struct adl_arch *arch)
{
    static const struct adl_classifier_layer classifier[] = {
        {ADL_CLASSIFIER_LINEAR, "classifier", 0, 0}};
    struct adl_method_base base = {
        .head_channels = 1024, .side_channels = 512, .classifier = "SPG_A4", .xavier = true};
    int x = adl_conv(graph, 0, "features.conv0", adl_conv_centred(2 * GROWTH, 7, 7, 2));

    x = adl_batchnorm(graph, x, "features.norm0", arch->bn_eps);
    x = adl_relu(graph, x, "features.relu0");
    x = adl_maxpool(graph, x, "features.pool0",
                    (struct adl_pool_attr){.size = 3, .stride = 2, .pad = 1});
    x = adl_torchvision_place(graph, arch, x, "features.pool0");
    for (int block = 0; block < (int)ADL_COUNT(layers); block++) {
        x = dense_block(graph, arch, x, block);
        if (block == 2)
            base.late = x;
        if (block + 1 == (int)ADL_COUNT(layers))
            break;
        x = adl_torchvision_place(graph, arch, x,
                                  adl_graph_name(graph, "features.denseblock%d", block + 1));
        x = transition(graph, arch, x, block);
        if (block == 1)
            base.early = x;
        x = adl_torchvision_place(graph, arch, x,
                                  adl_graph_name(graph, "features.transition%d", block + 1));
    }
    x = adl_batchnorm(graph, x, "features.norm5", arch->bn_eps);
    x = base.features = adl_relu(graph, x, "features.relu5");
    x = adl_torchvision_place(graph, arch, x, "features.relu5");
    adl_classifier_add(graph, arch, base, x, classifier, ADL_COUNT(classifier));
}

/* norm1 was norm.1, and conv2 conv.2, while names of modules could have dots. */
static bool former_name(const char *name, char *out, size_t size)
{
    const char *layer = strstr(name, ".denselayer");
    const char *part = layer ? strchr(layer + 1, '.') : NULL;
    if (!part || (strncmp(part, ".norm", 5) != 0 && strncmp(part, ".conv", 5) != 0))
        return false;
    int used = snprintf(out, size, "%.*s.%s", (int)(part + 5 - name), name, part + 5);
    return used > 0 && (size_t)used < size;
}

const struct adl_backbone adl_backbone_densenet121 = {
    .name = "densenet121",
    .bn_eps = 1e-5,
    .last_stride = 2,
    .has_large_map = true,
    .has_base = true,
    .adl_places = places,
    .adl_default = DEFAULT_PLACES,
    .build = build,
    .is_head = adl_torchvision_is_head,
    .former_name = former_name,
};
