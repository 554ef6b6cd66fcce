/* Finds by structure what class maps need: the last map of the network and the weights of the
 * classifier. There are three ends that have class maps:
 *
 *   global average pooling, then a linear layer or a 1x1 convolution
 *       the features are the map that is pooled, the class map its sum weighted by the classifier
 *       (Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016);
 *   a 1x1 convolution to one channel for each class, perhaps an activation, then global pooling
 *       that map is the class map, and the features are what the convolution reads.
 *
 *   global average pooling, then several linear layers with activations or normalisation between
 *       them (MobileNetV3, ConvNeXt): a small change d of the pooled vector changes the scores by J
 * d, with the classifier's derivative J at the pooled vector. The class map is J applied to each
 *       pixel of the features, layer by layer, which is Grad-CAM's sum of the features weighted by
 *       the gradient, for all classes at once; for one linear layer J is its weights.
 *
 * Other networks are refused with the name of the node that is in the way, unless the user names a
 * map: then this map takes the place of the features, its LayerCAM that of the class map, and the
 * class map of the network itself is blank.
 *
 * Dropout may stand anywhere. The stored nodes that the scores do not need are removed. */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "models/onnx_in/import.h"

/* Returns the node that computes a value; NULL for the input. */
static const struct adl_stored_node *maker(const struct adl_stored *stored, int value)
{
    return value > 0 ? &stored->nodes[value - 1] : NULL;
}

/* Follows a value back over nodes of these ops. */
static int back_over(const struct adl_stored *stored, int value, const char *const *over)
{
    for (;;) {
        const struct adl_stored_node *node = maker(stored, value);
        bool found = false;
        for (int i = 0; node && over[i]; i++)
            found |= adl_stored_is(node, over[i]);
        if (!found)
            return value;
        value = node->inputs[0];
    }
}

static const char *const dropouts[] = {"dropout", NULL};
static const char *const activations[] = {"dropout", "relu", "relu6", "clip", "leaky_relu", NULL};

static bool is_pointwise_conv(const struct adl_stored_node *node)
{
    return adl_stored_is(node, "conv") && adl_stored_get(node, "r") == 1 &&
           adl_stored_get(node, "s") == 1 && adl_stored_get(node, "stride") == 1 &&
           adl_stored_get(node, "groups") == 1 && adl_stored_get(node, "top") == 0 &&
           adl_stored_get(node, "left") == 0 && adl_stored_get(node, "bottom") == 0 &&
           adl_stored_get(node, "right") == 0;
}

/* Returns the last map of more than one pixel at or below a value; 0: there is none. */
static int last_map(const struct adl_import *im, int value)
{
    for (; value > 0; value--) {
        struct adl_shape s = adl_graph_value(im->graph, value)->shape;
        if (s.h * s.w > 1)
            return value;
    }
    return 0;
}

static int refuse(const struct adl_import *im, const struct adl_stored_node *node,
                  struct adl_error *err)
{
    if (!node)
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "the scores are the input of the network");
    int map = last_map(im, (int)(node - im->stored->nodes));
    const char *name = map > 0 ? im->stored->nodes[map - 1].name : "LAYER";
    return adl_fail(
        err, ADL_ERR_UNSUPPORTED,
        "class maps need an end of global average pooling and linear layers, or of a 1x1 "
        "convolution to the classes and global average pooling; node %s (%s) breaks this rule; "
        "`convert --map-layer LAYER` takes the LayerCAM of a map that you name, such as %s",
        adl_name_quote(node->name, strlen(node->name)).text, adl_stored_op_name(node),
        adl_name_quote(name, strlen(name)).text);
}

/* --- classifiers of several layers ----------------------------------------------------------- */

/* Activations whose slope is an op, with their numbers; that of relu6 is the slope of a clip. */
static const char *const curves[] = {"relu",       "relu6",        "sigmoid",    "clip",
                                     "leaky_relu", "hard_sigmoid", "hard_swish", "silu",
                                     "gelu",       "gelu_tanh",    "tanh"};

static bool is_curve(const struct adl_stored_node *node)
{
    for (size_t i = 0; i < ADL_COUNT(curves); i++)
        if (adl_stored_is(node, curves[i]))
            return true;
    return false;
}

/* Adds a stored node of the class map after the layer `of`. */
static struct adl_stored_node *add_map_node(struct adl_import *im, const char *op, const char *of,
                                            const char *part, int input, struct adl_error *err)
{
    const struct adl_onnx_node_proto named = {.name = of, .op = op};
    return adl_import_add(im, op, &named, part, input, err);
}

