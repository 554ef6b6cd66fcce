#ifndef ADL_KERNELS_WINOGRAD_H
#define ADL_KERNELS_WINOGRAD_H

/* Declares the kernels of Winograd convolution F(m x m', r x r'): a tile of m x m' outputs of a
 * convolution with an r x r' kernel at stride 1, from the n x n' inputs of the tile, n = m + r - 1,
 * with one multiplication for each input instead of r r' for each output. F(4x4, 3x3)
 * thus needs 36 multiplications per channel for 16 outputs, where the definition needs
 * 144; F(6x6, 3x3) needs 64 instead of 324.
 *
 * The idea: polynomials can be multiplied by evaluating both at n points, multiplying
 * the values, and interpolating. A convolution of one dimension is the transpose of
 * such a product, and a second dimension nests a second transform in the first (Lavin
 * and Gray, "Fast algorithms for convolutional neural networks", 2016; the matrices
 * are those of Toom-Cook for the points below).
 *
 * With x a tile of the input, g a kernel, ' the transpose, . the product element by
 * element, and for each side the polynomial M of degree n-1 whose roots are the finite
 * points p,
 *
 *     y = A' [ (G g G') . (B' x B) ] A
 *     B'[i][j] = coefficient j of M(z) / (z - p[i])
 *     G[i][j]  = p[i]^j / (product over l != i of (p[i] - p[l]))
 *     A'[j][i] = p[i]^j
 *
 * The last point is infinity: its row of B' has the coefficients of M, its row of G is
 * (0 .. 0 1), and its column of A' is (0 .. 0 1)'. The other points are 0 and pairs +-p;
 * even and odd powers then give equal products for the two points of a pair up to the sign,
 * so that half of each transform is shared. The rounding error depends on the choice of
 * the points: those below gave the least in a search over dyadic numbers, whose squares
 * and products are exact. If a kernel has a single row or column, that side of a tile has one
 * point and is not transformed.
 *
 * A tile at the map's edge with few outputs needs only a subset of the points. It uses
 * the transformed weights of whole tiles: B' is then that of the subset, times the factors that
 * the denominators of G contain for the omitted points.
 *
 * Like kernel.h, this header is included by files compiled for wider instruction sets
 * and must not define any function. */

#include <stddef.h>
#include <stdint.h>

/* p of the pairs +-p: for tiles of 6 points (0, two pairs, infinity) and of 8 (three). */
#define ADL_WINOGRAD_PAIRS6                                                                        \
    {                                                                                              \
        0.625f, 1.5f                                                                               \
    }
#define ADL_WINOGRAD_PAIRS8                                                                        \
    {                                                                                              \
        0.5f, 1, 2                                                                                 \
    }
/* A position is the index of a point: 0, +p0, -p0, +p1, ..., infinity. These are the
 * positions of the subsets: 4 of 6 points, 4 of 8, and 6 of 8. */
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

/* Transform of one tile of the input, B' x B, along all channels: v[i * step + c] is its
 * element i = row position * column_points + column position. Channels are padded with
 * zeros to a multiple of the vector. */
struct adl_winograd_input {
    int row_points, column_points; /* n of each side of a whole tile: 1, 6 or 8 */
    int rows, columns;             /* inputs; as many as the subset has points */
    const unsigned char *row_positions, *column_positions; /* the subsets' positions */
    const float *const *pixels; /* rows x columns; those in the padding point to zeros */
    size_t channels;
    float *v; /* 64-byte aligned, as is each step */
    size_t step;
};

/* One tile of the output, along `channels` channels: out = clamp(A' m A + bias +
 * residual, lo, hi), where m are the products, element by element as in v above. */
struct adl_winograd_output {
    int row_points, column_points; /* these five as in adl_winograd_input */
    int rows, columns;
    const unsigned char *row_positions, *column_positions;
    int row_outputs, column_outputs; /* m of the subset */
    int height, width;               /* pixels inside the map, 1..m */
    uint64_t zeros; /* bit 8 i + j: output (i, j) sees zeros only; its sum is cleared */
    const float *m; /* readable up to a multiple of the vector */
    size_t step;
    const float *bias;     /* readable up to a multiple of the vector */
    float *out;            /* the tile's first pixel */
    size_t ldo, out_row;   /* floats to the next pixel, and to the pixel below */
    const float *residual; /* the tile's first pixel; NULL: none */
    size_t ldr, residual_row;
    size_t channels;
    float lo, hi;
};

/* The products of one position for one panel of nr output channels:
 * c[i][j] (+)= sum over l of a[i][l] b[l][j], with a row i for each tile. */
struct adl_winograd_product {
    const float *a;
    size_t lda;
    size_t rows;
    const float *b; /* depth rows of nr floats, 64-byte aligned */
    size_t depth;
    /* Memory to be prefetched meanwhile. NULL: the memory after b, as many bytes as b has. */
    const float *next;
    size_t next_floats;
    float *c; /* 64-byte aligned, as is ldc */
    size_t ldc;
    int accumulate;
};

/* Transform of the weights, G g G', for a panel of nr output channels and `depth` input
 * channels, rounded once (the arithmetic is in double). */
struct adl_winograd_weights {
    int row_points, column_points; /* n of each side: 1, 6 or 8 */
    int r, s;                      /* taps of the kernel, R x S */
    const float *w;                /* depth x R x S rows of nr floats */
    size_t depth;
    float *u; /* element i of input channel l: nr floats at u + i * step + l * nr; 64-byte
               * aligned, as is step */
    size_t step;
};

struct adl_winograd_kernels {
    int mr, nr; /* rows that `product` computes at a time, at most; columns of a panel */
    void (*product)(const struct adl_winograd_product *product);
    void (*input)(const struct adl_winograd_input *tile);
    void (*output)(const struct adl_winograd_output *tile);
    void (*weights)(const struct adl_winograd_weights *job);
};

#endif
