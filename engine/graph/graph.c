/* Builds graphs and reads them. Values, nodes and parameters are three growing arrays, and
 * ids are indices into them, so an id stays valid while the arrays move. Everything of
 * variable size (names, attributes, lists of inputs) lies in an arena that is freed with the
 * graph. Nodes are added after the values they read, so the array is in topological order. */

#include "graph/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/size.h"

struct adl_graph {
    struct adl_arena arena; /* names, attributes, input lists */
    struct adl_value *values;
    struct adl_node *nodes;
    struct adl_param *params;
    int value_count, node_count, param_count;
    size_t value_capacity, node_capacity, param_capacity;
    int outputs[ADL_OUTPUT_COUNT]; /* value ids; -1 where the network has no such output */
    int classifier;                /* parameter id; -1: none */
    int taps[ADL_MAX_TAPS];        /* value ids */
    int tap_count;
    const char *copy_prefix; /* of the layers that are being added again; NULL: none are */
    bool copies;             /* these are copies */
    int part_count;
    int part_logits[ADL_MAX_PARTS]; /* value ids, of part i + 1 */
    int part;                       /* the part that is being added; 0: none is */
    const char *part_prefix;        /* of its names, with the point; NULL: none */
    int part_input;                 /* value id that stands in the place of value 0 */
    struct adl_graph_part own;      /* outputs and classifier of that part */
    struct adl_error error;         /* the first error while building */
};

static const char *part_prefix(const struct adl_graph *graph)
{
    return graph->part_prefix ? graph->part_prefix : "";
}

static int add_value(struct adl_graph *graph, const char *name, struct adl_shape shape, int node)
{
    struct adl_value *values = adl_array_grow(graph->values, &graph->value_capacity,
                                              (size_t)graph->value_count + 1, sizeof *values);
    if (!values)
        return adl_fail_nomem(&graph->error, "the graph");
    graph->values = values;
    const char *prefix = graph->copy_prefix;
    char *copy = adl_arena_printf(&graph->arena, "%s%s%s%s", part_prefix(graph),
                                  prefix ? prefix : "", prefix ? "." : "", name);
    if (!copy)
        return adl_fail_nomem(&graph->error, "the graph");
    graph->values[graph->value_count] = (struct adl_value){copy, shape, node};
    return graph->value_count++;
}

struct adl_graph *adl_graph_create(struct adl_shape input, struct adl_error *err)
{
    struct adl_graph *graph = adl_calloc(1, sizeof *graph);
    if (!graph) {
        adl_fail_nomem(err, "the graph");
        return NULL;
    }
    for (int i = 0; i < ADL_OUTPUT_COUNT; i++)
        graph->outputs[i] = -1;
    graph->classifier = -1;
    if (input.h < 1 || input.w < 1 || input.c < 1)
        adl_graph_fail(graph, "the input is %d x %d x %d, but each dimension must be at least 1",
                       input.h, input.w, input.c);
    else
        add_value(graph, "input", input, -1);
    /* Builder calls read the shape of value 0, so a graph without it is not returned. */
    if (adl_graph_finish(graph, err) < 0) {
        adl_graph_free(graph);
        return NULL;
    }
    return graph;
}

void adl_graph_free(struct adl_graph *graph)
{
    if (!graph)
        return;
    adl_arena_release(&graph->arena);
    adl_free(graph->values);
    adl_free(graph->nodes);
    adl_free(graph->params);
    adl_free(graph);
}

int adl_graph_fail(struct adl_graph *graph, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    adl_fail_with(&graph->error, ADL_ERR_ARG, fmt, args);
    va_end(args);
    return -1;
}

const char *adl_graph_name(struct adl_graph *graph, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    char *copy = adl_arena_printf(&graph->arena, "%s", text);
    if (!copy)
        adl_fail_nomem(&graph->error, "the graph");
    return copy ? copy : "";
}

