/* kernels/: every convolution algorithm and kernel of every instruction set
 * this machine has, against the plain-C op in double, on odd shapes. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/blas.h"
#include "kernels/conv.h"
#include "ops/conv/conv_geometry.h"
#include "ops/ops.h"
#include "ops/plain_loops.h"
#include "support/conv_run.h"
#include "support/formula.h"
#include "support/isas.h"

/* One list for all algorithms: sides and channels of 1, primes, a vector and
 * one less or more, padding larger than half the kernel, kernels of every
 * backbone. */
static const struct conv_case {
    int h, w, c, k, r, s, stride, top, left, bottom, right, groups;
} conv_cases[] = {
    {1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1},
    {5, 7, 3, 5, 1, 1, 1, 0, 0, 0, 0, 1},
    {14, 14, 64, 64, 1, 1, 1, 0, 0, 0, 0, 1},
    {7, 7, 515, 33, 1, 1, 1, 0, 0, 0, 0, 1},
    {17, 19, 70, 150, 1, 1, 1, 0, 0, 0, 0, 1}, /* several blocks of rows for Strassen */
    {33, 31, 21, 36, 1, 1, 1, 0, 0, 0, 0, 1},
    {3, 1, 9, 200, 1, 1, 1, 0, 0, 0, 0, 1},
    {15, 15, 37, 193, 1, 1, 1, 0, 0, 0, 0, 1}, /* Strassen by groups of rows and columns */
    {9, 8, 17, 31, 1, 1, 2, 0, 0, 0, 0, 1},
    {8, 11, 15, 16, 3, 3, 1, 1, 1, 1, 1, 1},
    {13, 13, 16, 17, 3, 3, 1, 1, 1, 1, 1, 1},
    {13, 12, 7, 29, 3, 3, 2, 1, 1, 1, 1, 1},
    {12, 12, 3, 32, 3, 3, 2, 0, 0, 1, 1, 1}, /* TensorFlow's "same" */
    {23, 19, 3, 64, 7, 7, 2, 3, 3, 3, 3, 1}, /* ResNet's stem */
    {9, 9, 20, 48, 1, 7, 1, 0, 3, 0, 3, 1},  /* Inception's 1x7 */
    {9, 9, 24, 33, 7, 1, 1, 3, 0, 3, 0, 1},
    {6, 6, 48, 64, 5, 5, 1, 2, 2, 2, 2, 1},
    {5, 4, 6, 9, 3, 3, 1, 2, 2, 2, 2, 1},    /* padding beyond half the kernel */
    {2, 3, 130, 96, 3, 3, 1, 1, 1, 1, 1, 1}, /* depth in several chunks */
    {15, 17, 9, 19, 7, 7, 1, 3, 3, 3, 3, 1},
    {11, 16, 21, 12, 1, 3, 1, 0, 1, 0, 1, 1},
    {12, 30, 18, 35, 3, 5, 1, 1, 2, 1, 2, 1},
    {43, 37, 5, 40, 3, 3, 1, 1, 1, 1, 1, 1}, /* several blocks of Winograd tiles */
    {14, 13, 270, 300, 3, 3, 1, 1, 1, 1, 1, 1},
    {47, 43, 12, 40, 1, 1, 1, 0, 0, 0, 0, 1}, /* several blocks of rows in a task */
    {46, 44, 5, 34, 3, 3, 1, 1, 1, 1, 1, 1},
    {26, 27, 19, 70, 3, 3, 1, 1, 1, 1, 1, 1}, /* slices of channels of blocks of tiles */
    {3, 40, 16, 16, 3, 3, 1, 0, 0, 0, 0, 1},  /* one row out */
    {7, 6, 4, 8, 3, 3, 1, 3, 0, 0, 4, 1},     /* outputs that see padding alone */
    {10, 10, 12, 20, 3, 3, 1, 1, 1, 1, 1, 4}, /* groups */
    {7, 9, 8, 16, 3, 3, 2, 1, 1, 1, 1, 8},    /* depthwise with a multiplier */
    {9, 31, 24, 24, 3, 3, 1, 1, 1, 1, 1, 6},  /* groups of 4, several tiles in a line */
    {14, 14, 56, 56, 3, 3, 1, 1, 1, 1, 1, 7}, /* of 8, a vector that is not full */
    {29, 27, 40, 40, 3, 3, 2, 1, 1, 1, 1, 5},
    {57, 58, 32, 32, 3, 3, 1, 1, 1, 1, 1, 4}, /* several copies of lines */
    {7, 7, 48, 48, 3, 3, 1, 1, 1, 1, 1, 3},   /* of 16 */
    {12, 11, 48, 48, 3, 3, 2, 0, 0, 1, 1, 2}, /* of 24 */
    {8, 13, 64, 96, 3, 3, 1, 2, 2, 2, 2, 2},  /* of 32 in, 48 out */
    {9, 9, 20, 10, 5, 5, 1, 2, 2, 2, 2, 2},   /* other kernels and strides */
    {9, 10, 24, 24, 1, 3, 3, 0, 1, 0, 1, 4},
    {10, 9, 24, 40, 1, 1, 1, 0, 0, 0, 0, 8},
    {10, 9, 32, 32, 1, 1, 2, 0, 0, 0, 0, 4},
    {11, 6, 18, 18, 3, 3, 1, 1, 1, 1, 1, 6}, /* of 3 */
    {11, 9, 1, 1, 3, 3, 1, 1, 1, 1, 1, 1},
    {11, 9, 24, 24, 3, 3, 1, 1, 1, 1, 1, 24}, /* depthwise */
    {12, 12, 33, 33, 3, 3, 2, 0, 0, 1, 1, 33},
    {3, 2, 15, 15, 3, 3, 1, 1, 1, 1, 1, 15},
    {6, 7, 9, 9, 5, 5, 1, 2, 2, 2, 2, 9},
    {9, 31, 40, 40, 5, 5, 1, 2, 2, 2, 2, 40}, /* tiles of every width */
    {16, 45, 21, 21, 5, 5, 2, 2, 2, 2, 2, 21},
    {8, 28, 36, 36, 7, 7, 1, 3, 3, 3, 3, 36},
    {7, 7, 16, 16, 7, 7, 1, 3, 3, 3, 3, 16},
    {5, 4, 18, 18, 7, 5, 1, 5, 4, 5, 4, 18}, /* more padding than map */
    {9, 15, 17, 17, 7, 7, 2, 3, 3, 3, 3, 17},
};

