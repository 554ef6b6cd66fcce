#ifndef ADL_WSOL_MAP_VIEWS_H
#define ADL_WSOL_MAP_VIEWS_H

/* The views of an image that a class map is averaged over: the image at several input sizes, each
 * also mirrored, and the network with its last stride of 1. This header names them and computes
 * their sizes; wsol/views.h runs them. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/limits.h"
#include "wsol/layer_map.h"

/* A part of a map rule. All zero: the image as it is, at the size of the network's input. */
struct adl_map_views {
    bool flip;       /* the mirrored image is averaged in */
    bool stride1;    /* the last halving of the network is left out for the map */
    int scale_count; /* 0: scale 1 alone */
    /* Factors on the sides of the network's input, in ascending order, without repetition. */
    double scales[ADL_LIMIT_MAP_SCALES];
    /* In every view, the map of this layer is joined with the class map. */
    struct adl_map_layer layer;
};

/* Changes to it. */
struct adl_map_view_changes {
    int flip;        /* 1 or 0; -1: unchanged */
    int stride;      /* 1: without the last halving, 2: with it; -1: unchanged */
    int scale_count; /* 0: scale 1 alone; -1: unchanged */
    double scales[ADL_LIMIT_MAP_SCALES];
    bool has_layer; /* `layer` is the new one */
    struct adl_map_layer layer;
};
#define ADL_MAP_VIEWS_UNCHANGED                                                                    \
    {                                                                                              \
        .flip = -1, .stride = -1, .scale_count = -1                                                \
    }

void adl_map_views_change(struct adl_map_views *views, const struct adl_map_view_changes *changes);

bool adl_map_views_equal(const struct adl_map_views *a, const struct adl_map_views *b);

/* Returns whether the map is formed from the image as it is alone, and from the last layer. */
bool adl_map_views_plain(const struct adl_map_views *views);

/* Writes what distinguishes the views from the image as it is, for people: ", mirrored, scales
 * 1,1.43, stride 1, layercam:blocks.4"; nothing if they are plain. Cut at `size` bytes. Returns
 * `text`. */
const char *adl_map_views_describe(const struct adl_map_views *views, char *text, size_t size);

/* Puts `count` scales in ascending order into `scales`, and returns how many there are then: 0 if
 * scale 1 is the only one. Returns -1 if there are none or more than ADL_LIMIT_MAP_SCALES, if one
 * is not from ADL_MAP_SCALE_MIN to ADL_MAP_SCALE_MAX, or if two are equal. `from` may be
 * `scales`. */
int adl_map_scales_sort(const double *from, size_t count, double scales[ADL_LIMIT_MAP_SCALES]);

/* Reads scales from a text such as "1,1.43", as adl_map_scales_sort() does. Fails with ADL_ERR_ARG
 * and a message that says what a list of scales is. */
int adl_map_scales_parse(const char *text, double scales[ADL_LIMIT_MAP_SCALES], int *count,
                         struct adl_error *err) ADL_MUST_CHECK;

/* The sizes at which the views need the image; the first is that of the network's input. */
struct adl_view_sizes {
    int count;
    struct {
        int h, w;
    } items[ADL_LIMIT_MAP_SCALES + 1];
};

/* Sets the sizes for an input of input_h x input_w. At scale s, a side of
 * n pixels has the length nearest to s n that differs from n by a multiple of 16, at least 1. */
void adl_map_views_sizes(const struct adl_map_views *views, int input_h, int input_w,
                         struct adl_view_sizes *sizes);

/* Fails with ADL_ERR_LIMIT if a side of a view exceeds ADL_LIMIT_INPUT_SIDE. */
int adl_map_views_check(const struct adl_map_views *views, int input_h, int input_w,
                        struct adl_error *err) ADL_MUST_CHECK;

/* One view: what the network is run on, and whether its map counts. */
struct adl_view {
    int size; /* index into struct adl_view_sizes */
    bool mirrored;
    bool stride1; /* the network is run with its last stride of 1 */
    bool in_map;
};

/* The image as it is, and each scale plain and mirrored. */
#define ADL_MAX_VIEWS (1 + 2 * ADL_LIMIT_MAP_SCALES)

/* Lists the views in the order in which they are run and summed, and returns their number. The
 * first is always the image as it is, because the scores of the classes are those of this view,
 * which the network computes as it was trained; its map may not count. `can_stride1` says whether
 * the network has a last halving that can be left out. */
int adl_map_views_list(const struct adl_map_views *views, int input_h, int input_w,
                       bool can_stride1, struct adl_view list[ADL_MAX_VIEWS]);

/* Fails with ADL_ERR_ARG if the map of another layer is to be joined with one of a stride that the
 * network was not trained with: `can_stride1` as above. */
int adl_map_views_check_stride(const struct adl_map_views *views, bool can_stride1,
                               struct adl_error *err) ADL_MUST_CHECK;

/* Returns the pixels of all views together, as a multiple of those of the input: roughly the factor
 * by which the views increase the computing time. */
double adl_map_views_cost(const struct adl_map_views *views, int input_h, int input_w,
                          bool can_stride1);

#endif
