#ifndef ADL_MODELS_BACKBONES_BACKBONE_H
#define ADL_MODELS_BACKBONES_BACKBONE_H

/* The interface of the backbones: what defines a network apart from its input
 * size and its weights (struct adl_arch), and what each backbone provides (struct adl_backbone).
 *
 * This header is the bottom layer of models/: a backbone includes no other header of models/.
 * ADL_BACKBONES below lists the backbones; arch.h has the array made from it and the lookup by
 * name. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "graph/graph.h"
#include "methods/methods.h"
#include "ops/ops.h"

enum adl_activation { ADL_ACT_RELU, ADL_ACT_RELU6 };
enum adl_padding { ADL_PAD_SYMMETRIC, ADL_PAD_TF_SAME };

struct adl_backbone;
struct adl_stored;

/* Everything that defines a network apart from its input size and its weights; `arch` in a model
 * file. A plain value, to be copied freely; of the network's description, where it has one, a copy
 * has a pointer, which is valid as long as the model that the description belongs to. */
struct adl_arch {
    const struct adl_backbone *backbone;
    const struct adl_stored *stored; /* describes adl_backbone_onnx (stored.h); else NULL */
    int num_classes;                 /* 1 to ADL_LIMIT_CLASSES */
    bool large_feature_map;          /* sides of the last map doubled: for a 224x224 input 28x28
                                      * instead of 14x14 (14x14 instead of 7x7 with last_stride 2) */
    struct adl_method_set methods;   /* whose layers and branches the network has, if any */
    int rounds; /* networks, for a method that trains several in rounds; else of no meaning */
    uint32_t adl_places; /* bit i: layers of the methods follow adl_arch_place_name(arch, i) */
    double bn_eps;       /* added to the variance in every batch norm; above 0, at most 1 */
    /* mobilenet_v1 only */
    double width; /* factor on the channels of every layer, 0.25 to 1 */
    enum adl_activation activation;
    enum adl_padding padding;
    /* mobilenet_v1, and networks with torchvision's maps */
    int last_stride; /* of the last layer that may halve the map, 1 or 2; 1 where last_stride of the
                      * backbone is 0 */
    /* The options of all methods, of which those in_network count. */
    union adl_method_value method_values[ADL_METHOD_VALUES];
};

struct adl_backbone {
    const char *name;   /* "resnet50": value of --arch and of arch.name in a model file */
    double bn_eps;      /* default of arch.bn_eps */
    bool has_options;   /* width, activation and padding apply */
    int last_stride;    /* default of arch.last_stride; 0: the network has no such option */
    bool has_large_map; /* large_feature_map applies */
    bool has_base;      /* `build` calls the branches of a method, which begin at the last map */
    bool has_fine_base; /* the branches of a method may begin at a map with 1/8 of the sides */
    /* Names of the layers that the layers of methods, for example ADL's, may follow, at most
     * 32, NULL-terminated; bit i of adl_default says that they follow adl_places[i] unless
     * --adl-positions says otherwise. adl_places is NULL where the reference implementation
     * (wsolevaluation) keeps the layers of a method in one Sequential with the others: each of
     * them then shifts the numbers in the parameter names after it, so their positions are fixed
     * to those of the reference implementation, for all methods. */
    const char *const *adl_places;
    uint32_t adl_default;
    /* The layers that the few-box head reads beside the last map, unless calibrate
     * --foreground-layers says otherwise; separated by commas. NULL: none. */
    const char *head_layers;
    /* What `build` has to know about this one of several networks that it builds; NULL: nothing. */
    const void *config;
    /* Appends the network to `graph`, whose input is value 0. Running out of memory is
     * remembered by the graph and reported by adl_graph_finish. */
    void (*build)(struct adl_graph *graph, const struct adl_arch *arch);
    /* Translates parameter names between two variants of the network that differ in having
     * method layers or in `large_feature_map`: writes into `out` what the parameter called
     * `name` in `from` is called in `to`. Returns false if the name is the same in both
     * variants. NULL for a backbone whose names never change. */
    bool (*renumber)(const struct adl_arch *from, const struct adl_arch *to, const char *name,
                     char *out, size_t size);
    /* Returns whether a parameter belongs to the head, the layers that train at the
     * classifier's learning rate (--lr-classifier-ratio times the base rate). Backbones
     * that the reference implementation has decide as it does, by substrings of the name. */
    bool (*is_head)(const char *name);
    /* Returns whether a parameter or a value of this name belongs to what the network has beyond
     * its plain one: to its attention. NULL for a plain network. */
    bool (*is_attention)(const char *name);
    /* Returns whether a tensor of this name, which the network has no parameter for, is left out
     * when weights are read: public code has it and computes nothing with it. NULL: there is none.
     */
    bool (*is_unused)(const char *name);
    /* Writes into `out` what a parameter is called in older files of public code, or by timm;
     * returns false if it has no other name. NULL: none has. */
    bool (*former_name)(const char *name, char *out, size_t size);
};

