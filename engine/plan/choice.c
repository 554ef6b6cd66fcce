/* Chooses the algorithm for a convolution by the times that the algorithms themselves
 * estimate from its shape (conv_cost.h). The choice is the same in every run and on every
 * machine with the same instruction set. `bench --layers` shows it next to the second choice,
 * with the measured time of each. */

#include "base/size.h"
#include "plan/ir.h"

static bool choice_usable(const struct adl_conv_algorithm *algorithm, const struct adl_conv *conv,
                          const struct adl_kernels *kernels)
{
    bool allowed =
        algorithm->precision == ADL_PRECISION_F32 || algorithm->precision == conv->precision;
    return allowed && algorithm->supports(algorithm, conv, kernels);
}

const struct adl_conv_algorithm *plan_conv_choice(const struct adl_conv *conv,
                                                  const struct adl_kernels *kernels, int rank)
{
    const struct adl_conv_algorithm *sorted[ADL_CONV_ALGORITHM_COUNT];
    double costs[ADL_CONV_ALGORITHM_COUNT];
    int count = 0;

    for (int i = 0; i < ADL_CONV_ALGORITHM_COUNT; i++) {
        const struct adl_conv_algorithm *candidate = adl_conv_algorithms[i];
        if (!choice_usable(candidate, conv, kernels))
            continue;
        double cost = candidate->cost(candidate, conv, kernels);
        int position = count++;
        for (; position > 0 && costs[position - 1] > cost; position--) {
            costs[position] = costs[position - 1];
            sorted[position] = sorted[position - 1];
        }
        costs[position] = cost;
        sorted[position] = candidate;
    }
    return sorted[ADL_MIN(rank, count - 1)];
}

const struct adl_conv_algorithm *plan_conv_smaller(const struct adl_conv *conv,
                                                   const struct adl_kernels *kernels,
                                                   const struct adl_conv_algorithm *current,
                                                   double *price)
{
    size_t floats = current->packed_floats(current, conv, kernels);
    double current_cost = current->cost(current, conv, kernels);
    const struct adl_conv_algorithm *best = NULL;

    for (int i = 0; i < ADL_CONV_ALGORITHM_COUNT; i++) {
        const struct adl_conv_algorithm *candidate = adl_conv_algorithms[i];
        if (!choice_usable(candidate, conv, kernels) ||
            candidate->packed_floats(candidate, conv, kernels) >= floats)
            continue;
        double saved = (double)(floats - candidate->packed_floats(candidate, conv, kernels));
        double cost_per_float = (candidate->cost(candidate, conv, kernels) - current_cost) / saved;
        if (!best || cost_per_float < *price) {
            best = candidate;
            *price = cost_per_float;
        }
    }
    return best;
}
