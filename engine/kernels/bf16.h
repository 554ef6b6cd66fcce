#ifndef ADL_KERNELS_BF16_H
#define ADL_KERNELS_BF16_H

/* Declares the kernels for bfloat16 (base/bf16.h), one table of them for each instruction set. At
 * inference weights are in bfloat16. Where the processor multiplies such numbers, the values of a
 * map are rounded as well while they are copied for a product (conv_dot.c). Elsewhere, and in
 * Winograd's algorithm, a few weights at a time are widened, which is exact, into a buffer in the
 * cache, multiplied there by the factor of a folded batch norm, and used by the kernels of float32;
 * such an algorithm has the same bits as its counterpart in float32 with the rounded weights. In
 * training maps are in bfloat16 (train/tape_run.c), and the products of the backward pass.
 *
 * Rows of `columns` weights are packed as columns/2 pairs of 16 bits: pair j holds column j in its
 * lower and column columns/2 + j in its upper half. A vector of pairs thus becomes two vectors of
 * float32, in their order, by a shift and by a mask.
 *
 * As kernel.h, this header is included by files compiled for wider instruction sets. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One register tile of a matrix product of bfloat16 numbers: for row i < m and column j < n,
 *
 *     c[i][j] = clamp((sum over l of a[i][l] b[l][j]) scale[j] + init + residual[i][j], lo, hi)
 *
 * The depth is divided into steps of two, zero beyond its end. In each step the product of the
 * second values is added to the float32 sum, then that of the first, each rounded to nearest even,
 * and subnormal numbers count as zero (Intel's manual of VDPBF16PS). */
struct adl_bf16_tile {
    /* The pair of row i and step l begins at a + i lda + l a_step, which are even numbers of
     * values: a row may be contiguous, or the pairs of a step. */
    const uint16_t *a;
    size_t lda, a_step;
    const uint32_t
        *b; /* a panel: for each step a pair for each of dot_nr columns; 64-byte aligned */
    size_t steps;
    int m, n;                  /* 1..dot_mr, 1..dot_nr */
    const float *scale, *bias; /* whole vectors may be read beyond column n */
    bool accumulate;           /* init is c[i][j], not bias[j] */
    const float *residual;     /* NULL: none */
    size_t ldr;
    float *c;
    size_t ldc;
    float lo, hi; /* -INFINITY, INFINITY: no clamp */
};

struct adl_bf16_kernels {
    /* Rounds `rows` rows of `columns` values each, an even number, as adl_bf16_from_float() does,
     * to rows of pairs; with the same bits on every machine. */
    void (*round)(const float *x, size_t rows, size_t columns, uint32_t *pairs);
    /* out[i][j] = x[i][j] scale[j], for `rows` rows of pairs. */
    void (*widen)(const uint32_t *pairs, const float *scale, size_t rows, size_t columns,
                  float *out);
    /* The same for maps, in their order: rounds and widens `count` values. */
    void (*round_map)(const float *x, size_t count, uint16_t *out);
    void (*widen_map)(const uint16_t *x, size_t count, float *out);
    /* Rounds two rows to pairs, the first one to the lower halves; the second one is zeros if it is
     * NULL. */
    void (*round_pairs)(const float *first, const float *second, size_t count, uint32_t *pairs);
    /* Multiplies bfloat16 numbers, and how many rows and columns at a time. NULL and 0: the
     * processor has no instruction for that. */
    void (*dot)(const struct adl_bf16_tile *tile);
    int dot_mr, dot_nr;
};

#endif
