/* What a convolution takes by each algorithm, from its shape alone: the choice
 * must not depend on how busy a machine was when the plan was made. `bench
 * --layers` shows the choice beside the next best, with the time of each.
 *
 * The unit is one multiply-add of the matrix product at full speed, which is
 * about the same work for every instruction set: where it is faster, so are
 * the transforms. The constants were fitted on an AMD Zen 4. */

#include <math.h>

#include "base/size.h"
#include "kernels/conv_cost.h"
#include "kernels/winograd.h"
#include "plan/ir.h"

/* Multiply-adds in the time in which one weight comes from memory. */
#define WEIGHT_LOAD 11
/* Share of the full speed that products reach. */
#define PRODUCT_SHARE 0.95
/* Through OpenBLAS: rows are copied, the epilogue is a pass of its own. */
#define BLAS_SHARE 0.85
/* Of the product's time, where copying its rows takes as long as itself. */
#define LINES_SHARE 0.6
/* For each position of a weight, where it is transformed as it is used. */
#define TRANSFORM_WEIGHT 7.7
/* Then the transformed input is read for each panel of output channels: for each value. */
#define PANEL_INPUT 1.65
/* Strassen's algorithm by levels: its share of the products; its additions, for
 * each value of the output and of the input; a handicap for larger weights and
 * errors. */
static const struct {
    double products, output, input, handicap;
} strassen_costs[] = {{7.0 / 8, 12, 6, 1.03}, {49.0 / 64, 28, 18, 1.07}};
/* Tiles of 8 points a side have larger errors: they have to be worth it. */
#define HANDICAP8 1.1

static double rounded_up(int value, int to)
{
    return (double)((value + to - 1) / to * to);
}

static double gemm_cost(const struct adl_conv *v, const struct adl_kernels *kernels)
{
    double rows = (double)v->p * v->q;
    double depth = (double)(v->c / v->groups) * v->r * v->s;
    /* Of a panel's two vectors the last may need one. */
    double columns = rounded_up(v->k / v->groups, kernels->nr / 2) * v->groups;
    return fmax(rows, WEIGHT_LOAD) * depth * columns / PRODUCT_SHARE;
}

static double blas_cost(const struct adl_conv *v)
{
    double depth = (double)(v->c / v->groups) * v->r * v->s;
    return fmax((double)v->p * v->q, WEIGHT_LOAD) * depth * v->k / BLAS_SHARE;
}

static double winograd_cost(const struct adl_conv *v, const struct adl_kernels *kernels, int points,
                            bool compact)
{
    struct adl_winograd_work work = adl_winograd_work(v, kernels, points);
    double positions = (double)work.positions, taps = v->r * v->s;
    struct adl_winograd_pass pass = {
        .c = v->c,
        .k = rounded_up(v->k, kernels->winograd->nr),
        .tiles = (double)work.tiles,
        .positions = positions,
        /* Loading overlaps with the product. */
        .products =
            fmax((double)work.products / PRODUCT_SHARE, WEIGHT_LOAD * (compact ? taps : positions)),
    };
    if (compact)
        pass.weights = (double)work.blocks * positions * TRANSFORM_WEIGHT +
                       (double)work.tiles * positions / kernels->winograd->nr * PANEL_INPUT;
    return adl_winograd_cost(&pass);
}

static double strassen_cost(const struct adl_conv *v, const struct adl_kernels *kernels, int levels)
{
    int parts = 1 << levels;
    double rows = (double)v->p * v->q, columns = rounded_up(v->k, parts * kernels->nr);
    double products = fmax(rows, parts * WEIGHT_LOAD) * v->c * columns / PRODUCT_SHARE;
    return strassen_costs[levels - 1].handicap *
           (products * strassen_costs[levels - 1].products +
            rows * columns * strassen_costs[levels - 1].output +
            rows * v->c * strassen_costs[levels - 1].input);
}

static double cost(const struct adl_conv_algorithm *algorithm, const struct adl_conv *v,
                   const struct adl_kernels *kernels)
{
    if (algorithm == &adl_conv_depthwise)
        return 0; /* nothing else is made for it */
    if (algorithm == &adl_conv_gemm)
        return gemm_cost(v, kernels);
    if (algorithm == &adl_conv_winograd6)
        return winograd_cost(v, kernels, 6, false);
    if (algorithm == &adl_conv_winograd6c)
        return winograd_cost(v, kernels, 6, true);
    if (algorithm == &adl_conv_winograd8c)
        return HANDICAP8 * winograd_cost(v, kernels, 8, true);
    if (algorithm == &adl_conv_winograd8)
        return HANDICAP8 * winograd_cost(v, kernels, 8, false);
    if (algorithm == &adl_conv_lines)
        return LINES_SHARE * gemm_cost(v, kernels);
    if (algorithm == &adl_conv_strassen)
        return strassen_cost(v, kernels, 1);
    if (algorithm == &adl_conv_strassen2)
        return strassen_cost(v, kernels, 2);
    return blas_cost(v);
}

static const struct adl_conv_algorithm *const all[] = {
    &adl_conv_depthwise,  &adl_conv_gemm,       &adl_conv_winograd6, &adl_conv_winograd8,
    &adl_conv_winograd6c, &adl_conv_winograd8c, &adl_conv_strassen,  &adl_conv_strassen2,
    &adl_conv_lines,      &adl_conv_blas,
};
enum { COUNT = sizeof all / sizeof *all };

static bool usable(const struct adl_conv_algorithm *algorithm, const struct adl_conv *v,
                   const struct adl_kernels *kernels)
{
    return algorithm->precision <= v->precision && algorithm->supports(v, kernels);
}

const struct adl_conv_algorithm *plan_conv_choice(const struct adl_conv *v,
                                                  const struct adl_kernels *kernels, int rank)
{
    const struct adl_conv_algorithm *sorted[COUNT];
    double costs[COUNT];
    int count = 0;

    for (int i = 0; i < COUNT; i++) {
        if (!usable(all[i], v, kernels))
            continue;
        double value = cost(all[i], v, kernels);
        int at = count++;
        for (; at > 0 && costs[at - 1] > value; at--) {
            costs[at] = costs[at - 1];
            sorted[at] = sorted[at - 1];
        }
        costs[at] = value;
        sorted[at] = all[i];
    }
    return sorted[ADL_MIN(rank, count - 1)];
}

const struct adl_conv_algorithm *plan_conv_smaller(const struct adl_conv *v,
                                                   const struct adl_kernels *kernels,
                                                   const struct adl_conv_algorithm *current,
                                                   double *price)
{
    size_t floats = current->packed_floats(v, kernels);
    double now = cost(current, v, kernels);
    const struct adl_conv_algorithm *best = NULL;

    for (int i = 0; i < COUNT; i++) {
        if (!usable(all[i], v, kernels) || all[i]->packed_floats(v, kernels) >= floats)
            continue;
        double saved = (double)(floats - all[i]->packed_floats(v, kernels));
        double asked = (cost(all[i], v, kernels) - now) / saved;
        if (!best || asked < *price) {
            best = all[i];
            *price = asked;
        }
    }
    return best;
}
