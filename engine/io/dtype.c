/* Tensor elements as float32. */

#include <stdint.h>
#include <string.h>

#include "io/tensor.h"

size_t adl_tensor_bytes(const struct adl_tensor *tensor)
{
    return tensor->count * adl_dtype_size(tensor->dtype);
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 mantissa bits. Every half
 * is a float exactly. */
static float from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = (half >> 10) & 31;
    uint32_t mantissa = half & 0x3ff;

    if (exponent == 31)
        return from_bits(sign | 0x7f800000 | mantissa << 13);
    if (exponent)
        return from_bits(sign | (exponent + 127 - 15) << 23 | mantissa << 13);
    float tiny = (float)mantissa * 0x1p-24f;
    return sign ? -tiny : tiny;
}

/* A cast rounds to nearest even: the mode nobody in this program changes. */
#define CONVERT(type, expression)                                                                  \
    do {                                                                                           \
        const type *from = tensor->data;                                                           \
        for (size_t i = 0; i < tensor->count; i++)                                                 \
            out[i] = (expression);                                                                 \
    } while (0)

void adl_tensor_to_f32(const struct adl_tensor *tensor, float *out)
{
    switch (tensor->dtype) {
    case ADL_F32:
        if (tensor->count)
            memcpy(out, tensor->data, tensor->count * sizeof *out);
        break;
    case ADL_F64: CONVERT(double, (float)from[i]); break;
    case ADL_F16: CONVERT(uint16_t, from_half(from[i])); break;
    case ADL_BF16: CONVERT(uint16_t, from_bits((uint32_t)from[i] << 16)); break;
    case ADL_I64: CONVERT(int64_t, (float)from[i]); break;
    case ADL_I32: CONVERT(int32_t, (float)from[i]); break;
    case ADL_I16: CONVERT(int16_t, (float)from[i]); break;
    case ADL_I8: CONVERT(int8_t, (float)from[i]); break;
    case ADL_U64: CONVERT(uint64_t, (float)from[i]); break;
    case ADL_U32: CONVERT(uint32_t, (float)from[i]); break;
    case ADL_U16: CONVERT(uint16_t, (float)from[i]); break;
    case ADL_U8: CONVERT(uint8_t, (float)from[i]); break;
    case ADL_BOOL: CONVERT(uint8_t, from[i] ? 1.0f : 0.0f); break;
    }
}