/* What one case has to give: clamp(scale * conv + bias + residual), in double, then hard-swish if
 * there is an activation. */
static double *expected(const struct conv_run *run, bool with_residual)
{
    double *want = adl_malloc(run->out_count, sizeof *want);
    conv_run_define(run, with_residual, want);
    for (size_t i = 0; i < run->out_count; i++) {
        want[i] = fmin(fmax(want[i], (double)run->conv.lo), (double)run->conv.hi);
        if (run->conv.curve)
            want[i] *= fmin(fmax(want[i] / 6 + 0.5, 0), 1);
    }
    return want;
}

/* The map with `ld` floats from pixel to pixel, the gaps filled with NaN. */
static float *spread(const float *map, size_t pixels, size_t channels, size_t ld)
{
    float *wide = adl_malloc(pixels * ld, sizeof *wide);
    for (size_t i = 0; i < pixels * ld; i++)
        wide[i] = i % ld < channels && map ? map[i / ld * channels + i % ld] : NAN;
    return wide;
}

static void check_conv(const struct adl_conv_algorithm *algorithm,
                       const struct adl_kernels *kernels, const struct conv_case *t, bool epilogue)
{
    struct adl_shape in = {t->h, t->w, t->c};
    struct adl_shape out = {(t->h + t->top + t->bottom - t->r) / t->stride + 1,
                            (t->w + t->left + t->right - t->s) / t->stride + 1, t->k};
    size_t out_pixels = (size_t)out.h * (size_t)out.w, k = (size_t)t->k, c = (size_t)t->c;
    size_t gap = epilogue ? 5 : 0; /* slices of wider maps */
    const struct adl_conv_attr attr = {.k = t->k,
                                       .r = t->r,
                                       .s = t->s,
                                       .stride = t->stride,
                                       .pad_top = t->top,
                                       .pad_left = t->left,
                                       .groups = t->groups};
    struct adl_conv conv = adl_conv_describe(&attr, in, out);
    /* One algorithm takes dense maps. */
    conv.ldx += algorithm == &adl_conv_lines ? 0 : gap;
    conv.ldo += gap;
    conv.ldr = k + gap;
    conv.lo = epilogue ? 0 : -INFINITY;
    conv.hi = epilogue ? 2.5f : INFINITY;
    if (epilogue && algorithm->activates && kernels->curve)
        conv.curve = ADL_CURVE_HARD_SWISH;
    if (!algorithm->supports(algorithm, &conv, kernels))
        return;

    float *x = random_floats("x", adl_shape_count(in));
    size_t weight_count = k * (c / (size_t)t->groups) * (size_t)(t->r * t->s);
    float *weights = random_floats("w", weight_count);
    float *scale = random_floats("scale", k), *bias = random_floats("bias", k);
    float *residual = random_floats("residual", adl_shape_count(out));
    struct conv_run run = {.conv = conv,
                           .x = x,
                           .weights = weights,
                           .scale = scale,
                           .bias = bias,
                           .residual = residual,
                           .x_count = adl_shape_count(in),
                           .weight_count = weight_count,
                           .out_count = out_pixels * k};
    conv_run_round(&run, algorithm);
    double *want = expected(&run, epilogue);

    float *packed = adl_malloc(algorithm->packed_floats(algorithm, &conv, kernels), sizeof *packed);
    float *scratch =
        adl_malloc(algorithm->scratch_floats(algorithm, &conv, kernels), sizeof *scratch);
    float *wide_x = spread(x, (size_t)in.h * (size_t)in.w, c, conv.ldx);
    float *wide_residual = spread(residual, out_pixels, k, conv.ldr);
    float *wide_out = spread(NULL, out_pixels, k, conv.ldo);
    float *shared = NULL;
    const float *from = wide_x;
    algorithm->pack(algorithm, &conv, kernels, weights, scale, bias, packed);
    if (algorithm->prepare && algorithm->prepare_tasks(algorithm, &conv, kernels) > 0) {
        shared = adl_malloc(algorithm->shared_floats(algorithm, &conv, kernels), sizeof *shared);
        for (size_t task = algorithm->prepare_tasks(algorithm, &conv, kernels); task-- > 0;)
            algorithm->prepare(algorithm, &conv, kernels, wide_x, shared, task, scratch);
        from = shared;
    }
    for (size_t task = algorithm->tasks(algorithm, &conv, kernels); task-- > 0;)
        algorithm->run(algorithm, &conv, kernels, packed, from, epilogue ? wide_residual : NULL,
                       wide_out, task, scratch);

    char what[160];
    snprintf(what, sizeof what, "%s %s %dx%dx%d to %d, %dx%d s%d g%d%s", kernels->name,
             algorithm->name, t->h, t->w, t->c, t->k, t->r, t->s, t->stride, t->groups,
             epilogue ? " with epilogue" : "");
    float *got = adl_malloc(out_pixels * k, sizeof *got);
    for (size_t i = 0; i < out_pixels * conv.ldo; i++) {
        if (i % conv.ldo < k)
            got[i / conv.ldo * k + i % conv.ldo] = wide_out[i];
        else if (!isnan(wide_out[i]))
            TEST_FAIL("%s: wrote between the pixels", what);
    }
    /* Rounding of a sum of so many products; the transforms amplify it. */
    double depth = t->c / t->groups * t->r * t->s;
    double factor = 1;
    if (algorithm->winograd.points)
        factor = algorithm->winograd.points == 6 ? 2 : 10;
    test_close(what, got, want, out_pixels * k,
               factor * (3e-8 * depth + 1e-6 * sqrt(depth) + 1e-5));
    adl_free(got);
    adl_free(shared);
    adl_free(wide_out);
    adl_free(wide_residual);
    adl_free(wide_x);
    adl_free(scratch);
    adl_free(packed);
    adl_free(want);
    adl_free(residual);
    adl_free(bias);
    adl_free(scale);
    adl_free(weights);
    adl_free(x);
}

