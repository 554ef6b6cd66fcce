#ifndef ADL_MODELS_BACKBONES_RESNET_H
#define ADL_MODELS_BACKBONES_RESNET_H

/* Residual networks (He et al. 2016), plain and as the base of networks with attention. An
 * attention module weights a map x (H x W x C) and keeps its shape. Each network has a row whose
 * `config` is a struct adl_resnet, and which calls adl_resnet_build() unless it has something else
 * to add. In the formulas of these files s is the sigmoid, * an elementwise product, and
 *
 *     MLP(v) = W2 relu(W1 v),   W1 (C / 16) x C and W2 C x (C / 16), with biases
 */

#include "models/backbones/backbone.h"

#define ADL_RESNET_STAGES 4
#define ADL_RESNET_REDUCTION 16

/* The modules of a network, and where they are. Each function appends a module to the value x, with
 * bn_eps for its batch norms, and returns the weighted map. */
struct adl_resnet_attention {
    /* At the end of each residual block, before the addition of the shortcut; `block` is the name
     * of the block. NULL: there are none. */
    int (*in_block)(struct adl_graph *graph, int x, const char *block, double bn_eps);
    /* After layer1, layer2 and layer3, which are stages 1, 2 and 3. NULL: there are none. */
    int (*after_stage)(struct adl_graph *graph, int x, int stage, double bn_eps);
};

/* What distinguishes the networks. */
struct adl_resnet {
    int blocks[ADL_RESNET_STAGES];
    bool basic; /* blocks of two 3x3 convolutions, instead of 1x1, 3x3 and 1x1 */
    /* Of the 3x3 convolution in the latter: groups and channels, where the first stage has 64 in
     * one group; 0: 1 and 64. */
    int groups, width;
    const struct adl_resnet_attention *attention; /* NULL: none */
};

/* `build` of these networks. */
void adl_resnet_build(struct adl_graph *graph, const struct adl_arch *arch);
/* The functions of the same names in struct adl_backbone; renumber is for those with blocks of 3,
 * 4, 6 and 3 layers. */
bool adl_resnet_renumber(const struct adl_arch *from, const struct adl_arch *to, const char *name,
                         char *out, size_t size);
bool adl_resnet50_is_head(const char *name);
bool adl_resnet_is_head(const char *name);

/* Returns the number of channels of a value. */
int adl_resnet_channels(const struct adl_graph *graph, int x);
/* Appends MLP(v) to `channels` channels; its layers get these names. */
int adl_resnet_mlp(struct adl_graph *graph, int v, int channels, const char *first,
                   const char *relu, const char *second);

/* Layers that ADL may follow, in networks of 8, 16, 33 and 50 blocks; of the last two, which have
 * too many, not in all. By default it follows those that it follows in resnet50. */
extern const char *const adl_resnet_places_8[],
    *const adl_resnet_places_16[], *const adl_resnet_places_33[], *const adl_resnet_places_50[];

/* What the rows have in common. */
#define ADL_RESNET_ROW                                                                             \
    .bn_eps = 1e-5, .has_large_map = true, .has_base = true, .has_fine_base = true,                \
    .build = adl_resnet_build
/* Those of resnet50 and of its family with attention, which have the last map of the reference
 * implementation. */
#define ADL_RESNET50_ROW                                                                           \
    ADL_RESNET_ROW, .renumber = adl_resnet_renumber, .is_head = adl_resnet50_is_head
#define ADL_RESNET50_ATTENTION_ROW                                                                 \
    ADL_RESNET50_ROW, .adl_places = adl_resnet_places_16,                                          \
                      .adl_default = 1u << 7 | 1u << 13 | 1u << 15
/* Those of the others, whose last map is torchvision's unless arch.last_stride is 1. */
#define ADL_RESNET_PLACED(count, first, second, last)                                              \
    ADL_RESNET_ROW, .last_stride = 2, .is_head = adl_resnet_is_head,                               \
                    .adl_places = adl_resnet_places_##count,                                       \
                    .adl_default = 1u << (first) | 1u << (second) | 1u << (last)
#define ADL_RESNET_8_ROW ADL_RESNET_PLACED(8, 4, 6, 7)
#define ADL_RESNET_16_ROW ADL_RESNET_PLACED(16, 7, 13, 15)
#define ADL_RESNET_33_ROW ADL_RESNET_PLACED(33, 6, 29, 31)
#define ADL_RESNET_50_ROW ADL_RESNET_PLACED(50, 2, 29, 31)

#endif
