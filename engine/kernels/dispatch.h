#ifndef ADL_KERNELS_DISPATCH_H
#define ADL_KERNELS_DISPATCH_H

/* From an instruction set to its table of kernels. */

#include "base/cpu.h"
#include "kernels/kernel.h"

/* The kernels for an instruction set that adl_isa_choose() returned. The tables are
 * static and immutable. */
const struct adl_kernels *adl_kernels_for(enum adl_isa isa);

#endif