static void check_conv_everywhere(const struct adl_kernels *kernels, const struct conv_case *t)
{
    for (int a = 0; a < ADL_CONV_ALGORITHM_COUNT; a++) {
        check_conv(adl_conv_algorithms[a], kernels, t, false);
        check_conv(adl_conv_algorithms[a], kernels, t, true);
    }
}

static void convolutions_of(const struct adl_kernels *kernels)
{
    for (size_t i = 0; i < sizeof conv_cases / sizeof *conv_cases; i++)
        check_conv_everywhere(kernels, &conv_cases[i]);
}

static void convolutions(void)
{
    for_each_isa(convolutions_of);
}

/* Shapes that nobody chose; first odd kernels at stride 1. */
static void random_convolutions_of(const struct adl_kernels *kernels)
{
    int share = TEST_WATCHED ? 3 : 1;
    struct adl_rng rng;
    adl_rng_seed(&rng, 3, 0, 0);
    for (int i = 0; i < 56 / share; i++) {
        static const int sides[][2] = {{3, 3}, {3, 3}, {3, 3}, {5, 5}, {1, 7}, {7, 1}, {3, 1}};
        struct conv_case t = {.stride = 1, .groups = 1};
        t.r = sides[i % 7][0];
        t.s = sides[i % 7][1];
        t.h = t.r + (int)adl_rng_below(&rng, 30);
        t.w = t.s + (int)adl_rng_below(&rng, 30);
        t.c = 1 + (int)adl_rng_below(&rng, i % 8 ? 40 : 600);
        t.k = 1 + (int)adl_rng_below(&rng, i % 8 ? 80 : 40);
        t.top = (int)adl_rng_below(&rng, 3);
        t.left = (int)adl_rng_below(&rng, 3);
        t.bottom = (int)adl_rng_below(&rng, 3);
        t.right = (int)adl_rng_below(&rng, 3);
        check_conv_everywhere(kernels, &t);
    }
    /* Kernels of any sides and stride, often 1x1. */
    for (int i = 0; i < 60 / share; i++) {
        struct conv_case t = {.groups = 1};
        bool dense = i % 3 > 0;
        t.r = dense ? 1 : 1 + (int)adl_rng_below(&rng, 7);
        t.s = dense ? 1 : 1 + (int)adl_rng_below(&rng, 7);
        t.stride = dense ? 1 : 1 + (int)adl_rng_below(&rng, 3);
        t.h = t.r + (int)adl_rng_below(&rng, 14);
        t.w = t.s + (int)adl_rng_below(&rng, 14);
        t.c = 1 + (int)adl_rng_below(&rng, i % 8 ? i % 2 ? 8 : 50 : 600);
        t.k = 1 + (int)adl_rng_below(&rng, i % 7 ? 100 : 300);
        t.top = dense ? 0 : (int)adl_rng_below(&rng, (uint64_t)t.r);
        t.left = dense ? 0 : (int)adl_rng_below(&rng, (uint64_t)t.s);
        check_conv_everywhere(kernels, &t);
    }
}

