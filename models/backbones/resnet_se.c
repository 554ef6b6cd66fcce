/* Residual networks with squeeze-and-excitation (Hu et al., "Squeeze-and-Excitation Networks", CVPR
 * 2018) at the end of every block:
 *
 *     y = x * s(MLP(mean(x)))
 *
 * with the MLP of resnet.h. The names are this project's. resnet50_se
 * has the last map of resnet50, the others have those of resnet18, resnet34 and so on. */

#include <string.h>

#include "models/backbones/resnet.h"

#define NAME(part) adl_graph_name(graph, "%s.se" part, block)

static int squeeze_and_excite(struct adl_graph *graph, int x, const char *block, double bn_eps)
{
    (void)bn_eps;
    int s = adl_global_avgpool(graph, x, NAME(".gap"));
    s = adl_resnet_mlp(graph, s, adl_resnet_channels(graph, x), NAME(".fc1"), NAME(".relu"),
                       NAME(".fc2"));
    s = adl_sigmoid(graph, s, NAME(".sigmoid"));
    return adl_scale(graph, x, s, NAME(""));
}

static bool is_attention(const char *name)
{
    return strstr(name, ".se.") != NULL;
}

static const struct adl_resnet_attention attention = {.in_block = squeeze_and_excite};
static const struct adl_resnet se18 = {
    .blocks = {2, 2, 2, 2}, .basic = true, .attention = &attention};
static const struct adl_resnet se34 = {
    .blocks = {3, 4, 6, 3}, .basic = true, .attention = &attention};
static const struct adl_resnet se50 = {.blocks = {3, 4, 6, 3}, .attention = &attention};
static const struct adl_resnet se101 = {.blocks = {3, 4, 23, 3}, .attention = &attention};
static const struct adl_resnet se152 = {.blocks = {3, 8, 36, 3}, .attention = &attention};

const struct adl_backbone adl_backbone_resnet50_se = {
    .name = "resnet50_se",
    .config = &se50,
    .is_attention = is_attention,
    ADL_RESNET50_ATTENTION_ROW,
};
const struct adl_backbone adl_backbone_resnet18_se = {
    .name = "resnet18_se",
    .config = &se18,
    .is_attention = is_attention,
    ADL_RESNET_8_ROW,
};
const struct adl_backbone adl_backbone_resnet34_se = {
    .name = "resnet34_se",
    .config = &se34,
    .is_attention = is_attention,
    ADL_RESNET_16_ROW,
};
const struct adl_backbone adl_backbone_resnet101_se = {
    .name = "resnet101_se",
    .config = &se101,
    .is_attention = is_attention,
    ADL_RESNET_33_ROW,
};
const struct adl_backbone adl_backbone_resnet152_se = {
    .name = "resnet152_se",
    .config = &se152,
    .is_attention = is_attention,
    ADL_RESNET_50_ROW,
};
