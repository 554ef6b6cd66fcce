/* The parts of the cost model that several callers share (conv_cost.h). */

#include "kernels/conv_cost.h"

/* Transform of one value at one position of a tile, with the memory traffic that
 * it causes; about the same for the input and for the output. */
#define TRANSFORM 20

double adl_winograd_cost(const struct adl_winograd_pass *pass)
{
    return (pass->products + pass->weights) * pass->c * pass->k +
           pass->tiles * pass->positions * (pass->c + pass->k) * TRANSFORM;
}

double adl_cost_padded(int count, int multiple)
{
    return (double)((count + multiple - 1) / multiple * multiple);
}
