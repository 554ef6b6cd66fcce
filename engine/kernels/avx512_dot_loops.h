#ifndef ADL_KERNELS_AVX512_DOT_LOOPS_H
#define ADL_KERNELS_AVX512_DOT_LOOPS_H

/* Defines the loop along the depth that the matrix products of bytes and of bfloat16 share, in
 * vectors of 512 bits. Before it is included these are defined:
 *
 *     INLINE              of a function that has to become a part of its caller
 *     DOT_ADD(sum, a, b)  adds to each 32-bit sum, whatever it is, the products of one group of a
 *                         and of b; a group has 32 bits, four bytes or two bfloat16 numbers
 *
 * The tile is 12 rows x 32 columns: 24 accumulators, two vectors of b and one group of a broadcast
 * are 27 of the 32 registers. Zen 4 splits such vectors, so that those of 256 bits have the same
 * peak; but they need twice the instructions and loads. On one of its cores tiles of 12 x 16 in
 * vectors of 256 bits reached 92 % of the peak of bytes at a depth of 1152 and 59 % at 64, these 99
 * and 74 to 79 %. */

#include <immintrin.h>
#include <stddef.h>

#define MR 12
#define NR 32

struct dot_sums {
    __m512i v[MR][2];
};

/* Returns the sums of a tile. Group l of row i begins at a + i lda + l step, in bytes; b has for
 * each of `steps` steps 32 groups. `rows` and `vectors`, 1 or 2 of 16 columns, are constants at
 * each call, so that all loops over them are unrolled. */
INLINE struct dot_sums dot_loop(const void *from, size_t lda, size_t step, const void *panel,
                                size_t steps, const int rows, const int vectors)
{
    struct dot_sums sums;
    const char *b = panel, *a[(MR + 2) / 3];

#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
        sums.v[i][0] = sums.v[i][1] = _mm512_setzero_si512();
        /* One pointer serves three rows, as in avx2.c. */
#pragma GCC unroll 4
    for (int i = 0; i < (rows + 2) / 3; i++)
        a[i] = (const char *)from + (size_t)(3 * i) * lda;
    for (size_t l = 0; l < steps; l++) {
        __m512i b0 = _mm512_load_si512(b), b1 = b0;
        _mm_prefetch(b + 16 * 64, _MM_HINT_T0);
        if (vectors > 1) {
            b1 = _mm512_load_si512(b + 64);
            _mm_prefetch(b + 17 * 64, _MM_HINT_T0);
        }
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            int group;
            __builtin_memcpy(&group, a[i / 3] + (size_t)(i % 3) * lda, sizeof group);
            __m512i x = _mm512_set1_epi32(group);
            sums.v[i][0] = DOT_ADD(sums.v[i][0], x, b0);
            if (vectors > 1)
                sums.v[i][1] = DOT_ADD(sums.v[i][1], x, b1);
            /* Keeps the rows apart: the compiler would begin with all products, for which there are
             * not enough registers. */
            __asm__ volatile("" : "+v"(sums.v[i][0]), "+v"(sums.v[i][1]));
        }
        b += 128;
#pragma GCC unroll 4
        for (int i = 0; i < (rows + 2) / 3; i++) {
            a[i] += step;
            __asm__("" : "+r"(a[i])); /* keeps the compiler from using an index */
        }
    }
    return sums;
}

/* Calls TILE(t, rows, vectors) with constants for the m rows and n columns of the tile *t. */
#define DOT_DISPATCH(TILE, t)                                                                      \
    switch ((t)->m) {                                                                              \
        DOT_ROWS(TILE, t, 1);                                                                      \
        DOT_ROWS(TILE, t, 2);                                                                      \
        DOT_ROWS(TILE, t, 3);                                                                      \
        DOT_ROWS(TILE, t, 4);                                                                      \
        DOT_ROWS(TILE, t, 5);                                                                      \
        DOT_ROWS(TILE, t, 6);                                                                      \
        DOT_ROWS(TILE, t, 7);                                                                      \
        DOT_ROWS(TILE, t, 8);                                                                      \
        DOT_ROWS(TILE, t, 9);                                                                      \
        DOT_ROWS(TILE, t, 10);                                                                     \
        DOT_ROWS(TILE, t, 11);                                                                     \
        DOT_ROWS(TILE, t, 12);                                                                     \
    }
#define DOT_ROWS(TILE, t, rows)                                                                    \
    case rows:                                                                                     \
        if ((t)->n > 16)                                                                           \
            TILE(t, rows, 2);                                                                      \
        else                                                                                       \
            TILE(t, rows, 1);                                                                      \
        break

#endif