static void random_convolutions(void)
{
    for_each_isa(random_convolutions_of);
}

static const size_t widths[] = {1, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100};

static void pointwise_of(const struct adl_kernels *kernels)
{
    enum { PIXELS = 5, LD = 110 };
    float *x = random_floats("x", PIXELS * LD), *residual = random_floats("r", PIXELS * LD);
    float *scale = random_floats("s", LD), *shift = random_floats("b", LD);
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (int mask = 0; mask < 8; mask++) {
            float out[PIXELS * LD];
            memset(out, 0x7f, sizeof out);
            struct adl_pointwise job = {
                .x = x,
                .ldx = LD,
                .out = out,
                .ldo = LD,
                .pixels = PIXELS,
                .scale = mask & 1 ? scale : NULL,
                .shift = mask & 2 ? shift : NULL,
                .residual = mask & 4 ? residual : NULL,
                .ldr = LD,
                .channels = widths[i],
                .lo = -0.5f,
                .hi = 0.75f,
            };
            kernels->pointwise(&job);
            for (size_t p = 0; p < PIXELS; p++)
                for (size_t c = 0; c < LD; c++) {
                    double want = (double)x[p * LD + c] * (mask & 1 ? (double)scale[c] : 1) +
                                  (mask & 2 ? (double)shift[c] : 0) +
                                  (mask & 4 ? (double)residual[p * LD + c] : 0);
                    double got = (double)out[p * LD + c];
                    double fits = c < widths[i] ? fabs(got - fmin(fmax(want, -0.5), 0.75)) : 0;
                    bool untouched = got > 1e38;
                    CU_ASSERT(fits < 1e-6 && untouched == (c >= widths[i]));
                }
        }
    adl_free(shift);
    adl_free(scale);
    adl_free(residual);
    adl_free(x);
}