/* Returns the parameter of that name, which a copy of a node shares. */
static int copied_param(struct adl_graph *graph, const char *name, int rank, const size_t *shape)
{
    int id = adl_graph_find_param(graph, name);
    const struct adl_param *param = id < 0 ? NULL : &graph->params[id];
    if (!param || param->rank != rank ||
        memcmp(param->shape, shape, (size_t)rank * sizeof *shape) != 0)
        return adl_graph_fail(graph, "there is no parameter %s of that shape to copy", name);
    return id;
}

int adl_graph_add_param(struct adl_graph *graph, const char *name, enum adl_param_role role,
                        int rank, const size_t *shape)
{
    if (graph->error.kind)
        return -1;
    if (graph->copy_prefix)
        return copied_param(graph, name, rank, shape);
    struct adl_param *params = adl_array_grow(graph->params, &graph->param_capacity,
                                              (size_t)graph->param_count + 1, sizeof *params);
    if (!params)
        return adl_fail_nomem(&graph->error, "the graph");
    graph->params = params;
    struct adl_param param = {.role = role,
                              .rank = rank,
                              .count = 1,
                              .part = graph->part,
                              .prefix = strlen(part_prefix(graph))};
    param.name = adl_arena_printf(&graph->arena, "%s%s", part_prefix(graph), name);
    if (!param.name)
        return adl_fail_nomem(&graph->error, "the graph");
    for (int i = 0; i < rank; i++) {
        param.shape[i] = shape[i];
        if (adl_size_mul(param.count, shape[i], &param.count) < 0)
            return adl_graph_fail(graph, "parameter %s is too large", name);
    }
    graph->params[graph->param_count] = param;
    return graph->param_count++;
}

/* Infers the shape of the node's output from `shapes`, which is indexed by value id. */
static int infer_node(const struct adl_node *node, const struct adl_shape *shapes,
                      struct adl_shape *out, struct adl_error *err)
{
    struct adl_shape in[ADL_MAX_OP_INPUTS];
    for (int i = 0; i < node->input_count; i++)
        in[i] = shapes[node->inputs[i]];
    return node->def->infer(node, in, out, err);
}

int adl_graph_add(struct adl_graph *graph, const char *name, const struct adl_op_def *def,
                  const void *attr, size_t attr_bytes, const int *inputs, int input_count,
                  const int *params, int param_count)
{
    if (graph->error.kind)
        return -1;
    if (input_count < 1 || input_count > ADL_MAX_OP_INPUTS)
        return adl_graph_fail(graph, "%s has %d inputs, but must have 1 to %d", name, input_count,
                              ADL_MAX_OP_INPUTS);
    struct adl_node *nodes = adl_array_grow(graph->nodes, &graph->node_capacity,
                                            (size_t)graph->node_count + 1, sizeof *nodes);
    if (!nodes)
        return adl_fail_nomem(&graph->error, "the graph");
    graph->nodes = nodes;

    int *input_copy = adl_arena_alloc(&graph->arena, (size_t)input_count, sizeof *input_copy);
    void *attr_copy = adl_arena_alloc(&graph->arena, attr_bytes ? attr_bytes : 1, 1);
    if (!input_copy || !attr_copy)
        return adl_fail_nomem(&graph->error, "the graph");
    memcpy(input_copy, inputs, (size_t)input_count * sizeof *input_copy);
    if (attr_bytes)
        memcpy(attr_copy, attr, attr_bytes);

    struct adl_node node = {
        .def = def,
        .attr = attr_copy,
        .attr_bytes = attr_bytes,
        .inputs = input_copy,
        .input_count = input_count,
        .output = graph->value_count,
        .param_count = param_count,
        .copy = graph->copies,
        .part = graph->part,
    };
    struct adl_shape in[ADL_MAX_OP_INPUTS], out = {0, 0, 0};
    for (int i = 0; i < input_count; i++) {
        if (inputs[i] < 0 || inputs[i] >= graph->value_count)
            return adl_graph_fail(graph, "%s reads a value that does not exist", name);
        if (inputs[i] == 0)
            input_copy[i] = graph->part_input;
        in[i] = graph->values[input_copy[i]].shape;
    }
    for (int i = 0; i < ADL_MAX_OP_PARAMS; i++)
        node.params[i] = i < param_count ? params[i] : -1;
    if (def->infer(&node, in, &out, &graph->error) < 0)
        return adl_error_context(&graph->error, "%s", name);
    int value = add_value(graph, name, out, graph->node_count);
    if (value >= 0)
        graph->nodes[graph->node_count++] = node;
    return value;
}

