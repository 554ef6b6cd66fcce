#ifndef ADL_WSOL_BOXES_H
#define ADL_WSOL_BOXES_H

/* Computes boxes from a score map, exactly as the reference evaluation code for weakly supervised
 * object localization (clovaai/wsolevaluation, with OpenCV 4.6) does:
 *
 *   1. the class map is enlarged to the input size, bicubically (adl_scoremap_resize);
 *   2. it is normalised to 0..1 by its minimum and maximum (adl_map_normalise, which also has
 *      other rules);
 *   3. it is quantised to bytes, cut at a fraction of the largest byte, and the contours of the
 *      foreground are found (adl_box_finder_*);
 *   4. each contour's bounding rectangle becomes a box. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "wsol/contour.h"

/* A box in pixels of the map; IoU counts both ends as inside. See adl_box_to_inclusive(). */
struct adl_box {
    int x0, y0, x1, y1;
};

struct adl_boxes {
    struct adl_box *items; /* owned; adl_boxes_release */
    size_t count;
    size_t capacity;
};

void adl_boxes_release(struct adl_boxes *boxes);

/* Enlarges a map from h x w to out_h x out_w bicubically (A = -0.75, edge replicated, no
 * antialiasing), bit for bit as cv2.resize(INTER_CUBIC) on doubles. Fails with ADL_ERR_ARG for
 * sides below 1, and with ADL_ERR_NOMEM. */
int adl_scoremap_resize(const double *map, int h, int w, double *out, int out_h, int out_w,
                        struct adl_error *err) ADL_MUST_CHECK;

/* The same for many maps of one size. */
struct adl_scoremap_resizer {
    int h, w, out_h, out_w;
    /* For each output pixel along one axis its four source pixels, clamped to the edge, and their
     * weights; owned. */
    struct adl_scoremap_taps {
        int *sources;
        float *weights;
    } across, down;
};
/* Overwrites `resizer`; on failure it is released. Fails as adl_scoremap_resize(). */
int adl_scoremap_resizer_init(struct adl_scoremap_resizer *resizer, int h, int w, int out_h,
                              int out_w, struct adl_error *err) ADL_MUST_CHECK;
void adl_scoremap_resizer_release(struct adl_scoremap_resizer *resizer); /* zeroed is fine */
/* Enlarges a map; `wide` is scratch of h x out_w doubles. Any number of threads may run it. */
void adl_scoremap_resizer_run(const struct adl_scoremap_resizer *resizer, const double *map,
                              double *wide, double *out);

enum adl_box_mode {
    ADL_BOXES_LARGEST, /* one box, that of the contour of greatest area */
    ADL_BOXES_ALL,     /* one box for each contour, holes included, in OpenCV's order; for users see
                        * wsol/localize.h */
    ADL_BOXES_OBJECTS  /* one box for each object; only wsol/localize.h has this mode */
};
extern const char *const adl_box_mode_names[]; /* "largest", "all", "objects", NULL */

/* Finds the boxes of a normalised map of height H x width W at threshold t in 0..1. With
 * byte = trunc(map * 255), the foreground is byte > trunc(t * largest byte). A contour with the
 * bounding rectangle x, y, w, h has the box [x, y, min(x + w, W - 1), min(y + h, H - 1)]: one
 * pixel wider and higher than the inclusive box except at the border. Without any contour there is
 * one box [0, 0, 0, 0]. `boxes` is emptied first; its memory is reused. Fails with ADL_ERR_ARG for
 * a value outside 0..1, a NaN, or a threshold outside 0..1, and with ADL_ERR_NOMEM. For many
 * thresholds of one map, or for many maps, use a box finder. */
int adl_boxes_from_map(const double *map, int height, int width, double threshold,
                       enum adl_box_mode mode, struct adl_boxes *boxes,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Holds one map at a time and cuts it at many thresholds. A zeroed struct is ready for use; its
 * memory is reused from map to map. For one thread at a time. */
struct adl_box_finder {
    struct adl_contour_finder contours; /* found by the last adl_box_finder_cut() */
    uint8_t *bytes;                     /* the map quantised to bytes, height x width */
    size_t capacity;
    int height, width;
    int largest_byte; /* of `bytes`; 255 for a map of adl_map_normalise() that is not all zeros */
};

void adl_box_finder_release(struct adl_box_finder *finder);

/* Quantises a normalised map. Fails with ADL_ERR_ARG for a value outside 0..1 or a side below 1,
 * and with ADL_ERR_NOMEM. */
int adl_box_finder_load(struct adl_box_finder *finder, const double *map, int height, int width,
                        struct adl_error *err) ADL_MUST_CHECK;

/* Returns the byte that the foreground has to exceed at a threshold. Thresholds with equal bytes
 * give equal boxes, so a map has at most 256 different cuts. */
int adl_box_finder_byte(const struct adl_box_finder *finder, double threshold);

/* Finds the boxes of the part of the map whose bytes exceed `byte`, as adl_boxes_from_map() does.
 * In mode ADL_BOXES_ALL, box i is that of contour i of finder->contours; if there are no contours,
 * the only box is the reference's placeholder [0, 0, 0, 0]. */
int adl_box_finder_cut(struct adl_box_finder *finder, int byte, enum adl_box_mode mode,
                       struct adl_boxes *boxes, struct adl_error *err) ADL_MUST_CHECK;

/* Converts the reference's box to inclusive pixel indices: the one place that removes the
 * extra column and row. A box that ends at the border may stand for one that ends a pixel
 * before it, which the reference's box cannot express; it is left at the border. */
struct adl_box adl_box_to_inclusive(struct adl_box box, int width, int height);

/* Converts an inclusive box of a from_width x from_height map to the smallest inclusive box of
 * a to_width x to_height image that covers the same area. */
struct adl_box adl_box_scale(struct adl_box box, int from_width, int from_height, int to_width,
                             int to_height);

/* Returns the intersection over union of inclusive boxes, 0..1; 0 if the union is empty. */
double adl_box_iou(struct adl_box a, struct adl_box b);

/* Returns the largest IoU of any predicted box with any true box, 0 without boxes: with several
 * objects, finding one of them is enough. */
double adl_box_best_iou(const struct adl_box *boxes, size_t box_count, const struct adl_box *truth,
                        size_t truth_count);

#endif
