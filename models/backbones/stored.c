/* Stored networks: their lists of nodes, as JSON and as graphs; see stored.h. */

#include "models/backbones/stored.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "base/utf8.h"

/* Bytes of a value's name; the ONNX writer forms longer names from them. */
#define MOST_NAME_BYTES 256

struct adl_stored *adl_stored_create(struct adl_error *err)
{
    struct adl_stored *stored = adl_calloc(1, sizeof *stored);
    if (!stored) {
        adl_fail_nomem(err, "the network");
        return NULL;
    }
    stored->features = stored->class_map = stored->logits = -1;
    stored->early = stored->late = -1;
    return stored;
}

void adl_stored_free(struct adl_stored *stored)
{
    if (!stored)
        return;
    adl_arena_release(&stored->arena);
    adl_free(stored->nodes);
    adl_free(stored);
}

static struct adl_stored_node *add_node(struct adl_stored *stored, const struct adl_stored_op *op,
                                        const char *name, struct adl_error *err)
{
    if (stored->count >= ADL_LIMIT_STORED_NODES) {
        adl_fail(err, ADL_ERR_LIMIT, "the network has more than %d nodes", ADL_LIMIT_STORED_NODES);
        return NULL;
    }
    struct adl_stored_node *nodes =
        adl_array_grow(stored->nodes, &stored->capacity, (size_t)stored->count + 1, sizeof *nodes);
    if (nodes)
        stored->nodes = nodes;
    const char *copy = nodes ? adl_arena_printf(&stored->arena, "%s", name) : NULL;
    if (!copy) {
        adl_fail_nomem(err, "the network");
        return NULL;
    }
    struct adl_stored_node *node = &nodes[stored->count++];
    *node = (struct adl_stored_node){.op = op, .name = copy};
    for (int i = 0; op->keys[i].name; i++)
        node->numbers[i] = op->keys[i].usual;
    return node;
}

struct adl_stored_node *adl_stored_add(struct adl_stored *stored, const char *op, const char *name,
                                       int input, struct adl_error *err)
{
    struct adl_stored_node *node = add_node(stored, adl_stored_op_find(op), name, err);
    if (node) {
        node->inputs[0] = input;
        node->input_count = 1;
    }
    return node;
}

static int key_of(const struct adl_stored_op *op, const char *key)
{
    int i = 0;
    while (op->keys[i].name && strcmp(op->keys[i].name, key) != 0)
        i++;
    return i;
}

void adl_stored_set(struct adl_stored_node *node, const char *key, double value)
{
    node->numbers[key_of(node->op, key)] = value;
}

double adl_stored_get(const struct adl_stored_node *node, const char *key)
{
    return node->numbers[key_of(node->op, key)];
}

bool adl_stored_is(const struct adl_stored_node *node, const char *op)
{
    return strcmp(node->op->name, op) == 0;
}

const char *adl_stored_op_name(const struct adl_stored_node *node)
{
    return node->op->name;
}

bool adl_stored_is_classifier(const struct adl_stored *stored, const char *param)
{
    for (int i = 0; stored->scores && i < stored->count; i++) {
        const struct adl_stored_node *node = &stored->nodes[i];
        bool found = false;
        if (!node->params[0] || strcmp(node->params[0], stored->scores) != 0)
            continue;
        for (int k = 0; k < node->param_count; k++)
            found |= node->params[k] && strcmp(node->params[k], param) == 0;
        return found;
    }
    return false;
}

void adl_stored_find_scores(struct adl_stored *stored)
{
    /* What may stand between the last layer with weights and the scores, and keeps the channels. */
    static const char *const above[] = {"dropout",   "global_avgpool", "relu",   "relu6",
                                        "clip",      "leaky_relu",     "affine", "channel_affine",
                                        "batchnorm", "global_maxpool"};
    const struct adl_stored_node *node = &stored->nodes[stored->logits - 1];

    stored->scores = stored->classifier;
    while (!stored->scores && node) {
        bool passes = false;
        for (size_t i = 0; i < ADL_COUNT(above); i++)
            passes |= adl_stored_is(node, above[i]);
        if (adl_stored_is(node, "linear") || adl_stored_is(node, "conv"))
            stored->scores = node->params[0];
        node = passes && node->inputs[0] > 0 ? &stored->nodes[node->inputs[0] - 1] : NULL;
    }
}

/* --- JSON: writing --------------------------------------------------------------------------- */

static const char *value_name(const struct adl_stored *stored, int value)
{
    return value == 0 ? "input" : stored->nodes[value - 1].name;
}

static json_t *texts(const char *const *list, int count)
{
    json_t *array = json_array();
    int failed = array == NULL;
    for (int i = 0; !failed && i < count; i++)
        failed = json_array_append_new(array, list[i] ? json_string(list[i]) : json_null());
    if (failed) {
        json_decref(array);
        return NULL;
    }
    return array;
}

