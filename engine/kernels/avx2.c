/* Defines the kernels for AVX2 and FMA: vectors of 8 floats along the channels, with masked
 * loads and stores for the last, partial vector.
 *
 * The tile of the matrix product is 6 rows x 16 columns. Its 12 accumulators, two
 * vectors of b and one broadcast value of a are 15 of the 16 registers, and each step
 * along the depth does 12 multiply-adds for 8 loads. */

#if defined(__x86_64__)

#include "kernels/avx2_vec.h"
#include "kernels/bf16_loops.h"
#include "kernels/curve_loops.h"
#define DEPTHWISE_PIXELS 7
#include "kernels/depthwise_loops.h"
/* Ten accumulators, three weights, a pixel and the numbers of lanes are 15 of the 16 registers. */
#define GROUPED_PIXELS 10
#include "kernels/grouped_loops.h"
#include "kernels/kernel.h"
#include "kernels/map_loops.h"
#define TRAIN_LANES VEC
#include "kernels/train_loops.h"

#define MR 6

/* Adds the products along the depth to the accumulators. `rows` and `vectors` are
 * constants at each call, so that all loops over them are unrolled. */
INLINE void gemm_sum(const struct adl_gemm_tile *t, __m256 acc[MR][2], const int rows,
                     const int vectors)
{
    const float *b = t->b, *next = t->next ? t->next : b, *a[(MR + 2) / 3];
    const size_t lda = t->lda, step = t->next ? t->next_step : 0;

    /* One pointer serves three rows: the other two are lda and 2 lda away, which an
     * address of the instruction set can express. */
#pragma GCC unroll 2
    for (int i = 0; i < (rows + 2) / 3; i++)
        a[i] = t->a + (size_t)(3 * i) * lda;
    for (size_t segment = 0;;) {
        for (size_t l = 0; l < t->depth; l++) {
            __m256 b0 = _mm256_load_ps(b), b1 = vectors > 1 ? _mm256_load_ps(b + 8) : b0;
            _mm_prefetch((const char *)(b + 16 * 16), _MM_HINT_T0);
            _mm_prefetch((const char *)next, _MM_HINT_T1);
#pragma GCC unroll 6
            for (int i = 0; i < rows; i++) {
                __m256 x = _mm256_broadcast_ss(a[i / 3] + (size_t)(i % 3) * lda);
                acc[i][0] = _mm256_fmadd_ps(x, b0, acc[i][0]);
                if (vectors > 1)
                    acc[i][1] = _mm256_fmadd_ps(x, b1, acc[i][1]);
            }
            b += 16;
            next += step;
#pragma GCC unroll 2
            for (int i = 0; i < (rows + 2) / 3; i++) {
                a[i]++;
                __asm__("" : "+r"(a[i])); /* keeps the compiler from using an index */
            }
        }
        if (++segment >= t->segments)
            break;
#pragma GCC unroll 2
        for (int i = 0; i < (rows + 2) / 3; i++)
            a[i] += t->segment_skip;
    }
}

INLINE void gemm_tile(const struct adl_gemm_tile *t, const int rows, const int vectors)
{
    __m256 acc[MR][2];
    __m256i masks[2] = {first_lanes((size_t)t->n), first_lanes(t->n > 8 ? (size_t)t->n - 8 : 0)};
    int whole = t->n == 8 * vectors; /* avoids slower masked stores */

#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            acc[i][v] = t->accumulate
                            ? _mm256_maskload_ps(t->c + (size_t)i * t->ldc + 8 * v, masks[v])
                            : _mm256_loadu_ps(t->bias + 8 * v);

    gemm_sum(t, acc, rows, vectors);

#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            __m256 y = acc[i][v];
            if (t->residual)
                y = _mm256_add_ps(
                    y, _mm256_maskload_ps(t->residual + (size_t)i * t->ldr + 8 * v, masks[v]));
            y = vec_clamp(y, t->lo, t->hi);
            if (whole)
                _mm256_storeu_ps(t->c + (size_t)i * t->ldc + 8 * v, y);
            else
                _mm256_maskstore_ps(t->c + (size_t)i * t->ldc + 8 * v, masks[v], y);
        }
}

static void avx2_gemm(const struct adl_gemm_tile *t)
{
#define ROWS(m)                                                                                    \
    case m:                                                                                        \
        if (t->n > 8)                                                                              \
            gemm_tile(t, m, 2);                                                                    \
        else                                                                                       \
            gemm_tile(t, m, 1);                                                                    \
        break;
    switch (t->m) {
        ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6)
    }
#undef ROWS
}

static const struct adl_bf16_kernels avx2_bf16 = {ADL_BF16_LOOPS};

#define TABLE(int8_kernels)                                                                        \
    {                                                                                              \
        .name = "avx2", .mr = MR, .nr = 16, .gemm = avx2_gemm, .strassen = &adl_strassen_avx2,     \
        .winograd = &adl_winograd_avx2, .int8 = &int8_kernels, .bf16 = &avx2_bf16,                 \
        .depthwise = avx2_depthwise, .grouped = avx2_grouped, .picks = VEC_PICKS, ADL_MAP_LOOPS,   \
        .curve = ISA(curve), ADL_TRAIN_LOOPS,                                                      \
    }

const struct adl_kernels adl_kernels_avx2 = TABLE(adl_int8_avx2);
const struct adl_kernels adl_kernels_avx2_vnni = TABLE(adl_int8_avx2_vnni);

#endif
