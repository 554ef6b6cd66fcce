/* Compiles the additions of Strassen's algorithm for AVX2 and FMA. */

#if defined(__x86_64__)

#include "kernels/avx2_vec.h"
#include "kernels/kernel.h"
#include "kernels/strassen_loops.h"

const struct adl_strassen_kernels adl_strassen_avx2 = {
    .split = ISA(strassen_split),
    .join = ISA(strassen_join),
};

#endif
