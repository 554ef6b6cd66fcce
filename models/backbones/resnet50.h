#ifndef ADL_MODELS_BACKBONES_RESNET50_H
#define ADL_MODELS_BACKBONES_RESNET50_H

/* ResNet-50 as the base of networks with attention. An attention module weights a map x (H x W x C)
 * and keeps its shape. Each network is a file that describes its module, calls adl_resnet50_build()
 * and has a row with ADL_RESNET50_ROW. In the formulas of these files s is the sigmoid, * an
 * elementwise product, and
 *
 *     MLP(v) = W2 relu(W1 v),   W1 (C / 16) x C and W2 C x (C / 16), with biases
 */

#include "models/backbones/backbone.h"

#define ADL_RESNET50_REDUCTION 16

/* The modules of a network, and where they are. Each function appends a module to the value x, with
 * bn_eps for its batch norms, and returns the weighted map. */
struct adl_resnet50_attention {
    /* At the end of each residual block, before the addition of the shortcut; `block` is the name
     * of the block. NULL: there are none. */
    int (*in_block)(struct adl_graph *graph, int x, const char *block, double bn_eps);
    /* After layer1, layer2 and layer3, which are stages 1, 2 and 3. NULL: there are none. */
    int (*after_stage)(struct adl_graph *graph, int x, int stage, double bn_eps);
};

/* Appends the network. `attention` is NULL for the plain one. */
void adl_resnet50_build(struct adl_graph *graph, const struct adl_arch *arch,
                        const struct adl_resnet50_attention *attention);
/* The functions of the same names in struct adl_backbone. */
bool adl_resnet50_renumber(const struct adl_arch *from, const struct adl_arch *to, const char *name,
                           char *out, size_t size);
bool adl_resnet50_is_head(const char *name);

/* Returns the number of channels of a value. */
int adl_resnet50_channels(const struct adl_graph *graph, int x);
/* Appends MLP(v) to `channels` channels; its layers get these names. */
int adl_resnet50_mlp(struct adl_graph *graph, int v, int channels, const char *first,
                     const char *relu, const char *second);

/* What the rows of the family have in common. */
#define ADL_RESNET50_ROW                                                                           \
    .bn_eps = 1e-5, .has_large_map = true, .has_base = true, .has_fine_base = true,                \
    .renumber = adl_resnet50_renumber, .is_head = adl_resnet50_is_head

/* The layers that ADL may follow in the networks with attention, and those that it follows by
 * default, which are those of the plain network. */
extern const char *const adl_resnet50_places[];
#define ADL_RESNET50_ATTENTION_ROW                                                                 \
    ADL_RESNET50_ROW, .adl_places = adl_resnet50_places,                                           \
                      .adl_default = 1u << 7 | 1u << 13 | 1u << 15

#endif