void adl_graph_set_output(struct adl_graph *graph, enum adl_output which, int value)
{
    int *outputs = graph->part ? graph->own.outputs : graph->outputs;
    outputs[which] = value;
}

void adl_graph_set_classifier(struct adl_graph *graph, int param)
{
    int *classifier = graph->part ? &graph->own.classifier : &graph->classifier;
    *classifier = param;
}

void adl_graph_begin_part(struct adl_graph *graph, int number, const char *prefix)
{
    if (number != graph->part_count + 1 || number > ADL_MAX_PARTS) {
        adl_graph_fail(graph, "network %d of at most %d follows %d", number, ADL_MAX_PARTS,
                       graph->part_count);
        return;
    }
    graph->part = number;
    graph->part_prefix = *prefix ? adl_graph_name(graph, "%s.", prefix) : NULL;
    graph->own = (struct adl_graph_part){.classifier = -1};
    for (int i = 0; i < ADL_OUTPUT_COUNT; i++)
        graph->own.outputs[i] = -1;
}

void adl_graph_set_part_input(struct adl_graph *graph, int value)
{
    if (!graph->error.kind)
        graph->part_input = value;
}

void adl_graph_end_part(struct adl_graph *graph, struct adl_graph_part *part)
{
    *part = graph->own;
    if (graph->part)
        graph->part_logits[graph->part_count++] = part->outputs[ADL_OUTPUT_LOGITS];
    graph->part = graph->part_input = 0;
    graph->part_prefix = NULL;
}

int adl_graph_add_tap(struct adl_graph *graph, int value)
{
    if (graph->error.kind)
        return -1;
    if (graph->tap_count == ADL_MAX_TAPS)
        return adl_graph_fail(graph, "the loss depends on more than %d values", ADL_MAX_TAPS);
    graph->taps[graph->tap_count] = value;
    return graph->tap_count++;
}

void adl_graph_set_zero(struct adl_graph *graph, int param)
{
    if (param >= 0)
        graph->params[param].zero = true;
}

void adl_graph_set_xavier(struct adl_graph *graph, int param)
{
    if (!graph->error.kind)
        graph->params[param].xavier = true;
}

void adl_graph_begin_copy(struct adl_graph *graph, const char *prefix)
{
    adl_graph_begin_shared(graph, prefix);
    graph->copies = true;
}

void adl_graph_end_copy(struct adl_graph *graph)
{
    adl_graph_end_shared(graph);
    graph->copies = false;
}

void adl_graph_begin_shared(struct adl_graph *graph, const char *prefix)
{
    graph->copy_prefix = adl_graph_name(graph, "%s", prefix);
}

void adl_graph_end_shared(struct adl_graph *graph)
{
    graph->copy_prefix = NULL;
}

/* Marks the nodes that no output depends on, from the last node, since a node comes after those
 * that it reads. A graph without outputs is one that is being built or tested; nothing is marked
 * then. */
static void mark_training_only(struct adl_graph *graph)
{
    bool outputs = false;
    for (int i = 0; i < ADL_OUTPUT_COUNT; i++)
        outputs |= graph->outputs[i] >= 0;
    for (int i = 0; outputs && i < graph->node_count; i++)
        graph->nodes[i].training_only = true;
    for (int i = 0; i < ADL_OUTPUT_COUNT; i++)
        if (graph->outputs[i] > 0)
            graph->nodes[graph->values[graph->outputs[i]].node].training_only = false;
    for (int i = graph->node_count - 1; i >= 0; i--)
        for (int j = 0; !graph->nodes[i].training_only && j < graph->nodes[i].input_count; j++)
            if (graph->nodes[i].inputs[j] > 0)
                graph->nodes[graph->values[graph->nodes[i].inputs[j]].node].training_only = false;
}

