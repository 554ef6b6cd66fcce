#ifndef ADL_MODELS_ARCH_H
#define ADL_MODELS_ARCH_H

/* The backbones: a list, and for each a builder that describes it as a graph
 * with the reference implementation's parameter names. */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "graph/graph.h"

enum adl_activation { ADL_ACT_RELU, ADL_ACT_RELU6 };
enum adl_padding { ADL_PAD_SYMMETRIC, ADL_PAD_TF_SAME };

struct adl_backbone;

/* Everything that decides a network's shape; `arch` of the model file. */
struct adl_arch {
    const struct adl_backbone *backbone;
    int num_classes;
    bool large_feature_map; /* maps twice as large: 28x28 instead of 14x14 at 224 */
    bool adl;               /* the ADL variant's parameter numbering and layers */
    uint32_t adl_places;    /* bit i: behind adl_places[i] of the backbone */
    double bn_eps;
    /* mobilenet_v1 only */
    double width;
    enum adl_activation activation;
    enum adl_padding padding;
    int last_stride;
};

/* One row per backbone, in arch.c. */
struct adl_backbone {
    const char *name;    /* "resnet50" */
    const char *summary; /* one line for --help */
    double bn_eps;       /* default */
    bool has_options;    /* width, activation, padding, last stride apply */
    bool has_large_map;
    /* The layers that ADL may follow, at most 32, NULL-terminated, and those it
     * follows unless asked otherwise. NULL: where the reference has it and
     * nowhere else, since it would shift the numbers in parameter names. */
    const char *const *adl_places;
    uint32_t adl_default;
    /* Adds the network to a graph whose input is value 0. */
    void (*build)(struct adl_graph *graph, const struct adl_arch *arch);
    /* The name that a parameter called `name` in the variant `from` has in the
     * variant `to` (they differ in `adl` or `large_feature_map`), where layers
     * that only one of them has shift the numbers; false when the name stays.
     * NULL: never shifted. */
    bool (*renumber)(const struct adl_arch *from, const struct adl_arch *to, const char *name,
                     char *out, size_t size);
    /* Whether a parameter is one of the layers that learn at the classifier's
     * rate (ten times the base rate), by the reference's substrings. */
    bool (*is_head)(const char *name);
};

extern const struct adl_backbone adl_backbone_vgg16;
extern const struct adl_backbone adl_backbone_resnet50;
extern const struct adl_backbone adl_backbone_resnet50_se;
extern const struct adl_backbone adl_backbone_inception_v3;
extern const struct adl_backbone adl_backbone_mobilenet_v1;

/* NULL-terminated. */
extern const struct adl_backbone *const adl_backbones[];

/* NULL when there is none of that name. */
const struct adl_backbone *adl_backbone_find(const char *name);

/* The defaults of a backbone, for 1000 classes. */
void adl_arch_init(struct adl_arch *arch, const struct adl_backbone *backbone);

/* Sets the places of ADL from their names, separated by commas. Fails with ARG
 * on a name that is none, with UNSUPPORTED where the backbone has no choice. */
int adl_arch_set_places(struct adl_arch *arch, const char *names,
                        struct adl_error *err) ADL_MUST_CHECK;

/* Whether ADL follows the layer `name` of the backbone's adl_places. */
bool adl_arch_has_place(const struct adl_arch *arch, const char *name);

/* Fails with ARG when a number is out of range. */
int adl_arch_check(const struct adl_arch *arch, struct adl_error *err) ADL_MUST_CHECK;

/* The `arch` object of a model file and back. Reading: absent keys have the
 * backbone's defaults, unknown ones are ignored, wrong types and ranges refused
 * with FORMAT, an unknown network with UNSUPPORTED. The caller owns the JSON;
 * NULL is out of memory. */
json_t *adl_arch_to_json(const struct adl_arch *arch) ADL_MUST_CHECK;
int adl_arch_from_json(struct adl_arch *arch, const json_t *json,
                       struct adl_error *err) ADL_MUST_CHECK;

/* "mobilenet_v1 0.75 relu6 tf_same" for people. */
void adl_arch_describe(const struct adl_arch *arch, char *text, size_t size);

/* The graph of an architecture at this input size. Fails with ARG when a number
 * is out of range or the input too small for the network. */
struct adl_graph *adl_arch_build(const struct adl_arch *arch, int input_h, int input_w,
                                 struct adl_error *err) ADL_MUST_CHECK;

#endif
