#ifndef ADL_MODELS_ONNX_IN_ONNX_TENSOR_H
#define ADL_MODELS_ONNX_IN_ONNX_TENSOR_H

/* Tensors of an ONNX file. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "models/onnx_in/onnx_files.h"
#include "models/onnx_in/onnx_wire.h"

enum adl_onnx_type {
    ADL_ONNX_TYPE_FLOAT = 1,
    ADL_ONNX_TYPE_UINT8 = 2,
    ADL_ONNX_TYPE_INT8 = 3,
    ADL_ONNX_TYPE_INT32 = 6,
    ADL_ONNX_TYPE_INT64 = 7,
    ADL_ONNX_TYPE_BOOL = 9,
    ADL_ONNX_TYPE_HALF = 10,
    ADL_ONNX_TYPE_DOUBLE = 11,
    ADL_ONNX_TYPE_BF16 = 16
};

/* A tensor of known element type, with as many elements as its shape has. */
struct adl_onnx_tensor {
    const char *name; /* "" in attributes */
    int type;         /* of enum adl_onnx_type, else of no use */
    int rank;
    int64_t dims[ADL_LIMIT_RANK];
    size_t count;
    const unsigned char *raw; /* little-endian, without alignment; NULL: see `ints` */
    const int64_t *ints; /* elements (of HALF and BF16: their bits) that were stored as varints */
};

/* Reads a TensorProto. Fails as adl_onnx_proto_read() does. */
int adl_onnx_tensor_read(struct adl_arena *arena, struct adl_onnx_files *files,
                         const struct adl_protobuf_field *message, struct adl_onnx_tensor *tensor,
                         struct adl_error *err) ADL_MUST_CHECK;

/* Return element i of a tensor as a number; of types that are not listed above, 0. */
double adl_onnx_tensor_number(const struct adl_onnx_tensor *tensor, size_t i);
int64_t adl_onnx_tensor_int(const struct adl_onnx_tensor *tensor, size_t i);
/* Return whether the elements are numbers of float32, float16, bfloat16 or float64; or integers. */
bool adl_onnx_tensor_is_real(const struct adl_onnx_tensor *tensor);
bool adl_onnx_tensor_is_int(const struct adl_onnx_tensor *tensor);

#endif
