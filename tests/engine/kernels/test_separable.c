/* kernels/conv_separable: a depthwise convolution and the 1x1 convolution after
 * it in one step, against both in double, on random shapes with tails. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "kernels/conv.h"
#include "kernels/dispatch.h"
#include "support/formula.h"

struct shape {
    int h, w, c, k, stride, top, left, bottom, right, size;
};

static const struct shape cases[] = {
    {1, 1, 1, 1, 1, 1, 1, 1, 1, 3},
    {5, 7, 16, 32, 1, 1, 1, 1, 1, 3},
    {13, 9, 17, 33, 1, 1, 1, 1, 1, 3},
    {14, 14, 31, 15, 2, 0, 0, 1, 1, 3}, /* TensorFlow's "same" */
    {15, 16, 48, 70, 2, 1, 1, 1, 1, 3},
    {3, 2, 300, 40, 1, 1, 1, 1, 1, 3},
    {2, 70, 9, 8, 1, 1, 1, 1, 1, 3},
    {6, 7, 20, 11, 1, 2, 2, 2, 2, 5},
    {9, 9, 12, 13, 3, 1, 1, 1, 1, 3},
};

static float *draw(const char *what, size_t count)
{
    float *values = adl_malloc(count, sizeof *values);
    formula_param(what, 0, 1, count, values);
    return values;
}

struct maps {
    struct adl_conv depthwise, pointwise;
    float *x, *wd, *bd, *wp, *bp, *ones, *residual;
};

static void open_maps(struct maps *m, const struct shape *t)
{
    int p = (t->h + t->top + t->bottom - t->size) / t->stride + 1;
    int q = (t->w + t->left + t->right - t->size) / t->stride + 1;
    size_t c = (size_t)t->c, k = (size_t)t->k, pixels = (size_t)(p * q);
    m->depthwise = (struct adl_conv){.h = t->h,
                                     .w = t->w,
                                     .c = t->c,
                                     .p = p,
                                     .q = q,
                                     .k = t->c,
                                     .r = t->size,
                                     .s = t->size,
                                     .stride = t->stride,
                                     .pad_top = t->top,
                                     .pad_left = t->left,
                                     .groups = t->c,
                                     .ldx = c,
                                     .lo = 0,
                                     .hi = 6};
    m->pointwise = (struct adl_conv){.h = p,
                                     .w = q,
                                     .c = t->c,
                                     .p = p,
                                     .q = q,
                                     .k = t->k,
                                     .r = 1,
                                     .s = 1,
                                     .stride = 1,
                                     .groups = 1,
                                     .ldx = c,
                                     .ldo = k + 3,
                                     .ldr = k,
                                     .lo = -1,
                                     .hi = 2};
    m->x = draw("x", (size_t)(t->h * t->w) * c);
    m->wd = draw("wd", c * (size_t)(t->size * t->size));
    m->bd = draw("bd", c);
    m->wp = draw("wp", c * k);
    m->bp = draw("bp", k);
    m->residual = draw("residual", pixels * k);
    m->ones = adl_malloc(c + k, sizeof *m->ones);
    for (size_t i = 0; i < c + k; i++)
        m->ones[i] = 1;
}

static void close_maps(struct maps *m)
{
    float *all[] = {m->x, m->wd, m->bd, m->wp, m->bp, m->ones, m->residual};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        adl_free(all[i]);
}

/* Channel c of the depthwise convolution at output pixel (y, x). */
static double depthwise_at(const struct maps *m, int y, int x, int c)
{
    const struct adl_conv *v = &m->depthwise;
    double sum = (double)m->bd[c];
    for (int r = 0; r < v->r; r++)
        for (int s = 0; s < v->s; s++) {
            int row = y * v->stride + r - v->pad_top, column = x * v->stride + s - v->pad_left;
            if (row >= 0 && row < v->h && column >= 0 && column < v->w)
                sum += (double)m->x[(row * v->w + column) * v->c + c] *
                       (double)m->wd[(c * v->r + r) * v->s + s];
        }
    return fmin(fmax(sum, 0), 6);
}

