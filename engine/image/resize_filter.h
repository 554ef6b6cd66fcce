#ifndef ADL_IMAGE_RESIZE_FILTER_H
#define ADL_IMAGE_RESIZE_FILTER_H

/* The two passes of Pillow's Image.resize(BILINEAR), one row at a time: the weights along one side
 * (the formula is in resize_filter.c), and their use across a row and down a column.
 * adl_image_resize() (resize.c) has the whole image before it, row_resize.c gets it row by row;
 * both give the same bytes. */

#include "base/error.h"
#include "image/resize_weights.h"

/* Computes the weights from `in_size` to `size` pixels, both at least 1. Fails with
 * ADL_ERR_NOMEM. */
int adl_resize_filter_init(struct adl_resize_filter *filter, int in_size, int size,
                           struct adl_error *err) ADL_MUST_CHECK;
void adl_resize_filter_release(struct adl_resize_filter *filter);

/* Changes the weights into those for input that comes in the opposite order, whose output comes in
 * the opposite order too: output i of the result is output size - 1 - i, of input k of the result,
 * which is input in_size - 1 - k. */
void adl_resize_filter_reverse(struct adl_resize_filter *filter);

/* Resizes a row of filter->in_size pixels to filter->size pixels. */
void adl_resize_row(const uint8_t *rgb, const struct adl_resize_filter *filter, uint8_t *out);

/* Computes output row i from rows of `row_bytes` that follow each other in memory, of which `first`
 * is row filter->first[i]. */
void adl_resize_column(const uint8_t *first, size_t row_bytes,
                       const struct adl_resize_filter *filter, int i, uint8_t *out);

#endif
