#ifndef ADL_KERNELS_DISPATCH_H
#define ADL_KERNELS_DISPATCH_H

#include "base/cpu.h"
#include "kernels/kernel.h"

/* The table of an instruction set that adl_isa_choose() returned. */
const struct adl_kernels *adl_kernels_for(enum adl_isa isa);

#endif
