/* kernels/: NaN and infinities go through every kernel of every instruction set that this
 * machine has as they go through PyTorch: a clamp and a maximum keep NaN, a backward pass
 * counts it as not clamped. What is expected is computed here from the definitions. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "support/conv_run.h"
#include "support/isas.h"

static const float planted[] = {NAN, INFINITY, -INFINITY};
#define PLANTED (sizeof planted / sizeof *planted)

/* Channels: a vector and more or less, of both lengths; several blocks of train_loops.h. */
static const size_t widths[] = {1, 3, 7, 8, 9, 15, 16, 17, 33, 70, 259};
#define WIDTHS (sizeof widths / sizeof *widths)

/* The places to plant something among `count`: the first, the last, some in between. */
static size_t place_of(size_t which, size_t count)
{
    const size_t places[] = {0, count - 1, count / 2, count / 3, count - count / 7 - 1};
    return places[which];
}
#define PLACES ((size_t)5)

static bool same(double got, double want)
{
    if (isnan(want) || isinf(want))
        return isnan(want) ? isnan(got) : got == want;
    return fabs(got - want) <= 1e-4 * (1 + fabs(want));
}

/* torch.clamp */
static double clamped(double v, double lo, double hi)
{
    return isnan(v) ? v : v < lo ? lo : v > hi ? hi : v;
}

/* --- convolutions: clamp(conv(x) + bias + residual) --------------------------------------- */

static const struct conv_shape {
    int h, w, c, k, r, s, stride, pad, groups;
} conv_shapes[] = {
    {5, 7, 3, 5, 1, 1, 1, 0, 1},     {9, 8, 37, 41, 1, 1, 1, 0, 1},
    {20, 17, 12, 40, 1, 1, 1, 0, 1}, {8, 11, 15, 17, 3, 3, 1, 1, 1},
    {31, 29, 5, 33, 3, 3, 1, 1, 1},  {9, 9, 6, 9, 3, 3, 2, 1, 1},
    {23, 19, 3, 64, 7, 7, 2, 3, 1},  {9, 9, 7, 16, 5, 5, 1, 2, 1},
    {11, 9, 24, 24, 3, 3, 1, 1, 24}, {12, 12, 33, 33, 3, 3, 2, 1, 33},
    {10, 10, 12, 20, 3, 3, 1, 1, 4}, {6, 7, 9, 9, 5, 5, 1, 2, 9},
};

/* Algorithms that share products between outputs may make more of them NaN, so for these
 * an output that is finite by the definition may be either. */
static void compare_conv(const struct conv_run *run, const struct adl_conv_algorithm *algorithm,
                         const struct adl_kernels *kernels, const char *where)
{
    bool shares = algorithm->winograd.points || algorithm->strassen_levels;
    size_t wrong = 0, first = 0;
    double *want = adl_malloc(run->out_count, sizeof *want);
    conv_run_define(run, true, want);
    for (size_t i = 0; i < run->out_count; i++) {
        double got = (double)run->out[i];
        double cut = clamped(want[i], (double)run->conv.lo, (double)run->conv.hi);
        bool fits = same(got, cut) || (shares && isnan(got) && !isnan(want[i])) ||
                    (shares && isfinite(want[i]) && fabs(got - cut) < 1e-2);
        if (!fits && wrong++ == 0)
            first = i;
    }
    if (wrong)
        TEST_FAIL("%s %s: %zu outputs are wrong with something in the %s, the first at %zu: %g, "
                  "want %g",
                  kernels->name, algorithm->name, wrong, where, first, (double)run->out[first],
                  want[first]);
    adl_free(want);
}

/* Plants each value at each place of one operand, with a clamp as of ReLU and of ReLU6. */
static void plant_in(struct conv_run *run, const struct adl_conv_algorithm *algorithm,
                     const struct adl_kernels *kernels, float *operand, size_t count,
                     const char *name)
{
    for (size_t which = 0; which < PLACES; which++)
        for (size_t v = 0; v < PLANTED; v++) {
            float *at = operand + place_of(which, count), was = *at;
            *at = planted[v];
            run->conv.lo = 0;
            run->conv.hi = which % 2 ? 6 : INFINITY;
            if (conv_run_by(run, algorithm, kernels, true))
                compare_conv(run, algorithm, kernels, name);
            *at = was;
        }
}

static void convolutions_of(const struct adl_kernels *kernels)
{
    for (size_t i = 0; i < sizeof conv_shapes / sizeof *conv_shapes; i++)
        for (int a = 0; a < ADL_CONV_ALGORITHM_COUNT; a++) {
            struct conv_shape t = conv_shapes[i];
            struct conv_run run =
                conv_run_open(t.h, t.w, t.c, t.k, t.r, t.s, t.stride, t.pad, t.groups);
            const struct adl_conv_algorithm *algorithm = adl_conv_algorithms[a];
            conv_run_round(&run, algorithm);
            if (algorithm->supports(algorithm, &run.conv, kernels)) {
                plant_in(&run, algorithm, kernels, run.x, run.x_count, "input");
                plant_in(&run, algorithm, kernels, run.bias, (size_t)t.k, "bias");
                plant_in(&run, algorithm, kernels, run.residual, run.out_count, "residual");
            }
            conv_run_close(&run);
        }
}

