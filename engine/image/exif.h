#ifndef ADL_IMAGE_EXIF_H
#define ADL_IMAGE_EXIF_H

/* Reads the orientation of the camera from EXIF metadata, of which nothing else is needed. */

#include <stddef.h>

/* Returns the orientation, 1..8, in an EXIF block, which is a TIFF file, with or without the
 * "Exif\0\0" that JPEG puts before it; 1 (upright) if there is none or the block is
 * malformed, since no image is refused for its metadata. An orientation of 5 to 8 swaps width
 * and height. */
int adl_exif_orientation(const void *bytes, size_t length);

#endif
