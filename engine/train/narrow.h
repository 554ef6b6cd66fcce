#ifndef ADL_TRAIN_NARROW_H
#define ADL_TRAIN_NARROW_H

/* Sums of which the terms are rounded to bfloat16, so that messages are half as long.
 *
 * With r(x) the rounding to bfloat16, two terms are joined to r(a) + r(b), in float32. Both are
 * rounded, whether they travel or not, so the sum does not depend on who has which, and has the
 * same bits for any number of ranks. What is passed on of the last sum is rounded once more.
 *
 * A message has the upper halves of the floats in their order. It is made and read in the memory
 * of the floats themselves. */

#include <stddef.h>
#include <stdint.h>

#include "kernels/bf16.h"

/* to[i] = r(to[i]) + r(from[i]) */
void adl_narrow_join(const struct adl_bf16_kernels *kernels, float *to, const float *from,
                     size_t count);
/* The same with a message: to[i] = r(to[i]) + from[i]. */
void adl_narrow_join_message(const struct adl_bf16_kernels *kernels, float *to,
                             const uint16_t *from, size_t count);
/* values[i] = r(values[i]) */
void adl_narrow_round(const struct adl_bf16_kernels *kernels, float *values, size_t count);

/* Returns where the message of an array lies: in its second half. */
static inline uint16_t *adl_narrow_message(float *values, size_t count)
{
    return (uint16_t *)(void *)values + count;
}

/* Makes numbers first to last of the message of an array of `count` floats, which it overwrites.
 * Parts are made from the last one to the first. */
void adl_narrow_pack(const struct adl_bf16_kernels *kernels, float *values, size_t count,
                     size_t first, size_t last);
/* Makes floats first to last of the message, from the first part to the last. */
void adl_narrow_unpack(const struct adl_bf16_kernels *kernels, float *values, size_t count,
                       size_t first, size_t last);

#endif
