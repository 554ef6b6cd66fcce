/* VGG-16 for localization.
 *
 * Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
 * Recognition" (ICLR 2015), configuration D without batch norm, changed as in Zhou et al.,
 * "Learning Deep Features for Discriminative Localization" (CVPR 2016): the last pooling and
 * the three linear layers are replaced by a 3x3 convolution to 1024 channels ("conv6"),
 * global average pooling and one linear layer, whose weights turn the 1024 maps into class
 * activation maps. Reference: vgg.py of wsolevaluation.
 *
 * At 224x224 the last map is 14x14, or 28x28 without the fourth pooling.
 *
 * Parameter names: in the reference implementation all layers before conv6 are one Sequential
 * called "features", in which each convolution, ReLU, pooling and ADL layer takes a number:
 * features.0.weight, features.2.weight, features.5.weight ... So each layer that a variant
 * adds (ADL) or leaves out (the fourth pooling) shifts the numbers of all layers after it,
 * which renumber() undoes. */

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "models/backbones/backbone.h"

enum { POOL = -1, POOL_14 = -2, METHOD = -3 };

/* The Sequential: a number is the output channels of a 3x3 convolution with its ReLU; the
 * others are layers of another kind; METHOD is where the layers of a method stand. The variant with
 * 28x28 maps has no POOL_14, and only a method like ADL takes a number at METHOD. */
static const int layers[] = {64,     64,  POOL, 128, 128,    POOL,    256, 256, 256, POOL,
                             METHOD, 512, 512,  512, METHOD, POOL_14, 512, 512, 512, METHOD};

/* The entry of the fourth pooling, and its number in the Sequential without ADL. */
enum { UPPER = 15, UPPER_NUMBER = 23 };

/* Returns whether an entry takes a number in the Sequential. */
static bool present(const struct adl_arch *arch, int layer)
{
    return !(layer == METHOD && !adl_arch_in_sequence(arch)) &&
           !(layer == POOL_14 && arch->large_feature_map);
}

/* Appends the layers from entry `first` of the list up to the one before `last`. *number is that of
 * the next entry of the Sequential. */
static int append(struct adl_graph *graph, const struct adl_arch *arch, int x, size_t first,
                  size_t last, int *number)
{
    struct adl_conv_attr attr = adl_backbone_conv(0, 3, 3, 1);

    attr.bias = true;
    for (size_t i = first; i < last; i++) {
        const char *name = adl_graph_name(graph, "features.%d", *number);
        if (layers[i] == METHOD)
            x = adl_arch_add_layers(graph, arch, x,
                                    adl_graph_name(graph, "after_features.%d", *number - 1), name);
        if (!present(arch, layers[i]))
            continue;
        (*number)++;
        if (layers[i] == POOL || layers[i] == POOL_14) {
            x = adl_maxpool(graph, x, name, (struct adl_pool_attr){.size = 2, .stride = 2});
        } else if (layers[i] > 0) {
            attr.k = layers[i];
            x = adl_conv(graph, x, name, attr);
            x = adl_relu(graph, x, adl_graph_name(graph, "features.%d", (*number)++));
        }
    }
    return x;
}

/* Appends the fourth pooling and the last three convolutions, above the map that a method's
 * branches begin at. */
static int upper(struct adl_graph *graph, const void *context, int x)
{
    int number = UPPER_NUMBER;
    return append(graph, context, x, UPPER, ADL_COUNT(layers), &number);
}

static void build(struct adl_graph *graph, const struct adl_arch *arch)
{
    struct adl_conv_attr attr = adl_backbone_conv(1024, 3, 3, 1);
    int number = 0;
    int x = append(graph, arch, 0, 0, adl_arch_branches(arch) ? UPPER : ADL_COUNT(layers), &number);

    if (adl_arch_branches(arch)) {
        const struct adl_method_base base = {.features = x,
                                             .head_channels = 1024,
                                             .num_classes = arch->num_classes,
                                             .upper = upper,
                                             .context = arch};
        adl_arch_branches(arch)->branches(graph, &base);
        return;
    }
    attr.bias = true;
    x = adl_conv(graph, x, "conv6", attr);
    x = adl_relu(graph, x, "relu");
    adl_graph_set_output(graph, ADL_OUTPUT_FEATURES, x);

    x = adl_global_avgpool(graph, x, "avgpool");
    x = adl_linear(graph, x, "fc", arch->num_classes, true);
    adl_graph_set_output(graph, ADL_OUTPUT_LOGITS, x);
    adl_graph_set_classifier(graph, adl_graph_find_param(graph, "fc.weight"));
}

/* Converts between n, the index of a convolution among the convolutions, and its number in
 * the Sequential of a variant: one of the two is given, and the other argument is -1. Returns
 * the one that is not given, or -1 when there is no such convolution. */
static int convolution(const struct adl_arch *arch, int n, int number)
{
    int entry = 0, count = 0;
    for (size_t i = 0; i < ADL_COUNT(layers); i++) {
        if (!present(arch, layers[i]))
            continue;
        if (layers[i] < 0) {
            entry++;
            continue;
        }
        if (count == n)
            return entry;
        if (entry == number)
            return count;
        count++;
        entry += 2;
    }
    return -1;
}

static bool renumber(const struct adl_arch *from, const struct adl_arch *to, const char *name,
                     char *out, size_t size)
{
    static const char prefix[] = "features.";
    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return false;
    const char *rest = name + sizeof prefix - 1;
    int number = 0, digits = 0;
    for (; *rest >= '0' && *rest <= '9' && digits < 3; rest++, digits++)
        number = 10 * number + (*rest - '0');
    if (digits == 0 || *rest != '.')
        return false;
    int n = convolution(from, -1, number);
    int moved = n < 0 ? -1 : convolution(to, n, -1);
    if (moved < 0 || moved == number)
        return false;
    snprintf(out, size, "%s%d%s", prefix, moved, rest);
    return true;
}

static bool is_head(const char *name)
{
    return !strstr(name, "features.");
}

const struct adl_backbone adl_backbone_vgg16 = {
    .name = "vgg16",
    .bn_eps = 1e-5,
    .has_large_map = true,
    .has_base = true,
    .build = build,
    .renumber = renumber,
    .is_head = is_head,
};
