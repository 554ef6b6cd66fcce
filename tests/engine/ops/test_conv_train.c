/* ops/conv: the algorithms for the convolutions of a training step, each by itself,
 * against the definition in double; results are the same to the last bit for any number
 * of threads, and convolutions also whether scratch memory is saved. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "base/size.h"
#include "kernels/dispatch.h"
#include "ops/conv/conv_batch_winograd.h"
#include "ops/conv/conv_grad_winograd.h"
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
    {2, 5, 6, 257, 261, 3, 3, 1, 1},   /* several groups of output channels if frugal */
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
    float *held = random_floats("held", count), *out[3];
    struct adl_error err = {0};

    for (int i = 0; i < 3; i++) {
        bool frugal = i == 2;
        struct adl_pool *pool = adl_pool_create(1 + 2 * (i % 2), &err);
        floats = adl_conv_batch_winograd_scratch(&conv, kernels, t->batch, points, frugal);
        float *scratch = adl_malloc(floats, sizeof *scratch);
        out[i] = random_floats("held", count);
        memset(scratch, 0xff, floats * sizeof *scratch); /* NaN */
        struct adl_conv_pass pass = {&conv, kernels, t->batch, pool, scratch, frugal};
        adl_conv_batch_winograd(&pass, points, weights, turned, bias, x, out[i]);
        adl_free(scratch);
        adl_pool_free(pool);
    }
    double worst = winograd_error(t->batch, conv, turned, weights, bias, x, held, out[0]);
    if (!(worst < 2e-5 * sqrt(t->r * t->s * t->c)))
        TEST_FAIL("%s, %d points, %dx%d, %dx%dx%d to %d: %g off", kernels->name, points, t->r, t->s,
                  t->h, t->w, t->c, t->k, worst);
    for (int i = 1; i < 3; i++)
        CU_ASSERT(memcmp(out[0], out[i], count * sizeof *out[0]) == 0);
    adl_free(x);
    adl_free(weights);
    adl_free(bias);
    adl_free(held);
    adl_free(out[0]);
    adl_free(out[1]);
    adl_free(out[2]);
}

static void batch_winograd(void)
{
    static const enum adl_isa isas[] = {ADL_ISA_NEON, ADL_ISA_AVX2, ADL_ISA_AVX512};
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        if (!adl_isa_available(isas[i])) {
            if (adl_isa_built(isas[i]))
                test_skip("this processor has no %s", adl_isa_name(isas[i]));
            continue;
        }
        for (size_t j = 0; j < sizeof winograd_cases / sizeof *winograd_cases; j++)
            for (int variant = 0; variant < 8; variant += TEST_WATCHED ? 3 : 1)
                check_winograd(adl_kernels_for(isas[i]), &winograd_cases[j], 6 + variant / 4 * 2,
                               variant % 2, variant / 2 % 2);
    }
}

/* --- the gradient of the weights by Winograd's algorithm ------------------------------------- */

static const struct grad_case {
    int batch, h, w, c, k;
} grad_cases[] = {
    {3, 5, 7, 16, 16},   {2, 13, 9, 35, 67},     {2, 5, 6, 257, 261},
    {2, 6, 5, 300, 200}, {60, 14, 14, 40, 1500}, /* several chunks of tiles, which the last group
                                                    need not have */
};

/* The largest difference between `grad`, K x (R, S, C), and the definition at a sample of weights.
 */
static double grad_error(const struct adl_conv *conv, int batch, const float *x, const float *dy,
                         const float *grad)
{
    double worst = 0;
    int count = conv->k * 9 * conv->c;
    for (int i = 0; i<count; i += count> 2000 ? 997 : 1) {
        int c = i % conv->c, tap = i / conv->c % 9, k = i / conv->c / 9;
        double sum = 0;
        for (int m = 0; m < batch * conv->p * conv->q; m++) {
            int q = m % conv->q, p = m / conv->q % conv->p, n = m / conv->q / conv->p;
            int row = p + tap / 3 - 1, column = q + tap % 3 - 1;
            if (row >= 0 && row < conv->h && column >= 0 && column < conv->w)
                sum += (double)dy[m * conv->k + k] *
                       (double)x[((n * conv->h + row) * conv->w + column) * conv->c + c];
        }
        worst = fmax(worst, fabs((double)grad[i] - sum));
    }
    return worst;
}

static void check_grad(const struct adl_kernels *kernels, const struct grad_case *t)
{
    struct adl_conv_attr attr = {
        .k = t->k, .r = 3, .s = 3, .stride = 1, .pad_top = 1, .pad_left = 1, .groups = 1};
    struct adl_shape in = {t->h, t->w, t->c}, shape = {t->h, t->w, t->k};
    struct adl_conv conv = adl_conv_describe(&attr, in, shape);
    struct adl_error err = {0};
    size_t count = (size_t)(t->k * 9 * t->c);
    float *x = random_floats("x", (size_t)(t->batch * t->h * t->w * t->c)), *grads[4];
    float *dy = random_floats("dy", (size_t)(t->batch * t->h * t->w * t->k));

    if (!adl_conv_grad_winograd_supports(&conv, kernels))
        TEST_FAIL("%s: no gradient of %d by %d channels", kernels->name, t->c, t->k);
    for (int i = 0; i < 4; i++) {
        bool frugal = i / 2;
        struct adl_pool *pool = adl_pool_create(1 + 2 * (i % 2), &err);
        size_t floats = adl_conv_grad_winograd_scratch(&conv, t->batch, frugal);
        float *scratch = adl_malloc(floats, sizeof *scratch);
        memset(scratch, 0xff, floats * sizeof *scratch); /* NaN */
        struct adl_conv_pass pass = {&conv, kernels, t->batch, pool, scratch, frugal};
        grads[i] = adl_malloc(count, sizeof *grads[i]);
        adl_conv_grad_winograd(&pass, x, dy, grads[i]);
        adl_free(scratch);
        adl_pool_free(pool);
    }
    for (int i = 0; i < 4; i += 2) {
        double worst = grad_error(&conv, t->batch, x, dy, grads[i]);
        if (!(worst < 2e-5 * sqrt(t->batch * t->h * t->w)))
            TEST_FAIL("%s, %dx%dx%d to %d%s: %g off", kernels->name, t->h, t->w, t->c, t->k,
                      i ? ", frugal" : "", worst);
        CU_ASSERT(memcmp(grads[i], grads[i + 1], count * sizeof *grads[i]) == 0);
    }
    for (int i = 0; i < 4; i++)
        adl_free(grads[i]);
    adl_free(x);
    adl_free(dy);
}

static void grad_winograd(void)
{
    static const enum adl_isa isas[] = {ADL_ISA_NEON, ADL_ISA_AVX2, ADL_ISA_AVX512};
    for (size_t i = 0; i < ADL_COUNT(isas); i++) {
        if (!adl_isa_available(isas[i])) {
            if (adl_isa_built(isas[i]))
                test_skip("this processor has no %s", adl_isa_name(isas[i]));
            continue;
        }
        for (size_t j = 0; j < ADL_COUNT(grad_cases); j++)
            check_grad(adl_kernels_for(isas[i]), &grad_cases[j]);
    }
}

TEST_SUITE(conv_train, {"Winograd's algorithm over a batch equals the definition", batch_winograd},
           {"the gradient by Winograd's algorithm equals the definition", grad_winograd});
