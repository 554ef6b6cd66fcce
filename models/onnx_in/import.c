/* The table of values of an ONNX graph while it is read, and what the readers of operators share.
 */

#include "models/onnx_in/import.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"

/* --- values by name ------------------------------------------------------------------------------
 */

/* FNV-1a. */
static size_t hash_of(const char *name)
{
    uint64_t hash = 14695981039346656037u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 1099511628211u;
    return (size_t)(hash ^ hash >> 32);
}

/* Returns the slot of a name, or the free one where it would be. */
static size_t slot_of(const struct adl_import *im, const char *name)
{
    size_t slot = hash_of(name) % im->slot_count;
    while (im->slots[slot] >= 0 && strcmp(im->values[im->slots[slot]].name, name) != 0)
        slot = (slot + 1) % im->slot_count;
    return slot;
}

struct adl_import_value *adl_import_find(const struct adl_import *im, const char *name)
{
    int index = im->slots[slot_of(im, name)];
    return index < 0 ? NULL : &im->values[index];
}

struct adl_import_value *adl_import_in(const struct adl_import *im,
                                       const struct adl_onnx_node_proto *node, size_t i)
{
    return i < node->input_count && *node->inputs[i] ? adl_import_find(im, node->inputs[i]) : NULL;
}

struct adl_import_value *adl_import_out(const struct adl_import *im,
                                        const struct adl_onnx_node_proto *node, size_t i)
{
    return i < node->output_count && *node->outputs[i] ? adl_import_find(im, node->outputs[i])
                                                       : NULL;
}

/* Adds a value; fails if there is one of that name. */
static struct adl_import_value *add_value(struct adl_import *im, const char *name,
                                          struct adl_error *err)
{
    size_t slot = slot_of(im, name);
    if (im->slots[slot] >= 0) {
        adl_fail(err, ADL_ERR_FORMAT, "the file defines the value %s twice",
                 adl_name_quote(name, strlen(name)).text);
        return NULL;
    }
    im->slots[slot] = (int)im->value_count;
    struct adl_import_value *value = &im->values[im->value_count++];
    *value = (struct adl_import_value){.name = name, .reader = -1, .producer = -1};
    return value;
}

static int add_constants(struct adl_import *im, struct adl_error *err)
{
    for (size_t i = 0; i < im->proto->tensor_count; i++) {
        const struct adl_onnx_tensor *tensor = &im->proto->tensors[i];
        if (!*tensor->name)
            return adl_fail(err, ADL_ERR_FORMAT, "initializer %zu has no name", i);
        struct adl_import_value *value = add_value(im, tensor->name, err);
        if (!value)
            return -1;
        value->kind = ADL_IMPORT_CONSTANT;
        value->tensor = tensor;
        value->origin = tensor->name;
    }
    return 0;
}

static int add_outputs(struct adl_import *im, struct adl_error *err)
{
    for (size_t n = 0; n < im->proto->node_count; n++) {
        const struct adl_onnx_node_proto *node = &im->proto->nodes[n];
        for (size_t i = 0; i < node->output_count; i++) {
            if (!*node->outputs[i])
                continue;
            struct adl_import_value *value = add_value(im, node->outputs[i], err);
            if (!value)
                return -1;
            value->producer = (int)n;
        }
    }
    return 0;
}

/* Marks what `output` depends on, from the last node: a node has to come after those it reads, so
 * that one pass finds all. Counts the readers of values among these nodes. */
static int mark_needed(struct adl_import *im, const char *output, struct adl_error *err)
{
    struct adl_import_value *value = adl_import_find(im, output);

    if (!value)
        return adl_fail(err, ADL_ERR_FORMAT, "no node computes the output %s",
                        adl_name_quote(output, strlen(output)).text);
    value->readers++;
    if (value->producer >= 0)
        im->needed[value->producer] = true;
    for (size_t n = im->proto->node_count; n-- > 0;) {
        const struct adl_onnx_node_proto *node = &im->proto->nodes[n];
        for (size_t i = 0; im->needed[n] && i < node->input_count; i++) {
            if (!*node->inputs[i])
                continue;
            value = adl_import_find(im, node->inputs[i]);
            if (!value || value->producer >= (int)n)
                return adl_fail(err, ADL_ERR_FORMAT,
                                "%s (node %s) reads %s, which no earlier node computes and no "
                                "initializer has",
                                adl_name_quote(node->op, strlen(node->op)).text,
                                adl_name_quote(node->name, strlen(node->name)).text,
                                adl_name_quote(node->inputs[i], strlen(node->inputs[i])).text);
            value->readers++;
            value->reader = (int)n;
            if (value->producer >= 0)
                im->needed[value->producer] = true;
        }
    }
    return 0;
}

