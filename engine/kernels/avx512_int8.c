/* Defines the kernels of 8-bit inference for AVX-512 with VNNI, in vectors of 256 bits.
 *
 * VPDPBUSD multiplies groups of four unsigned and four signed bytes and adds the products to 32-bit
 * sums without saturation: 32 multiply-adds where an FMA of 256 bits does 8. Processors that split
 * vectors of 512 bits, as Zen 4, reach their peak so; others would gain from wider ones.
 *
 * The tile of the matrix product is 12 rows x 16 columns: 24 accumulators, two vectors of b and one
 * group of a broadcast are 27 of the 32 registers. Depthwise convolutions are as for AVX2. */

#define ISA(name) avx512_##name
#define MR 12
#define INT8_DOT(sum, a, b) _mm256_dpbusd_epi32(sum, a, b)

#include "kernels/avx2_int8_loops.h"

/* Depthwise convolutions have the speed of those of AVX2. */
INT8_TABLE(adl_int8_avx512_vnni, 4, 3.5, 0.75);
