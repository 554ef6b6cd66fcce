/* base/bf16.h, kernels/bf16.h and the algorithms with weights in bfloat16: rounding against its
 * definition in double, the same bits from every instruction set of this machine, and convolutions
 * with the same bits as in float32 with the rounded weights. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/bf16.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/size.h"
#include "kernels/bf16.h"
#include "kernels/dispatch.h"
#include "support/conv_run.h"
#include "support/isas.h"

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void every_number_comes_back(void)
{
    int wrong = 0;
    for (uint32_t half = 0; half < 65536; half++) {
        float value = adl_bf16_to_float((uint16_t)half);
        uint32_t quiet = isnan(value) ? half | 0x40 : half;
        wrong += bits_of(value) != half << 16;
        wrong += adl_bf16_from_float(value) != quiet;
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

/* From the bit patterns of IEEE 754; those of finite numbers are what torch gives
 * (torch.tensor(x).bfloat16()). */
static void known_values_round_to_nearest_even(void)
{
    static const struct {
        uint32_t from;
        uint16_t to;
    } known[] = {
        {0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, /* 1 and a tie that stays even */
        {0x3f808001, 0x3f81}, {0x3f818000, 0x3f82}, /* beyond it, and one that becomes even */
        {0x3f817fff, 0x3f81}, {0xbf818000, 0xbf82}, /* below the tie; a negative one */
        {0x00000000, 0x0000}, {0x80000000, 0x8000}, /* both zeros */
        {0x00000001, 0x0000}, {0x00008001, 0x0001}, /* subnormal numbers are kept */
        {0x007fffff, 0x0080}, {0x807f0000, 0x807f}, /* to the least normal one */
        {0x7f7f7fff, 0x7f7f}, {0x7f7f8000, 0x7f80}, /* the largest, and half a step further */
        {0x7f800000, 0x7f80}, {0xff800000, 0xff80}, /* infinities */
        {0x7f800001, 0x7fc0}, {0xffbfffff, 0xffff}, /* signalling NaNs become quiet */
        {0x7fffffff, 0x7fff}, {0xffffffff, 0xffff}, /* a carry would make them a zero */
    };
    for (size_t i = 0; i < ADL_COUNT(known); i++)
        CU_ASSERT_EQUAL(adl_bf16_from_float(adl_bits_to_float(known[i].from)), known[i].to);
}

/* The nearest of both neighbours, in double, where all of this is exact. */
static uint16_t nearest(float value)
{
    uint32_t low = bits_of(value) >> 16;
    double below = (double)adl_bf16_to_float((uint16_t)low);
    double above = (double)adl_bf16_to_float((uint16_t)(low + 1));
    double to_below = fabs((double)value - below), to_above = fabs(above - (double)value);
    if (to_below == to_above)
        return (uint16_t)(low + (low & 1));
    return (uint16_t)(to_below < to_above ? low : low + 1);
}

static void random_values_go_to_the_nearest(void)
{
    struct adl_rng rng;
    int wrong = 0;
    adl_rng_seed(&rng, 1, 0, 0);
    for (int i = 0; i < 200000; i++) {
        float value = adl_bits_to_float(adl_rng_next(&rng) & 0xffffffff);
        if (isfinite(value) && fabsf(value) < 0x1.fep127F)
            wrong += adl_bf16_from_float(value) != nearest(value);
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

/* Random bits, so subnormal numbers, infinities and NaNs are among them; memory behind the rows
 * stays as it is. */
static void check_conversions(const struct adl_kernels *kernels)
{
    enum { ROWS = 7, MOST = 64 };
    float x[ROWS * MOST], scale[MOST], out[ROWS * MOST + 1];
    uint32_t pairs[ROWS * MOST / 2 + 1];
    struct adl_rng rng;
    int wrong = 0;

    adl_rng_seed(&rng, 2, 0, 0);
    for (size_t columns = 2; columns <= MOST; columns += 2) {
        size_t half = columns / 2;
        for (size_t i = 0; i < ROWS * columns; i++)
            x[i] = adl_bits_to_float((uint32_t)adl_rng_next(&rng));
        for (size_t j = 0; j < columns; j++)
            scale[j] = (float)adl_rng_below(&rng, 1000) * 0.01F - 5;
        pairs[ROWS * half] = 0xa5a5a5a5;
        out[ROWS * columns] = 42;
        kernels->bf16->round(x, ROWS, columns, pairs);
        kernels->bf16->widen(pairs, scale, ROWS, columns, out);
        wrong += pairs[ROWS * half] != 0xa5a5a5a5 || out[ROWS * columns] != 42;
        for (size_t i = 0; i < ROWS; i++)
            for (size_t j = 0; j < columns; j++) {
                uint16_t want = adl_bf16_from_float(x[i * columns + j]);
                uint32_t pair = pairs[i * half + j % half];
                float product = adl_bf16_to_float(want) * scale[j], got = out[i * columns + j];
                wrong += (uint16_t)(j < half ? pair : pair >> 16) != want;
                wrong += bits_of(got) != bits_of(product) && !(isnan(got) && isnan(product));
            }
    }
    if (wrong)
        TEST_FAIL("%s: %d values differ", kernels->name, wrong);
}

/* The same of the conversions of maps, whose length need not be even. */
static void check_map_conversions(const struct adl_kernels *kernels)
{
    enum { MOST = 131 };
    float x[MOST], out[MOST + 1];
    uint16_t rounded[MOST + 1];
    uint32_t pairs[MOST / 2 + 1];
    struct adl_rng rng;
    int wrong = 0;

    adl_rng_seed(&rng, 4, 0, 0);
    for (size_t count = 0; count <= MOST; count++) {
        for (size_t i = 0; i < count; i++)
            x[i] = adl_bits_to_float((uint32_t)adl_rng_next(&rng));
        rounded[count] = 0xa5a5;
        out[count] = 42;
        kernels->bf16->round_map(x, count, rounded);
        kernels->bf16->widen_map(rounded, count, out);
        wrong += rounded[count] != 0xa5a5 || out[count] != 42;
        for (size_t i = 0; i < count; i++) {
            wrong += rounded[i] != adl_bf16_from_float(x[i]);
            wrong += bits_of(out[i]) != (uint32_t)rounded[i] << 16;
        }
        size_t half = count / 2;
        for (int rows = 1; rows <= 2; rows++) {
            pairs[half] = 0xa5a5a5a5;
            kernels->bf16->round_pairs(x, rows > 1 ? x + half : NULL, half, pairs);
            wrong += pairs[half] != 0xa5a5a5a5;
            for (size_t i = 0; i < half; i++)
                wrong +=
                    pairs[i] != (rounded[i] | (rows > 1 ? (uint32_t)rounded[half + i] << 16 : 0));
        }
    }
    if (wrong)
        TEST_FAIL("%s: %d values of maps differ", kernels->name, wrong);
}

static void conversions_have_the_same_bits_everywhere(void)
{
    for_each_isa(check_conversions);
    for_each_isa(check_map_conversions);
}

/* Runs the convolution by both algorithms, the second one with rounded weights. Returns 1 if the
 * algorithms take it, after the comparison. */
static int compare(struct conv_run *run, const struct adl_conv_algorithm *bf16,
                   const struct adl_conv_algorithm *f32, const struct adl_kernels *kernels)
{
    if (!conv_run_by(run, bf16, kernels, true))
        return 0;
    float *got = adl_malloc(run->out_count, sizeof *got);
    memcpy(got, run->out, run->out_count * sizeof *got);
    conv_run_round(run, bf16);
    CU_ASSERT(conv_run_by(run, f32, kernels, true));
    const struct adl_conv *c = &run->conv;
    if (memcmp(got, run->out, run->out_count * sizeof *got) != 0)
        TEST_FAIL("%s %s: %dx%dx%d to %d, %dx%d s%d g%d differs from float32 with rounded weights",
                  kernels->name, bf16->name, c->h, c->w, c->c, c->k, c->r, c->s, c->stride,
                  c->groups);
    size_t floats = bf16->packed_floats(bf16, c, kernels);
    CU_ASSERT(adl_conv_depth(c) < 20 ||
              (double)floats < 0.6 * (double)f32->packed_floats(f32, c, kernels));
    adl_free(got);
    return 1;
}

static void check_convolutions(const struct adl_kernels *kernels)
{
    static const struct {
        const struct adl_conv_algorithm *bf16, *f32;
    } pairs[] = {{&adl_conv_gemm_bf16, &adl_conv_gemm},
                 {&adl_conv_winograd6_bf16, &adl_conv_winograd6c},
                 {&adl_conv_winograd8_bf16, &adl_conv_winograd8c}};
    int runs[ADL_COUNT(pairs)] = {0};
    struct adl_rng rng;

    adl_rng_seed(&rng, 3, 0, 0);
    for (int i = 0; i < 60; i++) {
        int side = (int)adl_rng_below(&rng, 2) * 2 + 1, groups = i % 5 ? 1 : 2;
        int h = side + (int)adl_rng_below(&rng, 20), w = side + (int)adl_rng_below(&rng, 20);
        int c = groups * (1 + (int)adl_rng_below(&rng, 70)), pad = (int)adl_rng_below(&rng, 2);
        int k = groups * (1 + (int)adl_rng_below(&rng, 70)), stride = i % 3 ? 1 : 2;
        for (size_t a = 0; a < ADL_COUNT(pairs); a++) {
            struct conv_run run = conv_run_open(h, w, c, k, side, side, stride, pad, groups);
            run.conv.lo = i % 2 ? 0 : -INFINITY;
            runs[a] += compare(&run, pairs[a].bf16, pairs[a].f32, kernels);
            conv_run_close(&run);
        }
    }
    /* Chunks of the depth and several panels. */
    struct conv_run deep = conv_run_open(5, 6, 300, 90, 3, 3, 1, 1, 1);
    runs[0] += compare(&deep, pairs[0].bf16, pairs[0].f32, kernels);
    conv_run_close(&deep);
    for (size_t a = 0; kernels->gemm && a < ADL_COUNT(pairs); a++)
        CU_ASSERT(runs[a] > 5);
}

static void convolutions_are_those_of_rounded_weights(void)
{
    for_each_isa(check_convolutions);
}

/* --- products of bfloat16 numbers ------------------------------------------------------- */

/* Returns a bfloat16 number as the products read it: subnormal ones are zero. */
static float dot_value(uint16_t x)
{
    float value = adl_bf16_to_float(x);
    return fabsf(value) < 0x1p-126F ? copysignf(0, value) : value;
}

/* The tile of bf16.h, with the columns of AVX-512. Products and sums are rounded as VDPBF16PS is
 * defined to: once for each product, to nearest even. */
enum { DOT_ROWS = 5, DOT_COLUMNS = 32 };

static void dot_defined(const struct adl_bf16_tile *t)
{
    for (size_t i = 0; i < (size_t)t->m; i++)
        for (size_t j = 0; j < (size_t)t->n; j++) {
            float sum = 0;
            for (size_t l = 0; l < t->steps; l++) {
                const uint16_t *a = t->a + i * t->lda + l * t->a_step;
                uint32_t pair = t->b[l * DOT_COLUMNS + j];
                sum = fmaf(dot_value(a[1]), dot_value((uint16_t)(pair >> 16)), sum);
                sum = fmaf(dot_value(a[0]), dot_value((uint16_t)pair), sum);
            }
            float v = fmaf(sum, t->scale[j], t->accumulate ? t->c[i * t->ldc + j] : t->bias[j]);
            v += t->residual ? t->residual[i * t->ldr + j] : 0;
            t->c[i * t->ldc + j] = fminf(fmaxf(v, t->lo), t->hi);
        }
}

/* A tile of every size against the definition, with numbers of many exponents, and zeros and
 * subnormal numbers among them. */
static void check_products(const struct adl_kernels *kernels)
{
    enum { MOST_STEPS = 37, LDA = 2 * MOST_STEPS + 6, LDC = 50, ROWS = 16 };
    const struct adl_bf16_kernels *k = kernels->bf16;
    static uint16_t a[ROWS * LDA + 2 * ROWS];
    static _Alignas(64) uint32_t b[(MOST_STEPS + 32) * DOT_COLUMNS];
    static float got[ROWS * LDC], want[ROWS * LDC], residual[ROWS * LDC];
    float scale[DOT_COLUMNS], bias[DOT_COLUMNS];
    struct adl_rng rng;
    size_t wrong = 0;

    if (!k->dot)
        return;
    CU_ASSERT_FATAL(k->dot_mr <= ROWS && k->dot_nr == DOT_COLUMNS);
    adl_rng_seed(&rng, 6, 0, 0);
    for (int m = 1; m <= k->dot_mr; m++)
        for (int n = 1; n <= k->dot_nr; n++) {
            for (size_t i = 0; i < ADL_COUNT(a); i++) /* exponents -40 to 23, or subnormal */
                a[i] = (uint16_t)((adl_rng_below(&rng, 2) << 15) |
                                  (i % 11 ? (87 + adl_rng_below(&rng, 64)) << 7 : 0) |
                                  adl_rng_below(&rng, 128));
            for (size_t i = 0; i < ADL_COUNT(b); i++)
                b[i] = a[adl_rng_below(&rng, ADL_COUNT(a))] |
                       (uint32_t)a[adl_rng_below(&rng, ADL_COUNT(a))] << 16;
            for (size_t i = 0; i < DOT_COLUMNS; i++) {
                scale[i] = (float)adl_rng_below(&rng, 100) - 50;
                bias[i] = (float)adl_rng_below(&rng, 1000) - 500;
            }
            for (size_t i = 0; i < ADL_COUNT(got); i++) {
                got[i] = want[i] = 42;
                residual[i] = (float)adl_rng_below(&rng, 1000) - 500;
            }
            struct adl_bf16_tile tile = {.a = a,
                                         .lda = n % 5 ? LDA : 2,
                                         .a_step = n % 5 ? 2 : 2 * ROWS,
                                         .accumulate = n % 7 == 0,
                                         .b = b,
                                         .steps = 1 + adl_rng_below(&rng, MOST_STEPS),
                                         .m = m,
                                         .n = n,
                                         .scale = scale,
                                         .bias = bias,
                                         .residual = n % 2 ? residual : NULL,
                                         .ldr = LDC,
                                         .c = got,
                                         .ldc = LDC,
                                         .lo = n % 3 ? -INFINITY : -1e9F,
                                         .hi = n % 3 ? INFINITY : 1e9F};
            k->dot(&tile);
            tile.c = want;
            dot_defined(&tile);
            for (size_t i = 0; i < ADL_COUNT(got); i++)
                wrong += got[i] != want[i];
        }
    if (wrong)
        TEST_FAIL("%s: %zu sums of products differ", kernels->name, wrong);
}

/* conv_dot.c with the tile above in place of the processor's, which may have none. */
static void check_dot_convolutions(const struct adl_kernels *kernels)
{
    struct adl_bf16_kernels bf16 = *kernels->bf16;
    struct adl_kernels with_dot = *kernels;
    struct adl_rng rng;

    bf16.dot = dot_defined;
    bf16.dot_mr = DOT_ROWS;
    bf16.dot_nr = DOT_COLUMNS;
    with_dot.bf16 = &bf16;
    adl_rng_seed(&rng, 7, 0, 0);
    for (int i = 0; i < 40; i++) {
        int side = (int)adl_rng_below(&rng, 2) * 2 + 1, stride = i % 3 ? 1 : 2;
        struct conv_run run =
            conv_run_open(side + (int)adl_rng_below(&rng, 20), side + (int)adl_rng_below(&rng, 20),
                          1 + (int)adl_rng_below(&rng, 70), 1 + (int)adl_rng_below(&rng, 70), side,
                          side, stride, (int)adl_rng_below(&rng, 2), 1);
        double *want = adl_malloc(run.out_count, sizeof *want);
        size_t wrong = 0;
        CU_ASSERT(conv_run_by(&run, &adl_conv_dot_bf16, &with_dot, true));
        conv_run_round(&run, &adl_conv_dot_bf16);
        conv_run_define(&run, true, want);
        for (size_t j = 0; j < run.out_count; j++)
            wrong += !(fabs((double)run.out[j] - want[j]) <= 1e-4 * (1 + fabs(want[j])));
        if (wrong)
            TEST_FAIL("%s: %zu values of %dx%dx%d to %d, %dx%d s%d are wrong", kernels->name, wrong,
                      run.conv.h, run.conv.w, run.conv.c, run.conv.k, side, side, stride);
        adl_free(want);
        conv_run_close(&run);
    }
}

static void products_are_those_of_the_definition(void)
{
    for_each_isa(check_products);
    for_each_isa(check_dot_convolutions);
}

TEST_SUITE(bf16, {"every number comes back", every_number_comes_back},
           {"known values round to nearest even", known_values_round_to_nearest_even},
           {"random values go to the nearest", random_values_go_to_the_nearest},
           {"conversions have the same bits everywhere", conversions_have_the_same_bits_everywhere},
           {"convolutions are those of rounded weights", convolutions_are_those_of_rounded_weights},
           {"products are those of the definition", products_are_those_of_the_definition});
