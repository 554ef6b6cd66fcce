#ifndef ADL_MODELS_ONNX_IN_IMPORT_H
#define ADL_MODELS_ONNX_IN_IMPORT_H

/* What the files of this directory share while an ONNX graph becomes a stored network
 * (models/backbones/stored.h). Nodes are read in their order. A value of ONNX is either a constant
 * or a map of the network; ONNX's shapes of a map are kept as a list of axes, so that changes of
 * layout (NCHW, NHWC), of a vector's rank and of groups of channels are only noted.
 *
 * From the lowest to the highest: onnx_wire.c, onnx_files.c, onnx_tensor.c, onnx_proto.c; import.c
 * (the struct below); import_param.c; import_maths.c, import_fold.c; import_pick.c, import_qdq.c;
 * import_const.c; import_resize.c; import_layers.c, import_pool.c, import_shape.c,
 * import_channels.c, import_norm.c; import_reduce.c; import_simple.c; import_ops.c (the table);
 * import_end.c; onnx_in.c. */

#include "base/str.h"
#include "graph/graph.h"
#include "io/tensor.h"
#include "models/backbones/stored.h"
#include "models/onnx_in/onnx_proto.h"

/* The axes of a map in ONNX: N images, C channels, H rows, W columns; G and K are the channels as G
 * groups of K (C = G K); P the pixels (P = H W); F all values of an image, channel after channel.
 */
#define ADL_IMPORT_AXES 8

/* Bytes of the name of a stored value. */
#define ADL_IMPORT_NAME_BYTES 200
/* Numbers that a name is tried with before those that were not tried for any name. */
#define ADL_IMPORT_TRIES 64

enum adl_import_kind {
    ADL_IMPORT_NOT_YET, /* not computed so far */
    ADL_IMPORT_CONSTANT,
    ADL_IMPORT_MAP
};

/* A value of ONNX. */
struct adl_import_value {
    const char *name;
    enum adl_import_kind kind;
    const struct adl_onnx_tensor *tensor; /* of a constant */
    const char *origin; /* the initializer that it comes from, for names; NULL: none */

    /* Of a constant that was integers: these, the scales and zero points (NULL: 0), and how many
     * elements follow each other with one scale; else NULL. */
    const struct adl_onnx_tensor *bytes, *scale, *zero;
    size_t scale_run;

    int id;                         /* of a map: the stored value */
    char axes[ADL_IMPORT_AXES + 1]; /* a letter for each axis of ONNX */
    int groups;                     /* G, where the axes have it */
    int pads[4];  /* zeros (or what a maximum ignores) around it: top, left, bottom, right */
    bool softmax; /* it is a softmax of the scores */
    bool final;   /* a softmax or the like: only its shape may change from here on */

    int readers;  /* nodes that read it, and outputs of the graph that it is */
    int reader;   /* one of these nodes; -1: none */
    int producer; /* the node that computes it; -1: none */
};

struct adl_import {
    const struct adl_onnx_proto *proto;
    struct adl_arena arena;
    struct adl_import_value *values;
    size_t value_count;
    int *slots; /* hash table of values by name; -1: free */
    size_t slot_count;
    bool *needed; /* by node: the scores depend on it */
    bool *done;   /* by node: it was read together with an earlier one */

    const char *map_layer; /* as in adl_onnx_in_options */
    int batch;             /* N of the file's shapes */
    struct adl_stored *stored;
    struct adl_graph *graph;     /* of the nodes so far, for the shapes */
    struct adl_tensors *weights; /* of the model */
    bool bytes;                  /* some of these are in 8 bits */
    json_t *activations;         /* ranges of maps by the names of stored values; NULL: none */
    struct adl_str notes;        /* for the user; sentences with "; " between them */
    size_t room;                 /* bytes that may still be copied from constants */
    int numbered;                /* the largest number in a name that was made, so that each search
                                  * goes on where the last one ended */
};

/* --- import.c ----------------------------------------------------------------------------------
 */

/* Fills the table of values and marks the nodes that `output`, a value's name, depends on. */
int adl_import_open(struct adl_import *im, const char *output,
                    struct adl_error *err) ADL_MUST_CHECK;
void adl_import_close(struct adl_import *im);

/* Returns the value of that name; NULL: there is none. */
struct adl_import_value *adl_import_find(const struct adl_import *im, const char *name);
/* Return input or output number i of a node; NULL if it is absent. */
struct adl_import_value *adl_import_in(const struct adl_import *im,
                                       const struct adl_onnx_node_proto *node, size_t i);
struct adl_import_value *adl_import_out(const struct adl_import *im,
                                        const struct adl_onnx_node_proto *node, size_t i);
