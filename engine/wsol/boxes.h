#ifndef ADL_WSOL_BOXES_H
#define ADL_WSOL_BOXES_H

/* From a score map to boxes, exactly as the reference evaluation code
 * (clovaai/wsolevaluation, OpenCV 4.6) computes them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "wsol/contour.h"

/* Pixels of the map, inclusive when compared (IoU); see adl_box_to_inclusive. */
struct adl_box {
    int x0, y0, x1, y1;
};

struct adl_boxes {
    struct adl_box *items; /* owned; adl_boxes_release */
    size_t count;
    size_t capacity;
};

void adl_boxes_release(struct adl_boxes *boxes);

/* Bicubic (A = -0.75, edge replicated, no antialiasing) from h x w to
 * out_h x out_w, bit for bit as cv2.resize(INTER_CUBIC) on doubles. */
int adl_scoremap_resize(const double *map, int h, int w, double *out, int out_h, int out_w,
                        struct adl_error *err) ADL_MUST_CHECK;

/* Minus the minimum, divided by the new maximum; constant maps and maps with a
 * NaN or an infinity become all zeros. In place. */
void adl_scoremap_normalise(double *map, size_t count);

enum adl_box_mode {
    ADL_BOXES_LARGEST, /* the contour of greatest area: one box */
    ADL_BOXES_ALL      /* every contour, holes included, in OpenCV's order */
};

/* Boxes of a normalised map at threshold t in 0..1: bytes = map * 255
 * truncated; foreground = byte > int(t * largest byte). The reference's box
 * [x, y, min(x+w, W-1), min(y+h, H-1)], one pixel wider and higher than the
 * inclusive one except at the border; no contour gives one box [0,0,0,0].
 * `boxes` is emptied first; its memory is reused. A value outside 0..1 or a NaN
 * in the map is an error. For many thresholds of one map, or many maps, use a
 * box finder. */
int adl_boxes_from_map(const double *map, int height, int width, double threshold,
                       enum adl_box_mode mode, struct adl_boxes *boxes,
                       struct adl_error *err) ADL_MUST_CHECK;

/* One map at a time, to be cut at many thresholds. A zeroed struct is ready for
 * use; its memory is reused from map to map. One thread at a time. */
struct adl_box_finder {
    struct adl_contour_finder contours; /* of the last adl_box_finder_cut() */
    uint8_t *bytes;                     /* the map as bytes */
    size_t capacity;
    int height, width;
    int largest_byte; /* 255, or 0 for a map of zeros */
};

void adl_box_finder_release(struct adl_box_finder *finder);

/* Takes a normalised map in. */
int adl_box_finder_load(struct adl_box_finder *finder, const double *map, int height, int width,
                        struct adl_error *err) ADL_MUST_CHECK;

/* The byte that foreground has to exceed at a threshold; thresholds with the
 * same byte have the same boxes. */
int adl_box_finder_byte(const struct adl_box_finder *finder, double threshold);

/* Boxes of the map where bytes exceed `byte`; as adl_boxes_from_map(). Box i
 * belongs to contour i of finder->contours in mode ADL_BOXES_ALL, and no
 * contours there mean that the one box is only the reference's [0,0,0,0]. */
int adl_box_finder_cut(struct adl_box_finder *finder, int byte, enum adl_box_mode mode,
                       struct adl_boxes *boxes, struct adl_error *err) ADL_MUST_CHECK;

/* The reference's box as inclusive pixel indices: the one place that takes the
 * extra column and row away. (A box that ends at the border may have ended one
 * pixel before it; the reference's box does not tell, and the border is kept.) */
struct adl_box adl_box_to_inclusive(struct adl_box box, int width, int height);

/* An inclusive box of a from_width x from_height map as the inclusive box of
 * the pixels it covers in a to_width x to_height image. */
struct adl_box adl_box_scale(struct adl_box box, int from_width, int from_height, int to_width,
                             int to_height);

/* Intersection over union of inclusive boxes; 0 when the union is empty. */
double adl_box_iou(struct adl_box a, struct adl_box b);

#endif
