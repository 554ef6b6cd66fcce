/* Defines the kernels of Winograd convolution for AVX-512; see avx2_winograd.c. */

#include "kernels/kernel.h"

#define MR 14
#define NR 32
#include "kernels/avx512_vec.h"
#include "kernels/winograd_loops.h"

/* Computes `rows` rows of a product, a constant at each call, with 28 accumulators, two
 * vectors of b and one broadcast value of a. One pointer serves three rows, as in avx512.c. */
INLINE void product_tile(const struct adl_winograd_product *p, size_t row, const char *ahead,
                         size_t step, const int rows)
{
    __m512 acc[MR][2];
    size_t lda = p->lda;
    const float *b = p->b, *a[5];
    float *c = p->c + row * p->ldc;

#pragma GCC unroll 5
    for (int i = 0; i < 5; i++)
        a[i] = p->a + (row + 3 * (size_t)i) * lda;
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++)
            acc[i][v] = p->accumulate ? _mm512_load_ps(c + (size_t)i * p->ldc + 16 * v)
                                      : _mm512_setzero_ps();
    for (size_t l = 0; l < p->depth; l++) {
        __m512 b0 = _mm512_load_ps(b), b1 = _mm512_load_ps(b + 16);
        _mm_prefetch(ahead, _MM_HINT_T1);
        _mm_prefetch(ahead + 64, _MM_HINT_T1);
        ahead += step;
#pragma GCC unroll 14
        for (int i = 0; i < rows; i++) {
            __m512 x = _mm512_set1_ps(a[i / 3][(size_t)(i % 3) * lda]);
            acc[i][0] = _mm512_fmadd_ps(x, b0, acc[i][0]);
            acc[i][1] = _mm512_fmadd_ps(x, b1, acc[i][1]);
        }
#pragma GCC unroll 5
        for (int i = 0; i < 5; i++)
            a[i]++;
        b += NR;
    }
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++)
            _mm512_store_ps(c + (size_t)i * p->ldc + 16 * v, acc[i][v]);
}

/* Divides the rows into as few tiles as possible, all of about equal height. */
static void avx512_winograd_product(const struct adl_winograd_product *p)
{
    size_t tiles = (p->rows + MR - 1) / MR;

    size_t step = (p->next ? p->next_floats / p->depth : NR) * sizeof(float) / tiles;
    const char *ahead = (const char *)(p->next ? p->next : p->b + p->depth * NR);

    for (size_t i = 0, row = 0; i < tiles; i++) {
        size_t rows = (p->rows - row) / (tiles - i);
        switch (rows) {
#define ROWS(n)                                                                                    \
    case n: product_tile(p, row, ahead + i * p->depth * step, step, n); break;
            ROWS(1)
            ROWS(2)
            ROWS(3)
            ROWS(4)
            ROWS(5)
            ROWS(6)
            ROWS(7)
            ROWS(8)
            ROWS(9)
            ROWS(10)
            ROWS(11)
            ROWS(12)
            ROWS(13)
            ROWS(14)
#undef ROWS
        }
        row += rows;
    }
}

const struct adl_winograd_kernels adl_winograd_avx512 = {
    .mr = MR,
    .nr = NR,
    .product = avx512_winograd_product,
    .input = ISA(winograd_input),
    .output = ISA(winograd_output),
    .weights = ISA(winograd_weights),
};
