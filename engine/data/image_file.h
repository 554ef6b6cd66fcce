#ifndef ADL_DATA_IMAGE_FILE_H
#define ADL_DATA_IMAGE_FILE_H

/* Image files by path. This is here and not in engine/image/, which decodes bytes and may
 * not see engine/io/. */

#include "data/dataset.h"
#include "image/image_decode.h"

/* Reads and decodes the image at `path`. `options` and `info` may be NULL, as for
 * adl_image_decode(). Fails as adl_file_read(), with LIMIT for a file of more than
 * ADL_LIMIT_IMAGE_FILE_BYTES, and as adl_image_decode(); the error names the path. */
int adl_image_read(const char *path, const struct adl_decode_options *options,
                   struct adl_image *image, struct adl_image_info *info,
                   struct adl_error *err) ADL_MUST_CHECK;

/* As adl_dataset_image_read(), but a JPEG may be reduced as for the target of `how`, whose
 * `ignore_orientation` is overruled by the data set. `info` may be NULL. */
int adl_dataset_image_reduced(const struct adl_dataset *dataset, size_t index,
                              const struct adl_decode_options *how, struct adl_str *path,
                              struct adl_image *image, struct adl_image_info *info,
                              struct adl_error *err) ADL_MUST_CHECK;

/* Decodes image `index` of a data set, upright or as stored, whichever the data set says:
 * training, evaluation and reports all see its images through this function. `path` is scratch,
 * as for adl_dataset_path(). Fails as that and as adl_image_read(), and with IO for what is not a
 * regular file. */
int adl_dataset_image_read(const struct adl_dataset *dataset, size_t index, struct adl_str *path,
                           struct adl_image *image, struct adl_error *err) ADL_MUST_CHECK;

#endif