static void convolutions(void)
{
    for_each_isa(convolutions_of);
}

/* --- element by element, mean, linear -------------------------------------------------------- */

static void check_pointwise(const struct adl_kernels *kernels, size_t c, size_t at, float value,
                            int operand, float hi)
{
    enum { PIXELS = 3 };
    float *operands[4] = {random_floats("x", PIXELS * c), random_floats("scale", c),
                          random_floats("shift", c), random_floats("residual", PIXELS * c)};
    float *out = adl_malloc(PIXELS * c, sizeof *out);
    operands[operand][operand % 3 ? at : c + at] = value;
    if (operand == 3)
        operands[3][at] = value;
    kernels->pointwise(&(struct adl_pointwise){.x = operands[0],
                                               .ldx = c,
                                               .scale = operands[1],
                                               .shift = operands[2],
                                               .residual = operands[3],
                                               .ldr = c,
                                               .out = out,
                                               .ldo = c,
                                               .pixels = PIXELS,
                                               .channels = c,
                                               .lo = 0,
                                               .hi = hi});
    for (size_t i = 0; i < PIXELS * c; i++) {
        double want = (double)operands[0][i] * (double)operands[1][i % c] +
                      (double)operands[2][i % c] + (double)operands[3][i];
        if (!same((double)out[i], clamped(want, 0, (double)hi)))
            TEST_FAIL("%s pointwise, %zu channels, operand %d, channel %zu: %g", kernels->name, c,
                      operand, at, (double)out[i]);
    }
    for (int i = 0; i < 4; i++)
        adl_free(operands[i]);
    adl_free(out);
}

static void check_mean_and_linear(const struct adl_kernels *kernels, size_t c, size_t at,
                                  float value)
{
    enum { ROWS = 3 };
    float *x = random_floats("x", ROWS * c), *means = adl_malloc(c, sizeof *means), y[ROWS];
    x[c + at] = value;
    kernels->mean(x, c, ROWS, c, means);
    for (size_t i = 0; i < c; i++)
        CU_ASSERT(same((double)means[i],
                       ((double)x[i] + (double)x[c + i] + (double)x[2 * c + i]) / ROWS));
    /* The map as weights, its first row as input. */
    kernels->linear(x, x, NULL, ROWS, c, y);
    for (size_t k = 0; k < ROWS; k++) {
        double want = 0;
        for (size_t i = 0; i < c; i++)
            want += (double)x[k * c + i] * (double)x[i];
        CU_ASSERT(same((double)y[k], want));
    }
    adl_free(means);
    adl_free(x);
}

static void elements_of(const struct adl_kernels *kernels)
{
    for (size_t i = 0; i < WIDTHS; i++)
        for (size_t which = 0; which < PLACES; which++)
            for (size_t v = 0; v < PLANTED; v++) {
                size_t at = place_of(which, widths[i]);
                for (int operand = 0; operand < 4; operand++) {
                    check_pointwise(kernels, widths[i], at, planted[v], operand, INFINITY);
                    check_pointwise(kernels, widths[i], at, planted[v], operand, 6);
                }
                check_mean_and_linear(kernels, widths[i], at, planted[v]);
            }
}

static void elements(void)
{
    for_each_isa(elements_of);
}

/* --- pooling: one window of 3x3 -------------------------------------------------------------- */

/* torch.max_pool2d: of equal values the first, of several NaN the last one. */
static size_t winner(const float *x, size_t c, size_t channel)
{
    size_t best = channel;
    for (size_t i = channel; i < 9 * c; i += c)
        if (x[i] > x[best] || isnan(x[i]))
            best = i;
    return best;
}

static void compare_pooling(const struct adl_kernels *kernels, const float *x, size_t c)
{
    const float *rows[3] = {x, x + 3 * c, x + 6 * c};
    float *y = adl_malloc(c, sizeof *y), *dy = random_floats("dy", c);
    float *dx = adl_calloc(9 * c, sizeof *dx);
    struct adl_pool_row row = {.rows = rows,
                               .size = 3,
                               .stride = 1,
                               .w = 3,
                               .ldx = c,
                               .channels = c,
                               .out = y,
                               .q = 1,
                               .ldo = c};
    kernels->avgpool(&row);
    for (size_t i = 0; i < c; i++) {
        double sum = 0;
        for (size_t j = i; j < 9 * c; j += c)
            sum += (double)x[j];
        CU_ASSERT(same((double)y[i], sum / 9));
    }
    kernels->maxpool(&row);
    kernels->maxpool_back(&(struct adl_maxpool_back){x, 3, 3, 3 * c, y, dy, dx, c});
    for (size_t i = 0; i < 9 * c; i++) {
        size_t best = winner(x, c, i % c);
        if (!same((double)y[i % c], (double)x[best]) || dx[i] != (i == best ? dy[i % c] : 0))
            TEST_FAIL("%s, %zu channels: maximum %g, gradient %g at %zu, want %g at %zu",
                      kernels->name, c, (double)y[i % c], (double)dx[i], i, (double)x[best], best);
    }
    adl_free(dx);
    adl_free(dy);
    adl_free(y);
}

