#ifndef ADL_BASE_BF16_H
#define ADL_BASE_BF16_H

/* bfloat16, the upper half of a float32: 1 sign bit, 8 exponent bits and 7 mantissa bits. Every
 * bfloat16 is a float32, subnormal numbers, infinities and NaNs included. */

#include <stdint.h>
#include <string.h>

static inline float adl_bits_to_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float adl_bf16_to_float(uint16_t half)
{
    return adl_bits_to_float((uint32_t)half << 16);
}

/* Rounds to nearest, ties to even. Beyond the largest bfloat16, half a step further, it is
 * infinity; subnormal numbers are kept; a NaN stays one, with its sign, and becomes quiet. */
static inline uint16_t adl_bf16_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    /* Adding half a step less 1, and 1 if the upper half is odd, carries into it just when the
     * lower half is more than half a step, or half of one beside an odd number. */
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    uint32_t quiet = bits >> 16 | 0x40;
    return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}

#endif
