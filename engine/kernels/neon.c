/* Defines the kernels for NEON on 64-bit ARM: vectors of 4 floats along the channels.
 *
 * The tile of the matrix product is 6 rows x 16 columns, as on AVX2, so that panels are the same.
 * Its 24 accumulators, four vectors of b and the values of a are at most 32 registers. An FMA takes
 * one of its factors from an element of a register, so a value of a needs no broadcast, which would
 * occupy the unit that multiplies on many cores: each step along the depth does 24 multiply-adds
 * for 10 loads, or 8 load instructions, as two vectors of b are loaded at once. */

#if defined(__aarch64__)

#include "kernels/neon_vec.h"

#include "kernels/bf16_loops.h"
#include "kernels/curve_loops.h"
#define DEPTHWISE_PIXELS 14
#include "kernels/depthwise_loops.h"
/* The widths of maps are usually multiples of 7. */
#define GROUPED_PIXELS 14
#include "kernels/grouped_loops.h"
#include "kernels/kernel.h"
#include "kernels/map_loops.h"
#define TRAIN_LANES VEC
#include "kernels/train_loops.h"

#define MR 6
#define NR 16

/* Adds the products along the depth to the accumulators. `rows` and `vectors` are
 * constants at each call, so that all loops over them are unrolled. */
INLINE void gemm_sum(const struct adl_gemm_tile *t, vec acc[MR][4], const int rows,
                     const int vectors)
{
    const float *b = t->b, *next = t->next ? t->next : b, *a[MR];
    const size_t step = t->next ? t->next_step : 0;

#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
        a[i] = t->a + (size_t)i * t->lda;
    for (size_t segment = 0;;) {
        for (size_t l = 0; l < t->depth; l++) {
            vec bs[4];
            __builtin_prefetch(next, 0, 2);
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                bs[v] = vec_load(b + VEC * v);
#pragma GCC unroll 6
            for (int i = 0; i < rows; i++) {
                vec_factor x = vec_load_factor(a[i] + l);
#pragma GCC unroll 4
                for (int v = 0; v < vectors; v++)
                    acc[i][v] = vec_fmadd_factor(x, bs[v], acc[i][v]);
                /* Keeps the rows apart: the compiler would load all of a first, for which there are
                 * not enough registers. */
                __asm__ volatile("" : "+w"(acc[i][0]));
            }
            b += NR;
            next += step;
        }
        if (++segment >= t->segments)
            break;
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++)
            a[i] += t->depth + t->segment_skip;
    }
}

INLINE void gemm_tile(const struct adl_gemm_tile *t, const int rows, const int vectors)
{
    vec acc[MR][4];
    size_t left[4]; /* columns from each vector on */

#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        left[v] = t->n > VEC * v ? (size_t)(t->n - VEC * v) : 0;
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            acc[i][v] = t->accumulate ? vec_load_part(t->c + (size_t)i * t->ldc + VEC * v, left[v])
                                      : vec_load(t->bias + VEC * v);

    gemm_sum(t, acc, rows, vectors);

#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            vec y = acc[i][v];
            if (t->residual)
                y += vec_load_part(t->residual + (size_t)i * t->ldr + VEC * v, left[v]);
            vec_store_part(t->c + (size_t)i * t->ldc + VEC * v, left[v],
                           vec_clamp(y, t->lo, t->hi));
        }
}

static void neon_gemm(const struct adl_gemm_tile *t)
{
#define ROWS(m)                                                                                    \
    case m:                                                                                        \
        if (t->n > NR / 2)                                                                         \
            gemm_tile(t, m, 4);                                                                    \
        else                                                                                       \
            gemm_tile(t, m, 2);                                                                    \
        break;
    switch (t->m) {
        ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6)
    }
#undef ROWS
}

static const struct adl_bf16_kernels neon_bf16 = {ADL_BF16_LOOPS};

#define TABLE(int8_kernels)                                                                        \
    {                                                                                              \
        .name = "neon", .mr = MR, .nr = NR, .gemm = neon_gemm, .strassen = &adl_strassen_neon,     \
        .winograd = &adl_winograd_neon, .int8 = &int8_kernels, .bf16 = &neon_bf16,                 \
        .depthwise = neon_depthwise, .grouped = neon_grouped, ADL_MAP_LOOPS, .curve = ISA(curve),  \
        ADL_TRAIN_LOOPS,                                                                           \
    }

const struct adl_kernels adl_kernels_neon = TABLE(adl_int8_generic);
const struct adl_kernels adl_kernels_neon_dot = TABLE(adl_int8_neon_dot);

#endif