static void pointwise(void)
{
    for_each_isa(pointwise_of);
}

/* Values around 3, so that the variance is not what the squares alone would give. */
static void layernorm_of(const struct adl_kernels *kernels)
{
    enum { PIXELS = 3, LD = 103 };
    float *x = random_floats("x", PIXELS * LD), *scale = random_floats("s", LD);
    float *shift = random_floats("b", LD);
    for (size_t i = 0; i < PIXELS * LD; i++)
        x[i] += 3;
    for (size_t i = 0; kernels->layernorm && i < sizeof widths / sizeof *widths; i++)
        for (int mask = 0; mask < 4; mask++) {
            float out[PIXELS * LD];
            size_t n = widths[i];
            for (size_t p = 0; p < PIXELS * LD; p++)
                out[p] = 77;
            kernels->layernorm(&(struct adl_layernorm_rows){.x = x,
                                                            .ldx = LD,
                                                            .scale = mask & 1 ? scale : NULL,
                                                            .shift = mask & 2 ? shift : NULL,
                                                            .out = out,
                                                            .ldo = LD,
                                                            .pixels = PIXELS,
                                                            .channels = n,
                                                            .eps = 1e-3f});
            for (size_t p = 0; p < PIXELS; p++) {
                double mean = 0, variance = 0;
                for (size_t c = 0; c < n; c++)
                    mean += (double)x[p * LD + c] / (double)n;
                for (size_t c = 0; c < n; c++)
                    variance += pow((double)x[p * LD + c] - mean, 2) / (double)n;
                for (size_t c = 0; c < LD; c++) {
                    double want = ((double)x[p * LD + c] - mean) / sqrt(variance + 1e-3) *
                                      (mask & 1 ? (double)scale[c] : 1) +
                                  (mask & 2 ? (double)shift[c] : 0);
                    CU_ASSERT(fabs((double)out[p * LD + c] - (c < n ? want : 77)) < 1e-5);
                }
            }
        }
    adl_free(shift);
    adl_free(scale);
    adl_free(x);
}

static void layernorm(void)
{
    for_each_isa(layernorm_of);
}

static void mean_and_linear_of(const struct adl_kernels *kernels)
{
    enum { PIXELS = 49, LD = 103, ROWS = 3 };
    float *x = random_floats("x", PIXELS * LD), *w = random_floats("w", ROWS * LD);
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        float means[LD], y[ROWS];
        double want_means[LD], want_y[ROWS];
        size_t c = widths[i];
        kernels->mean(x, LD, PIXELS, c, means);
        kernels->linear(w, x, i % 2 ? x + 1 : NULL, ROWS, c, y);
        for (size_t j = 0; j < c; j++) {
            want_means[j] = 0;
            for (size_t p = 0; p < PIXELS; p++)
                want_means[j] += (double)x[p * LD + j] / PIXELS;
        }
        for (size_t k = 0; k < ROWS; k++) {
            want_y[k] = i % 2 ? (double)x[1 + k] : 0;
            for (size_t j = 0; j < c; j++)
                want_y[k] += (double)w[k * c + j] * (double)x[j];
        }
        test_close(kernels->name, means, want_means, c, 1e-6);
        test_close(kernels->name, y, want_y, ROWS, 1e-5);
    }
    adl_free(w);
    adl_free(x);
}

/* The sum of a large flat map is not rounded at each pixel: in one float sum the mean of 512 x 512
 * pixels of 0.3 was 0.4 % too small. */
