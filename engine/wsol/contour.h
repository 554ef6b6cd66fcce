#ifndef ADL_WSOL_CONTOUR_H
#define ADL_WSOL_CONTOUR_H

/* Finds the borders of the connected regions of a binary image, with the order, the bounding
 * rectangles and the areas of OpenCV 4.6: findContours(RETR_TREE), boundingRect and contourArea.
 * Foreground is 8-connected, background 4-connected; everything beyond the image is background.
 * The reference evaluation code takes its boxes from these three functions, so the order and the
 * areas are part of the metrics' definition. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct adl_contour {
    int x, y, width, height; /* bounding rectangle of the border's foreground pixels */
    int parent;              /* index of the contour around this one, or -1 */
    bool hole;               /* true: the border of a hole; false: the outer border of a region */
    int met;                 /* its place in the order in which the raster scan met the borders */
    double area;             /* in pixels, of the polygon through the pixel centres: a single
                              * pixel has area 0, a square of n x n pixels (n - 1)^2 */
};

enum adl_contour_choice {
    ADL_CONTOURS_ALL,      /* outer borders and holes, as a tree (RETR_TREE) */
    ADL_CONTOURS_OUTERMOST /* only borders that no other border encloses (RETR_EXTERNAL) */
};

struct adl_contour_node;

/* Contours and the memory to find them, which is reused from image to image. A zeroed struct
 * is ready for use. For one thread at a time. */
struct adl_contour_finder {
    struct adl_contour *items; /* result of the last adl_contour_find() */
    size_t count;

    /* Private. Both planes are (height + 2) x (width + 2): a margin of one pixel. */
    uint8_t *inside; /* 1: foreground */
    int32_t *labels; /* number of the border through a pixel, from 1; negative: see contour.c */
    size_t plane_capacity;
    struct adl_contour_node *nodes; /* in order of discovery */
    size_t node_capacity, capacity; /* of nodes, of items */
};

void adl_contour_finder_release(struct adl_contour_finder *finder);

/* Finds the contours of the binary image bytes[y * width + x] > cut, cut in 0..255. Parents
 * come before their children, and of siblings the one that the raster scan meets last comes
 * first. Fails with ADL_ERR_ARG for sides below 1 or a cut that is not a byte, with ADL_ERR_LIMIT
 * for an image of 2^31 pixels or more, margin included, and with ADL_ERR_NOMEM; then there are no
 * contours. */
int adl_contour_find(struct adl_contour_finder *finder, const uint8_t *bytes, int height, int width,
                     int cut, enum adl_contour_choice choice, struct adl_error *err) ADL_MUST_CHECK;

/* Returns the index of the contour of greatest area; ties go to the first, and it is 0 if there is
 * no contour. It is the same contour for either choice of adl_contour_find(): none is larger than
 * one that encloses it, and the enclosing one comes first. */
size_t adl_contour_largest(const struct adl_contour_finder *finder);

#endif
