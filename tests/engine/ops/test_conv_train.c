/* ops/conv: the algorithms for the convolutions of a training step, each by itself, against the
 * definition in double; the same bits for any number of threads. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "kernels/dispatch.h"
#include "ops/conv/conv_batch_winograd.h"
#include "support/formula.h"
#include "support/isas.h"

/* --- a convolution of a batch by Winograd's algorithm -------------------------------------- */

static const struct winograd_case {
    int batch, h, w, c, k, r, s, pad_top, pad_left;
} winograd_cases[] = {
    {1, 1, 1, 1, 1, 3, 3, 1, 1},       {3, 5, 7, 3, 5, 3, 3, 1, 1},
    {2, 4, 4, 16, 32, 3, 3, 1, 1},     {5, 13, 15, 35, 67, 3, 3, 1, 1},
    {2, 9, 6, 17, 33, 3, 3, 0, 0},     {2, 3, 5, 7, 65, 3, 3, 2, 2},
    {3, 7, 9, 19, 33, 1, 7, 0, 3},     {3, 9, 7, 19, 33, 7, 1, 3, 0},
    {2, 9, 6, 48, 21, 5, 5, 2, 2},     {2, 6, 8, 5, 18, 3, 5, 1, 0},
    {24, 14, 14, 270, 31, 3, 3, 1, 1}, /* several chunks, of tiles and of the depth */
};

static double tap_of(const struct adl_conv *v, const float *weights, bool turned, int k, int c,
                     int tap)
{
    int taps = v->r * v->s;
    return (double)(turned ? weights[(c * v->k + k) * taps + taps - 1 - tap]
                           : weights[(k * v->c + c) * taps + tap]);
}

/* How far the output is from bias + conv(x) + what `out` held, at a sample of its places. */
static double winograd_error(int batch, struct adl_conv v, bool turned, const float *weights,
                             const float *bias, const float *x, const float *held, const float *out)
{
    double worst = 0;
    int count = batch * v.p * v.q * v.k, step = count > 10000 ? 101 : 1;
    for (int i = 0; i < count; i += step) {
        int k = i % v.k, q = i / v.k % v.q, p = i / v.k / v.q % v.p, n = i / v.k / v.q / v.p;
        double sum = (bias ? (double)bias[k] : 0) + (v.accumulate ? (double)held[i] : 0);
        for (int tap = 0; tap < v.r * v.s; tap++) {
            int row = p + tap / v.s - v.pad_top, column = q + tap % v.s - v.pad_left;
            for (int c = 0; row >= 0 && row < v.h && column >= 0 && column < v.w && c < v.c; c++)
                sum += (double)x[((n * v.h + row) * v.w + column) * v.c + c] *
                       tap_of(&v, weights, turned, k, c, tap);
        }
        worst = fmax(worst, fabs((double)out[i] - sum));
    }
    return worst;
}

static void check_winograd(const struct adl_kernels *kernels, const struct winograd_case *t,
                           int points, bool turned, bool accumulate)
{
    struct adl_conv v = {
        .h = t->h,
        .w = t->w,
        .c = t->c,
        .p = t->h + 2 * t->pad_top - t->r + 1,
        .q = t->w + 2 * t->pad_left - t->s + 1,
        .k = t->k,
        .r = t->r,
        .s = t->s,
        .stride = 1,
        .pad_top = t->pad_top,
        .pad_left = t->pad_left,
        .groups = 1,
        .ldx = (size_t)t->c,
        .ldo = (size_t)t->k,
        .lo = -INFINITY,
        .hi = INFINITY,
        .accumulate = accumulate,
    };
    if (!adl_conv_batch_winograd_supports(&v, kernels, points))
        return;
    size_t count = (size_t)(t->batch * v.p * v.q * v.k), floats;
    float *x = random_floats("x", (size_t)(t->batch * t->h * t->w * t->c));
    float *weights = random_floats("weights", (size_t)(t->r * t->s * t->c * t->k));
    float *bias = accumulate ? NULL : random_floats("bias", (size_t)t->k);
    float *held = random_floats("held", count), *out[2];
    struct adl_error err = {0};

    floats = adl_conv_batch_winograd_scratch(&v, kernels, t->batch, points);
    for (int i = 0; i < 2; i++) {
        struct adl_pool *pool = adl_pool_create(1 + 2 * i, &err);
        float *scratch = adl_malloc(floats, sizeof *scratch);
        out[i] = random_floats("held", count);
        memset(scratch, 0xff, floats * sizeof *scratch); /* NaN */
        struct adl_conv_pass pass = {&v, kernels, t->batch, pool, scratch};
        adl_conv_batch_winograd(&pass, points, weights, turned, bias, x, out[i]);
        adl_free(scratch);
        adl_pool_free(pool);
    }
    double worst = winograd_error(t->batch, v, turned, weights, bias, x, held, out[0]);
    if (!(worst < 2e-5 * sqrt(t->r * t->s * t->c)))
        TEST_FAIL("%s, %d points, %dx%d, %dx%dx%d to %d: %g off", kernels->name, points, t->r, t->s,
                  t->h, t->w, t->c, t->k, worst);
    CU_ASSERT(memcmp(out[0], out[1], count * sizeof *out[0]) == 0);
    adl_free(x);
    adl_free(weights);
    adl_free(bias);
    adl_free(held);
    adl_free(out[0]);
    adl_free(out[1]);
}

static void batch_winograd(void)
{
    static const enum adl_isa isas[] = {ADL_ISA_AVX2, ADL_ISA_AVX512};
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        if (!adl_isa_available(isas[i])) {
            test_skip("this processor has no %s", adl_isa_name(isas[i]));
            continue;
        }
        for (size_t j = 0; j < sizeof winograd_cases / sizeof *winograd_cases; j++)
            for (int variant = 0; variant < 8; variant++)
                check_winograd(adl_kernels_for(isas[i]), &winograd_cases[j], 6 + variant / 4 * 2,
                               variant % 2, variant / 2 % 2);
    }
}

TEST_SUITE(conv_train, {"Winograd's algorithm over a batch equals the definition", batch_winograd});
