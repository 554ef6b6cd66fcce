/* Stores and reads models in 8 bits; see quantised.h. */

#include "models/file/quantised.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "models/file/packed.h"

#define SUFFIX "_scale"
#define SUFFIX_LENGTH (sizeof SUFFIX - 1)

bool adl_quantised_is_scale(const struct adl_tensors *tensors, const char *name)
{
    char base[ADL_LIMIT_TENSOR_NAME_BYTES + 1];
    size_t length = strlen(name);

    if (length <= SUFFIX_LENGTH || strcmp(name + length - SUFFIX_LENGTH, SUFFIX) != 0)
        return false;
    snprintf(base, sizeof base, "%.*s", (int)(length - SUFFIX_LENGTH), name);
    const struct adl_tensor *weight = adl_tensors_find(tensors, base);
    return weight && weight->dtype == ADL_I8;
}

static const struct adl_tensor *find_scales(const struct adl_tensors *tensors, const char *name)
{
    char text[ADL_LIMIT_TENSOR_NAME_BYTES + SUFFIX_LENGTH + 1];
    snprintf(text, sizeof text, "%s" SUFFIX, name);
    return adl_tensors_find(tensors, text);
}

int adl_quantised_scale(const struct adl_tensors *tensors, const struct adl_tensor *weight,
                        float *values, float *scales, struct adl_error *err)
{
    const struct adl_tensor *found =
        weight->dtype == ADL_I8 ? find_scales(tensors, weight->name) : NULL;
    if (!found)
        return 0;
    size_t channels = weight->rank > 0 ? weight->shape[0] : 1;
    if (found->dtype != ADL_F32 || found->rank != 1 || found->count != channels)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "tensor %s is not F32 with one scale for each of the %zu output channels "
                        "of %s",
                        found->name, channels, weight->name);
    const float *by_channel = found->data;
    for (size_t k = 0; k < channels; k++) {
        if (!(isnormal(by_channel[k]) && by_channel[k] > 0))
            return adl_fail(err, ADL_ERR_FORMAT,
                            "tensor %s: scale %zu is %g; scales are positive numbers", found->name,
                            k, (double)by_channel[k]);
        size_t count = weight->count / channels;
        for (size_t i = 0; i < count; i++)
            values[k * count + i] *= by_channel[k];
    }
    if (scales)
        memcpy(scales, by_channel, channels * sizeof *scales);
    return 0;
}

/* Scales the weights of one parameter. */
static int read_weight(struct adl_model *model, const struct adl_tensors *tensors, int id,
                       const struct adl_tensor *found, struct adl_error *err)
{
    const struct adl_param *param = adl_graph_param(model->graph, id);

    if (!found || found->dtype != ADL_I8)
        return 0;
    if (!adl_quantisation_takes(param))
        return adl_fail(err, ADL_ERR_FORMAT,
                        "tensor %s is I8; only weights of convolutions and linear layers may be",
                        found->name);
    if (!find_scales(tensors, found->name))
        return adl_fail(err, ADL_ERR_FORMAT,
                        "tensor %s is I8, but its scales, %s" SUFFIX ", are missing", found->name,
                        found->name);
    float *scales = adl_quantisation_scales(model->quantisation, model->graph, id, err);
    if (!scales)
        return -1;
    return adl_quantised_scale(tensors, found, adl_model_param(model, id), scales, err);
}

/* Returns whether inference may read a value: the ranges of the others need not be known. */
static bool is_needed(const struct adl_graph *graph, int value)
{
    int index = adl_graph_value(graph, value)->node;
    if (index < 0 || value == adl_graph_output(graph, ADL_OUTPUT_LOGITS))
        return false;
    const struct adl_node *node = adl_graph_node(graph, index);
    return !node->training_only && !node->def->training_only;
}

static int read_range(const char *name, const json_t *pair, struct adl_int8_range *range,
                      struct adl_error *err)
{
    const json_t *scale = json_array_get(pair, 0), *zero = json_array_get(pair, 1);
    float value = (float)json_number_value(scale);

    if (json_array_size(pair) != 2 || !json_is_number(scale) || !json_is_integer(zero) ||
        !isnormal(value) || value < 0 || json_integer_value(zero) < 0 ||
        json_integer_value(zero) > 255)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "activations: %s is not [scale, zero point] with a positive scale and a "
                        "zero point from 0 to 255",
                        adl_name_quote(name, strlen(name)).text);
    *range = (struct adl_int8_range){value, (int)json_integer_value(zero)};
    return 0;
}

static int read_ranges(struct adl_model *model, struct adl_error *err)
{
    const struct adl_graph *graph = model->graph;

    if (!json_is_object(model->activations))
        return adl_fail(err, ADL_ERR_FORMAT,
                        "activations, the ranges of an int8 model, are missing; make the file anew "
                        "with adl-server convert --precision int8 --calibrate DIR");
    for (int v = 0; v < adl_graph_value_count(graph); v++) {
        const char *name = adl_graph_value(graph, v)->name;
        const json_t *pair = json_object_get(model->activations, name);
        if (pair && read_range(name, pair, &model->quantisation->ranges[v], err) < 0)
            return -1;
        /* What other quantizers write has ranges only where they round. */
        if (!pair && !model->stored && is_needed(graph, v))
            return adl_fail(err, ADL_ERR_FORMAT, "activations: the range of %s is missing",
                            adl_name_quote(name, strlen(name)).text);
    }
    return 0;
}

/* Multiplies integers by their scales in a file that does not say how the network runs in 8 bits,
 * because its description was lost: the model is one of float32 then. */
