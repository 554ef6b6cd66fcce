#ifndef ADL_EVAL_EVALUATE_INPUT_H
#define ADL_EVAL_EVALUATE_INPUT_H

/* What the evaluation reads of a data set for one image. */

#include <stddef.h>

#include "data/dataset.h"
#include "data/frame_cache.h"
#include "wsol/boxes.h"
#include "wsol/views.h"

/* Reads image `index` and resizes it to all sizes of the views; with one size it may come from the
 * cache of `source`, which keeps frames of one size only. Sets the size of `original` to that of
 * the image; it gets no pixels. `path` is scratch. Fails as adl_frame_read() does. */
int adl_evaluate_read_images(const struct adl_frame_source *source,
                             const struct adl_dataset *dataset, size_t index,
                             const struct adl_view_sizes *sizes, struct adl_str *path,
                             struct adl_view_images *images, struct adl_image *original,
                             struct adl_error *err) ADL_MUST_CHECK;

/* Writes the true boxes of image `index`, which is width x height, in pixels of a map of map_width
 * x map_height to *truth, a growing array of *capacity boxes. Fails with ADL_ERR_NOMEM. */
int adl_evaluate_scale_truth(const struct adl_dataset *dataset, size_t index, int width, int height,
                             int map_width, int map_height, struct adl_box **truth,
                             size_t *capacity, struct adl_error *err) ADL_MUST_CHECK;

#endif
