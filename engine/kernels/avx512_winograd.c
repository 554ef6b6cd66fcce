/* Compiles the kernels of Winograd convolution for AVX-512. The product's tile of 14 rows x 32
 * columns has 28 accumulators, as in avx512.c. */

#if defined(__x86_64__)

#include "kernels/kernel.h"

#define MR 14
#define NR 32
/* A row of the panel is two lines. */
#define PREFETCH(b, ahead)                                                                         \
    (_mm_prefetch(ahead, _MM_HINT_T1), _mm_prefetch((ahead) + 64, _MM_HINT_T1))
#define FOLLOWS_B 1
#define EACH_ROW_COUNT(CASE)                                                                       \
    CASE(1)                                                                                        \
    CASE(2)                                                                                        \
    CASE(3)                                                                                        \
    CASE(4)                                                                                        \
    CASE(5)                                                                                        \
    CASE(6)                                                                                        \
    CASE(7)                                                                                        \
    CASE(8)                                                                                        \
    CASE(9)                                                                                        \
    CASE(10)                                                                                       \
    CASE(11)                                                                                       \
    CASE(12)                                                                                       \
    CASE(13)                                                                                       \
    CASE(14)
#include "kernels/avx512_vec.h"
#include "kernels/winograd_loops.h"
#include "kernels/winograd_product_loops.h"

const struct adl_winograd_kernels adl_winograd_avx512 = {ADL_WINOGRAD_LOOPS};

#endif
