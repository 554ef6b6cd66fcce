/* Compiles the additions of Strassen's algorithm for NEON. */

#if defined(__aarch64__)

#include "kernels/neon_vec.h"

#include "kernels/kernel.h"
#include "kernels/strassen_loops.h"

const struct adl_strassen_kernels adl_strassen_neon = {
    .split = ISA(strassen_split),
    .join = ISA(strassen_join),
};

#endif
