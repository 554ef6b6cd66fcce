/* Compiles the kernels of Winograd convolution for NEON. The product's tile of 6 rows x 16 columns
 * has 24 accumulators, as in neon.c. */

#if defined(__aarch64__)

#include "kernels/kernel.h"

#define MR 6
#define NR 16
/* The rows of b follow each other, which processors see by themselves; what is read after this
 * product they cannot know. */
#define PREFETCH(b, ahead) __builtin_prefetch(ahead, 0, 2)
#define FOLLOWS_B 1
#define EACH_ROW_COUNT(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#include "kernels/neon_vec.h"
#include "kernels/winograd_loops.h"
#include "kernels/winograd_product_loops.h"

const struct adl_winograd_kernels adl_winograd_neon = {ADL_WINOGRAD_LOOPS};

#endif