/* Returns the only node that reads a value, if it is of this operator; NULL otherwise. */
const struct adl_onnx_node_proto *adl_import_next(const struct adl_import *im,
                                                  const struct adl_import_value *value,
                                                  const char *op);
/* Says that a node was read together with an earlier one. */
void adl_import_skip(struct adl_import *im, const struct adl_onnx_node_proto *node);

/* Fails with ADL_ERR_UNSUPPORTED: "OP (node NAME): ...". */
int adl_import_refuse(const struct adl_onnx_node_proto *node, struct adl_error *err,
                      const char *fmt, ...) ADL_PRINTF(3, 4);
/* Returns the value of a node's input, which has to be a map with these axes (NULL: any) and
 * without padding around it; NULL with an error. */
const struct adl_import_value *adl_import_map(struct adl_import *im,
                                              const struct adl_onnx_node_proto *node, size_t i,
                                              const char *axes, struct adl_error *err);
/* Returns a constant input; NULL with an error. */
const struct adl_onnx_tensor *adl_import_constant(struct adl_import *im,
                                                  const struct adl_onnx_node_proto *node, size_t i,
                                                  const char *what, struct adl_error *err);

struct adl_shape adl_import_shape(const struct adl_import *im, const struct adl_import_value *map);
/* Returns the extent of an axis of a map. */
int64_t adl_import_extent(const struct adl_import *im, const struct adl_import_value *map,
                          int axis);
/* Returns the index of a letter among the axes; -1: there is none. */
int adl_import_axis(const struct adl_import_value *map, char letter);
/* Returns an axis as ONNX writes it, which may be negative, as an index; -1 if it is none. */
int adl_import_index(const struct adl_import_value *map, int64_t axis);
bool adl_import_is_vector(const struct adl_import *im, const struct adl_import_value *map);

/* Adds a stored node of one input, named after an ONNX node (part: "" or what to add to the name);
 * NULL with an error. */
struct adl_stored_node *adl_import_add(struct adl_import *im, const char *op,
                                       const struct adl_onnx_node_proto *node, const char *part,
                                       int input, struct adl_error *err) ADL_MUST_CHECK;
/* Appends the node that was added last to the graph, once it is complete; returns its value, -1
 * with an error. */
int adl_import_commit(struct adl_import *im, const struct adl_onnx_node_proto *node,
                      struct adl_error *err) ADL_MUST_CHECK;
/* adl_import_add and adl_import_commit for a node without numbers and parameters. */
int adl_import_simple(struct adl_import *im, const char *op, const struct adl_onnx_node_proto *node,
                      const char *part, int input, struct adl_error *err) ADL_MUST_CHECK;
/* Makes the value `out` a map: the stored value `id` with the axes of `like`. */
void adl_import_set(struct adl_import_value *out, const struct adl_import_value *like, int id);
/* Makes the value `out` the same as another one. */
void adl_import_alias(struct adl_import_value *out, const struct adl_import_value *value);

/* --- import_param.c ------------------------------------------------------------------------------
 */

/* Says that `count` elements of `size` bytes are copied from constants. Fails with ADL_ERR_LIMIT
 * once they are more than ADL_LIMIT_ONNX_EXPANSION allows. */
int adl_import_spend(struct adl_import *im, size_t count, size_t size,
                     struct adl_error *err) ADL_MUST_CHECK;
/* Returns a free name for a parameter, in the arena; NULL when out of memory. */
const char *adl_import_param_name(struct adl_import *im, const struct adl_onnx_node_proto *node,
                                  const char *origin, const char *role) ADL_MUST_CHECK;
/* Adds a parameter: `count` elements, given by element(context, i), in the shape; its name is
 * `origin`, or, where that is taken or NULL, one made of the node's and `role`. Returns the name in
 * the arena; NULL with an error. */
const char *adl_import_param(struct adl_import *im, const struct adl_onnx_node_proto *node,
                             const char *origin, const char *role, int rank, const size_t *shape,
                             float (*element)(const void *context, size_t i), const void *context,
                             struct adl_error *err) ADL_MUST_CHECK;
/* The same with the elements of a tensor in their order. */
const char *adl_import_tensor_param(struct adl_import *im, const struct adl_onnx_node_proto *node,
                                    const struct adl_import_value *value, const char *role,
                                    int rank, const size_t *shape,
                                    struct adl_error *err) ADL_MUST_CHECK;

/* --- import.c again ------------------------------------------------------------------------------
 */

/* Attributes with their defaults. */
int64_t adl_import_attr_int(const struct adl_onnx_node_proto *node, const char *name,
                            int64_t usual);
