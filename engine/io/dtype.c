/* The table of element types, and their conversion to float32. */

#include "io/dtype.h"

#include <stdint.h>
#include <string.h>

#include "base/size.h"

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [ADL_F32] = {"F32", 4},   [ADL_F64] = {"F64", 8}, [ADL_F16] = {"F16", 2},
    [ADL_BF16] = {"BF16", 2}, [ADL_I64] = {"I64", 8}, [ADL_I32] = {"I32", 4},
    [ADL_I16] = {"I16", 2},   [ADL_I8] = {"I8", 1},   [ADL_U64] = {"U64", 8},
    [ADL_U32] = {"U32", 4},   [ADL_U16] = {"U16", 2}, [ADL_U8] = {"U8", 1},
    [ADL_BOOL] = {"BOOL", 1},
};

size_t adl_dtype_size(enum adl_dtype dtype)
{
    return dtypes[dtype].size;
}

const char *adl_dtype_name(enum adl_dtype dtype)
{
    return dtypes[dtype].name;
}

int adl_dtype_from_name(const char *name, enum adl_dtype *dtype)
{
    for (size_t i = 0; i < ADL_COUNT(dtypes); i++) {
        if (!strcmp(name, dtypes[i].name)) {
            *dtype = (enum adl_dtype)i;
            return 0;
        }
    }
    return -1;
}

/* --- conversion -------------------------------------------------------------- */

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Converts a number from IEEE 754 binary16, which has 1 sign bit, 5 exponent bits (bias 15)
 * and 10 mantissa bits. A float can represent every such number exactly: infinities and NaNs
 * keep their mantissa, normal numbers get the float's bias of 127, and subnormal numbers are
 * mantissa * 2^-24. */
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

/* A cast rounds to nearest even, the rounding mode in which a C program starts and which this
 * program never changes. */
#define CONVERT(type, expression)                                                                  \
    do {                                                                                           \
        const type *from = data;                                                                   \
        for (size_t i = 0; i < count; i++)                                                         \
            out[i] = (expression);                                                                 \
    } while (0)

void adl_dtype_to_f32(enum adl_dtype dtype, const void *data, size_t count, float *out)
{
    switch (dtype) {
    case ADL_F32:
        if (count)
            memcpy(out, data, count * sizeof *out);
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