static json_t *node_to_json(const struct adl_stored *stored, const struct adl_stored_node *node)
{
    const char *inputs[ADL_MAX_OP_INPUTS];
    json_t *json = json_pack("{s:s, s:s}", "op", node->op->name, "name", node->name);
    int failed = json == NULL;

    for (int i = 0; i < node->input_count; i++)
        inputs[i] = value_name(stored, node->inputs[i]);
    failed = failed || json_object_set_new(json, "in", texts(inputs, node->input_count)) < 0;
    if (node->param_count > 0)
        failed =
            failed || json_object_set_new(json, "params", texts(node->params, node->param_count));
    for (int i = 0; !failed && node->op->keys[i].name; i++) {
        const struct adl_stored_key *key = &node->op->keys[i];
        double value = node->numbers[i];
        if (value != key->usual)
            failed = json_object_set_new(
                json, key->name, key->whole ? json_integer((json_int_t)value) : json_real(value));
    }
    if (failed) {
        json_decref(json);
        return NULL;
    }
    return json;
}

json_t *adl_stored_to_json(const struct adl_stored *stored, bool with_nodes)
{
    json_t *json = json_object(), *nodes = json_array();
    int failed = !json || !nodes;

    if (!failed && stored->source)
        failed = json_object_set_new(json, "source", json_string(stored->source));
    for (int i = 0; !failed && with_nodes && i < stored->count; i++)
        failed = json_array_append_new(nodes, node_to_json(stored, &stored->nodes[i]));
    if (with_nodes)
        failed = failed || json_object_set(json, "nodes", nodes) < 0;
    const struct {
        const char *key;
        int value;
    } ends[] = {{"features", stored->features},
                {"class_map", stored->class_map},
                {"logits", stored->logits}};
    for (size_t i = 0; !failed && i < ADL_COUNT(ends); i++)
        if (ends[i].value >= 0)
            failed = json_object_set_new(json, ends[i].key,
                                         json_string(value_name(stored, ends[i].value)));
    if (!failed && stored->classifier)
        failed = json_object_set_new(json, "classifier", json_string(stored->classifier));
    json_decref(nodes);
    if (failed) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* --- JSON: reading --------------------------------------------------------------------------- */

struct reader {
    struct adl_stored *stored;
    json_t *values; /* value ids by name */
    int index;      /* of the node that is being read */
};

static int refuse(const struct reader *r, struct adl_error *err, const char *what)
{
    return adl_fail(err, ADL_ERR_FORMAT, "graph: node %d: %s", r->index, what);
}

/* Returns the value that a text names, or -1. */
static int find_value(const struct reader *r, const json_t *text)
{
    const char *name = json_string_value(text);
    const json_t *id = name ? json_object_get(r->values, name) : NULL;
    return id ? (int)json_integer_value(id) : -1;
}

/* Returns a copy of a text of a name; NULL with an error if it is none. */
static const char *copy_name(struct reader *r, const json_t *json, struct adl_error *err)
{
    const char *text = json_string_value(json);
    if (!text || json_string_length(json) < 1 ||
        json_string_length(json) > ADL_LIMIT_TENSOR_NAME_BYTES || strlen(text) == 0) {
        refuse(r, err, "a name is not text or too long");
        return NULL;
    }
    char *copy = adl_arena_printf(&r->stored->arena, "%s", text);
    if (!copy)
        adl_fail_nomem(err, "the network");
    return copy;
}

static int read_inputs(struct reader *r, const json_t *json, struct adl_stored_node *node,
                       struct adl_error *err)
{
    const json_t *list = json_object_get(json, "in");
    size_t count = json_array_size(list);

    if (count < (size_t)node->op->least_inputs || count > (size_t)node->op->most_inputs)
        return refuse(r, err, "\"in\" has too few or too many values for its op");
    for (size_t i = 0; i < count; i++) {
        node->inputs[i] = find_value(r, json_array_get(list, i));
        if (node->inputs[i] < 0)
            return refuse(r, err, "it reads a value that no earlier node computes");
    }
    node->input_count = (int)count;
    return 0;
}

static int read_params(struct reader *r, const json_t *json, struct adl_stored_node *node,
                       struct adl_error *err)
{
    const json_t *list = json_object_get(json, "params");
    size_t count = json_array_size(list), named = 0;

    if (count > (size_t)node->op->most_params)
        return refuse(r, err, "it has too many parameters for its op");
    for (size_t i = 0; i < count; i++) {
        const json_t *name = json_array_get(list, i);
        if (json_is_null(name))
            continue;
        node->params[i] = copy_name(r, name, err);
        if (!node->params[i])
            return -1;
        named++;
    }
    node->param_count = (int)count;
    /* Of a weight and a bias for each channel one may be missing; of all others the bias. */
    if (named < (size_t)node->op->least_params ||
        (count > 0 && !node->params[0] && !adl_stored_is(node, "channel_affine")))
        return refuse(r, err, "a parameter is missing");
    return 0;
}

static int read_numbers(struct reader *r, const json_t *json, struct adl_stored_node *node,
                        struct adl_error *err)
{
    for (int i = 0; node->op->keys[i].name; i++) {
        const struct adl_stored_key *key = &node->op->keys[i];
        const json_t *member = json_object_get(json, key->name);
        double value = json_number_value(member);
        if (!member)
            continue;
        if (!(key->whole ? json_is_integer(member) : json_is_number(member)) ||
            !(value >= key->min && value <= key->max))
            return adl_fail(err, ADL_ERR_FORMAT,
                            "graph: node %d: \"%s\" is not a%s number from %g "
                            "to %g",
                            r->index, key->name, key->whole ? " whole" : "", key->min, key->max);
        node->numbers[i] = value;
    }
    return 0;
}

static int read_node(struct reader *r, const json_t *json, struct adl_error *err)
{
    const char *op = json_string_value(json_object_get(json, "op"));
    const json_t *name = json_object_get(json, "name");
    const struct adl_stored_op *row = op ? adl_stored_op_find(op) : NULL;

    if (!op)
        return refuse(r, err, "it has no \"op\"");
    if (!row)
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "graph: node %d: no op is called %s", r->index,
                        adl_name_quote(op, strlen(op)).text);
    if (!json_is_string(name) || json_string_length(name) < 1 ||
        json_string_length(name) > MOST_NAME_BYTES ||
        json_object_get(r->values, json_string_value(name)))
        return refuse(r, err, "its name is missing, too long or that of another node");
    struct adl_stored_node *node = add_node(r->stored, row, json_string_value(name), err);
    if (!node || read_inputs(r, json, node, err) < 0 || read_params(r, json, node, err) < 0 ||
        read_numbers(r, json, node, err) < 0)
        return -1;
    if (json_object_set_new(r->values, node->name, json_integer(r->stored->count)) < 0)
        return adl_fail_nomem(err, "the network");
    return 0;
}

