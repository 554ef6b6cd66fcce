#ifndef ADL_MODELS_ONNX_ONNX_PARTS_H
#define ADL_MODELS_ONNX_ONNX_PARTS_H

/* What the two files behind onnx.h share: the GraphProto being written, and its
 * nodes. */

#include "graph/graph.h"
#include "io/protobuf.h"

/* Fields of GraphProto in onnx.proto. */
enum adl_onnx_graph_field {
    GRAPH_NODE = 1,
    GRAPH_NAME = 2,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12
};

/* Initializers that are no parameters, written when a node has asked for them. */
#define ADL_ONNX_ZERO "constant.zero"
#define ADL_ONNX_SIX "constant.six"
#define ADL_ONNX_MAP_AXES "constant.map_axes"

struct adl_onnx_writer {
    const struct adl_graph *graph;
    struct adl_shape *shapes; /* by value, at the model's input size */
    const char **names;       /* by value, in the file */
    bool *flat;               /* by value: [N, C] in the file, not [N, C, 1, 1] */
    struct adl_protobuf out;  /* the GraphProto */
    bool clips, unsqueezes;   /* constants asked for */
};

/* A node of this ONNX operator; inputs and attributes follow. Its name is that
 * of its output in most cases. */
struct adl_protobuf adl_onnx_node(const char *op, const char *name);
void adl_onnx_take(struct adl_protobuf *node, const char *input);
void adl_onnx_set_ints(struct adl_protobuf *node, const char *name, const int *values,
                       size_t count);
/* Puts the node into the graph. */
void adl_onnx_finish(struct adl_onnx_writer *w, struct adl_protobuf *node, const char *output);

/* An op of our graph as nodes; sets the name and form of its value. Fails with
 * UNSUPPORTED when there is no such node. */
int adl_onnx_write_node(struct adl_onnx_writer *w, const struct adl_node *node,
                        struct adl_error *err) ADL_MUST_CHECK;

#endif
