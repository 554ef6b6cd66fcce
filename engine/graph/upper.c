/* Cuts a graph at one of its values.
 *
 * The values that the logits depend on are marked from the logits downward, and nothing is marked
 * below the layer. If the input of the network gets a mark, a path leads around the layer: the
 * gradient at the layer would be right, but the nodes above it could not be run from its map alone.
 * The marked nodes, in the order of the graph, are the upper part. */

#include "graph/upper.h"

#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/str.h"

/* Marks the values from `layer` up that the logits depend on. Returns whether the logits depend on
 * the layer, and on nothing else. */
static bool mark(const struct adl_graph *graph, int layer, bool *needed)
{
    int logits = adl_graph_output(graph, ADL_OUTPUT_LOGITS);

    memset(needed, 0, (size_t)adl_graph_value_count(graph) * sizeof *needed);
    if (logits < 0)
        return false;
    needed[logits] = true;
    for (int i = adl_graph_node_count(graph) - 1; i >= 0; i--) {
        const struct adl_node *node = adl_graph_node(graph, i);
        if (!needed[node->output] || node->output == layer)
            continue;
        for (int j = 0; j < node->input_count; j++)
            needed[node->inputs[j]] = true;
    }
    return layer != logits && needed[layer] && !needed[0];
}

static bool has_positions(const struct adl_graph *graph, int value)
{
    struct adl_shape shape = adl_graph_value(graph, value)->shape;
    return shape.h * shape.w > 1;
}

static void append_layer(const struct adl_value *layer, struct adl_str *list)
{
    adl_str_printf(list, "%s%s (%d x %d)", list->length ? ", " : "", layer->name, layer->shape.w,
                   layer->shape.h);
}

/* Appends the names of usable layers: of each size of map the last. */
static void list_layers(const struct adl_graph *graph, bool *needed, struct adl_str *list)
{
    const struct adl_value *last = NULL;

    for (int i = 1; i < adl_graph_value_count(graph); i++) {
        const struct adl_value *value = adl_graph_value(graph, i);
        if (!has_positions(graph, i) || adl_graph_node(graph, value->node)->def->training_only ||
            !mark(graph, i, needed))
            continue;
        if (last && value->shape.h != last->shape.h)
            append_layer(last, list);
        last = value;
    }
    if (last)
        append_layer(last, list);
}

static int fail_unknown(const struct adl_graph *graph, const char *name, bool *needed,
                        struct adl_error *err)
{
    struct adl_nearest nearest = {.word = name};
    struct adl_str list = {0};

    for (int value = 1; value < adl_graph_value_count(graph); value++)
        if (has_positions(graph, value) && mark(graph, value, needed))
            adl_nearest_offer(&nearest, adl_graph_value(graph, value)->name);
    list_layers(graph, needed, &list);
    adl_fail(err, ADL_ERR_NOT_FOUND,
             "the network has no layer \"%s\"%s%s%s; of each size of map, the last layer is %s",
             ADL_SHORT(name), nearest.best ? "; did you mean " : "",
             nearest.best ? nearest.best : "", nearest.best ? "?" : "",
             list.data ? list.data : "?");
    adl_str_release(&list);
    return -1;
}

int adl_graph_find_layer(const struct adl_graph *graph, const char *name, struct adl_error *err)
{
    int value = adl_graph_find_value(graph, name), result = -1;
    bool *needed = adl_malloc((size_t)adl_graph_value_count(graph), sizeof *needed);

    if (!needed)
        return adl_fail_nomem(err, "a layer");
    if (adl_graph_part_count(graph) > 0)
        adl_fail(err, ADL_ERR_UNSUPPORTED,
                 "a network of several rounds has no map of a single layer");
    else if (value < 1)
        fail_unknown(graph, name, needed, err);
    else if (!has_positions(graph, value))
        adl_fail(err, ADL_ERR_UNSUPPORTED, "the layer %s has no positions, so it has no map",
                 ADL_SHORT(name));
    else if (!mark(graph, value, needed))
        adl_fail(err, ADL_ERR_UNSUPPORTED,
                 "the scores do not depend on the layer %s alone: it lies in a block that paths "
                 "lead around, or in a branch; the output of the block has a map",
                 ADL_SHORT(name));
    else
        result = value;
    adl_free(needed);
    return result;
}

/* --- the copy ------------------------------------------------------------------------ */

struct copy {
    const struct adl_graph *from;
    struct adl_graph *to;
    int *values;   /* by value of `from`: that of `to`, 0 if it has none */
    int *original; /* by parameter of `to`: that of `from` */
    int param_count;
};

/* Returns the parameter of the copy, which is added when it is met for the first time. */
static int copy_param(struct copy *c, int id)
{
    if (id < 0)
        return -1;
    for (int i = 0; i < c->param_count; i++)
        if (c->original[i] == id)
            return i;
    const struct adl_param *param = adl_graph_param(c->from, id);
    int added = adl_graph_add_param(c->to, param->name, param->role, param->rank, param->shape);
    if (added >= 0)
        c->original[c->param_count++] = id;
    return added;
}

static void copy_node(struct copy *c, const struct adl_node *node)
{
    int inputs[ADL_MAX_OP_INPUTS], params[ADL_MAX_OP_PARAMS];

    for (int i = 0; i < node->input_count; i++)
        inputs[i] = c->values[node->inputs[i]];
    for (int i = 0; i < node->param_count; i++)
        params[i] = copy_param(c, node->params[i]);
    c->values[node->output] =
        adl_graph_add(c->to, adl_graph_value(c->from, node->output)->name, node->def, node->attr,
                      node->attr_bytes, inputs, node->input_count, params, node->param_count);
}

struct adl_graph *adl_graph_upper(const struct adl_graph *graph, int layer, int **params,
                                  struct adl_error *err)
{
    int values = adl_graph_value_count(graph), result = -1;
    struct copy c = {.from = graph};
    bool *needed = adl_malloc((size_t)values, sizeof *needed);

    *params = NULL;
    c.values = adl_calloc((size_t)values, sizeof *c.values);
    c.original = adl_malloc((size_t)adl_graph_param_count(graph) + 1, sizeof *c.original);
    if (!needed || !c.values || !c.original) {
        adl_fail_nomem(err, "the upper part of the network");
        goto out;
    }
    c.to = adl_graph_create(adl_graph_value(graph, layer)->shape, err);
    if (!c.to)
        goto out;
    mark(graph, layer, needed);
    for (int i = 0; i < adl_graph_node_count(graph); i++) {
        const struct adl_node *node = adl_graph_node(graph, i);
        if (node->output > layer && needed[node->output])
            copy_node(&c, node);
    }
    adl_graph_set_output(c.to, ADL_OUTPUT_LOGITS,
                         c.values[adl_graph_output(graph, ADL_OUTPUT_LOGITS)]);
    result = adl_graph_finish(c.to, err);
out:
    adl_free(needed);
    adl_free(c.values);
    if (result < 0) {
        adl_graph_free(c.to);
        adl_free(c.original);
        return NULL;
    }
    *params = c.original;
    return c.to;
}
