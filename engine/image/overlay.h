#ifndef ADL_IMAGE_OVERLAY_H
#define ADL_IMAGE_OVERLAY_H

/* What a person sees: a heatmap blended over the picture, boxes, a label. */

#include "image/image.h"

/* Pixel indices, both ends inclusive. */
struct adl_overlay_box {
    int x0, y0, x1, y1;
};

struct adl_overlay {
    const float *heatmap; /* 0..1, heatmap_height x heatmap_width; NULL: none */
    int heatmap_width;
    int heatmap_height;
    float opacity; /* of the heatmap, 0..1 */
    const struct adl_overlay_box *boxes;
    size_t box_count;
    const char *label; /* UTF-8, drawn at the first box; NULL: none */
};

/* Draws onto the image itself. The heatmap is stretched over it bilinearly and
 * coloured with a perceptually uniform map; line width and text grow with the
 * image so that they can be read at any size. */
int adl_overlay_draw(struct adl_image *image, const struct adl_overlay *overlay,
                     struct adl_error *err) ADL_MUST_CHECK;

#endif
