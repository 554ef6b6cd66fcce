/* Defines the kernels of 8-bit inference for AVX-512 with VNNI.
 *
 * VPDPBUSD multiplies groups of four unsigned and four signed bytes and adds the products to 32-bit
 * sums without saturation: 64 multiply-adds in a vector of 512 bits, where an FMA does 16. */

#if defined(__x86_64__)

#define ISA(name) avx512_##name

#include "kernels/avx2_int8_map_loops.h"

#define DOT_ADD(sum, a, b) _mm512_dpbusd_epi32(sum, a, b)

#include "kernels/avx512_dot_loops.h"

/* Returns the mask of the first n of 16 channels. */
INLINE __mmask16 int8w_first(long n)
{
    return (__mmask16)(n >= 16 ? 0xffff : n <= 0 ? 0 : (1 << n) - 1);
}

INLINE __m512 int8w_clamp(__m512 v, __m512 lo, __m512 hi)
{
    /* VMAXPS and VMINPS return their second operand for a NaN. */
    return _mm512_min_ps(_mm512_max_ps(v, lo), hi);
}

INLINE __m512 int8w_finish(__m512i sum, __m512 scale, __m512 shift)
{
    return _mm512_add_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale), shift);
}

/* --- matrix product ------------------------------------------------------------------ */

/* Adds the residual to 16 channels of a row, clamps and stores them: those of `mask`. */
INLINE void int8w_store_row(const struct adl_int8_out *o, __m512 v, size_t row, size_t k,
                            __mmask16 mask, const __m512 bounds[3])
{
    if (o->residual) {
        __m128i r = _mm_maskz_loadu_epi8(mask, o->residual + row * o->ldr + k);
        v = _mm512_add_ps(v, _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(r)), bounds[2]));
    }
    v = int8w_clamp(v, bounds[0], bounds[1]);
    if (o->bytes)
        _mm_mask_storeu_epi8(o->bytes + row * o->ldo + k, mask,
                             _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
    else
        _mm512_mask_storeu_ps(o->floats + row * o->ldo + k, mask, v);
}

INLINE void int8w_tile(const struct adl_int8_tile *t, const int rows, const int vectors)
{
    const struct dot_sums sums = dot_loop(t->a, t->lda, 4, t->b, t->steps, rows, vectors);
    const struct adl_int8_out *o = &t->out;
    const __m512 bounds[3] = {_mm512_set1_ps(o->lo), _mm512_set1_ps(o->hi),
                              _mm512_set1_ps(o->residual_scale)};
    const __m512 scale0 = _mm512_loadu_ps(o->scale), shift0 = _mm512_loadu_ps(o->shift);
    const __m512 scale1 = vectors > 1 ? _mm512_loadu_ps(o->scale + 16) : scale0;
    const __m512 shift1 = vectors > 1 ? _mm512_loadu_ps(o->shift + 16) : shift0;
    const __mmask16 mask0 = int8w_first(t->n), mask1 = int8w_first(t->n - 16);
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        int8w_store_row(o, int8w_finish(sums.v[i][0], scale0, shift0), (size_t)i, 0, mask0, bounds);
        if (vectors > 1)
            int8w_store_row(o, int8w_finish(sums.v[i][1], scale1, shift1), (size_t)i, 16, mask1,
                            bounds);
    }
}

static void ISA(int8_gemm)(const struct adl_int8_tile *t)
{
    DOT_DISPATCH(int8w_tile, t);
}

/* --- depthwise convolution ----------------------------------------------------------- */

/* Sums, scales or shifts of 64 channels, in the order into which bytes of four rows come when they
 * are interleaved: channel 16a + 4b + i is number 4a + i of vector b. */
struct int8w_channels {
    __m512 v[4];
};