static double *expected(const struct maps *m)
{
    const struct adl_conv *v = &m->pointwise;
    size_t k = (size_t)v->k;
    double *want = adl_malloc((size_t)(v->p * v->q) * k, sizeof *want);
    double *middle = adl_malloc((size_t)v->c, sizeof *middle);
    for (int i = 0; i < v->p * v->q; i++) {
        for (int c = 0; c < v->c; c++)
            middle[c] = depthwise_at(m, i / v->q, i % v->q, c);
        for (size_t j = 0; j < k; j++) {
            double sum = (double)m->bp[j] + (double)m->residual[(size_t)i * k + j];
            for (int c = 0; c < v->c; c++)
                sum += middle[c] * (double)m->wp[j * (size_t)v->c + (size_t)c];
            want[(size_t)i * k + j] = fmin(fmax(sum, -1), 2);
        }
    }
    adl_free(middle);
    return want;
}

static void check(const struct adl_kernels *kernels, const struct shape *t)
{
    struct maps m;
    open_maps(&m, t);
    CU_ASSERT_TRUE_FATAL(adl_separable_supports(&m.depthwise, &m.pointwise, kernels));
    size_t k = (size_t)t->k, ld = m.pointwise.ldo;
    size_t pixels = (size_t)(m.pointwise.p * m.pointwise.q);
    float *packed_d =
        adl_malloc(adl_conv_depthwise.packed_floats(&adl_conv_depthwise, &m.depthwise, kernels),
                   sizeof *packed_d);
    float *packed_p = adl_malloc(adl_conv_gemm.packed_floats(&adl_conv_gemm, &m.pointwise, kernels),
                                 sizeof *packed_p);
    float *scratch = adl_malloc(adl_separable_scratch_floats(&m.depthwise), sizeof *scratch);
    float *wide = adl_malloc(pixels * ld, sizeof *wide), *got = adl_malloc(pixels * k, sizeof *got);
    for (size_t i = 0; i < pixels * ld; i++)
        wide[i] = NAN;
    adl_conv_depthwise.pack(&adl_conv_depthwise, &m.depthwise, kernels, m.wd, m.ones, m.bd,
                            packed_d);
    adl_conv_gemm.pack(&adl_conv_gemm, &m.pointwise, kernels, m.wp, m.ones, m.bp, packed_p);
    for (size_t task = adl_separable_tasks(&m.depthwise); task-- > 0;)
        adl_separable_run(&m.depthwise, &m.pointwise, &adl_conv_gemm, kernels, packed_d, packed_p,
                          m.x, m.residual, wide, task, scratch);
    for (size_t i = 0; i < pixels * ld; i++) {
        if (i % ld < k)
            got[i / ld * k + i % ld] = wide[i];
        else
            CU_ASSERT(isnan(wide[i]));
    }
    char what[100];
    snprintf(what, sizeof what, "%s separable %dx%dx%d to %d, %dx%d s%d", kernels->name, t->h, t->w,
             t->c, t->k, t->size, t->size, t->stride);
    double *want = expected(&m);
    test_close(what, got, want, pixels * k, 1e-6 * sqrt((double)t->c * 9) + 1e-5);
    adl_free(want);
    adl_free(got);
    adl_free(wide);
    adl_free(scratch);
    adl_free(packed_p);
    adl_free(packed_d);
    close_maps(&m);
}

static void separable(void)
{
    static const enum adl_isa isas[] = {ADL_ISA_NEON, ADL_ISA_AVX2, ADL_ISA_AVX512};
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        if (!adl_isa_available(isas[i])) {
            if (adl_isa_built(isas[i]))
                test_skip("this processor has no %s", adl_isa_name(isas[i]));
            continue;
        }
        const struct adl_kernels *kernels = adl_kernels_for(isas[i]);
        for (size_t t = 0; t < sizeof cases / sizeof *cases; t++)
            check(kernels, &cases[t]);
        uint32_t state = 12345;
        for (int n = 0; n < 30; n++) {
            int draws[5];
            for (int d = 0; d < 5; d++) {
                state = state * 1664525u + 1013904223u;
                draws[d] = (int)(state >> 20);
            }
            struct shape t = {3 + draws[0] % 14,
                              3 + draws[1] % 20,
                              1 + draws[2] % 70,
                              1 + draws[3] % 90,
                              1 + draws[4] % 2,
                              draws[4] >> 1 & 1,
                              draws[4] >> 2 & 1,
                              1,
                              1,
                              3};
            check(kernels, &t);
        }
    }
}

TEST_SUITE(separable, {"depthwise and 1x1 in one step equal the definition", separable});