/* The one row of each backbone, in the order --help lists them: ROW(NAME) stands for
 * `const struct adl_backbone adl_backbone_NAME`. */
#define ADL_BACKBONES(ROW)                                                                         \
    ROW(vgg16)                                                                                     \
    ROW(resnet50)                                                                                  \
    ROW(resnet50_se)                                                                               \
    ROW(resnet50_cbam)                                                                             \
    ROW(resnet50_bam)                                                                              \
    ROW(ran56)                                                                                     \
    ROW(inception_v3)                                                                              \
    ROW(mobilenet_v1)                                                                              \
    ROW(resnet18)                                                                                  \
    ROW(resnet34)                                                                                  \
    ROW(resnet101)                                                                                 \
    ROW(resnet152)                                                                                 \
    ROW(resnet18_se)                                                                               \
    ROW(resnet34_se)                                                                               \
    ROW(resnet101_se)                                                                              \
    ROW(resnet152_se)                                                                              \
    ROW(resnext50_32x4d)                                                                           \
    ROW(mobilenet_v2)                                                                              \
    ROW(mobilenet_v3_large)                                                                        \
    ROW(mobilenet_v3_small)                                                                        \
    ROW(efficientnet_b0)                                                                           \
    ROW(efficientnet_b1)                                                                           \
    ROW(efficientnet_b2)                                                                           \
    ROW(efficientnet_b3)                                                                           \
    ROW(efficientnet_b4)                                                                           \
    ROW(densenet121)                                                                               \
    ROW(convnext_tiny)

#define ADL_BACKBONE_DECLARE(name) extern const struct adl_backbone adl_backbone_##name;
ADL_BACKBONES(ADL_BACKBONE_DECLARE)
#undef ADL_BACKBONE_DECLARE
/* A network whose model file describes it; not in the list, since a name does not say what it is.
 */
extern const struct adl_backbone adl_backbone_onnx;

/* Returns the name of layer i of those that the layers of methods may follow, from the input on;
 * NULL past the last. Bit i of arch.adl_places stands for it. */
const char *adl_arch_place_name(const struct adl_arch *arch, int i);
/* Returns the bit in arch.adl_places of the layer whose name is the first `length` bytes of
 * `name`; 0 if ADL cannot follow a layer of that name. */
uint32_t adl_arch_place(const struct adl_arch *arch, const char *name, size_t length);

/* Returns whether the network has layers of methods. */
bool adl_arch_has_layers(const struct adl_arch *arch);
/* Returns whether the network has layers of methods that take numbers in parameter names. */
bool adl_arch_in_sequence(const struct adl_arch *arch);
/* Returns whether the methods change the network at all, by layers, by building its upper end or by
 * having several. */
bool adl_arch_has_method(const struct adl_arch *arch);
/* Returns the method that builds the upper end of the network; NULL if there is none. */
const struct adl_method *adl_arch_branches(const struct adl_arch *arch);
/* Returns whether that method begins at a map with 1/8 of the input's sides. */
bool adl_arch_has_fine_base(const struct adl_arch *arch);
/* Returns whether that method wants the stages below it named as in the reference implementation.
 */
bool adl_arch_has_named_stages(const struct adl_arch *arch);
/* Ends the network with the branches of that method. */
void adl_arch_add_branches(struct adl_graph *graph, const struct adl_arch *arch,
                           struct adl_method_base base);
/* Returns the method that trains several networks in rounds; NULL if there is none. */
const struct adl_method *adl_arch_rounds(const struct adl_arch *arch);
/* Returns whether a parameter of this network belongs to the head (is_head), whichever of several
 * networks it is in. */
bool adl_arch_is_head(const struct adl_arch *arch, const struct adl_param *param);
/* Returns whether a parameter of this name belongs to layers that a method builds. */
bool adl_arch_is_branch(const char *name);
/* Returns whether layers of methods follow the layer `name`, one of the backbone's adl_places. */
bool adl_arch_has_place(const struct adl_arch *arch, const char *name);
/* Appends a layer of each method that has layers to the value x, and returns the last. They are
 * called METHOD.PLACE; `sequence_name`, unless NULL, is the name of the layer of a method that the
 * reference implementation builds into its networks. */
int adl_arch_add_layers(struct adl_graph *graph, const struct adl_arch *arch, int x,
                        const char *place, const char *sequence_name);

/* Ends a network whose last map is `features`, and x after the layers of methods: global average
 * pooling and the linear layer "fc", whose weights make the class maps. */
void adl_arch_add_classifier(struct adl_graph *graph, const struct adl_arch *arch, int features,
                             int x);
/* Ends a network whose last map is base.features: with the branches of a method, if it has them, or
 * else with adl_arch_add_classifier. */
void adl_arch_add_head(struct adl_graph *graph, const struct adl_arch *arch,
                       struct adl_method_base base, int x);

#endif
