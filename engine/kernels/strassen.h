#ifndef ADL_KERNELS_STRASSEN_H
#define ADL_KERNELS_STRASSEN_H

/* The additions of Strassen's algorithm (V. Strassen, Gaussian elimination is
 * not optimal, 1969). With quarters a, b and c of the factors and the result,
 *
 *     p0 = (a00 + a11) (b00 + b11)      c00 = p0 + p3 - p4 + p6
 *     p1 = (a10 + a11) b00              c01 = p2 + p4
 *     p2 = a00 (b01 - b11)              c10 = p1 + p3
 *     p3 = a11 (b10 - b00)              c11 = p0 - p1 + p2 + p5
 *     p4 = (a00 + a01) b11
 *     p5 = (a10 - a00) (b00 + b01)
 *     p6 = (a01 - a11) (b10 + b11)
 *
 * `split` makes what stands for a in the products, `join` makes c of them; what
 * stands for b is packed beforehand (conv_strassen.c).
 *
 * Like kernel.h, this is included by files compiled for wider instruction sets:
 * it must not define any function. */

#include <stddef.h>

#define ADL_STRASSEN_PRODUCTS 7

/* A row of the upper half of a and the same row of the lower half, into a row of
 * each left factor. */
struct adl_strassen_split {
    const float *x[2];  /* NULL: zeros */
    size_t half, count; /* columns of a half; of both that exist, half <= count <= 2 * half */
    float *out;         /* rows of `half` floats, `step` apart; writable up to a multiple of 16 */
    size_t step;
};

/* c = clamp(sum of products + bias + residual), by halves of rows and columns. */
struct adl_strassen_join {
    const float *in; /* the products, `step` apart; readable up to a multiple of 16 columns */
    size_t step, ldi;
    size_t rows[2], columns[2]; /* that exist of each half; not more of the second */
    float *out[2][2];
    size_t ldo;
    const float *bias[2];        /* by column. NULL: no bias, residual or clamp at all */
    const float *residual[2][2]; /* NULL: none */
    size_t ldr;
    float lo, hi;
};

struct adl_strassen_kernels {
    void (*split)(const struct adl_strassen_split *job);
    void (*join)(const struct adl_strassen_join *job);
};

#endif