int adl_import_open(struct adl_import *im, const char *output, struct adl_error *err)
{
    const struct adl_onnx_proto *proto = im->proto;
    size_t count = proto->tensor_count + proto->input_count;

    for (size_t n = 0; n < proto->node_count; n++)
        count += proto->nodes[n].output_count;
    im->slot_count = 2 * count + 1;
    im->values = adl_calloc(count + 1, sizeof *im->values);
    im->slots = adl_malloc(im->slot_count, sizeof *im->slots);
    im->needed = adl_calloc(proto->node_count + 1, sizeof *im->needed);
    im->done = adl_calloc(proto->node_count + 1, sizeof *im->done);
    if (!im->values || !im->slots || !im->needed || !im->done)
        return adl_fail_nomem(err, "the ONNX graph");
    for (size_t i = 0; i < im->slot_count; i++)
        im->slots[i] = -1;
    if (add_constants(im, err) < 0)
        return -1;
    /* Older files list initializers among the inputs. */
    for (size_t i = 0; i < proto->input_count; i++)
        if (!adl_import_find(im, proto->inputs[i].name) &&
            !add_value(im, proto->inputs[i].name, err))
            return -1;
    if (add_outputs(im, err) < 0)
        return -1;
    return mark_needed(im, output, err);
}

void adl_import_close(struct adl_import *im)
{
    adl_arena_release(&im->arena);
    adl_free(im->values);
    adl_free(im->slots);
    adl_free(im->needed);
    adl_free(im->done);
    adl_stored_free(im->stored);
    adl_graph_free(im->graph);
    adl_tensors_free(im->weights);
    adl_str_release(&im->notes);
    json_decref(im->activations);
}

const struct adl_onnx_node_proto *adl_import_next(const struct adl_import *im,
                                                  const struct adl_import_value *value,
                                                  const char *op)
{
    if (value->readers != 1 || value->reader < 0)
        return NULL;
    const struct adl_onnx_node_proto *node = &im->proto->nodes[value->reader];
    return strcmp(node->op, op) == 0 && !*node->domain ? node : NULL;
}

void adl_import_skip(struct adl_import *im, const struct adl_onnx_node_proto *node)
{
    im->done[node - im->proto->nodes] = true;
}

/* --- inputs of nodes -----------------------------------------------------------------------------
 */

int adl_import_refuse(const struct adl_onnx_node_proto *node, struct adl_error *err,
                      const char *fmt, ...)
{
    const char *name = *node->name ? node->name : node->output_count ? node->outputs[0] : "";
    va_list args;
    va_start(args, fmt);
    adl_fail_with(err, ADL_ERR_UNSUPPORTED, fmt, args);
    va_end(args);
    return adl_error_context(err, "%s (node %s)", adl_name_quote(node->op, strlen(node->op)).text,
                             adl_name_quote(name, strlen(name)).text);
}

const struct adl_import_value *adl_import_map(struct adl_import *im,
                                              const struct adl_onnx_node_proto *node, size_t i,
                                              const char *axes, struct adl_error *err)
{
    const struct adl_import_value *value = adl_import_in(im, node, i);

    if (!value || value->kind != ADL_IMPORT_MAP)
        adl_import_refuse(node, err, "input %zu is not a map of the network", i);
    else if (axes && strcmp(value->axes, axes) != 0)
        adl_import_refuse(node, err, "its input has the axes %s, not %s", value->axes, axes);
    else if (value->pads[0] || value->pads[1] || value->pads[2] || value->pads[3])
        adl_import_refuse(node, err,
                          "its input is padded; a Pad is read only before a convolution or a pool");
    else if (value->final && axes)
        adl_import_refuse(node, err, "it comes after a Softmax, which has to be the end");
    else
        return value;
    return NULL;
}

const struct adl_onnx_tensor *adl_import_constant(struct adl_import *im,
                                                  const struct adl_onnx_node_proto *node, size_t i,
                                                  const char *what, struct adl_error *err)
{
    const struct adl_import_value *value = adl_import_in(im, node, i);
    if (value && value->kind == ADL_IMPORT_CONSTANT)
        return value->tensor;
    adl_import_refuse(node, err, "its %s is not a constant", what);
    return NULL;
}

struct adl_shape adl_import_shape(const struct adl_import *im, const struct adl_import_value *map)
{
    return adl_graph_value(im->graph, map->id)->shape;
}

int64_t adl_import_extent(const struct adl_import *im, const struct adl_import_value *map, int axis)
{
    struct adl_shape s = adl_import_shape(im, map);
    switch (map->axes[axis]) {
    case 'N': return im->batch;
    case 'C': return s.c;
    case 'H': return s.h;
    case 'W': return s.w;
    case 'G': return map->groups;
    case 'K': return s.c / map->groups;
    case 'P': return (int64_t)s.h * s.w;
    default: return (int64_t)adl_shape_count(s);
    }
}

int adl_import_axis(const struct adl_import_value *map, char letter)
{
    const char *at = strchr(map->axes, letter);
    return at ? (int)(at - map->axes) : -1;
}

int adl_import_index(const struct adl_import_value *map, int64_t axis)
{
    int64_t rank = (int64_t)strlen(map->axes);
    if (axis < 0)
        axis += rank;
    return axis >= 0 && axis < rank ? (int)axis : -1;
}

bool adl_import_is_vector(const struct adl_import *im, const struct adl_import_value *map)
{
    struct adl_shape s = adl_import_shape(im, map);
    return s.h == 1 && s.w == 1;
}