static int commit_map_node(struct adl_import *im, const char *of, struct adl_error *err)
{
    const struct adl_onnx_node_proto named = {.name = of, .op = "class map"};
    return adl_import_commit(im, &named, err);
}

/* Applies the derivative of one layer to the map `map`; returns the new map, -1 with an error. */
static int apply_slope(struct adl_import *im, int layer, int map, struct adl_error *err)
{
    const struct adl_stored_node node = im->stored->nodes[layer - 1];
    struct adl_stored_node *added;
    char op[64];

    if (adl_stored_is(&node, "linear") || adl_stored_is(&node, "channel_affine")) {
        bool linear = adl_stored_is(&node, "linear");
        if (!node.params[0]) /* a bias alone */
            return map;
        added = add_map_node(im, linear ? "linear" : "channel_affine", node.name, ".map", map, err);
        if (!added)
            return -1;
        if (linear)
            adl_stored_set(added, "k", adl_stored_get(&node, "k"));
        added->params[0] = node.params[0];
        added->param_count = 1;
        return commit_map_node(im, node.name, err);
    }
    if (adl_stored_is(&node, "affine")) {
        added = add_map_node(im, "affine", node.name, ".map", map, err);
        if (!added)
            return -1;
        adl_stored_set(added, "a", adl_stored_get(&node, "a"));
        return commit_map_node(im, node.name, err);
    }
    if (adl_stored_is(&node, "layernorm")) {
        added = add_map_node(im, "layernorm_slope", node.name, ".map", map, err);
        if (!added)
            return -1;
        adl_stored_set(added, "eps", adl_stored_get(&node, "eps"));
        added->inputs[1] = node.inputs[0];
        added->input_count = 2;
        return commit_map_node(im, node.name, err);
    }
    bool six = adl_stored_is(&node, "relu6");
    snprintf(op, sizeof op, "slope_%s", six ? "clip" : adl_stored_op_name(&node));
    added = add_map_node(im, op, node.name, ".slope", node.inputs[0], err);
    if (!added)
        return -1;
    memcpy(added->numbers, node.numbers, sizeof added->numbers);
    if (six) {
        adl_stored_set(added, "a", 0);
        adl_stored_set(added, "b", 6);
    }
    int slope = commit_map_node(im, node.name, err);
    added = slope < 0 ? NULL : add_map_node(im, "scale", node.name, ".map", map, err);
    if (!added)
        return -1;
    added->inputs[1] = slope;
    added->input_count = 2;
    return commit_map_node(im, node.name, err);
}

/* Layers of a classifier. */
#define MOST_LAYERS 16

/* Makes the class map of a classifier whose last layer is the value `scores`. */
static int add_class_map(struct adl_import *im, int scores, struct adl_error *err)
{
    struct adl_stored *stored = im->stored;
    int layers[MOST_LAYERS], count = 0, value = scores;
    const struct adl_stored_node *node;

    for (;;) {
        value = back_over(stored, value, dropouts);
        node = maker(stored, value);
        bool fine = node && (adl_stored_is(node, "linear") || adl_stored_is(node, "affine") ||
                             adl_stored_is(node, "channel_affine") ||
                             adl_stored_is(node, "layernorm") || is_curve(node));
        if (!fine || count == MOST_LAYERS)
            break;
        layers[count++] = value;
        value = node->inputs[0];
    }
    if (!node || !adl_stored_is(node, "global_avgpool"))
        return refuse(im, node, err);
    stored->features = back_over(stored, node->inputs[0], dropouts);
    if (stored->features < 1)
        return refuse(im, node, err);
    int map = stored->features;
    while (map >= 0 && count > 0)
        map = apply_slope(im, layers[--count], map, err);
    stored->class_map = map;
    return map < 0 ? -1 : 0;
}

/* --- the three ends ----------------------------------------------------------------------------
 */

