#ifndef ADL_OPS_OPS_H
#define ADL_OPS_OPS_H

/* The kinds of op: for each its attributes, its definition and the call that adds it to a
 * graph. Such a call takes the ids of its input values and returns the id of the new one,
 * or -1 after an error, which the graph keeps (graph.h). `name` is the module's name in
 * PyTorch; its parameters are called NAME.weight, NAME.bias and so on. Formulas and
 * gradients are in the files named here. */

#include "graph/graph.h"
#include "kernels/kernel.h"

/* --- convolution (conv.c) --------------------------------------------------- */

struct adl_conv_attr {
    int k;    /* output channels */
    int r, s; /* kernel height and width */
    int stride;
    int pad_top, pad_left, pad_bottom, pad_right;
    int groups; /* divides C and k; groups = C = k is depthwise; 0 means 1 */
    bool bias;
    /* TensorFlow's padding "SAME": the total padding that makes P = ceil(H / stride),
     * with an odd row at the bottom and an odd column on the right. pad_* are ignored. */
    bool tf_same;
    int dilation; /* pixels from tap to tap, with one group only; 0 means 1 */
};

extern const struct adl_op_def adl_op_conv;
int adl_conv(struct adl_graph *graph, int input, const char *name, struct adl_conv_attr attr);
/* The _named builders take the names of the parameters, as networks from elsewhere have them. */
int adl_conv_named(struct adl_graph *graph, int input, const char *name, struct adl_conv_attr attr,
                   const char *weight, const char *bias);
/* Returns a convolution to k channels with an r x s kernel, one group and no bias, padded by
 * half the kernel on each side: with odd r and s and stride 1 the map keeps its size. */
struct adl_conv_attr adl_conv_centred(int k, int r, int s, int stride);

/* Sets `pads` to the padding in rows and columns for an input of this shape: top, left,
 * bottom, right (conv/conv_geometry.c). */
void adl_conv_padding(const struct adl_conv_attr *attr, struct adl_shape in, int pads[4]);

/* --- batch norm (batchnorm.c): (x - mean) / sqrt(var + eps) * weight + bias --- */

struct adl_batchnorm_attr {
    double eps;
    double momentum; /* weight of a batch in the running statistics; 0: that of the step */
};

extern const struct adl_op_def adl_op_batchnorm;
int adl_batchnorm(struct adl_graph *graph, int input, const char *name, double eps);
int adl_batchnorm_with(struct adl_graph *graph, int input, const char *name,
                       struct adl_batchnorm_attr attr);
/* names: of weight, bias, running mean and running variance. */
int adl_batchnorm_named(struct adl_graph *graph, int input, const char *name,
                        struct adl_batchnorm_attr attr, const char *const names[4]);

/* --- activations (activation.c) ---------------------------------------------- */

extern const struct adl_op_def adl_op_relu;    /* max(x, 0) */
extern const struct adl_op_def adl_op_relu6;   /* min(max(x, 0), 6) */
extern const struct adl_op_def adl_op_sigmoid; /* 1 / (1 + exp(-x)) */
int adl_relu(struct adl_graph *graph, int input, const char *name);
int adl_relu6(struct adl_graph *graph, int input, const char *name);
int adl_sigmoid(struct adl_graph *graph, int input, const char *name);

/* --- activations that are no clamps of 0 (elementwise.c) ------------------------------------ */

/* The two numbers of an op below; those that it does not name are of no meaning. */
struct adl_elementwise_attr {
    float a, b;
};

extern const struct adl_op_def adl_op_clip;         /* min(max(x, a), b) */
extern const struct adl_op_def adl_op_affine;       /* a x + b */
extern const struct adl_op_def adl_op_leaky_relu;   /* x where x > 0, else a x */
extern const struct adl_op_def adl_op_hard_sigmoid; /* min(max(a x + b, 0), 1) */
extern const struct adl_op_def adl_op_hard_swish;   /* x min(max(x / 6 + 1 / 2, 0), 1) */
extern const struct adl_op_def adl_op_silu;         /* x / (1 + exp(-x)) */
extern const struct adl_op_def adl_op_gelu;         /* x (1 + erf(x / sqrt(2))) / 2 */
extern const struct adl_op_def adl_op_gelu_tanh;    /* its approximation by tanh */
extern const struct adl_op_def adl_op_erf;
extern const struct adl_op_def adl_op_tanh;
/* Adds one of these ops. */
int adl_elementwise(struct adl_graph *graph, int input, const char *name,
                    const struct adl_op_def *def, struct adl_elementwise_attr attr);

/* Returns the kernel that computes one of these, or sigmoid; ADL_CURVE_NONE: there is none. */
enum adl_curve adl_elementwise_curve(const struct adl_op_def *def);
/* Computes y[i] of a node of one of them from x[i], by the instruction set's kernel if it has one.
 * y may be x. */
