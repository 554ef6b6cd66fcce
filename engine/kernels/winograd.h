#ifndef ADL_KERNELS_WINOGRAD_H
#define ADL_KERNELS_WINOGRAD_H

/* The inner loops of Winograd convolution F(m x m, 3 x 3): m x m outputs from
 * (m+2) x (m+2) inputs by one multiplication per input instead of nine per
 * output (Lavin and Gray, "Fast algorithms for convolutional neural networks",
 * 2016; the matrices are Toom-Cook's for the points below).
 *
 * With x a tile of the input, g a kernel, and the polynomial M of degree m+1
 * whose roots are the points p,
 *
 *     y = A' [ (G g G') . (B' x B) ] A
 *     B'[i][j] = coefficient j of M(z) / (z - p[i])
 *     G[i][j]  = p[i]^j / (product over l != i of (p[i] - p[l]))
 *     A'[j][i] = p[i]^j
 *
 * and for the point at infinity, the last, the coefficients of M, (0 0 1) and
 * (0 .. 0 1)'. Points come in pairs +-p, so that half of each transform is
 * shared. Which ones decides the error: those below gave the least in a search
 * over dyadic numbers, whose squares and products are exact.
 *
 * Like kernel.h, this is included by files compiled for wider instruction sets:
 * it must not define any function. */

#include <stddef.h>

#define ADL_WINOGRAD_F4_POINTS                                                                     \
    {                                                                                              \
        0, 0.625, -0.625, 1.5, -1.5                                                                \
    }
#define ADL_WINOGRAD_F6_POINTS                                                                     \
    {                                                                                              \
        0, 0.5, -0.5, 1, -1, 2, -2                                                                 \
    }
#define ADL_WINOGRAD_MAX_POSITIONS 64

/* One tile of the input, along all channels: v[i * step + c] = the transform's
 * element i (row-major), i < (m+2)^2. Channels are filled up with zeros to a
 * multiple of the vector. */
struct adl_winograd_input {
    const float *const *pixels; /* (m+2)^2, row-major; padding points to zeros */
    size_t channels;
    float *v; /* 64-byte aligned, as is each step */
    size_t step;
};

/* One tile of the output, along `channels` channels:
 * out = clamp(inverse transform of m + bias + residual). */
struct adl_winograd_output {
    const float *m; /* as v above; readable up to a multiple of the vector */
    size_t step;
    const float *bias;     /* readable alike */
    float *out;            /* the tile's first pixel */
    size_t ldo, out_row;   /* floats to the next pixel, to the pixel below */
    const float *residual; /* as out; NULL: none */
    size_t ldr, residual_row;
    int rows, columns; /* 1..m: pixels that exist */
    size_t channels;
    float lo, hi;
};

/* c[i][j] (+)= sum over l of a[i][l] * b[l][j], for one panel of nr columns. */
struct adl_winograd_product {
    const float *a;
    size_t lda;
    size_t rows;
    const float *b; /* depth rows of nr floats, 64-byte aligned; what lies behind them (the next
                     * panel) is fetched into the cache meanwhile */
    size_t depth;
    float *c; /* 64-byte aligned, as is ldc */
    size_t ldc;
    int accumulate;
};

struct adl_winograd_kernels {
    int mr, nr; /* rows that `product` does at a time at most, columns of a panel */
    void (*product)(const struct adl_winograd_product *product);
    void (*input4)(const struct adl_winograd_input *tile);
    void (*output4)(const struct adl_winograd_output *tile);
    void (*input6)(const struct adl_winograd_input *tile);
    void (*output6)(const struct adl_winograd_output *tile);
};

#endif
