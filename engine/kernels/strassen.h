#ifndef ADL_KERNELS_STRASSEN_H
#define ADL_KERNELS_STRASSEN_H

/* Declares the additions of Strassen's algorithm (V. Strassen, "Gaussian elimination is not
 * optimal", 1969), which multiplies two matrices that are cut into quarters with seven
 * products of quarters instead of eight. With the quarters aij and bij of the factors
 * and cij of the result,
 *
 *     p0 = (a00 + a11) (b00 + b11)      c00 = p0 + p3 - p4 + p6
 *     p1 = (a10 + a11) b00              c01 = p2 + p4
 *     p2 = a00 (b01 - b11)              c10 = p1 + p3
 *     p3 = a11 (b10 - b00)              c11 = p0 - p1 + p2 + p5
 *     p4 = (a00 + a01) b11
 *     p5 = (a10 - a00) (b00 + b01)
 *     p6 = (a01 - a11) (b10 + b11)
 *
 * `split` computes the seven left factors from the quarters of a, and `join` the
 * quarters of c from the seven products. The right factors are sums of weights, which
 * conv_strassen.c computes once, when it packs them.
 *
 * Like kernel.h, this header is included by files compiled for wider instruction sets
 * and must not define any function. */

#include <stddef.h>

#define ADL_STRASSEN_PRODUCTS 7

/* One row of each left factor, from one row of the upper half of a and the corresponding row
 * of the lower half. */
struct adl_strassen_split {
    const float *x[2];  /* upper and lower row; NULL: a row of zeros */
    size_t half, count; /* columns of the left half, and of a; half <= count <= 2 * half */
    float *out;         /* 7 rows of `half` floats, `step` apart; writable up to a multiple
                         * of 16 */
    size_t step;
};

/* c = clamp(sums of products + bias + residual, lo, hi). Index 0 is the upper or left
 * half, 1 the lower or right half. */
struct adl_strassen_join {
    const float *in; /* the products, `step` apart; readable up to a multiple of 16 columns */
    size_t step, ldi;
    size_t rows[2], columns[2]; /* of each half that exist; the second has no more */
    float *out[2][2];           /* by half of the rows, half of the columns */
    size_t ldo;
    const float *bias[2];        /* by half of the columns; bias[0] NULL: no bias, residual
                                  * or clamp at all (an inner level) */
    const float *residual[2][2]; /* as out; NULL: none */
    size_t ldr;
    float lo, hi;
    /* With a bias: for each row of a half, whether that row of the left factor is all zero;
     * its sums are then cleared, and those that are not finite become NaN. */
    const unsigned char *zero[2];
};

struct adl_strassen_kernels {
    void (*split)(const struct adl_strassen_split *job);
    void (*join)(const struct adl_strassen_join *job);
};

#endif
