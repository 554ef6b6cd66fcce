/* Defines the kernels of 8-bit inference for NEON with the dot products of FEAT_DotProd, which
 * Neoverse N1, Cortex-A76 and later processors have.
 *
 * SDOT adds to each 32-bit sum four products of signed bytes, without saturation: 16 multiply-adds
 * where an FMA does 4. But the bytes of a map are unsigned, and products of unsigned by signed
 * bytes (USDOT) belong to a later extension, FEAT_I8MM. So 128 is subtracted from the bytes of a,
 * which inverts their highest bit, and 128 times the sum of the weights is what the sums begin
 * with; the panels end with these sums (`column_sums` in int8.h). Integers are exact, so the bits
 * are those of plain C.
 *
 * The tile of the matrix product is 6 rows x 16 columns: 24 accumulators, and for four steps of the
 * depth 16 bytes of each row of a, from which SDOT takes one group of four, are 30 of the 32
 * registers. For each 96 SDOT there are 16 vectors of b, 6 of a, and 6 inversions. */

#if defined(__aarch64__)

#include "kernels/neon_int8_loops.h"

#define MR 6
#define NR 16

/* --- matrix product ------------------------------------------------------------------ */

/* Adds the products of step `lane` of the four whose groups of a are in `x`. The empty instruction
 * keeps the order: the compiler would load all of b first, for which there are not enough
 * registers. */
#define INT8_STEP(lane)                                                                            \
    _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++)                                      \
    {                                                                                              \
        int8x16_t y = vld1q_s8(b + (lane)*4 * NR + 16 * v);                                        \
        _Pragma("GCC unroll 6") for (int i = 0; i < rows; i++)                                     \
        {                                                                                          \
            acc[i][v] = vdotq_laneq_s32(acc[i][v], y, x[i], lane);                                 \
            __asm__ volatile("" : "+w"(acc[i][v]));                                                \
        }                                                                                          \
    }

/* `rows` and `vectors` are constants at each call, so that all loops over them are unrolled. */
INLINE void int8v_tile(const struct adl_int8_tile *t, const int rows, const int vectors)
{
    int32x4_t acc[MR][4];
    const int8_t *b = t->b;
    const uint8_t *a[MR];
    const int32_t *column_sums = (const int32_t *)(const void *)(b + t->steps * 4 * NR);
    size_t l = 0;

#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
        a[i] = (const uint8_t *)t->a + (size_t)i * t->lda;
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            acc[i][v] = vshlq_n_s32(vld1q_s32(column_sums + 4 * v), 7);
    }
    for (; l + 4 <= t->steps; l += 4, b += 16 * NR) {
        int8x16_t x[MR];
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            x[i] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(a[i]), vdupq_n_u8(0x80)));
            a[i] += 16;
        }
        INT8_STEP(0)
        INT8_STEP(1)
        INT8_STEP(2)
        INT8_STEP(3)
    }
    /* The last steps: 16 bytes of a row may not exist. */
    for (; l < t->steps; l++, b += 4 * NR) {
        int8x16_t x[MR];
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            uint32_t group;
            __builtin_memcpy(&group, a[i], sizeof group);
            x[i] = vreinterpretq_s8_u32(vdupq_n_u32(group ^ 0x80808080u));
            a[i] += 4;
        }
        INT8_STEP(0)
    }

    const struct adl_int8_out *o = &t->out;
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
        float32x4_t y[4];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            y[v] =
                int8v_finish(acc[i][v], vld1q_f32(o->scale + 4 * v), vld1q_f32(o->shift + 4 * v));
            if (o->residual)
                y[v] = vaddq_f32(
                    y[v], vmulq_n_f32(int8v_residual(o->residual + (size_t)i * o->ldr + 4 * v,
                                                     t->n - 4 * v),
                                      o->residual_scale));
            y[v] = int8v_clamp(y[v], o->lo, o->hi);
        }
        if (vectors < 4)
            y[2] = y[3] = y[0];
        if (o->bytes)
            int8v_store_bytes(o->bytes + (size_t)i * o->ldo, int8v_bytes(y), t->n);
        else
            int8v_store_floats(o->floats + (size_t)i * o->ldo, y, t->n);
    }
}

static void ISA(int8_gemm)(const struct adl_int8_tile *t)
{
#define ROWS(m)                                                                                    \
    case m:                                                                                        \
        if (t->n > NR / 2)                                                                         \
            int8v_tile(t, m, 4);                                                                   \
        else                                                                                       \
            int8v_tile(t, m, 2);                                                                   \
        break
    switch (t->m) {
        ROWS(1);
        ROWS(2);
        ROWS(3);
        ROWS(4);
        ROWS(5);
        ROWS(6);
    }
#undef ROWS
}

/* The speeds are estimated: four times the multiply-adds of an FMA, as often a cycle, less what
 * avx512_int8.c loses; depthwise convolutions multiply 16 bits at a time, as fast as an FMA, and
 * load a quarter of the bytes. */
const struct adl_int8_kernels adl_int8_neon_dot = {
    .mr = MR,
    .nr = NR,
    .group = 4,
    .column_sums = 1,
    .depthwise_group = 2,
    .speed = 3,
    .depthwise_speed = 1.1,
    .gemm = ISA(int8_gemm),
    .depthwise = ISA(int8_depthwise),
    .maxpool = ISA(int8_maxpool),
    .avgpool = ISA(int8_avgpool),
    .widen = ISA(int8_widen),
    .to_bytes = ISA(int8_to_bytes),
    .to_floats = ISA(int8_to_floats),
};

#endif