int adl_graph_finish(struct adl_graph *graph, struct adl_error *err)
{
    if (graph->error.kind)
        return adl_fail(err, graph->error.kind, "%s", graph->error.message);
    mark_training_only(graph);
    return 0;
}

int adl_graph_value_count(const struct adl_graph *graph)
{
    return graph->value_count;
}

int adl_graph_node_count(const struct adl_graph *graph)
{
    return graph->node_count;
}

int adl_graph_param_count(const struct adl_graph *graph)
{
    return graph->param_count;
}

const struct adl_value *adl_graph_value(const struct adl_graph *graph, int id)
{
    return &graph->values[id];
}

const struct adl_node *adl_graph_node(const struct adl_graph *graph, int index)
{
    return &graph->nodes[index];
}

const struct adl_param *adl_graph_param(const struct adl_graph *graph, int id)
{
    return &graph->params[id];
}

int adl_graph_output(const struct adl_graph *graph, enum adl_output which)
{
    return graph->outputs[which];
}

int adl_graph_classifier(const struct adl_graph *graph)
{
    return graph->classifier;
}

int adl_graph_part_count(const struct adl_graph *graph)
{
    return graph->part_count;
}

int adl_graph_part_logits(const struct adl_graph *graph, int part)
{
    return part < 1 || part > graph->part_count ? -1 : graph->part_logits[part - 1];
}

int adl_graph_tap_count(const struct adl_graph *graph)
{
    return graph->tap_count;
}

int adl_graph_tap(const struct adl_graph *graph, int tap)
{
    return graph->taps[tap];
}

int adl_graph_find_value(const struct adl_graph *graph, const char *name)
{
    for (int i = 0; i < graph->value_count; i++)
        if (strcmp(graph->values[i].name, name) == 0)
            return i;
    return -1;
}

int adl_graph_find_param(const struct adl_graph *graph, const char *name)
{
    size_t length = strlen(part_prefix(graph)); /* 0 once the graph is built */
    for (int i = 0; i < graph->param_count; i++)
        if (strncmp(graph->params[i].name, part_prefix(graph), length) == 0 &&
            strcmp(graph->params[i].name + length, name) == 0)
            return i;
    return -1;
}

int adl_graph_infer(const struct adl_graph *graph, int input_h, int input_w,
                    struct adl_shape *shapes, struct adl_error *err)
{
    shapes[0] = (struct adl_shape){input_h, input_w, graph->values[0].shape.c};
    if (input_h < 1 || input_w < 1)
        return adl_fail(err, ADL_ERR_ARG,
                        "the input is %d x %d, but each dimension must be at least 1", input_h,
                        input_w);
    for (int i = 0; i < graph->node_count; i++) {
        const struct adl_node *node = &graph->nodes[i];
        if (infer_node(node, shapes, &shapes[node->output], err) < 0) {
            adl_error_context(err, "%s", graph->values[node->output].name);
            return adl_error_context(err, "input %d x %d", input_h, input_w);
        }
    }
    return 0;
}

uint64_t adl_graph_trainable(const struct adl_graph *graph)
{
    uint64_t count = 0;
    for (int i = 0; i < graph->param_count; i++)
        if (adl_param_is_trained(&graph->params[i]))
            count += graph->params[i].count;
    return count;
}

uint64_t adl_node_macs(const struct adl_node *node, const struct adl_shape *shapes)
{
    struct adl_shape in[ADL_MAX_OP_INPUTS];
    if (!node->def->macs)
        return 0;
    for (int i = 0; i < node->input_count; i++)
        in[i] = shapes[node->inputs[i]];
    return node->def->macs(node, in, shapes[node->output]);
}

uint64_t adl_graph_macs(const struct adl_graph *graph, const struct adl_shape *shapes)
{
    uint64_t macs = 0;
    for (int i = 0; i < graph->node_count; i++)
        if (!graph->nodes[i].training_only)
            macs += adl_node_macs(&graph->nodes[i], shapes);
    return macs;
}
