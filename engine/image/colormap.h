#ifndef ADL_IMAGE_COLORMAP_H
#define ADL_IMAGE_COLORMAP_H

/* The colours of heatmaps: a perceptually uniform map, so that equal steps of
 * the value look like equal steps. */

#include <stdint.h>

#define ADL_COLORMAP_SIZE 256

extern const uint8_t adl_colormap_inferno[ADL_COLORMAP_SIZE][3];

#endif
