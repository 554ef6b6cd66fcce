#ifndef ADL_WSOL_FOREGROUND_H
#define ADL_WSOL_FOREGROUND_H

/* Applies the few-box head: a linear classifier that tells which positions of the last feature map
 * belong to an object of any class. It is fitted to the boxes of a few images
 * (eval/foreground_fit.h).
 *
 * Beside the last map it may read layers below it. Their maps are as large as the last one or
 * larger; the features of such a layer at a position of the last map are the means of its features
 * over that position's area. */

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

/* Combines the class map `cam`, of the sides of the last map, with the head, in place. With f the
 * features of a position, those of all layers one after the other, and w and b the channels'
 * weights and the bias,
 *
 *     cam = sigmoid(w f + b) * sqrt((cam - min) / (max - min))
 *
 * The second factor shows how strongly the class responds at the position, so that an object of
 * another class fades. It is 1 everywhere for a class map that is constant or has a NaN or an
 * infinity. maps: head->layer_count of them. */
void adl_foreground_apply(const struct adl_foreground_head *head,
                          const struct adl_foreground_map *last,
                          const struct adl_foreground_map *maps, float *cam);

/* Writes the features of a layer with `channels` channels at every position of an h x w grid, each
 * `stride` floats after the one before. */
void adl_foreground_resample(const struct adl_foreground_map *map, size_t channels, size_t h,
                             size_t w, float *features, size_t stride);

/* Divides a side of `size` pixels into `cells` cells and returns the fraction of the length of cell
 * number `cell` that the pixels first..last cover. */
double adl_foreground_covered(size_t first, size_t last, size_t size, size_t cell, size_t cells);

#endif
