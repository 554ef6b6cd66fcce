#ifndef ADL_MODELS_BACKBONES_STORED_H
#define ADL_MODELS_BACKBONES_STORED_H

/* A network that is no backbone of this program: its description comes from a model file, and is as
 * long as the network. It is a list of nodes, each an op with numbers and names of parameters.
 *
 *   {"source": "pytorch 1.13, opset 13",
 *    "nodes": [{"op": "conv", "name": "/conv1/Conv", "in": ["input"], "params": ["conv1.weight"],
 *               "k": 64, "r": 7, "s": 7, "stride": 2, "top": 3, "left": 3, "bottom": 3, "right":
 * 3},
 *              {"op": "relu", "name": "/relu/Relu", "in": ["/conv1/Conv"]}, ...],
 *    "features": "/layer4/relu", "logits": "/fc/Gemm", "classifier": "fc.weight"}
 *
 * A node names the value that it computes; a value is read after it was computed, so there are no
 * circles. stored_ops.c has the ops, their numbers, and their bounds. */

#include <jansson.h>

#include "base/arena.h"
#include "models/backbones/stored_ops.h"

struct adl_arch;

/* Values that layers of methods may follow, at most. */
#define ADL_STORED_PLACES 32

/* A description; filled by one thread, then immutable. */
struct adl_stored {
    struct adl_arena arena; /* of the names */
    struct adl_stored_node *nodes;
    int count;
    size_t capacity;
    /* Values; -1 where there is none. The class map of a network that ends in one is pooled to the
     * logits. */
    int features, class_map, logits;
    const char *classifier; /* the parameter whose rows weight the features; NULL: none */
    const char *source;     /* of the description, for people; NULL: not known */
    /* The parameter of the layer that has an output for each class: the classifier, or the last
     * layer of one of several layers. NULL: there is none whose size could change. */
    const char *scores;
    /* Where layers of training methods may stand (stored_places.c): after these values, from the
     * input on; those of place_default unless the user names others. */
    int places[ADL_STORED_PLACES];
    int place_count;
    uint32_t place_default; /* bit i: places[i] */
    int early, late;        /* two of them below the features, of the same sides; -1: none */
    int fine;               /* the last of them that has larger sides than the features; -1: none */
};

struct adl_stored *adl_stored_create(struct adl_error *err) ADL_MUST_CHECK;
void adl_stored_free(struct adl_stored *stored);

/* Appends a node of the op of this name, with one input (more: set them in the result) and the
 * default of each number; the name is copied. Returns the node, which stays where it is until the
 * next one is added; NULL with ADL_ERR_LIMIT or ADL_ERR_NOMEM. */
struct adl_stored_node *adl_stored_add(struct adl_stored *stored, const char *op, const char *name,
                                       int input, struct adl_error *err) ADL_MUST_CHECK;
/* Sets a number of a node by its key, which the op has to have. */
void adl_stored_set(struct adl_stored_node *node, const char *key, double value);
double adl_stored_get(const struct adl_stored_node *node, const char *key);
/* Returns whether the node is of the op of this name. */
bool adl_stored_is(const struct adl_stored_node *node, const char *op);
const char *adl_stored_op_name(const struct adl_stored_node *node);

/* Sets `scores`, once the ends are known. */
void adl_stored_find_scores(struct adl_stored *stored);
/* Finds the places of the layers of methods in the network with so many classes and an input of
 * these pixels. Fails as adl_arch_build() does. */
int adl_stored_find_places(struct adl_stored *stored, int num_classes, int input_h, int input_w,
                           struct adl_error *err) ADL_MUST_CHECK;

/* Returns whether a parameter belongs to the layer that has an output for each class. */
bool adl_stored_is_classifier(const struct adl_stored *stored, const char *param);

/* Convert to and from the object above; the caller owns the results. Without its nodes it says, for
 * people, where the network comes from and how it ends. adl_stored_to_json returns NULL when out of
 * memory; adl_stored_from_json fails with ADL_ERR_FORMAT, ADL_ERR_LIMIT,
 * ADL_ERR_UNSUPPORTED (an unknown op) or ADL_ERR_NOMEM. */
json_t *adl_stored_to_json(const struct adl_stored *stored, bool with_nodes) ADL_MUST_CHECK;
struct adl_stored *adl_stored_from_json(const json_t *json, struct adl_error *err) ADL_MUST_CHECK;

/* Appends one node to a graph that has the values of the nodes before it, and nothing else, from
 * value 1 on; returns its value, or -1. The graph keeps errors (ADL_ERR_ARG). */
int adl_stored_append(struct adl_graph *graph, const struct adl_stored *stored, int index);
/* Appends the whole network of arch->stored with its number of classes, the layers of its methods
 * after its places, and the branches of a method in place of its upper end; sets its outputs. */
void adl_stored_build(struct adl_graph *graph, const struct adl_arch *arch);

#endif
