#ifndef ADL_WSOL_FOREGROUND_H
#define ADL_WSOL_FOREGROUND_H

/* Applies the few-box head: a linear classifier that tells which positions of an image belong to an
 * object of any class. It is fitted to the boxes of a few images (eval/foreground_fit.h).
 *
 * It reads the last feature map and may read layers below it, whose maps are as large or larger.
 * Its positions are those of the largest of these maps, the grid of the head; the features of a
 * smaller map are interpolated between its positions, bilinearly as cv2.resize() does: position i
 * of `out` along a side lies at (i + 0.5) in / out - 0.5 of the `in` positions of the smaller map,
 * and the positions at the edge continue beyond it. */

#include <stddef.h>

#include "base/limits.h"

/* A head, and which layers it reads. */
struct adl_foreground_head {
    size_t channels; /* of the last map */
    int layer_count;
    struct adl_foreground_layer {
        char name[ADL_LIMIT_LAYER_NAME_BYTES]; /* of a value of the graph, as in PyTorch */
        int value;                             /* that value */
        size_t channels;
    } layers[ADL_LIMIT_HEAD_LAYERS];
    /* Of the channels of the last map and then of each layer, and the bias: as many floats as
     * adl_foreground_channels() says, and one. Owned by whoever made the head. */
    const float *weights;
};

/* Returns the number of all channels that a head reads. */
size_t adl_foreground_channels(const struct adl_foreground_head *head);

/* The map of a layer, h x w x channels (NHWC). */
struct adl_foreground_map {
    const float *features;
    size_t h, w;
};

/* Sets *h and *w to the grid of a head that reads these maps: head->layer_count of them. */
void adl_foreground_grid(const struct adl_foreground_head *head,
                         const struct adl_foreground_map *last,
                         const struct adl_foreground_map *maps, size_t *h, size_t *w);

/* Computes the head's probability of an object, sigmoid(w f + b), at each position of its grid,
 * with f the features of the position, those of all layers one after the other, and w and b the
 * channels' weights and the bias. part: scratch, as many as the grid has positions. Allocates
 * nothing. */
void adl_foreground_probability(const struct adl_foreground_head *head,
                                const struct adl_foreground_map *last,
                                const struct adl_foreground_map *maps, double *part,
                                double *probability);

/* Combines the class map `cam`, rows x columns as the last map, with the probability at each
 * position of the head's grid, h x w, between whose positions cam is interpolated as features are:
 *
 *     out = probability * sqrt((cam - min) / (max - min))
 *
 * The second factor shows how strongly the class responds at the position, so that an object of
 * another class fades. It is 1 everywhere for a class map that is constant or has a NaN or an
 * infinity. part: scratch, rows x columns; `out` may be `cam`. Allocates nothing. */
void adl_foreground_combine(const double *probability, size_t h, size_t w, const float *cam,
                            size_t rows, size_t columns, double *part, float *out);

/* Writes the features of a map with `channels` channels at the position (y, x) of an h x w grid,
 * whose sides are at least those of the map. */
void adl_foreground_sample(const struct adl_foreground_map *map, size_t channels, size_t y,
                           size_t x, size_t h, size_t w, float *features);

/* Between which positions of a side of `size` the position `i` of an enlarged side of `enlarged`
 * lies: its value is (1 - share) of the one at `first` plus `share` of that at `second`. */
struct adl_foreground_between {
    size_t first, second;
    double share;
};
struct adl_foreground_between adl_foreground_between(size_t i, size_t size, size_t enlarged);

#endif
