#ifndef ADL_MODELS_ONNX_ONNX_PARTS_H
#define ADL_MODELS_ONNX_ONNX_PARTS_H

/* Types and functions that the files of this directory share: the GraphProto that is being written,
 * and its nodes. From the lowest to the highest: onnx_parts.c; onnx_int8.c; onnx_attention.c,
 * onnx_elementwise.c, onnx_erase.c and onnx_head.c; onnx_nodes.c; onnx.c. */

#include "graph/graph.h"
#include "io/protobuf.h"
#include "wsol/foreground.h"

/* Fields of GraphProto in onnx.proto. */
enum adl_onnx_graph_field {
    GRAPH_NODE = 1,
    GRAPH_NAME = 2,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12
};

/* Types of elements in onnx.proto. */
enum adl_onnx_element {
    ADL_ONNX_FLOAT = 1,
    ADL_ONNX_UINT8 = 2,
    ADL_ONNX_INT8 = 3,
    ADL_ONNX_INT32 = 6,
    ADL_ONNX_INT64 = 7
};

/* Operator set 11 made inputs of the constants of Clip and Pad, and 13 of the axes of ReduceSum,
 * which fewer importers read; so a file in float32 has set 10. Scales for single channels, which
 * one in 8 bits needs, came with 13. Newer importers read older sets. */
enum { ADL_ONNX_OPSET_F32 = 10, ADL_ONNX_OPSET_INT8 = 13 };

struct adl_onnx_writer {
    const struct adl_graph *graph;
    struct adl_shape *shapes; /* by value, at the model's input size */
    const char **names;       /* by value, in the file */
    int opset;
    struct adl_onnx_int8 *int8; /* onnx_int8.h; NULL: the file is in float32 */
    struct adl_protobuf out;    /* the GraphProto */
};

/* The name of a value inside of an op that is written as several operators. */
struct adl_onnx_inner {
    char text[512];
};
struct adl_onnx_inner adl_onnx_inner(const struct adl_onnx_writer *w, const struct adl_node *node,
                                     const char *part);
/* Begins a node of an ONNX operator. `name` is mostly that of its output. Add its inputs in order
 * and its attributes, and then call adl_onnx_finish(). */
struct adl_protobuf adl_onnx_node(const char *op, const char *name);
/* Adds an input. */
void adl_onnx_take(struct adl_protobuf *node, const char *input);
/* Add an attribute that is a number. */
void adl_onnx_set_int(struct adl_protobuf *node, const char *name, int value);
void adl_onnx_set_float(struct adl_protobuf *node, const char *name, double value);
/* Adds an attribute that is a list of integers. */
void adl_onnx_set_ints(struct adl_protobuf *node, const char *name, const int *values,
                       size_t count);
/* Adds a padding of so many rows and columns at the top, left, bottom and right. */
void adl_onnx_write_pad(struct adl_onnx_writer *w, const char *input, const int pads[4],
                        const char *output);
/* Bounds values; a `max` of INFINITY is none. */
void adl_onnx_write_clip(struct adl_onnx_writer *w, const char *input, double min, double max,
                         const char *output);
/* Reduces the axes by ReduceSum, ReduceMean, ReduceMin or ReduceMax; they stay with a length of 1.
 */
void adl_onnx_write_reduction(struct adl_onnx_writer *w, const char *op, const char *input,
                              const int *axes, size_t count, const char *output);
/* An operator of one input, or of two, without attributes; b: NULL for none. */
void adl_onnx_write_op(struct adl_onnx_writer *w, const char *op, const char *a, const char *b,
                       const char *output);
/* A convolution of the graph with these inputs. bias: NULL for none. */
void adl_onnx_write_conv(struct adl_onnx_writer *w, const struct adl_node *node, const char *input,
                         const char *weight, const char *bias, const char *output);
/* Adds the node with its output to the graph. */
void adl_onnx_finish(struct adl_onnx_writer *w, struct adl_protobuf *node, const char *output);

/* onnx_attention.c: write the ops of attention networks; the last three return false when out
 * of memory. */
void adl_onnx_write_sumpool(struct adl_onnx_writer *w, const struct adl_node *node);
void adl_onnx_write_avgmaxpool(struct adl_onnx_writer *w, const struct adl_node *node);
void adl_onnx_write_channelpool(struct adl_onnx_writer *w, const struct adl_node *node);
void adl_onnx_write_gate(struct adl_onnx_writer *w, const struct adl_node *node);
bool adl_onnx_write_upsample(struct adl_onnx_writer *w, const struct adl_node *node);
bool adl_onnx_write_resize(struct adl_onnx_writer *w, const struct adl_node *node);
bool adl_onnx_write_blank(struct adl_onnx_writer *w, const struct adl_node *node);

/* onnx_elementwise.c: write the ops that networks from ONNX have; `input` is the name of the value
 * that they read. */
void adl_onnx_write_elementwise(struct adl_onnx_writer *w, const struct adl_node *node,
                                const char *input);
void adl_onnx_write_channel_affine(struct adl_onnx_writer *w, const struct adl_node *node,
                                   const char *input);
void adl_onnx_write_layernorm(struct adl_onnx_writer *w, const struct adl_node *node,
                              const char *input);
void adl_onnx_write_layernorm_slope(struct adl_onnx_writer *w, const struct adl_node *node,
                                    const char *input);
/* Returns false if the slope is one that cannot be written. */
bool adl_onnx_write_slope(struct adl_onnx_writer *w, const struct adl_node *node,
                          const char *input);
void adl_onnx_write_shuffle(struct adl_onnx_writer *w, const struct adl_node *node,
                            const char *input);
void adl_onnx_write_slice(struct adl_onnx_writer *w, const struct adl_node *node,
                          const char *input);
void adl_onnx_write_pool_any(struct adl_onnx_writer *w, const struct adl_node *node,
                             const char *input);

/* onnx_erase.c: writes the op that erases a map where the class of the highest logit is active. */
void adl_onnx_write_erase(struct adl_onnx_writer *w, const struct adl_node *node);

/* Add a tensor of these dimensions, and a whole number of rank 0, to the initializers; the first
 * takes any type of elements. */
void adl_onnx_add_elements(struct adl_onnx_writer *w, const char *name, const size_t *dims,
                           size_t rank, enum adl_onnx_element element, const void *data,
                           size_t bytes);
void adl_onnx_add_tensor(struct adl_onnx_writer *w, const char *name, const size_t *dims,
                         size_t rank, const float *values);
void adl_onnx_add_index(struct adl_onnx_writer *w, const char *name, int value);

/* onnx_head.c: writes the few-box head as nodes and initializers, with the output "foreground".
 * Fails with ADL_ERR_NOMEM. */
int adl_onnx_write_head(struct adl_onnx_writer *w, const struct adl_foreground_head *head,
                        int features, struct adl_error *err) ADL_MUST_CHECK;
/* Returns the sides of that output. `features` is the value of the last map. */
struct adl_shape adl_onnx_head_grid(const struct adl_onnx_writer *w,
                                    const struct adl_foreground_head *head, int features);

/* Writes an op of the graph as nodes; the value of an op that does nothing at test time gets the
 * name of its input. Fails with ADL_ERR_UNSUPPORTED if the op cannot be written. */
int adl_onnx_write_node(struct adl_onnx_writer *w, const struct adl_node *node,
                        struct adl_error *err) ADL_MUST_CHECK;

#endif
