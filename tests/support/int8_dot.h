#ifndef ADL_TESTS_SUPPORT_INT8_DOT_H
#define ADL_TESTS_SUPPORT_INT8_DOT_H

/* VPDPBUSD in vectors of 256 bits by its definition (Intel 64 and IA-32 Architectures Software
 * Developer's Manual, volume 2): to each 32-bit number of `sum`, the four products of an unsigned
 * byte of `a` and the signed byte of `b` at its place are added, without saturation. */

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

static inline __m256i int8_dot_defined(__m256i sum, __m256i a, __m256i b)
{
    int32_t sums[8];
    uint8_t left[32];
    int8_t right[32];

    memcpy(sums, &sum, sizeof sums);
    memcpy(left, &a, sizeof left);
    memcpy(right, &b, sizeof right);
    for (int i = 0; i < 32; i++)
        sums[i / 4] += left[i] * right[i];
    memcpy(&sum, sums, sizeof sums);
    return sum;
}

#endif