static void mean_of_flat_map(const struct adl_kernels *kernels)
{
    enum { PIXELS = 512 * 512 };
    float *x = adl_malloc(PIXELS, sizeof *x), mean;

    if (!x)
        return;
    for (size_t i = 0; i < PIXELS; i++)
        x[i] = 0.3f;
    kernels->mean(x, 1, PIXELS, 1, &mean);
    CU_ASSERT_DOUBLE_EQUAL((double)mean, (double)0.3f, 1e-5);
    adl_sum_over_pixels(x, 1, PIXELS, 1, &mean);
    CU_ASSERT_DOUBLE_EQUAL((double)mean / PIXELS, (double)0.3f, 1e-5);
    adl_free(x);
}

static void means_of_flat_maps(void)
{
    for_each_isa(mean_of_flat_map);
}

static void mean_and_linear(void)
{
    for_each_isa(mean_and_linear_of);
}

static void pooling_of(const struct adl_kernels *kernels)
{
    static const struct {
        int h, w, size, stride, pad;
    } cases[] = {{6, 6, 2, 2, 0}, {7, 5, 3, 2, 1}, {5, 5, 3, 1, 1}, {3, 3, 3, 2, 0}};
    for (size_t t = 0; t < sizeof cases / sizeof *cases; t++)
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
            int h = cases[t].h, w = cases[t].w, size = cases[t].size, pad = cases[t].pad;
            size_t c = widths[i], ldx = c + 3;
            float *x = random_floats("x", (size_t)(h * w) * ldx);
            int p_count = (h + 2 * pad - size) / cases[t].stride + 1;
            int q_count = (w + 2 * pad - size) / cases[t].stride + 1;
            for (int p = 0; p < p_count; p++) {
                const float *rows[3];
                float max[8 * 100], avg[8 * 100];
                for (int r = 0; r < size; r++) {
                    int y = p * cases[t].stride - pad + r;
                    rows[r] = y < 0 || y >= h ? NULL : x + (size_t)(y * w) * ldx;
                }
                struct adl_pool_row row = {.rows = rows,
                                           .size = size,
                                           .stride = cases[t].stride,
                                           .pad_left = pad,
                                           .w = w,
                                           .ldx = ldx,
                                           .channels = c,
                                           .out = max,
                                           .q = q_count,
                                           .ldo = c};
                kernels->maxpool(&row);
                row.out = avg;
                kernels->avgpool(&row);
                for (size_t j = 0; j < (size_t)q_count * c; j++) {
                    double best = -INFINITY, sum = 0;
                    for (int r = 0; r < size; r++)
                        for (int s = 0; s < size; s++) {
                            int column = (int)(j / c) * cases[t].stride - pad + s;
                            if (!rows[r] || column < 0 || column >= w)
                                continue;
                            double v = (double)rows[r][(size_t)column * ldx + j % c];
                            best = fmax(best, v);
                            sum += v;
                        }
                    CU_ASSERT_EQUAL((double)max[j], best);
                    CU_ASSERT(fabs((double)avg[j] - sum / (size * size)) < 1e-6);
                }
            }
            adl_free(x);
        }
}

static void pooling(void)
{
    for_each_isa(pooling_of);
}

static void blas_multiplies(void)
{
    /* [1 2; 3 4] * [5 6; 7 8], and the same with one side stored transposed. */
    const float a[] = {1, 2, 3, 4}, b[] = {5, 6, 7, 8};
    float c[4] = {1, 1, 1, 1};
    adl_sgemm(false, false, 2, 2, 2, a, 2, b, 2, 1, c, 2);
    CU_ASSERT(c[0] == 20 && c[1] == 23 && c[2] == 44 && c[3] == 51);
    adl_sgemm(true, false, 2, 2, 2, a, 2, b, 2, 0, c, 2);
    CU_ASSERT(c[0] == 26 && c[1] == 30 && c[2] == 38 && c[3] == 44);
    adl_sgemm(false, true, 2, 2, 2, a, 2, b, 2, 0, c, 2);
    CU_ASSERT(c[0] == 17 && c[1] == 23 && c[2] == 39 && c[3] == 53);
}

TEST_SUITE(kernels, {"convolutions equal the definition", convolutions},
           {"convolutions of random shapes", random_convolutions},
           {"pointwise, with every combination of its parts", pointwise}, {"layer norm", layernorm},
           {"mean and linear", mean_and_linear}, {"means of flat maps", means_of_flat_maps},
           {"pooling", pooling}, {"products through OpenBLAS", blas_multiplies});
TEST_SLOW(random_convolutions);