static int find_end(struct adl_import *im, bool *several, struct adl_error *err)
{
    struct adl_stored *stored = im->stored;
    int scores = back_over(stored, stored->logits, dropouts);
    const struct adl_stored_node *end = maker(stored, scores);

    *several = end && adl_stored_is(end, "sigmoid");
    if (*several)
        scores = back_over(stored, end->inputs[0], dropouts);
    stored->logits = scores;
    end = maker(stored, scores);
    if (end && adl_stored_is(end, "global_avgpool")) {
        stored->class_map = back_over(stored, end->inputs[0], dropouts);
        const struct adl_stored_node *conv =
            maker(stored, back_over(stored, stored->class_map, activations));
        if (!conv || !is_pointwise_conv(conv))
            return refuse(im, conv ? conv : end, err);
        stored->features = back_over(stored, conv->inputs[0], dropouts);
        stored->classifier = conv->params[0];
        return stored->features > 0 ? 0 : refuse(im, conv, err);
    }
    if (!end || !adl_stored_is(end, "linear"))
        return refuse(im, end, err);
    const struct adl_stored_node *pool = maker(stored, back_over(stored, end->inputs[0], dropouts));
    if (!pool || !adl_stored_is(pool, "global_avgpool"))
        return add_class_map(im, scores, err);
    stored->features = back_over(stored, pool->inputs[0], dropouts);
    stored->classifier = end->params[0];
    return stored->features > 0 ? 0 : refuse(im, pool, err);
}

/* Makes a map that the user names the features, with a blank class map. */
static int end_by_layer(struct adl_import *im, int classes, struct adl_error *err)
{
    struct adl_stored *stored = im->stored;
    int value = adl_graph_find_value(im->graph, im->map_layer);

    if (value < 1 || value > stored->logits)
        return adl_fail(err, ADL_ERR_ARG, "--map-layer: no layer below the scores is called %s",
                        adl_name_quote(im->map_layer, strlen(im->map_layer)).text);
    struct adl_shape s = adl_graph_value(im->graph, value)->shape;
    if (s.h * s.w < 2)
        return adl_fail(err, ADL_ERR_ARG, "--map-layer: %s is not a map but a vector",
                        adl_name_quote(im->map_layer, strlen(im->map_layer)).text);
    struct adl_stored_node *blank = add_map_node(im, "blank", im->map_layer, ".map", value, err);
    if (!blank)
        return -1;
    adl_stored_set(blank, "k", classes);
    stored->features = value;
    stored->classifier = NULL;
    stored->class_map = commit_map_node(im, im->map_layer, err);
    return stored->class_map < 0 ? -1 : 0;
}

/* Removes what the scores do not depend on, and numbers the values anew. */
static int prune(struct adl_stored *stored, struct adl_error *err)
{
    size_t count = (size_t)stored->count + 1;
    bool *needed = adl_calloc(count, sizeof *needed);
    int *moved = adl_calloc(count, sizeof *moved), kept = 0;

    if (!needed || !moved) {
        adl_free(needed);
        adl_free(moved);
        return adl_fail_nomem(err, "the network");
    }
    needed[stored->logits] = true;
    if (stored->class_map > 0)
        needed[stored->class_map] = true;
    for (int n = stored->count - 1; n >= 0; n--)
        for (int i = 0; needed[n + 1] && i < stored->nodes[n].input_count; i++)
            needed[stored->nodes[n].inputs[i]] = true;
    for (int n = 0; n < stored->count; n++) {
        if (!needed[n + 1])
            continue;
        struct adl_stored_node node = stored->nodes[n];
        for (int i = 0; i < node.input_count; i++)
            node.inputs[i] = moved[node.inputs[i]];
        stored->nodes[kept++] = node;
        moved[n + 1] = kept;
    }
    stored->count = kept;
    stored->features = moved[stored->features];
    stored->logits = moved[stored->logits];
    stored->class_map = stored->class_map < 0 ? -1 : moved[stored->class_map];
    adl_free(needed);
    adl_free(moved);
    return 0;
}

int adl_import_find_end(struct adl_import *im, const struct adl_import_value *scores, bool *several,
                        struct adl_error *err)
{
    if (scores->kind != ADL_IMPORT_MAP)
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "the output %s is a constant",
                        adl_name_quote(scores->name, strlen(scores->name)).text);
    im->stored->logits = scores->id;
    if (scores->id < 1 || !adl_import_is_vector(im, scores))
        return refuse(im, maker(im->stored, scores->id), err);
    int found = find_end(im, several, err);
    if (found < 0 && err->kind == ADL_ERR_UNSUPPORTED && im->map_layer) {
        *err = (struct adl_error){0};
        found = end_by_layer(im, adl_import_shape(im, scores).c, err);
    }
    if (found < 0 || prune(im->stored, err) < 0)
        return -1;
    adl_stored_find_scores(im->stored);
    return 0;
}
