#ifndef ADL_OPS_RESIZE_H
#define ADL_OPS_RESIZE_H

/* Where the pixels of a resized map lie (resize.c), for those who write it as other ops. */

#include "ops/between.h"
#include "ops/ops.h"

/* Returns the input rows, or columns, that output `position` of `to` lies between, of `from`, and
 * the weight of the second; `scale` is that of the attribute, or 0 where it gives the size. */
struct adl_between adl_resize_at(const struct adl_resize_attr *attr, double scale, int position,
                                 int from, int to);

#endif
