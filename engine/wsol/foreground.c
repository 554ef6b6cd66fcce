/* Computes the map of the few-box head; see foreground.h.
 *
 * The logit of a position is linear in the features, so the mean of a larger map's features over
 * the position's area is not formed: the logits of the positions that the area covers are averaged
 * instead, which needs no memory. */

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

double adl_foreground_covered(size_t first, size_t last, size_t size, size_t cell, size_t cells)
{
    double from = (double)first * (double)cells / (double)size;
    double to = (double)(last + 1) * (double)cells / (double)size;
    return fmax(0, fmin((double)(cell + 1), to) - fmax((double)cell, from));
}

/* The positions first..last of one side of a map that a cell of the grid covers. */
struct span {
    size_t first, last;
};

static struct span span_of(size_t size, size_t cell, size_t cells)
{
    size_t end = ((cell + 1) * size + cells - 1) / cells;
    return (struct span){cell * size / cells, end - 1};
}

/* Returns the logits of a layer, averaged over the area of the position (y, x) of an h x w grid. */
static double layer_logit(const struct adl_foreground_map *map, const float *weights,
                          size_t channels, size_t y, size_t x, size_t h, size_t w)
{
    struct span rows = span_of(map->h, y, h), columns = span_of(map->w, x, w);
    double sum = 0;

    for (size_t r = rows.first; r <= rows.last; r++) {
        double share = adl_foreground_covered(r, r, map->h, y, h);
        for (size_t c = columns.first; c <= columns.last; c++)
            sum += share * adl_foreground_covered(c, c, map->w, x, w) *
                   (double)add_product(0, map->features + (r * map->w + c) * channels, weights,
                                       channels);
    }
    return sum;
}

/* Returns the logit of the head at the position (y, x) of the last map. */
static double logit(const struct adl_foreground_head *head, const struct adl_foreground_map *last,
                    const struct adl_foreground_map *maps, size_t y, size_t x)
{
    const float *weights = head->weights + head->channels;
    float bias = head->weights[adl_foreground_channels(head)];
    double sum = (double)add_product(bias, last->features + (y * last->w + x) * head->channels,
                                     head->weights, head->channels);

    for (int i = 0; i < head->layer_count; i++) {
        size_t channels = head->layers[i].channels;
        sum += layer_logit(&maps[i], weights, channels, y, x, last->h, last->w);
        weights += channels;
    }
    return sum;
}

void adl_foreground_apply(const struct adl_foreground_head *head,
                          const struct adl_foreground_map *last,
                          const struct adl_foreground_map *maps, float *cam)
{
    size_t pixels = last->h * last->w;
    float least = INFINITY, greatest = -INFINITY;
    bool usable = true;

    for (size_t i = 0; i < pixels; i++) {
        usable &= !isnan(cam[i]);
        least = fminf(least, cam[i]);
        greatest = fmaxf(greatest, cam[i]);
    }
    double range = (double)greatest - (double)least;
    usable &= isfinite(range) && range > 0;
    for (size_t i = 0; i < pixels; i++) {
        double response = usable ? ((double)cam[i] - (double)least) / range : 1;
        double p = 1 / (1 + exp(-logit(head, last, maps, i / last->w, i % last->w)));
        cam[i] = (float)(p * sqrt(response));
    }
}

void adl_foreground_resample(const struct adl_foreground_map *map, size_t channels, size_t h,
                             size_t w, float *features, size_t stride)
{
    for (size_t y = 0; y < h; y++)
        for (size_t x = 0; x < w; x++, features += stride) {
            struct span rows = span_of(map->h, y, h), columns = span_of(map->w, x, w);
            memset(features, 0, channels * sizeof *features);
            for (size_t r = rows.first; r <= rows.last; r++)
                for (size_t c = columns.first; c <= columns.last; c++) {
                    float share = (float)(adl_foreground_covered(r, r, map->h, y, h) *
                                          adl_foreground_covered(c, c, map->w, x, w));
                    const float *from = map->features + (r * map->w + c) * channels;
                    for (size_t k = 0; k < channels; k++)
                        features[k] += share * from[k];
                }
        }
}