/* Changes the order of channels to that of the sums, or back. */
INLINE struct int8w_channels int8w_turn(struct int8w_channels x)
{
    __m512 even0 = _mm512_shuffle_f32x4(x.v[0], x.v[1], 0x88);
    __m512 odd0 = _mm512_shuffle_f32x4(x.v[0], x.v[1], 0xdd);
    __m512 even1 = _mm512_shuffle_f32x4(x.v[2], x.v[3], 0x88);
    __m512 odd1 = _mm512_shuffle_f32x4(x.v[2], x.v[3], 0xdd);
    return (struct int8w_channels){
        {_mm512_shuffle_f32x4(even0, even1, 0x88), _mm512_shuffle_f32x4(odd0, odd1, 0x88),
         _mm512_shuffle_f32x4(even0, even1, 0xdd), _mm512_shuffle_f32x4(odd0, odd1, 0xdd)}};
}

INLINE struct int8w_channels int8w_load_channels(const float *from, size_t n)
{
    struct int8w_channels x;
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++)
        x.v[b] = _mm512_maskz_loadu_ps(int8w_first((long)n - 16 * b), from + 16 * b);
    return int8w_turn(x);
}

/* The bytes of four rows, a group of four for each of 64 channels; and sums of them. */
struct int8w_groups {
    __m512i v[4];
};

/* One block of channels of a row of the output. */
struct int8w_block {
    const struct adl_int8_depthwise *job;
    size_t c, n; /* the first channel, and how many there are */
    __mmask64 mask;
    const int8_t *weights;
    struct int8w_channels scale, shift;
    __m512 lo, hi;
};

/* Loads rows 4v to 4v + 3 of input column x, zero where the kernel has no such row. */
INLINE struct int8w_groups int8w_column(const struct int8w_block *block, int x, int v)
{
    const struct adl_int8_depthwise *j = block->job;
    __m512i rows[4];

#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        rows[i] = 4 * v + i < j->r
                      ? _mm512_maskz_loadu_epi8(
                            block->mask,
                            int8_tap(j->rows, j->steps, j->pad, j->w, 4 * v + i, x) + block->c)
                      : _mm512_setzero_si512();
    __m512i lo01 = _mm512_unpacklo_epi8(rows[0], rows[1]);
    __m512i hi01 = _mm512_unpackhi_epi8(rows[0], rows[1]);
    __m512i lo23 = _mm512_unpacklo_epi8(rows[2], rows[3]);
    __m512i hi23 = _mm512_unpackhi_epi8(rows[2], rows[3]);
    return (struct int8w_groups){
        {_mm512_unpacklo_epi16(lo01, lo23), _mm512_unpackhi_epi16(lo01, lo23),
         _mm512_unpacklo_epi16(hi01, hi23), _mm512_unpackhi_epi16(hi01, hi23)}};
}

INLINE struct int8w_groups int8w_weights(const struct int8w_block *block, int index)
{
    struct int8w_groups w;
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++)
        w.v[b] = _mm512_loadu_si512(block->weights + (size_t)index * 256 + b * 64);
    return w;
}

INLINE struct int8w_groups int8w_zero(void)
{
    struct int8w_groups zero;
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++)
        zero.v[b] = _mm512_setzero_si512();
    return zero;
}

INLINE struct int8w_groups int8w_add(struct int8w_groups sums, const struct int8w_groups *x,
                                     const struct int8w_groups *w)
{
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++)
        sums.v[b] = _mm512_dpbusd_epi32(sums.v[b], x->v[b], w->v[b]);
    return sums;
}

INLINE void int8w_store(const struct int8w_block *block, const struct int8w_groups *sums, int q)
{
    const struct adl_int8_out *o = &block->job->out;
    struct int8w_channels y;

#pragma GCC unroll 4
    for (int b = 0; b < 4; b++)
        y.v[b] = int8w_clamp(int8w_finish(sums->v[b], block->scale.v[b], block->shift.v[b]),
                             block->lo, block->hi);
    if (o->bytes) {
        /* Packing restores the order of the channels. */
        __m512i first = _mm512_packs_epi32(_mm512_cvtps_epi32(y.v[0]), _mm512_cvtps_epi32(y.v[1]));
        __m512i second = _mm512_packs_epi32(_mm512_cvtps_epi32(y.v[2]), _mm512_cvtps_epi32(y.v[3]));
        _mm512_mask_storeu_epi8(o->bytes + (size_t)q * o->ldo + block->c, block->mask,
                                _mm512_packus_epi16(first, second));
        return;
    }
    y = int8w_turn(y);
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++)
        _mm512_mask_storeu_ps(o->floats + (size_t)q * o->ldo + block->c + 16 * b,
                              int8w_first((long)block->n - 16 * b), y.v[b]);
}

