/* Weighs the map of a layer by the gradient of a logit; see layer_map.h. */

#include "wsol/layer_map.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/name.h"
#include "base/size.h"

const char *const adl_layer_method_names[] = {"none", "layercam", "gradcam", "gradcam++", NULL};

#define GAIN 2.0 /* of a layer below the last; gamma in the paper */

/* Returns whether a text may name a layer: modules of PyTorch have names of letters, digits, points
 * and underlines. What is printable otherwise is left to the graph, which knows its names. */
static bool is_name(const char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return length > 0 && length < ADL_LIMIT_LAYER_NAME_BYTES;
}

int adl_map_layer_parse(const char *text, struct adl_map_layer *layer, struct adl_error *err)
{
    const char *colon = strchr(text, ':'), *name = colon ? colon + 1 : text;
    size_t length = colon ? (size_t)(colon - text) : 0;
    enum adl_layer_method method = colon ? ADL_LAYER_NONE : ADL_LAYER_LAYERCAM;

    *layer = (struct adl_map_layer){0};
    if (!strcmp(text, adl_layer_method_names[ADL_LAYER_NONE]))
        return 0;
    for (int i = ADL_LAYER_LAYERCAM; colon && adl_layer_method_names[i]; i++)
        if (strlen(adl_layer_method_names[i]) == length &&
            !memcmp(text, adl_layer_method_names[i], length))
            method = (enum adl_layer_method)i;
    if (method == ADL_LAYER_NONE || !is_name(name))
        return adl_fail(err, ADL_ERR_ARG,
                        "\"%s\" is not a layer's name, layercam:LAYER, gradcam:LAYER, "
                        "gradcam++:LAYER or none",
                        ADL_SHORT(text));
    layer->method = method;
    memcpy(layer->name, name, strlen(name));
    return 0;
}

const char *adl_map_layer_text(const struct adl_map_layer *layer,
                               char text[ADL_MAP_LAYER_TEXT_BYTES])
{
    bool none = layer->method == ADL_LAYER_NONE;

    snprintf(text, ADL_MAP_LAYER_TEXT_BYTES, "%s%s%s", adl_layer_method_names[layer->method],
             none ? "" : ":", none ? "" : layer->name);
    return text;
}

bool adl_map_layer_equal(const struct adl_map_layer *a, const struct adl_map_layer *b)
{
    return a->method == b->method && (a->method == ADL_LAYER_NONE || !strcmp(a->name, b->name));
}

/* --- the maps ---------------------------------------------------------------------------- */

/* Returns the weight of a channel for all positions: of gradcam, or of gradcam++. */
static double channel_weight(enum adl_layer_method method, const float *features,
                             const float *gradient, size_t pixels, size_t channels)
{
    double sum = 0, activation = 0;

    if (method == ADL_LAYER_GRADCAM) {
        for (size_t i = 0; i < pixels; i++)
            sum += (double)gradient[i * channels];
        return sum / (double)pixels;
    }
    for (size_t i = 0; i < pixels; i++)
        activation += (double)features[i * channels];
    for (size_t i = 0; i < pixels; i++) {
        double g = (double)gradient[i * channels];
        double below = 2 * g * g + activation * g * g * g;
        if (g > 0 && below != 0)
            sum += g * g / below * g;
    }
    return sum;
}

static void add_channel(const float *features, size_t pixels, size_t channels, double weight,
                        double *map)
{
    for (size_t i = 0; i < pixels; i++)
        map[i] += weight * (double)features[i * channels];
}

void adl_layer_map(enum adl_layer_method method, const float *features, const float *gradient,
                   size_t pixels, size_t channels, double *map)
{
    memset(map, 0, pixels * sizeof *map);
    if (method == ADL_LAYER_LAYERCAM)
        for (size_t i = 0; i < pixels; i++) {
            double sum = 0;
            for (size_t k = i * channels; k < (i + 1) * channels; k++)
                sum += gradient[k] <= 0 ? 0 : (double)gradient[k] * (double)features[k];
            map[i] = sum;
        }
    else
        for (size_t k = 0; k < channels; k++)
            add_channel(features + k, pixels, channels,
                        channel_weight(method, features + k, gradient + k, pixels, channels), map);
    for (size_t i = 0; i < pixels; i++)
        map[i] = map[i] <= 0 ? 0 : map[i]; /* keeps a NaN */
}

/* Returns the maximum of a map, at least 0; NaN if a value is not finite. */
static double greatest_of(const double *map, size_t count)
{
    double greatest = 0;
    for (size_t i = 0; i < count; i++)
        if (!isfinite(map[i]))
            return NAN;
        else
            greatest = ADL_MAX(greatest, map[i]);
    return greatest;
}

/* Returns a value, clipped at 0, as a share of the maximum. */
static double share_of(double value, double greatest)
{
    return value > 0 ? value / greatest : 0;
}

void adl_layer_join(const double *last, const double *layer, size_t count, double *joined)
{
    double of_last = greatest_of(last, count), of_layer = greatest_of(layer, count);
    bool usable = !isnan(of_last) && !isnan(of_layer);

    for (size_t i = 0; i < count; i++) {
        double a = share_of(last[i], of_last), b = tanh(GAIN * share_of(layer[i], of_layer));
        joined[i] = usable ? ADL_MAX(a, b) : NAN;
    }
}
