/* ResNet-50 with squeeze-and-excitation (Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018)
 * at the end of every block:
 *
 *     y = x * s(MLP(mean(x)))
 *
 * with the MLP of resnet50.h. The names are this project's. */

#include <string.h>

#include "models/backbones/resnet50.h"

#define NAME(part) adl_graph_name(graph, "%s.se" part, block)

static int squeeze_and_excite(struct adl_graph *graph, int x, const char *block, double bn_eps)
{
    (void)bn_eps;
    int s = adl_global_avgpool(graph, x, NAME(".gap"));
    s = adl_resnet50_mlp(graph, s, adl_resnet50_channels(graph, x), NAME(".fc1"), NAME(".relu"),
                         NAME(".fc2"));
    s = adl_sigmoid(graph, s, NAME(".sigmoid"));
    return adl_scale(graph, x, s, NAME(""));
}

static void build(struct adl_graph *graph, const struct adl_arch *arch)
{
    adl_resnet50_build(graph, arch,
                       &(struct adl_resnet50_attention){.in_block = squeeze_and_excite});
}

static bool is_attention(const char *name)
{
    return strstr(name, ".se.") != NULL;
}

const struct adl_backbone adl_backbone_resnet50_se = {
    .name = "resnet50_se",
    .build = build,
    .is_attention = is_attention,
    ADL_RESNET50_ATTENTION_ROW,
};
