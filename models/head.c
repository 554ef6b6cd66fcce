/* Keeps the few-box head of a model; see head.h. */

#include "models/head.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "graph/upper.h"

struct adl_foreground_head *adl_head_copy(const struct adl_foreground_head *head)
{
    size_t count = adl_foreground_channels(head) + 1;
    struct adl_foreground_head *copy = adl_malloc(1, sizeof *copy);
    float *weights = adl_malloc(count, sizeof *weights);

    if (!copy || !weights) {
        adl_free(copy);
        adl_free(weights);
        return NULL;
    }
    memcpy(weights, head->weights, count * sizeof *weights);
    *copy = *head;
    copy->weights = weights;
    return copy;
}

void adl_head_free(struct adl_foreground_head *head)
{
    if (!head)
        return;
    adl_free((float *)(uintptr_t)head->weights);
    adl_free(head);
}

void adl_head_digest(const struct adl_foreground_head *head, struct adl_sha256 *hash)
{
    for (int i = 0; i < head->layer_count; i++)
        adl_sha256_update(hash, head->layers[i].name, strlen(head->layers[i].name) + 1);
    adl_sha256_update(hash, head->weights,
                      (adl_foreground_channels(head) + 1) * sizeof *head->weights);
}

void adl_head_renumber(struct adl_foreground_head *head, const struct adl_graph *graph)
{
    for (int i = 0; i < head->layer_count; i++) {
        head->layers[i].value = adl_graph_find_value(graph, head->layers[i].name);
        assert(head->layers[i].value > 0 && "a variant of the network lacks a layer of the head");
    }
}

static struct adl_shape last_map(const struct adl_graph *graph)
{
    int features = adl_graph_output(graph, ADL_OUTPUT_FEATURES);
    return adl_graph_value(graph, features)->shape;
}

struct adl_foreground_head adl_head_begin(const struct adl_graph *graph)
{
    return (struct adl_foreground_head){.channels = (size_t)last_map(graph).c};
}

static bool is_position(struct adl_shape shape)
{
    return shape.h == 1 && shape.w == 1;
}

int adl_head_add_layer(const struct adl_graph *graph, struct adl_foreground_head *head,
                       const char *name, struct adl_error *err)
{
    struct adl_shape last = last_map(graph);
    int value = adl_graph_find_value(graph, name), place = head->layer_count;

    /* Where the last map is one position, a layer may be one as well, which adl_graph_find_layer()
     * takes for a vector. */
    if (value < 1 || !is_position(adl_graph_value(graph, value)->shape) || !is_position(last))
        value = adl_graph_find_layer(graph, name, err);
    if (value < 0)
        return -1;
    struct adl_shape shape = adl_graph_value(graph, value)->shape;
    for (int i = 0; i < head->layer_count; i++)
        if (head->layers[i].value == value)
            return adl_fail(err, ADL_ERR_ARG, "the few-box head has the layer %s twice",
                            ADL_SHORT(name));
    if (value == adl_graph_output(graph, ADL_OUTPUT_FEATURES))
        return adl_fail(err, ADL_ERR_ARG, "the few-box head reads the last map, %s, anyway",
                        ADL_SHORT(name));
    if (shape.h < last.h || shape.w < last.w)
        return adl_fail(err, ADL_ERR_ARG,
                        "the map of the layer %s, %d x %d, is smaller than the last one, %d x %d",
                        ADL_SHORT(name), shape.w, shape.h, last.w, last.h);
    if (head->layer_count == ADL_LIMIT_HEAD_LAYERS)
        return adl_fail(err, ADL_ERR_ARG, "the few-box head reads at most %d layers",
                        ADL_LIMIT_HEAD_LAYERS);
    if (strlen(name) >= sizeof head->layers->name)
        return adl_fail(err, ADL_ERR_ARG, "the name of the layer %s is too long", ADL_SHORT(name));
    for (; place > 0 && head->layers[place - 1].value < value; place--)
        head->layers[place] = head->layers[place - 1];
    struct adl_foreground_layer *layer = &head->layers[place];
    *layer = (struct adl_foreground_layer){.value = value, .channels = (size_t)shape.c};
    memcpy(layer->name, name, strlen(name) + 1);
    head->layer_count++;
    return 0;
}

int adl_head_check(const struct adl_graph *graph, const struct adl_foreground_head *head,
                   struct adl_error *err)
{
    struct adl_foreground_head expected = adl_head_begin(graph);

    for (int i = 0; i < head->layer_count; i++) {
        const struct adl_foreground_layer *layer = &head->layers[i];
        if (adl_head_add_layer(graph, &expected, layer->name, err) < 0)
            return -1;
        if (expected.layers[i].value != layer->value ||
            expected.layers[i].channels != layer->channels)
            return adl_fail(err, ADL_ERR_ARG,
                            "the foreground head has %zu weights for the layer %s, but its map "
                            "%zu channels",
                            layer->channels, ADL_SHORT(layer->name), expected.layers[i].channels);
    }
    if (head->channels != expected.channels)
        return adl_fail(err, ADL_ERR_ARG,
                        "the foreground head has %zu weights, but the last map %zu channels",
                        head->channels, expected.channels);
    return 0;
}