void adl_elementwise_run(const struct adl_kernels *kernels, const struct adl_node *node,
                         const float *x, float *y, size_t count);

/* The derivative of one of these, or of relu or sigmoid, at its input. */
struct adl_slope_attr {
    const struct adl_op_def *of;
    struct adl_elementwise_attr numbers;
};
extern const struct adl_op_def adl_op_slope;
int adl_slope(struct adl_graph *graph, int input, const char *name, const struct adl_op_def *of,
              struct adl_elementwise_attr numbers);

/* --- channels (channels.c) --------------------------------------------------------------- */

/* Each channel times a weight plus a bias, which are parameters (C). */
extern const struct adl_op_def adl_op_channel_affine;
/* (x - m) / sqrt(v + eps), where m and v are mean and variance over the channels of a pixel. */
extern const struct adl_op_def adl_op_layernorm;
struct adl_layernorm_attr {
    double eps;
};
/* What layernorm, at a vector x, makes of small changes of x, which are the pixels of a map d: with
 * y = layernorm(x) and its s, s (d - mean(d) - y mean(y d)). */
extern const struct adl_op_def adl_op_layernorm_slope;
/* Channel k G + g of the output is channel g C/G + k of the input, for G groups (ShuffleNet). */
extern const struct adl_op_def adl_op_shuffle;
struct adl_shuffle_attr {
    int groups;
};
/* Some of the channels. */
extern const struct adl_op_def adl_op_slice;
struct adl_slice_attr {
    int first, count;
};
/* weight or bias may be NULL, but not both. */
int adl_channel_affine(struct adl_graph *graph, int input, const char *name, const char *weight,
                       const char *bias);
/* The weight is the parameter `param`, which the graph already has; its shape may have any number
 * of dimensions. */
int adl_channel_scale(struct adl_graph *graph, int input, const char *name, int param);
int adl_layernorm(struct adl_graph *graph, int input, const char *name, double eps);
int adl_layernorm_slope(struct adl_graph *graph, int map, int vector, const char *name, double eps);
int adl_shuffle(struct adl_graph *graph, int input, const char *name, int groups);
int adl_slice(struct adl_graph *graph, int input, const char *name, int first, int count);

/* --- pooling (pool_*.c) --------------------------------------------------------- */

struct adl_pool_attr {
    int size; /* of the square window, 1 to ADL_LIMIT_WINDOW */
    int stride;
    int pad;        /* on all sides; less than size */
    bool ceil_mode; /* P is rounded up, unless the last window would start in the padding */
};

extern const struct adl_op_def adl_op_maxpool;
extern const struct adl_op_def adl_op_avgpool;        /* padding counts: always divides by size^2 */
extern const struct adl_op_def adl_op_global_avgpool; /* H x W x C to 1 x 1 x C */
extern const struct adl_op_def adl_op_global_sumpool; /* H x W x C to 1 x 1 x C */
extern const struct adl_op_def adl_op_global_maxpool; /* H x W x C to 1 x 1 x C */
/* H x W x C to 2 x 1 x C: the mean of each channel, and below it the maximum. */
extern const struct adl_op_def adl_op_global_avgmaxpool;
/* H x W x C to H x W x 2: the maximum over the channels, and beside it the mean. */
extern const struct adl_op_def adl_op_channelpool;
int adl_maxpool(struct adl_graph *graph, int input, const char *name, struct adl_pool_attr attr);
/* Fails for ceil_mode. */
int adl_avgpool(struct adl_graph *graph, int input, const char *name, struct adl_pool_attr attr);
int adl_global_avgpool(struct adl_graph *graph, int input, const char *name);
int adl_global_sumpool(struct adl_graph *graph, int input, const char *name);
int adl_global_maxpool(struct adl_graph *graph, int input, const char *name);
int adl_global_avgmaxpool(struct adl_graph *graph, int input, const char *name);
int adl_channelpool(struct adl_graph *graph, int input, const char *name);

/* Windows of any form (pool_any.c). */
struct adl_pool_any_attr {
    int r, s; /* height and width of the window */
    int stride_h, stride_w;
    int top, left, bottom, right; /* padding; less than the window's side */
    bool average;                 /* else the maximum */
    bool count_padding;           /* an average's divisor counts the padding */
    bool ceil_mode;               /* as above */
};
extern const struct adl_op_def adl_op_pool_any;
int adl_pool_any(struct adl_graph *graph, int input, const char *name,
                 struct adl_pool_any_attr attr);

/* --- linear (linear.c): y = W x + b on each pixel, H x W x C to H x W x K ------------- */

struct adl_linear_attr {
    int k; /* outputs */
    bool bias;
};

