#ifndef ADL_OPS_POOL_WINDOW_H
#define ADL_OPS_POOL_WINDOW_H

#include "base/limits.h"
#include "kernels/kernel.h"
#include "ops/ops.h"

/* Returns the arguments of kernels->maxpool and kernels->avgpool for row p of the output of a
 * pooling op. x: one image of shape `in` with ldx floats from pixel to pixel; q: columns of
 * the output. `rows` is filled in, and the result points to it; the caller sets `out` and
 * `ldo`. */
struct adl_pool_row adl_pool_row_at(const struct adl_pool_attr *attr, const float *x,
                                    struct adl_shape in, size_t ldx, int p, int q,
                                    const float *rows[ADL_LIMIT_WINDOW]);

#endif
