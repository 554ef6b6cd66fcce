/* ops/: a region of zeros, as a drop mask leaves it, before a convolution with a bias of 0
 * and a ReLU. There the ReLU is closed, as the definition has it; were it opened by rounding
 * errors, the gradient of the bias would be off by up to a half. On every instruction set that
 * this machine has, against the plain-C forward. */

#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/str.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "support/oracle.h"
#include "support/train_step.h"

#define X TRAIN_STEP_INPUT
enum { BATCH = 2 };

/* The tiles of the whole batch together, those of one image, rows of the whole batch. */
static const struct zero_case {
    int side, c, k, r;
} cases[] = {{28, 64, 64, 3}, {96, 16, 24, 3}, {28, 48, 48, 5}, {20, 256, 256, 1}};

/* Two thirds of each side become zero. */
static float *input_of(const struct zero_case *t)
{
    size_t count = (size_t)(BATCH * t->side * t->side * t->c);
    float *x = adl_malloc(count, sizeof *x);
    formula_param("zero regions", 0.5, 2, count, x);
    for (size_t i = 0; i < count; i++) {
        size_t pixel = i / (size_t)t->c, side = (size_t)t->side;
        size_t row = pixel / side % side, column = pixel % side;
        if (row > side / 6 && row < side * 5 / 6 && column > side / 6 && column < side * 5 / 6)
            x[i] = 0;
    }
    return x;
}

/* Sums of dy where the plain forward is above 0, and what rounding could add to each. */
static void expect(const struct train_step *step, const float *x, const float *dy, size_t k,
                   double *sums, double *doubtful)
{
    float **values = oracle_run(step->graph, step->params, x, BATCH);
    const float *y = values[X + 1];
    for (size_t i = 0; i < train_step_count(step, X + 1); i++) {
        if (y[i] > 0)
            sums[i % k] += (double)dy[i];
        if (y[i] != 0 && fabsf(y[i]) < 1e-4f)
            doubtful[i % k] += (double)fabsf(dy[i]);
    }
    oracle_free(step->graph, values);
}

static void check(const struct zero_case *t, enum adl_isa isa)
{
    struct adl_train_mode mode = {.bn_momentum = 0.1};
    struct adl_conv_attr attr = {.k = t->k,
                                 .r = t->r,
                                 .s = t->r,
                                 .stride = 1,
                                 .pad_top = t->r / 2,
                                 .pad_left = t->r / 2,
                                 .pad_bottom = t->r / 2,
                                 .pad_right = t->r / 2,
                                 .groups = 1,
                                 .bias = true};
    struct adl_graph *g = train_step_begin(t->side, t->side, t->c);
    struct train_step step;
    size_t k = (size_t)t->k, wrong = 0;
    if (!g ||
        train_step_open(&step, g, adl_relu(g, adl_conv(g, X, "conv", attr), "relu"), BATCH, 2) < 0)
        return;
    size_t outputs = train_step_count(&step, train_step_output(&step));
    float *x = input_of(t), *dy = adl_malloc(outputs, sizeof *dy);
    double *sums = adl_calloc(2 * k, sizeof *sums), *doubtful = sums + k;
    memset(step.params[1], 0, k * sizeof(float));
    formula_param("cotangent", 1, 0.5, outputs, dy);
    expect(&step, x, dy, k, sums, doubtful);
    train_step_run(&step, x, dy, &mode);
    for (size_t i = 0; i < k; i++)
        wrong += fabs((double)step.grads[1][i] - sums[i]) > doubtful[i] + 1e-4 * (1 + sums[i]);
    if (wrong)
        TEST_FAIL("%dx%d on %s: %zu of %zu bias gradients are wrong; the first is %g, want %g",
                  t->r, t->r, adl_isa_name(isa), wrong, k, (double)step.grads[1][0], sums[0]);
    adl_free(sums);
    adl_free(dy);
    adl_free(x);
    train_step_close(&step);
}

static void relu_stays_closed(void)
{
    const char *forced = getenv("ADL_CPU");
    char *kept = forced ? adl_strdup(forced) : NULL;
    for (enum adl_isa isa = ADL_ISA_GENERIC; isa <= ADL_ISA_AVX512; isa++) {
        if (!adl_isa_available(isa))
            continue;
        setenv("ADL_CPU", adl_isa_name(isa), 1);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            check(&cases[i], isa);
    }
    if (kept)
        setenv("ADL_CPU", kept, 1);
    else
        unsetenv("ADL_CPU");
    adl_free(kept);
}

TEST_SUITE(zero_regions, {"a ReLU over zeros passes no gradient", relu_stays_closed});
