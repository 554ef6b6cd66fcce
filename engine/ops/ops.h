#ifndef ADL_OPS_OPS_H
#define ADL_OPS_OPS_H

/* The kinds of op: for each its attributes, its definition and the call that
 * puts it into a graph. Builder calls return the id of the new value, or -1
 * after an error (see graph.h); parameter names are NAME.weight and so on. */

#include "graph/graph.h"

/* --- convolution (conv.c) --------------------------------------------------- */

struct adl_conv_attr {
    int k;    /* output channels */
    int r, s; /* kernel height and width */
    int stride;
    int pad_top, pad_left, pad_bottom, pad_right;
    int groups; /* divides C and k; groups = C = k is depthwise */
    bool bias;
    /* TensorFlow's "SAME": the total padding that makes P = ceil(H/stride),
     * the odd row and column at the bottom and right; pad_* are not used. */
    bool tf_same;
};

extern const struct adl_op_def adl_op_conv;
int adl_conv(struct adl_graph *graph, int input, const char *name, struct adl_conv_attr attr);

/* The padding in force for an input of this shape: top, left, bottom, right. */
void adl_conv_padding(const struct adl_conv_attr *attr, struct adl_shape in, int pads[4]);

/* --- batch norm (batchnorm.c): (x - mean) / sqrt(var + eps) * weight + bias --- */

struct adl_batchnorm_attr {
    double eps;
};

extern const struct adl_op_def adl_op_batchnorm;
int adl_batchnorm(struct adl_graph *graph, int input, const char *name, double eps);

/* --- activations (activation.c) ---------------------------------------------- */

extern const struct adl_op_def adl_op_relu;    /* max(x, 0) */
extern const struct adl_op_def adl_op_relu6;   /* min(max(x, 0), 6) */
extern const struct adl_op_def adl_op_sigmoid; /* 1 / (1 + exp(-x)) */
int adl_relu(struct adl_graph *graph, int input, const char *name);
int adl_relu6(struct adl_graph *graph, int input, const char *name);
int adl_sigmoid(struct adl_graph *graph, int input, const char *name);

/* --- pooling (pool_window.c, pool_global.c) ------------------------------------ */

struct adl_pool_attr {
    int size;
    int stride;
    int pad;        /* on all sides */
    bool ceil_mode; /* P = ceil(...), unless the last window starts in the padding */
};

extern const struct adl_op_def adl_op_maxpool;
extern const struct adl_op_def adl_op_avgpool; /* padding counted: always divides by size^2 */
extern const struct adl_op_def adl_op_global_avgpool;
int adl_maxpool(struct adl_graph *graph, int input, const char *name, struct adl_pool_attr attr);
int adl_avgpool(struct adl_graph *graph, int input, const char *name, struct adl_pool_attr attr);
int adl_global_avgpool(struct adl_graph *graph, int input, const char *name);

/* --- linear (linear.c): y = W x + b on a vector ----------------------------------- */

struct adl_linear_attr {
    int k;
    bool bias;
};

extern const struct adl_op_def adl_op_linear;
int adl_linear(struct adl_graph *graph, int input, const char *name, int k, bool bias);

/* --- joining (add.c, concat.c, scale.c) --------------------------------------------- */

extern const struct adl_op_def adl_op_add;    /* a + b, equal shapes */
extern const struct adl_op_def adl_op_concat; /* channels one after the other */
extern const struct adl_op_def adl_op_scale;  /* map * vector, per channel */
int adl_add(struct adl_graph *graph, int a, int b, const char *name);
int adl_concat(struct adl_graph *graph, const int *inputs, int count, const char *name);
int adl_scale(struct adl_graph *graph, int map, int vector, const char *name);

/* --- only in training (dropout.c, adl.c): the identity at inference ----------------- */

struct adl_dropout_attr {
    double rate;
};

extern const struct adl_op_def adl_op_dropout;
extern const struct adl_op_def adl_op_adl; /* drop rate and threshold belong to training */
int adl_dropout(struct adl_graph *graph, int input, const char *name, double rate);
int adl_adl(struct adl_graph *graph, int input, const char *name);

#endif
