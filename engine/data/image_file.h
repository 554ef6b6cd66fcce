#ifndef ADL_DATA_IMAGE_FILE_H
#define ADL_DATA_IMAGE_FILE_H

/* Reads image files by path. This is here and not in engine/image/, which decodes bytes and may
 * not include engine/io/. */

#include "data/dataset.h"
#include "image/image_decode.h"

/* Reads and decodes the image at `path`. `options` and `info` may be NULL, as for
 * adl_image_decode(). Fails as adl_file_read() does, with ADL_ERR_LIMIT for a file of more than
 * ADL_LIMIT_IMAGE_FILE_BYTES, and as adl_image_decode() does; the error names the path. */
int adl_image_read(const char *path, const struct adl_decode_options *options,
                   struct adl_image *image, struct adl_image_info *info,
                   struct adl_error *err) ADL_MUST_CHECK;

/* Decodes an image as adl_dataset_image_read() does, but with the options `how`, which may have a
 * JPEG decoded at reduced size; the data set overrides their `ignore_orientation`. `info` may be
 * NULL. */
int adl_dataset_image_reduced(const struct adl_dataset *dataset, size_t index,
                              const struct adl_decode_options *how, struct adl_str *path,
                              struct adl_image *image, struct adl_image_info *info,
                              struct adl_error *err) ADL_MUST_CHECK;

/* Decodes image `index` of a data set, turned upright or as stored, according to
 * dataset->upright. `path` is scratch, as for adl_dataset_path(). Fails as adl_dataset_path() and
 * adl_image_read() do, and with ADL_ERR_IO if the file is not a regular one. */
int adl_dataset_image_read(const struct adl_dataset *dataset, size_t index, struct adl_str *path,
                           struct adl_image *image, struct adl_error *err) ADL_MUST_CHECK;

#endif
