#ifndef ADL_IO_DTYPE_H
#define ADL_IO_DTYPE_H

/* The types that tensor elements have in files: their names, their sizes and their
 * conversion to float32, the one type that networks here compute in. */

#include <stddef.h>

enum adl_dtype {
    ADL_F32,
    ADL_F64,
    ADL_F16,  /* IEEE 754 binary16 */
    ADL_BF16, /* the upper half of a float32 */
    ADL_I64,
    ADL_I32,
    ADL_I16,
    ADL_I8,
    ADL_U64,
    ADL_U32,
    ADL_U16,
    ADL_U8,
    ADL_BOOL /* one byte; 0 is false */
};

/* Returns the bytes of one element. */
size_t adl_dtype_size(enum adl_dtype dtype);
/* Convert between a type and its name in safetensors, such as "F32". adl_dtype_from_name
 * returns -1 if the name is unknown. */
const char *adl_dtype_name(enum adl_dtype dtype);
int adl_dtype_from_name(const char *name, enum adl_dtype *dtype);

/* Converts `count` elements to float32, rounded to nearest even if the type is wider. `data`
 * is little-endian and aligned to its elements; `out` has room for `count`. */
void adl_dtype_to_f32(enum adl_dtype dtype, const void *data, size_t count, float *out);

#endif