double adl_import_attr_float(const struct adl_onnx_node_proto *node, const char *name,
                             double usual);
const char *adl_import_attr_text(const struct adl_onnx_node_proto *node, const char *name);
/* Copies up to `most` integers of an attribute; returns their number, 0 if it is absent, -1 if
 * there are more. */
int adl_import_attr_ints(const struct adl_onnx_node_proto *node, const char *name, int64_t *values,
                         int most);
/* The same for integers that are an attribute in older operator sets and the constant input
 * number `i` in newer ones; -1 also if the input is no constant. */
int adl_import_ints(struct adl_import *im, const struct adl_onnx_node_proto *node, const char *name,
                    size_t i, int64_t *values, int most);
/* Returns the shortest decimal number that is the same as a float: 1e-05 rather than
 * 9.99999974737875e-06, as it was written in the source of the network. */
double adl_import_shortest(double value);

/* --- the families of operators ------------------------------------------------------------------
 */

typedef int adl_import_reader(struct adl_import *im, const struct adl_onnx_node_proto *node,
                              struct adl_error *err);

/* Constants (import_const.c). Returns 1 if the node's inputs are constants and its operator can
 * compute its output from them, which it did; 0 if not, -1 with an error. */
int adl_import_fold(struct adl_import *im, const struct adl_onnx_node_proto *node,
                    struct adl_error *err) ADL_MUST_CHECK;

adl_import_reader adl_import_conv, adl_import_batchnorm, adl_import_gemm, adl_import_matmul;
adl_import_reader adl_import_add_op, adl_import_sub, adl_import_mul, adl_import_div;
adl_import_reader adl_import_relu, adl_import_clip, adl_import_unary, adl_import_same,
    adl_import_softmax;
adl_import_reader adl_import_bound, adl_import_sum, adl_import_pow, adl_import_prelu,
    adl_import_dropout, adl_import_cast;
adl_import_reader adl_import_pool, adl_import_global_pool, adl_import_reduce;
adl_import_reader adl_import_resize;
/* Reads a product of a map's rows or columns with a constant matrix that resizes it: 1, 0 if the
 * node is no such product, -1 with an error. */
int adl_import_resize_product(struct adl_import *im, const struct adl_onnx_node_proto *node,
                              struct adl_error *err) ADL_MUST_CHECK;
adl_import_reader adl_import_reshape, adl_import_flatten, adl_import_squeeze, adl_import_unsqueeze,
    adl_import_transpose, adl_import_concat, adl_import_split, adl_import_slice, adl_import_gather,
    adl_import_pad, adl_import_expand;
adl_import_reader adl_import_layernorm;
/* import_pick.c: of constants; as adl_import_fold(). */
adl_import_reader adl_import_pick_gather, adl_import_pick_concat, adl_import_pick_slice,
    adl_import_pick_unsqueeze, adl_import_pick_squeeze, adl_import_pick_reshape,
    adl_import_pick_transpose;
/* import_qdq.c */
adl_import_reader adl_import_quantize, adl_import_dequantize;
/* Returns whether a weight of a convolution can be stored in 8 bits, as its file has it. */
bool adl_import_has_bytes(const struct adl_import_value *weight);
/* Adds such a weight and its scales to the tensors. */
int adl_import_bytes_param(struct adl_import *im, const struct adl_import_value *weight,
                           const char *name, const size_t shape[4],
                           struct adl_error *err) ADL_MUST_CHECK;
/* Reads a layer normalisation that was written as single operators and begins with this ReduceMean:
 * 1, 0 if it is none, -1 with an error. */
int adl_import_plain_layernorm(struct adl_import *im, const struct adl_onnx_node_proto *node,
                               struct adl_error *err) ADL_MUST_CHECK;

/* Reads a node; the operator has to be known (import_ops.c). */
int adl_import_node(struct adl_import *im, const struct adl_onnx_node_proto *node,
                    struct adl_error *err) ADL_MUST_CHECK;
/* Fails with ADL_ERR_UNSUPPORTED if a needed node has an operator that is not known, and lists all
 * of them. */
int adl_import_check_ops(const struct adl_import *im, struct adl_error *err) ADL_MUST_CHECK;

/* Finds the last map and the classifier above a map of scores, and removes the stored nodes that
 * they do not need (import_end.c). *several: the scores end in a sigmoid, so an image may have
 * several classes. */
int adl_import_find_end(struct adl_import *im, const struct adl_import_value *scores, bool *several,
                        struct adl_error *err) ADL_MUST_CHECK;

#endif
