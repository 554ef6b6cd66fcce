#ifndef ADL_IMAGE_OVERLAY_H
#define ADL_IMAGE_OVERLAY_H

/* Draws a result onto its image: a heat map, boxes and a label. */

#include "image/image.h"

/* Pixel indices, both ends inclusive. */
struct adl_overlay_box {
    int x0, y0, x1, y1;
};

struct adl_overlay {
    const float *heatmap; /* 0..1, heatmap_height x heatmap_width, any size; NULL: none */
    int heatmap_width;
    int heatmap_height;
    float opacity; /* of the heat map where its value is 1; 0..1 */
    float dimmed;  /* by how much of its values the heatmap is weaker, 0..1; 0: as it is */
    const struct adl_overlay_box *boxes;
    size_t box_count;
    /* UTF-8, drawn at the first box, or at the top left without boxes; NULL: none. */
    const char *label;
};

/* Draws onto the image in place. The heat map is enlarged bilinearly to the size of the
 * image and coloured with a perceptually uniform colour map. Line width and text size
 * grow with the image, so that boxes and label are legible on an image of any size. Fails
 * with ADL_ERR_ARG for an empty heat map, and with ADL_ERR_NOMEM. */
int adl_overlay_draw(struct adl_image *image, const struct adl_overlay *overlay,
                     struct adl_error *err) ADL_MUST_CHECK;

#endif