static int read_end(const struct reader *r, const json_t *json, const char *key, int *value,
                    struct adl_error *err)
{
    const json_t *name = json_object_get(json, key);
    if (!name)
        return 0;
    *value = find_value(r, name);
    return *value > 0 ? 0
                      : adl_fail(err, ADL_ERR_FORMAT, "graph: \"%s\" names no node's value", key);
}

static int read_ends(struct reader *r, const json_t *json, struct adl_error *err)
{
    const json_t *classifier = json_object_get(json, "classifier");
    const json_t *source = json_object_get(json, "source");

    r->index = r->stored->count;
    if (read_end(r, json, "features", &r->stored->features, err) < 0 ||
        read_end(r, json, "class_map", &r->stored->class_map, err) < 0 ||
        read_end(r, json, "logits", &r->stored->logits, err) < 0)
        return -1;
    if (r->stored->features < 0 || r->stored->logits < 0)
        return adl_fail(err, ADL_ERR_FORMAT, "graph: \"features\" or \"logits\" is missing");
    if (classifier && !(r->stored->classifier = copy_name(r, classifier, err)))
        return -1;
    if (!classifier && r->stored->class_map < 0)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "graph: neither \"classifier\" nor \"class_map\" says how class maps are "
                        "made");
    if (source && !(r->stored->source = copy_name(r, source, err)))
        return -1;
    return 0;
}

struct adl_stored *adl_stored_from_json(const json_t *json, struct adl_error *err)
{
    struct reader r = {.values = json_pack("{s:i}", "input", 0)};
    const json_t *nodes = json_object_get(json, "nodes");
    int result = -1;

    r.stored = adl_stored_create(err);
    if (!r.stored || !r.values) {
        adl_fail_nomem(err, "the network");
        goto out;
    }
    if (!json_is_array(nodes) || json_array_size(nodes) == 0) {
        adl_fail(err, ADL_ERR_FORMAT, "graph: \"nodes\" is not a list of nodes");
        goto out;
    }
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        r.index = (int)ADL_MIN(i, (size_t)ADL_LIMIT_STORED_NODES);
        ADL_TRY(read_node(&r, json_array_get(nodes, i), err));
    }
    ADL_TRY(read_ends(&r, json, err));
    adl_stored_find_scores(r.stored);
    result = 0;
out:
    json_decref(r.values);
    if (result < 0) {
        adl_stored_free(r.stored);
        return NULL;
    }
    return r.stored;
}