/* --- stored nodes --------------------------------------------------------------------------------
 */

/* Writes the name of a stored value: that of the ONNX node, or of what it computes, or else a
 * number. */
static void choose_name(struct adl_import *im, const struct adl_onnx_node_proto *node,
                        const char *part, char name[ADL_IMPORT_NAME_BYTES])
{
    const char *tries[] = {node->name, node->output_count ? node->outputs[0] : ""};
    for (size_t i = 0; i < ADL_COUNT(tries); i++) {
        int length = *tries[i] ? snprintf(name, ADL_IMPORT_NAME_BYTES, "%s%s", tries[i], part)
                               : ADL_IMPORT_NAME_BYTES;
        if (length < ADL_IMPORT_NAME_BYTES && adl_graph_find_value(im->graph, name) < 0)
            return;
    }
    im->numbered = ADL_MAX(im->numbered, im->stored->count);
    do
        snprintf(name, ADL_IMPORT_NAME_BYTES, "node_%d", im->numbered++);
    while (adl_graph_find_value(im->graph, name) >= 0);
}

struct adl_stored_node *adl_import_add(struct adl_import *im, const char *op,
                                       const struct adl_onnx_node_proto *node, const char *part,
                                       int input, struct adl_error *err)
{
    char name[ADL_IMPORT_NAME_BYTES];
    choose_name(im, node, part, name);
    return adl_stored_add(im->stored, op, name, input, err);
}

int adl_import_commit(struct adl_import *im, const struct adl_onnx_node_proto *node,
                      struct adl_error *err)
{
    struct adl_error reason = {0};
    int value = adl_stored_append(im->graph, im->stored, im->stored->count - 1);

    if (value >= 0)
        return value;
    if (adl_graph_finish(im->graph, &reason) < 0 && reason.kind == ADL_ERR_NOMEM)
        return adl_fail_nomem(err, "the network");
    return adl_import_refuse(node, err, "%s", reason.message);
}

int adl_import_simple(struct adl_import *im, const char *op, const struct adl_onnx_node_proto *node,
                      const char *part, int input, struct adl_error *err)
{
    return adl_import_add(im, op, node, part, input, err) ? adl_import_commit(im, node, err) : -1;
}

void adl_import_set(struct adl_import_value *out, const struct adl_import_value *like, int id)
{
    out->kind = ADL_IMPORT_MAP;
    out->id = id;
    memcpy(out->axes, like->axes, sizeof out->axes);
    out->groups = like->groups;
    out->softmax = like->softmax;
    out->final = like->final;
}

void adl_import_alias(struct adl_import_value *out, const struct adl_import_value *value)
{
    adl_import_set(out, value, value->id);
    out->kind = value->kind;
    out->tensor = value->tensor;
    out->origin = value->origin;
    out->bytes = value->bytes;
    out->scale = value->scale;
    out->zero = value->zero;
    out->scale_run = value->scale_run;
    memcpy(out->pads, value->pads, sizeof out->pads);
}

/* --- attributes ----------------------------------------------------------------------------------
 */

int64_t adl_import_attr_int(const struct adl_onnx_node_proto *node, const char *name, int64_t usual)
{
    const struct adl_onnx_attr *attr = adl_onnx_attr_find(node, name);
    return attr && attr->kind == ADL_ONNX_ATTR_INT ? attr->i : usual;
}

double adl_import_attr_float(const struct adl_onnx_node_proto *node, const char *name, double usual)
{
    const struct adl_onnx_attr *attr = adl_onnx_attr_find(node, name);
    return attr && attr->kind == ADL_ONNX_ATTR_FLOAT ? (double)attr->f : usual;
}

const char *adl_import_attr_text(const struct adl_onnx_node_proto *node, const char *name)
{
    const struct adl_onnx_attr *attr = adl_onnx_attr_find(node, name);
    return attr && attr->kind == ADL_ONNX_ATTR_TEXT ? attr->text : "";
}

int adl_import_attr_ints(const struct adl_onnx_node_proto *node, const char *name, int64_t *values,
                         int most)
{
    const struct adl_onnx_attr *attr = adl_onnx_attr_find(node, name);
    if (!attr || attr->kind != ADL_ONNX_ATTR_INTS)
        return 0;
    if (attr->count > (size_t)most)
        return -1;
    memcpy(values, attr->ints, attr->count * sizeof *values);
    return (int)attr->count;
}

int adl_import_ints(struct adl_import *im, const struct adl_onnx_node_proto *node, const char *name,
                    size_t i, int64_t *values, int most)
{
    const struct adl_import_value *value = adl_import_in(im, node, i);
    if (!value)
        return adl_import_attr_ints(node, name, values, most);
    if (value->kind != ADL_IMPORT_CONSTANT || !adl_onnx_tensor_is_int(value->tensor) ||
        value->tensor->count > (size_t)most)
        return -1;
    for (size_t k = 0; k < value->tensor->count; k++)
        values[k] = adl_onnx_tensor_int(value->tensor, k);
    return (int)value->tensor->count;
}

double adl_import_shortest(double value)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtof(text, NULL) == (float)value)
            break;
    }
    return strtod(text, NULL);
}
