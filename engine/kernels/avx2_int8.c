/* Defines the kernels of 8-bit inference for AVX2.
 *
 * VPMADDUBSW, which multiplies bytes, saturates: two products of 255 and 127 do not fit 16 bits.
 * Weights of seven bits would avoid it at half their precision. Here bytes are widened to 16 bits
 * instead, and VPMADDWD multiplies pairs of them and adds the two products in 32 bits, which is
 * exact for any bytes. It does 16 multiply-adds where an FMA does 8.
 *
 * The tile of the matrix product is 6 rows x 16 columns: 12 accumulators, two vectors of b, one
 * pair of a broadcast, and one product are all 16 registers. */

#if defined(__x86_64__)

#define ISA(name) avx2_##name
#define MR 6
#define INT8_DOT(sum, a, b) _mm256_add_epi32(sum, _mm256_madd_epi16(a, b))

#include "kernels/avx2_int8_loops.h"

/* 1x1 convolutions are 1.5 to 2 times as fast, but so are Winograd's of 7 taps, beyond their
 * estimate: with 1.35 these stay in float32. */
INT8_TABLE(adl_int8_avx2, 2, 1.35, 1.5);

/* The same for a processor with AVX-512 and without VNNI, whose float kernels multiply twice as
 * much at a time: these are not faster than they are. */
INT8_TABLE(adl_int8_avx512, 2, 0.7, 0.75);

#endif
