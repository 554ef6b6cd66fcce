#ifndef ADL_DATA_COLOUR_H
#define ADL_DATA_COLOUR_H

/* Changes the colours of an image as torchvision's ColorJitter does. */

#include "image/image.h"

enum adl_colour {
    ADL_COLOUR_BRIGHTNESS, /* blends with black */
    ADL_COLOUR_CONTRAST,   /* blends with the mean luma of the image */
    ADL_COLOUR_SATURATION, /* blends each pixel with its own luma */
    ADL_COLOUR_HUE,        /* turns the hue */
    ADL_COLOURS
};

/* Changes an image in place. `amount` is a factor of at least 0 (1: no change), or, for the hue, a
 * part of a whole turn from -0.5 to 0.5 (0: no change). */
void adl_colour_change(struct adl_image *image, enum adl_colour colour, double amount);

#endif
