/* The graph of a stored network: its nodes in their order, with the layers of training methods
 * after the places that the architecture names, and the branches of a method in place of what is
 * above the last map.
 *
 * Each node adds one value, and so does each layer of a method, so the value that a node reads in
 * the graph follows from its number in the description and the number of layers before it.
 *
 * A method such as BAS begins its branches at a finer map than the last one, and runs what is
 * between the two more than once. As every path goes through that map, the nodes above it can be
 * appended to any other value of its shape. No layers of methods are among them, as in the
 * backbones. */

#include <string.h>

#include "base/size.h"
#include "models/backbones/backbone.h"
#include "models/backbones/stored.h"

/* Elements of a map: beyond this no machine that runs the program has the memory. */
#define MOST_ELEMENTS 1073741824.0
/* Channels of the convolutions of branches: those of the last map, but not more than the networks
 * of this program have. */
#define MOST_HEAD_CHANNELS 1024
#define LEAST_HEAD_CHANNELS 16

/* A network that is being appended. */
struct builder {
    struct adl_graph *graph;
    const struct adl_stored *stored;
    int num_classes; /* 0: as described */
    int first;       /* the value of the first node */
    int layers;      /* of methods, after each place */
    uint32_t places; /* bit i: layers follow stored->places[i] */
    /* Where only the nodes above a value are appended: the network below, that value, and what
     * takes its place. */
    const struct builder *below;
    int base, input;
};

/* Returns the number of layers that are appended before the value `value`, or, with `after`, before
 * what reads it. */
static int layers_before(const struct builder *b, int value, bool after)
{
    int count = 0;
    for (int i = 0; i < b->stored->place_count; i++)
        if (b->places >> i & 1 &&
            (b->stored->places[i] < value || (after && b->stored->places[i] == value)))
            count += b->layers;
    return count;
}

/* Returns the value of the graph that is the stored value `value`, or, with `after`, what the
 * layers behind it make of it. */
static int graph_value(const struct builder *b, int value, bool after)
{
    if (b->below && value <= b->base)
        return value == b->base ? b->input : graph_value(b->below, value, after);
    if (b->below)
        return b->first + value - b->base - 1;
    return value == 0 ? 0 : b->first + value - 1 + layers_before(b, value, after);
}

static int append(const struct builder *b, int index)
{
    struct adl_stored_node node = b->stored->nodes[index];
    struct adl_graph *graph = b->graph;
    int in[ADL_MAX_OP_INPUTS];
    const char *weight = node.params[0];

    /* Another number of classes changes the layer of the scores alone, and a class map of zeros. */
    bool scores = b->stored->scores && weight && strcmp(weight, b->stored->scores) == 0 &&
                  (adl_stored_is(&node, "linear") || adl_stored_is(&node, "conv"));
    if (b->num_classes && (scores || adl_stored_is(&node, "blank")))
        adl_stored_set(&node, "k", b->num_classes);
    for (int i = 0; i < node.input_count; i++)
        in[i] = graph_value(b, node.inputs[i], true);
    /* A parameter that an earlier node has is read again, not trained again: by the class map of a
     * classifier of several layers. What is appended a second time is a copy as a whole. */
    bool copy = !b->below && weight && adl_graph_find_param(graph, weight) >= 0;
    if (copy)
        adl_graph_begin_copy(graph, "map");
    int value = node.op->build(graph, &node, in);
    if (copy)
        adl_graph_end_copy(graph);
    if (value < 0)
        return -1;
    struct adl_shape shape = adl_graph_value(graph, value)->shape;
    if ((double)shape.h * (double)shape.w * (double)shape.c > MOST_ELEMENTS)
        return adl_graph_fail(graph, "%s: its map of %dx%dx%d is too large", node.name, shape.h,
                              shape.w, shape.c);
    return value;
}

int adl_stored_append(struct adl_graph *graph, const struct adl_stored *stored, int index)
{
    return append(&(struct builder){.graph = graph, .stored = stored, .first = 1}, index);
}

