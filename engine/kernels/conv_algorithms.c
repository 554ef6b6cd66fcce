/* Lists the rows of ADL_CONV_ALGORITHMS in an array, for code that goes through all of them.
 * The array is in a separate file because it depends on every algorithm, and every algorithm
 * depends on conv.h. */

#include "kernels/conv.h"

#define ADDRESS(name) &adl_conv_##name,
const struct adl_conv_algorithm *const adl_conv_algorithms[ADL_CONV_ALGORITHM_COUNT] = {
    ADL_CONV_ALGORITHMS(ADDRESS)};
