/* Names the views of a map rule and computes their sizes; see map_views.h. */

#include "wsol/map_views.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"
#include "base/size.h"

/* Sides of views differ from those of the input by multiples of this, the distance of the positions
 * in the usual maps. Then the positions lie in a view as they do in the input (at 177 pixels, for
 * example, the outer ones lie on the border), and only a few sizes occur whatever scales are asked
 * for. */
#define STEP_PX 16

void adl_map_views_change(struct adl_map_views *views, const struct adl_map_view_changes *changes)
{
    if (changes->flip >= 0)
        views->flip = changes->flip > 0;
    if (changes->stride >= 0)
        views->stride1 = changes->stride == 1;
    if (changes->scale_count >= 0) {
        views->scale_count = changes->scale_count;
        memcpy(views->scales, changes->scales, sizeof views->scales);
    }
    if (changes->has_layer)
        views->layer = changes->layer;
}

bool adl_map_views_equal(const struct adl_map_views *a, const struct adl_map_views *b)
{
    bool equal = a->flip == b->flip && a->stride1 == b->stride1 &&
                 a->scale_count == b->scale_count && adl_map_layer_equal(&a->layer, &b->layer);
    for (int i = 0; equal && i < a->scale_count; i++)
        equal = a->scales[i] == b->scales[i];
    return equal;
}

bool adl_map_views_plain(const struct adl_map_views *views)
{
    return !views->flip && !views->stride1 && views->scale_count == 0 &&
           views->layer.method == ADL_LAYER_NONE;
}

int adl_map_views_check_stride(const struct adl_map_views *views, bool can_stride1,
                               struct adl_error *err)
{
    if (!views->stride1 || !can_stride1 || views->layer.method == ADL_LAYER_NONE)
        return 0;
    return adl_fail(err, ADL_ERR_ARG,
                    "the map of another layer cannot be combined with a map stride of 1: its "
                    "gradient is that of the network as it was trained");
}

const char *adl_map_views_describe(const struct adl_map_views *views, char *text, size_t size)
{
    size_t length = (size_t)snprintf(text, size, "%s", views->flip ? ", mirrored" : "");
    for (int i = 0; i < views->scale_count && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%.6g", i ? "," : ", scales ",
                                   views->scales[i]);
    if (length < size)
        length += (size_t)snprintf(text + length, size - length, "%s",
                                   views->stride1 ? ", stride 1" : "");
    char layer[ADL_MAP_LAYER_TEXT_BYTES];
    if (length < size && views->layer.method != ADL_LAYER_NONE)
        snprintf(text + length, size - length, ", %s", adl_map_layer_text(&views->layer, layer));
    return text;
}

/* --- lists of scales ----------------------------------------------------------------- */

int adl_map_scales_sort(const double *from, size_t count, double scales[ADL_LIMIT_MAP_SCALES])
{
    double sorted[ADL_LIMIT_MAP_SCALES] = {0};

    if (count < 1 || count > ADL_LIMIT_MAP_SCALES)
        return -1;
    for (size_t i = 0; i < count; i++) {
        size_t place = i;
        if (!(from[i] >= ADL_MAP_SCALE_MIN && from[i] <= ADL_MAP_SCALE_MAX))
            return -1;
        for (; place > 0 && sorted[place - 1] > from[i]; place--)
            sorted[place] = sorted[place - 1];
        if (place > 0 && sorted[place - 1] == from[i])
            return -1;
        sorted[place] = from[i];
    }
    memcpy(scales, sorted, sizeof sorted);
    return count == 1 && sorted[0] == 1 ? 0 : (int)count;
}

int adl_map_scales_parse(const char *text, double scales[ADL_LIMIT_MAP_SCALES], int *count,
                         struct adl_error *err)
{
    double values[ADL_LIMIT_MAP_SCALES];
    size_t found = 0;
    const char *next = text;
    bool fine = true;

