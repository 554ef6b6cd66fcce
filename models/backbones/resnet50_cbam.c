/* ResNet-50 with CBAM (Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018) at the
 * end of every block, first for the channels and then for the pixels:
 *
 *     u = x * s(MLP(mean(x)) + MLP(max(x))), pooled over the pixels
 *     y = u * s(BN(conv7x7([max(u), mean(u)]))), pooled over the channels
 *
 * with the MLP of resnet.h. Structure, names and layouts are those of the authors' PyTorch code
 * (Jongchan/attention-module), so that its weights load. There, that batch norm gives a batch a
 * weight of 0.01 instead of 0.1 in its running statistics, and its own weight begins at 0, so that
 * the gate begins at 1/2 everywhere. */

#include <string.h>

#include "models/backbones/resnet.h"

#define NAME(part) adl_graph_name(graph, "%s.cbam" part, block)

static int cbam(struct adl_graph *graph, int x, const char *block, double bn_eps)
{
    int s = adl_global_avgmaxpool(graph, x, NAME(".ChannelGate.pools"));
    s = adl_resnet_mlp(graph, s, adl_resnet_channels(graph, x), NAME(".ChannelGate.mlp.1"),
                       NAME(".ChannelGate.mlp.2"), NAME(".ChannelGate.mlp.3"));
    s = adl_global_sumpool(graph, s, NAME(".ChannelGate.sum"));
    s = adl_sigmoid(graph, s, NAME(".ChannelGate.sigmoid"));
    x = adl_scale(graph, x, s, NAME(".ChannelGate"));

    s = adl_channelpool(graph, x, NAME(".SpatialGate.compress"));
    s = adl_conv(graph, s, NAME(".SpatialGate.spatial.conv"), adl_conv_centred(1, 7, 7, 1));
    s = adl_batchnorm_with(graph, s, NAME(".SpatialGate.spatial.bn"),
                           (struct adl_batchnorm_attr){.eps = bn_eps, .momentum = 0.01});
    adl_graph_set_zero(graph, adl_graph_find_param(graph, NAME(".SpatialGate.spatial.bn.weight")));
    s = adl_sigmoid(graph, s, NAME(".SpatialGate.sigmoid"));
    return adl_gate(graph, x, s, NAME(""), false);
}

static bool is_attention(const char *name)
{
    return strstr(name, ".cbam.") != NULL;
}

static const struct adl_resnet resnet50_cbam = {
    .blocks = {3, 4, 6, 3},
    .attention = &(const struct adl_resnet_attention){.in_block = cbam},
};

const struct adl_backbone adl_backbone_resnet50_cbam = {
    .name = "resnet50_cbam",
    .config = &resnet50_cbam,
    .is_attention = is_attention,
    ADL_RESNET50_ATTENTION_ROW,
};
