/* Inception-v3 for localization.
 *
 * Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (CVPR 2016), in
 * the form that Zhang et al. gave it, "Self-produced Guidance for Weakly-supervised Object
 * Localization" (SPG, ECCV 2018): torchvision's network up to Mixed_6e, with padding in the
 * first convolution and Mixed_6a at stride 1, then two 3x3 convolutions (SPG_A3_1b,
 * SPG_A3_2b), a 1x1 convolution to one map for each class (SPG_A4), and the mean of each map
 * as its logit. So the network computes its class maps itself, and no weights of a linear
 * layer are needed to make them. Reference: inception.py of wsolevaluation.
 *
 * At 224x224 the last map is 14x14, or 28x28 without the third pooling.
 *
 * Parameter names: torchvision's module names, Mixed_5b.branch5x5_1.conv.weight, where each
 * unit is a convolution "conv" without bias and a batch norm "bn"; SPG_A3_1b.0 is a
 * convolution in a Sequential with its ReLU. ADL layers have no parameters, and names of
 * their own, such as ADL_5d after Mixed_5d, so they do not change the names of other layers. */

#include <string.h>

#include "base/size.h"
#include "models/backbones/backbone.h"

static const char *const adl_places[] = {"Mixed_5b",  "Mixed_5c",  "Mixed_5d", "Mixed_6a",
                                         "Mixed_6b",  "Mixed_6c",  "Mixed_6d", "Mixed_6e",
                                         "SPG_A3_1b", "SPG_A3_2b", NULL};
#define ADL_DEFAULT                                                                                \
    (1u << 2 | 1u << 7 |                                                                           \
     1u << 9) /* Mixed_5d, Mixed_6e, SPG_A3_2b, as in the reference implementation */

struct builder {
    struct adl_graph *graph;
    const struct adl_arch *arch;
    const char *module; /* "Mixed_5b" while one is being built */
};

/* Adds a convolution without bias, a batch norm and a ReLU, whose values are called
 * NAME.conv, NAME.bn and NAME. */
static int unit(const struct builder *b, int x, const char *name, struct adl_conv_attr attr)
{
    x = adl_conv(b->graph, x, adl_graph_name(b->graph, "%s.conv", name), attr);
    x = adl_batchnorm(b->graph, x, adl_graph_name(b->graph, "%s.bn", name), b->arch->bn_eps);
    return adl_relu(b->graph, x, name);
}

static struct adl_conv_attr unpadded(int k, int size)
{
    return (struct adl_conv_attr){.k = k, .r = size, .s = size, .stride = 1, .groups = 1};
}

/* Adds one convolution to a branch of the module being built. */
static int branch(const struct builder *b, int x, const char *name, int k, int r, int s)
{
    return unit(b, x, adl_graph_name(b->graph, "%s.%s", b->module, name),
                adl_conv_centred(k, r, s, 1));
}

static int mean_branch(const struct builder *b, int x, int k)
{
    x = adl_avgpool(b->graph, x, adl_graph_name(b->graph, "%s.avgpool", b->module),
                    (struct adl_pool_attr){.size = 3, .stride = 1, .pad = 1});
    return branch(b, x, "branch_pool", k, 1, 1);
}

/* Adds the layers of methods after the layer `after`, if the architecture has them there: ADL_5d
 * after Mixed_5d. */
static int method_layer(const struct builder *b, int x, const char *after)
{
    if (!adl_arch_has_place(b->arch, after))
        return x;
    return adl_arch_add_layers(b->graph, b->arch, x, adl_graph_name(b->graph, "after_%s", after),
                               adl_graph_name(b->graph, "ADL%s", strchr(after, '_')));
}

/* Ends a module: concatenates its branches along the channels. */
static int join(const struct builder *b, const int *branches, int count)
{
    return method_layer(b, adl_concat(b->graph, branches, count, b->module), b->module);
}

/* Adds torchvision's InceptionA: branches of 1x1, 5x5 and two 3x3 convolutions, and average
 * pooling with a 1x1 convolution to pool_k channels. */
static int mixed_a(struct builder *b, int x, const char *name, int pool_k)
{
    int out[4];
    b->module = name;
    out[0] = branch(b, x, "branch1x1", 64, 1, 1);
    out[1] = branch(b, x, "branch5x5_1", 48, 1, 1);
    out[1] = branch(b, out[1], "branch5x5_2", 64, 5, 5);
    out[2] = branch(b, x, "branch3x3dbl_1", 64, 1, 1);
    out[2] = branch(b, out[2], "branch3x3dbl_2", 96, 3, 3);
    out[2] = branch(b, out[2], "branch3x3dbl_3", 96, 3, 3);
    out[3] = mean_branch(b, x, pool_k);
    return join(b, out, 4);
}

/* Adds torchvision's InceptionB, the step to 768 channels, with stride 1 and padding in place
 * of stride 2: the map keeps its size. */
static int mixed_b(struct builder *b, int x, const char *name)
{
    int out[3];
    b->module = name;
    out[0] = branch(b, x, "branch3x3", 384, 3, 3);
    out[1] = branch(b, x, "branch3x3dbl_1", 64, 1, 1);
    out[1] = branch(b, out[1], "branch3x3dbl_2", 96, 3, 3);
    out[1] = branch(b, out[1], "branch3x3dbl_3", 96, 3, 3);
    out[2] = adl_maxpool(b->graph, x, adl_graph_name(b->graph, "%s.branch_pool", name),
                         (struct adl_pool_attr){.size = 3, .stride = 1, .pad = 1});
    return join(b, out, 3);
}

