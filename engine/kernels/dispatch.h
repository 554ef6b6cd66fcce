#ifndef ADL_KERNELS_DISPATCH_H
#define ADL_KERNELS_DISPATCH_H

/* Finds the table of kernels for an instruction set. */

#include "base/cpu.h"
#include "kernels/kernel.h"

/* Returns the kernels for an instruction set that adl_isa_choose() returned. The tables are
 * static and immutable. */
const struct adl_kernels *adl_kernels_for(enum adl_isa isa);

#endif
