/* Computes the parts of the cost model that several algorithms share (conv_cost.h). The rest is
 * in the files of the algorithms. */

#include "kernels/conv_cost.h"

/* Cost of transforming one element of one tile and channel, including the memory traffic;
 * about equal for the input and for the output. */
#define TRANSFORM 20

double adl_winograd_cost(const struct adl_winograd_pass *pass)
{
    return (pass->products + pass->weights) * pass->c * pass->k +
           pass->tiles * pass->positions * (pass->c + pass->k) * TRANSFORM;
}

double adl_cost_depthwise(const struct adl_conv *conv)
{
    return ADL_COST_DEPTHWISE * conv->p * conv->q * conv->k * conv->r * conv->s;
}

/* The columns with which copying takes as long as multiplying, about. The smaller the kernel's
 * depth the more, so the square: OpenBLAS reaches 3, 15, 45, 65 and 90 % of its speed with 4, 8,
 * 16, 24 and 32 columns. */
#define NARROW_COLUMNS 18

double adl_cost_narrow(const struct adl_conv *conv)
{
    double share = (double)NARROW_COLUMNS * conv->groups / conv->k;
    return conv->groups > 1 ? 1 + share * share : 1;
}

double adl_cost_padded(int count, int multiple)
{
    return (double)((count + multiple - 1) / multiple * multiple);
}
