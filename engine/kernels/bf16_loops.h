#ifndef ADL_KERNELS_BF16_LOOPS_H
#define ADL_KERNELS_BF16_LOOPS_H

/* The conversions of bf16.h, in plain C that the compiler turns into vectors. Each instruction
 * set's .c file includes this header after it has defined ISA. They are integer arithmetic and
 * single products, so all copies give the same bits. */

#include "base/bf16.h"
#include "kernels/bf16.h"

static void ISA(bf16_round)(const float *x, size_t rows, size_t columns, uint32_t *pairs)
{
    size_t half = columns / 2;

    for (size_t i = 0; i < rows; i++, x += columns, pairs += half)
        for (size_t j = 0; j < half; j++)
            pairs[j] = adl_bf16_from_float(x[j]) | (uint32_t)adl_bf16_from_float(x[half + j]) << 16;
}

static void ISA(bf16_widen)(const uint32_t *restrict pairs, const float *restrict scale,
                            size_t rows, size_t columns, float *restrict out)
{
    size_t half = columns / 2;

    for (size_t i = 0; i < rows; i++, pairs += half, out += columns)
        for (size_t j = 0; j < half; j++) {
            out[j] = adl_bits_to_float(pairs[j] << 16) * scale[j];
            out[half + j] = adl_bits_to_float(pairs[j] & 0xffff0000) * scale[half + j];
        }
}

static void ISA(bf16_round_map)(const float *restrict x, size_t count, uint16_t *restrict out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = adl_bf16_from_float(x[i]);
}

static void ISA(bf16_widen_map)(const uint16_t *restrict x, size_t count, float *restrict out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = adl_bf16_to_float(x[i]);
}

static void ISA(bf16_round_pairs)(const float *restrict first, const float *restrict second,
                                  size_t count, uint32_t *restrict pairs)
{
    if (!second)
        for (size_t i = 0; i < count; i++)
            pairs[i] = adl_bf16_from_float(first[i]);
    else
        for (size_t i = 0; i < count; i++)
            pairs[i] = adl_bf16_from_float(first[i]) | (uint32_t)adl_bf16_from_float(second[i])
                                                           << 16;
}

#define ADL_BF16_LOOPS                                                                             \
    .round = ISA(bf16_round), .widen = ISA(bf16_widen), .round_map = ISA(bf16_round_map),          \
    .widen_map = ISA(bf16_widen_map), .round_pairs = ISA(bf16_round_pairs)

#endif
