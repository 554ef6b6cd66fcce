#ifndef ADL_DATA_MASK_H
#define ADL_DATA_MASK_H

/* Reads the true masks of a data set's images, which PxAP and the intersection over union of maps
 * are measured against, as the reference evaluation code reads those of OpenImages
 * (clovaai/wsolevaluation, evaluation.py: load_mask_image, get_mask). */

#include <stdint.h>

#include "data/dataset.h"

/* Values of a mask. */
#define ADL_MASK_BACKGROUND 0
#define ADL_MASK_FOREGROUND 1
#define ADL_MASK_IGNORED 255

/* Writes the mask of image `index` to `mask`, height x width. A pixel is foreground if one of the
 * image's masks has a grey value above 0 there, and ignored if it is not foreground and the mask of
 * ignored pixels has such a value. Each file is brought to height x width by its nearest pixels,
 * without regard to the aspect ratio, as the image is.
 *
 * image_width x image_height is the size of the image, or 0 x 0 if it is not known: a file whose
 * sides have another proportion belongs to another image and is refused. `path` is scratch. Fails
 * with ADL_ERR_NOT_FOUND if a file does not exist or there is no directory of masks, with
 * ADL_ERR_FORMAT if it is no PNG file, is damaged or has another shape than the image, with
 * ADL_ERR_IO if it is no regular file or cannot be read, and as adl_image_read() does; the message
 * names the file. */
int adl_dataset_mask_read(const struct adl_dataset *dataset, size_t index, int image_width,
                          int image_height, int height, int width, uint8_t *mask,
                          struct adl_str *path, struct adl_error *err) ADL_MUST_CHECK;

#endif
