#ifndef ADL_MODELS_ONNX_IN_ONNX_PROTO_H
#define ADL_MODELS_ONNX_IN_ONNX_PROTO_H

/* An ONNX file as structs: what its protocol buffers say, checked for their form but not for their
 * meaning. Numbers of fields are those of onnx.proto in the repository onnx/onnx. Data of tensors
 * stay in the bytes of the files, which have to outlive the result. */

#include "models/onnx_in/onnx_tensor.h"

enum adl_onnx_kind {
    ADL_ONNX_ATTR_OTHER, /* of a kind that no operator here has, such as a graph */
    ADL_ONNX_ATTR_FLOAT,
    ADL_ONNX_ATTR_INT,
    ADL_ONNX_ATTR_TEXT,
    ADL_ONNX_ATTR_TENSOR,
    ADL_ONNX_ATTR_FLOATS,
    ADL_ONNX_ATTR_INTS
};

struct adl_onnx_attr {
    const char *name;
    enum adl_onnx_kind kind;
    float f;
    int64_t i;
    const char *text;
    const struct adl_onnx_tensor *tensor;
    const int64_t *ints;
    const float *floats;
    size_t count; /* of ints or floats */
};

struct adl_onnx_node_proto {
    const char *name; /* may be "" */
    const char *op;
    const char *domain;        /* "": the operators of ONNX itself */
    const char *const *inputs; /* "" where an optional one is absent */
    const char *const *outputs;
    size_t input_count, output_count;
    const struct adl_onnx_attr *attrs;
    size_t attr_count;
};

/* An input or output of the graph. */
struct adl_onnx_port {
    const char *name;
    int type;                     /* of the elements; 0: not given */
    int rank;                     /* -1: the shape is not given */
    int64_t dims[ADL_LIMIT_RANK]; /* -1: a side with a name, or unknown */
};

struct adl_onnx_proto {
    struct adl_arena arena; /* of everything below */
    struct adl_onnx_files *files;
    int64_t opset;        /* of ONNX's own operators; 0: not given */
    const char *producer; /* "" if not given */
    const char *adl;      /* the metadata entry "adl", which our own files have; NULL: none */
    const struct adl_onnx_node_proto *nodes;
    const struct adl_onnx_tensor *tensors; /* the initializers */
    const struct adl_onnx_port *inputs, *outputs;
    size_t node_count, tensor_count, input_count, output_count;
};

/* Reads a file, and those of `files` that have data of its tensors. Fails with ADL_ERR_FORMAT if
 * the bytes are no ONNX file or are damaged, with ADL_ERR_UNSUPPORTED for what is not read, with
 * ADL_ERR_LIMIT and ADL_ERR_NOMEM, and as adl_onnx_files_find() does; the struct is then to be
 * released as after success. */
int adl_onnx_proto_read(struct adl_onnx_proto *proto, const void *bytes, size_t length,
                        struct adl_onnx_files *files, struct adl_error *err) ADL_MUST_CHECK;
void adl_onnx_proto_release(struct adl_onnx_proto *proto);

/* Returns the attribute of this name; NULL if the node has none. */
const struct adl_onnx_attr *adl_onnx_attr_find(const struct adl_onnx_node_proto *node,
                                               const char *name);

#endif
