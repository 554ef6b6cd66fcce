#ifndef ADL_KERNELS_WINOGRAD_H
#define ADL_KERNELS_WINOGRAD_H

/* The inner loops of Winograd convolution F(m x m', r x r'): m x m' outputs of a
 * kernel of r x r' from n x n' inputs, n = m + r - 1, by one multiplication per
 * input instead of r r' per output (Lavin and Gray, "Fast algorithms for
 * convolutional neural networks", 2016; the matrices are Toom-Cook's for the
 * points below).
 *
 * With x a tile of the input, g a kernel, and for each side the polynomial M of
 * degree n-1 whose roots are the points p,
 *
 *     y = A' [ (G g G') . (B' x B) ] A
 *     B'[i][j] = coefficient j of M(z) / (z - p[i])
 *     G[i][j]  = p[i]^j / (product over l != i of (p[i] - p[l]))
 *     A'[j][i] = p[i]^j
 *
 * and for the point at infinity, the last, the coefficients of M, (0 .. 0 1) and
 * (0 .. 0 1)'. The other points are 0 and pairs +-p, so that half of each
 * transform is shared. Which ones decides the error: those below gave the least
 * in a search over dyadic numbers, whose squares and products are exact. A side
 * of one point is not transformed: a kernel of one row or column.
 *
 * A tile at the map's edge that has few outputs needs only a subset of the
 * points, with the same transformed weights: B' is then that of the subset,
 * times what G's denominators lack.
 *
 * Like kernel.h, this is included by files compiled for wider instruction sets:
 * it must not define any function. */

#include <stddef.h>

#define ADL_WINOGRAD_PAIRS6                                                                        \
    {                                                                                              \
        0.625f, 1.5f                                                                               \
    }
#define ADL_WINOGRAD_PAIRS8                                                                        \
    {                                                                                              \
        0.5f, 1, 2                                                                                 \
    }
/* Positions of the subsets: of 6 points the one of 4; of 8 those of 4 and 6. */
#define ADL_WINOGRAD_POSITIONS6_4                                                                  \
    {                                                                                              \
        0, 1, 2, 5                                                                                 \
    }
#define ADL_WINOGRAD_POSITIONS8_4                                                                  \
    {                                                                                              \
        0, 3, 4, 7                                                                                 \
    }
#define ADL_WINOGRAD_POSITIONS8_6                                                                  \
    {                                                                                              \
        0, 1, 2, 5, 6, 7                                                                           \
    }
#define ADL_WINOGRAD_MAX_SIDE 8

/* One tile of the input, along all channels: v[i * step + c] = the transform's
 * element i = row position * column_points + column position. Channels are
 * filled up with zeros to a multiple of the vector. */
struct adl_winograd_input {
    int row_points, column_points; /* n of each side: 1, 6 or 8 */
    int rows, columns;             /* inputs, which are as many as points of the subset */
    const unsigned char *row_positions, *column_positions; /* of the subsets */
    const float *const *pixels; /* rows x columns; padding points to zeros */
    size_t channels;
    float *v; /* 64-byte aligned, as is each step */
    size_t step;
};

/* One tile of the output, along `channels` channels:
 * out = clamp(inverse transform of m + bias + residual). */
struct adl_winograd_output {
    int row_points, column_points; /* as above, down to the positions */
    int rows, columns;
    const unsigned char *row_positions, *column_positions;
    int row_outputs, column_outputs; /* m of the subset */
    int height, width;               /* 1..m: pixels that exist */
    const float *m;                  /* as v above; readable up to a multiple of the vector */
    size_t step;
    const float *bias;     /* readable alike */
    float *out;            /* the tile's first pixel */
    size_t ldo, out_row;   /* floats to the next pixel, to the pixel below */
    const float *residual; /* as out; NULL: none */
    size_t ldr, residual_row;
    size_t channels;
    float lo, hi;
};

/* c[i][j] (+)= sum over l of a[i][l] * b[l][j], for one panel of nr columns. */
struct adl_winograd_product {
    const float *a;
    size_t lda;
    size_t rows;
    const float *b; /* depth rows of nr floats, 64-byte aligned */
    size_t depth;
    /* What is fetched into the cache meanwhile; NULL: as much as b has, behind it. */
    const float *next;
    size_t next_floats;
    float *c; /* 64-byte aligned, as is ldc */
    size_t ldc;
    int accumulate;
};

/* The weights of a panel of nr output channels: for each of `depth` input channels
 * G g G' of its r x s taps. */
struct adl_winograd_weights {
    int row_points, column_points; /* as above */
    int r, s;
    const float *w; /* depth x r x s rows of nr floats */
    size_t depth;
    float *u; /* element i of channel l: nr floats at u + i * step + l * nr; 64-byte
               * aligned, as is step */
    size_t step;
};

struct adl_winograd_kernels {
    int mr, nr; /* rows that `product` does at a time at most, columns of a panel */
    void (*product)(const struct adl_winograd_product *product);
    void (*input)(const struct adl_winograd_input *tile);
    void (*output)(const struct adl_winograd_output *tile);
    void (*weights)(const struct adl_winograd_weights *job);
};

#endif
