/* Defines the kernels of 8-bit inference for processors with AVX-VNNI: the instruction of
 * avx512_int8.c in vectors of 256 bits and with the registers of AVX2, which processors without
 * AVX-512 have.
 *
 * The tile of the matrix product is 6 rows x 16 columns: 12 accumulators, two vectors of b and one
 * group of a broadcast are 15 of the 16 registers. Depthwise convolutions are as for AVX2. */

#if defined(__x86_64__)

#define ISA(name) avx2_vnni_##name
#define MR 6
#define INT8_DOT(sum, a, b) _mm256_dpbusd_avx_epi32(sum, a, b)

#include "kernels/avx2_int8_loops.h"

/* Estimated: four times the multiply-adds of an FMA of the same width, as often a cycle, less what
 * avx512_int8.c is expected to lose. */
INT8_TABLE(adl_int8_avx2_vnni, 4, 3, 1.5);

#endif