extern const struct adl_op_def adl_op_linear;
int adl_linear(struct adl_graph *graph, int input, const char *name, int k, bool bias);
/* bias: NULL: there is none. */
int adl_linear_named(struct adl_graph *graph, int input, const char *name, int k,
                     const char *weight, const char *bias);

/* --- several inputs (add.c, concat.c, scale.c, gate.c, upsample.c) -------------------- */

struct adl_gate_attr {
    bool plus_one; /* multiply by 1 + gate */
};

extern const struct adl_op_def adl_op_add;      /* a + b, equal shapes */
extern const struct adl_op_def adl_op_concat;   /* channels one after the other, equal H and W */
extern const struct adl_op_def adl_op_scale;    /* H x W x C times 1 x 1 x C, per channel */
extern const struct adl_op_def adl_op_gate;     /* times a gate for each pixel or element */
extern const struct adl_op_def adl_op_upsample; /* bilinear, with align_corners */
int adl_add(struct adl_graph *graph, int a, int b, const char *name);
/* Takes 1 to ADL_MAX_OP_INPUTS inputs. */
int adl_concat(struct adl_graph *graph, const int *inputs, int count, const char *name);
int adl_scale(struct adl_graph *graph, int map, int vector, const char *name);
/* x: H x W x C, or 1 x 1 x C at every pixel; gate: H x W x C, or H x W x 1 for all channels. */
int adl_gate(struct adl_graph *graph, int x, int gate, const char *name, bool plus_one);
/* Enlarges `input` to the height and width of `like`. */
int adl_upsample(struct adl_graph *graph, int input, int like, const char *name);

/* --- resizing to a size or by a factor (resize.c) -------------------------------------------- */

/* Where an output pixel lies in the input. */
enum adl_resize_place {
    ADL_RESIZE_HALF_PIXEL,
    ADL_RESIZE_PYTORCH,
    ADL_RESIZE_ASYMMETRIC,
    ADL_RESIZE_CORNERS,
    ADL_RESIZE_HALF_PIXEL_NN,
    ADL_RESIZE_PLACES
};

/* How the nearest pixel is found; "prefer": where two are equally near. */
enum adl_resize_round {
    ADL_RESIZE_PREFER_FLOOR,
    ADL_RESIZE_PREFER_CEIL,
    ADL_RESIZE_FLOOR,
    ADL_RESIZE_CEIL,
    ADL_RESIZE_ROUNDS
};

/* Rows and columns of the output, at most. */
#define ADL_RESIZE_MOST 65536

struct adl_resize_attr {
    double scale_h, scale_w; /* the output has floor(input x scale) rows and columns */
    int h, w;                /* not 0: it has so many */
    bool linear;             /* else the nearest pixel */
    enum adl_resize_place place;
    enum adl_resize_round round; /* of the nearest */
};

extern const struct adl_op_def adl_op_resize;
int adl_resize(struct adl_graph *graph, int input, const char *name, struct adl_resize_attr attr);

/* --- class maps (blank.c, erase.c, map_union.c)
 * --------------------------------------------------- */

struct adl_blank_attr {
    int k; /* classes */
};
extern const struct adl_op_def adl_op_blank; /* zeros for each class: it says nothing */
int adl_blank(struct adl_graph *graph, int input, const char *name, int k);

struct adl_erase_attr {
    double threshold; /* of the normalised map, at inference */
    /* In training, the threshold is this number among the options of all methods, where there are
     * options (adl_train_mode.method_values). */
    size_t option;
};

extern const struct adl_op_def adl_op_erase;     /* x where a class is not active, 0 elsewhere */
extern const struct adl_op_def adl_op_map_union; /* the largest of several normalised maps */
/* x: H x W x C, maps: H x W x classes, logits: 1 x 1 x classes. */
int adl_erase(struct adl_graph *graph, int x, int maps, int logits, const char *name,
              struct adl_erase_attr attr);
/* Takes 1 to ADL_MAX_OP_INPUTS maps of one shape, H x W x classes. */
int adl_map_union(struct adl_graph *graph, const int *maps, int count, const char *name);

/* --- only in training, and left out at inference (guidance.c) -------------------------------- */

extern const struct adl_op_def adl_op_guidance;
/* inputs: class maps, H x W x classes, and three maps of one channel; first_option: where six
 * thresholds stand among the options of all methods. */
int adl_guidance(struct adl_graph *graph, const int inputs[4], const char *name,
                 size_t first_option);

/* --- only in training (dropout.c): the identity at inference ----------------- */

struct adl_dropout_attr {
    double rate; /* probability that an element is zeroed, 0 <= rate < 1 */
};

extern const struct adl_op_def adl_op_dropout;
int adl_dropout(struct adl_graph *graph, int input, const char *name, double rate);

#endif