static int scale_weights(struct adl_model *model, const struct adl_tensors *tensors,
                         const struct adl_tensor *const *found, struct adl_error *err)
{
    for (int id = 0; id < adl_graph_param_count(model->graph); id++)
        if (found[id] &&
            adl_quantised_scale(tensors, found[id], adl_model_param(model, id), NULL, err) < 0)
            return -1;
    return 0;
}

int adl_quantised_read(struct adl_model *model, const struct adl_tensors *tensors,
                       const struct adl_tensor *const *found, struct adl_error *err)
{
    int result = -1;

    if (model->precision != ADL_PRECISION_INT8)
        return scale_weights(model, tensors, found, err);
    model->quantisation = adl_quantisation_create(model->graph, err);
    if (!model->quantisation)
        return -1;
    for (int id = 0; id < adl_graph_param_count(model->graph); id++)
        ADL_TRY(read_weight(model, tensors, id, found[id], err));
    ADL_TRY(read_ranges(model, err));
    result = 0;
out:
    json_decref(model->activations);
    model->activations = NULL;
    return result;
}

/* Reads back as the same float. */
static json_t *scale_json(float scale)
{
    char text[32];
    snprintf(text, sizeof text, "%.9g", (double)scale);
    return json_real(strtod(text, NULL));
}

json_t *adl_quantised_ranges(const struct adl_model *model)
{
    json_t *all = json_object();
    int failed = all == NULL;

    for (int v = 0; !failed && v < model->quantisation->value_count; v++) {
        const struct adl_int8_range *range = &model->quantisation->ranges[v];
        if (range->scale > 0)
            failed =
                json_object_set_new(all, adl_graph_value(model->graph, v)->name,
                                    json_pack("[o, i]", scale_json(range->scale), range->zero));
    }
    if (failed) {
        json_decref(all);
        return NULL;
    }
    return all;
}

/* Returns the weights of a parameter as multiples of their scales, which the caller frees; NULL
 * when out of memory. */
static signed char *multiples(const struct adl_model *model, int id)
{
    const struct adl_param *param = adl_graph_param(model->graph, id);
    const float *values = model->params[id], *scales = model->quantisation->scales[id];
    size_t count = param->count / param->shape[0];
    signed char *whole = adl_malloc(param->count, sizeof *whole);

    for (size_t i = 0; whole && i < param->count; i++) {
        double q = nearbyint((double)values[i] / (double)scales[i / count]);
        whole[i] = (signed char)fmin(fmax(q, -127), 127);
    }
    return whole;
}

json_t *adl_quantised_packed(const struct adl_model *model, bool *failed)
{
    json_t *all = json_object();

    *failed = all == NULL;
    for (int id = 0; !*failed && id < model->quantisation->param_count; id++) {
        const struct adl_param *param = adl_graph_param(model->graph, id);
        if (!model->quantisation->scales[id])
            continue;
        signed char *whole = multiples(model, id);
        int bits = whole ? adl_packed_bits(whole, param->count) : 0;
        adl_free(whole);
        if (bits == 8)
            continue;
        json_t *layout = json_pack("[i]", bits);
        *failed = bits == 0;
        for (int i = 0; i < param->rank; i++)
            *failed |= json_array_append_new(layout, json_integer((json_int_t)param->shape[i])) < 0;
        *failed |= json_object_set_new(all, param->name, layout) < 0;
    }
    if (!*failed && json_object_size(all) > 0)
        return all;
    json_decref(all);
    return NULL;
}

/* Adds the weights of one parameter, as I8 or packed, and its scales. */
static int add_weight(const struct adl_model *model, int id, struct adl_tensors *set,
                      struct adl_error *err)
{
    const struct adl_param *param = adl_graph_param(model->graph, id);
    size_t channels = param->shape[0];
    char name[ADL_LIMIT_TENSOR_NAME_BYTES + SUFFIX_LENGTH + 1];
    signed char *whole = multiples(model, id);
    struct adl_tensor *tensor;
    int result = -1;

    if (!whole) {
        adl_fail_nomem(err, "the weights in 8 bits");
        goto out;
    }
    int bits = adl_packed_bits(whole, param->count);
    if (bits < 8) {
        ADL_TRY(adl_packed_add(set, param->name, whole, param->count, bits, err));
    } else {
        tensor = adl_tensors_add_unset(set, param->name, ADL_I8, param->rank, param->shape, err);
        if (!tensor)
            goto out;
        memcpy(tensor->data, whole, param->count);
    }
    snprintf(name, sizeof name, "%s" SUFFIX, param->name);
    tensor = adl_tensors_add_unset(set, name, ADL_F32, 1, &channels, err);
    if (!tensor)
        goto out;
    memcpy(tensor->data, model->quantisation->scales[id], channels * sizeof(float));
    result = 0;
out:
    adl_free(whole);
    return result;
}

struct adl_tensors *adl_quantised_tensors(const struct adl_model *model, struct adl_error *err)
{
    struct adl_tensors *set = adl_tensors_create(err);

    for (int id = 0; set && id < adl_graph_param_count(model->graph); id++) {
        const struct adl_param *param = adl_graph_param(model->graph, id);
        if (model->quantisation->scales[id]) {
            if (add_weight(model, id, set, err) < 0)
                goto failed;
            continue;
        }
        struct adl_tensor *tensor =
            adl_tensors_add_unset(set, param->name, ADL_F32, param->rank, param->shape, err);
        if (!tensor)
            goto failed;
        memcpy(tensor->data, model->params[id], param->count * sizeof(float));
    }
    return set;
failed:
    adl_tensors_free(set);
    return NULL;
}
