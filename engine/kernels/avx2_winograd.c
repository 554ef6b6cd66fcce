/* Compiles the kernels of Winograd convolution for AVX2 and FMA. The product's tile of 6 rows x 16
 * columns has 12 accumulators, as in avx2.c. */

#if defined(__x86_64__)

#include "kernels/kernel.h"

#define MR 6
#define NR 16
/* The prefetches along b reach the memory after b, so that without `next` they are enough. */
#define PREFETCH(b, ahead)                                                                         \
    (_mm_prefetch((const char *)((b) + 16 * NR), _MM_HINT_T0), _mm_prefetch(ahead, _MM_HINT_T1))
#define FOLLOWS_B 0
#define EACH_ROW_COUNT(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#include "kernels/avx2_vec.h"
#include "kernels/winograd_loops.h"
#include "kernels/winograd_product_loops.h"

const struct adl_winograd_kernels adl_winograd_avx2 = {ADL_WINOGRAD_LOOPS};

#endif
