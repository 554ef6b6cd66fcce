#ifndef ADL_METHODS_METHOD_H
#define ADL_METHODS_METHOD_H

/* Training methods: changes to the training of a classifier that make its class map cover
 * more of the object. A method is one file of this directory, which defines a struct
 * adl_method, and one row of ADL_METHODS below; --method, --help, completion, model files and
 * the tests read the list.
 *
 * A method may add layers inside the network, branches above it, and terms to the loss. The
 * backbones decide where its layers go (adl_places) and where its branches begin; the method
 * decides what they do. At inference layers are the identity and are stripped from the plan, and
 * of the branches only what an output depends on is run. */

#include <stdint.h>

#include "graph/graph.h"
#include "ops/train.h"
#include "train/loss.h"
#include "train/tape.h"

/* What a backbone hands to a method that builds the upper end of the network. */
struct adl_method_base {
    int features;      /* the value that is its map with 1/8 of the input's sides */
    int head_channels; /* of convolutions before a classifier; 1024 at the network's full width */
    int num_classes;
    /* Appends the backbone's layers above that map to the value `input`, and returns their last
     * map, which has half the sides. May be called more than once, for copies
     * (adl_graph_begin_copy).
     */
    int (*upper)(struct adl_graph *graph, const void *context, int input);
    const void *context;
};

/* A batch of training images before the forward pass, for a method that changes them. */
struct adl_method_batch {
    const float *images; /* count x height x width x 3, normalised, as the loader made them */
    float *input;        /* of the same shape: receives what the network is trained on */
    size_t count;        /* at least 1 */
    int height, width;
    double probability; /* that the batch is changed, 0..1 */
    uint64_t key;       /* all random numbers are derived from it */
    /* Receives, for each image, the number in the batch of the image whose label takes a part of
     * the loss, and how large that part is; a share of 0 (the value before): no other label. */
    size_t *partners;
    double share;
};

struct adl_method {
    const char *name; /* value of --method, and of arch.method in a model file */
    /* Appends the method's layer after the value `input` of `graph` and returns the value
     * that replaces it, of the same shape: a node of an op without parameters that is
     * training_only (ops/train.h has its training side). NULL: the method has no layers. */
    int (*layer)(struct adl_graph *graph, int input, const char *name);
    /* Writes the changed images of a batch to its `input`. NULL: images are used as they are. */
    void (*mix)(struct adl_method_batch *batch);
    /* Appends everything above base->features and sets the outputs, and the values that the loss
     * depends on (adl_graph_add_tap). Its parameters are called "classifier_..." and belong to the
     * head. NULL: the network ends as the backbone has it. */
    void (*branches)(struct adl_graph *graph, const struct adl_method_base *base);
    /* Returns the loss of a forward pass in this mode and writes its gradient with respect to the
     * logits and to every tap; *right becomes the number of images whose top-1 class is the label.
     * NULL: the cross-entropy of the logits. */
    double (*loss)(struct adl_tape *tape, const struct adl_targets *targets,
                   const struct adl_train_mode *mode, size_t *right);
    /* The names of the options that have an effect with this method only; NULL: none. */
    const char *const *options;
};

/* The one row of each method, in the order --help lists them: ROW(NAME) stands for
 * `const struct adl_method adl_method_NAME`. The first is the default. */
#define ADL_METHODS(ROW)                                                                           \
    ROW(cam)                                                                                       \
    ROW(adl)                                                                                       \
    ROW(cutmix)                                                                                    \
    ROW(bas)

#define ADL_METHOD_DECLARE(name) extern const struct adl_method adl_method_##name;
ADL_METHODS(ADL_METHOD_DECLARE)
#undef ADL_METHOD_DECLARE

#endif
