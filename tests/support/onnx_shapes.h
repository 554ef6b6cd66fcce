#ifndef ADL_TESTS_SUPPORT_ONNX_SHAPES_H
#define ADL_TESTS_SUPPORT_ONNX_SHAPES_H

/* Applies ONNX's rules for the shapes of values, as far as these networks need them. */

#include "support/onnx_file.h"

/* A value that a node may use. */
struct onnx_known {
    struct onnx_slice name;
    int64_t dims[4]; /* -1: N, the number of images */
    size_t rank;
    const struct onnx_tensor *tensor; /* of an initializer */
};

struct onnx_table {
    struct onnx_known *entries;
    size_t count;
};

/* Returns the value of this name; NULL if there is none. */
const struct onnx_known *onnx_find(const struct onnx_table *table, struct onnx_slice name);

bool onnx_same_dims(const struct onnx_known *a, const int64_t *dims, size_t rank);

/* Returns whether a value is an initializer with these bytes. */
bool onnx_is_constant(const struct onnx_known *in, const void *raw, size_t length);

/* Infers the shape of a node's output from its inputs; returns false if its operator, an attribute
 * or an input is wrong. The epsilon of a batch norm has to be the given one. */
bool onnx_infer(const struct onnx_node *node, const struct onnx_known *const *in, float epsilon,
                struct onnx_known *out);

#endif
