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

enum { POOL = -1, POOL_14 = -2, METHOD = -3, POOL_END = -4 };

/* The Sequential: a number is the output channels of a 3x3 convolution with its ReLU; the
 * others are layers of another kind; METHOD is where the layers of a method stand. The variant with
 * 28x28 maps has no POOL_14, and only a method like ADL takes a number at METHOD. With wide pools
 * (adl_method.wide_pools) all windows are 3x3 with padding (with named stages that of POOL_14
 * alone), POOL_END is one more of stride 1, and the variant with 28x28 maps gives POOL_14 stride 1
 * instead of leaving it out. */
static const int layers[] = {64,     64,      POOL, 128,    128, POOL,   256,
                             256,    256,     POOL, METHOD, 512, 512,    512,
                             METHOD, POOL_14, 512,  512,    512, METHOD, POOL_END};

/* The entry of the fourth pooling, and its number in the Sequential without ADL. */
enum { UPPER = 15, UPPER_NUMBER = 23 };

/* The convolutions of the fourth and fifth stage, counted from 0: with named stages they are in
 * Sequentials of their own, SPG_A_1 and SPG_A_2. */
enum { STAGE_4 = 7, STAGE_5 = 10 };

static bool wide_pools(const struct adl_arch *arch)
{
    return adl_arch_branches(arch) && adl_arch_branches(arch)->wide_pools;
}

/* Returns whether an entry takes a number in the Sequential. */
static bool present(const struct adl_arch *arch, int layer)
{
    return !(layer == METHOD && !adl_arch_in_sequence(arch)) &&
           !(layer == POOL_14 && arch->large_feature_map && !wide_pools(arch)) &&
           !(layer == POOL_END && !wide_pools(arch));
}

static int pool(struct adl_graph *graph, const struct adl_arch *arch, int x, const char *name,
                int layer)
{
    bool keeps = layer == POOL_END || (layer == POOL_14 && arch->large_feature_map);
    bool wide = wide_pools(arch) || (layer == POOL_14 && adl_arch_has_named_stages(arch));
    struct adl_pool_attr attr = {.size = wide ? 3 : 2, .stride = keeps ? 1 : 2, .pad = wide};
    return adl_maxpool(graph, x, name, attr);
}

/* Writes the name of a module, convolution n of all or (`part` 1) its ReLU, whose convolution has
 * this number in the Sequential. */
static const char *module_name(struct adl_graph *graph, const struct adl_arch *arch, int n,
                               int number, int part)
{
    if (!adl_arch_has_named_stages(arch) || n < STAGE_4)
        return adl_graph_name(graph, "features.%d", number + part);
    return adl_graph_name(graph, "SPG_A_%d.%d", n < STAGE_5 ? 1 : 2,
                          2 * (n - (n < STAGE_5 ? STAGE_4 : STAGE_5)) + part);
}

/* Appends the layers from entry `first` of the list up to the one before `last`. *number is that of
 * the next entry of the Sequential. */
