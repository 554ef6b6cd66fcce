#ifndef ADL_KERNELS_WINOGRAD_PRODUCT_LOOPS_H
#define ADL_KERNELS_WINOGRAD_PRODUCT_LOOPS_H

/* Computes the product of one position of Winograd convolution, written for a vector type as in
 * winograd_loops.h. Unlike `gemm`, it neither masks nor clamps, because its memory is padded and
 * its result is transformed again. Beside the names of winograd_loops.h the including file defines
 *
 *     vec_load_factor(p), vec_fmadd_factor(a, b, c)  a number a; a * b + c, rounded once
 *     MR, NR                rows and columns of a tile; NR is two or four vectors
 *     EACH_ROW_COUNT(CASE)  CASE(n) for each n from 1 to MR
 *     PREFETCH(b, ahead)    what a step along the depth prefetches: b is the row of the panel,
 *                           `ahead` is in the memory that is read after this product
 *     FOLLOWS_B             1: that is the memory after b if the caller names none; 0: none is */

#include "kernels/winograd.h"

/* The vectors of a row. */
#define COLUMNS (NR / VEC)

/* Computes `rows` rows of a product, a constant at each call, with an accumulator for each vector
 * of a row, the vectors of a row of b and one broadcast value of a. One pointer serves three rows:
 * the other two are lda and 2 lda away, which an address of the instruction set can express. */
INLINE void product_tile(const struct adl_winograd_product *p, size_t row, const char *ahead,
                         size_t step, const int rows)
{
    vec acc[MR][COLUMNS];
    size_t lda = p->lda;
    const float *b = p->b, *a[(MR + 2) / 3];
    float *c = p->c + row * p->ldc;

#pragma GCC unroll 16
    for (int i = 0; i < (MR + 2) / 3; i++)
        a[i] = p->a + (row + 3 * (size_t)i) * lda;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < COLUMNS; v++)
            acc[i][v] = p->accumulate ? vec_load(c + (size_t)i * p->ldc + VEC * v) : vec_set1(0);
    for (size_t l = 0; l < p->depth; l++) {
        vec bs[COLUMNS];
#pragma GCC unroll 4
        for (int v = 0; v < COLUMNS; v++)
            bs[v] = vec_load(b + VEC * v);
        PREFETCH(b, ahead);
        ahead += step;
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            vec_factor x = vec_load_factor(a[i / 3] + (size_t)(i % 3) * lda);
#pragma GCC unroll 4
            for (int v = 0; v < COLUMNS; v++)
                acc[i][v] = vec_fmadd_factor(x, bs[v], acc[i][v]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < (MR + 2) / 3; i++)
            a[i]++;
        b += NR;
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < COLUMNS; v++)
            vec_store(c + (size_t)i * p->ldc + VEC * v, acc[i][v]);
}

/* Divides the rows into as few tiles as possible, all of about equal height. */
static void ISA(winograd_product)(const struct adl_winograd_product *p)
{
    size_t tiles = (p->rows + MR - 1) / MR;
    size_t floats = p->next ? p->next_floats / p->depth : FOLLOWS_B ? NR : 0;
    size_t step = floats * sizeof(float) / tiles;
    const char *ahead = (const char *)(p->next ? p->next : FOLLOWS_B ? p->b + p->depth * NR : p->b);

    for (size_t i = 0, row = 0; i < tiles; i++) {
        size_t rows = (p->rows - row) / (tiles - i);
        switch (rows) {
#define CASE(n)                                                                                    \
    case n: product_tile(p, row, ahead + i * p->depth * step, step, n); break;
            EACH_ROW_COUNT(CASE)
#undef CASE
        }
        row += rows;
    }
}

/* The entries of struct adl_winograd_kernels. */
#define ADL_WINOGRAD_LOOPS                                                                         \
    .mr = MR, .nr = NR, .product = ISA(winograd_product), .input = ISA(winograd_input),            \
    .output = ISA(winograd_output), .weights = ISA(winograd_weights)

#endif
