#ifndef ADL_WSOL_CONTOUR_H
#define ADL_WSOL_CONTOUR_H

/* The borders of the connected regions of a binary picture, in the order, with
 * the rectangles and with the areas of OpenCV 4.6's findContours(RETR_TREE),
 * boundingRect and contourArea. Foreground is 8-connected, background
 * 4-connected; beyond the picture everything is background. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct adl_contour {
    int x, y, width, height; /* bounds of the border's foreground pixels */
    int parent;              /* the contour around this one, or -1 */
    bool hole;               /* the border of a hole: foreground around background */
    double area;             /* of the polygon through the pixel centres */
};

enum adl_contour_choice {
    ADL_CONTOURS_ALL,      /* outer borders and holes, nested as they are */
    ADL_CONTOURS_OUTERMOST /* only borders that no other one encloses */
};

struct adl_contour_node;

/* Contours and the memory to find them, used again from picture to picture.
 * A zeroed struct is ready for use. One thread at a time. */
struct adl_contour_finder {
    struct adl_contour *items; /* what the last adl_contour_find() found */
    size_t count;

    uint8_t *inside; /* the picture as 0 and 1 with a margin of one pixel */
    int32_t *labels; /* of border pixels: number of the border, from 1 */
    size_t plane_capacity;
    struct adl_contour_node *nodes; /* in order of discovery */
    size_t node_capacity, capacity; /* of nodes, of items */
};

void adl_contour_finder_release(struct adl_contour_finder *finder);

/* Contours of the picture "bytes[y * width + x] > cut", a parent always before
 * its children, what the raster scan meets last first among the children of
 * one parent. */
int adl_contour_find(struct adl_contour_finder *finder, const uint8_t *bytes, int height, int width,
                     int cut, enum adl_contour_choice choice, struct adl_error *err) ADL_MUST_CHECK;

/* Index of the contour of greatest area, the first among equals; 0 when there
 * is none. The same contour whatever the choice was: nothing is larger than
 * what encloses it, and what encloses comes first. */
size_t adl_contour_largest(const struct adl_contour_finder *finder);

#endif
