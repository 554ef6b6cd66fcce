#ifndef ADL_KERNELS_CONV_INT8_H
#define ADL_KERNELS_CONV_INT8_H

/* Convolutions of one image in 8 bits, built from the kernels of int8.h: dense ones as matrix
 * products, and depthwise ones. As in conv.h, the division into tasks depends on the shape only,
 * and all maps are NHWC; leading dimensions are in elements. */

#include <stdbool.h>
#include <stdint.h>

#include "kernels/conv.h"
#include "kernels/int8.h"

/* The real number s (x - z) for each byte x of a map. */
struct adl_int8_range {
    float scale; /* s > 0 */
    int zero;    /* z, 0..255 */
};

/* One convolution: out = clamp(conv(x) + bias + residual, lo, hi). */
struct adl_conv_int8 {
    struct adl_conv conv; /* its ldx, ldo, ldr are in elements of the maps; lo and hi are real */
    struct adl_int8_range in, out, residual; /* `out` is not used with to_floats */
    bool has_residual;
    bool to_floats; /* the output map is float32 */
};

/* The weights of an output channel in real numbers are those of the file, each a whole multiple
 * -127..127 of scale[k], times factor[k] of a folded batch norm. */
struct adl_int8_weights {
    const float *values; /* K x C/groups x R x S */
    const float *scale;  /* K */
    const float *factor; /* K; any sign */
    const float *bias;   /* K, real */
};

/* Returns whether there are kernels for this shape: dense ones whose sums fit 32 bits, and
 * depthwise ones without a residual. */
bool adl_conv_int8_supports(const struct adl_conv *conv, bool has_residual);
/* Returns the estimated time in the unit of conv_cost.h. */
double adl_conv_int8_cost(const struct adl_conv *conv, const struct adl_int8_kernels *kernels);

/* Return the size of the packed weights in floats, the number of tasks, and the floats of scratch
 * memory of one task. */
size_t adl_conv_int8_packed_floats(const struct adl_conv *conv,
                                   const struct adl_int8_kernels *kernels);
size_t adl_conv_int8_tasks(const struct adl_conv *conv, const struct adl_int8_kernels *kernels);
size_t adl_conv_int8_scratch_floats(const struct adl_conv *conv,
                                    const struct adl_int8_kernels *kernels);
/* Packs weights and epilogue into `packed`, 64-byte aligned. */
void adl_conv_int8_pack(const struct adl_conv_int8 *job, const struct adl_int8_kernels *kernels,
                        const struct adl_int8_weights *weights, float *packed);
/* Runs one task. x and residual (NULL: none) are whole maps of bytes, out is one of bytes or
 * floats. */
void adl_conv_int8_run(const struct adl_conv_int8 *job, const struct adl_int8_kernels *kernels,
                       const float *packed, const uint8_t *x, const uint8_t *residual, void *out,
                       size_t task, float *scratch);

#endif