/* Checks that the ends are what they are said to be, and sets them. */
static void set_ends(const struct builder *b)
{
    struct adl_graph *graph = b->graph;
    const struct adl_stored *stored = b->stored;
    int features = graph_value(b, stored->features, false);
    int logits = graph_value(b, stored->logits, false);
    int map = stored->class_map < 0 ? -1 : graph_value(b, stored->class_map, false);
    int classifier = stored->classifier ? adl_graph_find_param(graph, stored->classifier) : -1;
    struct adl_shape f = adl_graph_value(graph, features)->shape;
    struct adl_shape l = adl_graph_value(graph, logits)->shape;
    struct adl_shape m = map < 0 ? f : adl_graph_value(graph, map)->shape;

    if (l.h != 1 || l.w != 1 || l.c != b->num_classes)
        adl_graph_fail(graph, "the logits are %dx%dx%d, not %d numbers", l.h, l.w, l.c,
                       b->num_classes);
    else if (m.h != f.h || m.w != f.w || (map >= 0 && m.c != b->num_classes))
        adl_graph_fail(graph, "the class map does not fit the features or the classes");
    else if (stored->classifier && classifier < 0)
        adl_graph_fail(graph, "no node has the classifier's parameter");
    else if (classifier >= 0 &&
             adl_graph_param(graph, classifier)->count != (size_t)b->num_classes * (size_t)f.c)
        adl_graph_fail(graph, "the classifier does not fit the features and the classes");
    else {
        adl_graph_set_output(graph, ADL_OUTPUT_FEATURES, features);
        adl_graph_set_output(graph, ADL_OUTPUT_LOGITS, logits);
        if (map >= 0)
            adl_graph_set_output(graph, ADL_OUTPUT_CLASS_MAP, map);
        if (classifier >= 0)
            adl_graph_set_classifier(graph, classifier);
    }
}

/* Appends the nodes above the finer map to the value x; returns the last map. */
static int upper(struct adl_graph *graph, const void *context, int x)
{
    const struct builder *below = context;
    struct builder b = *below;
    int value = x;

    b.first = adl_graph_value_count(graph);
    b.layers = 0;
    b.below = below;
    b.base = b.stored->fine;
    b.input = x;
    for (int i = b.base; value >= 0 && i < b.stored->features; i++)
        value = append(&b, i);
    return value;
}

/* Ends the network with the branches of a method. */
static void add_branches(const struct builder *b, const struct adl_arch *arch)
{
    const struct adl_stored *stored = b->stored;
    bool fine = adl_arch_has_fine_base(arch);
    int features = graph_value(b, fine ? stored->fine : stored->features, false);
    int channels = adl_graph_value(b->graph, features)->shape.c;
    channels = ADL_MAX(ADL_MIN(channels, MOST_HEAD_CHANNELS), LEAST_HEAD_CHANNELS);
    struct adl_method_base base = {.features = features,
                                   .head_channels = channels,
                                   .side_channels = channels,
                                   .classifier = "SPG_A4",
                                   .xavier = adl_arch_has_named_stages(arch),
                                   .upper = upper,
                                   .context = b};

    if (adl_arch_has_named_stages(arch) && (stored->early < 0 || stored->late < 0)) {
        adl_graph_fail(b->graph,
                       "the method %s needs three maps of the size of the last one, which this "
                       "network does not have",
                       adl_arch_branches(arch)->name);
        return;
    }
    if (stored->early >= 0) {
        base.early = graph_value(b, stored->early, false);
        base.late = graph_value(b, stored->late, false);
    }
    adl_arch_add_branches(b->graph, arch, base);
}

static int count_layers(const struct adl_arch *arch)
{
    int layers = 0;
    for (const struct adl_method *m = adl_method_next(arch->methods, NULL); m;
         m = adl_method_next(arch->methods, m))
        layers += m->layer != NULL;
    return layers;
}

/* Returns whether layers of methods follow a stored value. */
static bool is_place(const struct builder *b, int value)
{
    bool found = false;
    for (int i = 0; i < b->stored->place_count; i++)
        found |= b->places >> i & 1 && b->stored->places[i] == value;
    return found;
}

void adl_stored_build(struct adl_graph *graph, const struct adl_arch *arch)
{
    const struct adl_stored *stored = arch->stored;
    const bool branches = adl_arch_branches(arch) != NULL;
    const bool fine = adl_arch_has_fine_base(arch);
    const int count = fine ? stored->fine : branches ? stored->features : stored->count;
    const struct builder b = {.graph = graph,
                              .stored = stored,
                              .num_classes = arch->num_classes,
                              .first = adl_graph_value_count(graph),
                              .layers = count_layers(arch),
                              .places = arch->adl_places};
    int value = 0;

    if (fine && stored->fine < 0) {
        adl_graph_fail(graph,
                       "the method %s needs a map of larger sides than the last one, through which "
                       "all of the network goes; this network has none",
                       adl_arch_branches(arch)->name);
        return;
    }
    for (int i = 0; value >= 0 && i < count; i++) {
        value = append(&b, i);
        if (value >= 0 && b.layers > 0 && is_place(&b, i + 1))
            value = adl_arch_add_layers(graph, arch, value, stored->nodes[i].name, NULL);
    }
    if (value >= 0 && branches)
        add_branches(&b, arch);
    else if (value >= 0)
        set_ends(&b);
}
