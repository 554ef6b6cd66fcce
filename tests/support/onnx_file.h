#ifndef ADL_TESTS_SUPPORT_ONNX_FILE_H
#define ADL_TESTS_SUPPORT_ONNX_FILE_H

/* Reads an ONNX file for tests, by code that has nothing in common with the program's writer. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the file. */
struct onnx_slice {
    const unsigned char *data;
    size_t length;
};

bool onnx_slice_is(struct onnx_slice slice, const char *text);
bool onnx_slice_same(struct onnx_slice a, struct onnx_slice b);

#define ONNX_MAX_LIST 8

struct onnx_attribute {
    struct onnx_slice name;
    int64_t type, i;
    float f;
    int64_t ints[ONNX_MAX_LIST];
    size_t int_count;
};

struct onnx_node {
    struct onnx_slice name, op;
    struct onnx_slice inputs[ONNX_MAX_LIST], outputs[ONNX_MAX_LIST];
    size_t input_count, output_count;
    struct onnx_attribute attributes[ONNX_MAX_LIST];
    size_t attribute_count;
};

struct onnx_tensor {
    struct onnx_slice name, raw;
    int64_t data_type, dims[ONNX_MAX_LIST];
    size_t rank;
};

/* An input or output of the graph; a named dimension is -1. */
struct onnx_info {
    struct onnx_slice name, dim_name;
    int64_t element, dims[ONNX_MAX_LIST];
    size_t rank;
};

struct onnx_file {
    int64_t ir_version, opset;
    struct onnx_slice producer, producer_version, graph_name, key, value; /* of the metadata */
    struct onnx_node *nodes;
    struct onnx_tensor *tensors;
    struct onnx_info inputs[ONNX_MAX_LIST], outputs[ONNX_MAX_LIST];
    size_t node_count, tensor_count, input_count, output_count;
};

/* Reads a file. Fails the running test and returns false if the file breaks a rule of ONNX or
 * contains a field that these structs do not have. The bytes have to outlive the result. */
bool onnx_file_read(struct onnx_file *file, const void *bytes, size_t length);
void onnx_file_release(struct onnx_file *file);

/* Returns the attribute of this name; NULL if the node has none. */
const struct onnx_attribute *onnx_attribute(const struct onnx_node *node, const char *name);

#endif
