/* ops/conv: the algorithms for the convolutions of a training step, each by itself,
 * against the definition in double; results are the same to the last bit for any number
 * of threads. */

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
    {24, 14, 14, 270, 31, 3, 3, 1, 1}, /* several chunks of tiles and of input channels */
};

static double tap_of(const struct adl_conv *conv, const float *weights, bool turned, int k, int c,
                     int tap)
{
    int taps = conv->r * conv->s;
    return (double)(turned ? weights[(c * conv->k + k) * taps + taps - 1 - tap]
                           : weights[(k * conv->c + c) * taps + tap]);
}

/* The largest difference between `out` and bias + conv(x) + `held`, what it held before,
 * at a sample of its values. */
static double winograd_error(int batch, struct adl_conv conv, bool turned, const float *weights,
                             const float *bias, const float *x, const float *held, const float *out)
{
    double worst = 0;
    int count = batch * conv.p * conv.q * conv.k, step = count > 10000 ? 101 : 1;
    for (int i = 0; i < count; i += step) {
        int k = i % conv.k, q = i / conv.k % conv.q, p = i / conv.k / conv.q % conv.p,
            n = i / conv.k / conv.q / conv.p;
        double sum = (bias ? (double)bias[k] : 0) + (conv.accumulate ? (double)held[i] : 0);
        for (int tap = 0; tap < conv.r * conv.s; tap++) {
            int row = p + tap / conv.s - conv.pad_top, column = q + tap % conv.s - conv.pad_left;
            for (int c = 0;
                 row >= 0 && row < conv.h && column >= 0 && column < conv.w && c < conv.c; c++)
                sum += (double)x[((n * conv.h + row) * conv.w + column) * conv.c + c] *
                       tap_of(&conv, weights, turned, k, c, tap);
        }
        worst = fmax(worst, fabs((double)out[i] - sum));
    }
    return worst;
}

static void check_winograd(const struct adl_kernels *kernels, const struct winograd_case *t,
                           int points, bool turned, bool accumulate)
{
    struct adl_conv_attr attr = {.k = t->k,
                                 .r = t->r,
                                 .s = t->s,
                                 .stride = 1,
                                 .pad_top = t->pad_top,
                                 .pad_left = t->pad_left,
                                 .groups = 1};
    struct adl_shape in = {t->h, t->w, t->c};
    struct adl_shape shape = {t->h + 2 * t->pad_top - t->r + 1, t->w + 2 * t->pad_left - t->s + 1,
                              t->k};
    struct adl_conv conv = adl_conv_describe(&attr, in, shape);
    conv.accumulate = accumulate;
    if (!adl_conv_batch_winograd_supports(&conv, kernels, points))
        return;
    size_t count = (size_t)(t->batch * conv.p * conv.q * conv.k), floats;
    float *x = random_floats("x", (size_t)(t->batch * t->h * t->w * t->c));
    float *weights = random_floats("weights", (size_t)(t->r * t->s * t->c * t->k));
    float *bias = accumulate ? NULL : random_floats("bias", (size_t)t->k);
    float *held = random_floats("held", count), *out[2];
    struct adl_error err = {0};

    floats = adl_conv_batch_winograd_scratch(&conv, kernels, t->batch, points);
    for (int i = 0; i < 2; i++) {
        struct adl_pool *pool = adl_pool_create(1 + 2 * i, &err);
        float *scratch = adl_malloc(floats, sizeof *scratch);
        out[i] = random_floats("held", count);
        memset(scratch, 0xff, floats * sizeof *scratch); /* NaN */
        struct adl_conv_pass pass = {&conv, kernels, t->batch, pool, scratch};
        adl_conv_batch_winograd(&pass, points, weights, turned, bias, x, out[i]);
        adl_free(scratch);
        adl_pool_free(pool);
    }
    double worst = winograd_error(t->batch, conv, turned, weights, bias, x, held, out[0]);
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
