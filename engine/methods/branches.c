/* Layers of which the methods build their branches; see branches.h. */

#include "methods/branches.h"

#include "ops/ops.h"

int adl_branch_conv(struct adl_graph *graph, int input, const char *name, int k, int side,
                    bool xavier)
{
    struct adl_conv_attr attr = adl_conv_centred(k, side, side, 1);
    attr.bias = true;
    int output = adl_conv(graph, input, name, attr);
    if (output >= 0 && xavier)
        adl_graph_set_xavier(graph,
                             adl_graph_find_param(graph, adl_graph_name(graph, "%s.weight", name)));
    return output;
}

int adl_branch_classifier(struct adl_graph *graph, int input, const char *name, int channels,
                          int num_classes, bool xavier)
{
    int x = input;
    for (int i = 0; i < 4; i += 2) {
        x = adl_branch_conv(graph, x, adl_graph_name(graph, "%s.%d", name, i), channels, 3, xavier);
        x = adl_relu(graph, x, adl_graph_name(graph, "%s.%d", name, i + 1));
    }
    return adl_branch_conv(graph, x, adl_graph_name(graph, "%s.4", name), num_classes, 1, xavier);
}
