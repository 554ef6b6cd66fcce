/* Defines the kernels of Winograd convolution for AVX2 and FMA: the transforms of
 * winograd_loops.h, and the product of one position. Unlike `gemm`, the product neither
 * masks nor clamps, because its memory is padded and its result is transformed again. */

#include "kernels/kernel.h"

#define MR 6
#define NR 16
#include "kernels/avx2_vec.h"
#include "kernels/winograd_loops.h"

/* Computes `rows` rows of a product, a constant at each call, with 12 accumulators, two
 * vectors of b and one broadcast value of a, as in avx2.c. */
INLINE void product_tile(const struct adl_winograd_product *p, size_t row, const char *ahead,
                         size_t step, const int rows)
{
    __m256 acc[MR][2];
    size_t lda = p->lda;
    const float *b = p->b, *a[2] = {p->a + row * lda, p->a + (row + 3) * lda};
    float *c = p->c + row * p->ldc;

#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++)
            acc[i][v] = p->accumulate ? _mm256_load_ps(c + (size_t)i * p->ldc + 8 * v)
                                      : _mm256_setzero_ps();
    for (size_t l = 0; l < p->depth; l++) {
        __m256 b0 = _mm256_load_ps(b), b1 = _mm256_load_ps(b + 8);
        _mm_prefetch((const char *)(b + 16 * NR), _MM_HINT_T0);
        _mm_prefetch(ahead, _MM_HINT_T1);
        ahead += step;
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            __m256 x = _mm256_broadcast_ss(a[i / 3] + (size_t)(i % 3) * lda);
            acc[i][0] = _mm256_fmadd_ps(x, b0, acc[i][0]);
            acc[i][1] = _mm256_fmadd_ps(x, b1, acc[i][1]);
        }
        a[0]++;
        a[1]++;
        b += NR;
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++)
            _mm256_store_ps(c + (size_t)i * p->ldc + 8 * v, acc[i][v]);
}

/* Divides the rows into as few tiles as possible, all of about equal height. */
static void avx2_winograd_product(const struct adl_winograd_product *p)
{
    size_t tiles = (p->rows + MR - 1) / MR;

    /* Without `next` nothing is prefetched here: the prefetches along b in product_tile()
     * reach the memory after b. */
    size_t step = p->next ? p->next_floats / p->depth * sizeof(float) / tiles : 0;
    const char *ahead = (const char *)(p->next ? p->next : p->b);

    for (size_t i = 0, row = 0; i < tiles; i++) {
        size_t rows = (p->rows - row) / (tiles - i);
        switch (rows) {
        case 1: product_tile(p, row, ahead + i * p->depth * step, step, 1); break;
        case 2: product_tile(p, row, ahead + i * p->depth * step, step, 2); break;
        case 3: product_tile(p, row, ahead + i * p->depth * step, step, 3); break;
        case 4: product_tile(p, row, ahead + i * p->depth * step, step, 4); break;
        case 5: product_tile(p, row, ahead + i * p->depth * step, step, 5); break;
        case 6: product_tile(p, row, ahead + i * p->depth * step, step, 6); break;
        }
        row += rows;
    }
}

const struct adl_winograd_kernels adl_winograd_avx2 = {
    .mr = MR,
    .nr = NR,
    .product = avx2_winograd_product,
    .input = ISA(winograd_input),
    .output = ISA(winograd_output),
    .weights = ISA(winograd_weights),
};
