/* Compiles the additions of Strassen's algorithm for AVX-512. */

#if defined(__x86_64__)

#include "kernels/avx512_vec.h"
#include "kernels/kernel.h"
#include "kernels/strassen_loops.h"

const struct adl_strassen_kernels adl_strassen_avx512 = {
    .split = ISA(strassen_split),
    .join = ISA(strassen_join),
};

#endif