static int append(struct adl_graph *graph, const struct adl_arch *arch, int x, size_t first,
                  size_t last, int *number)
{
    struct adl_conv_attr attr = adl_conv_centred(0, 3, 3, 1);

    int n = 0;
    attr.bias = true;
    for (size_t i = 0; i < first; i++)
        n += layers[i] > 0;
    for (size_t i = first; i < last; i++) {
        const char *name = adl_graph_name(graph, "features.%d", *number);
        if (layers[i] == METHOD)
            x = adl_arch_add_layers(graph, arch, x,
                                    adl_graph_name(graph, "after_features.%d", *number - 1), name);
        if (!present(arch, layers[i]))
            continue;
        if (layers[i] > 0) {
            attr.k = layers[i];
            x = adl_conv(graph, x, module_name(graph, arch, n, *number, 0), attr);
            x = adl_relu(graph, x, module_name(graph, arch, n, *number, 1));
            *number += 2;
            n++;
            continue;
        }
        (*number)++;
        if (layers[i] != METHOD)
            x = pool(graph, arch, x, name, layers[i]);
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

/* Appends two more convolutions, which the reference implementation has where conv6 is otherwise.
 */
static int named_head(struct adl_graph *graph, int x)
{
    struct adl_conv_attr attr = adl_conv_centred(512, 3, 3, 1);
    attr.bias = true;
    for (int i = 0; i < 2; i++) {
        x = adl_conv(graph, x, adl_graph_name(graph, "SPG_A_3.%d", 2 * i), attr);
        x = adl_relu(graph, x, adl_graph_name(graph, "SPG_A_3.%d", 2 * i + 1));
    }
    return x;
}

static void build_branches(struct adl_graph *graph, const struct adl_arch *arch)
{
    struct adl_method_base base = {.head_channels = 1024,
                                   .side_channels = 512,
                                   .classifier = "SPG_A_4",
                                   .xavier = true,
                                   .upper = upper,
                                   .context = arch};
    int number = 0;

    base.features = append(graph, arch, 0, 0, UPPER, &number);
    if (!adl_arch_has_fine_base(arch)) {
        base.early = append(graph, arch, base.features, UPPER, UPPER + 1, &number);
        base.late = append(graph, arch, base.early, UPPER + 1, ADL_COUNT(layers), &number);
        base.features = base.late;
        if (wide_pools(arch))
            base.features = adl_avgpool(graph, base.late, "meanpool",
                                        (struct adl_pool_attr){.size = 3, .stride = 1, .pad = 1});
        if (adl_arch_has_named_stages(arch))
            base.features = named_head(graph, base.late);
    }
    adl_arch_add_branches(graph, arch, base);
}

static void build(struct adl_graph *graph, const struct adl_arch *arch)
{
    struct adl_conv_attr attr = adl_conv_centred(1024, 3, 3, 1);
    int number = 0;

    if (adl_arch_branches(arch)) {
        build_branches(graph, arch);
        return;
    }
    int x = append(graph, arch, 0, 0, ADL_COUNT(layers), &number);
    attr.bias = true;
    x = adl_conv(graph, x, "conv6", attr);
    x = adl_relu(graph, x, "relu");
    adl_arch_add_classifier(graph, arch, x, x);
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

/* Reads PREFIX and a number of at most three digits before a point; returns what follows, or NULL.
 */
static const char *read_number(const char *name, const char *prefix, int *number)
{
    if (strncmp(name, prefix, strlen(prefix)) != 0)
        return NULL;
    const char *rest = name + strlen(prefix);
    int digits = 0;
    for (*number = 0; *rest >= '0' && *rest <= '9' && digits < 3; rest++, digits++)
        *number = 10 * *number + (*rest - '0');
    return digits > 0 && *rest == '.' ? rest : NULL;
}

static bool renumber(const struct adl_arch *from, const struct adl_arch *to, const char *name,
                     char *out, size_t size)
{
    int number = 0, n = -1;
    const char *rest = read_number(name, "features.", &number);
    if (rest) {
        n = convolution(from, -1, number);
    } else if (adl_arch_has_named_stages(from)) {
        bool fifth = (rest = read_number(name, "SPG_A_1.", &number)) == NULL;
        if (fifth && !(rest = read_number(name, "SPG_A_2.", &number)))
            return false;
        n = number % 2 || number > 4 ? -1 : (fifth ? STAGE_5 : STAGE_4) + number / 2;
    }
    int moved = n < 0 ? -1 : convolution(to, n, -1);
    if (moved < 0)
        return false;
    if (adl_arch_has_named_stages(to) && n >= STAGE_4)
        snprintf(out, size, "SPG_A_%d.%d%s", n < STAGE_5 ? 1 : 2,
                 2 * (n - (n < STAGE_5 ? STAGE_4 : STAGE_5)), rest);
    else
        snprintf(out, size, "features.%d%s", moved, rest);
    return strcmp(out, name) != 0;
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
    .has_fine_base = true,
    .build = build,
    .renumber = renumber,
    .is_head = is_head,
};