/* Adds torchvision's InceptionC: branches of 1x1, one 7x7 and two 7x7 convolutions, and
 * average pooling with a 1x1 convolution. Each 7x7 is factored into 1x7 and 7x1; inside the
 * branches there are k channels. */
static int mixed_c(struct builder *b, int x, const char *name, int k)
{
    int out[4];
    b->module = name;
    out[0] = branch(b, x, "branch1x1", 192, 1, 1);
    out[1] = branch(b, x, "branch7x7_1", k, 1, 1);
    out[1] = branch(b, out[1], "branch7x7_2", k, 1, 7);
    out[1] = branch(b, out[1], "branch7x7_3", 192, 7, 1);
    out[2] = branch(b, x, "branch7x7dbl_1", k, 1, 1);
    out[2] = branch(b, out[2], "branch7x7dbl_2", k, 7, 1);
    out[2] = branch(b, out[2], "branch7x7dbl_3", k, 1, 7);
    out[2] = branch(b, out[2], "branch7x7dbl_4", k, 7, 1);
    out[2] = branch(b, out[2], "branch7x7dbl_5", 192, 1, 7);
    out[3] = mean_branch(b, x, 192);
    return join(b, out, 4);
}

/* Adds 3x3 max pooling at stride 2, whose output size is rounded up. */
static int shrink(const struct builder *b, int x, const char *name, int pad)
{
    return adl_maxpool(
        b->graph, x, name,
        (struct adl_pool_attr){.size = 3, .stride = 2, .pad = pad, .ceil_mode = true});
}

/* Adds a 3x3 convolution of the head, with bias, called NAME.0, and its ReLU. */
static int head(const struct builder *b, int x, const char *name, int k)
{
    struct adl_conv_attr attr = adl_conv_centred(k, 3, 3, 1);
    attr.bias = true;
    x = adl_conv(b->graph, x, adl_graph_name(b->graph, "%s.0", name), attr);
    return adl_relu(b->graph, x, name);
}

/* Adds dropout, which the reference implementation has only in the variant without ADL. */
static int drop(const struct builder *b, int x, const char *name)
{
    return adl_arch_in_sequence(b->arch) ? x : adl_dropout(b->graph, x, name, 0.5);
}

static void build(struct adl_graph *graph, const struct adl_arch *arch)
{
    struct builder b = {.graph = graph, .arch = arch};
    struct adl_method_base base = {
        .head_channels = 1024, .side_channels = 512, .classifier = "SPG_A4", .xavier = true};
    const struct adl_method *branches = adl_arch_branches(arch);
    int x = unit(&b, 0, "Conv2d_1a_3x3", adl_conv_centred(32, 3, 3, 2));
    x = unit(&b, x, "Conv2d_2a_3x3", unpadded(32, 3));
    x = unit(&b, x, "Conv2d_2b_3x3", adl_conv_centred(64, 3, 3, 1));
    x = shrink(&b, x, "maxpool1", 1);
    x = unit(&b, x, "Conv2d_3b_1x1", unpadded(80, 1));
    x = unit(&b, x, "Conv2d_4a_3x3", unpadded(192, 3));
    x = shrink(&b, x, "maxpool2", 1);
    x = mixed_a(&b, x, "Mixed_5b", 32);
    x = mixed_a(&b, x, "Mixed_5c", 64);
    x = mixed_a(&b, x, "Mixed_5d", 64);
    if (!arch->large_feature_map)
        x = shrink(&b, x, "maxpool3", 0);
    base.early = x;
    x = mixed_b(&b, x, "Mixed_6a");
    x = mixed_c(&b, x, "Mixed_6b", 128);
    x = mixed_c(&b, x, "Mixed_6c", 160);
    x = base.late = mixed_c(&b, x, "Mixed_6d", 160);
    x = mixed_c(&b, x, "Mixed_6e", 192);

    if (branches && branches->bare_map) {
        base.features = x;
        adl_arch_add_branches(graph, arch, base);
        return;
    }
    x = drop(&b, x, "dropout1");
    x = head(&b, x, "SPG_A3_1b", 1024);
    x = method_layer(&b, x, "SPG_A3_1b");
    x = drop(&b, x, "dropout2");
    x = head(&b, x, "SPG_A3_2b", 1024);
    if (!branches)
        adl_graph_set_output(graph, ADL_OUTPUT_FEATURES, x);
    x = method_layer(&b, x, "SPG_A3_2b");
    x = drop(&b, x, "dropout3");
    if (branches) {
        base.features = x;
        adl_arch_add_branches(graph, arch, base);
        return;
    }

    struct adl_conv_attr last = unpadded(arch->num_classes, 1);
    last.bias = true;
    x = adl_conv(graph, x, "SPG_A4", last);
    adl_graph_set_output(graph, ADL_OUTPUT_CLASS_MAP, x);
    x = adl_global_avgpool(graph, x, "avgpool");
    adl_graph_set_output(graph, ADL_OUTPUT_LOGITS, x);
    adl_graph_set_classifier(graph, adl_graph_find_param(graph, "SPG_A4.weight"));
}

/* The head is everything but the modules of torchvision's network, as in the reference
 * implementation. */
static bool is_head(const char *name)
{
    static const char *const trunk[] = {"Mixed", "Conv2d_1", "Conv2d_2", "Conv2d_3", "Conv2d_4"};
    for (size_t i = 0; i < sizeof trunk / sizeof *trunk; i++)
        if (strstr(name, trunk[i]))
            return false;
    return true;
}

const struct adl_backbone adl_backbone_inception_v3 = {
    .name = "inception_v3",
    .bn_eps = 1e-3,
    .has_large_map = true,
    .has_base = true,
    .adl_places = adl_places,
    .adl_default = ADL_DEFAULT,
    .build = build,
    .is_head = is_head,
};
