#ifndef ADL_IMAGE_EXIF_H
#define ADL_IMAGE_EXIF_H

/* The one thing needed of EXIF: how the camera was held. */

#include <stddef.h>

/* The orientation, 1..8, in a TIFF block, with or without the "Exif\0\0" that
 * JPEG puts before it. 1 (upright) where there is none or it makes no sense:
 * no picture is refused for its metadata. */
int adl_exif_orientation(const void *bytes, size_t length);

#endif
