/* Where layers of training methods may stand in a stored network, and where they stand unless the
 * user says otherwise.
 *
 * A layer such as ADL's hides a part of a map, so nothing may pass around it: it may follow a value
 * through which every path from the input to the features goes, as the outputs of residual blocks,
 * of dense blocks and of Inception modules, and each layer of a network without branches. With the
 * values in their order, v is one of these if no node after v reads a value before v. Of a value
 * and the batch norm or activation after it, which alone reads it, only the last counts.
 *
 * The default follows the reference implementation (wsolevaluation): in ResNet-50 ADL follows the
 * first block of layer3 and the first and the last block of layer4. A stage is a run of these
 * values with equal sides, and begins anew where the channels double, unless the stage has only a
 * pool so far; layers stand after the first value of the last stage but one, and the first and the
 * last one of the last stage. Where the last stage has a single value, they follow the first values
 * of the last three stages. Only values after an activation count, as ADL's attention is a mean of
 * values that are rarely negative; where there is none, all count. */

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "models/backbones/backbone.h"
#include "models/backbones/stored.h"

/* Ops through which a value is looked for an activation. */
#define MOST_STEPS 8

static const struct adl_stored_node *maker(const struct adl_stored *stored, int value)
{
    return value > 0 ? &stored->nodes[value - 1] : NULL;
}

static bool is_one_of(const struct adl_stored_node *node, const char *const *ops, size_t count)
{
    for (size_t i = 0; node && i < count; i++)
        if (adl_stored_is(node, ops[i]))
            return true;
    return false;
}

/* Returns whether a node changes each value by itself, so that a layer stands after it and not
 * before it. */
static bool goes_on(const struct adl_stored_node *node)
{
    static const char *const ops[] = {
        "batchnorm",  "relu",         "relu6",      "sigmoid", "clip",          "affine",
        "leaky_relu", "hard_sigmoid", "hard_swish", "silu",    "gelu",          "gelu_tanh",
        "erf",        "tanh",         "layernorm",  "dropout", "channel_affine"};
    return is_one_of(node, ops, ADL_COUNT(ops));
}

/* Returns whether a value comes from activations, perhaps pooled or joined. */
static bool is_activated(const struct adl_stored *stored, int value, int steps)
{
    static const char *const curves[] = {"relu",    "relu6",        "clip",       "leaky_relu",
                                         "sigmoid", "hard_sigmoid", "hard_swish", "silu",
                                         "gelu",    "gelu_tanh"};
    static const char *const keeps[] = {"maxpool", "avgpool", "pool",  "shuffle", "slice",
                                        "dropout", "concat",  "scale", "gate",    "resize"};
    const struct adl_stored_node *node = maker(stored, value);
    bool all = is_one_of(node, keeps, ADL_COUNT(keeps)) && steps > 0;

    if (is_one_of(node, curves, ADL_COUNT(curves)))
        return true;
    for (int i = 0; all && i < node->input_count; i++)
        all = is_activated(stored, node->inputs[i], steps - 1);
    return all;
}

static void add_place(struct adl_stored *stored, int value)
{
    if (stored->place_count == ADL_STORED_PLACES)
        memmove(stored->places, stored->places + 1,
                (size_t)--stored->place_count * sizeof *stored->places);
    stored->places[stored->place_count++] = value;
}

/* Finds the values that all paths to the features go through; `last` and `readers` are by value:
 * the last node that reads it, as its own value, and how many do. */
static void find_cuts(struct adl_stored *stored, const struct adl_graph *graph, const int *last,
                      const int *readers)
{
    int reach = last[0];
    for (int v = 1; v <= stored->features; v++) {
        struct adl_shape s = adl_graph_value(graph, v)->shape;
        bool read = v == stored->features || readers[v] > 0;
        bool more = v < stored->features && readers[v] == 1 && goes_on(maker(stored, last[v]));
        if (read && reach <= v && !more && s.h * s.w > 1)
            add_place(stored, v);
        reach = ADL_MAX(reach, last[v]);
    }
}

/* The values that count for the default. */
struct chosen {
    int places[ADL_STORED_PLACES]; /* indices in stored->places */
    int count;
};

static struct chosen choose(const struct adl_stored *stored)
{
    struct chosen c = {.count = 0};
    for (int i = 0; i < stored->place_count; i++)
        if (is_activated(stored, stored->places[i], MOST_STEPS))
            c.places[c.count++] = i;
    for (int i = 0; c.count == 0 && i < stored->place_count; i++)
        c.places[i] = i;
    c.count = c.count ? c.count : stored->place_count;
    return c;
}

