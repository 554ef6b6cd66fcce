#ifndef ADL_MODELS_BACKBONES_TORCHVISION_H
#define ADL_MODELS_BACKBONES_TORCHVISION_H

/* Layers that torchvision's networks have in common, with its names. */

#include "models/backbones/backbone.h"

/* Returns `channels` rounded to a multiple of 8, but to no less than nine tenths of it and 8 at
 * least: how the authors of MobileNetV2 and their successors scale widths. */
int adl_torchvision_channels(double channels);

/* Batch norms and activations of a network. */
struct adl_torchvision_style {
    struct adl_batchnorm_attr norm;
    const struct adl_op_def *act; /* relu, relu6, hard_swish or silu */
};

/* Appends an activation; `act` is one of these, or sigmoid, or hard_sigmoid as PyTorch has it. */
int adl_torchvision_act(struct adl_graph *graph, int x, const char *name,
                        const struct adl_op_def *act);

/* Appends a convolution NAME.0, a batch norm NAME.1 and, unless `act` is NULL, an activation NAME.
 */
int adl_torchvision_conv(struct adl_graph *graph, int x, const char *name,
                         struct adl_conv_attr attr, const struct adl_torchvision_style *style,
                         const struct adl_op_def *act);

/* An inverted residual block (Sandler et al., "MobileNetV2: Inverted Residuals and Linear
 * Bottlenecks", CVPR 2018): a 1x1 convolution to more channels, a depthwise convolution, perhaps
 * squeeze-and-excitation, and a 1x1 convolution without activation to k channels; the input is
 * added where the shape stays. */
struct adl_inverted {
    const char *name; /* of the block, and of its value */
    const char *part; /* its layers are called NAME.PART.0 and so on */
    int expanded;     /* channels of the depthwise convolution; as many as the input has: the first
                       * convolution is left out */
    int k, size, stride;
    int squeezed; /* channels inside of squeeze-and-excitation; 0: there is none */
    const struct adl_op_def *squeeze_act, *squeeze_gate;
    bool plain_end; /* the last convolution and batch norm are NAME.PART.I and NAME.PART.I+1, and
                     * not parts of one layer */
};

/* Appends such a block, and the layers of methods after its depthwise convolution and after the
 * block, where `arch` has them there. */
int adl_torchvision_inverted(struct adl_graph *graph, const struct adl_arch *arch, int x,
                             const struct adl_inverted *block,
                             const struct adl_torchvision_style *style);

/* Returns the layers of methods after the value `x`, which is called `name`, or x itself. */
int adl_torchvision_place(struct adl_graph *graph, const struct adl_arch *arch, int x,
                          const char *name);

/* `is_head` of networks whose classifier is "classifier", or the layer `last` of it. */
bool adl_torchvision_is_head(const char *name);

/* A layer of torchvision's and of timm's. */
struct adl_timm_part {
    const char *ours, *timms;
};

/* Writes `start` and what stands after the name of the layer in `rest`, in timm's names, to `out`:
 * "blocks.0.0." and "bn1.weight" for `rest` "conv.0.1.weight" and a row {"conv.0.1.", "bn1."}. The
 * list ends with a row of NULL. Returns false if there is no such layer, or no room. */
bool adl_timm_name(const struct adl_timm_part *parts, const char *start, const char *rest,
                   char *out, size_t size);

#endif
