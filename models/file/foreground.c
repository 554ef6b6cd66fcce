/* Reads and writes the few-box head; see foreground.h. */

#include "models/file/foreground.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "models/head.h"

static const char weight_name[] = "foreground.weight", bias_name[] = "foreground.bias";
static const char prefix[] = "foreground.", suffix[] = ".weight";

/* The name of the tensor with the weights of a layer. */
struct tensor_name {
    char text[ADL_LIMIT_LAYER_NAME_BYTES + sizeof prefix + sizeof suffix];
};

static struct tensor_name name_of(const char *layer)
{
    struct tensor_name name;
    snprintf(name.text, sizeof name.text, "%s%s%s", prefix, layer, suffix);
    return name;
}

/* Writes the name of the layer whose weights a tensor has, shortened to what a layer's name may
 * have, into `layer`, which has room for ADL_LIMIT_LAYER_NAME_BYTES. Returns false if the tensor
 * has none. */
static bool layer_of(const char *tensor, char *layer)
{
    size_t length = strlen(tensor), ends = strlen(prefix) + strlen(suffix);

    if (length < ends || strncmp(tensor, prefix, strlen(prefix)) != 0 ||
        strcmp(tensor + length - strlen(suffix), suffix) != 0)
        return false;
    snprintf(layer, ADL_LIMIT_LAYER_NAME_BYTES, "%.*s", (int)(length - ends),
             tensor + strlen(prefix));
    return true;
}

/* Finds the layers that the head of the file reads, and their tensors in the order of the head. */
static int find_layers(const struct adl_model *model, const struct adl_tensors *tensors,
                       struct adl_foreground_head *head, struct adl_error *err)
{
    char layer[ADL_LIMIT_LAYER_NAME_BYTES];

    for (size_t i = 0; i < adl_tensors_count(tensors); i++) {
        const struct adl_tensor *tensor = adl_tensors_at(tensors, i);
        if (layer_of(tensor->name, layer) && adl_head_add_layer(model->graph, head, layer, err) < 0)
            return -1;
    }
    return 0;
}

/* Appends the values of a tensor to `weights`. */
static int take(const struct adl_tensor *tensor, size_t count, float **weights,
                struct adl_error *err)
{
    if (tensor->count != count)
        return adl_fail(err, ADL_ERR_FORMAT, "%s has %zu values, but its map %zu channels",
                        ADL_SHORT(tensor->name), tensor->count, count);
    adl_tensor_to_f32(tensor, *weights);
    for (size_t i = 0; i < count; i++)
        if (!isfinite((*weights)[i]))
            return adl_fail(err, ADL_ERR_FORMAT, "%s: value %zu is not finite",
                            ADL_SHORT(tensor->name), i);
    *weights += count;
    return 0;
}

static int take_all(const struct adl_tensors *tensors, const struct adl_foreground_head *head,
                    float *weights, struct adl_error *err)
{
    if (take(adl_tensors_find(tensors, weight_name), head->channels, &weights, err) < 0)
        return -1;
    for (int i = 0; i < head->layer_count; i++) {
        struct tensor_name name = name_of(head->layers[i].name);
        if (take(adl_tensors_find(tensors, name.text), head->layers[i].channels, &weights, err) < 0)
            return -1;
    }
    return take(adl_tensors_find(tensors, bias_name), 1, &weights, err);
}

int adl_model_read_foreground(struct adl_model *model, const struct adl_tensors *tensors,
                              struct adl_error *err)
{
    struct adl_foreground_head head = adl_head_begin(model->graph);
    const struct adl_tensor *weight = adl_tensors_find(tensors, weight_name);
    const struct adl_tensor *bias = adl_tensors_find(tensors, bias_name);
    float *weights = NULL;
    int result = -1;

    if (find_layers(model, tensors, &head, err) < 0)
        goto out;
    if (!weight && !bias && head.layer_count == 0)
        return 0;
    if (!weight || !bias) {
        adl_fail(err, ADL_ERR_FORMAT, "the foreground head needs %s and a %s of one value",
                 weight_name, bias_name);
        goto out;
    }
    weights = adl_malloc(adl_foreground_channels(&head) + 1, sizeof *weights);
    if (!weights) {
        adl_fail_nomem(err, "the foreground head");
        goto out;
    }
    head.weights = weights;
    ADL_TRY(take_all(tensors, &head, weights, err));
    ADL_TRY(adl_model_set_foreground(model, &head, err));
    if (model->foreground_off)
        model->map.foreground = NULL;
    result = 0;
out:
    adl_free(weights);
    /* Whatever does not fit the network is a fault of the file. */
    if (result < 0 && err->kind != ADL_ERR_NOMEM)
        err->kind = ADL_ERR_FORMAT;
    return result;
}

/* Writes `count` values to the tensor called `name`, which may exist from an earlier save. */
static int put(struct adl_tensors *set, const char *name, const float *values, size_t count,
               struct adl_error *err)
{
    const struct adl_tensor *tensor = adl_tensors_find(set, name);

    if (!tensor)
        tensor = adl_tensors_add(set, name, ADL_F32, 1, &count, err);
    if (!tensor)
        return -1;
    memcpy(tensor->data, values, count * sizeof *values);
    return 0;
}

int adl_model_add_foreground(const struct adl_model *model, struct adl_tensors *set,
                             struct adl_error *err)
{
    const struct adl_foreground_head *head = model->foreground;
    const float *weights;

    if (!head)
        return 0;
    weights = head->weights;
    if (put(set, weight_name, weights, head->channels, err) < 0)
        return -1;
    weights += head->channels;
    for (int i = 0; i < head->layer_count; i++) {
        const struct adl_foreground_layer *layer = &head->layers[i];
        if (put(set, name_of(layer->name).text, weights, layer->channels, err) < 0)
            return -1;
        weights += layer->channels;
    }
    return put(set, bias_name, weights, 1, err);
}
