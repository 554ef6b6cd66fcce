/* Computes the map of the few-box head; see foreground.h.
 *
 * The logit of a position is linear in the features, so the features of a smaller map are not
 * enlarged: its logits are, once for all channels. */

#include "wsol/foreground.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/size.h"

#define LANES 8

size_t adl_foreground_channels(const struct adl_foreground_head *head)
{
    size_t channels = head->channels;
    for (int i = 0; i < head->layer_count; i++)
        channels += head->layers[i].channels;
    return channels;
}

/* Returns `start` plus the scalar product. The order of the sum is fixed, so that its bits do not
 * depend on how the compiler vectorises it. */
static float add_product(float start, const float *features, const float *weights, size_t channels)
{
    float lanes[LANES] = {0}, sum = start;
    size_t k = 0;
    for (; k + LANES <= channels; k += LANES)
        for (size_t l = 0; l < LANES; l++)
            lanes[l] += features[k + l] * weights[k + l];
    for (; k < channels; k++)
        sum += features[k] * weights[k];
    for (size_t l = 0; l < LANES; l++)
        sum += lanes[l];
    return sum;
}

struct adl_foreground_between adl_foreground_between(size_t i, size_t size, size_t enlarged)
{
    double place = ((double)i + 0.5) * (double)size / (double)enlarged - 0.5;

    place = fmin(fmax(place, 0), (double)(size - 1));
    size_t first = (size_t)place;
    return (struct adl_foreground_between){
        .first = first, .second = ADL_MIN(first + 1, size - 1), .share = place - (double)first};
}

void adl_foreground_grid(const struct adl_foreground_head *head,
                         const struct adl_foreground_map *last,
                         const struct adl_foreground_map *maps, size_t *h, size_t *w)
{
    *h = last->h;
    *w = last->w;
    for (int i = 0; i < head->layer_count; i++) {
        *h = ADL_MAX(*h, maps[i].h);
        *w = ADL_MAX(*w, maps[i].w);
    }
}

static double mix(double first, double second, double share)
{
    return share > 0 ? (1 - share) * first + share * second : first;
}

/* Returns the value of `small`, rows x columns, at the position (y, x) of an h x w grid. */
static double enlarged(const double *small, size_t rows, size_t columns, size_t y, size_t x,
                       size_t h, size_t w)
{
    struct adl_foreground_between down = adl_foreground_between(y, rows, h);
    struct adl_foreground_between across = adl_foreground_between(x, columns, w);
    const double *above = small + down.first * columns, *below = small + down.second * columns;

    return mix(mix(above[across.first], above[across.second], across.share),
               mix(below[across.first], below[across.second], across.share), down.share);
}

/* Adds the logits of a map to `sums`, h x w, which are 0 for the first map. part: scratch. */
static void add_logits(const struct adl_foreground_map *map, const float *weights, size_t channels,
                       float bias, size_t h, size_t w, double *part, double *sums)
{
    for (size_t i = 0; i < map->h * map->w; i++)
        part[i] = (double)add_product(bias, map->features + i * channels, weights, channels);
    for (size_t y = 0; y < h; y++)
        for (size_t x = 0; x < w; x++)
            sums[y * w + x] += enlarged(part, map->h, map->w, y, x, h, w);
}

/* Writes how strongly the class responds at each position of the last map, 0..1. */
static void respond(const float *cam, size_t pixels, double *response)
{
    float least = INFINITY, greatest = -INFINITY;
    bool usable = true;

    for (size_t i = 0; i < pixels; i++) {
        usable &= !isnan(cam[i]);
        least = fminf(least, cam[i]);
        greatest = fmaxf(greatest, cam[i]);
    }
    double range = (double)greatest - (double)least;
    usable &= isfinite(range) && range > 0;
    for (size_t i = 0; i < pixels; i++)
        response[i] = usable ? ((double)cam[i] - (double)least) / range : 1;
}

void adl_foreground_probability(const struct adl_foreground_head *head,
                                const struct adl_foreground_map *last,
                                const struct adl_foreground_map *maps, double *part,
                                double *probability)
{
    size_t h, w;
    const float *weights = head->weights;
    float bias = weights[adl_foreground_channels(head)];

    adl_foreground_grid(head, last, maps, &h, &w);
    memset(probability, 0, h * w * sizeof *probability);
    add_logits(last, weights, head->channels, bias, h, w, part, probability);
    weights += head->channels;
    for (int i = 0; i < head->layer_count; i++) {
        add_logits(&maps[i], weights, head->layers[i].channels, 0, h, w, part, probability);
        weights += head->layers[i].channels;
    }
    for (size_t i = 0; i < h * w; i++)
        probability[i] = 1 / (1 + exp(-probability[i]));
}

void adl_foreground_combine(const double *probability, size_t h, size_t w, const float *cam,
                            size_t rows, size_t columns, double *part, float *out)
{
    respond(cam, rows * columns, part);
    for (size_t y = 0; y < h; y++)
        for (size_t x = 0; x < w; x++) {
            double response = enlarged(part, rows, columns, y, x, h, w);
            out[y * w + x] = (float)(probability[y * w + x] * sqrt(response));
        }
}

void adl_foreground_sample(const struct adl_foreground_map *map, size_t channels, size_t y,
                           size_t x, size_t h, size_t w, float *features)
{
    struct adl_foreground_between down = adl_foreground_between(y, map->h, h);
    struct adl_foreground_between across = adl_foreground_between(x, map->w, w);
    const float *above = map->features + down.first * map->w * channels;
    const float *below = map->features + down.second * map->w * channels;
    size_t left = across.first * channels, right = across.second * channels;

    for (size_t k = 0; k < channels; k++)
        features[k] = (float)mix(
            mix((double)above[left + k], (double)above[right + k], across.share),
            mix((double)below[left + k], (double)below[right + k], across.share), down.share);
}
