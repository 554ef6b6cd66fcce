/* kernels/curve_loops.h: activations by vectors, against the C library in double. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/kernel.h"
#include "support/isas.h"

#define A 0.3f
#define B 0.4f

static double curves_logistic(double x)
{
    return 1 / (1 + exp(-x));
}

static double curves_define(enum adl_curve curve, double x)
{
    switch (curve) {
    case ADL_CURVE_HARD_SIGMOID: return fmin(fmax((double)A * x + (double)B, 0), 1);
    case ADL_CURVE_HARD_SWISH: return x * fmin(fmax(x / 6 + 0.5, 0), 1);
    case ADL_CURVE_SIGMOID: return curves_logistic(x);
    case ADL_CURVE_SILU: return x * curves_logistic(x);
    case ADL_CURVE_GELU: return x * erfc(-x / sqrt(2)) / 2;
    case ADL_CURVE_GELU_TANH:
        return x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x))) / 2;
    default: return x;
    }
}

#define COUNT 4001 /* whole vectors, and a rest */

/* Values around 0, to where the functions end, and far beyond. */
static float curves_value(int i, int range)
{
    static const double sides[] = {0.01, 4, 12, 100, 3e38};
    return (float)(sides[range] * (2.0 * i / (COUNT - 1) - 1));
}

static void curves_check(const struct adl_kernels *kernels, enum adl_curve curve, int range)
{
    static float x[COUNT], y[COUNT];
    double worst = 0;
    int at = 0;

    for (int i = 0; i < COUNT; i++)
        x[i] = curves_value(i, range);
    kernels->curve(curve, A, B, x, y, COUNT);
    for (int i = 0; i < COUNT; i++) {
        double error =
            fabs((double)y[i] - curves_define(curve, (double)x[i])) / fmax(fabs((double)x[i]), 1);
        if (!(error <= worst)) {
            worst = error;
            at = i;
        }
    }
    if (!(worst <= 4e-7))
        TEST_FAIL("%s, curve %d: at %g the value is %.9g, not %.9g", kernels->name, (int)curve,
                  (double)x[at], (double)y[at], curves_define(curve, (double)x[at]));
}

static void curves_check_all(const struct adl_kernels *kernels)
{
    for (int curve = ADL_CURVE_NONE; kernels->curve && curve <= ADL_CURVE_GELU_TANH; curve++)
        for (int range = 0; range < 5; range++)
            curves_check(kernels, (enum adl_curve)curve, range);
}

static void curves_equal_their_definitions(void)
{
    for_each_isa(curves_check_all);
}

/* As PyTorch's: a NaN stays one, and so does what infinity times 0 gives. */
static void curves_check_ends(const struct adl_kernels *kernels)
{
    const float x[] = {NAN, INFINITY, -INFINITY};
    float y[3];

    for (int curve = ADL_CURVE_HARD_SWISH; kernels->curve && curve <= ADL_CURVE_GELU; curve++) {
        kernels->curve((enum adl_curve)curve, A, B, x, y, 3);
        CU_ASSERT(isnan(y[0]));
        if (curve == ADL_CURVE_SIGMOID) {
            CU_ASSERT(y[1] == 1 && y[2] == 0);
        } else {
            CU_ASSERT(isinf(y[1]) && isnan(y[2]));
        }
    }
}

static void ends_are_those_of_the_ops(void)
{
    for_each_isa(curves_check_ends);
}

/* The last vector is a partial one; a value does not depend on where it is. */
static void curves_check_places(const struct adl_kernels *kernels)
{
    float x[70], y[70], one;

    for (int i = 0; i < 70; i++)
        x[i] = (float)(0.3 * i - 9);
    for (int curve = ADL_CURVE_NONE; kernels->curve && curve <= ADL_CURVE_GELU_TANH; curve++) {
        kernels->curve((enum adl_curve)curve, A, B, x, y, 70);
        for (int i = 0; i < 70; i++) {
            kernels->curve((enum adl_curve)curve, A, B, x + i, &one, 1);
            CU_ASSERT(memcmp(&one, y + i, sizeof one) == 0);
        }
    }
}

static void places_do_not_matter(void)
{
    for_each_isa(curves_check_places);
}

TEST_SUITE(curves, {"curves equal their definitions", curves_equal_their_definitions},
           {"ends are those of the ops", ends_are_those_of_the_ops},
           {"places do not matter", places_do_not_matter});
