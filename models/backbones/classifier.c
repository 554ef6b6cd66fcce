/* Appends classifiers, and the class maps of those with more than one layer; see classifier.h.
 *
 * A small change d of the pooled vector v changes the scores by J d, where J is the product of the
 * layers' derivatives at v:
 *
 *     linear       W
 *     hard-swish   its slope, element by element
 *     layer norm   w s (d - mean(d) - y mean(y d)), with y the normalised vector, s its 1 /
 * sqrt(var
 *                  + eps) and w its weight
 *     dropout      1: maps are for a network that is not being trained
 *
 * The map of the classes is J applied to each pixel. For one linear layer J is W. */

#include "models/backbones/classifier.h"

#include "ops/ops.h"

static int append(struct adl_graph *graph, const struct adl_arch *arch, int x,
                  const struct adl_classifier_layer *layer)
{
    const char *name = layer->name;

    switch (layer->kind) {
    case ADL_CLASSIFIER_LINEAR:
        return adl_linear(graph, x, name, layer->k ? layer->k : arch->num_classes, true);
    case ADL_CLASSIFIER_LAYERNORM:
        x = adl_layernorm(graph, x, adl_graph_name(graph, "%s.norm", name), layer->number);
        return adl_channel_affine(graph, x, name, adl_graph_name(graph, "%s.weight", name),
                                  adl_graph_name(graph, "%s.bias", name));
    case ADL_CLASSIFIER_HARD_SWISH:
        return adl_elementwise(graph, x, name, &adl_op_hard_swish,
                               (struct adl_elementwise_attr){0});
    case ADL_CLASSIFIER_DROPOUT: return adl_dropout(graph, x, name, layer->number);
    }
    return -1;
}

/* Applies the derivative of a layer, which reads the vector `input`, to the map d. */
static int apply(struct adl_graph *graph, const struct adl_arch *arch, int d, int input,
                 const struct adl_classifier_layer *layer)
{
    const char *name = layer->name;
    int slope;

    switch (layer->kind) {
    case ADL_CLASSIFIER_LINEAR:
        adl_graph_begin_copy(graph, "map");
        d = adl_linear(graph, d, name, layer->k ? layer->k : arch->num_classes, false);
        adl_graph_end_copy(graph);
        return d;
    case ADL_CLASSIFIER_LAYERNORM:
        d = adl_layernorm_slope(graph, d, input, adl_graph_name(graph, "%s.slope", name),
                                layer->number);
        adl_graph_begin_copy(graph, "map");
        d = adl_channel_affine(graph, d, name, adl_graph_name(graph, "%s.weight", name), NULL);
        adl_graph_end_copy(graph);
        return d;
    case ADL_CLASSIFIER_HARD_SWISH:
        slope = adl_slope(graph, input, adl_graph_name(graph, "%s.slope", name), &adl_op_hard_swish,
                          (struct adl_elementwise_attr){0});
        return adl_scale(graph, d, slope, adl_graph_name(graph, "map.%s", name));
    case ADL_CLASSIFIER_DROPOUT: return d;
    }
    return -1;
}

void adl_classifier_add(struct adl_graph *graph, const struct adl_arch *arch,
                        struct adl_method_base base, int x,
                        const struct adl_classifier_layer *layers, int count)
{
    enum { MOST_LAYERS = 8 };
    int inputs[MOST_LAYERS], map = base.features, working = 0;

    if (adl_arch_branches(arch)) {
        adl_arch_add_branches(graph, arch, base);
        return;
    }
    adl_graph_set_output(graph, ADL_OUTPUT_FEATURES, base.features);
    x = adl_global_avgpool(graph, x, "avgpool");
    for (int i = 0; i < count && i < MOST_LAYERS; i++) {
        inputs[i] = x;
        x = append(graph, arch, x, &layers[i]);
        working += layers[i].kind != ADL_CLASSIFIER_DROPOUT;
    }
    adl_graph_set_output(graph, ADL_OUTPUT_LOGITS, x);
    if (working == 1) {
        const char *weight = adl_graph_name(graph, "%s.weight", layers[count - 1].name);
        adl_graph_set_classifier(graph, adl_graph_find_param(graph, weight));
        return;
    }
    for (int i = 0; i < count && i < MOST_LAYERS; i++)
        map = apply(graph, arch, map, inputs[i], &layers[i]);
    adl_graph_set_output(graph, ADL_OUTPUT_CLASS_MAP, map);
}
