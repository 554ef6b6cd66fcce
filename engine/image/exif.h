#ifndef ADL_IMAGE_EXIF_H
#define ADL_IMAGE_EXIF_H

/* The orientation of the camera from EXIF metadata; nothing else of it is needed. */

#include <stddef.h>

/* The orientation, 1..8, in an EXIF block, which is a TIFF file, with or without the "Exif\0\0"
 * that JPEG puts before it. 1 (upright) if there is none or it is malformed: no image is
 * refused for its metadata. Of values 1 to 4 the sides stay, of 5 to 8 they are swapped. */
int adl_exif_orientation(const void *bytes, size_t length);

#endif