/* A 3x3 kernel. With a stride of 1 each column of the input is interleaved once, and counts for
 * three columns of the output, whose sums are under way at the same time. */
INLINE void int8w_3x3(const struct int8w_block *block)
{
    const struct adl_int8_depthwise *j = block->job;
    const struct int8w_groups w0 = int8w_weights(block, 0), w1 = int8w_weights(block, 1),
                              w2 = int8w_weights(block, 2), zero = int8w_zero();
    struct int8w_groups x = int8w_column(block, -j->pad_left, 0);

    if (j->stride == 1) {
        struct int8w_groups next, sums = int8w_add(zero, &x, &w0);
        x = int8w_column(block, 1 - j->pad_left, 0);
        sums = int8w_add(sums, &x, &w1);
        next = int8w_add(zero, &x, &w0);
        for (int q = 0; q < j->q; q++) {
            x = int8w_column(block, q + 2 - j->pad_left, 0);
            sums = int8w_add(sums, &x, &w2);
            int8w_store(block, &sums, q);
            sums = int8w_add(next, &x, &w1);
            next = int8w_add(zero, &x, &w0);
        }
        return;
    }
    for (int q = 0; q < j->q; q++) {
        int column = q * j->stride - j->pad_left;
        if (j->stride > 2)
            x = int8w_column(block, column, 0);
        struct int8w_groups sums = int8w_add(zero, &x, &w0);
        x = int8w_column(block, column + 1, 0);
        sums = int8w_add(sums, &x, &w1);
        x = int8w_column(block, column + 2, 0); /* with a stride of 2, the next one's first */
        sums = int8w_add(sums, &x, &w2);
        int8w_store(block, &sums, q);
    }
}

/* Any kernel. */
INLINE void int8w_any(const struct int8w_block *block)
{
    const struct adl_int8_depthwise *j = block->job;
    int groups = (j->r + 3) / 4;

    for (int q = 0; q < j->q; q++) {
        struct int8w_groups sums = int8w_zero();
        for (int s = 0; s < j->s; s++)
            for (int v = 0; v < groups; v++) {
                struct int8w_groups x = int8w_column(block, q * j->stride - j->pad_left + s, v);
                struct int8w_groups w = int8w_weights(block, s * groups + v);
                sums = int8w_add(sums, &x, &w);
            }
        int8w_store(block, &sums, q);
    }
}

static void ISA(int8_depthwise)(const struct adl_int8_depthwise *j)
{
    size_t block_weights = (size_t)j->s * (size_t)((j->r + 3) / 4) * 256;
    const int8_t *weights = j->weights;

    for (size_t c = 0; c < j->channels; c += 64, weights += block_weights) {
        size_t n = SMALLER((size_t)64, j->channels - c);
        const struct int8w_block block = {
            .job = j,
            .c = c,
            .n = n,
            .mask = n == 64 ? ~(__mmask64)0 : ((__mmask64)1 << n) - 1,
            .weights = weights,
            .scale = int8w_load_channels(j->out.scale + c, n),
            .shift = int8w_load_channels(j->out.shift + c, n),
            .lo = _mm512_set1_ps(j->out.lo),
            .hi = _mm512_set1_ps(j->out.hi),
        };
        if (j->r == 3 && j->s == 3)
            int8w_3x3(&block);
        else
            int8w_any(&block);
    }
}

const struct adl_int8_kernels adl_int8_avx512_vnni = {
    .mr = MR,
    .nr = NR,
    .group = 4,
    .depthwise_group = 4,
    .speed = 3.9,
    .depthwise_speed = 2.4,
    .gemm = ISA(int8_gemm),
    .depthwise = ISA(int8_depthwise),
    .maxpool = ISA(int8_maxpool),
    .avgpool = ISA(int8_avgpool),
    .widen = ISA(int8_widen),
    .to_bytes = ISA(int8_to_bytes),
    .to_floats = ISA(int8_to_floats),
};

#endif