/* Sets first[i] to the number in `chosen` at which stage i begins; returns the number of stages. */
static int find_stages(const struct adl_stored *stored, const struct adl_graph *graph,
                       const struct chosen *chosen, int first[ADL_STORED_PLACES])
{
    static const char *const pools[] = {"maxpool", "avgpool", "pool"};
    int stages = 0;
    bool only_pools = false;
    struct adl_shape before = {0};

    for (int i = 0; i < chosen->count; i++) {
        int value = stored->places[chosen->places[i]];
        struct adl_shape s = adl_graph_value(graph, value)->shape;
        bool smaller = i == 0 || s.h != before.h || s.w != before.w;
        if (smaller || (s.c >= 2 * before.c && !only_pools)) {
            first[stages++] = i;
            only_pools = true;
        }
        only_pools = only_pools && is_one_of(maker(stored, value), pools, ADL_COUNT(pools));
        before = s;
    }
    return stages;
}

static void choose_default(struct adl_stored *stored, const struct chosen *chosen, const int *first,
                           int stages)
{
    int picks[3] = {-1, -1, -1};
    int last = stages > 0 ? first[stages - 1] : 0;

    if (stages == 0)
        return;
    picks[0] = last;
    picks[1] = stages > 1 ? first[stages - 2] : -1;
    picks[2] = last < chosen->count - 1 ? chosen->count - 1 : stages > 2 ? first[stages - 3] : -1;
    for (size_t i = 0; i < ADL_COUNT(picks); i++)
        if (picks[i] >= 0)
            stored->place_default |= UINT32_C(1) << chosen->places[picks[i]];
}

/* Sets the maps below the features, of the same sides, at which side branches may begin: the first
 * and the last of them. */
static void choose_sides(struct adl_stored *stored, const struct adl_graph *graph)
{
    struct adl_shape f = adl_graph_value(graph, stored->features)->shape;
    int early = -1, late = -1;

    for (int i = 0; i < stored->place_count; i++) {
        int value = stored->places[i];
        struct adl_shape s = adl_graph_value(graph, value)->shape;
        if (value == stored->features || s.h != f.h || s.w != f.w)
            continue;
        early = early < 0 ? value : early;
        late = value;
    }
    stored->early = early < late ? early : -1;
    stored->late = early < late ? late : -1;
}

/* Sets the map at which branches begin that want a finer one than the features: the last before the
 * sides shrink to theirs. Values after an activation are preferred, as for the default. */
static void choose_fine(struct adl_stored *stored, const struct adl_graph *graph,
                        const struct chosen *chosen)
{
    struct adl_shape f = adl_graph_value(graph, stored->features)->shape;

    for (int i = 0; i < chosen->count; i++) {
        int value = stored->places[chosen->places[i]];
        struct adl_shape s = adl_graph_value(graph, value)->shape;
        if (value < stored->features && s.h > f.h && s.w > f.w)
            stored->fine = value;
    }
}

/* Fills in the readers of values among the nodes that the features depend on. */
static void count_readers(const struct adl_stored *stored, int *last, int *readers, bool *needed)
{
    needed[stored->features] = true;
    for (int v = stored->features; v > 0; v--) {
        const struct adl_stored_node *node = maker(stored, v);
        for (int i = 0; needed[v] && i < node->input_count; i++) {
            int in = node->inputs[i];
            needed[in] = true;
            last[in] = ADL_MAX(last[in], v);
            readers[in]++;
        }
    }
}

int adl_stored_find_places(struct adl_stored *stored, int num_classes, int input_h, int input_w,
                           struct adl_error *err)
{
    size_t values = (size_t)stored->count + 1;
    int *last = adl_calloc(values, sizeof *last), *readers = adl_calloc(values, sizeof *readers);
    bool *needed = adl_calloc(values, sizeof *needed);
    struct adl_graph *graph = NULL;
    int first[ADL_STORED_PLACES] = {0}, result = -1;
    struct adl_arch plain = {
        .backbone = &adl_backbone_onnx, .stored = stored, .num_classes = num_classes};

    stored->place_count = 0;
    stored->place_default = 0;
    stored->early = stored->late = stored->fine = -1;
    if (!last || !readers || !needed) {
        adl_fail_nomem(err, "the network");
        goto out;
    }
    graph = adl_graph_create((struct adl_shape){input_h, input_w, 3}, err);
    if (!graph)
        goto out;
    adl_stored_build(graph, &plain);
    ADL_TRY(adl_graph_finish(graph, err));
    count_readers(stored, last, readers, needed);
    find_cuts(stored, graph, last, readers);
    struct chosen chosen = choose(stored);
    int stages = find_stages(stored, graph, &chosen, first);
    choose_default(stored, &chosen, first, stages);
    choose_sides(stored, graph);
    choose_fine(stored, graph, &chosen);
    result = 0;
out:
    adl_graph_free(graph);
    adl_free(last);
    adl_free(readers);
    adl_free(needed);
    return result;
}