static void pooling_of(const struct adl_kernels *kernels)
{
    for (size_t i = 0; i < WIDTHS; i++)
        for (size_t place = 0; place < 9; place++)
            for (size_t v = 0; v < PLANTED; v++) {
                size_t c = widths[i];
                float *x = random_floats("x", 9 * c);
                x[place * c + c / 2] = planted[v];
                x[place * c + c - 1] = planted[v];
                compare_pooling(kernels, x, c);
                x[(place + 4) % 9 * c + c / 2] = NAN; /* a second one */
                compare_pooling(kernels, x, c);
                for (size_t j = 0; j < 9; j++)
                    x[j * c] = -INFINITY; /* nothing else in the window */
                compare_pooling(kernels, x, c);
                adl_free(x);
            }
}

static void pooling(void)
{
    for_each_isa(pooling_of);
}

/* --- backward: ReLU, batch norm ----------------------------------------------------------------
 */

/* torch.ops.aten.threshold_backward and hardtanh_backward: 0 where x <= lo or x >= hi. */
static double passed(double x, double lo, double hi, double dy)
{
    return x <= lo || (isfinite(hi) && x >= hi) ? 0 : dy;
}

static void check_relu_back(const struct adl_kernels *kernels, size_t c, size_t at, float value,
                            float hi, bool add)
{
    float *y = random_floats("y", c), *dy = random_floats("dy", c), *dx = random_floats("dx", c);
    float *was = random_floats("dx", c);
    y[at] = value;
    y[c - 1] = value;
    kernels->relu_back(y, hi, c, dy, dx, add);
    for (size_t i = 0; i < c; i++)
        CU_ASSERT(same((double)dx[i], (add ? (double)was[i] : 0) +
                                          passed((double)y[i], 0, (double)hi, (double)dy[i])));
    adl_free(was);
    adl_free(dx);
    adl_free(dy);
    adl_free(y);
}

/* scale 1, shift and mean 0: what is normalised is x itself. kx and k are 0, so that the
 * gradient is that of the clamp, plus 0 x, which is NaN where x is not finite; the sums of
 * dy show what has passed. */
static void check_norm_back(const struct adl_kernels *kernels, size_t c, size_t at, float value,
                            float lo, float hi)
{
    enum { PIXELS = 19 };
    float *x = random_floats("x", PIXELS * c), *dy = random_floats("dy", PIXELS * c);
    float *ones = adl_malloc(c, sizeof *ones), *zeros = adl_calloc(c, sizeof *zeros);
    float *dx = adl_calloc(PIXELS * c, sizeof *dx);
    double *sums = adl_calloc(2 * c, sizeof *sums), *want = adl_calloc(2 * c, sizeof *want);
    for (size_t i = 0; i < c; i++)
        ones[i] = 1;
    x[17 * c + at] = value;
    struct adl_norm norm = {.scale = ones, .shift = zeros, .mean = zeros, .lo = lo, .hi = hi};
    kernels->products(x, dy, &norm, PIXELS, c, sums, sums + c);
    kernels->affine2(x, dy, &norm, &(struct adl_norm_back){zeros, ones, zeros}, PIXELS, c, dx, 0);
    for (size_t i = 0; i < PIXELS * c; i++) {
        double g = passed((double)x[i], (double)lo, (double)hi, (double)dy[i]);
        if (isinf(lo))
            g = (double)dy[i];
        want[i % c] += g;
        want[c + i % c] += g * (double)x[i];
        CU_ASSERT(same((double)dx[i], g + 0 * (double)x[i]));
    }
    for (size_t i = 0; i < 2 * c; i++)
        CU_ASSERT(same(sums[i], want[i]));
    adl_free(want);
    adl_free(sums);
    adl_free(dx);
    adl_free(zeros);
    adl_free(ones);
    adl_free(dy);
    adl_free(x);
}

static void clamps_backward_of(const struct adl_kernels *kernels)
{
    for (size_t i = 0; i < WIDTHS; i++)
        for (size_t which = 0; which < PLACES; which++)
            for (size_t v = 0; v < PLANTED; v++) {
                size_t at = place_of(which, widths[i]);
                for (int add = 0; add < 2; add++) {
                    check_relu_back(kernels, widths[i], at, planted[v], INFINITY, add);
                    check_relu_back(kernels, widths[i], at, planted[v], 6, add);
                }
                check_norm_back(kernels, widths[i], at, planted[v], 0, INFINITY);
                check_norm_back(kernels, widths[i], at, planted[v], 0, 6);
                check_norm_back(kernels, widths[i], at, planted[v], -INFINITY, INFINITY);
            }
}

static void clamps_backward(void)
{
    for_each_isa(clamps_backward_of);
}

TEST_SUITE(nonfinite, {"convolutions keep NaN and infinities", convolutions},
           {"pointwise, mean and linear keep NaN and infinities", elements},
           {"NaN wins a maximum, and its last one takes the gradient", pooling},
           {"a clamp passes the gradient of NaN", clamps_backward});
TEST_SLOW(convolutions);