    while (fine) {
        char *end = NULL;
        size_t length = strcspn(next, ",");
        /* strtod() alone would also accept blanks, hexadecimal numbers, "inf" and "nan". */
        fine =
            found < ADL_LIMIT_MAP_SCALES && length > 0 && strspn(next, "0123456789.eE+-") == length;
        if (fine)
            values[found++] = strtod(next, &end);
        fine = fine && end == next + length;
        next += length;
        if (!*next)
            break;
        next++;
    }
    *count = fine ? adl_map_scales_sort(values, found, scales) : -1;
    if (*count < 0)
        return adl_fail(err, ADL_ERR_ARG,
                        "%s: has to be 1 to %d different numbers from %g to %g, separated by "
                        "commas, such as 1,1.43",
                        ADL_SHORT(text), ADL_LIMIT_MAP_SCALES, ADL_MAP_SCALE_MIN,
                        ADL_MAP_SCALE_MAX);
    return 0;
}

/* --- sizes and views ------------------------------------------------------------------- */

static int scaled_side(int side, double scale)
{
    int scaled = side + STEP_PX * (int)round(side * (scale - 1) / STEP_PX);
    return ADL_MAX(scaled, 1);
}

/* Returns the index of the size of a scale, which is added to `sizes` if it is new. */
static int add_size(struct adl_view_sizes *sizes, double scale)
{
    int h = scaled_side(sizes->items[0].h, scale), w = scaled_side(sizes->items[0].w, scale);
    int i = 0;

    while (i < sizes->count && (sizes->items[i].h != h || sizes->items[i].w != w))
        i++;
    if (i == sizes->count) {
        sizes->items[i].h = h;
        sizes->items[i].w = w;
        sizes->count++;
    }
    return i;
}

void adl_map_views_sizes(const struct adl_map_views *views, int input_h, int input_w,
                         struct adl_view_sizes *sizes)
{
    *sizes = (struct adl_view_sizes){.count = 1, .items = {{input_h, input_w}}};
    for (int i = 0; i < views->scale_count; i++)
        add_size(sizes, views->scales[i]);
}

int adl_map_views_check(const struct adl_map_views *views, int input_h, int input_w,
                        struct adl_error *err)
{
    struct adl_view_sizes sizes;

    adl_map_views_sizes(views, input_h, input_w, &sizes);
    for (int i = 0; i < sizes.count; i++)
        if (ADL_MAX(sizes.items[i].h, sizes.items[i].w) > ADL_LIMIT_INPUT_SIDE)
            return adl_fail(err, ADL_ERR_LIMIT,
                            "a scale of the map makes %d x %d of an input of %d x %d; a side can "
                            "have %d pixels at most",
                            sizes.items[i].w, sizes.items[i].h, input_w, input_h,
                            ADL_LIMIT_INPUT_SIDE);
    return 0;
}

int adl_map_views_list(const struct adl_map_views *views, int input_h, int input_w,
                       bool can_stride1, struct adl_view list[ADL_MAX_VIEWS])
{
    struct adl_view_sizes sizes = {.count = 1, .items = {{input_h, input_w}}};
    bool stride1 = views->stride1 && can_stride1;
    bool used[ADL_LIMIT_MAP_SCALES + 1] = {false};
    int scales = ADL_MAX(views->scale_count, 1), count = 1;

    list[0] = (struct adl_view){0};
    for (int i = 0; i < scales; i++) {
        int size = add_size(&sizes, views->scale_count ? views->scales[i] : 1);
        if (used[size])
            continue; /* two scales that are rounded to one size are one view */
        used[size] = true;
        if (size == 0)
            list[0] = (struct adl_view){.stride1 = stride1, .in_map = true};
        else
            list[count++] = (struct adl_view){size, false, stride1, true};
        if (views->flip)
            list[count++] = (struct adl_view){size, true, stride1, true};
    }
    return count;
}

double adl_map_views_cost(const struct adl_map_views *views, int input_h, int input_w,
                          bool can_stride1)
{
    struct adl_view list[ADL_MAX_VIEWS];
    struct adl_view_sizes sizes;
    double pixels = 0;

    adl_map_views_sizes(views, input_h, input_w, &sizes);
    for (int i = 0, n = adl_map_views_list(views, input_h, input_w, can_stride1, list); i < n; i++)
        pixels += (double)sizes.items[list[i].size].h * sizes.items[list[i].size].w;
    return pixels / ((double)input_h * input_w);
}
