/* The choice of an algorithm for a convolution, by the times that the algorithms
 * themselves estimate from its shape (conv_cost.h). It is the same on every run and every
 * machine with the same instruction set. `bench --layers` shows the choice beside the
 * next best one, with the measured time of each. */

#include "base/size.h"
#include "plan/ir.h"

static bool choice_usable(const struct adl_conv_algorithm *algorithm, const struct adl_conv *conv,
                          const struct adl_kernels *kernels)
{
    return algorithm->precision <= conv->precision && algorithm->supports(algorithm, conv, kernels);
}

const struct adl_conv_algorithm *plan_conv_choice(const struct adl_conv *conv,
                                                  const struct adl_kernels *kernels, int rank)
{
    const struct adl_conv_algorithm *sorted[ADL_CONV_ALGORITHM_COUNT];
    double costs[ADL_CONV_ALGORITHM_COUNT];
    int count = 0;

    for (int i = 0; i < ADL_CONV_ALGORITHM_COUNT; i++) {
        const struct adl_conv_algorithm *one = adl_conv_algorithms[i];
        if (!choice_usable(one, conv, kernels))
            continue;
        double value = one->cost(one, conv, kernels);
        int at = count++;
        for (; at > 0 && costs[at - 1] > value; at--) {
            costs[at] = costs[at - 1];
            sorted[at] = sorted[at - 1];
        }
        costs[at] = value;
        sorted[at] = one;
    }
    return sorted[ADL_MIN(rank, count - 1)];
}

const struct adl_conv_algorithm *plan_conv_smaller(const struct adl_conv *conv,
                                                   const struct adl_kernels *kernels,
                                                   const struct adl_conv_algorithm *current,
                                                   double *price)
{
    size_t floats = current->packed_floats(current, conv, kernels);
    double now = current->cost(current, conv, kernels);
    const struct adl_conv_algorithm *best = NULL;

    for (int i = 0; i < ADL_CONV_ALGORITHM_COUNT; i++) {
        const struct adl_conv_algorithm *one = adl_conv_algorithms[i];
        if (!choice_usable(one, conv, kernels) || one->packed_floats(one, conv, kernels) >= floats)
            continue;
        double saved = (double)(floats - one->packed_floats(one, conv, kernels));
        double cost_per_float = (one->cost(one, conv, kernels) - now) / saved;
        if (!best || cost_per_float < *price) {
            best = one;
            *price = cost_per_float;
        }
    }
    return best;
}
