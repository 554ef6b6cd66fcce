#ifndef ADL_IMAGE_COLORMAP_H
#define ADL_IMAGE_COLORMAP_H

/* The colours of heat maps: a perceptually uniform map, in which equal steps of the value look
 * like equal steps. */

#include <stdint.h>

#define ADL_COLORMAP_SIZE 256

/* RGB by value, from 0 (black) to 255 (pale yellow). */
extern const uint8_t adl_colormap_inferno[ADL_COLORMAP_SIZE][3];

#endif
